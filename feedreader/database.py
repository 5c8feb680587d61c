"""How the database is opened. SQLite needs some configuration; PostgreSQL runs with its defaults."""

import random
import sqlite3
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from sqlalchemy import (
    Connection,
    DateTime,
    Dialect,
    Engine,
    MetaData,
    create_engine,
    event,
    inspect,
    make_url,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, OperationalError
from sqlalchemy.orm import Session
from sqlalchemy.types import TypeDecorator

from feedreader.errors import SettingsError
from feedreader.replacing import notice_replacing
from feedreader.silence import limit_silence, patience

BUSY_TIMEOUT_MS = 15_000
WAL_BYTES = 2**24
ASK_SECONDS = (0.001, 0.05)  # between a writer's attempts to get SQLite's write lock: at first, at last
CREATE_TABLES_LOCK = 0x66656564  # "feed"; any number that nobody else is likely to use


class UTCDateTime(TypeDecorator[datetime]):
    """A moment, stored in UTC and returned with its offset, even by SQLite, which stores none.

    A datetime without an offset raises ValueError (SQLAlchemy wraps it in StatementError).
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone: use datetime.now(UTC)")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None or value.tzinfo is not None:
            return value
        return value.replace(tzinfo=UTC)


def make_engine(url: str) -> Engine:
    """Make an engine for the database at `url`, SQLite or PostgreSQL, and the folder of an SQLite file.

    Call this in the process that uses it: a connection must not cross a fork. Raises SettingsError.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise SettingsError(
            f"{url!r} is not a database URL: write, for example, sqlite:///var/feedreader.db"
        ) from None
    backend = parsed.get_backend_name()
    if backend == "postgresql":
        if parsed.drivername == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
        try:
            engine = create_engine(parsed, max_overflow=-1, pool_pre_ping=True, connect_args=patience(parsed))
        except (ImportError, NoSuchModuleError) as error:
            raise SettingsError(
                f"The driver of {parsed.drivername}:// is not installed ({error}). Install psycopg 3,"
                " pip install 'psycopg[binary]', and begin the URL with postgresql:"
            ) from error
        event.listen(engine, "connect", limit_silence)
        return engine
    if backend != "sqlite":
        raise SettingsError(f"{backend} is not supported: use a URL that begins with sqlite: or postgresql:")
    if not parsed.database or parsed.database == ":memory:":
        raise SettingsError(
            "An in-memory SQLite database has one connection only: name a file, as in sqlite:///reader.db"
        )
    Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    # No limit on the pool: there are never more connections in use than threads at work.
    engine = create_engine(parsed, pool_size=0)
    event.listen(engine, "connect", _configure_sqlite)
    notice_replacing(engine)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def writer(engine: Engine) -> Engine:
    """The same engine for transactions that write.

    On SQLite these begin with BEGIN IMMEDIATE, so they wait for the write lock at their start. A transaction
    that reads first and writes later fails at once, whatever the timeout, if another has written in between.
    """
    return engine.execution_options(sqlite_begin="IMMEDIATE")


def create_all(engine: Engine, metadata: MetaData) -> None:
    """Create the missing tables. Any number of processes may do so at the same time.

    Raises SettingsError for a table that lacks columns.
    """
    with writer(engine).begin() as connection:
        if connection.dialect.name == "postgresql":  # on SQLite the write lock is enough
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": CREATE_TABLES_LOCK})
        metadata.create_all(connection)
        inspector = inspect(connection)
        for table in metadata.sorted_tables:
            there = {column["name"] for column in inspector.get_columns(table.name)}
            if lacking := ", ".join(sorted({*table.columns.keys()} - there)):
                raise SettingsError(
                    f"The table {table.name} of {engine.url!r} has no {lacking}: an older release, or another"
                    " program, made it. Set FEEDREADER_DATABASE to another database, or move this one away"
                )


def insert_for(session: Session) -> Callable[[Any], postgresql.Insert]:
    """Makes, for a table, an INSERT that supports ON CONFLICT, which both databases spell the same way."""
    make = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    return cast(Callable[[Any], postgresql.Insert], make)


def _configure_sqlite(dbapi_connection: Any, _record: object) -> None:
    dbapi_connection.isolation_level = (
        None  # we send BEGIN ourselves; the sqlite3 module would send it too late
    )
    cursor = dbapi_connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    # In WAL mode, readers and the writer don't block each other. The first to open a new file switches it,
    # and SQLite does not wait for that by itself: several processes that start together would fail.
    _execute_when_free(cursor, "PRAGMA journal_mode = WAL")
    cursor.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")  # of a WAL that has grown, once it is reused
    cursor.execute("PRAGMA synchronous = FULL")  # what is committed survives a power cut
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    connection.info["file"].refuse_gone()
    cursor = connection.connection.cursor()  # SQLAlchemy's own execution would take longer than the reading
    if connection.get_execution_options().get("sqlite_begin") != "IMMEDIATE":
        cursor.execute("BEGIN")
        return
    cursor.execute("PRAGMA busy_timeout = 0")
    try:
        _execute_when_free(cursor, "BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        raise OperationalError("BEGIN IMMEDIATE", None, error) from error
    finally:
        cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        cursor.close()


def _execute_when_free(cursor: Any, statement: str) -> None:
    """Ask until the lock is free: often at first, then once in each twentieth of the time waited, more or
    less. SQLite's own busy_timeout comes to ask ten times a second, so that newcomers overtake those who have
    waited long. And if all of a crowd asked every millisecond, who has the lock would lack the processor.
    """
    start = time.monotonic()
    while True:
        try:
            cursor.execute(statement)
            return
        except sqlite3.OperationalError as error:
            waited = time.monotonic() - start
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or waited > BUSY_TIMEOUT_MS / 1000:
                raise
        first, last = ASK_SECONDS
        time.sleep(random.uniform(0.5, 1.5) * min(max(first, waited / 20), last))
