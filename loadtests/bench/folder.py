"""The folder of a run of the bench: what was asked for, and what has been measured."""

import json
from pathlib import Path
from typing import TypeVar

import msgspec

from loadtests.bench.plan import Plan
from loadtests.errors import UsageError
from loadtests.files import json_text, writing

RUN_VERSION = 3  # of run.json, and of the steps beside it
T = TypeVar("T")


def write_run(folder: Path, plan: Plan, floor: bool, full: bool) -> None:
    """Write what was asked for. Raises WriteError."""
    data = {
        "schema": "500ms/run",
        "version": RUN_VERSION,
        "plan": plan.to_json(),
        "floor": floor,
        "full": full,
    }
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "run.json").write_text(json_text(data))


def read_run(folder: Path) -> tuple[Plan, bool, bool]:
    """The plan, and whether `floor` and `full` were asked for. Raises UsageError."""
    try:
        data = json.loads((folder / "run.json").read_text())
        if data["version"] != RUN_VERSION:
            raise UsageError(
                f"--resume {folder}: that run was begun by another version, whose steps are not like those"
                " measured now. Measure it again."
            )
        return Plan.from_json(data["plan"]), bool(data["floor"]), bool(data["full"])
    except (OSError, ValueError, KeyError, TypeError, msgspec.ValidationError) as error:
        raise UsageError(
            f"--resume {folder}: no run that can be resumed ({type(error).__name__}: {error})."
            " Name the folder of a run that was interrupted, such as reports/2030-01-31-120000."
        ) from error


def read_part(file: Path, kind: type[T]) -> T:
    """What `write_part` wrote. Raises UsageError if that is not complete."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=kind)
    except msgspec.DecodeError as error:
        raise UsageError(f"{file} is not complete: {error}. Remove it, and it is measured again") from error


def write_part(file: Path, data: object) -> None:
    """Write atomically: a run that is cut off here can be resumed."""
    partial = file.with_suffix(".part")
    with writing(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(data) + "\n")
        partial.replace(file)
