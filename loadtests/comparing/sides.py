"""The two sides of a comparison: a run of the bench, or files of requests from any locustfile."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from loadtests.errors import UsageError
from loadtests.judging.bootstrap import bootstrap_errors
from loadtests.judging.judge import StageVerdict, judge
from loadtests.judging.points import condition_key
from loadtests.records import parquet
from loadtests.records.figures import FigureKey, Summary
from loadtests.records.recording import Model, Recording, read_recording
from loadtests.records.results import Results, Settings, read_results
from loadtests.records.rows import Row, in_window, read_rows
from loadtests.records.steps import About, MeasuredLoad, Step, has_workers, reasons_of
from loadtests.wording import SHORT, counted, load

WHAT_IT_TAKES = (
    "Name the folder of a run, such as reports/2030-01-31-120000, or a file of requests (.csv, .parquet) that"
    " a locustfile with loadtests.plugin has written."
)


@dataclass(frozen=True)
class Repeat:
    """One measurement of one condition: its figures, and how to read its rows."""

    model: Model
    summaries: Mapping[str, Summary]  # by group
    unfit: Sequence[str]  # why its figures can't be compared; empty if they can
    rows: Callable[[], Sequence[Row]]
    window: tuple[float, float]  # the measured time, in seconds on the rows' clock
    ended: float
    rule_ms: float

    def errors(self, group: str) -> dict[FigureKey, float]:
        """The standard error of each figure of a group, from the rows of this run alone."""
        rows = [row for row in in_window(self.rows(), *self.window) if row.group == group]
        return bootstrap_errors(rows, self.window, self.ended, self.rule_ms)


@dataclass(frozen=True)
class Side:
    """All that one side measured, by its condition. `run`: what a bench left behind; None for files."""

    path: Path
    run: Results | None
    repeats: Mapping[Hashable, Sequence[Repeat]]
    names: Mapping[Hashable, str]  # the conditions in words

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
        return _files(path, sorted([*path.glob("*.csv"), *path.glob(f"*{parquet.ENDING}")]), warm_up)
    if not path.exists():
        raise UsageError(f"There is no {path}. {WHAT_IT_TAKES}")
    return _run(path) if path.suffix == ".json" else _files(path, [path], warm_up)


def _run(path: Path) -> Side:
    results = read_results(path)
    repeats: dict[Hashable, list[Repeat]] = {}
    names: dict[Hashable, str] = {}
    for step in results["steps"]:
        if "burst" not in step:
            measured = condition_key(step)
            repeats.setdefault(measured, []).append(_step(path, results["settings"], step))
            names[measured] = name_of(step)
    return Side(path, results, repeats, names)


def _step(path: Path, settings: Settings, step: Step) -> Repeat:
    file = path.parent / step["rows"]

    def rows() -> Sequence[Row]:
        if not file.exists():
            raise UsageError(
                f"{file} is missing. A condition that was measured once can be compared only with its rows:"
                " keep the whole folder of a run, or measure with --repeats 5."
            )
        return read_rows(file)

    return Repeat(
        model=step["model"],
        summaries={group: step[group] for group in ("submit", "browse", "content")},
        unfit=reasons_of(step),
        rows=rows,
        window=(step["window_s"][0], step["window_s"][1]),
        ended=step["ended_s"],
        rule_ms=settings["rule_ms"],
    )


def name_of(step: About) -> str:
    """The condition of a step or a point in words: "queued, 20 users, 8 slots, 1 worker, 32 threads"."""
    parts = [SHORT[step["app"]], load(step)]
    if step["app"] != "host":
        parts.append(counted(step["slots"], "slot"))
    if has_workers(step["app"]):
        parts += [counted(step["workers"], "worker"), counted(step["threads"], "thread")]
    return ", ".join(parts)


def _files(path: Path, files: Sequence[Path], warm_up: float | None) -> Side:
    if not files:
        raise UsageError(f"{path} holds neither a results.json nor files of requests. {WHAT_IT_TAKES}")
    repeats: dict[Hashable, list[Repeat]] = {}
    names: dict[Hashable, str] = {}
    for file in files:
        recording = read_recording(file)
        if warm_up is not None:
            recording = msgspec.structs.replace(recording, warm_up_s=warm_up)
        for stage in judge(recording).stages:
            put_on = _load(recording, stage)
            measured = tuple(put_on.values())
            repeats.setdefault(measured, []).append(_stage(file, recording, stage))
            names[measured] = load(put_on)
    return Side(path, None, repeats, names)


def _stage(file: Path, recording: Recording, stage: StageVerdict) -> Repeat:
    if not stage.rows:
        raise UsageError(
            f"{file} has no request from {stage.start:g} to {stage.end:g} s. Try a shorter --warm-up."
        )
    return Repeat(
        model=recording.model,
        summaries={each.group: each.summary for each in stage.groups},
        unfit=[*stage.doubts, *stage.slowed],
        rows=lambda: recording.rows,
        window=(stage.start, stage.end),
        ended=recording.ended_s,
        rule_ms=recording.rule_ms,
    )


def _load(recording: Recording, stage: StageVerdict) -> MeasuredLoad:
    """The load of a stage, or of a whole recording."""
    amount = recording.rate_per_s if recording.open else recording.users_asked
    if stage.stage:
        amount = stage.stage.load
    return MeasuredLoad(
        model=recording.model,
        users=None if recording.open or amount is None else round(amount),
        rate_per_s=amount if recording.open else None,
    )
