"""A worker's transactions: settle, claim, and send heartbeats.

For the one thread that runs the worker. Methods that use the database raise DBAPIError.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine

from jobqueue.connections import outside_pool
from jobqueue.errors import UnknownJob
from jobqueue.lease import Claimed, Lease, Outcome, reap
from jobqueue.observing import News
from jobqueue.queue import Queue
from jobqueue.slots import BatchSize, deal
from jobqueue.waiting import Served, next_run_at

BEATS = 10  # heartbeats in a lease
SILENCE = 1 - 1 / BEATS  # of a lease: one beat early, so that a dead worker's jobs are back within the lease


class OwnConnections:
    """A thread's own connections, one for each engine, since jobs may use up the pool. Both methods raise
    DBAPIError.
    """

    def __init__(self) -> None:
        self._connections: dict[Engine, Connection] = {}

    @contextmanager
    def transaction(self, engine: Engine) -> Iterator[Connection]:
        """A transaction on the engine's connection, which is replaced if the transaction fails."""
        if engine not in self._connections:
            self._connections[engine] = Connection(engine, outside_pool(engine))
        connection = self._connections[engine]
        driver: Any = connection.connection.dbapi_connection
        try:
            with connection.begin():
                yield connection
        except BaseException:
            del self._connections[engine]
            connection.invalidate()
            with suppress(Exception):  # SQLAlchemy leaves a detached connection open
                driver.close()
            raise

    def close(self) -> None:
        """Close the connections."""
        while self._connections:
            self._connections.popitem()[1].close()


class Ledger:
    """A worker's transactions with the queue. `batch` is how many jobs it claims for a slot; `more` is
    whether the last claim may have left due jobs behind; `unreleased` are jobs that it could not give back;
    `next_beat` is when beat() is due, on the monotonic clock in seconds.
    """

    def __init__(self, queue: Queue, lease: Lease, served: Served, batch: BatchSize, news: News):
        self.batch = batch
        self.more = True
        self.next_beat = 0.0
        self.unreleased: list[Claimed] = []
        self._queue = queue
        self._lease = lease
        self._served = served
        self._news = news
        self._own = OwnConnections()
        self._unknown: set[int] = set()  # ids of jobs that this worker gave back, not knowing their class

    def exchange(self, outcomes: Sequence[Outcome], slots: int, now: datetime) -> list[list[Claimed]]:
        """Settle outcomes and claim jobs for `slots` slots, in one transaction; returns each slot's jobs."""
        hands: list[list[Claimed]] = []
        with self._own.transaction(self._queue.writer) as transaction:
            lost = self._lease.settle(transaction, outcomes, now)
            if slots:
                due = self._lease.due(transaction, slots * self.batch.size, now, self._served)
                hands = deal(due, slots)
                self._lease.take(transaction, [job for hand in hands for job in hand], now)
                self.more = len(hands) == slots
        self._unknown.update(each.job.id for each in outcomes if isinstance(each.error, UnknownJob))
        self._news.add_ended(outcomes, lost, now)
        if hands:
            self._news.add("claimed", now, [job for hand in hands for job in hand])
        return hands

    def due_in(self, now: datetime) -> float:
        """Seconds until the next waiting job is due; infinity if none waits. A read, which needs no lock."""
        with self._own.transaction(self._queue.engine) as transaction:
            due = next_run_at(transaction, self._queue.tables, self._served)
        return (due - now).total_seconds() if due else float("inf")

    def is_empty(self) -> bool:
        """Whether no job waits, due or not, but those whose class this worker did not know."""
        others = self._served._replace(but=tuple(self._unknown))
        with self._own.transaction(self._queue.engine) as transaction:
            return next_run_at(transaction, self._queue.tables, others) is None

    def release(self, unfinished: Sequence[Claimed], now: datetime, why: str = "") -> None:
        """Give back jobs that were claimed but not finished, as if they had never been claimed; and those of
        an earlier call that failed.
        """
        self.unreleased += unfinished
        if not self.unreleased:
            return
        with self._own.transaction(self._queue.writer) as transaction:
            self._lease.release(transaction, self.unreleased, now)
        given, self.unreleased = self.unreleased, []
        self._news.add("given back", now, given, why=why)

    def beat(self, held: Sequence[Claimed], now: datetime) -> None:
        """Renew the leases of `held`, and free the jobs of dead workers: BEATS times per lease."""
        with self._own.transaction(self._queue.writer) as transaction:
            self._lease.renew(transaction, held, now)
        self.reap(now)
        self.next_beat = time.monotonic() + self._queue.lease.total_seconds() / BEATS

    def reap(self, now: datetime) -> None:
        """Free the jobs of dead workers."""
        with self._own.transaction(self._queue.writer) as transaction:
            freed = reap(transaction, self._queue.tables, self._queue.lease * SILENCE, now)
        if freed:
            why = f"their workers were silent for {self._queue.lease}"
            self._news.add("freed", now, freed, why=why)

    def close(self) -> None:
        """Close the worker's connections."""
        self._own.close()
