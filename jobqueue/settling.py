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
    Connection,
    Update,
    and_,
    bindparam,
    case,
    delete,
    literal,
    null,
    update,
)

from jobqueue.claiming import NOW, RELEASED, WORKER, Claimed
from jobqueue.database import among, as_list, is_postgresql
from jobqueue.inserting import notify
from jobqueue.retry import MAX_ATTEMPTS, backoff
from jobqueue.schema import Tables


def finish(connection: Connection, tables: Tables, worker: str, done: Sequence[Claimed]) -> set[int]:
    """Delete jobs that succeeded; returns the ids of those that were still this worker's."""
    statement = _finish(tables, is_postgresql(connection))
    gone: set[int] = set()
    for values in _fences(connection, worker, done):
        gone.update(connection.scalars(statement, values))
    return gone


def retry(
    connection: Connection,
    tables: Tables,
    worker: str,
    job: Claimed,
    error: str,
    run_at: datetime,
    now: datetime,
) -> bool:
    """Give back a job whose attempt failed, to run again at `run_at`; returns whether it was still this
    worker's.
    """
    values = {"error": error, "run_at": run_at, "failed_at": None}
    return _failed(connection, tables, worker, job, values, now)


def bury(
    connection: Connection, tables: Tables, worker: str, job: Claimed, error: str, now: datetime
) -> bool:
    """Keep a job as failed for good; returns whether it was still this worker's."""
    return _failed(
        connection, tables, worker, job, {"error": error, "run_at": job.run_at, "failed_at": now}, now
    )


def release(
    connection: Connection, tables: Tables, worker: str, unfinished: Sequence[Claimed], now: datetime
) -> None:
    """Give back jobs that this worker will not finish, as if it had never claimed them."""
    statement = _release(tables, is_postgresql(connection))
    for alone in (True, False):
        some = [job for job in unfinished if job.alone is alone]
        for values in _fences(connection, worker, some):
            connection.execute(statement, {**values, "now": now, "uncounted": int(alone)})
    if unfinished:
        notify(connection, tables)


def renew(
    connection: Connection, tables: Tables, worker: str, held: Sequence[Claimed], now: datetime
) -> None:
    """Heartbeat: renew the leases that this worker still has. A lost lease stays lost."""
    statement = _renew(tables, is_postgresql(connection))
    for values in _fences(connection, worker, held):
        connection.execute(statement, {**values, "now": now})


def reap(connection: Connection, tables: Tables, lease: timedelta, now: datetime) -> int:
    """Free the jobs of workers that have been silent for `lease`; returns how many.

    They run again at once, or after backoff() if two or more attempts were counted, so that a job that kills
    its workers leaves them time for others. Counted attempts stay counted: such a job runs out of them.
    """
    how = "was silent for longer than its lease: it died, or lost its connection to the database."
    silent = tables.jobs.c.locked_at < now - lease
    return _free(connection, tables, silent, how, now)


def free(connection: Connection, tables: Tables, worker: str, how: str, now: datetime) -> int:
    """Free the jobs of a worker known to have died, as reap() does; returns how many."""
    return _free(connection, tables, tables.jobs.c.locked_by == worker, how, now)


BACKED_OFF = range(2, MAX_ATTEMPTS + 1)  # attempts; SQL has no portable way to add seconds to a time


def _free(connection: Connection, tables: Tables, which: ColumnElement[bool], how: str, now: datetime) -> int:
    J = tables.jobs.c
    later = [(J.attempts >= n, literal(now + backoff(n), J.run_at.type)) for n in reversed(BACKED_OFF)]
    values = {
        **RELEASED,
        "last_error": "The worker " + J.locked_by + f" {how}",
        "failed_at": case((J.attempts >= J.max_attempts, NOW), else_=null()),
        "run_at": case(*later, else_=J.run_at),
    }
    statement = update(tables.jobs).where(tables.running, which).values(values)
    freed = connection.execute(statement, {"now": now}).rowcount
    if freed:
        notify(connection, tables)
    return freed


def _failed(
    connection: Connection, tables: Tables, worker: str, job: Claimed, values: dict[str, Any], now: datetime
) -> bool:
    fence = next(_fences(connection, worker, [job]))
    statement = _settle_failed(tables, is_postgresql(connection))
    values = {**fence, **values, "attempt": job.attempts, "now": now}
    return connection.execute(statement, values).rowcount == 1


@cache
def _finish(tables: Tables, postgresql: bool) -> Any:
    return delete(tables.jobs).where(_still_ours(tables, postgresql)).returning(tables.jobs.c.id)


@cache
def _settle_failed(tables: Tables, postgresql: bool) -> Update:
    values = {
        **RELEASED,
        "attempts": bindparam("attempt"),
        "last_error": bindparam("error"),
        "run_at": bindparam("run_at"),
        "failed_at": bindparam("failed_at"),
    }
    return update(tables.jobs).where(_still_ours(tables, postgresql)).values(values)


@cache
def _release(tables: Tables, postgresql: bool) -> Update:
    attempts = tables.jobs.c.attempts
    values = {**RELEASED, "attempts": attempts - bindparam("uncounted", type_=attempts.type)}
    return update(tables.jobs).where(_still_ours(tables, postgresql)).values(values)


@cache
def _renew(tables: Tables, postgresql: bool) -> Update:
    return update(tables.jobs).where(_still_ours(tables, postgresql)).values(locked_at=NOW)


def _still_ours(tables: Tables, postgresql: bool) -> ColumnElement[bool]:
    """The fence: the row has this worker's name, and no attempt has begun since."""
    J = tables.jobs.c
    return and_(among(J.id, "ids", postgresql), J.attempts == bindparam("counted"), J.locked_by == WORKER)


def _fences(connection: Connection, worker: str, claimed: Iterable[Claimed]) -> Iterator[dict[str, Any]]:
    """The parameters of _still_ours(), one set for each number of attempts: nearly always one."""
    ids: defaultdict[int, list[int]] = defaultdict(list)
    for job in claimed:
        ids[job.counted].append(job.id)
    for counted, some in ids.items():
        yield {"worker": worker, "counted": counted, "ids": as_list(some, is_postgresql(connection))}
