"""Performs a claimed job with its hooks, decides what becomes of it, and settles the outcomes of jobs.

A job's hooks are those of HOOKS in handlers.py that its class has.
"""

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import Connection, Engine
from sqlalchemy.orm import Session, scoped_session

from jobqueue.errors import (
    Discard,
    JobQueueError,
    LeaseLost,
    Retry,
    RunTimeExceeded,
    UnknownJob,
    is_ctrl_c,
    printable,
)
from jobqueue.handlers import JobClass, Performable, hook, parse, registered
from jobqueue.lease import Claimed, Lease, Outcome, backoff
from jobqueue.observing import surroundings
from jobqueue.options import JobSettings, moment
from jobqueue.transactions import Callers

if TYPE_CHECKING:
    from jobqueue.queue import Queue

logger = logging.getLogger("jobqueue")

MAX_ERROR_CHARACTERS = 50_000
UNKNOWN_WAIT = timedelta(seconds=30)  # before a job whose class a worker does not know is claimed again
SPENT = "it had no attempt left, after its worker had died, or had ended it"
AnySession = Session | scoped_session[Any]


def perform(queue: "Queue", lease: Lease, job: Claimed, now: datetime | None = None) -> Outcome:
    """Run the job; returns its outcome, whatever the job raises. (Ctrl-C is not the job's, and propagates.)

    `now` replaces the current time. A job without an attempt left is given up instead: the worker that had it
    died, or ended it because of its max_run_time.
    """
    known = outcome = None
    try:
        known, body = parse(job.handler)
        if job.attempts > job.max_attempts + 1:  # loading it, or its failure(), has killed a worker
            raise JobQueueError(SPENT)
        with surroundings(job):
            if known.mapped or known.takes_session:
                outcome = _perform_in_session(queue, lease, job, known, body, now)
            else:
                outcome = _attempt(known, known.load(body, None), job, now)
            if outcome.error is not None:
                raise outcome.error  # for the contexts to see
    except BaseException as error:
        if is_ctrl_c(error):
            raise
        return outcome or _failed(known, None, job, error, now)
    return outcome


def perform_inline(
    row: dict[str, Any], engine: Engine, session: Callers | None, joined: Connection | None
) -> int:
    """Inline mode, for tests of code that enqueues: perform the job at once, in the caller's transaction, or
    in one of its own; returns 0, since there is no row. Raises whatever the job raises.

    It comes as its row's text, so that a job that could not be queued fails here too.
    """
    if isinstance(session, Session | scoped_session):
        _perform_row(row, session)
        return 0
    with Session(joined or engine, join_transaction_mode="create_savepoint") as own:
        _perform_row(row, own)
        own.commit()
    return 0


def _perform_row(row: dict[str, Any], session: AnySession) -> None:
    known, body = parse(row["handler"])
    job = Claimed(id=0, **{name: row[name] for name in Claimed._fields if name in row} | {"attempts": 1})
    with surroundings(job):
        outcome = _attempt(known, known.load(body, session), job, session=session)
        if outcome.error is not None:
            raise outcome.error


def _perform_in_session(
    queue: "Queue", lease: Lease, job: Claimed, known: JobClass, body: dict[str, Any], now: datetime | None
) -> Outcome:
    """Run the job, and commit what it has not committed itself together with the job's end."""

    def settle() -> bool:
        if not session.in_transaction():
            return False
        if not lease.finish(session.connection(), [job]):
            raise LeaseLost  # which rolls back what the job has written
        session.commit()
        return True

    with Session(queue.writer, expire_on_commit=False) as session:
        if known.takes_session:
            target = known.load(body, session)
        else:
            # Loaded in a session that ends here: no transaction is open while perform() waits for others.
            with Session(queue.engine) as reading:
                target = known.load(body, reading)
                reading.expunge(target)
            session.add(target)
        return _attempt(known, target, job, now, session, settle)


