"""Options, and how the queue is opened: shared by the commands that inspect or mend a queue."""

import argparse
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy import Engine

from jobqueue import Queue
from jobqueue.errors import JobQueueError
from jobqueue.schema import missing
from jobqueue.tools.options import open_queue, option

LARGEST_ID = 2**63 - 1  # the databases' largest integer


def add_json(command: argparse.ArgumentParser) -> None:
    """--json: output for programs."""
    command.add_argument("--json", action="store_true", help="print JSON; times are in UTC")


def add_name(command: argparse.ArgumentParser) -> None:
    """--queue: one of the named queues."""
    command.add_argument(
        "--queue", metavar="NAME", dest="name", type=option("queue"), help="only this queue (all)"
    )


def job_id(text: str) -> int:
    """Parse a job's id. Raises ArgumentTypeError."""
    value = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0
    if not 0 < value <= LARGEST_ID:
        raise argparse.ArgumentTypeError(f"{text!r} is not a job's id (a whole number from 1)")
    return value


@contextmanager
def opened(options: argparse.Namespace, *, with_tables: bool = True) -> Iterator[Queue]:
    """The queue named by --database, closed on exit.

    Raises JobQueueError when its SQLite file is missing, since inspecting a queue must not create it; with
    `with_tables`, also when its tables are missing or out of date.
    """
    with closing(open_queue(options)) as queue:
        path = sqlite_path(queue.engine)
        if path and not path.exists():
            raise JobQueueError(f"there is no file {path}: check --database, or create it: jobqueue migrate")
        if with_tables:
            with queue.engine.connect() as connection:
                lacking = missing(connection, queue.tables)
            if lacking:
                raise JobQueueError(
                    f"the tables in {queue.engine.url!r} are missing or out of date: run jobqueue migrate"
                )
        yield queue


def sqlite_path(engine: Engine) -> Path | None:
    """The SQLite file; None for PostgreSQL, and for a file named by an SQLite URI."""
    name = engine.url.database
    if engine.dialect.name == "postgresql" or not name or name.startswith("file:"):
        return None
    return Path(name)
