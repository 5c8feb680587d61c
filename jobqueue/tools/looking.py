"""Inspecting the queue: shared by the commands, the dashboard and the metrics."""

import os
import re
import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import accumulate
from math import inf
from typing import Any, Literal

from sqlalchemy import ColumnElement, and_, case, func, select
from sqlalchemy.orm import Session

from jobqueue import Job, Queue
from jobqueue.dialects import readable
from jobqueue.handlers import NOBODY_KNOWS
from jobqueue.options import TOO_MUCH
from jobqueue.schema import GONE, Tables, WorkerRow
from jobqueue.tools.presence import SIGNS_OF_LIFE, WAIT_BOUNDS, Tally, tallies
from jobqueue.tools.spans import span

SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
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
    paused: bool = False


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
        paused = set(map(readable, session.scalars(select(queue.tables.pauses.c.queue))))
        queues = [
            QueueStats(
                readable(name), int(a), int(b), int(c), int(d), int(e), _seconds(oldest, now), name in paused
            )
            for name, a, b, c, d, e, oldest in session.execute(counts).all()
        ]
        empty = paused - {each.name for each in queues}
        queues += [QueueStats(name, 0, 0, 0, 0, 0, 0.0, paused=True) for name in empty]
        queues.sort(key=lambda each: each.name)
        there = select(W).where(W.name != GONE).order_by(W.started_at)
        workers = [worker for worker in session.scalars(there) if _makes_sense(worker)]
        done = sum(tallies(session.connection(), queue.tables).values(), Tally())
        holders = select(J.locked_by, func.count()).where(running).group_by(J.locked_by)
        held = {readable(name): int(a) for name, a in session.execute(holders).all()}
    return Stats(queues, workers, done, held)


def _makes_sense(worker: WorkerRow) -> bool:
    """Whether a worker can have written the row: SQLite holds anything in any column."""
    numbers = worker.threads, worker.lease, worker.max_run_time
    counts = worker.succeeded, worker.failed
    return (
        all(isinstance(text, str) for text in (worker.name, worker.queues, worker.waits))
        and all(isinstance(number, int | float) and 0 < number < TOO_MUCH for number in numbers)
        and all(isinstance(count, int) for count in counts)
        and all(1 < moment.year < 9999 for moment in (worker.started_at, worker.seen_at))
    )


def is_silent(worker: WorkerRow, now: datetime) -> bool:
    """Whether it is presumed dead: it has been silent for longer than its lease, and others get its jobs; or
    it is gone.
    """
    return (now - worker.seen_at).total_seconds() > worker.lease or is_gone(worker, now)


def is_gone(worker: WorkerRow, now: datetime) -> bool:
    """Whether it was this machine's, has no process any more, and has missed a sign of life. (Containers with
    the same host name don't see each other's processes.)
    """
    host, pid = host_and_pid(worker.name)
    if (
        host != socket.gethostname()
        or not pid
        or (now - worker.seen_at).total_seconds() * SIGNS_OF_LIFE < 1.5 * worker.lease
    ):
        return False
    try:
        os.kill(pid, 0)
    except (PermissionError, OverflowError):
        return False
    except ProcessLookupError:
        return True
    return False


def host_and_pid(name: str) -> tuple[str, int | None]:
    """From a worker's name; a name of another form is taken for the host."""
    found = re.fullmatch(r"host:(\S+) pid:(\d{1,30}) \S+", name)
    return (found[1], int(found[2])) if found else (name, None)


def serves(worker: WorkerRow, name: str) -> bool:
    """Whether the worker performs jobs of the named queue."""
    return not worker.queues or name in worker.queues.split(",")


def pickup_latency(done: Tally, share: float) -> float | None:
    """A bound, in seconds, within which this share of the jobs was claimed after being due: the histogram's
    next one, infinity above its highest. None if no job was claimed.
    """
    rank = share * sum(done.waits)
    within = accumulate(done.waits)
    return next(
        (bound for bound, count in zip((*WAIT_BOUNDS, inf), within, strict=True) if count >= rank > 0), None
    )


def pickup(done: Tally) -> str:
    """The pick-up latencies, in words."""
    bounds = ((name, pickup_latency(done, share)) for name, share in SHARES.items())
    longest = f"over {span(WAIT_BOUNDS[-1])}"
    return ", ".join(
        f"{name} {longest if bound == inf else f'at most {span(bound)}'}" for name, bound in bounds if bound
    )


def find(
    queue: Queue,
    *,
    state: State | None = None,
    name: str | None = None,
    limit: int = 100,
    offset: int = 0,
    now: datetime | None = None,
) -> list[Job]:
    """Jobs in the order in which they would run, then those that failed for good (with `state` "failed", the
    latest failure first): at most `limit`, after skipping `offset`.
    """
    Job = queue.tables.Job
    wanted = select(Job).where(*_in_state(queue.tables, state, now or datetime.now(UTC)))
    if name is not None:
        wanted = wanted.where(Job.queue == name)
    order = [Job.failed_at.desc() if state == "failed" else Job.failed_at.is_not(None)]
    ordered = wanted.order_by(*order, Job.priority, Job.run_at, Job.id)
    with Session(queue.engine) as session:
        return list(session.scalars(ordered.limit(limit).offset(offset)))


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
