"""What a row keeps of an object, its arguments or its primary key, as JSON: it comes back as it was, in type
too, or is refused when it is enqueued.
"""

import inspect
import json
import reprlib
from collections.abc import Callable, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session, scoped_session

from jobqueue.errors import NotAJob, NotSerializable

# What a key may be besides what JSON has: there it is {"UUID": "..."}.
FROM_TEXT: dict[type, Callable[[str], Any]] = {
    UUID: UUID,
    datetime: datetime.fromisoformat,
    date: date.fromisoformat,
    time: time.fromisoformat,
    Decimal: Decimal,
    bytes: bytes.fromhex,
}
BY_NAME = {kind.__name__: from_text for kind, from_text in FROM_TEXT.items()}


def _named(value: Any) -> dict[str, str]:
    for kind in FROM_TEXT:
        if isinstance(value, kind):
            return {kind.__name__: value.hex() if isinstance(value, bytes) else str(value)}
    raise TypeError(f"{value!r} is neither JSON nor one of {', '.join(BY_NAME)}")


as_json = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
key_as_json = json.JSONEncoder(allow_nan=False, separators=(",", ":"), default=_named).encode
read_json = json.JSONDecoder().raw_decode  # twice as fast as loads(); also returns where it ended


def parameters_of(cls: type[Any]) -> tuple[str, ...]:
    """The names of the constructor's arguments, which are also the object's attributes. Raises
    NotSerializable.
    """
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    try:
        parameters = inspect.signature(cls).parameters
    except ValueError as error:  # a class written in C
        raise NotSerializable(f"{cls.__name__} can't be queued: {error}") from error
    for parameter in parameters.values():
        if parameter.kind not in named:
            raise NotSerializable(
                f"{cls.__name__} can't be queued: its __init__ takes {parameter}, which is not a named"
                " argument; let it take each by name, or queue a job that finds such an object by its key"
            )
    return tuple(parameters)


def arguments_of(performable: object, names: Sequence[str]) -> str:
    """The JSON of the constructor's arguments. The object is built from them once more, as a worker will do,
    and compared. Raises NotSerializable.
    """
    cls = type(performable)
    held, given = _read(performable, names)
    texts = []
    for name, value in given.items():
        try:
            text = as_json(value)
            text.encode()  # a lone surrogate raises ValueError here, rather than in the database driver
        except (TypeError, ValueError, RecursionError) as error:
            raise _refusal(cls, f"{name}: {error}. {NotSerializable.__doc__}") from error
        texts.append(f'"{name}":{text}')
    text = "{" + ",".join(texts) + "}"
    try:
        again = cls(**read_json(text)[0])
    except Exception as error:
        raise _refusal(cls, f"building it as a worker will, from {text[:200]}, raises {error!r}") from error
    held_again, given_again = _read(again, names)
    for name, value in given.items():
        if not same(value, other := given_again[name]):
            was, now = (f"{reprlib.repr(each)} ({type(each).__name__})" for each in (value, other))
            raise _refusal(cls, f"{name} is {was}, and would come back as {now}. {NotSerializable.__doc__}")
    # What an InitVar, a property or an attribute of the class says need not be what __init__ was given.
    if not given.keys() <= held.keys() and not same(held, held_again):
        raise _refusal(
            cls,
            f"it has no attribute of its own named {', '.join(given.keys() - held.keys())}, and {held} would"
            f" come back as {held_again}; store each argument of __init__ under its own name",
        )
    return text


def key_of(performable: object) -> str:
    """A mapped object's primary key, as JSON. Raises NotAJob or NotSerializable."""
    state: Any = sa.inspect(performable)
    key = state.identity
    names = [state.mapper.get_property_by_column(column).key for column in state.mapper.primary_key]
    new_key = key and tuple(state.dict.get(name, was) for name, was in zip(names, key, strict=True))
    what = f"This {type(performable).__name__}"
    if key is None:
        raise NotAJob(
            f"{what} has no primary key yet: add it to the session, and pass the session to enqueue()"
        )
    if state.deleted or state.was_deleted or (state.session and performable in state.session.deleted):
        raise NotAJob(
            f"{what} is deleted, so its job would not find it; enqueue a job that needs only its key"
        )
    if new_key != key:
        raise NotAJob(
            f"{what} has a new primary key, {new_key}, which is not in the database yet:"
            " pass its session to enqueue()"
        )
    try:
        for value in key:
            if isinstance(value, Enum):  # it may be a str, too, but its column may store its name
                raise TypeError(f"{value!r} is a member of an Enum")
        text = key_as_json(key)
    except (TypeError, ValueError) as error:
        raise _refusal(type(performable), f"its primary key, {key}: {error}") from error
    return text


def load_key(cls: type[Any], key: Sequence[Any], session: Session | scoped_session[Any]) -> Any:
    """The mapped object with this key, or None. A key that key_of() did not make may raise any error."""
    values = (_from_text(*value.items()) if isinstance(value, dict) else value for value in key)
    return session.get(cls, tuple(values))


def _refusal(cls: type[Any], why: str) -> NotSerializable:
    return NotSerializable(f"{cls.__name__} can't be queued: {why}")


def _read(performable: object, names: Sequence[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the object holds, in its __dict__ and its slots; and the constructor's arguments among that."""
    state: Any = object.__getstate__(performable)
    if not isinstance(state, dict):  # None, or with slots: (a dict or None, a dict)
        state = {name: value for part in state or () if part for name, value in part.items()}
    try:
        return state, {name: state[name] if name in state else getattr(performable, name) for name in names}
    except AttributeError as error:
        raise _refusal(
            type(performable), f"{error}; store each argument of __init__ under its own name"
        ) from error


def _from_text(named: tuple[str, str]) -> Any:
    name, text = named
    return BY_NAME[name](text)


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal, in type too, all the way down."""
    if one is other or type(one) is not type(other):
        return one is other
    if isinstance(one, dict):
        return same([*one.items()], [*other.items()])
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float):  # -0.0 == 0.0
        return repr(one) == repr(other)
    try:
        return bool(one == other)
    except Exception:  # an array, for instance
        return False
