"""Performs a claimed job with its hooks, and decides what becomes of it.

A job's hooks are those of HOOKS in handlers.py that its class has.
"""

import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from inspect import isawaitable, iscoroutine
from time import perf_counter
from typing import TYPE_CHECKING, Any

from sqlalchemy.orm import Session

from jobqueue import observing
from jobqueue.dialects import Unreadable
from jobqueue.errors import (
    Discard,
    JobQueueError,
    LeaseLost,
    Retry,
    RunTimeExceeded,
    UnknownJob,
    Unsound,
    is_ctrl_c,
    log_error,
    printable,
)
from jobqueue.handlers import AnySession, JobClass, parse, registered
from jobqueue.lease import SPENT, Claimed, Lease, Outcome, backoff
from jobqueue.options import moment

if TYPE_CHECKING:
    from jobqueue.queue import Queue

logger = logging.getLogger("jobqueue")

MAX_ERROR_CHARACTERS = 50_000
UNKNOWN_WAIT = timedelta(seconds=30)  # before a job whose class a worker does not know is claimed again


def perform(
    queue: "Queue",
    lease: Lease,
    job: Claimed,
    now: datetime | None = None,
    session: AnySession | None = None,
) -> Outcome:
    """Run the job; returns its outcome, whatever the job raises. (Ctrl-C is not the job's, and propagates.)

    `now` replaces the current time. A job in the caller's `session` is not settled. One without an attempt
    left is given up instead: the worker that had it died, or ended it because of its max_run_time.
    """
    began, attempt, outcome = perf_counter(), Attempt(job, now), None
    try:
        known = attempt.parse()
        if known.plain and not observing.contexts and job.attempts <= job.max_attempts:
            returned = known.load(attempt.body).perform()
            if returned is not None:
                refuse_awaitable(returned)
            return Outcome(job, seconds=perf_counter() - began)
        if job.attempts > job.max_attempts + 1:  # loading it, or its failure(), has killed a worker
            raise JobQueueError(SPENT)
        with observing.surroundings(job):
            if session is None and (known.mapped or known.takes_session):
                outcome = _in_session(queue, lease, attempt)
            else:
                outcome = attempt.run(known.load(attempt.body, session), session)
            if outcome.error is not None:
                raise outcome.error  # for the contexts to see
    except BaseException as error:
        if outcome is None:
            outcome = attempt.failed(error)
        elif error is not outcome.error:
            log_error(error, "a context around job %d could not be left", job.id)
    return outcome._replace(seconds=perf_counter() - began)


def _in_session(queue: "Queue", lease: Lease, attempt: "Attempt") -> Outcome:
    """Run the job, and commit what it has not committed itself together with the job's end."""

    def settle() -> bool:
        if not session.in_transaction():
            return False
        if not lease.finish(session.connection(), [attempt.job]):
            raise LeaseLost  # which rolls back what the job has written
        session.commit()
        return True

    known, body = attempt.known, attempt.body
    with Session(queue.writer, expire_on_commit=False) as session:
        if known.takes_session:
            target = known.load(body, session)
        else:
            # Loaded in a session that ends here: no transaction is open while perform() waits for others.
            with Session(queue.engine) as reading:
                target = known.load(body, reading)
                reading.expunge(target)
            session.add(target)
        return attempt.run(target, session, settle)


