"""The queued reader on another engine: the same app, with another Queue under the one name that it uses.

    gunicorn "loadtests.engines.reader:create_app()"
    python -m loadtests.engines.reader worker 32     # become the engine's worker, 32 jobs at a time
    python -m loadtests.engines.reader by_hand       # retry what dead workers held
    python -m loadtests.engines.reader waiting       # print how many jobs wait
    python -m loadtests.engines.reader held          # print how many jobs it has not done with

The environment has the engine's module, ENGINE, the URL of its broker, ENGINE_BROKER, and its ENGINE_OPTIONS;
all else is the reader's own configuration.
"""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from importlib import import_module
from pathlib import Path

import sqlalchemy as sa
from flask import Flask
from sqlalchemy.orm import Session

from feedreader.database import make_engine
from feedreader.models import Feed
from feedreader.settings import Settings
from queued_app import app as reader

BROKER = os.environ.get("ENGINE_BROKER", "")  # the URL of Valkey; empty for engines without a broker
OPTIONS = frozenset(os.environ.get("ENGINE_OPTIONS", "").split())  # of the engine's own settings


def create_app() -> Flask:
    """The queued reader, as queued_app makes it, on the engine whose module ENGINE names; empty: jobqueue.

    While the file exists that ENGINE_DIES names, a process that has committed a feed dies.
    """
    if module := os.environ["ENGINE"]:
        vars(reader)["Queue"] = import_module(module).Queue
    if flag := os.environ.get("ENGINE_DIES"):
        # For all sessions, and so before what after_commit() adds to one.
        sa.event.listen(Session, "after_commit", partial(_die, Path(flag)))
    return reader.create_app()


def _die(flag: Path, _session: Session) -> None:
    if flag.exists():
        os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    engine = import_module(os.environ["ENGINE"])
    match sys.argv[1:]:
        case [("waiting" | "held") as number]:
            print(getattr(engine, number)())
        case [command, *rest]:
            become = getattr(engine, command)(*map(int, rest))
            os.execv(become[0], become)


def fetch_feed(feed_id: int) -> None:
    """The job, on every engine that calls functions: fetch the feed."""
    with Session(engine()) as session:
        session.get_one(Feed, feed_id).fetch()


@cache  # one in each process: not before it forks
def engine() -> sa.Engine:
    """The reader's database."""
    return make_engine(Settings.from_environ().database)


def after_commit(session: Session, call: Callable[[int], object], feed: Feed) -> None:
    """Have `call(feed.id)` made when the session has committed: a worker that is told earlier finds no feed.

    For engines that are not in the session's database. If the process ends in between, the feed is there,
    and nobody is told.
    """
    session.flush()  # the feed gets its number
    tell = partial(call, feed.id)
    sa.event.listen(session, "after_commit", lambda _session: tell(), once=True)


def count(query: str) -> int:
    """What a query of the reader's database counts."""
    with engine().connect() as connection:
        return int(connection.execute(sa.text(query)).scalar_one())


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Let no other process in: those that serve the reader all create the engine's tables as they start."""
    with engine().begin() as connection:
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(1)"))
        yield


def postgres_dsn(database: sa.Engine) -> str:
    """The database's URL as psycopg itself takes it."""
    return database.url.set(drivername="postgresql").render_as_string(hide_password=False)


if __name__ == "__main__":
    main()
