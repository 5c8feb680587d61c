"""`jobqueue explain ID`: why is this job not running? Every reason that applies, and what to do."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import cast

from sqlalchemy import func, literal, select, tuple_
from sqlalchemy.orm import Session

from jobqueue import Job, NoSuchJob, Queue
from jobqueue.dialects import UNREADABLE
from jobqueue.handlers import NOBODY_KNOWS, registry
from jobqueue.options import fault
from jobqueue.schema import WorkerRow
from jobqueue.tools import looking
from jobqueue.tools.asking import add_json, job_id, opened
from jobqueue.tools.looking import Stats
from jobqueue.tools.options import Commands, add_database, add_imports, import_jobs
from jobqueue.tools.printing import call, complain, last_line, paragraph, plural, say, say_json, state_of
from jobqueue.tools.spans import ago, span
from jobqueue.tools.verifying import why_not

STUCK = timedelta(seconds=10)  # enough for any worker with a free thread to claim a due job


@dataclass(frozen=True)
class Reason:
    """One reason why a job is not running; `code` is for programs."""

    code: str
    text: str


@dataclass(frozen=True)
class Explanation:
    """Why a job is not running, or that it is. `state` is as in `jobqueue list`, or "gone"."""

    id: int
    state: str
    job: str  # as written in Python; empty when it is gone
    reasons: list[Reason]


def add_commands(commands: Commands) -> None:
    command = commands.add_parser(
        "explain",
        help="why is a job not running?",
        description="Say why a job is not running, and what to do; with --import, also whether this code can"
        " load it. Exit status 1: there is no such job.",
    )
    add_database(command)
    command.add_argument("id", metavar="ID", type=job_id)
    add_imports(command)
    add_json(command)
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Explain a job; returns 0, or 1 when there is no such job."""
    import_jobs(options)
    with opened(options) as queue:
        found = explain(queue, options.id)
    gone = found.state == "gone"
    if options.json:
        say_json(asdict(found))
    elif gone:
        return complain(found.reasons[0].text)
    else:
        say(paragraph(f"job {found.id}, {found.job}: {found.state}"))
        for reason in found.reasons:
            say(paragraph(reason.text, mark="- "))
    return int(gone)


def explain(queue: Queue, id: int, now: datetime | None = None) -> Explanation:
    """Why the job is not running. Whether it can be loaded is checked only in a program that has registered
    jobs.
    """
    now = now or datetime.now(UTC)
    try:
        job = queue.get(id)
    except NoSuchJob as error:
        return Explanation(id, "gone", "", [Reason("no_such_job", str(error))])
    stats = looking.stats(queue, now)
    alive = [worker for worker in stats.workers if not looking.is_silent(worker, now)]
    state = state_of(job, now)
    reasons: list[Reason] = []
    if nonsense := fault(job):
        text = f"its row makes no sense: {nonsense}. A worker that finds it sets it aside as failed"
        reasons.append(Reason("unsound", f"{text}; jobqueue delete {id} deletes it"))
    elif state == "failed":
        reasons.append(_failed(job, now))
    elif state == "running":
        reasons += _running(job, stats, alive, queue.lease, now)
    else:
        reasons += _not_yet(job, now)
        if any(each.paused for each in stats.queues if each.name == job.queue):
            text = f"its queue is paused; jobqueue resume {job.queue} lets its jobs run"
            reasons.append(Reason("paused", text))
        serving = [worker for worker in alive if looking.serves(worker, job.queue)]
        if not serving:
            reasons.append(_nobody(job, len(alive), len(stats.workers) - len(alive)))
        elif state == "due":
            reasons += _in_line(queue, job, serving, stats.held, now)
    if registry and (why := _not_loaded(queue, job)):
        reasons.append(Reason("handler", f"this program can't load it: {why}"))
    return Explanation(id, state, call(job.handler), reasons)


def _failed(job: Job, now: datetime) -> Reason:
    return Reason(
        "failed",
        f"it failed for good {_moment(cast(datetime, job.failed_at), now)}, after {_attempts(job)}:"
        f" {last_line(job.last_error)}. See jobqueue show {job.id}; jobqueue retry {job.id} lets it run",
    )


def _not_yet(job: Job, now: datetime) -> list[Reason]:
    """Its run_at, if that is still to come, and its last error."""
    reasons = []
    if job.run_at > now:
        text = f"it is due {_moment(job.run_at, now)}; jobqueue retry {job.id} lets it run now"
        reasons.append(Reason("not_due", text))
    if (job.last_error or "").startswith(NOBODY_KNOWS):
        text = (
            "a worker gave it back because it does not know its class; start one that does:"
            f" jobqueue work --import MODULE. It said: {last_line(job.last_error)}"
        )
        reasons.append(Reason("unknown_job", text))
    elif job.last_error:
        text = f"it has used {_attempts(job)}, and will be retried. Last error: {last_line(job.last_error)}"
        reasons.append(Reason("retry", text))
    return reasons


