"""Claimed jobs: taking them, renewing the lease, settling how they went, and freeing those of dead workers.

What a worker writes is fenced: it touches a row only while that worker holds that attempt of it.
"""

import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection

from jobqueue.dialects import Unreadable, among
from jobqueue.options import fault
from jobqueue.postgresql import plan_steadily
from jobqueue.schema import Tables
from jobqueue.waiting import ALL, NOW, Served, due, notify

RELEASED = {"locked_at": sa.null(), "locked_by": sa.null(), "updated_at": NOW}
MOST_ATTEMPTS = 2**31 - 1  # that PostgreSQL's integer holds
LOST = "was not settled: this worker had lost its lease"
DELETED = "was not settled: it was deleted while it ran, or another worker has finished it"
A_DAY = timedelta(days=1)  # by which no worker's clock is ahead
SPENT = "it had no attempt left, after its worker had died, or had ended it"


class Claimed(NamedTuple):
    """A claimed job: what its worker needs to run it, and the fence to settle it."""

    id: int
    attempts: int  # which attempt this is, from 1: with `id` and the worker's name, the fence
    handler: str
    max_attempts: int
    max_run_time: float | None
    priority: int
    run_at: datetime
    queue: str

    @property
    def shares(self) -> bool:
        """Whether it may wait behind others for a slot: a crash of theirs costs it this attempt."""
        return self.attempts == 1 < self.max_attempts or type(self.handler) is Unreadable


class Outcome(NamedTuple):
    """How a claimed job went, and what becomes of it.

    Without an `error` it has succeeded and is deleted, which its own transaction may have done (`settled`).
    Otherwise it runs again at `run_at`, or never if that is None; `destroy` is whether it is deleted then.
    `text` goes to its last_error, unless it is None; `attempts` is how many are counted.
    """

    job: Claimed
    error: BaseException | None = None
    text: str | None = None
    run_at: datetime | None = None
    attempts: int = 0
    destroy: bool = False
    settled: bool = False
    seconds: float = 0.0  # that the attempt took

    @property
    def failed(self) -> bool:
        """Whether this was an attempt that counts and failed."""
        return self.error is not None and self.attempts >= self.job.attempts


def backoff(attempts: int, chance: Callable[[], float] = random.random) -> timedelta:
    """How long to wait after the given number of failed attempts: 5 + attempts**4 seconds, as in Delayed Job,
    and up to a tenth more at random, so that jobs that failed together don't come back together.

    >>> [str(backoff(n, lambda: 0.0)) for n in (1, 2, 5, 24)]
    ['0:00:06', '0:00:21', '0:10:30', '3 days, 20:09:41']

    All 25 attempts together span 20 to 23 days. From the hundredth on, it is always about three years.
    """
    return timedelta(seconds=(5 + min(max(attempts, 0), 100) ** 4) * (1 + chance() / 10))


class Lease:
    """The jobs that a worker has claimed. Its methods take a transaction that writes."""

    def __init__(self, tables: Tables, worker: str):
        self._tables = tables
        jobs, J = tables.jobs, tables.jobs.c
        ours = sa.and_(among(J.id, "ids"), J.attempts == sa.bindparam("attempt"), J.locked_by == worker)
        self._take = (
            sa.update(jobs)
            .where(among(J.id, "ids"))
            .values(locked_at=NOW, locked_by=worker, attempts=_one_more(tables), updated_at=NOW)
            .values(unique_key=sa.case((J.unique_until == "start", None), else_=J.unique_key))
        )
        self._finish = sa.delete(jobs).where(ours).returning(J.id)
        self._release = sa.update(jobs).where(ours).values({**RELEASED, "attempts": J.attempts - 1})
        self._renew = sa.update(jobs).where(ours).values(locked_at=NOW)
        said, unsaid = (sa.bindparam(name, type_=sa.Text()) for name in ("error", "otherwise"))
        error = sa.func.coalesce(said, J.last_error, unsaid)
        new: dict[str, Any] = {name: sa.bindparam(name) for name in ("run_at", "failed_at")}
        values = {**RELEASED, **new, "attempts": sa.bindparam("counted"), "last_error": error}
        self._put_back = sa.update(jobs).where(ours).values(values)

    def claim(self, connection: Connection, limit: int, now: datetime, served: Served = ALL) -> list[Claimed]:
        """Claim up to `limit` jobs that are due; returns them, the most urgent first."""
        return self.take(connection, self.due(connection, limit, now, served), now)

    def due(self, connection: Connection, limit: int, now: datetime, served: Served = ALL) -> list[Claimed]:
        """The first `limit` jobs that are due, as they will be once claimed: nobody else can take them in the
        meantime.
        """
        plan_steadily(connection)
        rows: list[Any] = []
        while len(rows) < limit:
            values = {"now": now, "limit": limit - len(rows), "above": rows[-1].priority if rows else None}
            more = connection.execute(_due(self._tables, served, above=bool(rows)), values).all()
            if not more:
                break
            rows += [row for row in more if row.priority == more[0].priority]
        return [_claimed(row, now) for row in rows]

    def take(self, connection: Connection, due: list[Claimed], now: datetime) -> list[Claimed]:
        """Claim these of the due jobs; returns them. The attempt is counted here, so that a job that kills
        its worker runs out of attempts.
        """
        if due:
            connection.execute(self._take, {"ids": [job.id for job in due], "now": now})
        return due

    def settle(self, connection: Connection, outcomes: Sequence[Outcome], now: datetime) -> dict[int, str]:
        """Settle jobs; returns, by their ids, why some were not settled."""
        unsettled = [outcome for outcome in outcomes if not outcome.settled]
        done = [outcome.job for outcome in unsettled if outcome.error is None or outcome.destroy]
        settled = self.finish(connection, done)
        for outcome in unsettled:
            kept = outcome.error is not None and not outcome.destroy
            if kept and self.put_back(connection, outcome, now):
                settled.add(outcome.job.id)
        lost = [outcome.job.id for outcome in unsettled if outcome.job.id not in settled]
        if not lost:
            return {}
        J = self._tables.jobs.c
        there = set(connection.scalars(sa.select(J.id).where(among(J.id, "ids")), {"ids": lost}))
        return {id: LOST if id in there else DELETED for id in lost}

    def finish(self, connection: Connection, done: Sequence[Claimed]) -> set[int]:
        """Delete jobs that succeeded; returns the ids of those that were still this worker's."""
        return {id for fence in _fences(done) for id in connection.scalars(self._finish, fence).all()}

    def put_back(self, connection: Connection, outcome: Outcome, now: datetime) -> bool:
        """Give back a job that has not succeeded, to run again, or as failed for good; returns whether it was
        still this worker's.
        """
        [fence] = _fences([outcome.job])
        values = {
            "counted": outcome.attempts,
            "error": outcome.text,
            "otherwise": None if outcome.run_at else SPENT,
            "run_at": outcome.run_at or outcome.job.run_at,
            "failed_at": None if outcome.run_at else now,
            "now": now,
        }
        return connection.execute(self._put_back, fence | values).rowcount == 1

    def release(self, connection: Connection, unfinished: Sequence[Claimed], now: datetime) -> None:
        """Give back jobs that this worker will not finish, as if it had never claimed them."""
        for fence in _fences(unfinished):
            connection.execute(self._release, {**fence, "now": now})
        if unfinished:
            notify(connection, self._tables)

    def renew(self, connection: Connection, held: Sequence[Claimed], now: datetime) -> None:
        """Heartbeat: renew the leases that this worker still has. A lost lease stays lost."""
        for fence in _fences(held):
            connection.execute(self._renew, {**fence, "now": now})


