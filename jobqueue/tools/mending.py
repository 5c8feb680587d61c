"""`jobqueue retry`, `delete`, `pause`, `resume` and `clear`: mend the queue."""

import argparse
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select

from jobqueue import Queue
from jobqueue.errors import AlreadyQueued, JobQueueError, NoSuchJob
from jobqueue.tools import failures, looking
from jobqueue.tools.asking import add_name, job_id, opened
from jobqueue.tools.options import Commands, add_database, add_number, option
from jobqueue.tools.printing import complain, plain, plural, say


def add_commands(commands: Commands) -> None:
    for name, text, run in (
        ("retry", "retry failed jobs, and run waiting ones now", retry),
        ("delete", "delete jobs; a running attempt goes on to its end", delete),
    ):
        command = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        add_database(command)
        command.add_argument("ids", metavar="ID", type=job_id, nargs="*")
        command.add_argument("--failed", action="store_true", help="all jobs that failed for good")
        add_name(command)
        if run is delete:
            add_number(
                command, "--older-than", "S", "with --failed: only those that failed S seconds ago", None
            )
        command.set_defaults(run=run)

    for name, text, run in (
        ("pause", "let the jobs of a queue wait; those that run go on to their end", pause),
        ("resume", "let workers perform the jobs of a paused queue again", resume),
    ):
        command = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        add_database(command)
        command.add_argument("queue", metavar="QUEUE", type=option("queue"), help="its name")
        command.set_defaults(run=run)

    command = commands.add_parser("clear", help="delete all jobs, including failed ones")
    add_database(command)
    add_name(command)
    command.add_argument("--yes", action="store_true", help="delete them; without it, only count them")
    command.set_defaults(run=clear)


def retry(options: argparse.Namespace) -> int:
    """Make jobs due now; returns 0, or 1 when one could not be retried."""
    now = datetime.now(UTC)
    if not _all_failed(options):
        return _each(options, lambda queue, id: _retry(queue, id, now))
    with opened(options) as queue:
        count = failures.retry_all(queue, until=now, name=options.name, now=now)
        left = len(looking.find(queue, state="failed", name=options.name, limit=1))
    say(f"retried {plural(count, 'failed job')}")
    if left:
        return complain("some were not retried: other jobs have their unique keys; see list --state failed")
    return 0


def delete(options: argparse.Namespace) -> int:
    """Delete jobs; returns 0, or 1 when one did not exist."""
    if not _all_failed(options):
        return _each(options, _delete)
    with opened(options) as queue:
        until = datetime.now(UTC) - timedelta(seconds=options.older_than or 0)
        count = failures.delete_all(queue, until=until, name=options.name)
    say(f"deleted {plural(count, 'failed job')}")
    return 0


def pause(options: argparse.Namespace) -> int:
    """Pause a queue; returns 0."""
    with opened(options) as queue:
        queue.pause(options.queue)
    say(f"the queue {plain(options.queue)} is paused; resume it with jobqueue resume {plain(options.queue)}")
    return 0


def resume(options: argparse.Namespace) -> int:
    """Resume a queue; returns 0, also when it was not paused."""
    with opened(options) as queue:
        pauses = queue.tables.pauses
        with queue.engine.connect() as connection:
            paused = connection.scalar(select(pauses.c.queue).where(pauses.c.queue == options.queue))
        queue.resume(options.queue)
    say(f"the queue {plain(options.queue)} {'is resumed' if paused else 'was not paused'}")
    return 0


def clear(options: argparse.Namespace) -> int:
    """Delete all jobs; returns 0. Raises JobQueueError without --yes."""
    where = f" of the queue {plain(options.name)}" if options.name is not None else ""
    with opened(options) as queue:
        if options.yes:
            say(f"deleted {plural(queue.clear(options.name), 'job')}{where}")
            return 0
        jobs = queue.tables.jobs
        which = [] if options.name is None else [jobs.c.queue == options.name]
        with queue.engine.connect() as connection:
            count = connection.scalar(select(func.count()).select_from(jobs).where(*which)) or 0
    raise JobQueueError(f"this would delete {plural(count, 'job')}{where}: add --yes to do it")


def _all_failed(options: argparse.Namespace) -> bool:
    """Whether --failed was given rather than ids. Raises JobQueueError for both, neither, or ids with an
    option that goes with --failed.
    """
    if bool(options.ids) == options.failed:
        raise JobQueueError("give either job ids, or --failed for all jobs that failed for good")
    for flag, value in (("--queue", options.name), ("--older-than", vars(options).get("older_than"))):
        if options.ids and value is not None:
            raise JobQueueError(f"{flag} goes with --failed, not with job ids")
    return bool(options.failed)


def _each(options: argparse.Namespace, act: Callable[[Queue, int], str]) -> int:
    status = 0
    with opened(options) as queue:
        for id in options.ids:
            try:
                say(act(queue, id))
            except (NoSuchJob, AlreadyQueued) as error:
                status = complain(error)
    return status


def _retry(queue: Queue, id: int, now: datetime) -> str:
    if queue.retry(id, now=now):
        return f"job {id} is due now"
    return f"job {id} is already running"


def _delete(queue: Queue, id: int) -> str:
    state = queue.get(id).state
    queue.delete(id)
    return f"deleted job {id}" + ("; its running attempt goes on to its end" if state == "running" else "")
