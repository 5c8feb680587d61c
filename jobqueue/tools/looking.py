"""Inspecting and mending the queue: shared by the commands, the dashboard and the metrics."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, Literal

from sqlalchemy import ColumnElement, and_, case, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from jobqueue import Job, Queue, inserting
from jobqueue.errors import AlreadyQueued, NoSuchJob
from jobqueue.handlers import NOBODY_KNOWS
from jobqueue.schema import GONE, Tables, WorkerRow
from jobqueue.tools.presence import WAIT_BOUNDS, Tally, tallies

State = Literal["waiting", "due", "running", "failed"]


@dataclass(frozen=True)
class QueueStats:
    """One named queue at one moment. `waiting` includes the jobs that are due, and those (`unknown`) whose
    class a worker did not know.
    """

    name: str
    waiting: int
    due: int
    running: int
    failed: int
    unknown: int
    oldest_due_seconds: float  # how long the oldest due job has been due; 0 when none is


@dataclass(frozen=True)
class Stats:
    """The whole queue at one moment: each named queue, the workers, and what has been done so far."""

    queues: list[QueueStats]
    workers: list[WorkerRow]  # current ones; without the row GONE, the sum of former ones
    done: Tally  # by all workers, current and former
    held: dict[str, int]  # by worker name: how many jobs it has claimed and not settled

    def total(self, field: str) -> Any:
        """The sum of one of the counts over all queues."""
        return sum(getattr(queue, field) for queue in self.queues)

    @property
    def oldest_due_seconds(self) -> float:
        return max((queue.oldest_due_seconds for queue in self.queues), default=0.0)


def stats(queue: Queue, now: datetime | None = None) -> Stats:
    """The state of the queue. Reads a row for each job, so a backlog of a million takes a moment."""
    now = now or datetime.now(UTC)
    waiting, running, J, W = (
        queue.tables.waiting,
        queue.tables.running,
        queue.tables.jobs.c,
        queue.tables.WorkerRow,
    )
    due = and_(waiting, J.run_at <= now)

    def count(condition: ColumnElement[bool]) -> ColumnElement[int]:
        return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)

    counts = select(
        J.queue,
        count(waiting),
        count(due),
        count(running),
        count(J.failed_at.is_not(None)),
        count(and_(waiting, func.substr(J.last_error, 1, len(NOBODY_KNOWS)) == NOBODY_KNOWS)),
        func.min(case((due, J.run_at)), type_=J.run_at.type),
    ).group_by(J.queue)
    with Session(queue.engine, expire_on_commit=False) as session:
        queues = [
            QueueStats(name, int(a), int(b), int(c), int(d), int(e), _seconds(oldest, now))
            for name, a, b, c, d, e, oldest in session.execute(counts.order_by(J.queue)).all()
        ]
        there = select(W).where(W.name != GONE).order_by(W.started_at)
        workers = list(session.scalars(there))
        done = sum(tallies(session.connection(), queue.tables).values(), Tally())
        holders = select(J.locked_by, func.count()).where(running).group_by(J.locked_by)
        held = {str(name): int(a) for name, a in session.execute(holders).all()}
    return Stats(queues, workers, done, held)


def is_silent(worker: WorkerRow, now: datetime) -> bool:
    """Whether it has been silent for longer than its lease: it is presumed dead, and others get its jobs."""
    return now - worker.seen_at > timedelta(seconds=worker.lease)


def serves(worker: WorkerRow, name: str) -> bool:
    """Whether the worker performs jobs of the named queue."""
    return not worker.queues or name in worker.queues.split(",")


def pickup_latency(done: Tally, share: float) -> float | None:
    """Seconds within which this share of the jobs was claimed after being due; None if none was.

    Estimated from the histogram as Prometheus's histogram_quantile() does: linear within a bucket, and the
    highest bound, 300 s, for whatever took longer.
    """
    rank = share * sum(done.waits)
    below = 0
    for (lower, upper), count in zip(pairwise((0.0, *WAIT_BOUNDS)), done.waits, strict=False):
        if count and below + count >= rank:
            return lower + (upper - lower) * (rank - below) / count
        below += count
    return WAIT_BOUNDS[-1] if done.waits[-1] else None


def find(
    queue: Queue,
    *,
    state: State | None = None,
    name: str | None = None,
    limit: int = 100,
    offset: int = 0,
    now: datetime | None = None,
) -> list[Job]:
    """Jobs in the order in which they would run (with `state` "failed", the latest failure first): at most
    `limit`, after skipping `offset`.
    """
    Job = queue.tables.Job
    wanted = select(Job).where(*_in_state(queue.tables, state, now or datetime.now(UTC)))
    if name is not None:
        wanted = wanted.where(Job.queue == name)
    order = [Job.failed_at.desc()] if state == "failed" else []
    ordered = wanted.order_by(*order, Job.priority, Job.run_at, Job.id)
    with Session(queue.engine) as session:
        return list(session.scalars(ordered.limit(limit).offset(offset)))


def get(queue: Queue, id: int) -> Job:
    """The job with this id. Raises NoSuchJob."""
    with Session(queue.engine) as session:
        job = session.get(queue.tables.Job, id)
    if job is None:
        raise NoSuchJob(f"there is no job {id}: it has succeeded, or it was deleted")
    return job


def retry(queue: Queue, id: int, now: datetime | None = None) -> bool:
    """Make a job due now: one that failed for good gets all its attempts again, a running one is left alone;
    returns whether anything changed.

    Raises NoSuchJob, and AlreadyQueued when another job with its unique key is queued.
    """
    now = now or datetime.now(UTC)
    with Session(queue.writer) as session:
        job = session.get(queue.tables.Job, id, with_for_update=True)
        if job is None:
            raise NoSuchJob(f"there is no job {id}: it has succeeded, or it was deleted")
        if job.state == "running":
            return False
        if job.state == "failed":
            job.attempts, job.failed_at = 0, None
        job.run_at = job.updated_at = now
        key = job.unique_key
        try:
            session.flush()
        except IntegrityError as error:
            raise AlreadyQueued(
                f"job {id} can't be retried: another job with its key {key!r} is queued"
            ) from error
        inserting.notify(session.connection(), queue.tables)
        session.commit()
    return True


def delete(queue: Queue, id: int) -> None:
    """Delete a job, whatever its state. A running attempt goes on to its end. Raises NoSuchJob."""
    jobs = queue.tables.jobs
    with queue.writer.begin() as connection:
        if not connection.execute(jobs.delete().where(jobs.c.id == id)).rowcount:
            raise NoSuchJob(f"there is no job {id}: it has succeeded, or it was deleted")


def _seconds(since: datetime | None, now: datetime) -> float:
    return max(0.0, (now - since).total_seconds()) if since else 0.0


def _in_state(tables: Tables, state: State | None, now: datetime) -> list[ColumnElement[bool]]:
    J, waiting = tables.jobs.c, tables.waiting
    conditions: dict[State | None, list[ColumnElement[bool]]] = {
        None: [],
        "waiting": [waiting],
        "due": [waiting, J.run_at <= now],
        "running": [tables.running],
        "failed": [J.failed_at.is_not(None)],
    }
    return conditions[state]
