"""The queue's exceptions. They share a base class; each docstring is the default message."""

import logging
import re
import threading
import traceback
from collections.abc import Iterable
from datetime import timedelta
from typing import TypeVar

from sqlalchemy.exc import StatementError

logger = logging.getLogger("jobqueue")

DatabaseErrors = TypeVar("DatabaseErrors", bound=StatementError)
A_CENTURY = timedelta(days=36_525)

MIGRATE = "The queue's tables are made, and brought up to date, by queue.create_tables() or jobqueue migrate"
WRITABLE = "SQLite must be able to write to the database's file and to its folder, which must exist"
JOIN = "If a transaction of your own holds the lock, pass its session: enqueue(job, session=session)"
# What to do about what SQLite says, or what PostgreSQL has this code for.
ADVICE = {
    r"no such (table|column)|has no column|42P01|42703": MIGRATE,
    r"readonly database|unable to open": WRITABLE,
    r"is locked": JOIN,
}


def as_wait(wait: timedelta | float) -> timedelta:
    """A wait in seconds, or as a timedelta. Raises TypeError or ValueError."""
    if isinstance(wait, bool) or not isinstance(wait, timedelta | int | float):
        raise TypeError(f"a wait is a number of seconds or a timedelta, not {wait!r}")
    seconds = wait.total_seconds() if isinstance(wait, timedelta) else wait
    if not 0 <= seconds <= A_CENTURY.total_seconds():  # false for NaN, too
        raise ValueError(f"a wait is between 0 seconds and a hundred years, not {wait!r}")
    return timedelta(seconds=seconds)


def advised(error: DatabaseErrors, tables: Iterable[str] = ()) -> DatabaseErrors:
    """The same error of a database. Its first line now says what to do about it, if that is known; about
    missing tables, only if they are these, the queue's.
    """
    said = f"{error.orig} {getattr(error.orig, 'sqlstate', None) or getattr(error.orig, 'pgcode', None)}"
    ours = any(table in said for table in tables)
    for sign, advice in ADVICE.items():
        if re.search(sign, said) and advice not in error.args[0] and (ours or advice is not MIGRATE):
            line, end, rest = error.args[0].partition("\n")
            error.args = (f"{line}. {advice}{end}{rest}",)
    return error


def is_ctrl_c(error: BaseException) -> bool:
    """Whether it is the user's. In other threads, which get no signals, a job has raised it."""
    return isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread()


def printable(error: BaseException) -> tuple[BaseException, str]:
    """The error for a log: itself, or another one if it can't be printed; and its traceback, as text that
    every database can store.
    """
    try:
        raw = "".join(traceback.format_exception(error))
        message = "".join(traceback.format_exception_only(error)).strip()
    except Exception:  # a SyntaxError with strange attributes
        raw = message = f"{type(error).__name__}, whose traceback can't be printed"
        error = JobQueueError(message)
    text = _storable(raw)
    return (error if text == raw else JobQueueError(_storable(message))), text


def log_error(error: BaseException, message: str, *arguments: object) -> None:
    """Log what a hook or an observer has raised, in its `except` block. Ctrl-C is raised again."""
    if is_ctrl_c(error):
        raise error
    logger.error(message, *arguments, exc_info=printable(error)[0])


def _storable(text: str) -> str:
    return text.replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode()


class JobQueueError(Exception):
    """Something is wrong with the job queue."""

    def __init__(self, message: str | None = None):
        super().__init__(message or self.__doc__)


class DatabaseError(JobQueueError):
    """This database can't hold a queue."""


class NotAJob(JobQueueError):
    """Only an object with a perform() method, of a class registered with @job, can be queued."""


class NotSerializable(JobQueueError):
    """A job's arguments must be JSON: strings, numbers, booleans, None, and lists and dicts of these."""


class AlreadyQueued(JobQueueError):
    """A job with this unique key is already waiting or running."""

    def __init__(self, message: str | None = None, *, id: int | None = None):
        super().__init__(message)
        self.id = id  # of the job already queued


class NoSuchJob(JobQueueError):
    """There is no job with this id."""

    def __init__(self, id: int):
        super().__init__(f"there is no job {id}: it has succeeded, was deleted, or never existed")


class HandlerError(JobQueueError):
    """The job's handler can't be loaded with the code that this worker runs."""


class Unsound(HandlerError):
    """The job's row makes no sense: only jobqueue should write to its table."""


class UnknownJob(HandlerError):
    """No job is registered under this name in this worker."""


class LeaseLost(JobQueueError):
    """The lease was lost: another worker may run this job now, so nothing is written."""


class RunTimeExceeded(JobQueueError):
    """The job ran longer than its max_run_time."""


class Retry(JobQueueError):
    """The job asked to run again."""

    def __init__(
        self,
        wait: timedelta | float | None = None,
        *,
        reason: str | None = None,
        counted: bool = True,
    ):
        """Raise it in a job to have it run again after `wait`: a timedelta, or seconds; None: as after any
        failure. With `counted=False` this attempt is not counted. Raises TypeError or ValueError.
        """
        super().__init__(reason)
        self.wait = None if wait is None else as_wait(wait)
        self.counted = counted
        if self.wait == timedelta(0) and not counted:
            raise ValueError("an attempt that is not counted needs a wait, or the job would never end")


class Discard(JobQueueError):
    """The job asked to be given up."""
