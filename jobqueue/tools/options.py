"""The options shared by several commands, and what they name."""

import argparse
import importlib
import os
import sys
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from jobqueue import Queue
from jobqueue.errors import JobQueueError
from jobqueue.options import checked
from jobqueue.schema import DEFAULT_TABLE

DATABASE_VARIABLE = "JOBQUEUE_DATABASE"  # what is not given as an option
TABLE_VARIABLE, SCHEMA_VARIABLE = "JOBQUEUE_TABLE", "JOBQUEUE_SCHEMA"
IMPORT_VARIABLE = "JOBQUEUE_IMPORT"  # several modules with commas
LONGEST_SECONDS = 1e9  # seconds, 30 years: more is a mistake, and overflows dates and clocks

Commands = Any  # what add_subparsers() returns: its class is private to argparse


def add_database(command: argparse.ArgumentParser) -> None:
    """--database, --table and --schema: the queue."""
    command.add_argument(
        "--database",
        metavar="URL",
        default=os.environ.get(DATABASE_VARIABLE),
        help=f"such as sqlite:///jobs.db (default: the variable {DATABASE_VARIABLE})",
    )
    for flag, variable, default, text in (
        ("--table", TABLE_VARIABLE, DEFAULT_TABLE, f"the jobs' table ({DEFAULT_TABLE})"),
        ("--schema", SCHEMA_VARIABLE, None, "its schema, on PostgreSQL"),
    ):
        command.add_argument(flag, metavar="NAME", default=os.environ.get(variable) or default, help=text)


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


def option(name: str, kind: type[int] | type[str] = str, hint: str = "") -> Callable[[str], Any]:
    """The type of an argument that is checked as the option `name` of the library is."""

    def parse(text: str) -> Any:
        try:
            return checked(**{name: kind(text)})[name]
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{error}{hint}") from error

    return parse


def open_queue(options: argparse.Namespace, **settings: Any) -> Queue:
    """The queue named by --database. Raises JobQueueError when none is named."""
    if not options.database:
        raise JobQueueError(
            f"name the database: --database sqlite:///jobs.db, or the variable {DATABASE_VARIABLE}"
        )
    return Queue(options.database, table=options.table, schema=options.schema, **settings)


def modules(options: argparse.Namespace) -> list[str]:
    """The modules named by --import, or else by the variable."""
    return options.imports or [name for name in os.environ.get(IMPORT_VARIABLE, "").split(",") if name]


def import_jobs(options: argparse.Namespace) -> None:
    """Import the modules that register the jobs, also from the current folder. Raises JobQueueError, or
    ImportError.
    """
    sys.path.insert(0, str(Path.cwd()))
    for module in modules(options):
        if "/" in module or not all(module.split(".")):
            raise JobQueueError(f"--import takes a module's name, such as jobs or shop.jobs, not {module!r}")
        try:
            importlib.import_module(module)
        except ImportError:
            raise
        except (Exception, SystemExit) as error:
            frame = traceback.extract_tb(error.__traceback__)[-1]
            where = "" if isinstance(error, SyntaxError) else f" ({frame.filename}, line {frame.lineno})"
            said = f"{type(error).__name__}: {error}".partition("\n")[0]
            raise JobQueueError(f"the module {module} can't be imported: {said}{where}") from error


def _number(kind: type[int] | type[float], text: str) -> float:
    try:
        value = kind(text)
    except ValueError:
        wanted = "a whole number" if kind is int else "a number of seconds, such as 300"
        raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}") from None
    if not 0 < value <= LONGEST_SECONDS:
        raise argparse.ArgumentTypeError(f"{text} is not above 0 and at most {LONGEST_SECONDS:.0f}")
    return value