def _running(
    job: Job, stats: Stats, alive: Sequence[WorkerRow], lease: timedelta, now: datetime
) -> list[Reason]:
    """Which worker holds it, until when, and whether all is well."""
    worker = next((worker for worker in stats.workers if worker.name == job.locked_by), None)
    if worker:
        lease = timedelta(seconds=worker.lease)
    beat = job.locked_at or UNREADABLE
    heard = f"was last heard from {ago(beat, now)}"
    if beat + lease < now:
        helper = (
            "another worker is about to free it"
            if alive
            else "no worker is running: start one with jobqueue work"
        )
        text = f"{job.locked_by}, which holds it, {heard}; its lease has expired, and {helper}"
        return [Reason("lease_over", text)]
    until = f"{beat + lease:%F %T} UTC"
    if worker and looking.is_gone(worker, now):
        gone = f"{job.locked_by}, which holds it, {heard}, and has no process any more"
        return [Reason("worker_gone", f"{gone}; the job goes to others at {until}")]
    reasons = [
        Reason(
            "running",
            f"it is running: {job.locked_by} has held it for {_since(job.updated_at, now)}, {heard}, and"
            f" renews its lease; if that worker falls silent, the job goes to others at {until}",
        )
    ]
    if worker and (held := stats.held.get(worker.name, 0)) > worker.threads:
        text = (
            f"its worker holds {held} jobs for {plural(worker.threads, 'thread')}: it may be waiting"
            " behind others, which take milliseconds; if they take longer, it is given back"
        )
        reasons.append(Reason("batch", text))
    limit = job.max_run_time or (worker and worker.max_run_time)
    if limit and now - job.updated_at > timedelta(seconds=limit) + STUCK:
        text = (
            f"it has been held for longer than its max_run_time of {limit:g} s, and its worker should have"
            " ended it: the worker seems stuck; restart it"
        )
        reasons.append(Reason("stuck", text))
    return reasons


def _nobody(job: Job, alive: int, silent: int) -> Reason:
    if alive:
        start = f"start one with jobqueue work --queue {job.queue} --import MODULE"
        are = "1 worker is" if alive == 1 else f"{alive} workers are"
        text = f"{are} running, but serve{'s' * (alive == 1)} queues other than {job.queue}: {start}"
        return Reason("no_worker_on_queue", text)
    gone = f" ({plural(silent, 'worker')} fell silent)" if silent else ""
    return Reason("no_worker", f"no worker is running{gone}: start one with jobqueue work --import MODULE")


def _in_line(
    queue: Queue, job: Job, serving: Sequence[WorkerRow], held: Mapping[str, int], now: datetime
) -> list[Reason]:
    """What keeps the workers that serve its queue from claiming it."""
    threads = sum(worker.threads for worker in serving)
    free = sum(max(0, worker.threads - held.get(worker.name, 0)) for worker in serving)
    who = f"{plural(len(serving), 'worker')} with {plural(threads, 'thread')}"
    before = _count_before(queue, job, serving, now)
    reasons = []
    if before:
        text = f"{plural(before, 'due job')} will be claimed before it, by {who}"
        reasons.append(Reason("behind", text))
    if not free:
        text = f"all threads are busy: its queue has {who}; start more, or give them more --threads"
        reasons.append(Reason("busy", text))
    elif not before and now - job.run_at > STUCK:
        text = (
            f"it has been due for {_since(job.run_at, now)}, though {free} of {plural(threads, 'thread')} are"
            " free: its workers seem stuck, or their clocks are behind; see jobqueue doctor, and restart them"
        )
        reasons.append(Reason("stuck", text))
    elif not before:
        reasons.append(Reason("next", f"it is next, and will be claimed at any moment, by {who}"))
    return reasons


def _count_before(queue: Queue, job: Job, serving: Sequence[WorkerRow], now: datetime) -> int:
    """How many due jobs come before it in the queues that its workers serve."""
    J = queue.tables.jobs.c
    order = tuple_(J.priority, J.run_at, J.id)
    its = tuple_(literal(job.priority), literal(job.run_at, J.run_at.type), literal(job.id, J.id.type))
    before = select(func.count()).where(queue.tables.waiting, J.run_at <= now, order < its)
    names = {name for worker in serving for name in worker.queues.split(",")}
    if "" not in names:  # no worker serves all queues
        before = before.where(J.queue.in_(names))
    with queue.engine.connect() as connection:
        return connection.scalar(before) or 0


def _not_loaded(queue: Queue, job: Job) -> str | None:
    with Session(queue.engine) as session:
        return why_not(job.handler, session)


def _attempts(job: Job) -> str:
    return f"{job.attempts} of {plural(job.max_attempts, 'attempt')}"


def _since(moment: datetime, now: datetime) -> str:
    return span(max(0.0, (now - moment).total_seconds()))


def _moment(moment: datetime, now: datetime) -> str:
    return f"at {moment:%F %T} UTC ({ago(moment, now)})"
