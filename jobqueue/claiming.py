"""The SQL of claiming: take the most urgent of the jobs that are due, and find out when the next one is.

Each function takes a transaction. Statements are built once and cached.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple, cast

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Select,
    Text,
    Update,
    and_,
    any_,
    bindparam,
    case,
    func,
    null,
    select,
    update,
)

from jobqueue.database import among, as_list, is_postgresql
from jobqueue.direct import Transaction, count, rows
from jobqueue.schema import UNREADABLE, jobs, waiting

J = jobs.c

NOW: BindParameter[datetime] = bindparam("now", type_=J.run_at.type)
WORKER: BindParameter[str] = bindparam("worker", type_=Text())
MOST_ATTEMPTS = 2**31 - 1  # that PostgreSQL's integer holds
RELEASED = {J.locked_at: null(), J.locked_by: null(), J.updated_at: NOW}


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
        return self.attempts == 1 < self.max_attempts


def claim(
    connection: Transaction,
    worker: str,
    limit: int,
    now: datetime,
    queues: Sequence[str] = (),
    *,
    slots: int | None = None,
) -> list[Claimed]:
    """Claim up to `limit` jobs that are due; returns them, the most urgent first.

    The attempt is counted here, so that a job that kills its worker runs out of attempts. `slots` is among
    how many threads deal() will deal the jobs out, if there are fewer than jobs: the claim ends before the
    first job that would get none.
    """
    postgresql = is_postgresql(connection)
    values = {"now": now, "limit": limit, "worker": worker, **_names(queues, postgresql)}
    if slots is not None:
        values["slots"] = slots
    # Read all rows before the COMMIT (SQLite requires it), and sort them: RETURNING guarantees no order.
    taken = rows(connection, _claim(postgresql, bool(queues), slots is not None), values)
    claimed = [Claimed._make(row) for row in taken if _is_sound(row)]
    if len(claimed) < len(taken):
        unsound = [row[0] for row in taken if not _is_sound(row)]
        values = {"ids": as_list(unsound, postgresql), "error": UNSOUND, "worker": worker, "now": now}
        count(connection, _bury_unsound(postgresql), values)
    return sorted(claimed, key=lambda job: (job.priority, job.run_at, job.id))


UNSOUND = "A value in this row has the wrong type for its column: only jobqueue should write to this table."


def _is_sound(row: Sequence[Any]) -> bool:
    """Whether the values have the types of their columns, which SQLite does not enforce."""
    _, attempts, handler, max_attempts, max_run_time, priority, run_at, _ = row
    return (
        type(priority) is int
        and type(attempts) is int
        and type(max_attempts) is int
        and type(handler) is str
        and run_at is not UNREADABLE
        and isinstance(max_run_time, int | float | None)  # 20.0 may come back as 20
    )


@cache
def _bury_unsound(postgresql: bool) -> Update:
    values = {**RELEASED, J.last_error: bindparam("error"), J.failed_at: NOW}
    return update(jobs).where(among(J.id, "ids", postgresql), J.locked_by == WORKER).values(values)


@cache
def _claim(postgresql: bool, by_queue: bool, dealt: bool) -> Any:
    due = (
        select(J.id)
        .where(waiting, J.run_at <= NOW, *_in_queues(postgresql, by_queue))
        .order_by(J.priority, J.run_at, J.id)
        .limit(bindparam("limit"))
        # PostgreSQL: two workers never wait for each other. SQLAlchemy omits it for SQLite.
        .with_for_update(skip_locked=True)
    )
    pick = (_that_get_a_slot(due) if dealt else due).scalar_subquery()
    # PostgreSQL builds an array once, then finds its rows by id. Otherwise its planner may ignore the LIMIT
    # or scan the whole table.
    picked = J.id == any_(func.array(pick)) if postgresql else J.id.in_(pick)
    attempts = case((J.attempts < MOST_ATTEMPTS, J.attempts + 1), else_=J.attempts)
    return (
        update(jobs)
        .where(picked)
        .values(locked_at=NOW, locked_by=WORKER, attempts=attempts, updated_at=NOW)
        .returning(J.id, J.attempts, J.handler, J.max_attempts, J.max_run_time, J.priority, J.run_at, J.queue)
    )


def _that_get_a_slot(due: Select[Any]) -> Select[Any]:
    """The first of the due jobs, as many as can be dealt out: a slot for each that does not share one (see
    Claimed.shares), and one for all others together.
    """
    alone = case((and_(J.attempts == 0, J.max_attempts > 1), 0), else_=1).label("alone")
    each = due.add_columns(J.priority, J.run_at, alone).subquery()
    order = (each.c.priority, each.c.run_at, each.c.id)
    needed = func.sum(each.c.alone).over(order_by=order) + func.max(1 - each.c.alone).over(order_by=order)
    so_far = select(each.c.id, needed.label("needed")).subquery()
    return select(so_far.c.id).where(so_far.c.needed <= bindparam("slots"))


def next_run_at(connection: Transaction, queues: Sequence[str] = ()) -> datetime | None:
    """When the next waiting job is due, possibly in the past; None if no job waits."""
    postgresql = is_postgresql(connection)
    [(moment,)] = rows(connection, _next_run_at(postgresql, bool(queues)), _names(queues, postgresql))
    return cast(datetime | None, moment)


@cache
def _next_run_at(postgresql: bool, by_queue: bool) -> Any:
    earliest = func.min(J.run_at, type_=J.run_at.type)
    if by_queue:
        return select(earliest).where(waiting, *_in_queues(postgresql, by_queue))
    # The index orders jobs by priority, then run_at, so this reads only the first job of each priority,
    # however many jobs there are. (PostgreSQL's wiki calls it a loose index scan.)
    first = select(func.min(J.priority).label("priority")).where(waiting).cte("priorities", recursive=True)
    after = select(func.min(J.priority)).where(waiting, J.priority > first.c.priority).scalar_subquery()
    priorities = first.union_all(select(after).where(first.c.priority.is_not(None)))
    of_one = select(earliest).where(waiting, J.priority == priorities.c.priority).scalar_subquery()
    return select(func.min(of_one, type_=J.run_at.type)).select_from(priorities)


def _in_queues(postgresql: bool, by_queue: bool) -> list[ColumnElement[bool]]:
    return [among(J.queue, "queues", postgresql)] if by_queue else []


def _names(queues: Sequence[str], postgresql: bool) -> dict[str, Any]:
    return {"queues": as_list(queues, postgresql)} if queues else {}
