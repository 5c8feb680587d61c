"""Run one claimed job, say how it went, and write that down. Threads that run one job at a time."""

import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from queue import SimpleQueue

from sqlalchemy import Connection
from sqlalchemy.orm import Session

from jobqueue import hooks, store
from jobqueue.errors import LeaseLost
from jobqueue.handlers import JobClass, parse
from jobqueue.queue import Queue
from jobqueue.retry import backoff
from jobqueue.store import Claimed

MAX_ERROR_CHARACTERS = 50_000


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job went: `error` is the traceback, or None; `settled` when the job's own transaction has
    finished it already.
    """

    job: Claimed
    error: str | None = None
    settled: bool = False


def perform(queue: Queue, worker: str, job: Claimed) -> Outcome:
    """Run the job; returns its outcome and never raises because of the job. (KeyboardInterrupt is not the
    job's.)
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


def settle(connection: Connection, worker: str, outcomes: Sequence[Outcome], now: datetime) -> list[Outcome]:
    """Write down how jobs went; returns the outcomes of which nothing was written: their lease was lost."""
    unsettled = [outcome for outcome in outcomes if not outcome.settled]
    succeeded = [outcome.job for outcome in unsettled if outcome.error is None]
    finished = store.finish(connection, worker, succeeded) if succeeded else set()
    lost = []
    for outcome in unsettled:
        job, error = outcome.job, outcome.error
        if error is None:
            ours = job.id in finished
        elif job.attempts >= job.max_attempts:
            ours = store.bury(connection, worker, job, error, now)
        else:
            ours = store.retry(connection, worker, job, error, now + backoff(job.attempts), now)
        if not ours:
            lost.append(outcome)
    return lost


def error_text(error: BaseException) -> str:
    """The error's traceback, or the end of a very long one, as text that every database can store."""
    try:
        text = "".join(traceback.format_exception(error))
    except Exception:  # one that Python itself can't print: a SyntaxError with strange attributes
        text = f"{type(error).__name__}, whose traceback can't be printed"
    text = text[-MAX_ERROR_CHARACTERS:].replace("\x00", "\\x00")
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _perform_in_session(
    queue: Queue, worker: str, job: Claimed, known: JobClass, body: dict[str, object]
) -> bool:
    """What the job has written, and not committed itself, is committed together with the job's end. Returns
    whether it was; False when there was nothing to commit. Raises LeaseLost, which rolls it back.
    """
    with Session(queue.writer, expire_on_commit=False) as session:
        if known.takes_session:
            target = known.load(body, session)
        else:
            # No transaction stays open while perform() waits for somebody.
            with Session(queue.engine) as reading:
                target = known.load(body, reading)
                reading.expunge(target)
            session.add(target)
        with hooks.around(target, job):
            known.call(target, session)
            hooks.success(target, job)
            if not session.in_transaction():
                return False
            if not store.finish(session.connection(), worker, [job]):
                raise LeaseLost
            session.commit()
            return True


class Slot:
    """A thread that performs one job at a time. It leaves the job's outcome in `outcome`, and calls `done`.

    A thread can't be stopped from outside: a slot whose job hangs is left to itself, and a new one takes its
    place.
    """

    def __init__(self, work: Callable[[Claimed], Outcome], done: Callable[[], None]):
        self.job: Claimed | None = None
        self.outcome: Outcome | None = None
        self.deadline = float("inf")  # on the monotonic clock, in seconds
        self._work = work
        self._done = done
        self._tasks: SimpleQueue[Claimed | None] = SimpleQueue()
        threading.Thread(target=self._loop, name="jobqueue", daemon=True).start()

    def start(self, job: Claimed, max_run_time: float) -> None:
        """Begin to perform the job, which may take `max_run_time` seconds."""
        self.job = job
        self.deadline = time.monotonic() + max_run_time
        self._tasks.put(job)

    def free(self) -> None:
        """Be ready for the next job."""
        self.job = self.outcome = None
        self.deadline = float("inf")

    def end(self) -> None:
        """Let the thread end when it has done what it is doing."""
        self._tasks.put(None)

    def _loop(self) -> None:
        while (job := self._tasks.get()) is not None:
            try:
                self.outcome = self._work(job)
            except BaseException as error:
                self.outcome = Outcome(job, error=error_text(error))
            self._done()
