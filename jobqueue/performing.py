"""Performs a claimed job, and settles the outcomes of jobs."""

import traceback
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection
from sqlalchemy.orm import Session

from jobqueue import hooks, settling
from jobqueue.claiming import Claimed
from jobqueue.errors import LeaseLost
from jobqueue.handlers import JobClass, parse
from jobqueue.queue import Queue
from jobqueue.retry import backoff
from jobqueue.schema import Tables

MAX_ERROR_CHARACTERS = 50_000


class Outcome(NamedTuple):
    """How a job went: `error` is the traceback, or None; `settled` is whether the job's own transaction has
    already finished it.
    """

    job: Claimed
    error: str | None = None
    settled: bool = False


def perform(queue: Queue, worker: str, job: Claimed) -> Outcome:
    """Run the job; returns its outcome, whatever the job raises. (KeyboardInterrupt is not the job's, and
    propagates.)
    """
    try:
        known, body = parse(job.handler)
        if known.mapped or known.takes_session:
            settled = _perform_in_session(queue, worker, job, known, body)
            return Outcome(job, settled=settled)
        target = known.load(body, None)
        if not known.hooks:
            target.perform()
        else:
            with hooks.around(target, job):
                target.perform()
                hooks.success(target, job)
    except (Exception, SystemExit) as error:  # a job that calls sys.exit() has failed; the worker goes on
        return Outcome(job, error=error_text(error))
    return Outcome(job)


def settle(
    connection: Connection, tables: Tables, worker: str, outcomes: Sequence[Outcome], now: datetime
) -> list[Outcome]:
    """Settle jobs in the database; returns the outcomes not written because the lease was lost."""
    unsettled = [outcome for outcome in outcomes if not outcome.settled]
    succeeded = [outcome.job for outcome in unsettled if outcome.error is None]
    finished = settling.finish(connection, tables, worker, succeeded) if succeeded else set()
    lost = []
    for outcome in unsettled:
        job, error = outcome.job, outcome.error
        if error is None:
            ours = job.id in finished
        elif job.attempts >= job.max_attempts:
            ours = settling.bury(connection, tables, worker, job, error, now)
        else:
            ours = settling.retry(connection, tables, worker, job, error, now + backoff(job.attempts), now)
        if not ours:
            lost.append(outcome)
    return lost


def error_text(error: BaseException) -> str:
    """The error's traceback, or the end of a very long one, as text that every database can store."""
    try:
        text = "".join(traceback.format_exception(error))
    except Exception:  # Python itself can't print it: a SyntaxError with strange attributes
        text = f"{type(error).__name__}, whose traceback can't be printed"
    text = text[-MAX_ERROR_CHARACTERS:].replace("\x00", "\\x00")
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _perform_in_session(
    queue: Queue, worker: str, job: Claimed, known: JobClass, body: dict[str, object]
) -> bool:
    """Run the job, and commit what it has not committed itself together with the job's end. Returns whether
    it did; False if there was nothing to commit. Raises LeaseLost, which rolls back the job's writes.
    """
    with Session(queue.writer, expire_on_commit=False) as session:
        if known.takes_session:
            target = known.load(body, session)
        else:
            # Loaded in a session that ends here: no transaction is open while perform() waits for others.
            with Session(queue.engine) as reading:
                target = known.load(body, reading)
                reading.expunge(target)
            session.add(target)
        with hooks.around(target, job):
            known.call(target, session)
            hooks.success(target, job)
            if not session.in_transaction():
                return False
            if not settling.finish(session.connection(), queue.tables, worker, [job]):
                raise LeaseLost
            session.commit()
            return True
