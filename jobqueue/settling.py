"""The SQL of settling: the outcomes of claimed jobs, their leases, and the jobs of dead workers.

Each function takes a transaction. Settling is fenced: it touches a row only while this worker holds this
attempt of it.
"""

import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Text,
    Update,
    and_,
    bindparam,
    case,
    delete,
    func,
    select,
    update,
)

from jobqueue.claiming import NOW, RELEASED, WORKER, Claimed, described
from jobqueue.database import among, as_list, is_postgresql
from jobqueue.inserting import notify
from jobqueue.schema import Tables

LOST = "was not settled: this worker had lost its lease"
DELETED = "was not settled: it was deleted while it ran, or another worker has finished it"


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


def settle(
    connection: Connection, tables: Tables, worker: str, outcomes: Sequence[Outcome], now: datetime
) -> dict[int, str]:
    """Settle jobs; returns, by their ids, why some were not settled."""
    unsettled = [outcome for outcome in outcomes if not outcome.settled]
    done = [outcome.job for outcome in unsettled if outcome.error is None or outcome.destroy]
    settled = finish(connection, tables, worker, done) if done else set()
    for outcome in unsettled:
        kept = outcome.error is not None and not outcome.destroy
        if kept and put_back(connection, tables, worker, outcome, now):
            settled.add(outcome.job.id)
    lost = [outcome.job.id for outcome in unsettled if outcome.job.id not in settled]
    there = _still_there(connection, tables, lost) if lost else set()
    return {id: LOST if id in there else DELETED for id in lost}


def finish(connection: Connection, tables: Tables, worker: str, done: Sequence[Claimed]) -> set[int]:
    """Delete jobs that succeeded; returns the ids of those that were still this worker's."""
    statement = _finish(tables, is_postgresql(connection))
    gone: set[int] = set()
    for values in _fences(connection, worker, done):
        gone.update(connection.scalars(statement, values))
    return gone


def put_back(connection: Connection, tables: Tables, worker: str, outcome: Outcome, now: datetime) -> bool:
    """Give back a job that has not succeeded, to run again, or as failed for good; returns whether it was
    still this worker's.
    """
    values = {
        **next(_fences(connection, worker, [outcome.job])),
        "counted": outcome.attempts,
        "error": outcome.text,
        "run_at": outcome.run_at or outcome.job.run_at,
        "failed_at": None if outcome.run_at else now,
        "now": now,
    }
    return connection.execute(_put_back(tables, is_postgresql(connection)), values).rowcount == 1


def release(
    connection: Connection, tables: Tables, worker: str, unfinished: Sequence[Claimed], now: datetime
) -> None:
    """Give back jobs that this worker will not finish, as if it had never claimed them."""
    statement = _release(tables, is_postgresql(connection))
    for values in _fences(connection, worker, unfinished):
        connection.execute(statement, {**values, "now": now})
    if unfinished:
        notify(connection, tables)


def renew(
    connection: Connection, tables: Tables, worker: str, held: Sequence[Claimed], now: datetime
) -> None:
    """Heartbeat: renew the leases that this worker still has. A lost lease stays lost."""
    statement = _renew(tables, is_postgresql(connection))
    for values in _fences(connection, worker, held):
        connection.execute(statement, {**values, "now": now})


def reap(connection: Connection, tables: Tables, lease: timedelta, now: datetime) -> list[Claimed]:
    """Free the jobs of workers that have been silent for `lease`; returns them.

    Their attempts stay counted. They run again at once, or after backoff() if two or more attempts were
    counted, so that a job that kills its workers leaves them time for others. One that has no attempt left is
    given up by the worker that claims it next.
    """
    how = "was silent for longer than its lease: it died, or lost its connection to the database."
    return _free(connection, tables, tables.jobs.c.locked_at < now - lease, how, now)


def free(connection: Connection, tables: Tables, worker: str, how: str, now: datetime) -> list[Claimed]:
    """Free the jobs of a worker known to have died, as reap() does; returns them."""
    return _free(connection, tables, tables.jobs.c.locked_by == worker, how, now)


def _free(
    connection: Connection, tables: Tables, which: ColumnElement[bool], how: str, now: datetime
) -> list[Claimed]:
    J, postgresql = tables.jobs.c, is_postgresql(connection)
    waits = case((and_(J.attempts >= 2, J.attempts < J.max_attempts), J.attempts), else_=0)
    held = select(waits, *described(tables)).where(tables.running, which).with_for_update(skip_locked=True)
    freed: list[Claimed] = []
    ids: defaultdict[int, list[int]] = defaultdict(list)
    for attempts, *job in connection.execute(held):
        freed.append(Claimed._make(job))
        ids[attempts].append(freed[-1].id)
    values = {**RELEASED, "last_error": "The worker " + J.locked_by + f" {how}"}
    for attempts, some in ids.items():
        later = {"run_at": now + backoff(attempts)} if attempts else {}
        statement = update(tables.jobs).where(among(J.id, "ids", postgresql)).values({**values, **later})
        connection.execute(statement, {"ids": as_list(some, postgresql), "now": now})
    if freed:
        notify(connection, tables)
    return freed


def _still_there(connection: Connection, tables: Tables, ids: Sequence[int]) -> set[int]:
    J, postgresql = tables.jobs.c, is_postgresql(connection)
    there = select(J.id).where(among(J.id, "ids", postgresql))
    return set(connection.scalars(there, {"ids": as_list(ids, postgresql)}))


@cache
def _finish(tables: Tables, postgresql: bool) -> Any:
    return delete(tables.jobs).where(_still_ours(tables, postgresql)).returning(tables.jobs.c.id)


@cache
def _put_back(tables: Tables, postgresql: bool) -> Update:
    values = {
        **RELEASED,
        "attempts": bindparam("counted"),
        "last_error": func.coalesce(bindparam("error", type_=Text()), tables.jobs.c.last_error),
        "run_at": bindparam("run_at"),
        "failed_at": bindparam("failed_at"),
    }
    return update(tables.jobs).where(_still_ours(tables, postgresql)).values(values)


@cache
def _release(tables: Tables, postgresql: bool) -> Update:
    values = {**RELEASED, "attempts": tables.jobs.c.attempts - 1}
    return update(tables.jobs).where(_still_ours(tables, postgresql)).values(values)


@cache
def _renew(tables: Tables, postgresql: bool) -> Update:
    return update(tables.jobs).where(_still_ours(tables, postgresql)).values(locked_at=NOW)


def _still_ours(tables: Tables, postgresql: bool) -> ColumnElement[bool]:
    """The fence: the row has this worker's name, and no attempt has begun since."""
    J = tables.jobs.c
    return and_(among(J.id, "ids", postgresql), J.attempts == bindparam("attempt"), J.locked_by == WORKER)


def _fences(connection: Connection, worker: str, claimed: Iterable[Claimed]) -> Iterator[dict[str, Any]]:
    """The parameters of _still_ours(), one set for each number of attempts: nearly always one."""
    ids: defaultdict[int, list[int]] = defaultdict(list)
    for job in claimed:
        ids[job.attempts].append(job.id)
    for attempt, some in ids.items():
        yield {"worker": worker, "attempt": attempt, "ids": as_list(some, is_postgresql(connection))}
