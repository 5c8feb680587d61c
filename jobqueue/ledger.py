"""A worker's transactions: settle, claim, send heartbeats, and report what it has done.

For the one thread that runs the worker. Methods that use the database raise DBAPIError.
"""

import logging
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine

from jobqueue import claiming, presence, settling
from jobqueue.claiming import Claimed, Served
from jobqueue.errors import Discard, LeaseLost, Retry, UnknownJob
from jobqueue.meter import Meter
from jobqueue.queue import Queue
from jobqueue.settling import Outcome, settle
from jobqueue.slots import BatchSize, deal

logger = logging.getLogger("jobqueue")

BEATS = 10  # heartbeats in a lease
SILENCE = 1 - 1 / BEATS  # of a lease: one beat early, so that a dead worker's jobs are back within the lease
TELL_SECONDS = 1.0  # how often a busy worker reports what it has done


class Ledger:
    """A worker's transactions with the queue. `batch` is how many jobs it claims for a slot; `more` is
    whether the last claim may have left due jobs behind.
    """

    def __init__(self, queue: Queue, me: presence.Self, served: Served, batch: BatchSize, meter: Meter):
        self.batch = batch
        self.more = True
        self._queue = queue
        self._me = me
        self._served = served
        self._meter = meter
        self._tables = queue.tables
        self._connections: dict[Engine, Connection] = {}
        self._tally = presence.Tally()
        self._next_beat = self._next_tell = 0.0  # on the monotonic clock, in seconds

    @property
    def next_beat(self) -> float:
        """When beat() is due, on the monotonic clock in seconds: BEATS times per lease, and sooner if there
        is something to report.
        """
        return min(self._next_beat, self._next_tell) if self._tally else self._next_beat

    def exchange(self, outcomes: Sequence[Outcome], slots: int, now: datetime) -> list[list[Claimed]]:
        """Settle outcomes and claim jobs for `slots` slots, in one transaction; returns each slot's jobs."""
        limit = slots * self.batch.size
        tell = bool(self._tally) and time.monotonic() >= self._next_tell
        claimed: list[Claimed] = []
        with self._transaction(self._queue.writer) as transaction:
            lost = settle(transaction, self._tables, self._me.name, outcomes, now)
            if slots:
                dealt = slots if slots < limit else None
                claimed = claiming.claim(
                    transaction, self._tables, self._me.name, limit, now, self._served, slots=dealt
                )
            if tell:
                presence.be_seen(transaction, self._tables, self._me, self._tally, now)
        if tell:
            self._told()
        hands = deal(claimed, slots)
        if slots:
            self.more = len(hands) == slots
        for jobs in hands:
            for job in jobs:
                self._tally.count_wait((now - job.run_at).total_seconds())
        self._count(outcomes, lost)
        return hands

    def due_in(self, now: datetime) -> float:
        """Seconds until the next waiting job is due; infinity if none waits. A read, which needs no lock."""
        with self._transaction(self._queue.engine) as transaction:
            due = claiming.next_run_at(transaction, self._tables, self._served)
        return (due - now).total_seconds() if due else float("inf")

    def release(self, unfinished: Sequence[Claimed], now: datetime) -> None:
        """Give back jobs that were claimed but not finished, as if they had never been claimed."""
        with self._transaction(self._queue.writer) as transaction:
            settling.release(transaction, self._tables, self._me.name, unfinished, now)

    def beat(self, held: Sequence[Claimed], now: datetime) -> None:
        """Renew the leases of `held` and report what this worker has done; BEATS times per lease, also free
        the jobs of dead workers.
        """
        with self._transaction(self._queue.writer) as transaction:
            settling.renew(transaction, self._tables, self._me.name, held, now)
            presence.be_seen(transaction, self._tables, self._me, self._tally, now)
        self._told()
        if time.monotonic() >= self._next_beat:
            self.reap(now)
            self._next_beat = time.monotonic() + self._queue.lease.total_seconds() / BEATS

    def reap(self, now: datetime) -> None:
        """Free the jobs of dead workers, and remove their rows."""
        with self._transaction(self._queue.writer) as transaction:
            freed = settling.reap(transaction, self._tables, self._queue.lease * SILENCE, now)
            presence.forget_the_silent(transaction, self._tables, self._queue.lease, now)
        if freed:
            logger.warning("freed %d jobs of workers silent for %s", freed, self._queue.lease)

    def leave(self, now: datetime) -> None:
        """Report for the last time what this worker has done, and remove its row."""
        with self._transaction(self._queue.writer) as transaction:
            presence.be_seen(transaction, self._tables, self._me, self._tally, now)
            presence.leave(transaction, self._tables, self._me.name, now)
        self._told()

    def close(self) -> None:
        """Close the worker's connections."""
        while self._connections:
            self._connections.popitem()[1].close()

    @contextmanager
    def _transaction(self, engine: Engine) -> Iterator[Connection]:
        """A transaction on one of the worker's own connections, taken out of the pool, which may be small. A
        connection whose transaction fails is replaced.
        """
        if engine not in self._connections:
            self._connections[engine] = engine.connect()
            self._connections[engine].detach()
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

    def _told(self) -> None:
        self._tally = presence.Tally()
        self._next_tell = time.monotonic() + TELL_SECONDS

    def _count(self, outcomes: Sequence[Outcome], lost: Mapping[int, str]) -> None:
        succeeded = sum(outcome.error is None for outcome in outcomes)
        failed = sum(outcome.failed for outcome in outcomes)
        self._meter.count(succeeded + failed, failed)
        self._tally.succeeded += succeeded
        self._tally.failed += failed
        for outcome in outcomes:
            if outcome.job.id in lost:
                logger.warning("job %d %s", outcome.job.id, lost[outcome.job.id])
            if outcome.error is not None and not isinstance(outcome.error, LeaseLost):
                _log(outcome)


def _log(outcome: Outcome) -> None:
    """Log what an attempt has raised."""
    job, error = outcome.job, outcome.error
    assert error is not None
    lines = traceback.format_exception_only(error)
    reason = next(line for line in lines if not line.startswith(" ")).strip().partition("\n")[0]
    of = f"attempt {job.attempts} of {job.max_attempts}" + ", not counted" * (outcome.attempts < job.attempts)
    level, what = logging.ERROR, "failed"
    if isinstance(error, UnknownJob):
        level, what = logging.WARNING, "was given back"
    elif outcome.run_at is not None and isinstance(error, Retry):
        level, what = logging.INFO, "runs again"
    elif outcome.run_at is None and (isinstance(error, Discard) or job.attempts < job.max_attempts):
        level, what = logging.WARNING, "was discarded"
    elif job.attempts > job.max_attempts:
        what, of = "has failed for good", "no attempt left"
    what += " and was deleted" * outcome.destroy
    trace = None if isinstance(error, UnknownJob | Retry | Discard) else error
    logger.log(level, "job %d %s: %s (%s)", job.id, what, reason, of, exc_info=trace)
