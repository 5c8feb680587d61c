"""Converts an object with perform() to the text in its row, and back.

A row holds the name under which this program registered the class, and the arguments as JSON. A row can't
make a worker import, unpickle or evaluate anything, and so can't attack it.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cached_property, partial
from typing import Any, Protocol, TypeVar, Unpack, overload

import sqlalchemy as sa
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.orm import Mapper, Session, scoped_session

from jobqueue.errors import HandlerError, NotAJob, UnknownJob, Unsound
from jobqueue.options import ClassOptions, DiscardOn, JobOptions, RetryOn, checked, failing, refuse_others
from jobqueue.payloads import arguments_of, as_json, key_of, load_key, parameters_of, read_json

T = TypeVar("T")
AnySession = Session | scoped_session[Any]
# What is raised by a payload that other code, or another program, has written. SQLAlchemy asserts that it
# knows each polymorphic_identity.
UNFIT = (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError)

# The optional methods of a job, as in Delayed Job, and the arguments they are called with.
HOOKS = {
    "enqueue": ("job",),  # before it is queued: may change the row, for instance its priority
    "before": ("job",),
    "success": ("job",),
    "error": ("job", "exception"),  # after each attempt that failed
    "failure": ("job",),  # after the last attempt, if that failed too
    "after": ("job",),  # after each attempt
    "reschedule_at": ("attempts", "now"),  # when to run again: see moment(); None: as usual
}
NOBODY_KNOWS = "No job is registered as "
IS_A_HOOK = "is a hook: jobqueue calls it as {0}({1}). Give it this signature, or rename it"
HOW_TO_PERFORM = (
    "must be perform(self) or perform(self, session): what else it needs are arguments of __init__"
)


class Performable(Protocol):
    """An object that can be queued: it has perform(), or perform(session) for writes that commit together
    with the job's end.
    """

    @property
    def perform(self) -> Callable[..., object]: ...


@dataclass(frozen=True)
class JobClass:
    """A registered class: what is known about it before any of its jobs runs."""

    name: str
    cls: type[Any]
    takes_session: bool = False
    hooks: frozenset[str] = frozenset()  # those of HOOKS that it has
    columns: Mapping[str, Any] = field(default_factory=dict)  # of rows, where enqueue() says nothing else
    # After these exceptions: how long to wait; None: as usual.
    retry_on: Mapping[type[BaseException], timedelta | None] = field(default_factory=dict)
    discard_on: tuple[type[BaseException], ...] = ()  # a job that raises one of these is not tried again
    destroy_failed: bool = False  # a job that failed for good is deleted

    # Read only when the first job is queued, since @dataclass or SQLAlchemy's @mapped may stand above @job.
    @cached_property
    def mapped(self) -> bool:
        """Whether it is stored as its primary key, and loaded from the database."""
        return isinstance(sa.inspect(self.cls, raiseerr=False), Mapper)

    @cached_property
    def parameters(self) -> tuple[str, ...]:
        """The names of the constructor's arguments. Raises NotSerializable."""
        return parameters_of(self.cls)

    @cached_property
    def plain(self) -> bool:
        """Whether its jobs need nothing but their perform()."""
        return not (self.mapped or self.takes_session or self.hooks)

    @cached_property
    def head(self) -> str:
        """How the text of its rows begins."""
        return f'{{"job":{as_json(self.name)},"{"key" if self.mapped else "arguments"}":'

    def load(self, body: Mapping[str, Any], session: AnySession | None = None) -> Performable:
        """The object that the row's body describes. Raises HandlerError if the body doesn't fit the class, or
        if the object is no longer in the database.
        """
        try:
            if not self.mapped:
                return self.cls(**body["arguments"])  # type: ignore[no-any-return]
            assert session is not None
            found = load_key(self.cls, body["key"], session)
        except (*UNFIT, InvalidRequestError) as error:
            raise HandlerError(f"The payload no longer fits {self.name}: {error}") from error
        if found is None:
            raise HandlerError(f"{self.name} {body['key']} is no longer in the database")
        return found  # type: ignore[no-any-return]


registry: dict[str, JobClass] = {}
_by_class: dict[type[Any], JobClass] = {}


@overload
def job(cls: type[T], /, **options: Unpack[JobOptions]) -> type[T]: ...
@overload
def job(**options: Unpack[JobOptions]) -> Callable[[type[T]], type[T]]: ...
def job(cls: type[Any] | None = None, /, **options: Unpack[JobOptions]) -> Any:
    """Register a class with a perform() method, under its own name or another; returns the class.

    Use it as a decorator, `@job` or `@job(name="images.resize", priority=5)`, or as a function for a class
    that you did not write: `job(Feed, queue="feeds")`. An object of an SQLAlchemy mapped class is stored as
    its primary key; one of a dataclass, or of any other class, as the attributes named like the arguments of
    __init__.

    `queue`, `priority`, `max_attempts` and `max_run_time` (seconds) hold for all jobs of the class, unless
    enqueue() is given others. After an exception of a class in `retry_on`, a dict, the job runs again once
    the time given there has passed (a timedelta, or seconds); after one in `discard_on`, a sequence, it is
    given up at once. With `destroy_failed` a job that failed for good is deleted, not kept.

    Raises NotAJob if perform() is missing, if it or a hook can't be called as a worker will call it, or if
    another class has the name; TypeError or ValueError for a setting that no job can have.
    """
    refuse_others(job, options)
    return partial(_register, **options) if cls is None else _register(cls, **options)


