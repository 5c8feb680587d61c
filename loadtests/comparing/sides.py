"""The two sides of a comparison: a run of the bench, or files of requests from any locustfile."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from loadtests.comparing.differences import bootstrap_errors
from loadtests.errors import UsageError
from loadtests.judging.judge import StageVerdict, judge
from loadtests.judging.points import Condition, condition
from loadtests.records.recording import Recording, read_recording
from loadtests.records.rows import Row, in_window, read_rows
from loadtests.wording import SHORT, counted, load

WHAT_IT_TAKES = (
    "Name the folder of a run, such as reports/2030-01-31-120000, or a file of requests (.csv) that a"
    " locustfile with loadtests.plugin has written."
)


@dataclass(frozen=True)
class Repeat:
    """One measurement of one condition: its figures, and how to read its rows."""

    summaries: Mapping[str, Mapping[str, Any]]  # by group
    unfit: Sequence[str]  # why it is not fit; empty if it is
    rows: Callable[[], Sequence[Row]]
    window: tuple[float, float]  # the measured time, in seconds on the rows' clock
    ended: float
    rule_ms: float

    def errors(self, group: str) -> dict[str, float]:
        """The standard error of each figure of a group, from the rows of this run alone."""
        rows = [row for row in in_window(self.rows(), *self.window) if row.group == group]
        return bootstrap_errors(rows, self.window, self.ended, self.rule_ms)


@dataclass(frozen=True)
class Side:
    """Everything one side measured. `about`: settings, machine and packages of a run; empty for files."""

    path: Path
    about: Mapping[str, Any]
    repeats: Mapping[Condition, Sequence[Repeat]]
    names: Mapping[Condition, str]  # the conditions in words

    @property
    def groups(self) -> list[str]:
        """The groups of requests that every repeat has, sorted by name."""
        found = [set(repeat.summaries) for repeats in self.repeats.values() for repeat in repeats]
        return sorted(set.intersection(*found)) if found else []


def read_side(path: Path, warm_up: float | None = None) -> Side:
    """Read one side. Raises UsageError if `path` is neither a run nor files of requests.

    In a folder of files of requests, each file is a repeat. The first `warm_up` seconds of each load in them
    are left out; None: as many as the plugin was told. A run of the bench knows its own warm-up.
    """
    if path.is_dir() and (path / "results.json").exists():
        return _run(path / "results.json")
    if (path.parent / "results.json").exists() and path.is_dir():
        raise UsageError(f"{path} is part of a run, and mixes its conditions: name {path.parent}")
    if path.is_dir():
        return _files(path, sorted(path.glob("*.csv")), warm_up)
    if not path.exists():
        raise UsageError(f"There is no {path}. {WHAT_IT_TAKES}")
    return _run(path) if path.suffix == ".json" else _files(path, [path], warm_up)


def _run(path: Path) -> Side:
    results = _json(path)
    if results.get("schema") != "500ms/results":
        raise UsageError(f"{path} is not a result of the bench. {WHAT_IT_TAKES}")
    if results.get("version") != 3:
        raise UsageError(f"{path} has version {results.get('version')}, not 3: measure it again.")
    repeats: dict[Condition, list[Repeat]] = {}
    names: dict[Condition, str] = {}
    try:
        for step in results["steps"]:
            if "burst" not in step:
                repeats.setdefault(condition(step), []).append(_step(path, results["settings"], step))
                names[condition(step)] = name_of(step)
        about = {key: results[key] for key in ("settings", "machine", "packages", "started_at")}
    except (KeyError, TypeError) as error:
        raise UsageError(f"{path} is not a complete result: {type(error).__name__} {error}") from error
    return Side(path, about, repeats, names)


def _step(path: Path, settings: Mapping[str, Any], step: Mapping[str, Any]) -> Repeat:
    file = path.parent / step["rows"]

    def rows() -> Sequence[Row]:
        if not file.exists():
            raise UsageError(
                f"{file} is missing. A condition that was measured once can be compared only with its rows:"
                " keep the whole folder of a run, or measure with --repeats 5."
            )
        return read_rows(file)

    return Repeat(
        summaries={group: step[group] for group in ("submit", "browse", "content")},
        unfit=step["unfit_reasons"],
        rows=rows,
        window=(step["window_s"][0], step["window_s"][1]),
        ended=step["ended_s"],
        rule_ms=settings["rule_ms"],
    )


def name_of(step: Mapping[str, Any]) -> str:
    """The condition of a step or a point in words: "queued, 20 users, 8 slots, 1 worker, 32 threads"."""
    parts = [SHORT[step["app"]], load(step)]
    if step["app"] != "host":
        parts.append(counted(step["slots"], "slot"))
    if step["app"] == "queued":
        parts += [counted(step["workers"], "worker"), counted(step["threads"], "thread")]
    return ", ".join(parts)


def _files(path: Path, files: Sequence[Path], warm_up: float | None) -> Side:
    if not files:
        raise UsageError(f"{path} holds neither a results.json nor files of requests. {WHAT_IT_TAKES}")
    repeats: dict[Condition, list[Repeat]] = {}
    names: dict[Condition, str] = {}
    for file in files:
        recording = read_recording(file)
        if warm_up is not None:
            recording = msgspec.structs.replace(recording, warm_up_s=warm_up)
        for stage in judge(recording).stages:
            measured = _condition(recording, stage)
            repeats.setdefault(measured, []).append(_stage(file, recording, stage))
            names[measured] = load({"model": measured[0]} | dict(measured[1:]))
    return Side(path, {}, repeats, names)


def _stage(file: Path, recording: Recording, stage: StageVerdict) -> Repeat:
    if not stage.rows:
        raise UsageError(
            f"{file} has no request from {stage.start:g} to {stage.end:g} s. Try a shorter --warm-up."
        )
    return Repeat(
        summaries={each.group: each.summary for each in stage.groups},
        unfit=stage.doubts,
        rows=lambda: recording.rows,
        window=(stage.start, stage.end),
        ended=recording.ended_s,
        rule_ms=recording.rule_ms,
    )


def _condition(recording: Recording, stage: StageVerdict) -> Condition:
    """The model and amount of a stage's load."""
    amount = recording.rate_per_s if recording.open else recording.users_asked
    if stage.stage:
        amount = stage.stage.load if recording.open else round(stage.stage.load)
    return recording.model, ("rate_per_s" if recording.open else "users", amount)


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UsageError(
            f"There is no {path}. It is written beside the rows, and says when the run ended: keep both."
        ) from error
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} can't be read as JSON: {error}") from error
    if not isinstance(found, dict):
        raise UsageError(f"{path} is not a result of the bench. {WHAT_IT_TAKES}")
    return found
