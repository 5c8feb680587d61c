"""Invented runs for the tests of comparisons and pipelines: latencies by formula, results as from a bench."""

import json
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from loadtests.__main__ import main
from loadtests.comparing.compare import main as compare
from loadtests.judging.points import points
from loadtests.judging.rule import rule_of
from loadtests.judging.samples import summarise
from loadtests.judging.verdict import verdict
from loadtests.records.recording import Lag, Recording, Vital, write_recording
from loadtests.records.rows import Row, in_window, write_rows

WARM_UP, SECONDS = 5.0, 20.0
ENDED = WARM_UP + SECONDS + 10
SETTINGS: dict[str, Any] = {
    "users": [20],
    "rates": [],
    "apps": ["queued"],
    "models": ["closed"],
    "ramp_users_per_s": 40.0,
    "drain_s": 10.0,
    "repeats": 1,
    "burst": None,
    "rule_ms": 500.0,
    "warmup_s": WARM_UP,
    "measure_s": SECONDS,
    "think_s": 2.0,
    "submitters": 0.7,
    "mix": {"typical": 80.0, "slow": 20.0},
    "deadline_s": 5.0,
    "connections": None,
    "in_flight": 500,
    "database": "sqlite",
    "slot_kind": "processes",
    "pinning": "none",
    "host": None,
    "slots": [8],
    "workers": [1],
    "threads": [32],
}
MACHINE = {"cpu": "Imaginary CPU", "cores": 2, "memory_gib": 7.8, "system": "Linux 6.1", "python": "3.11.2"}
UNTOLD = {  # what no comparison asks for
    "failures": 0,
    "unfinished": 0,
    "dropped": 0,
    "polls_share": 0.0,
    "host_cpu_percent": 10.0,
    "generator_cpu_percent": 5.0,
    "loop_lag_p99_ms": 1.0,
    "little": None,
    "server": None,
    "queue": None,
    "processes": {},
    "timeline": [],
}
Latency = Callable[[random.Random], float]


def about(ms: float) -> Latency:
    """A latency usually near `ms`."""
    return lambda rng: ms / 1000 * rng.lognormvariate(0, 0.2)


def rows_of(
    latency: Latency, seed: object, per_s: int = 20, groups: Sequence[str] = ("submit", "browse")
) -> list[Row]:
    """Requests of each group, evenly spaced from the start of the warm-up."""
    rng = random.Random(str(seed))
    rows = []
    for n in range(int(per_s * (WARM_UP + SECONDS))):
        for group in groups:
            done = n / per_s + latency(rng)
            rows.append(Row(n, group, group, n / per_s, n / per_s, done, 200, ""))
    return rows


def step(folder: Path, seed: object, latency: Latency, per_s: int = 20, **different: Any) -> dict[str, Any]:
    """One step as in results.json, with its rows written; by default the queued app with 20 users.

    `per_s`: requests a second in each group; 20 are enough to prove that the rule was kept.
    """
    values: dict[str, Any] = {
        "app": "queued",
        "model": "closed",
        "users": 20,
        "rate_per_s": None,
        "slots": 8,
        "workers": 1,
        "threads": 32,
        "repeat": 1,
        "unfit_reasons": [],
        "slowed_reasons": [],
    } | different
    rows = rows_of(latency, seed, per_s)
    name = f"{values['app']}-{values['users']}-{values['slots']}-{values['repeat']}.csv"
    (folder / "rows").mkdir(parents=True, exist_ok=True)
    write_rows(folder / "rows" / name, rows)
    measured = in_window(rows, WARM_UP, WARM_UP + SECONDS)
    groups = {
        group: summarise([row for row in measured if row.group == group], ENDED)
        for group in ("submit", "browse", "content")
    }
    found = {
        **values,
        **groups,
        "fit": not values["unfit_reasons"],
        "steady": True,
        "unsteady_reasons": [],
        **UNTOLD,
        "requests": len(measured),
        "offered_per_s": len(measured) / SECONDS,
        "naive": {"submit": groups["submit"], "browse": groups["browse"]},
        "achieved_per_s": len(measured) / SECONDS,
        "rows": f"rows/{name}",
        "window_s": [WARM_UP, WARM_UP + SECONDS],
        "ended_s": ENDED,
    }
    return {**found, "rule": rule_of(found)}


def run(folder: Path, steps: Sequence[Mapping[str, Any]], **settings: Any) -> dict[str, Any]:
    """The results of a run of these steps, written to `folder`; `settings` override the usual ones."""
    results = {
        "schema": "500ms/results",
        "version": 4,
        "started_at": "2030-01-02T03:04:05+00:00",
        "finished_at": "2030-01-02T03:14:05+00:00",
        "seed": 1,
        "interrupted": False,
        "theory": None,
        "floor": None,
        "machine": MACHINE,
        "packages": {"Flask": "3.1.3"},
        "settings": SETTINGS | settings,
        "steps": list(steps),
        "points": points(steps),
        "verdict": verdict(steps, SETTINGS | settings),
    }
    save(folder, results)
    return results


def save(folder: Path, results: Mapping[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(results))


def plain(folder: Path, ms: float, repeats: int = 1, seed: object = 1, **different: Any) -> Path:
    """A run of one condition, the queued app with 20 users, with latencies near `ms`."""
    steps = [step(folder, (seed, n), about(ms), repeat=n + 1) for n in range(repeats)]
    run(folder, steps, **different)
    return folder


def recorded(path: Path, rows: Sequence[Row], users: int = 5, lag_ms: float = 1.0, **told: Any) -> Path:
    """A file of requests, and beside it the record of an unstrained generator that started all its users.

    `told` is the rest of the recording.
    """
    seconds = int(WARM_UP + SECONDS) + 1
    common: dict[str, Any] = {
        "users_asked": users,
        "lag": tuple(Lag(at / 10, lag_ms) for at in range(10 * seconds)),
        "vitals": (tuple(Vital(float(at), 0.1 * at, 0.5 * at, 2.0 * at, users) for at in range(seconds)),),
    }
    known = {"stopped_s": WARM_UP + SECONDS, "ended_s": ENDED} | common | told
    write_recording(path, Recording(started_at=0.0, rows=tuple(rows), **known))
    return path


def file_of_requests(path: Path, ms: float = 200, **told: Any) -> Path:
    """A file of requests with latencies near `ms`, and their recording beside it."""
    return recorded(path, rows_of(about(ms), path.name), **told)


def answer(a: Path, b: Path, *options: str) -> dict[str, Any]:
    """What compare writes as JSON; checks that the exit status in it is the one returned."""
    file = a.parent / "comparison.json"
    status = compare([str(a), str(b), "--json", str(file), *options])
    found: dict[str, Any] = json.loads(file.read_text())
    assert found["exit_status"] == status
    return found


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The message about bad usage; checks that it comes with status 2 and without a traceback."""
    try:
        status = main(["compare", *map(str, arguments)])
    except SystemExit as done:
        status = int(done.code or 0)
    said = capsys.readouterr()
    assert status == 2 and not said.out and "Traceback" not in said.err
    return " ".join(said.err.split())


def findings(found: dict[str, Any]) -> dict[str, set[str]]:
    """The findings for each figure, over all groups."""
    told: dict[str, set[str]] = {}
    for question in found["questions"]:
        told.setdefault(question["figure"], set()).add(question["finding"])
    return told
