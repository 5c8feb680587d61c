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
    Connection,
    Text,
    Update,
    any_,
    bindparam,
    case,
    func,
    null,
    or_,
    select,
    true,
    update,
)

from jobqueue.database import among, as_list, is_postgresql, plan_steadily
from jobqueue.schema import UNREADABLE, Tables, UTCDateTime

NOW: BindParameter[datetime] = bindparam("now", type_=UTCDateTime())
WORKER: BindParameter[str] = bindparam("worker", type_=Text())
RELEASED = {"locked_at": null(), "locked_by": null(), "updated_at": NOW}


class Claimed(NamedTuple):
    """A claimed job: what its worker needs to run it, and the fence to settle it."""

    id: int
    counted: int  # attempts in the row: with `id` and the worker's name, the fence
    handler: str
    max_attempts: int
    max_run_time: float | None
    priority: int
    run_at: datetime
    queue: str
    alone: bool  # its attempt was counted at the claim; in a batch, attempts are counted when they end

    @property
    def attempts(self) -> int:
        """Which attempt this is, from 1."""
        return self.counted if self.alone else self.counted + 1


def claim(
    connection: Connection,
    tables: Tables,
    worker: str,
    limit: int,
    now: datetime,
    queues: Sequence[str] = (),
    *,
    batch: bool = False,
) -> list[Claimed]:
    """Claim up to `limit` jobs that are due; returns them, the most urgent first.

    The attempt is counted at the claim, so that a job that kills its worker runs out of attempts. In a
    `batch`, jobs wait behind others whose crash must not cost them an attempt: there an attempt is counted
    when it ends, unless the job has a last_error or max_attempts is 1. If the worker dies first, reap()
    writes a last_error, and the job is claimed alone from then on.
    """
    postgresql = is_postgresql(connection)
    values = {"now": now, "limit": limit, "worker": worker, **_names(queues, postgresql)}
    # Read all rows before the COMMIT (SQLite requires it), and sort them: RETURNING guarantees no order.
    plan_steadily(connection)
    taken = connection.execute(_claim(tables, postgresql, bool(queues), batch), values).all()
    claimed = [Claimed._make((*row[:-1], not batch or _goes_alone(row))) for row in taken if _is_sound(row)]
    if len(claimed) < len(taken):
        unsound = [row[0] for row in taken if not _is_sound(row)]
        values = {"ids": as_list(unsound, postgresql), "error": UNSOUND, "worker": worker, "now": now}
        connection.execute(_bury_unsound(tables, postgresql), values)
    return sorted(claimed, key=lambda job: (job.priority, job.run_at, job.id))


UNSOUND = "A value in this row has the wrong type for its column: only jobqueue should write to this table."


def _is_sound(row: Sequence[Any]) -> bool:
    """Whether the values have the types of their columns, which SQLite does not enforce."""
    _, attempts, handler, max_attempts, max_run_time, priority, run_at, _, _ = row
    return (
        type(priority) is int
        and type(attempts) is int
        and type(max_attempts) is int
        and type(handler) is str
        and run_at is not UNREADABLE
        and isinstance(max_run_time, int | float | None)  # 20.0 may come back as 20
    )


@cache
def _bury_unsound(tables: Tables, postgresql: bool) -> Update:
    J = tables.jobs.c
    values = {**RELEASED, "last_error": bindparam("error"), "failed_at": NOW}
    return update(tables.jobs).where(among(J.id, "ids", postgresql), J.locked_by == WORKER).values(values)


def _goes_alone(row: Sequence[Any]) -> bool:
    return row[-1] is not None or row[3] == 1  # last_error's length, max_attempts: see _claim()


@cache
def _claim(tables: Tables, postgresql: bool, by_queue: bool, batch: bool) -> Any:
    J = tables.jobs.c
    pick = (
        select(J.id)
        .where(tables.waiting, J.run_at <= NOW, *_in_queues(tables, postgresql, by_queue))
        .order_by(J.priority, J.run_at, J.id)
        .limit(bindparam("limit"))
        # PostgreSQL: two workers never wait for each other. SQLAlchemy omits it for SQLite.
        .with_for_update(skip_locked=True)
        .scalar_subquery()
    )
    # PostgreSQL builds an array once, then finds its rows by id. Otherwise its planner may ignore the LIMIT
    # or scan the whole table.
    picked = J.id == any_(func.array(pick)) if postgresql else J.id.in_(pick)
    # With a single attempt even a crash must count, so such a job never waits behind others.
    alone = or_(J.last_error.is_not(None), J.max_attempts == 1) if batch else true()
    returned = (J.id, J.attempts, J.handler, J.max_attempts, J.max_run_time, J.priority, J.run_at, J.queue)
    return (
        update(tables.jobs)
        .where(picked)
        .values(
            locked_at=NOW, locked_by=WORKER, attempts=J.attempts + case((alone, 1), else_=0), updated_at=NOW
        )
        # Not `last_error IS NOT NULL`: in a RETURNING, SQLite 3.40 always makes that true.
        .returning(*returned, func.length(J.last_error).label("error_length"))
    )


def next_run_at(connection: Connection, tables: Tables, queues: Sequence[str] = ()) -> datetime | None:
    """When the next waiting job is due, possibly in the past; None if no job waits."""
    postgresql = is_postgresql(connection)
    plan_steadily(connection)
    statement = _next_run_at(tables, postgresql, bool(queues))
    return cast(datetime | None, connection.scalar(statement, _names(queues, postgresql)))


@cache
def _next_run_at(tables: Tables, postgresql: bool, by_queue: bool) -> Any:
    J = tables.jobs.c
    earliest = func.min(J.run_at, type_=J.run_at.type)
    if by_queue:
        return select(earliest).where(tables.waiting, *_in_queues(tables, postgresql, by_queue))
    # The index orders jobs by priority, then run_at, so this reads only the first job of each priority,
    # however many jobs there are. (PostgreSQL's wiki calls it a loose index scan.)
    lowest = select(func.min(J.priority).label("priority")).where(tables.waiting)
    first = lowest.cte("priorities", recursive=True)
    after = lowest.where(J.priority > first.c.priority).scalar_subquery()
    priorities = first.union_all(select(after).where(first.c.priority.is_not(None)))
    of_one = select(earliest).where(tables.waiting, J.priority == priorities.c.priority).scalar_subquery()
    return select(func.min(of_one, type_=J.run_at.type)).select_from(priorities)


def _in_queues(tables: Tables, postgresql: bool, by_queue: bool) -> list[ColumnElement[bool]]:
    return [among(tables.jobs.c.queue, "queues", postgresql)] if by_queue else []


def _names(queues: Sequence[str], postgresql: bool) -> dict[str, Any]:
    return {"queues": as_list(queues, postgresql)} if queues else {}
