"""Performs a claimed job with its hooks, and decides what becomes of it.

A job's hooks are those of HOOKS in handlers.py that its class has.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from time import perf_counter
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
from jobqueue.handlers import JobClass, Performable, parse, registered
from jobqueue.lease import Claimed, Lease, Outcome, backoff
from jobqueue.observing import surroundings
from jobqueue.options import JobSettings, moment
from jobqueue.transactions import Callers

if TYPE_CHECKING:
    from jobqueue.queue import Queue

logger = logging.getLogger("jobqueue")

MAX_ERROR_CHARACTERS = 50_000
UNKNOWN_WAIT = timedelta(seconds=30)  # before a job whose class a worker does not know is claimed again
AnySession = Session | scoped_session  # type: ignore[type-arg]
SPENT = "it had no attempt left, after its worker had died, or had ended it"


def perform(queue: "Queue", lease: Lease, job: Claimed, now: datetime | None = None) -> Outcome:
    """Run the job; returns its outcome, whatever the job raises. (Ctrl-C is not the job's, and propagates.)

    `now` replaces the current time. A job without an attempt left is given up instead: the worker that had it
    died, or ended it because of its max_run_time.
    """
    attempt, outcome = Attempt(job, now), None
    try:
        known = attempt.parse()
        if job.attempts > job.max_attempts + 1:  # loading it, or its failure(), has killed a worker
            raise JobQueueError(SPENT)
        with surroundings(job):
            if known.mapped or known.takes_session:
                outcome = _in_session(queue, lease, attempt)
            else:
                outcome = attempt.run(known.load(attempt.body, None))
            if outcome.error is not None:
                raise outcome.error  # for the contexts to see
    except BaseException as error:
        if is_ctrl_c(error):
            raise
        return outcome or attempt.failed(error)
    return outcome


def perform_inline(
    rows: Sequence[dict[str, Any]], engine: Engine, session: Callers | None, joined: Connection | None
) -> int:
    """Inline mode, for tests of code that enqueues: perform the jobs at once, in the caller's transaction, or
    each in one of its own; returns 0, since there is no row. Raises whatever a job raises.

    Each comes as its row's text, so that a job that could not be queued fails here too.
    """

    def perform(row: dict[str, Any], session: AnySession) -> None:
        given = {name: row[name] for name in Claimed._fields if name in row}
        attempt = Attempt(Claimed(**given | {"id": 0, "attempts": 1}))
        known = attempt.parse()
        with surroundings(attempt.job):
            outcome = attempt.run(known.load(attempt.body, session), session)
            if outcome.error is not None:
                raise outcome.error

    for row in rows:
        if isinstance(session, AnySession):
            perform(row, session)
        else:
            with Session(joined or engine, join_transaction_mode="create_savepoint") as own:
                perform(row, own)
                own.commit()
    return 0


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

    known: JobClass = JobClass("", object, False, frozenset(), JobSettings())  # until it is parsed
    body: Mapping[str, Any] = {}
    target: Any = None  # its object

    def __init__(self, job: Claimed, now: datetime | None = None):
        self.job = job
        self._now = now

    def parse(self) -> JobClass:
        """Find the job's class, which is returned, and the body of its row. Raises HandlerError."""
        self.known, self.body = parse(self.job.handler)
        return self.known

    def run(
        self, target: Performable, session: AnySession | None = None, settle: Callable[[], bool] | None = None
    ) -> Outcome:
        """Call perform() and the hooks around it, then `settle`, which returns whether it has finished the
        job; returns the outcome. What before() and success() raise fails the attempt.
        """
        job, own = self.job, cast(Any, target)
        # A mapped subclass may have hooks, or take a session, even if its base class does not.
        self.target, self.known = target, registered(target)
        if job.attempts > job.max_attempts:
            return self.failed(JobQueueError(SPENT))
        hooks, began = self.known.hooks, perf_counter()
        try:
            if "before" in hooks:
                own.before(job)
            if self.known.takes_session:
                own.perform(session=session)
            else:
                own.perform()
            if "success" in hooks:
                own.success(job)
            settled = settle is not None and settle()
            return Outcome(job, settled=settled, seconds=perf_counter() - began)
        except BaseException as error:
            if is_ctrl_c(error):
                raise
            return self.failed(error, perf_counter() - began)
        finally:
            if hooks:
                self._call("after", job)

    def failed(self, error: BaseException, seconds: float = 0.0) -> Outcome:
        """Decide what becomes of a job that raised this, and call error() and failure() accordingly."""
        outcome = self._decide(error)._replace(seconds=seconds)
        if self.job.attempts <= self.job.max_attempts and not isinstance(error, Retry | Discard):
            self._call("error", self.job, error)
        if outcome.run_at is None:
            self._call("failure", self.job)
        return outcome

    def ended(self, seconds: float) -> Outcome:
        """The outcome of a job that was ended because it exceeded its max_run_time, of `seconds`. On the last
        attempt it is due at once, for whoever claims it next to call its failure().
        """
        self.parse()
        error = RunTimeExceeded(f"{RunTimeExceeded.__doc__} ({seconds:g} seconds)")
        outcome = self.failed(error, seconds)
        if outcome.run_at is None and self.job.attempts <= self.job.max_attempts:
            return outcome._replace(run_at=datetime.now(UTC), attempts=self.job.max_attempts, destroy=False)
        return outcome

    def _decide(self, error: BaseException) -> Outcome:
        job, said, now = self.job, self.known.settings, self._now or datetime.now(UTC)
        spent = job.attempts > job.max_attempts
        text = None  # the last_error of a job that is spent already says why
        if not spent:
            whole = str(error) if isinstance(error, UnknownJob) else printable(error)[1]
            text = whole[-MAX_ERROR_CHARACTERS:]  # the end names the error
        if isinstance(error, UnknownJob):
            return Outcome(job, error, text, now + UNKNOWN_WAIT, job.attempts - 1)
        if isinstance(error, LeaseLost):  # it is not ours to settle
            return Outcome(job, error, text, now, job.attempts)
        kinds = type(error).__mro__  # the most specific first
        rule = next((kind for kind in kinds if kind in said.retry_on or kind in said.discard_on), None)
        uncounted = isinstance(error, Retry) and not error.counted
        last = job.attempts >= job.max_attempts and not uncounted
        if spent or last or isinstance(error, Discard) or rule in said.discard_on:
            attempts = min(job.attempts, job.max_attempts)
            return Outcome(job, error, text, None, attempts, said.destroy_failed)
        wait = error.wait if isinstance(error, Retry) else said.retry_on[rule] if rule else None
        run_at = now + wait if wait is not None else self._rescheduled(now) or now + backoff(job.attempts)
        return Outcome(job, error, text, run_at, job.attempts - uncounted)

    def _rescheduled(self, now: datetime) -> datetime | None:
        """What the job's reschedule_at() says; None: as usual."""
        chosen = self._call("reschedule_at", self.job.attempts, now)
        try:
            return None if chosen is None else moment("what it returns", chosen, now)
        except (TypeError, ValueError) as error:
            logger.error("%s.reschedule_at() is ignored: %s", type(self.target).__name__, error)
            return None

    def _call(self, name: str, *arguments: object) -> Any:
        """Call a hook, if there is an object that has it; returns what it returns, or None if it raises,
        which is logged.
        """
        if self.target is None or name not in self.known.hooks:
            return None
        try:
            return getattr(self.target, name)(*arguments)
        except BaseException as error:
            if is_ctrl_c(error):
                raise
            logger.error("%s.%s() failed", type(self.target).__name__, name, exc_info=printable(error)[0])
            return None
