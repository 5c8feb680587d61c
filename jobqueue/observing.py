"""One seam for all who watch: what workers tell their observers, and the contexts around their jobs."""

import inspect
import logging
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from jobqueue.database import is_connection_lost
from jobqueue.errors import Discard, LeaseLost, Retry, UnknownJob, Unsound, log_error, printable
from jobqueue.lease import Claimed, Outcome
from jobqueue.options import check

if TYPE_CHECKING:
    from jobqueue.worker import Worker

logger = logging.getLogger("jobqueue")


class Event(NamedTuple):
    """Something that has happened, and is committed. Its `kind` is one of these:

    * `claimed`: `jobs` are this worker's now
    * `performed`: a job has succeeded; it took `seconds`
    * `failed`: an attempt has raised `error`, after `seconds`
    * `given up`: a job has failed for good: told after its last `failed`, if it could be told that
    * `lost`: a job has ended, but was no longer this worker's: nothing was written; `why`
    * `given back`: `jobs` wait as if they had not been claimed; `why`, or `error`
    * `freed`: `jobs` wait again, for their worker is dead; `why`
    * `started`, `stopped`: the worker
    * `busy`, `idle`: the worker, in each turn of its loop: at least twice a second
    """

    kind: str
    worker: "Worker"
    at: datetime
    jobs: Sequence[Claimed] = ()
    outcome: Outcome | None = None
    why: str = ""

    @property
    def job(self) -> Claimed:
        """The only job, or the first."""
        return self.jobs[0]

    @property
    def seconds(self) -> float:
        return self.outcome.seconds if self.outcome else 0.0

    @property
    def error(self) -> BaseException | None:
        return self.outcome.error if self.outcome else None


Context = AbstractContextManager[Any]
Observer = Callable[[Event], object]
AnyObserver = TypeVar("AnyObserver", bound=Observer)
Factory = TypeVar("Factory", bound=Callable[..., Context])

observers: list[Observer] = []  # of all workers of this program
contexts: list[Callable[[Claimed], Context]] = []


def observe(observer: AnyObserver) -> AnyObserver:
    """Have all workers of this program call observer(event), each in the thread that called its run(): so it
    must not take long. What it raises is logged. Returns it, to be a decorator. Raises ValueError for what
    can't be called.
    """
    check(observers=[observer])
    observers.append(observer)
    return observer


def around(factory: Factory) -> Factory:
    """Perform all jobs of this program within a context manager: factory(), or factory(job) if it needs that.
    Returns the factory, to be a decorator. Raises TypeError if it needs more.

    What the context raises on entering fails the attempt. On leaving, it is logged, and changes nothing.
    """
    signature = inspect.signature(factory)
    try:
        signature.bind()
        contexts.append(lambda _job: factory())
    except TypeError:
        signature.bind("job")
        contexts.append(factory)
    return factory


def surroundings(job: Claimed) -> ExitStack:
    """The contexts of around(), entered, to be left at the end of a `with`."""
    with ExitStack() as stack:
        for factory in contexts:
            stack.enter_context(factory(job))
        return stack.pop_all()


class News:
    """What a worker has yet to tell its observers, and those of all workers."""

    def __init__(self, worker: "Worker", own: Sequence[Observer]):
        self._worker = worker
        self._own = tuple(own)
        self._events: list[Event] = []

    def add(self, kind: str, at: datetime, jobs: Sequence[Claimed] = (), **more: Any) -> None:
        self._events.append(Event(kind, self._worker, at, jobs, **more))

    def add_ended(self, outcomes: Sequence[Outcome], lost: Mapping[int, str], at: datetime) -> None:
        """Add how these jobs went; `lost` says by their ids why some were not settled."""
        watched = observers or self._own  # the log is not interested in success
        for outcome in outcomes:
            if lost and outcome.job.id in lost:
                self.add("lost", at, [outcome.job], outcome=outcome, why=lost[outcome.job.id])
            elif outcome.error is None:
                if watched:
                    self.add("performed", at, [outcome.job], outcome=outcome)
            else:
                if outcome.failed:
                    self.add("failed", at, [outcome.job], outcome=outcome)
                if outcome.run_at is None:
                    self.add("given up", at, [outcome.job], outcome=outcome)
                elif not outcome.failed:
                    self.add("given back", at, [outcome.job], outcome=outcome)

    def tell(self, kind: str, at: datetime, jobs: Sequence[Claimed] = (), why: str = "") -> None:
        """Tell the log and the observers what has been added, and this."""
        self.add(kind, at, jobs, why=why)
        events, self._events = self._events, []
        for observer in (log, *observers, *self._own):
            for event in events:
                try:
                    observer(event)
                except BaseException as error:
                    log_error(error, "the observer %r failed", observer)


def log(event: Event) -> None:
    """The first observer: writes what others should know to the logger `jobqueue`."""
    kind, outcome, error = event.kind, event.outcome, event.error
    jobs = f"{len(event.jobs)} job{'s' * (len(event.jobs) != 1)}"
    if kind == "lost":
        trace = printable(error)[0] if error and not isinstance(error, LeaseLost) else None
        logger.warning("job %d %s", event.job.id, event.why, exc_info=trace)
    elif kind == "freed":
        logger.warning("freed %s: %s", jobs, event.why)
    elif kind == "given back" and event.why:
        logger.info("gave back %s: %s", jobs, event.why)
    elif outcome and error and not (kind == "failed" and outcome.run_at is None):  # told as given up
        _log_failure(outcome, error)


def _log_failure(outcome: Outcome, error: BaseException) -> None:
    job, ends = outcome.job, outcome.run_at is None
    of = f"attempt {job.attempts} of {job.max_attempts}" + ", not counted" * (outcome.attempts < job.attempts)
    level, what = logging.ERROR, "failed"
    if isinstance(error, UnknownJob):
        level, what = logging.WARNING, "was given back"
    elif isinstance(error, Unsound):
        what = "was set aside"
    elif isinstance(error, Retry) and not ends:
        level, what = logging.INFO, "runs again"
    elif ends and (isinstance(error, Discard) or job.attempts < job.max_attempts):
        level, what = logging.WARNING, "was discarded"
    elif job.attempts > job.max_attempts:
        what, of = "has failed for good", "no attempt left"
    shown, _ = printable(error)
    lines = traceback.format_exception_only(shown) if shown is error else str(shown).splitlines()
    reason = next(line for line in lines if not line.startswith(" ")).strip().partition("\n")[0]
    what += " and was deleted" * outcome.destroy
    no_trace = isinstance(error, UnknownJob | Unsound | Retry | Discard) or is_connection_lost(error)
    trace = None if no_trace else shown
    logger.log(level, "job %d %s: %s (%s)", job.id, what, reason, of, exc_info=trace)