def _fences(claimed: Iterable[Claimed]) -> Iterator[dict[str, Any]]:
    """The parameters of the fence, one set for each number of attempts: nearly always one."""
    ids: defaultdict[int, list[int]] = defaultdict(list)
    for job in claimed:
        ids[job.attempts].append(job.id)
    for attempt, some in ids.items():
        yield {"attempt": attempt, "ids": some}


def _described(tables: Tables, attempts: ColumnElement[int]) -> tuple[ColumnElement[Any], ...]:
    """The columns that a Claimed is made of."""
    J = tables.jobs.c
    return J.id, attempts, J.handler, J.max_attempts, J.max_run_time, J.priority, J.run_at, J.queue


def _one_more(tables: Tables) -> ColumnElement[int]:
    """The number of the attempt that begins, whatever SQLite holds so far."""
    so_far = sa.cast(tables.jobs.c.attempts, sa.BigInteger)
    return sa.case((so_far < MOST_ATTEMPTS, so_far + 1), else_=MOST_ATTEMPTS)


@cache
def _due(tables: Tables, served: Served, *, above: bool) -> Any:
    return due(tables, served, _described(tables, _one_more(tables)), above=above)


def _claimed(row: Iterable[Any], now: datetime) -> Claimed:
    """The job in this row; if that is unsound, one that can't be performed, on its last attempt."""
    if why := fault(job := Claimed._make(row)):
        return Claimed(job.id, job.attempts, Unreadable(why), job.attempts, None, 0, now, str(job.queue))
    return job


def reap(connection: Connection, tables: Tables, lease: timedelta, now: datetime) -> list[Claimed]:
    """Free the jobs of workers that have been silent for `lease`, or whose locked_at makes no sense; returns
    them. Their attempts stay counted.

    They run again at once, or after backoff() from the second attempt on: one that kills its workers leaves
    them time for others. One that has no attempt left is given up by the worker that claims it next.
    """
    how = "was silent for longer than its lease: it died, or lost its connection to the database."
    at = tables.jobs.c.locked_at
    return free(connection, tables, sa.or_(at < now - lease, at.is_(None), at > now + A_DAY), how, now)


def free(
    connection: Connection, tables: Tables, worker: Any, how: str, now: datetime, late: Sequence[int] = ()
) -> list[Claimed]:
    """Free the jobs of this worker, or of those that a condition finds, as reap() does; returns them. Those
    with the ids `late` wait from the first attempt on: they had exceeded their max_run_time.
    """
    J = tables.jobs.c
    which = J.locked_by == worker if isinstance(worker, str) else worker
    begun = sa.cast(J.attempts, sa.BigInteger)  # on SQLite it may be anything
    poison = sa.and_(sa.or_(begun >= 2, J.id.in_(late)), begun < J.max_attempts)
    waits = sa.case((poison, begun), else_=0)
    held = sa.select(waits, *_described(tables, begun)).where(tables.running, which)
    freed: list[Claimed] = []
    ids: defaultdict[Any, list[int]] = defaultdict(list)
    for attempts, *job in connection.execute(held.with_for_update(skip_locked=True)):
        freed.append(Claimed._make(job))
        ids[now + backoff(attempts) if attempts else J.run_at].append(freed[-1].id)
    for run_at, some in ids.items():  # each that waits has its own moment: it may be innocent
        values = {**RELEASED, "last_error": "The worker " + J.locked_by + f" {how}", "run_at": run_at}
        statement = sa.update(tables.jobs).where(among(J.id, "ids")).values(values)
        connection.execute(statement, {"ids": some, "now": now})
    if freed:
        notify(connection, tables)
    return freed
