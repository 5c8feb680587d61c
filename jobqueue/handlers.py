"""Converts an object with perform() to the text in its row, and back.

A row holds the name under which this program registered the class, and the arguments as JSON. A row can't
make a worker import, unpickle or evaluate anything, and so can't attack it.
"""

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any, Protocol, TypeVar, overload

import sqlalchemy as sa
from sqlalchemy.orm import Mapper, Session, scoped_session

from jobqueue.errors import HandlerError, NotAJob, NotSerializable, UnknownJob, as_wait

T = TypeVar("T")

# The optional methods of a job, as in Delayed Job, and the arguments they are called with.
HOOKS = {
    "enqueue": ("job",),  # before it is queued: may change the row, for instance its priority
    "before": ("job",),
    "success": ("job",),
    "error": ("job", "exception"),  # after each attempt that failed
    "failure": ("job",),  # after the last attempt, if that failed too
    "after": ("job",),  # after each attempt
    "reschedule_at": ("attempts", "now"),  # when to run again: an aware datetime
}
NOBODY_KNOWS = "No job is registered as "
as_json = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


class Performable(Protocol):
    """An object that can be queued: it has perform(), or perform(session) for writes that commit together
    with the job's end.
    """

    @property
    def perform(self) -> Callable[..., object]: ...


@dataclass(frozen=True)
class Settings:
    """What @job says about all jobs of a class."""

    retry_on: Mapping[type[BaseException], timedelta | None]  # after these: how long to wait; None: as usual
    discard_on: tuple[type[BaseException], ...]  # a job that raises one of these is not tried again
    destroy_failed: bool  # a job that failed for good is deleted


@dataclass(frozen=True)
class JobClass:
    """A registered class, and what is known about it before any of its jobs runs."""

    name: str
    cls: type[Any]
    mapped: bool  # stored as its primary key, and loaded from the database
    takes_session: bool
    hooks: frozenset[str]  # those of HOOKS that it has
    settings: Settings

    @cached_property
    def parameters(self) -> tuple[str, ...]:
        """The names of the constructor's arguments. Read only when the first job is queued, since @dataclass
        may stand above @job. Raises NotSerializable.
        """
        return _parameters(self.cls)

    def load(self, body: dict[str, Any], session: Session | scoped_session[Any] | None) -> Performable:
        """The object that the row's body describes. Raises HandlerError if the body doesn't fit the class, or
        if the object is no longer in the database.
        """
        try:
            if not self.mapped:
                return self.cls(**body["arguments"])  # type: ignore[no-any-return]
            assert session is not None
            found = session.get(self.cls, tuple(body["key"]))
        except (TypeError, KeyError, ValueError, sa.exc.InvalidRequestError) as error:
            raise HandlerError(f"The payload no longer fits {self.name}: {error}") from error
        if found is None:
            raise HandlerError(f"{self.name} {body['key']} is no longer in the database")
        return found  # type: ignore[no-any-return]

    def call(self, target: Performable, session: Session | scoped_session[Any] | None) -> None:
        """Call perform(), with the session if it takes one."""
        if self.takes_session:
            target.perform(session=session)
        else:
            target.perform()


registry: dict[str, JobClass] = {}
_by_class: dict[type[Any], JobClass] = {}


@overload
def job(cls: type[T], /) -> type[T]: ...
@overload
def job(
    *,
    name: str | None = None,
    retry_on: Mapping[type[BaseException], timedelta | float | None] = {},
    discard_on: Sequence[type[BaseException]] = (),
    destroy_failed: bool = False,
) -> Callable[[type[T]], type[T]]: ...
def job(cls: type[Any] | None = None, /, *, name: str | None = None, **settings: Any) -> Any:
    """Register a class with a perform() method, under its own name or another; returns the class.

    Use it as a decorator, `@job` or `@job(name="images.resize")`, or as a function for a class that you did
    not write: `job(Feed)`. An object of an SQLAlchemy mapped class is stored as its primary key; one of a
    dataclass, or of any other class, as the attributes named like the arguments of __init__. Raises NotAJob
    if perform() is missing or not an ordinary function, if a hook can't take its arguments, or if another
    class has the name.
    """
    if cls is None:
        return lambda decorated: _register(decorated, name or decorated.__name__, **settings)
    return _register(cls, name or cls.__name__)


