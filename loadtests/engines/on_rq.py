"""RQ on Valkey: a pool of workers, each of which forks a process for each job.

The pool has imported all that a job needs, as the guide advises; of `rq worker-pool` each job does.
https://python-rq.org/docs/workers/#performance-notes
"""

import sys

from redis import Redis
from rq import Queue as RQ
from rq.worker_pool import WorkerPool
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from feedreader.models import Feed
from loadtests.engines.reader import BROKER, after_commit, fetch_feed


class Queue:
    """What the reader needs of a queue."""

    def __init__(self, engine: Engine) -> None:
        self._queue = RQ(connection=Redis.from_url(BROKER))

    def create_tables(self) -> None: ...

    def enqueue(self, feed: Feed, *, session: Session) -> None:
        after_commit(session, lambda id: self._queue.enqueue(fetch_feed, id, result_ttl=0), feed)


def worker(at_a_time: int) -> list[str]:
    """The command of a pool of workers, which perform one job each."""
    return [sys.executable, "-m", __name__, str(at_a_time)]


def by_hand() -> list[str]:
    """The command that enqueues again what has failed; the jobs of dead workers fail after some minutes."""
    return [sys.executable, "-m", "rq.cli", "requeue", "--all", "--queue", "default", "--url", BROKER]


def waiting() -> int:
    """How many jobs wait."""
    return int(RQ(connection=Redis.from_url(BROKER)).count)


def held() -> int:
    """How many jobs it has not done with: those that wait, have begun, or have failed."""
    queue = RQ(connection=Redis.from_url(BROKER))
    registries = (queue.started_job_registry, queue.failed_job_registry)
    # Without cleanup, which would have the jobs of dead workers fail sooner than a worker does.
    return int(queue.count + sum(each.get_job_count(cleanup=False) for each in registries))


if __name__ == "__main__":
    WorkerPool(["default"], connection=Redis.from_url(BROKER), num_workers=int(sys.argv[1])).start()
