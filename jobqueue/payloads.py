"""What a row keeps of an object, its arguments or its primary key, as JSON: it comes back as it was, in type
too, or is refused when it is enqueued.
"""

import inspect
import json
import reprlib
from collections.abc import Callable, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.orm import Mapper, Session, scoped_session
from sqlalchemy.types import TypeEngine

from jobqueue.errors import NotAJob, NotSerializable

as_json = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode

# A key is stored as its column's type would pass it to a database that has no types beyond these and JSON's.
NEUTRAL = DefaultDialect()
NEUTRAL.supports_native_decimal = True
FORMS: dict[type, tuple[Callable[[Any], str], Callable[[str], Any]]] = {
    date: (str, date.fromisoformat),
    datetime: (str, datetime.fromisoformat),
    time: (str, time.fromisoformat),
    Decimal: (str, Decimal),
    UUID: (str, UUID),
    bytes: (bytes.hex, bytes.fromhex),
}
PLAIN = {str, int, bool, type(None)}
FROM_TEXT = {kind.__name__: from_text for kind, (_, from_text) in FORMS.items()}


def parameters_of(cls: type[Any]) -> tuple[str, ...]:
    """The names of the constructor's arguments, which are also the object's attributes. Raises
    NotSerializable.
    """
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    try:
        parameters = inspect.signature(cls).parameters.values()
    except ValueError as error:  # a class written in C
        raise NotSerializable(f"{cls.__name__} can't be queued: {error}") from error
    for parameter in parameters:
        if parameter.kind not in named:
            raise NotSerializable(
                f"{cls.__name__} can't be queued: its __init__ takes {parameter}, which is not a named"
                " argument; let it take each argument by name"
            )
    return tuple(parameter.name for parameter in parameters)


def arguments_of(performable: object, names: Sequence[str]) -> str:
    """The JSON of the constructor's arguments. The object is built from them once more, as a worker will do,
    and compared. Raises NotSerializable.
    """
    cls = type(performable).__name__
    given = _state(performable)
    texts = []
    for name in names:
        try:
            texts.append(f'"{name}":{_text_of(_value(performable, given, name))}')
        except (TypeError, ValueError, RecursionError) as error:
            raise NotSerializable(
                f"{cls} can't be queued: {name}: {error}. {NotSerializable.__doc__}"
            ) from error
    text = "{" + ",".join(texts) + "}"
    try:
        again = type(performable)(**json.loads(text))
    except Exception as error:
        raise NotSerializable(
            f"{cls} can't be queued: building it from its arguments, as a worker will, raises {error!r}"
        ) from error
    built = _state(again)
    for name in names:
        if change := _change(_value(performable, given, name), _value(again, built, name)):
            raise NotSerializable(f"{cls} can't be queued: {name}{change}. {NotSerializable.__doc__}")
        # What an InitVar, a property or an attribute of the class says need not be what __init__ was given.
        if name not in given and (change := _change(given, built)):
            raise NotSerializable(
                f"{cls} can't be queued: it has no attribute of its own named {name}, and vars(self){change};"
                " store each argument of __init__ under its own name"
            )
    return text


def key_of(performable: object) -> list[Any]:
    """A mapped object's primary key, as JSON. Raises NotAJob or NotSerializable."""
    state: Any = sa.inspect(performable)
    mapper, key, what = state.mapper, state.identity, f"This {type(performable).__name__}"
    if key is None:
        raise NotAJob(
            f"{what} has no primary key yet: add it to the session, and pass the session to enqueue()"
        )
    if state.deleted or state.was_deleted or (state.session and performable in state.session.deleted):
        raise NotAJob(
            f"{what} is deleted, so its job would not find it; enqueue a job that needs only its key"
        )
    names = [mapper.get_property_by_column(column).key for column in mapper.primary_key]
    changed = tuple(state.dict.get(name, was) for name, was in zip(names, key, strict=True))
    if changed != tuple(key):
        raise NotAJob(
            f"{what} has a new primary key, {changed}, which is not in the database yet:"
            " pass its session to enqueue()"
        )
    try:
        packed = [_pack(column.type, value) for column, value in zip(mapper.primary_key, key, strict=True)]
        again = _values(mapper, json.loads(_text_of(packed)))
    except Exception as error:  # a column's type may be the application's own
        raise NotSerializable(f"{what} can't be queued: its primary key, {key}: {error}") from error
    if again != tuple(key):
        raise NotSerializable(f"{what} can't be queued: its primary key, {key}, would come back as {again}")
    return packed


def load_key(cls: type[Any], key: Sequence[Any], session: Session | scoped_session[Any]) -> Any:
    """The mapped object with this key, or None. A key that key_of() did not make may raise any error."""
    return session.get(cls, _values(sa.inspect(cls), key))


def _values(mapper: Mapper[Any], key: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(_unpack(column.type, packed) for column, packed in zip(mapper.primary_key, key, strict=True))


def _pack(kind: TypeEngine[Any], value: Any) -> Any:
    process = _neutral(kind).bind_processor(NEUTRAL)
    raw = process(value) if process else value
    to_text, _ = FORMS.get(type(raw), (None, None))
    return {type(raw).__name__: to_text(raw)} if to_text else raw


def _unpack(kind: TypeEngine[Any], packed: Any) -> Any:
    if isinstance(packed, dict):
        [(name, text)] = packed.items()
        packed = FROM_TEXT[name](text)
    process = _neutral(kind).result_processor(NEUTRAL, None)
    return process(packed) if process else packed


def _neutral(kind: TypeEngine[Any]) -> TypeEngine[Any]:
    if isinstance(kind, sa.PickleType):
        raise TypeError("nothing pickled is read from a row, which could attack the worker")
    return kind.dialect_impl(NEUTRAL)


def _state(performable: object) -> dict[str, Any]:
    """What the object itself holds, in its __dict__ and in its slots."""
    state: Any = object.__getstate__(performable)
    parts = state if isinstance(state, tuple) else (state,)
    return {name: value for part in parts if part for name, value in part.items()}


def _value(performable: object, state: dict[str, Any], name: str) -> Any:
    try:
        return state[name] if name in state else getattr(performable, name)
    except AttributeError as error:
        raise NotSerializable(
            f"{type(performable).__name__} can't be queued: {error};"
            " store each argument of __init__ under its own name"
        ) from error


def _text_of(value: Any) -> str:
    text = as_json(value)
    text.encode()  # a lone surrogate raises ValueError here, rather than in the database driver
    return text


def _change(given: Any, again: Any) -> str | None:
    """Where and how a value differs from what would come back, in type or value; None if it does not."""
    inside: Any = None
    if type(given) is type(again):
        if type(given) in PLAIN and given == again:  # nearly always
            return None
        if isinstance(given, dict):
            if change := _change([*given], [*again]):
                return f".keys(){change}"
            inside = ((key, value, again[key]) for key, value in given.items())
        elif isinstance(given, list | tuple):
            if len(given) == len(again):
                inside = zip(range(len(given)), given, again, strict=True)
        elif repr(given) == repr(again) if isinstance(given, float) else _equal(given, again):
            return None
    if inside is None:
        was, now = (f"{reprlib.repr(value)} ({type(value).__name__})" for value in (given, again))
        return f" is {was}, and would come back as {now}"
    for key, value, other in inside:
        if change := _change(value, other):
            return f"[{key!r}]{change}"
    return None


def _equal(one: Any, other: Any) -> bool:
    try:
        return bool(one == other)
    except Exception:  # an array, for instance
        return False
