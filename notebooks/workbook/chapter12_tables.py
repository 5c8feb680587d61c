"""What chapter 12 prints: the duties that come with each engine, from the results of `make engines`."""

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

import loadtests
from loadtests.enginebench.plan import TrialResult, figures_of
from loadtests.enginebench.speed import LOADS
from loadtests.enginebench.tables import DASH, DOUBT, IN_SHORT, doubts, engine_label, place_of, text_tables
from loadtests.enginebench.trials import HARMS
from loadtests.engines.engines import ENGINES
from loadtests.report.page import Body, Line, Table
from workbook.session import WorkbookError

KEPT = Path(loadtests.__file__ or "").parent / "example" / "engines.json"  # of a full run
FATE_TITLES = {  # of what a killed worker was fetching, the worst first
    "lost": "What a killed worker was fetching is lost",
    "held": "It is held until somebody does something",
    "by_itself": "It is given back",
    "": "Not measured",
}
MOST_CHARACTERS = 96  # characters


class EngineRun(msgspec.Struct):
    """What this chapter takes of a run's results.json."""

    schema: Literal["500ms/engines-results"]
    started_at: str
    machine: dict[str, Any]
    packages: dict[str, str]
    servers: dict[str, str]
    trials: list[TrialResult]


def show_duties(results: str | Path = KEPT) -> None:
    """Print what each engine does with feeds when something is killed, and how soon the reader answers on it.

    `results`: results.json of a run of `make engines`. Raises WorkbookError for another file.
    """
    run = engine_run(Path(results))
    versions = ", ".join(f"{name} {version}" for name, version in (run.packages | run.servers).items())
    where = f"make engines, {run.started_at[:10]}, {run.machine['cores']} cores: {versions}"
    print(textwrap.fill(where, MOST_CHARACTERS), text_tables([duties(run)]), sep="\n\n")
    for doubt in doubts(run.trials):
        print(doubt)


def engine_run(file: Path) -> EngineRun:
    """A run of `make engines`. Raises WorkbookError if the file holds none."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=EngineRun)
    except (OSError, msgspec.MsgspecError) as error:
        raise WorkbookError(f"{file} is no results.json of `make engines`: {error}") from error


def duties(run: EngineRun) -> Table:
    """A line for each engine, under what becomes of the feeds that a killed worker was fetching."""
    found = figures_of(run.trials)
    bodies: dict[str, list[Line]] = {key: [] for key in FATE_TITLES}
    for engine in (each for each in ENGINES if any(each == name for name, _ in found)):
        shown = [_harm(found.get((engine, name)), name) for name in HARMS]
        shown += [_answers(found.get((engine, name))) for name in LOADS]
        line = Line([engine_label(engine), place_of(engine), *shown])
        bodies[_fate(found.get((engine, "worker-killed")))].append(line)
    names = [*(IN_SHORT[name][0] for name in HARMS), *LOADS.values()]
    heads = [("", ["engine", "its jobs are in"]), ("", names)]
    return Table("engine", heads, [Body(FATE_TITLES[key], lines) for key, lines in bodies.items() if lines])


def _fate(killed: Mapping[str, Any] | None) -> str:
    """What becomes of the feeds: a key of FATE_TITLES. Those that needed a hand were held until then."""
    if not killed or killed["lost"]:
        return "lost" if killed else ""
    return "by_itself" if killed["by_itself"] == killed["stored"] else "held"


def _harm(figures: Mapping[str, Any] | None, name: str) -> str:
    return IN_SHORT[name][1](figures) if figures else DASH


def _answers(figures: Mapping[str, Any] | None) -> str:
    """How soon half and 99 % of the answers to POST /feeds came, in ms: "8 / 22"."""
    if not figures:
        return DASH
    submit = figures["submit"]
    marks = ["≥ " if f"{key}_ms" in submit["lower_bounds"] else "" for key in ("p50", "p99")]
    values = ["?" if submit[key] is None else f"{submit[key]:.0f}" for key in ("p50_ms", "p99_ms")]
    return " / ".join(map("".join, zip(marks, values, strict=True))) + (DOUBT if figures["reasons"] else "")
