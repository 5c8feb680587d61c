"""What the commands have in common by which one looks at a queue: options, and how they open it."""

import argparse
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy import Engine

from jobqueue import Queue
from jobqueue.database import is_postgresql
from jobqueue.errors import JobQueueError
from jobqueue.migrating import missing
from jobqueue.tools.options import open_queue

LARGEST_ID = 2**63 - 1  # of a database's integers


def add_json(command: argparse.ArgumentParser) -> None:
    """--json: for programs."""
    command.add_argument("--json", action="store_true", help="for programs; moments are in UTC")


def add_name(command: argparse.ArgumentParser) -> None:
    """--queue: one of the named queues."""
    command.add_argument("--queue", metavar="NAME", dest="name", help="only this queue (all)")


def job_id(text: str) -> int:
    """A job's id. Raises ArgumentTypeError."""
    value = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0
    if not 0 < value <= LARGEST_ID:
        raise argparse.ArgumentTypeError(f"{text!r} is not a job's id, which is a number from 1")
    return value


@contextmanager
def opened(options: argparse.Namespace, *, with_tables: bool = True) -> Iterator[Queue]:
    """The queue that --database names, closed in the end. Raises JobQueueError when its file is not there,
    for looking at it must not make it; `with_tables` also when its tables are not there or not up to date.
    """
    with closing(open_queue(options)) as queue:
        path = sqlite_path(queue.engine)
        if path and not path.exists():
            raise JobQueueError(f"there is no file {path}: see to --database, or make it: jobqueue migrate")
        if with_tables:
            with queue.engine.connect() as connection:
                lacking = missing(connection)
            if lacking:
                raise JobQueueError(
                    f"the tables in {queue.engine.url!r} are not there, or not up to date:"
                    " run jobqueue migrate"
                )
        yield queue


def sqlite_path(engine: Engine) -> Path | None:
    """SQLite's file; None for PostgreSQL, and for a file that is named by a URI of SQLite's own."""
    name = engine.url.database
    if is_postgresql(engine) or not name or name.startswith("file:"):
        return None
    return Path(name)
