"""The queued reader on another engine: the same app, with another Queue under the one name that it uses.

    gunicorn "loadtests.engines.reader:create_app()"
    python -m loadtests.engines.reader worker 32     # become the engine's worker, 32 jobs at a time
    python -m loadtests.engines.reader by_hand       # retry what dead workers held
    python -m loadtests.engines.reader waiting       # print how many jobs wait

The environment has the engine's module, ENGINE, the URL of its broker, ENGINE_BROKER, and its ENGINE_OPTIONS;
all else is the reader's own configuration.
"""

import os
import sys
from collections.abc import Callable
from functools import cache, partial
from importlib import import_module

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
    """The queued reader, as queued_app makes it, on the engine whose module ENGINE names."""
    vars(reader)["Queue"] = import_module(os.environ["ENGINE"]).Queue
    return reader.create_app()


def main() -> None:
    engine = import_module(os.environ["ENGINE"])
    match sys.argv[1:]:
        case ["waiting"]:
            print(engine.waiting())
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


def postgres_dsn(database: sa.Engine) -> str:
    """The database's URL as psycopg itself takes it."""
    return database.url.set(drivername="postgresql").render_as_string(hide_password=False)


if __name__ == "__main__":
    main()
