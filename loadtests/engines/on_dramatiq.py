"""Dramatiq on Valkey: threads; a message is acknowledged after it was processed.

https://dramatiq.io/guide.html, https://dramatiq.io/reference.html#redis-broker
"""

import sys

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from feedreader.models import Feed
from loadtests.engines.reader import BROKER, after_commit, fetch_feed

broker = RedisBroker(url=BROKER)
dramatiq.set_broker(broker)
fetch = dramatiq.actor(fetch_feed)


class Queue:
    """What the reader needs of a queue."""

    def __init__(self, engine: Engine) -> None: ...

    def create_tables(self) -> None: ...

    def enqueue(self, feed: Feed, *, session: Session) -> None:
        after_commit(session, fetch.send, feed)


def worker(at_a_time: int) -> list[str]:
    """The command of a worker: one process with so many threads."""
    return [sys.executable, "-m", "dramatiq", __name__, "--processes", "1", "--threads", str(at_a_time)]


def waiting() -> int:
    """How many messages are in the broker's list; those that workers have taken ahead are not."""
    return int(broker.client.llen("dramatiq:default"))


def held() -> int:
    """How many jobs it has not done with: not acknowledged, or to be tried again."""
    return sum(int(broker.client.hlen(f"dramatiq:{name}.msgs")) for name in ("default", "default.DQ"))
