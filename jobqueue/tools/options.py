"""The options shared by several commands, and what they name."""

import argparse
import importlib
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from jobqueue import Queue
from jobqueue.errors import JobQueueError
from jobqueue.options import checked
from jobqueue.schema import DEFAULT_TABLE

DATABASE_VARIABLE = "JOBQUEUE_DATABASE"
LONGEST_SECONDS = 1e9  # seconds, 30 years: more is a mistake, and overflows dates and clocks

Commands = Any  # what add_subparsers() returns: its class is private to argparse


def add_database(command: argparse.ArgumentParser) -> None:
    """--database: the queue."""
    command.add_argument(
        "--database",
        metavar="URL",
        default=os.environ.get(DATABASE_VARIABLE),
        help=f"such as sqlite:///jobs.db (default: the variable {DATABASE_VARIABLE})",
    )
    command.add_argument("--table", metavar="NAME", default=DEFAULT_TABLE, help="the jobs' table (jobs)")
    command.add_argument("--schema", metavar="NAME", help="its schema, on PostgreSQL")


def add_imports(command: argparse.ArgumentParser) -> None:
    """--import: the modules that register the jobs."""
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
    """Add an option whose value is a number above 0."""
    shown = text if default is None else f"{text} ({default:g})"
    command.add_argument(flag, metavar=metavar, help=shown, default=default, type=partial(_number, kind))


def option(name: str, kind: type[int] | type[str] = str) -> Callable[[str], Any]:
    """The type of an argument that is checked as the option `name` of the library is."""

    def parse(text: str) -> Any:
        try:
            return checked(**{name: kind(text)})[name]
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return parse


def open_queue(options: argparse.Namespace, **settings: Any) -> Queue:
    """The queue named by --database. Raises JobQueueError when none is named."""
    if not options.database:
        raise JobQueueError(
            f"name the database: --database sqlite:///jobs.db, or the variable {DATABASE_VARIABLE}"
        )
    return Queue(options.database, table=options.table, schema=options.schema, **settings)


def import_jobs(options: argparse.Namespace) -> None:
    """Import the modules named by --import, also from the current folder. Raises ImportError."""
    sys.path.insert(0, str(Path.cwd()))
    for module in options.imports:
        importlib.import_module(module)


def _number(kind: type[int] | type[float], text: str) -> float:
    try:
        value = kind(text)
    except ValueError:
        wanted = "a whole number" if kind is int else "a number of seconds, such as 300"
        raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}") from None
    if not 0 < value <= LONGEST_SECONDS:
        raise argparse.ArgumentTypeError(f"{text} is not above 0 and at most {LONGEST_SECONDS:.0f}")
    return value
