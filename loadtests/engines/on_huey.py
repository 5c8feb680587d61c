"""Huey on an SQLite file of its own: threads; a task leaves the file before it runs.

https://huey.readthedocs.io/en/latest/consumer.html
"""

import sys
from pathlib import Path

from huey import SqliteHuey
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from feedreader.models import Feed
from loadtests.engines.reader import after_commit, engine, fetch_feed

# fsync: a task that was enqueued survives a power cut, as the reader's feeds do.
huey = SqliteHuey("reader", filename=str(Path(engine().url.database or "").with_name("huey.db")), fsync=True)
fetch = huey.task()(fetch_feed)


class Queue:
    """What the reader needs of a queue."""

    def __init__(self, engine: Engine) -> None: ...

    def create_tables(self) -> None: ...

    def enqueue(self, feed: Feed, *, session: Session) -> None:
        after_commit(session, fetch, feed)


def worker(at_a_time: int) -> list[str]:
    """The command of a consumer with so many threads."""
    consumer = [sys.executable, "-m", "huey.bin.huey_consumer", f"{__name__}.huey"]
    return [*consumer, "--workers", str(at_a_time), "--worker-type", "thread"]


def waiting() -> int:
    """How many tasks wait."""
    return int(huey.pending_count())


def held() -> int:
    """How many jobs it has not done with: those that wait, or are to be tried again."""
    return waiting() + int(huey.scheduled_count())