def _attempt(
    known: JobClass,
    target: Performable,
    job: Claimed,
    now: datetime | None = None,
    session: AnySession | None = None,
    settle: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Call perform() and the hooks around it, then `settle`, which returns whether it has finished the job;
    returns the outcome. What before() and success() raise fails the attempt.
    """
    began, hooks, own = time.perf_counter(), registered(target).hooks, cast(Any, target)
    if job.attempts > job.max_attempts:
        return _failed(known, target, job, JobQueueError(SPENT), now)
    try:
        if "before" in hooks:
            own.before(job)
        known.call(target, session)
        if "success" in hooks:
            own.success(job)
        return Outcome(job, settled=settle(), seconds=time.perf_counter() - began)
    except BaseException as error:
        if is_ctrl_c(error):
            raise
        return _failed(known, target, job, error, now)._replace(seconds=time.perf_counter() - began)
    finally:
        if "after" in hooks:
            _call(target, "after", job)


def _call(target: Performable, name: str, *arguments: object) -> Any:
    """Call a hook, if the class has it; returns what it returns, or None if it raises, which is logged."""
    try:
        if function := hook(target, name):
            return function(*arguments)
    except BaseException as error:
        if is_ctrl_c(error):
            raise
        logger.error("%s.%s() failed", type(target).__name__, name, exc_info=printable(error)[0])
    return None


# -- what becomes of a job that has not succeeded


def _failed(
    known: JobClass | None,
    target: Performable | None,
    job: Claimed,
    error: BaseException,
    now: datetime | None,
) -> Outcome:
    """Decide what becomes of a job that raised this, and call error() and failure() accordingly. `known` and
    `target` are None if it was raised before they were.
    """
    outcome = _decide(known, target, job, error, now or datetime.now(UTC))
    if target is not None:
        if job.attempts <= job.max_attempts and not isinstance(error, Retry | Discard):
            _call(target, "error", job, error)
        if outcome.run_at is None:
            _call(target, "failure", job)
    return outcome


def _decide(
    known: JobClass | None, target: Performable | None, job: Claimed, error: BaseException, now: datetime
) -> Outcome:
    spent = job.attempts > job.max_attempts
    text = None  # the last_error of a job that is spent already says why
    if not spent:
        whole = str(error) if isinstance(error, UnknownJob) else printable(error)[1]
        text = whole[-MAX_ERROR_CHARACTERS:]  # the end names the error
    if isinstance(error, UnknownJob):
        return Outcome(job, error, text, now + UNKNOWN_WAIT, job.attempts - 1)
    if isinstance(error, LeaseLost):  # it is not ours to settle
        return Outcome(job, error, text, now, job.attempts)
    said = known.settings if known else JobSettings()
    kinds = type(error).__mro__  # the most specific first
    rule = next((kind for kind in kinds if kind in said.retry_on or kind in said.discard_on), None)
    uncounted = isinstance(error, Retry) and not error.counted
    last = job.attempts >= job.max_attempts and not uncounted
    if spent or last or isinstance(error, Discard) or rule in said.discard_on:
        attempts = min(job.attempts, job.max_attempts)
        return Outcome(job, error, text, None, attempts, said.destroy_failed)
    wait = error.wait if isinstance(error, Retry) else said.retry_on[rule] if rule else None
    chosen = _rescheduled(target, job, now) if wait is None else now + wait
    run_at = chosen or now + backoff(job.attempts)
    return Outcome(job, error, text, run_at, job.attempts - uncounted)


def _rescheduled(target: Performable | None, job: Claimed, now: datetime) -> datetime | None:
    """What the job's reschedule_at() says; None: as usual."""
    chosen = None if target is None else _call(target, "reschedule_at", job.attempts, now)
    try:
        return None if chosen is None else moment("what it returns", chosen, now)
    except (TypeError, ValueError) as error:
        logger.error("%s.reschedule_at() is ignored: %s", type(target).__name__, error)
        return None


def ended(job: Claimed, seconds: float) -> Outcome:
    """The outcome of a job that was ended because it exceeded its max_run_time, of `seconds`. On the last
    attempt it is due at once, for whoever claims it next to call its failure().
    """
    known, _ = parse(job.handler)
    error = RunTimeExceeded(f"{RunTimeExceeded.__doc__} ({seconds:g} seconds)")
    outcome = _failed(known, None, job, error, None)._replace(seconds=seconds)
    if outcome.run_at is None and job.attempts <= job.max_attempts:
        return outcome._replace(run_at=datetime.now(UTC), attempts=job.max_attempts, destroy=False)
    return outcome