def dump(performable: Performable) -> str:
    """The text for the row. Raises NotAJob or NotSerializable."""
    cls = type(performable)
    if isinstance(performable, type):
        raise NotAJob(f"{performable!r} is a class: enqueue an instance of it, with its arguments")
    known = _by_class.get(cls)
    if known is None:
        raise NotAJob(
            f"{cls.__name__} is not registered: put @job above the class (from jobqueue import job)"
        )
    if known.mapped:
        body: dict[str, Any] = {"job": known.name, "key": _key_of(performable, known)}
    else:
        body = {"job": known.name, "arguments": _arguments_of(performable, known)}
    try:
        text = as_json(body)
        text.encode()  # a lone surrogate raises ValueError here, rather than in the database driver
        if json.loads(text) != body:
            raise ValueError("tuples, and keys that are not strings, don't survive a round trip through JSON")
    except (TypeError, ValueError, RecursionError) as error:
        raise NotSerializable(
            f"{cls.__name__} can't be queued: {error}. {NotSerializable.__doc__}"
        ) from error
    return text


def hook(performable: Performable, name: str) -> Callable[..., object] | None:
    """The job's hook of this name, if it has one. The job's class must be registered."""
    return getattr(performable, name) if name in _by_class[type(performable)].hooks else None


def parse(handler: str) -> tuple[JobClass, dict[str, Any]]:
    """The registered class that a row's text names, and its body. Raises HandlerError, or UnknownJob if
    this program has not registered it.
    """
    try:
        body = json.loads(handler)
        if not isinstance(name := body["job"], str):
            raise TypeError
    except (ValueError, TypeError, KeyError) as error:
        raise HandlerError(f"The handler is not what jobqueue writes: {handler[:200]!r}") from error
    known = registry.get(name)
    if known is None:
        raise UnknownJob(
            f"{NOBODY_KNOWS}{name!r} in this worker. Import the module that defines it"
            " (python -m jobqueue work --import your.module), or delete the job if its class is gone."
        )
    return known, body


def _register(
    cls: type[Any],
    name: str,
    retry_on: Mapping[type[BaseException], timedelta | float | None] = {},
    discard_on: Sequence[type[BaseException]] = (),
    destroy_failed: bool = False,
) -> type[Any]:
    if not callable(getattr(cls, "perform", None)):
        raise NotAJob(f"{cls.__name__} has no perform() method, so it can't be a job")
    kinds = (inspect.iscoroutinefunction, inspect.isasyncgenfunction, inspect.isgeneratorfunction)
    if any(is_kind(cls.perform) for is_kind in kinds):  # calling it would do nothing, and "succeed"
        raise NotAJob(f"{cls.__name__}.perform() must be an ordinary function, not async or a generator")
    other = registry.get(name)
    # The same class registered again (a notebook cell rerun, a module reloaded) replaces the earlier one.
    if other and (other.cls.__module__, other.cls.__qualname__) != (cls.__module__, cls.__qualname__):
        raise NotAJob(
            f'Another job is registered as {name!r}: {other.cls!r}. Choose another name: @job(name="...")'
        )
    waits = {kind: None if wait is None else as_wait(wait) for kind, wait in retry_on.items()}
    mapped = isinstance(sa.inspect(cls, raiseerr=False), Mapper)
    known = JobClass(
        name=name,
        cls=cls,
        mapped=mapped,
        takes_session="session" in inspect.signature(cls.perform).parameters,
        hooks=_hooks(cls),
        settings=Settings(waits, tuple(discard_on), destroy_failed),
    )
    registry[name] = _by_class[cls] = known
    return cls


def _parameters(cls: type[Any]) -> tuple[str, ...]:
    """The names of the constructor's arguments, which are also the object's attributes."""
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    parameters = inspect.signature(cls).parameters.values()
    for parameter in parameters:
        if parameter.kind not in named:
            raise NotSerializable(
                f"{cls.__name__} can't be queued: its __init__ takes {parameter}, which is not a named"
                " argument; let it take each argument by name"
            )
    return tuple(parameter.name for parameter in parameters)


def _hooks(cls: type[Any]) -> frozenset[str]:
    found = {name for name in HOOKS if inspect.isfunction(getattr(cls, name, None))}  # a column is not a hook
    for name in found:
        try:
            inspect.signature(getattr(cls, name)).bind("self", *HOOKS[name])
        except TypeError as error:
            raise NotAJob(
                f"{cls.__name__}.{name}() is a hook: jobqueue calls it as {name}({', '.join(HOOKS[name])})."
                " Give it this signature, or rename it"
            ) from error
    return frozenset(found)


def _arguments_of(performable: object, known: JobClass) -> dict[str, Any]:
    try:
        return {name: getattr(performable, name) for name in known.parameters}
    except AttributeError as error:
        raise NotSerializable(
            f"{known.name} can't be queued: {error}; store each argument of __init__ under its own name"
        ) from error


def _key_of(performable: object, known: JobClass) -> list[Any]:
    state = sa.inspect(performable)
    if state is None or state.identity is None:
        raise NotAJob(
            f"This {known.name} has no primary key yet: add it to the session,"
            " and pass the session to enqueue()"
        )
    return list(state.identity)
