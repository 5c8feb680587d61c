"""What can be said about a job, by @job, enqueue() or the job's own enqueue() hook: checked here, for all."""

import inspect
import reprlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from typing import Any, Literal, TypedDict, get_args

from jobqueue.dialects import INFINITY, UNREADABLE, in_utc
from jobqueue.errors import A_CENTURY, as_wait
from jobqueue.schema import DEFAULT_QUEUE, MAX_ATTEMPTS

RetryOn = Mapping[type[BaseException], timedelta | float | None]
DiscardOn = Sequence[type[BaseException]]


class ClassOptions(TypedDict, total=False):
    """What @job and enqueue() take."""

    priority: int | None
    queue: str | None
    max_attempts: int | None
    max_run_time: float | None


class RowOptions(ClassOptions, total=False):
    """What enqueue() and enqueue_many() take."""

    run_at: datetime | timedelta | None


class EnqueueOptions(RowOptions, total=False):
    """What enqueue() takes."""

    unique_key: str | None
    unique_until: Literal["start", "end"] | None


class JobOptions(ClassOptions, total=False):
    """What @job takes."""

    name: str | None
    retry_on: RetryOn | None
    discard_on: DiscardOn
    destroy_failed: bool


DEFAULTS = {
    "priority": 0,
    "run_at": None,  # at once
    "queue": DEFAULT_QUEUE,
    "max_attempts": MAX_ATTEMPTS,
    "max_run_time": None,
    "unique_key": None,
    "unique_until": None,  # it ends
}
TOO_MUCH = 2**31  # for a column of integers
LEAST_LEASE = timedelta(seconds=0.5)  # a busy worker manages no heartbeat in less than a tenth of it
MOST_BYTES = 2_000  # PostgreSQL can't index texts much longer than this


def _is_storable(text: str) -> bool:
    try:
        return "\0" not in text and 0 < len(text.encode()) <= MOST_BYTES
    except UnicodeEncodeError:  # a lone surrogate
        return False


def _are_exceptions(kinds: Iterable[Any]) -> bool:
    return all(isinstance(kind, type) and issubclass(kind, BaseException) for kind in kinds)


# For each option: its types, in words; which values are possible (NaN never is), in words.
Rule = tuple[tuple[type, ...], str, Callable[[Any], bool], str]
WHOLE, SECONDS_LONG = ((int,), "a whole number"), ((int, float), "a number of seconds")
PRIORITY: Rule = (*WHOLE, lambda n: abs(n) < TOO_MUCH, "between -2**31 and 2**31")
COUNT: Rule = (*WHOLE, lambda n: 0 < n < TOO_MUCH, "at least 1 and below 2**31")
DURATION: Rule = (*SECONDS_LONG, lambda n: 0 < n < TOO_MUCH, "more than 0 seconds and below 2**31")
STORABLE = (_is_storable, f"text of 1 to {MOST_BYTES} bytes, without NUL or lone surrogates")
A_QUEUE = (lambda name: "," not in name and _is_storable(name), STORABLE[1].replace("out", "out commas,"))
A_LEASE = (lambda lease: LEAST_LEASE <= lease <= A_CENTURY, "at least half a second, and at most a century")
SOME_QUEUES = (bool, "names of queues, at least one, or left out to serve all")
CALLABLE = (lambda each: all(map(callable, each)), "functions that take an Event")
EXCEPTIONS = (_are_exceptions, "for classes of exceptions")
RULES: dict[str, Rule] = {
    **dict.fromkeys(("priority", "min_priority", "max_priority"), PRIORITY),
    **dict.fromkeys(("max_attempts", "threads", "max_batch"), COUNT),
    **dict.fromkeys(("max_run_time", "poll_interval"), DURATION),
    **dict.fromkeys(("name", "unique_key"), ((str,), "a string", *STORABLE)),
    "queue": ((str,), "a queue's name", *A_QUEUE),
    "unique_until": ((str,), "a string", lambda until: until in ("start", "end"), '"start" or "end"'),
    "retry_on": ((dict,), "like {TimeoutError: timedelta(minutes=5)}", *EXCEPTIONS),
    "discard_on": ((list, tuple), "like (KeyError, ValueError)", *EXCEPTIONS),
    "destroy_failed": ((bool,), "True or False", lambda _: True, ""),
    # a row's own:
    "attempts": (*WHOLE, lambda n: -1 < n < TOO_MUCH - 1, "at least 0 and below 2**31 - 1"),
    "handler": ((str,), "text", lambda _: True, ""),
    "id": (*WHOLE, lambda n: abs(n) < 2**63, "below 2**63"),
    # a queue's and a worker's:
    "lease": ((timedelta,), "a timedelta, such as timedelta(seconds=30)", *A_LEASE),
    "queues": ((list, tuple, set, frozenset), 'a list of names, such as ["mail"]', *SOME_QUEUES),
    "observers": ((list, tuple), "a list of functions", *CALLABLE),
    "limit": (*WHOLE, lambda n: n >= 0, "at least 0"),
    "stop_timeout": (*SECONDS_LONG, lambda n: n >= 0, "at least 0 seconds"),
}


