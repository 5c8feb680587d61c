"""What to type next, in the shell that started a run: `python` may be another one there, or none."""

import os
import shlex
import sys
from pathlib import Path

from loadtests.judging.limits import is_doubtful
from loadtests.records.results import Results
from loadtests.status import Status

REPORTS = Path("reports")


def to_resume(folder: Path, command: str = "bench") -> str:
    """How to go on with the run in this folder; `command` is also the name of its target."""
    if "MAKELEVEL" in os.environ:
        options = f"--resume {shlex.quote(str(folder))}".replace("$", "$$")  # for make
        plain = not set(options) & set('"`$\\!')  # in double quotes
        quoted = f'ARGS="{options}"' if plain else shlex.quote(f"ARGS={options}")
        return f"To resume: make {command} {quoted}"
    return f"To resume: {shlex.join([sys.executable, '-m', 'loadtests', command, '--resume', str(folder)])}"


def cut_off() -> Path | None:
    """The folder of the last run, if it has measured a step, but ended without a word, as by kill -9."""
    begun = sorted(REPORTS.glob("*/run.json"), key=lambda file: file.stat().st_mtime)
    folder = begun[-1].parent if begun else None
    lost = folder and any(folder.glob("steps/*.json")) and not (folder / "results.json").exists()
    return folder if lost else None


def to_decide(results: Results) -> str:
    """What may decide a run that has proved nothing; empty if it has."""
    settings, measured = results["settings"], results["points"]
    if results["verdict"]["exit_status"] not in (Status.UNDECIDED, Status.UNFIT) or not measured:
        return ""
    if any(map(is_doubtful, measured)):
        closed = settings["users"]
        less = f"--users {max(1, min(closed) // 2)}" if closed else f"--rate {min(settings['rates']) / 2:g}"
        return (
            "To decide: stop what else runs on this machine, and measure again;\n"
            f"or measure a load that leaves it room, several times: {less} --repeats 3."
        )
    return f"To decide: measure the same with --seconds {4 * settings['measure_s']:g}, or --repeats 4."
