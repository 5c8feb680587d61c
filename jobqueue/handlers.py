"""From an object with perform() to the text in the row, and back.

A row names a class by the name under which this program registered it, and holds its arguments as JSON.
Nothing is imported, unpickled or evaluated because a row says so: a row can't attack a worker.
"""

import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, TypeVar, overload

import sqlalchemy as sa
from sqlalchemy.orm import Mapper, Session, scoped_session

from jobqueue.errors import HandlerError, NotAJob, NotSerializable

T = TypeVar("T")

# Methods that a job may have besides perform(), as in Delayed Job, and the arguments they are called with.
HOOKS = {
    "enqueue": ("job",),  # before it is queued: may change the row, for instance its priority
    "before": ("job",),
    "success": ("job",),
    "error": ("job", "exception"),  # after each attempt that failed
    "failure": ("job",),  # after the last of them
    "after": ("job",),  # after each attempt
}
as_json = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


class Performable(Protocol):
    """Anything that can be queued: perform(), or perform(session) for writes that commit together with the
    job's end.
    """

    @property
    def perform(self) -> Callable[..., object]: ...


@dataclass(frozen=True)
class JobClass:
    """A registered class, and what there is to know about it before one of its jobs can run."""

    name: str
    cls: type[Any]
    mapped: bool  # stored as its primary key, and loaded from the database
    takes_session: bool
    hooks: frozenset[str]  # names of those of HOOKS that it has

    @cached_property
    def parameters(self) -> tuple[str, ...]:
        """The arguments that make a new object. Not looked at before the first job is queued: @dataclass may
        stand above @job. Raises NotSerializable.
        """
        return _parameters(self.cls)

    def load(self, body: dict[str, Any], session: Session | scoped_session[Any] | None) -> Performable:
        """The object that the row's body describes. Raises HandlerError when it doesn't fit or is no longer
        there.
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
        """Perform it, with the session if it takes one."""
        if self.takes_session:
            target.perform(session=session)
        else:
            target.perform()


registry: dict[str, JobClass] = {}
_by_class: dict[type[Any], JobClass] = {}


@overload
def job(cls: type[T], /) -> type[T]: ...
@overload
def job(*, name: str) -> Callable[[type[T]], type[T]]: ...
def job(cls: type[Any] | None = None, /, *, name: str | None = None) -> Any:
    """Register a class with a perform() method, under its own name or another; returns the class.

    Use it as a decorator, `@job` or `@job(name="images.resize")`, or as a function for a class that you did
    not write: `job(Feed)`. An SQLAlchemy mapped class is stored as its primary key; a dataclass, and any
    other class, as those of its attributes that __init__ takes. Raises NotAJob when there is no perform(),
    when it is not an ordinary function, or when another class has the name.
    """
    if cls is None:
        return lambda decorated: _register(decorated, name or decorated.__name__)
    return _register(cls, name or cls.__name__)


def dump(performable: Performable) -> str:
    """The text for the row. Raises NotAJob or NotSerializable."""
    cls = type(performable)
    if isinstance(performable, type):
        raise NotAJob(f"{performable!r} is a class: queue an object of it, with its arguments")
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
        text.encode()  # a lone surrogate is a ValueError here, and not in the database's driver
        if json.loads(text) != body:
            raise ValueError("its tuples, or keys that are not strings, would come back as something else")
    except (TypeError, ValueError, RecursionError) as error:
        raise NotSerializable(
            f"{cls.__name__} can't be queued: {error}. {NotSerializable.__doc__}"
        ) from error
    return text


def hook(performable: Performable, name: str) -> Callable[..., object] | None:
    """The job's hook of this name, if it has one. The job's class must be registered."""
    return getattr(performable, name) if name in _by_class[type(performable)].hooks else None


def parse(handler: str) -> tuple[JobClass, dict[str, Any]]:
    """The registered class that a row's text names, and the text's body. Raises HandlerError."""
    try:
        body = json.loads(handler)
        name = body["job"]
    except (ValueError, TypeError, KeyError) as error:
        raise HandlerError(f"The handler is not what jobqueue writes: {handler[:200]!r}") from error
    known = registry.get(name) if isinstance(name, str) else None
    if known is None:
        raise HandlerError(
            f"No job is registered as {name!r} in this worker. Import the module that defines it"
            " (python -m jobqueue work --import your.module), or delete the job if its class is gone."
        )
    return known, body


def _register(cls: type[Any], name: str) -> type[Any]:
    if not callable(getattr(cls, "perform", None)):
        raise NotAJob(f"{cls.__name__} has no perform() method, so it can't be a job")
    kinds = (inspect.iscoroutinefunction, inspect.isasyncgenfunction, inspect.isgeneratorfunction)
    if any(is_kind(cls.perform) for is_kind in kinds):  # a call would do nothing, and so "succeed"
        raise NotAJob(f"{cls.__name__}.perform() must be an ordinary function, not async and without yield")
    other = registry.get(name)
    # The same class once more (a notebook cell run again, a module reloaded) replaces the one before.
    if other and (other.cls.__module__, other.cls.__qualname__) != (cls.__module__, cls.__qualname__):
        raise NotAJob(
            f'Another job is registered as {name!r}: {other.cls!r}. Choose a name: @job(name="...")'
        )
    mapped = isinstance(sa.inspect(cls, raiseerr=False), Mapper)
    known = JobClass(
        name=name,
        cls=cls,
        mapped=mapped,
        takes_session="session" in inspect.signature(cls.perform).parameters,
        hooks=_hooks(cls),
    )
    registry[name] = _by_class[cls] = known
    return cls


def _parameters(cls: type[Any]) -> tuple[str, ...]:
    """The arguments that make a new object, which it keeps as attributes of these names."""
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    parameters = inspect.signature(cls).parameters.values()
    for parameter in parameters:
        if parameter.kind not in named:
            raise NotSerializable(
                f"{cls.__name__} can't be queued: its __init__ takes {parameter}, which has no name to be"
                " kept under; let it take each argument by its name"
            )
    return tuple(parameter.name for parameter in parameters)


def _hooks(cls: type[Any]) -> frozenset[str]:
    found = {name for name in HOOKS if inspect.isfunction(getattr(cls, name, None))}  # a column is no hook
    for name in found:
        try:
            inspect.signature(getattr(cls, name)).bind("self", *HOOKS[name])
        except TypeError as error:
            raise NotAJob(
                f"{cls.__name__}.{name}() is a hook: jobqueue calls it as {name}({', '.join(HOOKS[name])})."
                " Let it take that, or give it another name"
            ) from error
    return frozenset(found)


def _arguments_of(performable: object, known: JobClass) -> dict[str, Any]:
    try:
        return {name: getattr(performable, name) for name in known.parameters}
    except AttributeError as error:
        raise NotSerializable(
            f"{known.name} can't be queued: {error}; keep each argument of __init__ under its own name"
        ) from error


def _key_of(performable: object, known: JobClass) -> list[Any]:
    state = sa.inspect(performable)
    if state is None or state.identity is None:
        raise NotAJob(
            f"This {known.name} has no primary key yet: add it to the session,"
            " and pass the session to enqueue()"
        )
    return list(state.identity)
