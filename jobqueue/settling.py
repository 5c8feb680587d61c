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

from jobqueue.claiming import NOW, RELEASED, WORKER, Claimed
from jobqueue.database import among, as_list, is_postgresql
from jobqueue.direct import Transaction, count, rows
from jobqueue.inserting import notify
from jobqueue.schema import jobs, running

J = jobs.c


LOST = "was not settled: this worker had lost its lease"
DELETED = "was deleted while it ran"


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
    connection: Transaction, worker: str, outcomes: Sequence[Outcome], now: datetime
) -> dict[int, str]:
    """Settle jobs; returns, by their ids, why some were not settled."""
    unsettled = [outcome for outcome in outcomes if not outcome.settled]
    done = [outcome.job for outcome in unsettled if outcome.error is None or outcome.destroy]
    settled = finish(connection, worker, done) if done else set()
    for outcome in unsettled:
        if outcome.error is not None and not outcome.destroy and put_back(connection, worker, outcome, now):
            settled.add(outcome.job.id)
    lost = [outcome.job.id for outcome in unsettled if outcome.job.id not in settled]
    there = _still_there(connection, lost) if lost else set()
    return {id: LOST if id in there else DELETED for id in lost}


def finish(connection: Transaction, worker: str, done: Sequence[Claimed]) -> set[int]:
    """Delete jobs that succeeded; returns the ids of those that were still this worker's."""
    statement = _finish(is_postgresql(connection))
    gone: set[int] = set()
    for values in _fences(connection, worker, done):
        gone.update(id for (id,) in rows(connection, statement, values))
    return gone


def put_back(connection: Transaction, worker: str, outcome: Outcome, now: datetime) -> bool:
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
    return count(connection, _put_back(is_postgresql(connection)), values) == 1


def release(connection: Transaction, worker: str, unfinished: Sequence[Claimed], now: datetime) -> None:
    """Give back jobs that this worker will not finish, as if it had never claimed them."""
    statement = _release(is_postgresql(connection))
    for values in _fences(connection, worker, unfinished):
        count(connection, statement, {**values, "now": now})
    if unfinished:
        notify(connection)


def renew(connection: Transaction, worker: str, held: Sequence[Claimed], now: datetime) -> None:
    """Heartbeat: renew the leases that this worker still has. A lost lease stays lost."""
    statement = _renew(is_postgresql(connection))
    for values in _fences(connection, worker, held):
        count(connection, statement, {**values, "now": now})


def reap(connection: Transaction, lease: timedelta, now: datetime) -> int:
    """Free the jobs of workers that have been silent for `lease`; returns how many.

    Their attempts stay counted. They run again at once, or after backoff() if two or more attempts were
    counted, so that a job that kills its workers leaves them time for others. One that has no attempt left is
    given up by the worker that claims it next.
    """
    how = "was silent for longer than its lease: it died, or lost its connection to the database."
    return _free(connection, J.locked_at < bindparam("before", now - lease, J.locked_at.type), how, now)


def free(connection: Transaction, worker: str, how: str, now: datetime) -> int:
    """Free the jobs of a worker known to have died, as reap() does; returns how many."""
    return _free(connection, J.locked_by == bindparam("dead", worker), how, now)


def _free(connection: Transaction, which: ColumnElement[bool], how: str, now: datetime) -> int:
    waits = case((and_(J.attempts >= 2, J.attempts < J.max_attempts), J.attempts), else_=0)
    held = select(J.id, waits).where(running, which).with_for_update(skip_locked=True)
    ids: defaultdict[int, list[int]] = defaultdict(list)
    for id, attempts in rows(connection, held, {}):
        ids[attempts].append(id)
    postgresql = is_postgresql(connection)
    for attempts, some in ids.items():
        run_at = now + backoff(attempts) if attempts else None
        values = {"ids": as_list(some, postgresql), "run_at": run_at, "how": how, "now": now}
        count(connection, _freed(postgresql), values)
    if ids:
        notify(connection)
    return sum(map(len, ids.values()))


@cache
def _freed(postgresql: bool) -> Update:
    values = {
        **RELEASED,
        J.last_error: "The worker " + J.locked_by + " " + bindparam("how", type_=Text()),
        J.run_at: func.coalesce(bindparam("run_at", type_=J.run_at.type), J.run_at),
    }
    return update(jobs).where(among(J.id, "ids", postgresql)).values(values)


def _still_there(connection: Transaction, ids: Sequence[int]) -> set[int]:
    postgresql = is_postgresql(connection)
    there = select(J.id).where(among(J.id, "ids", postgresql))
    return {id for (id,) in rows(connection, there, {"ids": as_list(ids, postgresql)})}


@cache
def _finish(postgresql: bool) -> Any:
    return delete(jobs).where(_still_ours(postgresql)).returning(J.id)


@cache
def _put_back(postgresql: bool) -> Update:
    values = {
        **RELEASED,
        J.attempts: bindparam("counted"),
        J.last_error: func.coalesce(bindparam("error", type_=Text()), J.last_error),
        J.run_at: bindparam("run_at"),
        J.failed_at: bindparam("failed_at"),
    }
    return update(jobs).where(_still_ours(postgresql)).values(values)


@cache
def _release(postgresql: bool) -> Update:
    return update(jobs).where(_still_ours(postgresql)).values({**RELEASED, J.attempts: J.attempts - 1})


@cache
def _renew(postgresql: bool) -> Update:
    return update(jobs).where(_still_ours(postgresql)).values(locked_at=NOW)


def _still_ours(postgresql: bool) -> ColumnElement[bool]:
    """The fence: the row has this worker's name, and no attempt has begun since."""
    return and_(among(J.id, "ids", postgresql), J.attempts == bindparam("attempt"), J.locked_by == WORKER)


def _fences(connection: Transaction, worker: str, claimed: Iterable[Claimed]) -> Iterator[dict[str, Any]]:
    """The parameters of _still_ours(), one set for each number of attempts: nearly always one."""
    ids: defaultdict[int, list[int]] = defaultdict(list)
    for job in claimed:
        ids[job.attempts].append(job.id)
    for attempt, some in ids.items():
        yield {"worker": worker, "attempt": attempt, "ids": as_list(some, is_postgresql(connection))}
