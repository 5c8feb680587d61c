"""The SQL of claiming: take the most urgent of the jobs that are due, and find out when the next one is.

Each function takes a transaction. Statements are built once and cached.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    BindParameter,
    Column,
    ColumnElement,
    Connection,
    Select,
    Text,
    and_,
    any_,
    bindparam,
    case,
    cast,
    func,
    null,
    select,
    update,
)

from jobqueue.database import among, as_list, is_postgresql, plan_steadily
from jobqueue.schema import UNREADABLE, Tables, UTCDateTime

NOW: BindParameter[datetime] = bindparam("now", type_=UTCDateTime())
WORKER: BindParameter[str] = bindparam("worker", type_=Text())
MOST_ATTEMPTS = 2**31 - 1  # that PostgreSQL's integer holds
RELEASED = {"locked_at": null(), "locked_by": null(), "updated_at": NOW}


UNSOUND = "A value in this row has the wrong type for its column: only jobqueue should write to this table."


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
        return self.attempts == 1 < self.max_attempts or self.handler is UNSOUND


class Served(NamedTuple):
    """Which jobs a worker performs: those of these queues, or of all; with priorities in this range; `but`
    not those with these ids.
    """

    queues: tuple[str, ...] = ()
    min_priority: int | None = None
    max_priority: int | None = None
    but: tuple[int, ...] = ()


ALL = Served()


def claim(
    connection: Connection,
    tables: Tables,
    worker: str,
    limit: int,
    now: datetime,
    served: Served = ALL,
    *,
    slots: int | None = None,
) -> list[Claimed]:
    """Claim up to `limit` jobs that are due; returns them, the most urgent first.

    The attempt is counted here, so that a job that kills its worker runs out of attempts. `slots` is among
    how many threads deal() will deal the jobs out, if there are fewer than jobs: the claim ends before the
    first job that would get none.
    """
    postgresql = is_postgresql(connection)
    parts, bounds = _parts(served, postgresql)
    values = {"now": now, "limit": limit, "worker": worker, **bounds}
    if slots is not None:
        values["slots"] = slots
    # Read all rows before the COMMIT (SQLite requires it), and sort them: RETURNING guarantees no order.
    plan_steadily(connection)
    taken = connection.execute(_claim(tables, postgresql, parts, slots is not None), values).all()
    claimed = [Claimed._make(row) if _is_sound(row) else _that_fails(row, now) for row in taken]
    return sorted(claimed, key=lambda job: (job.priority, job.run_at, job.id))


def _is_sound(row: Sequence[Any]) -> bool:
    """Whether the values have the types of their columns, which SQLite does not enforce."""
    _, _, handler, max_attempts, max_run_time, priority, run_at, queue = row
    return (
        type(priority) is int
        and type(max_attempts) is int
        and type(handler) is type(queue) is str
        and run_at != UNREADABLE
        and isinstance(max_run_time, int | float | None)  # 20.0 may come back as 20
    )


def _that_fails(row: Sequence[Any], now: datetime) -> Claimed:
    """What is claimed instead of an unsound row: a job that can't be performed, on its last attempt."""
    id, attempts, _, _, _, priority, _, queue = row
    return Claimed(
        id, attempts, UNSOUND, attempts, None, priority if type(priority) is int else 0, now, str(queue)
    )


def described(tables: Tables) -> tuple[Column[Any], ...]:
    """The columns that a Claimed is made of."""
    J = tables.jobs.c
    return J.id, J.attempts, J.handler, J.max_attempts, J.max_run_time, J.priority, J.run_at, J.queue


