"""What can be said about a job, by @job, enqueue() or the job's own enqueue() hook: checked here, for all."""

import reprlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypedDict

from jobqueue.dialects import in_utc
from jobqueue.errors import as_wait
from jobqueue.schema import DEFAULT_QUEUE, MAX_ATTEMPTS

Exceptions = Sequence[type[BaseException]]
RetryOn = Mapping[type[BaseException], timedelta | float | None]

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
MOST_BYTES = 2_000  # PostgreSQL can't index texts much longer than this


def _is_storable(text: str) -> bool:
    try:
        return "\0" not in text and len(text.encode()) <= MOST_BYTES
    except UnicodeEncodeError:  # a lone surrogate
        return False


STORABLE = (_is_storable, f"at most {MOST_BYTES} bytes of text, without NUL or lone surrogates")
Rule = tuple[tuple[type, ...], str, Callable[[Any], bool], str]
PRIORITY: Rule = ((int,), "a whole number", lambda n: abs(n) < TOO_MUCH, "between -2**31 and 2**31")
# For each option: its types, in words; which values can be stored, in words.
RULES: dict[str, Rule] = {
    "name": ((str,), "a string", *STORABLE),
    "priority": PRIORITY,
    "min_priority": PRIORITY,  # these two are a worker's
    "max_priority": PRIORITY,
    "queue": ((str,), "a queue's name", *STORABLE),
    "max_attempts": ((int,), "a whole number", lambda n: 0 < n < TOO_MUCH, "at least 1 and below 2**31"),
    "max_run_time": (
        (int, float),
        "a number of seconds",
        lambda seconds: 0 < seconds < TOO_MUCH,  # refuses NaN, too
        "more than 0 seconds and below 2**31",
    ),
    "unique_key": ((str,), "a string", *STORABLE),
    "unique_until": ((str,), "a string", lambda until: until in ("start", "end"), '"start" or "end"'),
    "destroy_failed": ((bool,), "True or False", lambda _: True, ""),
}
RULES["min_priority"] = RULES["max_priority"] = RULES["priority"]


class Options(TypedDict, total=False):
    """The arguments of @job."""

    name: str
    queue: str
    priority: int
    max_attempts: int
    max_run_time: float
    retry_on: RetryOn
    discard_on: Exceptions
    destroy_failed: bool


@dataclass(frozen=True)
class JobSettings:
    """What @job says about all jobs of a class."""

    columns: Mapping[str, Any] = field(
        default_factory=dict
    )  # of their rows, where enqueue() says nothing else
    # After these exceptions: how long to wait; None: as usual.
    retry_on: Mapping[type[BaseException], timedelta | None] = field(default_factory=dict)
    discard_on: tuple[type[BaseException], ...] = ()  # a job that raises one of these is not tried again
    destroy_failed: bool = False  # a job that failed for good is deleted


def settings(retry_on: RetryOn, discard_on: Exceptions, destroy_failed: bool, **columns: Any) -> JobSettings:
    """The arguments of @job, checked. Raises TypeError or ValueError."""
    if not isinstance(retry_on, Mapping):
        raise TypeError(f"retry_on must be like {{TimeoutError: timedelta(minutes=5)}}, not {retry_on!r}")
    if not isinstance(discard_on, Sequence):
        raise TypeError(f"discard_on must be like (KeyError, ValueError), not {discard_on!r}")
    for name, kinds in (("retry_on", retry_on), ("discard_on", discard_on)):
        for kind in kinds:
            if not (isinstance(kind, type) and issubclass(kind, BaseException)):
                raise TypeError(f"{name} must name classes of exceptions, not {kind!r}")
            if kind in retry_on and kind in discard_on:
                raise ValueError(f"retry_on and discard_on both name {kind.__name__}: choose one")
    checked(destroy_failed=destroy_failed)
    waits = {kind: None if wait is None else as_wait(wait) for kind, wait in retry_on.items()}
    return JobSettings(checked(**columns), waits, tuple(discard_on), destroy_failed)


def checked(now: datetime | None = None, /, **options: Any) -> dict[str, Any]:
    """Those of the options that are given (not None), as a row has them. Raises TypeError or ValueError."""
    given = {name: value for name, value in options.items() if value is not None}
    for name, value in given.items():
        if name == "run_at":
            given[name] = moment(name, value, now)
            continue
        types, in_words, fits, which = RULES[name]
        if type(value) not in types:
            raise TypeError(f"{name} must be {in_words}, not {value!r}")
        if not fits(value):
            raise ValueError(f"{name} must be {which}, not {reprlib.repr(value)}")
    return given


def moment(name: str, value: datetime | timedelta, now: datetime | None = None) -> datetime:
    """The moment in UTC; a timedelta counts from `now`. Raises TypeError; ValueError for a naive datetime,
    or for one too far away for a database in any time zone.
    """
    if not isinstance(value, datetime | timedelta):
        raise TypeError(f"{name} must be a datetime with a time zone, or a timedelta from now, not {value!r}")
    try:
        at = in_utc((now or datetime.now(UTC)) + value if isinstance(value, timedelta) else value)
        if 1 < at.year < 9999:
            return at
    except OverflowError:
        pass
    raise ValueError(f"{name} must be in the years 2 to 9998, not {value!r}")
