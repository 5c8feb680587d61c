"""The queue's SQL, one function a statement. Each takes its transaction's connection, and `now`.

A claim is one statement. Finishing is fenced: it touches a row only while this worker has this attempt of it.
The statements are built once: SQLAlchemy then has nothing to do but to look up their text.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any, NamedTuple, cast

from sqlalchemy import (
    ARRAY,
    BigInteger,
    BindParameter,
    ColumnElement,
    TableValuedAlias,
    Text,
    Update,
    and_,
    bindparam,
    case,
    column,
    delete,
    func,
    insert,
    null,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.types import TypeEngine

from jobqueue.database import insert_unless_there, is_postgresql
from jobqueue.direct import Transaction, count, rows
from jobqueue.errors import AlreadyQueued
from jobqueue.handlers import as_json
from jobqueue.schema import CHANNEL, jobs, running, unique, waiting

J = jobs.c
MOST_ROWS = 5_000  # that one statement inserts

NOW: BindParameter[datetime] = bindparam("now", type_=J.run_at.type)
WORKER: BindParameter[str] = bindparam("worker", type_=Text())
RELEASED = {J.locked_at: null(), J.locked_by: null(), J.updated_at: NOW}


class Claimed(NamedTuple):
    """A job that this worker has: what it needs in order to run it, and the fence to finish it."""

    id: int
    counted: int  # attempts in the row: with `id` and the worker's name, the fence
    handler: str
    max_attempts: int
    max_run_time: float | None
    priority: int
    run_at: datetime
    queue: str
    alone: bool  # its attempt was counted when it was claimed; a batch's attempts are counted when they end

    @property
    def attempts(self) -> int:
        """Which attempt this is, from 1."""
        return self.counted if self.alone else self.counted + 1


# -- enqueueing

INSERT = insert(jobs).returning(J.id)
WITH_KEY = select(J.id).where(unique, J.unique_key == bindparam("key"))
NOTIFY = select(func.pg_notify(CHANNEL, ""))


def add(connection: Transaction, row: dict[str, Any]) -> int:
    """Insert a job; returns its id. Idle workers hear of it when the transaction commits."""
    if is_postgresql(connection):
        [(id, _)] = rows(connection, _insert_and_notify(tuple(row)), row)
    else:
        [(id,)] = rows(connection, INSERT, row)
    return int(id)


def add_unique(connection: Transaction, row: dict[str, Any], *, keep: bool) -> int:
    """Insert a job unless one with its unique key waits or runs; returns its id.

    If there is one: returns that one's id if `keep`, and raises AlreadyQueued otherwise.
    """
    insertion = insert_unless_there(jobs, is_postgresql(connection), J.id)
    while True:
        for (id,) in rows(connection, insertion, row):
            notify(connection)
            return int(id)
        for (id,) in rows(connection, WITH_KEY, {"key": row["unique_key"]}):  # none: it has just ended
            if keep:
                return int(id)
            raise AlreadyQueued(f"job {id} has the unique key {row['unique_key']!r}, not ended yet", id=id)


def add_many(connection: Transaction, row: dict[str, Any], handlers: Sequence[str]) -> None:
    """Insert a job for each handler, in this order, all else as in `row`."""
    postgresql = is_postgresql(connection)
    statement = _insert_each(postgresql, tuple(row))
    for start in range(0, len(handlers), MOST_ROWS):
        some = handlers[start : start + MOST_ROWS]
        count(connection, statement, {**row, "handlers": _list(some, postgresql)})
    notify(connection)


def notify(connection: Transaction) -> None:
    """Let idle workers hear that there may be something to do. (On SQLite they see that the file changed.)"""
    if is_postgresql(connection):
        rows(connection, NOTIFY, {})


@cache
def _insert_and_notify(columns: tuple[str, ...]) -> Any:
    """For PostgreSQL: both in one statement, and so in one round trip."""
    row = select(*(bindparam(name, type_=J[name].type) for name in columns))
    added = insert(jobs).from_select(columns, row).returning(J.id).cte("added")
    return select(added.c.id, func.pg_notify(CHANNEL, ""))


@cache
def _insert_each(postgresql: bool, columns: tuple[str, ...]) -> Any:
    """INSERT ... SELECT: one parameter holds all handlers, many times faster than a row for each."""
    values = [bindparam(name, type_=J[name].type) for name in columns]
    each = _each("handlers", Text(), postgresql)
    rows = select(each.c.value, *values).order_by(each.c.key)
    return insert(jobs).from_select(["handler", *columns], rows)


def _each(name: str, kind: TypeEngine[Any], postgresql: bool) -> TableValuedAlias:
    """The elements of a parameter that is a list, as rows of `key` and `value`. (SQLite gets it as JSON.)"""
    if not postgresql:
        return func.json_each(bindparam(name, type_=Text())).table_valued("key", column("value", kind))
    array = func.unnest(bindparam(name, type_=ARRAY(kind)))
    return array.table_valued(column("value", kind), with_ordinality="key").render_derived()


# -- claiming


def claim(
    connection: Transaction,
    worker: str,
    limit: int,
    now: datetime,
    queues: Sequence[str] = (),
    *,
    batch: bool = False,
) -> list[Claimed]:
    """Take up to `limit` jobs that are due, the most urgent first; returns them in that order.

    The attempt is counted here, so that a job which kills its worker runs out of attempts. In a `batch` some
    jobs wait behind others, and must not pay for these: there the attempts of jobs that nothing has gone
    wrong with so far are counted when they end. If the worker dies instead, reap() writes a last_error, and
    next time they are claimed alone.
    """
    postgresql = is_postgresql(connection)
    values = {"now": now, "limit": limit, "worker": worker, **_names(queues, postgresql)}
    # All rows are read before the COMMIT (SQLite), and sorted, since RETURNING promises no order.
    taken = rows(connection, _claim(postgresql, bool(queues), batch), values)
    claimed = [Claimed._make((*row[:-1], not batch or _goes_alone(row))) for row in taken]
    return sorted(claimed, key=lambda job: (job.priority, job.run_at, job.id))


def _goes_alone(row: Sequence[Any]) -> bool:
    return row[-1] is not None or row[3] == 1  # last_error, max_attempts: as below


@cache
def _claim(postgresql: bool, by_queue: bool, batch: bool) -> Any:
    pick = (
        select(J.id)
        .where(waiting, J.run_at <= NOW, *_in_queues(postgresql, by_queue))
        .order_by(J.priority, J.run_at, J.id)
        .limit(bindparam("limit"))
        # PostgreSQL: two workers never wait for one another. SQLite leaves it out.
        .with_for_update(skip_locked=True)
        .cte("pick")
        .prefix_with("MATERIALIZED")  # or PostgreSQL's planner may ignore the LIMIT
    )
    # At most one attempt: even a crash must count, so such a job never waits behind others.
    alone = or_(J.last_error.is_not(None), J.max_attempts == 1) if batch else true()
    returned = (J.id, J.attempts, J.handler, J.max_attempts, J.max_run_time, J.priority, J.run_at, J.queue)
    return (
        update(jobs)
        .where(J.id == pick.c.id)
        .values(
            locked_at=NOW, locked_by=WORKER, attempts=J.attempts + case((alone, 1), else_=0), updated_at=NOW
        )
        # Not `last_error IS NOT NULL`: that is always true in a RETURNING of SQLite 3.40.
        .returning(*returned, func.length(J.last_error).label("error_length"))
    )


def next_run_at(connection: Transaction, queues: Sequence[str] = ()) -> datetime | None:
    """When the next waiting job is due (it may be in the past); None when none waits."""
    postgresql = is_postgresql(connection)
    [(moment,)] = rows(connection, _next_run_at(postgresql, bool(queues)), _names(queues, postgresql))
    return cast(datetime | None, moment)


@cache
def _next_run_at(postgresql: bool, by_queue: bool) -> Any:
    earliest = func.min(J.run_at, type_=J.run_at.type)
    if by_queue:
        return select(earliest).where(waiting, *_in_queues(postgresql, by_queue))
    # The index has the jobs by priority, and then by run_at: this looks at the first one of each priority,
    # however many there are. (PostgreSQL's wiki calls it a loose index scan.)
    first = select(func.min(J.priority).label("priority")).where(waiting).cte("priorities", recursive=True)
    after = select(func.min(J.priority)).where(waiting, J.priority > first.c.priority).scalar_subquery()
    priorities = first.union_all(select(after).where(first.c.priority.is_not(None)))
    of_one = select(earliest).where(waiting, J.priority == priorities.c.priority).scalar_subquery()
    return select(func.min(of_one, type_=J.run_at.type)).select_from(priorities)


def _in_queues(postgresql: bool, by_queue: bool) -> list[ColumnElement[bool]]:
    return [J.queue.in_(select(_each("queues", Text(), postgresql).c.value))] if by_queue else []


def _names(queues: Sequence[str], postgresql: bool) -> dict[str, Any]:
    return {"queues": _list(queues, postgresql)} if queues else {}


def _list(values: Sequence[Any], postgresql: bool) -> Any:
    """A parameter for _each()."""
    return list(values) if postgresql else as_json(list(values))


# -- settling


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
    """Heartbeat: renew the leases that this worker still has. One that was lost stays lost."""
    statement = _renew(is_postgresql(connection))
    for values in _fences(connection, worker, held):
        count(connection, statement, {**values, "now": now})


def reap(connection: Transaction, lease: timedelta, now: datetime) -> int:
    """Free the jobs whose worker has not been heard of for `lease`; returns how many.

    They run again at once; an attempt that was counted stays so, and a job that kills its workers runs out
    of attempts.
    """
    how = "was not heard of for longer than its lease: it died, or lost the database."
    return _free(connection, FREE_THE_SILENT, {"before": now - lease, "how": how, "now": now})


def free(connection: Transaction, worker: str, how: str, now: datetime) -> int:
    """Free the jobs of a worker that is known to have died, as reap() does; returns how many."""
    return _free(connection, FREE_THOSE_OF, {"worker": worker, "how": how, "now": now})


def _free(connection: Transaction, statement: Update, values: dict[str, Any]) -> int:
    freed = count(connection, statement, values)
    if freed:
        notify(connection)
    return freed


FREE = (
    update(jobs)
    .where(running)
    .values(
        {
            **RELEASED,
            J.last_error: "The worker " + J.locked_by + " " + bindparam("how", type_=Text()),
            J.failed_at: case((J.attempts >= J.max_attempts, NOW), else_=null()),
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
    ids = _each("ids", BigInteger(), postgresql)
    return and_(J.id.in_(select(ids.c.value)), J.attempts == bindparam("counted"), J.locked_by == WORKER)


def _fences(connection: Transaction, worker: str, claimed: Iterable[Claimed]) -> Iterator[dict[str, Any]]:
    """The parameters of _still_ours(), once for each number of attempts: nearly always once."""
    ids: defaultdict[int, list[int]] = defaultdict(list)
    for job in claimed:
        ids[job.counted].append(job.id)
    for counted, some in ids.items():
        yield {"worker": worker, "counted": counted, "ids": _list(some, is_postgresql(connection))}
