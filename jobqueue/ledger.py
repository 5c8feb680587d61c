"""What a worker does with its queue's database: its transactions, and hearing of new jobs.

Nothing depends on hearing of them, since the worker also polls slowly.
"""

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import datetime
from typing import Any

from jobqueue.database import outside_pool
from jobqueue.errors import UnknownJob
from jobqueue.lease import Claimed, Lease, Outcome, reap
from jobqueue.observing import News
from jobqueue.postgresql import is_pooled
from jobqueue.queue import Queue
from jobqueue.slots import BatchSize, deal
from jobqueue.transactions import Kept
from jobqueue.waiting import Served, hastening, is_any_left, next_run_at

logger = logging.getLogger("jobqueue")

BEATS = 10  # heartbeats in a lease
SILENCE = 1 - 1 / BEATS  # of a lease: one beat early, so that a dead worker's jobs are back within the lease
LOOK_SECONDS = 0.015  # between reads of SQLite's data_version
VAIN_A_SECOND = 3.0  # rings after which there was nothing to claim; with more, a watcher looks less often:
FEW_IN_VAIN, MOST_IN_VAIN = 5.0, 15.0  # from the first of these numbers on, and up to a tenth as often
POLL_OFTEN_SECONDS = 0.15  # between looks where there are no notifications
LISTEN_SECONDS = 0.2  # the longest wait for notifications, so that the thread ends soon when told to
CHECK_SECONDS = 10.0  # between checks that PostgreSQL still answers the listener
RECONNECT_SECONDS = 1.0


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
        self._own = Kept(own=True)
        self._unknown: set[int] = set()  # ids of jobs that this worker gave back, not knowing their class

    def exchange(self, outcomes: Sequence[Outcome], slots: int, now: datetime) -> list[list[Claimed]]:
        """Settle outcomes and claim jobs for `slots` slots, in one transaction; returns each slot's jobs."""
        hands: list[list[Claimed]] = []
        claimed: list[Claimed] = []
        with self._own.begin(self._queue.writer) as transaction:
            lost = self._lease.settle(transaction, outcomes, now)
            if slots:
                due = self._lease.due(transaction, slots * self.batch.size, now, self._served)
                hands = deal(due, slots)
                claimed = self._lease.take(transaction, [job for hand in hands for job in hand], now)
                self.more = len(hands) == slots
        self._unknown.update(each.job.id for each in outcomes if isinstance(each.error, UnknownJob))
        self._news.add_ended(outcomes, lost, now)
        if claimed:
            self._news.add("claimed", now, claimed)
        return hands

    def due_in(self, now: datetime) -> float:
        """Seconds until the next waiting job is due; infinity if none waits. A read, which needs no lock."""
        with self._own.begin(self._queue.engine) as transaction:
            due = next_run_at(transaction, self._queue.tables, self._served)
        return (due - now).total_seconds() if due else float("inf")

    def is_empty(self) -> bool:
        """Whether no job waits, due or not, or is held by any worker, but those whose class this worker did
        not know.
        """
        others = self._served._replace(but=tuple(self._unknown))
        with self._own.begin(self._queue.engine) as transaction:
            return not is_any_left(transaction, self._queue.tables, others)

    def release(self, unfinished: Sequence[Claimed], now: datetime, why: str = "") -> None:
        """Give back jobs that were claimed but not finished, as if they had never been claimed; and those of
        an earlier call that failed.
        """
        self.unreleased += unfinished
        if not self.unreleased:
            return
        with self._own.begin(self._queue.writer) as transaction:
            self._lease.release(transaction, self.unreleased, now)
        given, self.unreleased = self.unreleased, []
        self._news.add("given back", now, given, why=why)

    def finish(self, outcomes: Sequence[Outcome], unfinished: Sequence[Claimed], now: datetime) -> None:
        """Settle outcomes, and give back the rest, at the end."""
        self.exchange(outcomes, 0, now)
        self.release(unfinished, now, "not finished when the worker was stopped")

    def beat(self, held: Sequence[Claimed], now: datetime) -> None:
        """Renew the leases of `held`, free dead workers' jobs, hasten others: BEATS times per lease."""
        with self._own.begin(self._queue.writer) as transaction:
            self._lease.renew(transaction, held, now)
            transaction.execute(hastening(self._queue.tables), {"now": now})
            freed = reap(transaction, self._queue.tables, self._queue.lease * SILENCE, now)
        if freed:
            why = f"nothing was heard of the worker for {self._queue.lease}"
            self._news.add("freed", now, freed, why=why)
        self.next_beat = time.monotonic() + self._queue.lease.total_seconds() / BEATS

    def close(self) -> None:
        """Close the worker's connections."""
        self._own.close()


