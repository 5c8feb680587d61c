"""The queue's workers: an observer keeps a row for each of them, with what it has done so far.

The queue itself does not need these rows; `jobqueue status`, the dashboard and the metrics do.
"""

import json
import logging
import time
from bisect import bisect_left
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Column, Connection, delete, or_, select, update
from sqlalchemy.exc import DBAPIError

from jobqueue.database import complaint
from jobqueue.dialects import insert_unless_there
from jobqueue.lease import A_DAY
from jobqueue.observing import Event
from jobqueue.queue import Queue
from jobqueue.schema import GONE, Tables
from jobqueue.transactions import Kept

logger = logging.getLogger("jobqueue")

SIGNS_OF_LIFE = 3  # in a lease: few, since on SQLite each commit wakes all idle workers
MOST_ATTEMPTS_TOLD = 2**53  # more is not a worker's
TELL_SECONDS = 1.0  # how often the row of a busy worker is written
# Upper bounds in seconds of the histogram of pick-up latencies: from the moment a job is due to its claim.
WAIT_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


@dataclass
class Tally:
    """What a worker has done: attempts that succeeded and failed, and the pick-up latencies of its jobs.

    `waits` counts jobs by WAIT_BOUNDS, the last number those above all bounds; `waited` is the sum of their
    latencies, in seconds.
    """

    succeeded: int = 0
    failed: int = 0
    waits: list[int] = field(default_factory=lambda: [0] * (len(WAIT_BOUNDS) + 1))
    waited: float = 0.0

    def count_wait(self, seconds: float) -> None:
        self.waits[bisect_left(WAIT_BOUNDS, seconds)] += 1
        self.waited += seconds

    def __bool__(self) -> bool:
        return bool(self.succeeded or self.failed or any(self.waits))

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            self.succeeded + other.succeeded,
            self.failed + other.failed,
            [mine + theirs for mine, theirs in zip(self.waits, other.waits, strict=True)],
            self.waited + other.waited,
        )


@dataclass(frozen=True)
class Self:
    """How a worker describes itself: see the columns of WorkerRow."""

    name: str
    threads: int
    queues: str
    lease: float
    max_run_time: float
    started_at: datetime


class Presence:
    """An observer that keeps a worker's row: Worker(queue, observers=[Presence(queue)]). For one worker.

    It writes the row SIGNS_OF_LIFE times per lease, and every TELL_SECONDS while there is something to
    report, in transactions and on a connection of its own. When one fails, it logs that and tries again.
    """

    def __init__(self, queue: Queue):
        self._queue = queue
        self._beat = queue.lease.total_seconds() / SIGNS_OF_LIFE
        self._own = Kept(own=True)  # to wait for the pool's would delay the worker's heartbeats
        self._more = Tally()  # since the row was written
        self._started_at: datetime | None = None
        self._beat_at = self._write_at = 0.0  # on the monotonic clock, in seconds

    def __call__(self, event: Event) -> None:
        if event.kind == "performed":
            self._more.succeeded += 1
        elif event.kind == "failed":
            self._more.failed += 1
        elif event.kind == "claimed":
            for job in event.jobs:
                self._more.count_wait((event.at - job.run_at).total_seconds())
        elif event.kind == "started":
            self._started_at = event.at
        elif event.kind == "stopped":
            self._write(event)
            self._own.close()
        elif event.kind in ("busy", "idle"):
            now = time.monotonic()
            if now >= self._write_at and (self._more or now >= self._beat_at):
                self._write(event)

    def _write(self, event: Event) -> None:
        now = time.monotonic()
        self._write_at = now + min(TELL_SECONDS, self._beat)
        worker, tables = event.worker, self._queue.tables
        me = Self(
            worker.name,
            threads=worker.threads,
            queues=",".join(worker.queues),
            lease=self._queue.lease.total_seconds(),
            max_run_time=worker.max_run_time,
            started_at=self._started_at or event.at,
        )
        try:
            with self._own.begin(self._queue.writer) as connection:
                be_seen(connection, tables, me, self._more, event.at)
                if event.kind == "stopped":
                    leave(connection, tables, me.name, event.at)
                if now >= self._beat_at:
                    forget_the_silent(connection, tables, self._queue.lease, event.at)
        except DBAPIError as error:
            logger.warning("the worker's row was not written, trying again: %s", complaint(error))
            return
        self._more = Tally()
        if now >= self._beat_at:
            self._beat_at = now + self._beat


def be_seen(connection: Connection, tables: Tables, me: Self, more: Tally, now: datetime) -> None:
    """Update the worker's row: it is alive at `now`, and has done `more` since the last update."""
    # There is no row at first, nor after others have taken this worker for dead and moved its counts to GONE.
    new = {**vars(me), "seen_at": now, **_columns(Tally())}
    connection.execute(insert_unless_there(connection, tables.workers), new)
    its = tables.workers.c.name == me.name
    done = connection.execute(select(*_what_it_did(tables)).where(its).with_for_update()).one()
    values = {"seen_at": now, **_columns(_tally(*done) + more)}
    connection.execute(update(tables.workers).where(its), values)


def leave(connection: Connection, tables: Tables, name: str, now: datetime) -> None:
    """Delete a worker's row, and add its counts to the row GONE."""
    row = delete(tables.workers).where(tables.workers.c.name == name).returning(*_what_it_did(tables))
    for done in connection.execute(row).all():
        gone = Self(GONE, threads=0, queues="", lease=0.0, max_run_time=0.0, started_at=now)
        be_seen(connection, tables, gone, _tally(*done), now)


def forget_the_silent(connection: Connection, tables: Tables, lease: timedelta, now: datetime) -> None:
    """Delete the rows of workers that have been silent for `lease`, or seen in the far future, as leave()
    does.
    """
    W = tables.workers.c
    silent = select(W.name).where(W.name != GONE, or_(W.seen_at < now - lease, W.seen_at > now + A_DAY))
    # In a fixed order, so that two workers that delete rows at the same time can't deadlock.
    for name in connection.scalars(silent.order_by(W.name)).all():
        leave(connection, tables, name, now)


def tallies(connection: Connection, tables: Tables) -> dict[str, Tally]:
    """What each worker has done, by name; under GONE, the total of those that have ended."""
    rows = connection.execute(select(tables.workers.c.name, *_what_it_did(tables))).all()
    return {name: _tally(*done) for name, *done in rows}


def _what_it_did(tables: Tables) -> tuple[Column[Any], ...]:
    W = tables.workers.c
    return W.succeeded, W.failed, W.waits


def _columns(tally: Tally) -> dict[str, object]:
    waits = json.dumps({"counts": tally.waits, "seconds": tally.waited})
    return {"succeeded": tally.succeeded, "failed": tally.failed, "waits": waits}


def _tally(succeeded: object, failed: object, waits: Any) -> Tally:
    """What a row says; what makes no sense there counts as nothing."""
    tally = Tally(_count(succeeded), _count(failed))
    with suppress(ArithmeticError, LookupError, RecursionError, TypeError, ValueError):
        histogram = json.loads(waits)
        counts, seconds = [_count(n) for n in histogram["counts"]], float(histogram["seconds"])
        if len(counts) == len(tally.waits) and 0 <= seconds < MOST_ATTEMPTS_TOLD:
            tally.waits, tally.waited = counts, seconds
    return tally


def _count(value: object) -> int:
    return value if isinstance(value, int) and 0 <= value < MOST_ATTEMPTS_TOLD else 0
