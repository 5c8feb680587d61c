"""`jobqueue stats`, `list`, `show` and `check`: inspect the queue."""

import argparse
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from math import inf
from textwrap import indent
from typing import Any, get_args

from sqlalchemy import func, select

from jobqueue import Job, NoSuchJob, Queue, waiting
from jobqueue.errors import JobQueueError
from jobqueue.schema import WorkerRow
from jobqueue.tools import looking
from jobqueue.tools.asking import add_json, add_name, job_id, opened
from jobqueue.tools.options import Commands, add_database, add_number
from jobqueue.tools.printing import (
    as_dict,
    call,
    complain,
    plain,
    plural,
    say,
    say_json,
    shown,
    state_of,
    table,
)
from jobqueue.tools.spans import ago, span
from jobqueue.waiting import Served


def add_commands(commands: Commands) -> None:
    command = commands.add_parser("stats", help="count the jobs, and show the workers")
    add_database(command)
    add_json(command)
    command.set_defaults(run=stats)

    command = commands.add_parser("list", help="list jobs in the order in which they run; failed ones last")
    add_database(command)
    add_name(command)
    command.add_argument(
        "--state", choices=get_args(looking.State), help="only these; due ones also count as waiting"
    )
    add_number(command, "--limit", "N", "show at most this many", 100, int)
    add_json(command)
    command.set_defaults(run=list_jobs)

    command = commands.add_parser("show", help="show everything about a job")
    add_database(command)
    command.add_argument("id", metavar="ID", type=job_id)
    add_json(command)
    command.set_defaults(run=show)

    command = commands.add_parser(
        "check",
        help="for monitoring: is any job late?",
        description="Exit status 0: no job has been due for longer than --max-age seconds. 1: some have."
        " Jobs of paused queues don't count.",
    )
    add_database(command)
    add_name(command)
    add_number(command, "--max-age", "S", "seconds that a job may wait after it is due", None)
    add_json(command)
    command.set_defaults(run=check)


def stats(options: argparse.Namespace) -> int:
    """Print the state of the queue; returns 0."""
    now = datetime.now(UTC)
    with opened(options) as queue:
        found = looking.stats(queue, now)
    if options.json:
        bounds = {name: looking.pickup_latency(found.done, share) for name, share in looking.SHARES.items()}
        say_json(
            {
                "queues": [vars(each) for each in found.queues],
                "workers": [_worker(each, found.held, now) for each in found.workers],
                "succeeded": found.done.succeeded,
                "failed": found.done.failed,
                # JSON has no infinity
                "pickup_seconds_at_most": {n: None if s == inf else s for n, s in bounds.items()},
            }
        )
        return 0
    headings = ("queue", "waiting", "due", "running", "failed", "oldest due")
    rows = [
        (
            q.name + " (paused)" * q.paused,
            q.waiting,
            q.due,
            q.running,
            q.failed,
            span(q.oldest_due_seconds) if q.due else "-",
        )
        for q in found.queues
    ]
    say(table(headings, rows, shrink=("queue",)) if rows else "no jobs")
    if unknown := found.total("unknown"):
        say(f"{plural(unknown, 'job')} of a class that a worker did not know: see jobqueue explain ID")
    say("")
    say(_workers(found, now) if found.workers else "no workers")
    say(f"\nattempts: {found.done.succeeded:,} succeeded, {found.done.failed:,} failed")
    if any(found.done.waits):
        say(f"pick-up latency: {looking.pickup(found.done)}")
    return 0


def list_jobs(options: argparse.Namespace) -> int:
    """Print a table of jobs; returns 0."""
    now = datetime.now(UTC)
    limit = options.limit
    with opened(options) as queue:
        found = looking.find(queue, state=options.state, name=options.name, limit=limit + 1, now=now)
    if options.json:
        say_json([as_dict(job, now) for job in found[:limit]])
        return 0
    headings = ("id", "state", "when", "queue", "priority", "attempts", "job")
    rows = [
        (
            job.id,
            state_of(job, now),
            ago(_when(job), now),
            job.queue,
            job.priority,
            f"{job.attempts}/{job.max_attempts}",
            call(job.handler),
        )
        for job in found[:limit]
    ]
    say(table(headings, rows, shrink=("queue", "job")) if rows else "no jobs")
    if len(found) > limit:
        say(f"only the first {limit} are shown; for more: --limit N")
    return 0


