"""The queue's SQL, one function a statement. Each takes its transaction's connection, and `now`.

A claim is one statement. Finishing is fenced: it touches a row only while this worker has this attempt of it.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Update,
    and_,
    case,
    delete,
    func,
    insert,
    null,
    select,
    tuple_,
    update,
)

from jobqueue.database import insert_unless_there
from jobqueue.errors import AlreadyQueued
from jobqueue.schema import jobs, running, unique, waiting

J = jobs.c
RELEASED = {J.locked_at: null(), J.locked_by: null()}


class Claimed(NamedTuple):
    """A job that this worker has: what it needs in order to run it, and the fence to finish it."""

    id: int
    attempts: int  # of which attempt this is
    handler: str
    max_attempts: int
    max_run_time: float | None
    priority: int
    run_at: datetime
    queue: str

    @property
    def fence(self) -> tuple[int, int]:
        return self.id, self.attempts


def add(connection: Connection, row: dict[str, Any]) -> int:
    """Insert a job; returns its id."""
    id: int = connection.scalars(insert(jobs).values(row).returning(J.id)).one()
    return id


def add_unique(connection: Connection, row: dict[str, Any], *, keep: bool) -> int:
    """Insert a job unless one with its unique key waits or runs; returns its id.

    If there is one: returns that one's id if `keep`, and raises AlreadyQueued otherwise.
    """
    there = select(J.id).where(unique, J.unique_key == row["unique_key"])
    while True:
        added = connection.scalars(insert_unless_there(connection, jobs, row).returning(J.id)).all()
        if added:
            return int(added[0])
        for id in connection.scalars(there).all():  # none: it has just ended
            if keep:
                return int(id)
            raise AlreadyQueued(
                f"job {id} has the unique key {row['unique_key']!r}, and has not ended", id=id
            )


def add_many(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Insert jobs, in this order."""
    if rows:
        connection.execute(insert(jobs), rows)


def claim(
    connection: Connection, worker: str, limit: int, now: datetime, queues: Sequence[str] = ()
) -> list[Claimed]:
    """Take up to `limit` jobs that are due, the most urgent first, and count the attempt; returns them in
    that order.
    """
    pick = (
        select(J.id)
        .where(waiting, J.run_at <= now, *([J.queue.in_(queues)] if queues else []))
        .order_by(J.priority, J.run_at, J.id)
        .limit(limit)
        .with_for_update(
            skip_locked=True
        )  # PostgreSQL: two workers never wait for one another. SQLite leaves it out
        .cte("pick")
        .prefix_with("MATERIALIZED")  # or PostgreSQL's planner may ignore the LIMIT
    )
    taken = (
        update(jobs)
        .where(J.id == pick.c.id)
        .values(locked_at=now, locked_by=worker, attempts=J.attempts + 1, updated_at=now)
        .returning(*(J[field] for field in Claimed._fields))
    )
    # All rows are read before the COMMIT (SQLite), and sorted, since RETURNING promises no order.
    rows = connection.execute(taken).all()
    return sorted(map(Claimed._make, rows), key=lambda job: (job.priority, job.run_at, job.id))


def finish(connection: Connection, worker: str, done: Sequence[Claimed]) -> set[int]:
    """Delete jobs that succeeded; returns the ids of those that were still this worker's."""
    gone = delete(jobs).where(_still_ours(worker, done)).returning(J.id)
    return set(connection.execute(gone).scalars().all())


def retry(
    connection: Connection, worker: str, job: Claimed, error: str, run_at: datetime, now: datetime
) -> bool:
    """Give back a job whose attempt failed, to run again at `run_at`; returns whether it was still this
    worker's.
    """
    again = _give_back(worker, [job]).values(last_error=error, run_at=run_at, updated_at=now)
    return connection.execute(again).rowcount == 1


def bury(connection: Connection, worker: str, job: Claimed, error: str, now: datetime) -> bool:
    """Keep a job as failed for good; returns whether it was still this worker's."""
    failed = _give_back(worker, [job]).values(last_error=error, failed_at=now, updated_at=now)
    return connection.execute(failed).rowcount == 1


def release(connection: Connection, worker: str, unfinished: Sequence[Claimed], now: datetime) -> None:
    """Give back jobs that this worker will not finish, as if it had never claimed them."""
    connection.execute(_give_back(worker, unfinished).values(attempts=J.attempts - 1, updated_at=now))


def renew(connection: Connection, worker: str, held: Sequence[Claimed], now: datetime) -> None:
    """Heartbeat: renew the leases that this worker still has. One that was lost stays lost."""
    connection.execute(update(jobs).where(_still_ours(worker, held)).values(locked_at=now))


def reap(connection: Connection, lease: timedelta, now: datetime) -> int:
    """Free the jobs whose worker has not been heard of for `lease`; returns how many.

    They run again at once; the attempt stays counted, so that a job which kills its workers runs out of
    attempts.
    """
    out_of_attempts = J.attempts >= J.max_attempts
    said = (
        "The worker "
        + J.locked_by
        + " was not heard of for longer than its lease: it died, or lost the database."
    )
    freed = (
        update(jobs)
        .where(running, J.locked_at < now - lease)
        .values(
            {
                **RELEASED,
                J.last_error: said,
                J.failed_at: case((out_of_attempts, now), else_=null()),
                J.updated_at: now,
            }
        )
    )
    return connection.execute(freed).rowcount


def next_run_at(connection: Connection, queues: Sequence[str] = ()) -> datetime | None:
    """When the next waiting job is due (it may be in the past); None when none waits."""
    return connection.execute(
        select(func.min(J.run_at, type_=J.run_at.type)).where(
            waiting, *([J.queue.in_(queues)] if queues else [])
        )
    ).scalar()


def _give_back(worker: str, claimed: Sequence[Claimed]) -> Update:
    return update(jobs).where(_still_ours(worker, claimed)).values(RELEASED)


def _still_ours(worker: str, claimed: Sequence[Claimed]) -> ColumnElement[bool]:
    """The fence: the row has this worker's name, and no attempt has begun since."""
    return and_(
        J.id.in_([job.id for job in claimed]),  # says no more than the fence; SQLite finds rows by it, though
        J.locked_by == worker,
        tuple_(J.id, J.attempts).in_([job.fence for job in claimed]),
    )
