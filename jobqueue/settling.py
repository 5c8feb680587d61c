"""The SQL of settling: the outcomes of claimed jobs, their leases, and the jobs of dead workers.

Each function takes a transaction. Settling is fenced: it touches a row only while this worker holds this
attempt of it.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Text,
    Update,
    and_,
    bindparam,
    case,
    delete,
    null,
    update,
)

from jobqueue.claiming import NOW, RELEASED, WORKER, Claimed
from jobqueue.database import among, as_list, is_postgresql
from jobqueue.direct import Transaction, count, rows
from jobqueue.inserting import notify
from jobqueue.retry import MAX_ATTEMPTS, backoff
from jobqueue.schema import jobs, running

J = jobs.c


def finish(connection: Transaction, worker: str, done: Sequence[Claimed]) -> set[int]:
    """Delete jobs that succeeded; returns the ids of those that were still this worker's."""
    statement = _finish(is_postgresql(connection))
    gone: set[int] = set()
    for values in _fences(connection, worker, done):
        gone.update(id for (id,) in rows(connection, statement, values))
    return gone


def retry(
    connection: Transaction, worker: str, job: Claimed, error: str, run_at: datetime, now: datetime
) -> bool:
    """Give back a job whose attempt failed, to run again at `run_at`; returns whether it was still this
    worker's.
    """
    values = {"error": error, "run_at": run_at, "failed_at": None}
    return _failed(connection, worker, job, values, now)


def bury(connection: Transaction, worker: str, job: Claimed, error: str, now: datetime) -> bool:
    """Keep a job as failed for good; returns whether it was still this worker's."""
    return _failed(connection, worker, job, {"error": error, "run_at": job.run_at, "failed_at": now}, now)


def release(connection: Transaction, worker: str, unfinished: Sequence[Claimed], now: datetime) -> None:
    """Give back jobs that this worker will not finish, as if it had never claimed them."""
    statement = _release(is_postgresql(connection))
    for alone in (True, False):
        some = [job for job in unfinished if job.alone is alone]
        for values in _fences(connection, worker, some):
            count(connection, statement, {**values, "now": now, "uncounted": int(alone)})
    if unfinished:
        notify(connection)


def renew(connection: Transaction, worker: str, held: Sequence[Claimed], now: datetime) -> None:
    """Heartbeat: renew the leases that this worker still has. A lost lease stays lost."""
    statement = _renew(is_postgresql(connection))
    for values in _fences(connection, worker, held):
        count(connection, statement, {**values, "now": now})


def reap(connection: Transaction, lease: timedelta, now: datetime) -> int:
    """Free the jobs of workers that have been silent for `lease`; returns how many.

    They run again at once, or after backoff() if two or more attempts were counted, so that a job that kills
    its workers leaves them time for others. Counted attempts stay counted: such a job runs out of them.
    """
    how = "was silent for longer than its lease: it died, or lost its connection to the database."
    return _free(connection, FREE_THE_SILENT, {"before": now - lease, "how": how, "now": now})


def free(connection: Transaction, worker: str, how: str, now: datetime) -> int:
    """Free the jobs of a worker known to have died, as reap() does; returns how many."""
    return _free(connection, FREE_THOSE_OF, {"worker": worker, "how": how, "now": now})


def _free(connection: Transaction, statement: Update, values: dict[str, Any]) -> int:
    now: datetime = values["now"]
    freed = count(connection, statement, {**values, **{f"after_{n}": now + backoff(n) for n in BACKED_OFF}})
    if freed:
        notify(connection)
    return freed


BACKED_OFF = range(2, MAX_ATTEMPTS + 1)  # attempts; SQL has no portable way to add seconds to a time
FREE = (
    update(jobs)
    .where(running)
    .values(
        {
            **RELEASED,
            J.last_error: "The worker " + J.locked_by + " " + bindparam("how", type_=Text()),
            J.failed_at: case((J.attempts >= J.max_attempts, NOW), else_=null()),
            J.run_at: case(
                *(
                    (J.attempts >= n, bindparam(f"after_{n}", type_=J.run_at.type))
                    for n in reversed(BACKED_OFF)
                ),
                else_=J.run_at,
            ),
        }
    )
)
FREE_THE_SILENT = FREE.where(J.locked_at < bindparam("before", type_=J.locked_at.type))
FREE_THOSE_OF = FREE.where(J.locked_by == WORKER)


def _failed(
    connection: Transaction, worker: str, job: Claimed, values: dict[str, Any], now: datetime
) -> bool:
    fence = next(_fences(connection, worker, [job]))
    statement = _settle_failed(is_postgresql(connection))
    return count(connection, statement, {**fence, **values, "attempt": job.attempts, "now": now}) == 1


@cache
def _finish(postgresql: bool) -> Any:
    return delete(jobs).where(_still_ours(postgresql)).returning(J.id)


@cache
def _settle_failed(postgresql: bool) -> Update:
    values = {
        **RELEASED,
        J.attempts: bindparam("attempt"),
        J.last_error: bindparam("error"),
        J.run_at: bindparam("run_at"),
        J.failed_at: bindparam("failed_at"),
    }
    return update(jobs).where(_still_ours(postgresql)).values(values)


@cache
def _release(postgresql: bool) -> Update:
    values = {**RELEASED, J.attempts: J.attempts - bindparam("uncounted", type_=J.attempts.type)}
    return update(jobs).where(_still_ours(postgresql)).values(values)


@cache
def _renew(postgresql: bool) -> Update:
    return update(jobs).where(_still_ours(postgresql)).values(locked_at=NOW)


def _still_ours(postgresql: bool) -> ColumnElement[bool]:
    """The fence: the row has this worker's name, and no attempt has begun since."""
    return and_(among(J.id, "ids", postgresql), J.attempts == bindparam("counted"), J.locked_by == WORKER)


def _fences(connection: Transaction, worker: str, claimed: Iterable[Claimed]) -> Iterator[dict[str, Any]]:
    """The parameters of _still_ours(), one set for each number of attempts: nearly always one."""
    ids: defaultdict[int, list[int]] = defaultdict(list)
    for job in claimed:
        ids[job.counted].append(job.id)
    for counted, some in ids.items():
        yield {"worker": worker, "counted": counted, "ids": as_list(some, is_postgresql(connection))}
