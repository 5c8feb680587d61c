"""Experiments: run now, or replayed from a recording in notebooks/data/.

A recording holds an experiment's result and printed output, its settings, when it was made, and on how many
cores. So a chapter can be read, and its figures redrawn, where nothing can be run.
"""

import contextlib
import dataclasses
import gzip
import io
import json
import re
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from workbook.session import NOTEBOOKS, WorkbookError, note_run, session
from workbook.words import in_words

DATA = NOTEBOOKS / "data"
NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def experiment(
    name: str, make: Callable[..., Any], /, *, recorded: bool | None = None, **settings: Any
) -> Any:
    """Return `make(**settings)` after a JSON round trip: tuples become lists, keys become strings.

    Live, `make` is called, and nothing is stored. With recorded=True, or if the chapter began that way, the
    recording of that name is returned instead; recorded=False always measures.
    Raises WorkbookError if there is no recording, or if it was made with other settings.
    """
    if not NAME.fullmatch(name):
        raise WorkbookError(f"{name!r} can't name an experiment: use small letters, digits and hyphens.")
    mode = session().mode if recorded is None else ("recorded" if recorded else "live")
    file = DATA / f"{session().prefix}{name}.json.gz"
    plain = _plain(settings)
    note_run()
    if mode == "recorded" or (mode == "complete" and _fits(file, plain)):
        return _replay(name, file, plain)
    if not callable(make):
        raise WorkbookError(
            f"experiment({name!r}, ...) takes the function and its settings, not what the function returns: "
            ' for instance experiment("some-name", bench, plan=plan).'
        )
    began, heard = time.monotonic(), _Heard(sys.stdout)
    with contextlib.redirect_stdout(heard):
        result = _plain(make(**settings))
    seconds = time.monotonic() - began
    print(f"[{name}: measured now, in {in_words(seconds)}]")
    if mode in ("record", "complete"):
        _write(file, plain, result, heard.kept.getvalue(), seconds)
    return result


def _replay(name: str, file: Path, settings: Any) -> Any:
    if not file.exists():
        prefix = session().prefix
        files = sorted(path.name for path in DATA.glob(f"{prefix}*.gz"))
        known = [each.removeprefix(prefix).removesuffix(".json.gz") for each in files]
        raise WorkbookError(
            f"There is no recording of {name!r}; this chapter has {', '.join(known) or 'none'}."
            " To measure it here and now, add recorded=False."
        )
    recording = _read(file)
    if differences := _differences(recording["settings"], settings):
        raise WorkbookError(
            f"The recording of {name!r} was made with other settings. Different here:"
            f" {'; '.join(differences)}. To measure with yours, here and now, add recorded=False."
        )
    print(recording["printed"], end="")
    print(
        f"[{name}: recorded on {recording['recorded_at'][:10]}, {recording['cores']} cores,"
        f" in {in_words(recording['seconds'])}]"
    )
    return recording["result"]


def _fits(file: Path, settings: Any) -> bool:
    return file.exists() and bool(_read(file)["settings"] == settings)


def _read(file: Path) -> dict[str, Any]:
    recording: dict[str, Any] = json.loads(gzip.decompress(file.read_bytes()))
    return recording


def _write(file: Path, settings: Any, result: Any, printed: str, seconds: float) -> None:
    """Write the file whole, or not at all."""
    from loadtests.servers.machine import describe_machine

    recording = {
        "settings": settings,
        "recorded_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": describe_machine()["cores"],
        "seconds": round(seconds, 2),
        "printed": printed,
        "result": result,
    }
    file.parent.mkdir(exist_ok=True)
    partial = file.with_suffix(".part")
    partial.write_bytes(gzip.compress(json.dumps(recording).encode(), mtime=0))
    partial.replace(file)


def _plain(value: Any) -> Any:
    """The value after a JSON round trip, so that live and recorded results have the same types."""
    try:
        return json.loads(json.dumps(value, default=_as_json))
    except (TypeError, ValueError) as error:
        raise WorkbookError(
            f"Settings and results must be what JSON can hold (numbers, texts, lists): {error}."
        ) from None


def _as_json(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if hasattr(value, "tolist"):  # numpy's numbers and arrays
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} is not")


def _differences(recorded: Any, settings: Any, path: str = "") -> list[str]:
    """The settings that differ, as they are here: "plan.users = [10]". What was recorded may be an answer."""
    if isinstance(recorded, dict) and isinstance(settings, dict):
        names = [*recorded, *(name for name in settings if name not in recorded)]
        return [
            said
            for name in names
            for said in _differences(recorded.get(name, ...), settings.get(name, ...), f"{path}.{name}")
        ]
    if recorded == settings:
        return []
    name = path.removeprefix(".")
    if settings is ...:
        return [f"no {name}"]
    text = json.dumps(settings)
    return [f"{name} = {text if len(text) < 100 else text[:100] + ' ...'}"]


class _Heard(io.TextIOBase):
    """Passes printed output on, and keeps a copy."""

    def __init__(self, out: Any):
        self.out = out
        self.kept = io.StringIO()

    def write(self, text: str) -> int:
        self.kept.write(text)
        self.out.write(text)
        return len(text)

    def flush(self) -> None:
        self.out.flush()