def show(options: argparse.Namespace) -> int:
    """Print everything about a job; returns 0, or 1 when there is no such job."""
    now = datetime.now(UTC)
    with opened(options) as queue:
        try:
            job = queue.get(options.id)
        except NoSuchJob as error:
            return complain(error)
    if options.json:
        say_json(as_dict(job, now))
        return 0
    for name, value in {**as_dict(job, now), "handler": call(job.handler)}.items():
        if name != "last_error":
            say(f"{name:<12}  {shown(value, now)}")
    trace = plain(job.last_error or "-", keep="\n\t")
    say(f"last_error\n{indent(trace.rstrip(), '  ')}")
    return 0


def check(options: argparse.Namespace) -> int:
    """Say whether any job is late; returns 0, or 1 when one is."""
    now = datetime.now(UTC)
    if options.max_age is None:
        raise JobQueueError("say how long a job may wait after it is due: --max-age SECONDS")
    with opened(options) as queue:
        oldest, late = overdue(queue, timedelta(seconds=options.max_age), options.name, now)
    where = f" in the queue {plain(options.name)}" if options.name else ""
    if options.json:
        say_json({"ok": not late, "late": late, "oldest_due_seconds": oldest, "max_age": options.max_age})
    elif late:
        have = "has" if late == 1 else "have"
        say(
            f"LATE: {plural(late, 'job')}{where} {have} been due for longer than {options.max_age:g} s,"
            f" the oldest for {span(oldest)}"
        )
    else:
        say(f"fine: no job{where} has been due for longer than {options.max_age:g} s")
    return int(late > 0)


def overdue(queue: Queue, age: timedelta, name: str | None, now: datetime) -> tuple[float, int]:
    """For how many seconds the oldest due job has been due, and how many have been for longer than `age`;
    those of paused queues don't count.
    """
    with queue.engine.connect() as connection:
        first = waiting.next_run_at(connection, queue.tables, Served() if name is None else Served((name,)))
        oldest = max(0.0, (now - first).total_seconds()) if first else 0.0
        if oldest <= age.total_seconds():  # the usual case, which is cheap however long the queue
            return oldest, 0
        jobs = queue.tables.jobs
        unpaused = jobs.c.queue.not_in(select(queue.tables.pauses.c.queue))
        late = select(func.count()).where(queue.tables.waiting, jobs.c.run_at < now - age, unpaused)
        which = late if name is None else late.where(jobs.c.queue == name)
        return oldest, int(connection.scalar(which) or 0)


def _when(job: Job) -> datetime:
    """When it failed, was claimed, or is due."""
    return job.failed_at or (job.updated_at if job.locked_by else job.run_at)


def _workers(found: looking.Stats, now: datetime) -> str:
    headings = ("host", "pid", "threads", "queues", "seen", "running", "succeeded", "failed")
    rows = []
    for worker in found.workers:
        host, pid = looking.host_and_pid(worker.name)
        queues = worker.queues or "all"
        seen = ago(worker.seen_at, now) + (" SILENT" if looking.is_silent(worker, now) else "")
        running = found.held.get(worker.name, 0)
        rows.append((host, pid, worker.threads, queues, seen, running, worker.succeeded, worker.failed))
    return table(headings, rows, shrink=("host", "queues"))


def _worker(worker: WorkerRow, held: Mapping[str, int], now: datetime) -> dict[str, Any]:
    """A worker, for JSON."""
    columns = {column.name: getattr(worker, column.name) for column in WorkerRow.__table__.columns}
    del columns["waits"]
    host, pid = looking.host_and_pid(worker.name)
    return {
        **columns,
        "host": host,
        "pid": pid,
        "queues": worker.queues.split(",") if worker.queues else [],
        "seen_seconds_ago": (now - worker.seen_at).total_seconds(),
        "silent": looking.is_silent(worker, now),
        "running": held.get(worker.name, 0),
    }
