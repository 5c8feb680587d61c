"""What a run takes, in which order, and what is left of it; its folder, so that it can be resumed."""

import json
import random
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from loadtests.bench.folder import read_part
from loadtests.enginebench.trials import ENGINE_TRIALS, is_possible
from loadtests.errors import UsageError
from loadtests.files import json_text, writing
from loadtests.status import Status

LONGEST_HARM_SECONDS = 285.0  # of the engine that takes longest to notice
HARMS_AT_A_TIME = 14  # with more, a machine of two cores is too busy starting them
RUN_FORMAT = 2  # of run.json, and of the trials beside it


class Key(NamedTuple):
    """A trial of an engine."""

    engine: str
    trial: str

    @property
    def name(self) -> str:
        """The name of its files."""
        return f"{self.engine}.{self.trial}"


class TrialResult(msgspec.Struct, frozen=True):
    """What a trial has shown: sets of figures by their names; None if they were not measured, and `reason`
    says why.
    """

    engine: str
    trial: str
    seconds: float
    figures: dict[str, dict[str, Any]] | None = None
    reason: str = ""


def figures_of(measured: Iterable[TrialResult]) -> dict[tuple[str, str], dict[str, Any] | None]:
    """Each set of figures by its engine and name; None where it was not measured."""
    return {
        (each.engine, name): each.figures[name] if each.figures else None
        for each in measured
        for name in ENGINE_TRIALS[each.trial].shows
    }


class EnginePlan(msgspec.Struct, frozen=True):
    """What was asked for, and when."""

    engines: tuple[str, ...]
    kinds: tuple[str, ...]
    seed: int
    started_at: str

    def speed(self) -> list[Key]:
        """The trials that are taken one at a time, in mixed order."""
        return [key for key in self._mixed() if ENGINE_TRIALS[key.trial].kind != "harm"]

    def harms(self) -> list[Key]:
        """Those that run side by side: the longest first, so that none is left alone at the end."""
        mixed = [key for key in self._mixed() if ENGINE_TRIALS[key.trial].kind == "harm"]
        return sorted(mixed, key=lambda key: -ENGINE_TRIALS[key.trial].seconds)

    def _mixed(self) -> list[Key]:
        trials = [name for name, trial in ENGINE_TRIALS.items() if trial.kind in self.kinds]
        keys = [Key(engine, trial) for engine in self.engines for trial in trials]
        keys = [key for key in keys if is_possible(*key)]
        random.Random(self.seed).shuffle(keys)
        return keys

    def left(self, done: Collection[Key]) -> tuple[int, float]:
        """How many trials are left, and about how many seconds."""
        speed, harms = ([key for key in keys if key not in done] for keys in (self.speed(), self.harms()))
        waits = [ENGINE_TRIALS[key.trial].seconds for key in harms]
        most = max(sum(waits) / HARMS_AT_A_TIME, LONGEST_HARM_SECONDS if harms else 0)
        return len(speed) + len(harms), sum(ENGINE_TRIALS[key.trial].seconds for key in speed) + most


def status(measured: Sequence[TrialResult], interrupted: bool) -> Status:
    """Unfit if a trial was not measured, undecided if a load was not what was asked for."""
    if interrupted:
        return Status.INTERRUPTED
    if any(each.figures is None for each in measured):
        return Status.UNFIT
    doubtful = any(figures and figures.get("reasons") for figures in figures_of(measured).values())
    return Status.UNDECIDED if doubtful else Status.KEPT


def begin(folder: Path, engines: tuple[str, ...], kinds: tuple[str, ...], seed: int) -> EnginePlan:
    """Write what was asked for into a new folder; returns it. Raises WriteError."""
    plan = EnginePlan(engines, kinds, seed, datetime.now(UTC).isoformat(timespec="seconds"))
    data = {"schema": "500ms/engines-run", "version": RUN_FORMAT, "plan": msgspec.to_builtins(plan)}
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "run.json").write_text(json_text(data))
    return plan


def resumed(folder: Path) -> EnginePlan:
    """What was asked for. Raises UsageError."""
    try:
        data = json.loads((folder / "run.json").read_text())
        if (data["schema"], data["version"]) != ("500ms/engines-run", RUN_FORMAT):
            raise ValueError("it was begun by another command, or another version")
        return msgspec.convert(data["plan"], EnginePlan)
    except (OSError, ValueError, KeyError, TypeError, msgspec.MsgspecError) as error:
        raise UsageError(
            f"--resume {folder}: no run that can be resumed ({type(error).__name__}: {error})."
            " Name the folder of a run that was interrupted, such as reports/engines-2030-01-31-120000."
        ) from error


def file_of(folder: Path, key: Key) -> Path:
    """Where a trial's result is kept."""
    return folder / "trials" / f"{key.name}.json"


def done_before(folder: Path, plan: EnginePlan) -> list[TrialResult]:
    """The trials that a run has measured already; those that failed are taken again. Raises UsageError."""
    files = [file_of(folder, key) for key in [*plan.speed(), *plan.harms()]]
    found = [read_part(file, TrialResult) for file in files if file.exists()]
    return [each for each in found if each.figures is not None]
