"""`jobqueue verify`: would every queued job still load with this code? Run it before a deployment.

It loads each job as a worker would, and performs none: a mapped object is read from the database, any other
is created by the __init__ of its class.
"""

import argparse
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from jobqueue import HandlerError, JobQueueError, Queue
from jobqueue.database import complaint
from jobqueue.handlers import parse
from jobqueue.tools.asking import add_json, opened
from jobqueue.tools.options import Commands, add_database, add_imports, import_jobs, modules
from jobqueue.tools.printing import paragraph, plural, say, say_json

PAGE_JOBS = 500  # jobs in memory at a time
MOST_REASONS = 50  # that are kept apart, so that memory is bounded whatever the errors say
MOST_EXAMPLES = 5


@dataclass
class SameReason:
    """Jobs that would fail for the same reason; `ids` are the first few."""

    reason: str
    count: int = 0
    ids: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Verdict:
    """How many jobs were checked, and which would not load."""

    checked: int
    groups: list[SameReason]

    @property
    def broken(self) -> int:
        return sum(group.count for group in self.groups)


def add_commands(commands: Commands) -> None:
    command = commands.add_parser(
        "verify",
        help="would every queued job still load with this code?",
        description="Load every job that waits or runs, as a worker with this code would, and perform none."
        " Exit status 1: some would not load.",
    )
    add_database(command)
    add_imports(command)
    add_json(command)
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print which jobs would not load; returns 0, or 1 when there are any. Raises JobQueueError."""
    if not modules(options):
        raise JobQueueError("name the modules that register your jobs, as for the worker: --import MODULE")
    import_jobs(options)
    with opened(options) as queue:
        verdict = verify(queue)
    if options.json:
        groups = [asdict(group) for group in verdict.groups]
        say_json({"checked": verdict.checked, "broken": verdict.broken, "reasons": groups})
        return int(verdict.broken > 0)
    if not verdict.checked:
        say("no jobs to check")
    elif not verdict.broken:
        say(f"fine: checked {plural(verdict.checked, 'job')}, and all would load")
    else:
        say(f"BROKEN: of {plural(verdict.checked, 'job')}, {verdict.broken:,} would not load")
    for group in verdict.groups:
        more = ", ..." if group.count > len(group.ids) else ""
        say(f"\n{plural(group.count, 'job')} ({', '.join(map(str, group.ids))}{more}):")
        say(paragraph(group.reason, mark="  "))
    return int(verdict.broken > 0)


def verify(queue: Queue) -> Verdict:
    """Try to load every waiting or running job, page by page; those that would not load are grouped by
    reason, the largest group first.
    """
    groups: dict[str, SameReason] = {}
    checked, last = 0, 0
    while rows := _check_page(queue, last, groups):
        checked += len(rows)
        last = rows[-1].id
    return Verdict(checked, sorted(groups.values(), key=lambda group: -group.count))


def why_not(handler: str, session: Session) -> str | None:
    """Why a worker with this code could not load the job; None when it could. Nothing is written."""
    try:
        known, body = parse(handler)
    except HandlerError as error:
        return str(error)
    try:
        if not known.mapped:
            known.load(body, None)
            return None
        with session.begin_nested():  # on PostgreSQL, an error would abort the transaction
            known.load(body, session)
    except HandlerError as error:
        return str(error)
    except DBAPIError as error:
        return f"{known.name} can't be read from the database: {complaint(error)}"
    except Exception as error:  # from the class itself: the attempt would fail with it
        return f"{known.name} raises {type(error).__name__}: {error}"
    return None


def _check_page(queue: Queue, last: int, groups: dict[str, SameReason]) -> Sequence[Any]:
    """Check the next page of jobs, those after the id `last`; returns its rows."""
    J = queue.tables.jobs.c
    page = select(J.id, J.handler).where(J.failed_at.is_(None), J.id > last).order_by(J.id).limit(PAGE_JOBS)
    with Session(queue.engine) as session:
        if queue.engine.dialect.name == "postgresql":
            # As on SQLite: read jobs and their mapped objects from one snapshot.
            session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        rows = session.execute(page).all()
        for id, handler in rows:
            if why := why_not(handler, session):
                reason = _without_key(why, handler)
                if reason not in groups and len(groups) >= MOST_REASONS:
                    reason = "other reasons: see jobqueue explain ID --import MODULE"
                group = groups.setdefault(reason, SameReason(reason))
                group.count += 1
                if len(group.ids) < MOST_EXAMPLES:
                    group.ids.append(id)
    return rows


def _without_key(why: str, handler: str) -> str:
    """The reason without what is specific to this job, so that similar jobs are grouped."""
    try:
        known, body = parse(handler)
    except HandlerError:
        return re.sub("(what jobqueue writes): .*", r"\1", why, flags=re.DOTALL)
    return why.replace(f" {body.get('key')} ", " ", 1) if known.mapped else why
