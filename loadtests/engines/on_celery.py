"""Celery on Valkey, as it comes: a task is acknowledged, and so forgotten by the broker, before it runs.

Options: `threads` instead of processes; `late`, acknowledged afterwards, as its guide advises for tasks that
may run twice, with the `visibility_timeout` after which the broker hands an unacknowledged task on: an hour
as it comes, here a little more than the longest fetch.
https://docs.celeryq.dev/en/stable/userguide/optimizing.html
https://docs.celeryq.dev/en/stable/getting-started/backends-and-brokers/redis.html
"""

import sys

from celery import Celery
from redis import Redis
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from feedreader.models import Feed
from loadtests.engines.reader import BROKER, OPTIONS, after_commit, fetch_feed

VISIBILITY_SECONDS = 15

app = Celery("reader", broker=BROKER)
app.conf.update(task_ignore_result=True, broker_connection_retry_on_startup=True)
if "late" in OPTIONS:
    app.conf.update(
        task_acks_late=True,
        worker_prefetch_multiplier=1,
        broker_transport_options={"visibility_timeout": VISIBILITY_SECONDS},
    )
fetch = app.task(name="fetch")(fetch_feed)


class Queue:
    """What the reader needs of a queue."""

    def __init__(self, engine: Engine) -> None: ...

    def create_tables(self) -> None: ...

    def enqueue(self, feed: Feed, *, session: Session) -> None:
        after_commit(session, fetch.delay, feed)


def worker(at_a_time: int) -> list[str]:
    """The command of a worker."""
    pool = "threads" if "threads" in OPTIONS else "prefork"
    celery = [sys.executable, "-m", "celery", "--app", __name__, "worker", "--loglevel", "INFO"]
    return [*celery, "--pool", pool, "--concurrency", str(at_a_time), "--without-gossip", "--without-mingle"]


def waiting() -> int:
    """How many jobs are in the broker's list; those that workers have taken ahead are not."""
    return int(Redis.from_url(BROKER).llen("celery"))


def held() -> int:
    """How many jobs it has not done with: those that wait, and those that workers have not acknowledged."""
    return waiting() + int(Redis.from_url(BROKER).hlen("unacked"))
