"""The SQL of claiming: one statement takes the jobs that are due, and most urgent. And when the next one is.

Each function takes its transaction's connection, and `now`. The statements are built once: then there is
nothing to do but to look up their text.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple, cast

from sqlalchemy import (
    BindParameter,
    ColumnElement,
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

from jobqueue.database import among, as_list, is_postgresql
from jobqueue.direct import Transaction, count, rows
from jobqueue.schema import UNREADABLE, jobs, waiting

J = jobs.c

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
    claimed = [Claimed._make((*row[:-1], not batch or _goes_alone(row))) for row in taken if _is_sound(row)]
    if len(claimed) < len(taken):
        unsound = [row[0] for row in taken if not _is_sound(row)]
        values = {"ids": as_list(unsound, postgresql), "error": UNSOUND, "worker": worker, "now": now}
        count(connection, _bury_unsound(postgresql), values)
    return sorted(claimed, key=lambda job: (job.priority, job.run_at, job.id))


UNSOUND = "A value in this row is not of its column's kind: nobody but jobqueue should write here."


def _is_sound(row: Sequence[Any]) -> bool:
    """Whether the values are of the right kinds. SQLite stores whatever it is given."""
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
def _bury_unsound(postgresql: bool) -> Update:
    values = {**RELEASED, J.last_error: bindparam("error"), J.failed_at: NOW}
    return update(jobs).where(among(J.id, "ids", postgresql), J.locked_by == WORKER).values(values)


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
        .scalar_subquery()
    )
    # An array is made once, and its rows are found by their ids: otherwise PostgreSQL's planner may ignore
    # the LIMIT, or read the whole table.
    picked = J.id == any_(func.array(pick)) if postgresql else J.id.in_(pick)
    # At most one attempt: even a crash must count, so such a job never waits behind others.
    alone = or_(J.last_error.is_not(None), J.max_attempts == 1) if batch else true()
    returned = (J.id, J.attempts, J.handler, J.max_attempts, J.max_run_time, J.priority, J.run_at, J.queue)
    return (
        update(jobs)
        .where(picked)
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
    return [among(J.queue, "queues", postgresql)] if by_queue else []


def _names(queues: Sequence[str], postgresql: bool) -> dict[str, Any]:
    return {"queues": as_list(queues, postgresql)} if queues else {}