@cache
def _claim(tables: Tables, postgresql: bool, parts: frozenset[str], dealt: bool) -> Any:
    J = tables.jobs.c
    due = (
        select(J.id)
        .where(tables.waiting, J.run_at <= NOW, *_is_served(tables, postgresql, parts))
        .order_by(J.priority, J.run_at, J.id)
        .limit(bindparam("limit"))
        # PostgreSQL: two workers never wait for each other. SQLAlchemy omits it for SQLite.
        .with_for_update(skip_locked=True)
    )
    pick = (_that_get_a_slot(due, J) if dealt else due).scalar_subquery()
    # PostgreSQL builds an array once, then finds its rows by id. Otherwise its planner may ignore the LIMIT
    # or scan the whole table.
    picked = J.id == any_(func.array(pick)) if postgresql else J.id.in_(pick)
    so_far = cast(J.attempts, BigInteger)  # SQLite may hold any value
    attempts = case((so_far < MOST_ATTEMPTS, so_far + 1), else_=MOST_ATTEMPTS)
    return (
        update(tables.jobs)
        .where(picked)
        .values(locked_at=NOW, locked_by=WORKER, attempts=attempts, updated_at=NOW)
        .returning(*described(tables))
    )


def _that_get_a_slot(due: Select[Any], J: Any) -> Select[Any]:
    """The first of the due jobs, as many as can be dealt out. One that shares no slot (see Claimed.shares)
    weighs as much as `limit` others, which share one.
    """
    limit: BindParameter[int] = bindparam("limit", type_=BigInteger())
    weight = case((and_(J.attempts == 0, J.max_attempts > 1), 1), else_=limit).label("weight")
    each = due.add_columns(J.priority, J.run_at, weight).subquery()
    order = (each.c.priority, each.c.run_at, each.c.id)
    so_far = select(
        each.c.id, func.sum(each.c.weight).over(order_by=order, rows=(None, 0)).label("sum")
    ).subquery()
    return select(so_far.c.id).where(so_far.c.sum <= bindparam("slots", type_=BigInteger()) * limit)


def next_run_at(connection: Connection, tables: Tables, served: Served = ALL) -> datetime | None:
    """When the next of the waiting jobs is due, possibly in the past; None if no job waits."""
    parts, bounds = _parts(served, is_postgresql(connection))
    plan_steadily(connection)
    statement = _next_run_at(tables, is_postgresql(connection), parts)
    due: datetime | None = connection.scalar(statement, bounds)
    return due


@cache
def _next_run_at(tables: Tables, postgresql: bool, parts: frozenset[str]) -> Any:
    J = tables.jobs.c
    earliest = func.min(J.run_at, type_=J.run_at.type)
    if parts:
        return select(earliest).where(tables.waiting, *_is_served(tables, postgresql, parts))
    # The index orders jobs by priority, then run_at, so this reads only the first job of each priority, and
    # the paused ones before it, however many jobs there are. (PostgreSQL's wiki calls it a loose index scan.)
    lowest = select(func.min(J.priority).label("priority")).where(tables.waiting)
    first = lowest.cte("priorities", recursive=True)
    after = lowest.where(J.priority > first.c.priority).scalar_subquery()
    priorities = first.union_all(select(after).where(first.c.priority.is_not(None)))
    its = (J.priority == priorities.c.priority, *_is_served(tables, postgresql, parts))
    of_one = select(earliest).where(tables.waiting, *its).scalar_subquery()
    of_all = select(func.min(of_one, type_=J.run_at.type).label("run_at")).select_from(priorities)
    return select(of_all.subquery().c.run_at)  # UTCDateTime names a selected column more than once


def _is_served(tables: Tables, postgresql: bool, parts: frozenset[str]) -> list[ColumnElement[bool]]:
    """That a job is one of those served, and not of a paused queue."""
    J = tables.jobs.c
    conditions = {
        "queues": among(J.queue, "queues", postgresql),
        "min_priority": J.priority >= bindparam("min_priority"),
        "max_priority": J.priority <= bindparam("max_priority"),
        "but": ~among(J.id, "but", postgresql),
    }
    served = [condition for part, condition in conditions.items() if part in parts]
    return [*served, J.queue.not_in(select(tables.pauses.c.queue))]


def _parts(served: Served, postgresql: bool) -> tuple[frozenset[str], dict[str, Any]]:
    """Which limits there are, and their values as parameters."""
    bounds = {part: value for part, value in served._asdict().items() if value not in ((), None)}
    for part in bounds.keys() & {"queues", "but"}:
        bounds[part] = as_list(bounds[part], postgresql)
    return frozenset(bounds), bounds