class Attempt:
    """An attempt of a job: what is known of the job so far, and what becomes of it."""

    known = JobClass("", object)  # until it is parsed
    body: Mapping[str, Any] = {}
    target: Any = None  # its object

    def __init__(self, job: Claimed, now: datetime | None = None):
        self.job = job
        self._now = now

    def parse(self) -> JobClass:
        """Find the job's class, which is returned, and the body of its row. Raises HandlerError."""
        if type(self.job.handler) is Unreadable:
            raise Unsound(f"The job's row makes no sense: {self.job.handler}")
        self.known, self.body = parse(self.job.handler)
        return self.known

    def run(
        self, target: Any, session: AnySession | None = None, settle: Callable[[], bool] | None = None
    ) -> Outcome:
        """Call perform() and the hooks around it, then `settle`, which returns whether it has finished the
        job; returns the outcome. What before() and success() raise fails the attempt.
        """
        job = self.job
        # A mapped subclass may have hooks, or take a session, even if its base class does not.
        self.target, self.known = target, registered(target)
        if job.attempts > job.max_attempts:
            return self.failed(JobQueueError(SPENT))
        try:
            self._call("before", job)
            if self.known.takes_session:
                refuse_awaitable(target.perform(session=session))
            else:
                refuse_awaitable(target.perform())
            self._call("success", job)
            return Outcome(job, settled=settle is not None and settle())
        except BaseException as error:
            return self.failed(error)
        finally:
            self._try("after", job)

    def failed(self, error: BaseException) -> Outcome:
        """Decide what becomes of a job that raised this, and call error() and failure() accordingly. Ctrl-C
        is raised again.
        """
        if is_ctrl_c(error):
            raise error
        outcome = self._decide(error)
        if self.job.attempts <= self.job.max_attempts and not isinstance(error, Retry | Discard):
            self._try("error", self.job, error)
        if outcome.run_at is None:
            self._try("failure", self.job)
        return outcome

    def ended(self, seconds: float) -> Outcome:
        """The outcome of a job that was ended because it exceeded its max_run_time, of `seconds`. On the last
        attempt it is due at once, for whoever claims it next to call its failure().
        """
        self.parse()
        error = RunTimeExceeded(f"{RunTimeExceeded.__doc__} ({seconds:g} seconds)")
        outcome = self.failed(error)._replace(seconds=seconds)
        if outcome.run_at is None and self.job.attempts <= self.job.max_attempts:
            return outcome._replace(run_at=datetime.now(UTC), attempts=self.job.max_attempts, destroy=False)
        return outcome

    def _decide(self, error: BaseException) -> Outcome:
        job, said, now = self.job, self.known, self._now or datetime.now(UTC)
        spent = job.attempts > job.max_attempts
        text = None  # the last_error of a job that is spent already says why
        if not spent:
            whole = str(error) if isinstance(error, UnknownJob | Unsound) else printable(error)[1]
            text = whole[-MAX_ERROR_CHARACTERS:]  # the end names the error
        if isinstance(error, UnknownJob):
            return Outcome(job, error, text, now + UNKNOWN_WAIT, job.attempts - 1)
        if isinstance(error, LeaseLost):  # it is not ours to settle, unless the job itself has raised it
            return Outcome(job, error, text, now + backoff(job.attempts), job.attempts)
        kinds = type(error).__mro__  # the most specific first
        rule = next((kind for kind in kinds if kind in said.retry_on or kind in said.discard_on), None)
        uncounted = isinstance(error, Retry) and not error.counted
        last = job.attempts >= job.max_attempts and not uncounted
        if spent or last or isinstance(error, Discard | Unsound) or rule in said.discard_on:
            attempts = min(job.attempts, job.max_attempts)
            return Outcome(job, error, text, None, attempts, said.destroy_failed)
        wait = error.wait if isinstance(error, Retry) else said.retry_on[rule] if rule else None
        run_at = now + wait if wait is not None else self._rescheduled(now) or now + backoff(job.attempts)
        return Outcome(job, error, text, run_at, job.attempts - uncounted)

    def _rescheduled(self, now: datetime) -> datetime | None:
        """What the job's reschedule_at() says; None: as usual."""
        chosen = self._try("reschedule_at", self.job.attempts, now)
        try:
            return None if chosen is None else moment("what it returns", chosen, now)
        except (TypeError, ValueError) as error:
            logger.error("%s.reschedule_at() is ignored: %s", type(self.target).__name__, error)
            return None

    def _call(self, name: str, *arguments: object) -> Any:
        """Call a hook, if there is an object that has it; returns what it returns."""
        if self.target is None or name not in self.known.hooks:
            return None
        returned = getattr(self.target, name)(*arguments)
        refuse_awaitable(returned)
        return returned

    def _try(self, name: str, *arguments: object) -> Any:
        """The same; what it raises is logged."""
        try:
            return self._call(name, *arguments)
        except BaseException as error:
            log_error(error, "%s.%s() failed", type(self.target).__name__, name)
            return None


def refuse_awaitable(returned: object) -> None:
    """Raise TypeError if calling a method has done nothing yet, as with an async one in a decorator."""
    if returned is None or not isawaitable(returned):
        return
    if iscoroutine(returned):
        returned.close()  # or Python would warn that nobody has awaited it
    raise TypeError("it returned an awaitable, and nobody awaits it: run it with asyncio.run()")
