"""What the chapters need beside the load tests: predictions noted before the run, and one visitor.

Predictions are kept in notebooks/predictions.json, so that they survive a restart of the kernel.
"""

import json
import time
from pathlib import Path

import requests

PREDICTIONS = Path(__file__).with_name("predictions.json")


def predict(name: str, seconds: float) -> None:
    """Write down what you expect, in seconds, before you look. A new prediction replaces the old one."""
    if not seconds > 0:
        raise ValueError(f"{seconds!r} is no prediction: write a number of seconds above 0")
    predictions = _read() | {name: seconds}
    PREDICTIONS.write_text(json.dumps(predictions, indent=1) + "\n")
    print(f"Noted: {name}, {in_words(seconds)}.")


def score(name: str, measured: float | None) -> None:
    """Say how far the prediction was from what was `measured` (seconds; None: nothing was measured)."""
    said = _read().get(name)
    if said is None:
        print(f"{name}: no prediction was noted; run the cell with predict() first.")
    elif measured is None:
        print(f"{name}: you said {in_words(said)}; nothing was measured.")
    else:
        factor = max(said / measured, measured / said)
        verdict = "well said" if factor < 1.5 else f"off by a factor of {factor:.1f}"
        print(f"{name}: you said {in_words(said)}, it was {in_words(measured)}: {verdict}.")


def in_words(seconds: float) -> str:
    """Seconds as one says them: "18 ms", "2.3 s"."""
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def submit(reader: str, feed: str) -> float:
    """Submit a feed's address to a reader as a form would; returns how many seconds the answer took."""
    began = time.perf_counter()
    answer = requests.post(f"{reader}/feeds", data={"url": feed}, allow_redirects=False, timeout=60)
    seconds = time.perf_counter() - began
    answer.raise_for_status()
    print(f"{feed.rsplit('/feeds/')[1]:16} answered in {in_words(seconds)}")
    return seconds


def _read() -> dict[str, float]:
    if not PREDICTIONS.exists():
        return {}
    predictions: dict[str, float] = json.loads(PREDICTIONS.read_text())
    return predictions
