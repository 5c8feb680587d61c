"""One seam for all who watch: what workers tell their observers, and the contexts around their jobs."""

import inspect
import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from jobqueue.claiming import Claimed

if TYPE_CHECKING:
    from jobqueue.performing import Outcome
    from jobqueue.worker import Worker

logger = logging.getLogger("jobqueue")


class Event(NamedTuple):
    """Something that has happened, and is committed. Its `kind` is one of these:

    claimed             `jobs` are this worker's now
    performed           a job has succeeded; it took `seconds`
    failed, given up    a job has raised `error` after `seconds`; it runs again or never; `why`: the traceback
    lost                a job has ended, but this worker had lost its lease: what came of it was not written
    given back          `jobs` wait as if they had not been claimed; `why` says why, if it is worth saying
    freed               `jobs` wait again, for their worker is dead
    started, stopped    the worker
    busy, idle          the worker, in each turn of its loop: at least twice a second
    """

    kind: str
    worker: "Worker"
    at: datetime
    jobs: Sequence[Claimed] = ()
    seconds: float = 0.0
    error: BaseException | None = None
    why: str = ""

    @property
    def job(self) -> Claimed:
        """The only job, or the first."""
        return self.jobs[0]


Context = AbstractContextManager[Any]
Observer = Callable[[Event], object]
AnyObserver = TypeVar("AnyObserver", bound=Observer)
Factory = TypeVar("Factory", bound=Callable[..., Context])

observers: list[Observer] = []  # of all workers of this program
contexts: list[Callable[[Claimed], Context]] = []


def observe(observer: AnyObserver) -> AnyObserver:
    """Have all workers of this program call observer(event), each in the thread that called its run(): so it
    must not take long. What it raises is logged. Returns it, to be a decorator.
    """
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


def surroundings(job: Claimed) -> Context:
    """The contexts of around(), entered, to be left at the end of a `with`."""
    if not contexts:
        return nullcontext()
    with ExitStack() as stack:
        for factory in contexts:
            context = factory(job)
            context.__enter__()
            stack.push(partial(_leave, context))
        return stack.pop_all()


def _leave(context: Context, *raised: Any) -> None:
    try:
        context.__exit__(*raised)
    except (Exception, SystemExit):
        logger.exception("%r failed", context)


class News:
    """What a worker has yet to tell its observers and those of all workers. What the log does not write is
    told only if there are others.
    """

    def __init__(self, worker: "Worker", own: Sequence[Observer]):
        self._worker = worker
        self._own = own
        self._events: list[Event] = []

    def add(self, kind: str, at: datetime, jobs: Sequence[Claimed] = (), why: str = "") -> None:
        self._events.append(Event(kind, self._worker, at, jobs, why=why))

    def add_ended(self, outcomes: Sequence["Outcome"], lost: Sequence["Outcome"], at: datetime) -> None:
        watched = observers or self._own
        for outcome in outcomes:
            job, error = outcome.job, outcome.exception
            if outcome in lost:
                kind = "lost"
            elif error is None:
                kind = "performed"
            else:
                kind = "failed" if job.attempts < job.max_attempts else "given up"
            if watched or kind != "performed":
                self._events.append(
                    Event(kind, self._worker, at, (job,), outcome.seconds, error, outcome.error or "")
                )

    def tell(self, kind: str, at: datetime, jobs: Sequence[Claimed] = (), why: str = "") -> None:
        """Tell the log and the observers what has been added, and this."""
        self.add(kind, at, jobs, why)
        events, self._events = self._events, []
        for observer in (log, *observers, *self._own):
            for event in events:
                try:
                    observer(event)
                except (Exception, SystemExit):
                    logger.exception("the observer %r failed", observer)


def log(event: Event) -> None:
    """The first observer: writes what others should know to the logger `jobqueue`."""
    if event.kind in ("failed", "given up"):
        _log_error(event, logging.WARNING if event.kind == "failed" else logging.ERROR)
    elif event.kind == "lost":
        logger.warning("job %d was not settled: this worker had lost its lease", event.job.id)
    elif event.kind == "given back" and event.why:
        logger.info("gave back %d jobs: %s", len(event.jobs), event.why)
    elif event.kind == "freed":
        logger.warning("freed %d jobs: %s", len(event.jobs), event.why)


def _log_error(event: Event, level: int) -> None:
    """Log a failure with its exception, for handlers that want it. Those that write a text get the traceback
    as it was stored, since some exceptions can't be printed.
    """
    if logger.isEnabledFor(level):
        job, error = event.job, event.error
        try:
            reason = str(error).strip().partition("\n")[0].encode(errors="backslashreplace").decode()
        except Exception:
            reason = "?"
        values = (job.id, type(error).__name__, reason, job.attempts, job.max_attempts)
        exc_info = (type(error), error, error.__traceback__) if error else None
        text = "job %d failed: %s: %s (attempt %d of %d)"
        record = logger.makeRecord(logger.name, level, __file__, 0, text, values, exc_info)
        record.exc_text = event.why
        logger.handle(record)
