"""The options that several commands have, and what they stand for."""

import argparse
import importlib
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

from jobqueue import Queue
from jobqueue.errors import JobQueueError

DATABASE_VARIABLE = "JOBQUEUE_DATABASE"
MOST = 1e9  # seconds, 30 years: more is a mistake, and too much for dates and clocks

Commands = Any  # what add_subparsers() returns: argparse keeps its class to itself


def add_database(command: argparse.ArgumentParser) -> None:
    """--database: which queue."""
    command.add_argument(
        "--database",
        metavar="URL",
        default=os.environ.get(DATABASE_VARIABLE),
        help=f"such as sqlite:///jobs.db (else the variable {DATABASE_VARIABLE})",
    )


def add_imports(command: argparse.ArgumentParser) -> None:
    """--import: what registers the jobs."""
    command.add_argument(
        "--import",
        metavar="MODULE",
        dest="imports",
        action="append",
        default=[],
        help="module that registers jobs; repeat for more",
    )


def add_number(
    command: argparse.ArgumentParser,
    flag: str,
    metavar: str,
    text: str,
    default: float | None,
    kind: type[int] | type[float] = float,
) -> None:
    """An option that is a number above 0."""
    shown = text if default is None else f"{text} ({default:g})"
    command.add_argument(flag, metavar=metavar, help=shown, default=default, type=partial(_number, kind))


def open_queue(options: argparse.Namespace, **settings: Any) -> Queue:
    """The queue that --database names. Raises JobQueueError when it names none."""
    if not options.database:
        raise JobQueueError(
            f"name the database: --database sqlite:///jobs.db, or the variable {DATABASE_VARIABLE}"
        )
    return Queue(options.database, **settings)


def import_jobs(options: argparse.Namespace) -> None:
    """Import what --import names, also from the current folder. Raises ImportError."""
    sys.path.insert(0, str(Path.cwd()))
    for module in options.imports:
        importlib.import_module(module)


def _number(kind: type[int] | type[float], text: str) -> float:
    try:
        value = kind(text)
    except ValueError:
        value = 0
    if not 0 < value <= MOST:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from above 0 to {MOST:g}")
    return value