def registered(performable: Performable) -> JobClass:
    """What is known about the object's class. Raises NotAJob."""
    cls = type(performable)
    if known := _by_class.get(cls) or _inherited(cls):
        return known
    if isinstance(performable, type):
        raise NotAJob(f"{performable!r} is a class: enqueue an instance of it, with its arguments")
    if not callable(getattr(performable, "perform", None)):
        raise NotAJob(
            f"This {cls.__name__} has no perform(). Write a class, with @job above it, whose perform() calls"
            " your function, or finds your object by its key; and enqueue an instance of that class"
        )
    raise NotAJob(
        f"{cls.__name__} is not registered: put @job above the class (from jobqueue import job);"
        " above its base class is not enough"
    )


def dump(performable: Performable) -> str:
    """The text for the row. Raises NotAJob or NotSerializable."""
    known = registered(performable)
    body = key_of(performable) if known.mapped else arguments_of(performable, known.parameters)
    return known.head + body + "}"


def parse(handler: str) -> tuple[JobClass, dict[str, Any]]:
    """The registered class that a row's text names, and its body. Raises Unsound if it names none, or
    UnknownJob if this program has not registered it.
    """
    try:
        body, end = read_json(text := handler.strip())
        if end < len(text) or not isinstance(name := body["job"], str):
            raise TypeError
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise Unsound(f"The handler is not what jobqueue writes: {handler[:200]!r}") from error
    known = registry.get(name)
    if known is None:
        raise UnknownJob(
            f"{NOBODY_KNOWS}{name!r} in this worker. Import the module that defines it"
            " (python -m jobqueue work --import your.module), or delete the job if its class is gone."
        )
    return known, body


def _register(
    cls: type[T],
    *,
    name: str | None = None,
    retry_on: RetryOn | None = None,
    discard_on: DiscardOn = (),
    destroy_failed: bool = False,
    **columns: Unpack[ClassOptions],
) -> type[T]:
    if not isinstance(cls, type):
        example = '@job, @job(name="...") or job(Feed); for a function, a class whose perform() calls it'
        raise NotAJob(f"@job takes a class, not {cls!r}: write {example}")
    checked(name=name, destroy_failed=destroy_failed)
    known = JobClass(
        cls.__name__ if name is None else name,
        cls,
        *_methods(cls),
        checked(**columns),
        *failing({} if retry_on is None else retry_on, discard_on),
        destroy_failed,
    )
    other = registry.get(known.name)
    # The same class registered again (a notebook cell rerun, a module reloaded) replaces the earlier one.
    if other and (other.cls.__module__, other.cls.__qualname__) != (cls.__module__, cls.__qualname__):
        advice = 'Choose another: @job(name="...")'
        if "__main__" in (other.cls.__module__, cls.__module__):
            advice = "If both are one file, run as a script and imported too, move the class to another file"
        raise NotAJob(f"Another job is registered as {known.name!r}: {other.cls!r}. {advice}")
    registry[known.name] = _by_class[cls] = known
    return cls


def _inherited(cls: type[Any]) -> JobClass | None:
    """What is known of a mapped class that loads as itself when its registered base class is loaded."""
    mapper = sa.inspect(cls, raiseerr=False)
    if not isinstance(mapper, Mapper) or mapper.concrete:
        return None
    if mapper.polymorphic_map.get(mapper.polymorphic_identity) is not mapper:
        return None
    for base in mapper.iterate_to_root():
        if known := _by_class.get(base.class_):
            takes_session, hooks = _methods(cls)
            _by_class[cls] = replace(known, takes_session=takes_session, hooks=hooks)
            return _by_class[cls]
    return None


def _methods(cls: type[Any]) -> tuple[bool, frozenset[str]]:
    """Whether perform() takes a session, and which hooks the class has. Raises NotAJob."""
    if not callable(getattr(cls, "perform", None)):
        raise NotAJob(f"{cls.__name__} has no perform() method, so it can't be a job")
    takes_session = "session" in inspect.signature(cls.perform).parameters
    hooks = frozenset(name for name in HOOKS if callable(getattr(cls, name, None)))  # a column is not a hook
    kinds = (inspect.iscoroutinefunction, inspect.isasyncgenfunction, inspect.isgeneratorfunction)
    for name in ("perform", *hooks):
        if any(is_kind(getattr(cls, name)) for is_kind in kinds):  # calling it would do nothing: a "success"
            raise NotAJob(
                f"{cls.__name__}.{name}() must be an ordinary function, not async or a generator; in it,"
                " asyncio.run() runs what is async"
            )
        made = inspect.getattr_static(cls, name)  # a function, a classmethod, any callable
        bound = made.__get__(object(), cls) if hasattr(made, "__get__") else made
        arguments = HOOKS.get(name, ())
        named = {"session": None} if takes_session and name == "perform" else {}
        try:
            # A decorator may give perform() more arguments.
            signature = inspect.signature(bound, follow_wrapped=name != "perform")
            given = signature.bind(*arguments, **named).arguments
            if any(parameter in arguments and parameter != its for parameter, its in given.items()):
                raise TypeError("one argument has the name of another")
        except (TypeError, ValueError) as error:
            how = IS_A_HOOK.format(name, ", ".join(arguments)) if arguments else HOW_TO_PERFORM
            raise NotAJob(f"{cls.__name__}.{name}() {how}") from error
    return takes_session, hooks