class Watcher:
    """A thread that calls `ring` when there may be new jobs. If the database goes away, it reconnects.

    SQLite: `PRAGMA data_version` tells whether another connection has committed; it costs a few microseconds.
    A crowd that woke at every commit of each other's would use up the processor: so who rings in vain looks
    less often, and at moments of its own.
    PostgreSQL: LISTEN, on a connection of its own; enqueueing sends NOTIFY in the same transaction. With
    another driver than psycopg 3, or behind a pooler, it rings several times a second instead.
    """

    def __init__(self, queue: Queue, ring: Callable[[], None]):
        self._queue = queue
        self._ring = ring
        self._ended = threading.Event()
        self._vain = 0.0  # how often it rang for nothing, less VAIN_A_SECOND
        self._watch = self._watch_file if queue.engine.dialect.name == "sqlite" else self._listen
        self._thread = threading.Thread(target=self._loop, name="jobqueue watcher", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Let the thread end, which it does at once unless its connection hangs."""
        self._ended.set()
        self._thread.join(2 * LISTEN_SECONDS)

    def was_right(self) -> None:
        """It has not rung in vain: the worker has claimed a job."""
        self._vain = 0.0

    def _loop(self) -> None:
        told = ""
        while not self._ended.is_set():
            try:
                connection: Any = outside_pool(self._queue.engine).connection
                driver = connection.dbapi_connection
                told = ""
                with closing(driver):  # SQLAlchemy would first roll back, and leave a lost connection open
                    self._watch(connection)
            except Exception as error:  # from SQLAlchemy, or from the driver itself
                if self._ended.is_set():
                    return
                said = " ".join(f"{type(error).__name__}: {error}".split())
                if said != told:
                    logger.warning("not notified of new jobs for a moment, polling: %s", said)
                told = said
                self._ended.wait(RECONNECT_SECONDS)

    def _watch_file(self, connection: Any) -> None:
        cursor, file = connection.dbapi_connection.cursor(), connection.info["file"]
        seen, pause = None, LOOK_SECONDS
        while not self._ended.wait(pause * random.uniform(0.5, 1.5)) and not file.is_replaced():
            version = cursor.execute("PRAGMA data_version").fetchone()[0]
            if version != seen:
                seen = version
                self._vain = min(self._vain + 1, MOST_IN_VAIN)
                self._ring()
            self._vain = max(0.0, self._vain - VAIN_A_SECOND * pause)
            pause = LOOK_SECONDS * max(1.0, self._vain - FEW_IN_VAIN)

    def _poll(self, reason: str) -> None:
        logger.warning("not notified of new jobs, polling every %g seconds: %s", POLL_OFTEN_SECONDS, reason)
        while not self._ended.wait(POLL_OFTEN_SECONDS):
            self._ring()

    def _listen(self, connection: Any) -> None:
        driver = connection.dbapi_connection
        if not callable(getattr(driver, "notifies", None)):  # psycopg2's is a list
            self._poll(f"the driver is {self._queue.engine.driver}, and only psycopg 3 notifies")
            return
        pooled = is_pooled(driver)
        driver.rollback()
        if pooled:
            self._poll("a pooler, such as PgBouncer, stands between")
            return
        driver.autocommit = True
        driver.execute(f'LISTEN "{self._queue.tables.channel}"')
        self._ring()  # for notifications sent before LISTEN
        check_at = time.monotonic() + CHECK_SECONDS
        while not self._ended.is_set():
            if time.monotonic() > check_at:
                driver.execute("SELECT 1")
                check_at = time.monotonic() + CHECK_SECONDS
            for _ in driver.notifies(timeout=LISTEN_SECONDS, stop_after=1):
                self._ring()
