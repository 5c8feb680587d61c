"""What the two databases do differently: their URLs; in SQL, moments, lists, and a few statements."""

import json
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from importlib import import_module
from typing import Any

import sqlalchemy as sa
from sqlalchemy import URL, ColumnElement, Connection, Dialect, Table
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator, TypeEngine

from jobqueue.errors import DatabaseError

# What is no moment of Python's is read as one of these, in any time zone: long due, so that a worker claims
# the job; or never.
UNREADABLE = datetime(1, 1, 3, tzinfo=UTC)
INFINITY = datetime(9999, 1, 1, tzinfo=UTC)


def url_of(database: Any) -> URL:
    """The URL; a password in its query is moved to where a URL's repr hides it. Raises DatabaseError."""
    try:
        url = sa.make_url(database)
    except (ArgumentError, ValueError) as error:
        shown = re.sub("(?s)(?<=:).*(?=@)|(?<=password=)[^&]*", "***", str(database))
        no = (
            "; use, for example, sqlite:///jobs.db"
            if isinstance(error, ArgumentError)
            else ": its port is no number"
        )
        raise DatabaseError(f"{shown!r} is not a database URL{no}") from None
    if password := url.query.get("password"):
        url = url.set(password=str(password)).difference_update_query(["password"])
    return url


def in_utc(moment: datetime) -> datetime:
    """The same moment in UTC. Raises ValueError for a naive datetime, which is ambiguous."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment!r} has no time zone; use datetime.now(UTC), or .astimezone()")
    return moment.astimezone(UTC)


class UTCDateTime(TypeDecorator[datetime]):
    """A moment in time, always UTC and always aware.

    PostgreSQL has a type for this. SQLite's DateTime silently drops the offset, so there the value is
    converted to UTC before it is stored, and marked as UTC when it is read.
    """

    impl = sa.DateTime(timezone=True)
    cache_ok = True
    __module__ = "sqlalchemy.types"  # so Alembic writes sa.DateTime(timezone=True), which needs no import

    def __repr__(self) -> str:
        return repr(self.impl)

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(sa.DateTime(timezone=dialect.name != "sqlite"))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else in_utc(value)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def column_expression(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        return _InReach(column)

    # SQLite: text, at a fraction of the time that SQLAlchemy takes for it.

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any] | None:
        return _as_text if dialect.name == "sqlite" else super().bind_processor(dialect)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], datetime | None] | None:
        return _moment if dialect.name == "sqlite" else super().result_processor(dialect, coltype)


@lru_cache(8)  # a new row has the same moment three times
def _as_text(value: datetime | None) -> str | None:
    return None if value is None else in_utc(value).isoformat(" ", "microseconds")[:26]


def _moment(text: Any) -> datetime | None:
    """A moment that SQLite has stored. It stores anything, and sorts numbers before texts, and blobs last."""
    if text is None:
        return None
    try:
        if "0002" < text < "9999":
            if len(text) == 26:
                return datetime.fromisoformat(text + "Z")
            return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except (TypeError, ValueError):
        pass
    return INFINITY if isinstance(text, bytes) or (isinstance(text, str) and text >= "9999") else UNREADABLE


class _ByDialect(FunctionElement[Any]):
    """SQL that each of the two databases writes in its own way."""

    sqlite: str
    postgresql: str


@compiles(_ByDialect)
def _written(element: _ByDialect, compiler: Any, **options: Any) -> str:
    template: str = getattr(element, compiler.dialect.name)
    return template.format(*(compiler.process(part, **options) for part in element.clauses))


class _InReach(_ByDialect):
    """A moment as it is selected: PostgreSQL's infinity, -infinity and years BC are no datetime in Python."""

    inherit_cache = True
    type = UTCDateTime()
    sqlite = "{0}"
    postgresql = (
        f"CASE WHEN ({{0}} < '{UNREADABLE}') THEN '{UNREADABLE}'"
        f" WHEN ({{0}} > '{INFINITY}') THEN '{INFINITY}' ELSE {{0}} END"
    )


class vain(_ByDialect):
    """Whether a moment will never come. SQLite stores and sorts any text; what is due soon is claimed."""

    inherit_cache = True
    sqlite = "({0} > '2040-' AND ({0} >= '9999-' OR {0} NOT GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-*'))"
    postgresql = f"{{0}} >= '{INFINITY}'"


class Unreadable(str):
    """A text in place of one that can't be read: its bytes, escaped. As the handler of a claimed job: what is
    wrong with its row.
    """


def read_text(stored: bytes) -> str:
    """A text that SQLite has stored, which may not be UTF-8: that must not stop a worker."""
    try:
        return stored.decode()
    except UnicodeDecodeError:
        escaped: str = readable(stored)
        return escaped


def readable(value: Any) -> Any:
    """A value from a row; SQLite may hold a blob in any column."""
    return Unreadable(value.decode(errors="backslashreplace")) if isinstance(value, bytes) else value


def insert_unless_there(connection: Connection, table: Table) -> Any:
    """INSERT ... ON CONFLICT DO NOTHING, in the database's dialect."""
    # Imported here: the other database's dialect would double the time `import jobqueue` takes.
    dialect: Any = import_module(f"sqlalchemy.dialects.{connection.dialect.name}")
    return dialect.insert(table).on_conflict_do_nothing()


class Listed(TypeDecorator[Sequence[Any]]):
    """A list in one parameter: an array, or on SQLite its JSON."""

    impl = sa.Text
    cache_ok = True

    def __init__(self, kind: TypeEngine[Any]):
        super().__init__()
        self.kind = kind

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(sa.Text() if dialect.name == "sqlite" else sa.ARRAY(self.kind))

    def process_bind_param(self, value: Sequence[Any] | None, dialect: Dialect) -> Any:
        return json.dumps(value) if dialect.name == "sqlite" else list(value or ())


class each(_ByDialect):
    """The elements of a list, as rows, in its order."""

    inherit_cache = True
    sqlite = "json_each({})"
    postgresql = "unnest({})"


class _Among(_ByDialect):  # not of type Boolean: SQLite would then have to compute `... = 1`
    inherit_cache = True
    sqlite = "{} IN (SELECT value FROM json_each({}))"
    postgresql = "{} = ANY ({})"


def among(column: ColumnElement[Any], name: str, values: Sequence[Any] | None = None) -> ColumnElement[bool]:
    """Whether a column's value is in a list: the parameter of this name, or these values."""
    return _Among(column, sa.bindparam(name, values, type_=Listed(column.type)))


class exactly(_ByDialect):
    """Whether a column has this value, so that PostgreSQL uses an index which begins with that column to find
    the rows in its order. For `=` it may choose another: before it was analysed, a rare value seems common.
    """

    inherit_cache = True
    sqlite = "{} = {}"
    postgresql = "{} = ANY (ARRAY[{}])"