def checked(now: datetime | None = None, /, **options: Any) -> dict[str, Any]:
    """Those of the options that are given (not None), as a row has them. Raises TypeError or ValueError."""
    given = {name: value for name, value in options.items() if value is not None}
    if "run_at" in given:
        given["run_at"] = moment("run_at", given["run_at"], now)
    check(**{name: value for name, value in given.items() if name != "run_at"})
    if given.get("min_priority", -TOO_MUCH) > given.get("max_priority", TOO_MUCH):
        raise ValueError("min_priority must not be above max_priority: no job's priority is between them")
    return given


def check(**options: object) -> None:
    """Raise TypeError or ValueError for a value that the option of its name can't have."""
    for name, value in options.items():
        types, in_words, fits, which = RULES[name]
        if type(value) not in types:
            raise TypeError(f"{name} must be {in_words}, not {reprlib.repr(value)}")
        if not fits(value):
            raise ValueError(f"{name} must be {which}, not {reprlib.repr(value)}")


def fault(job: Any) -> str:
    """What makes no sense in a job's row, if anything: a value that enqueue() would refuse, or that can't be
    read. Only others write such.
    """
    try:
        _check_numbers(job.attempts, job.max_attempts, job.max_run_time, job.priority)
        if type(job.handler) is type(job.queue) is str and UNREADABLE < job.run_at < INFINITY:
            return ""
        check(handler=job.handler, queue=job.queue)
        return "run_at must be a moment in the years 2 to 9998"
    except (TypeError, ValueError) as error:
        return str(error)


@lru_cache  # which keeps no error: most jobs have the same few
def _check_numbers(attempts: Any, max_attempts: Any, max_run_time: Any, priority: Any) -> None:
    check(attempts=attempts, max_attempts=max_attempts, priority=priority)
    if max_run_time is not None:
        check(max_run_time=max_run_time)


def refuse_others(function: Callable[..., Any], options: Mapping[str, Any]) -> None:
    """Raise TypeError for an option that the function does not take."""
    if others := sorted(options.keys() - (taken := _taken_by(function))):
        takes = ", ".join(sorted(taken))
        raise TypeError(f"{function.__name__}() has no option {', '.join(others)}, only {takes}")


@cache
def _taken_by(function: Callable[..., Any]) -> set[str]:
    parameters = inspect.signature(function).parameters.values()
    named = {each.name for each in parameters if each.kind is each.KEYWORD_ONLY}
    unpacked = [get_args(each.annotation) for each in parameters if each.kind is each.VAR_KEYWORD]
    return named.union(*(known.__optional_keys__ for [known] in filter(None, unpacked)))


def moment(name: str, value: datetime | timedelta | None, now: datetime | None = None) -> datetime:
    """The moment in UTC: None is the current time, and a timedelta counts from `now`. Raises TypeError;
    ValueError for a naive datetime, or for one too far away for a database in any time zone.
    """
    if value is None:
        return datetime.now(UTC)
    if not isinstance(value, datetime | timedelta):
        raise TypeError(f"{name} must be a datetime with a time zone, or a timedelta from now, not {value!r}")
    try:
        at = in_utc((now or datetime.now(UTC)) + value if isinstance(value, timedelta) else value)
        if 1 < at.year < 9999:
            return at
    except OverflowError:
        pass
    raise ValueError(f"{name} must be in the years 2 to 9998, not {value!r}")


def failing(
    retry_on: RetryOn, discard_on: DiscardOn
) -> tuple[dict[type[BaseException], timedelta | None], tuple[type[BaseException], ...]]:
    """What @job says about exceptions, with waits as timedeltas. Raises TypeError or ValueError."""
    check(retry_on=retry_on, discard_on=discard_on)
    if both := [kind.__name__ for kind in retry_on if kind in discard_on]:
        raise ValueError(f"retry_on and discard_on both name {', '.join(both)}: choose one")
    waits = {kind: None if wait is None else as_wait(wait) for kind, wait in retry_on.items()}
    return waits, tuple(discard_on)
