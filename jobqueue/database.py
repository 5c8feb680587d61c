"""How the queue opens a database. SQLite needs to be told a few things; PostgreSQL is used as it comes."""

import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sqlalchemy import URL, Connection, Engine, Table, create_engine, event, make_url
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError

from jobqueue.errors import DatabaseError

BUSY_TIMEOUT_MS = 15_000
ASK_SECONDS = 0.001  # how often a writer asks whether it may write


def open_engine(database: str | URL | Engine) -> Engine:
    """An engine for the queue's own transactions.

    A PostgreSQL engine is used as it is. For SQLite the queue always makes connections of its own to the same
    file, since they need settings that an application's may not have. Raises DatabaseError for a database in
    memory, which one connection alone can see, and for one of another kind.
    """
    try:
        url = database.url if isinstance(database, Engine) else make_url(database)
    except ArgumentError as error:
        raise DatabaseError(
            f"{database!r} is not a database URL; write for instance sqlite:///jobs.db"
        ) from error
    backend = url.get_backend_name()
    if backend == "postgresql":
        if isinstance(database, Engine):
            return database
        return create_engine(url, max_overflow=-1, pool_pre_ping=True)
    if backend != "sqlite":
        raise DatabaseError(
            f"A queue needs SQLite or PostgreSQL, not {backend}; its URL begins with sqlite: or postgresql:"
        )
    if url.database in (None, "", ":memory:") or url.query.get("mode") == "memory":
        raise DatabaseError(
            "A queue can't live in SQLite's memory, which only one connection sees;"
            " name a file, such as sqlite:///jobs.db"
        )
    engine = create_engine(url, pool_size=0)  # 0: no limit; there are as many as there are threads at work
    event.listen(engine, "connect", _configure_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    event.listen(engine, "reset", _reset_sqlite)
    return engine


def writer(engine: Engine) -> Engine:
    """The same engine for transactions that write.

    On SQLite these begin with BEGIN IMMEDIATE: they queue up for the write lock at their beginning. A
    transaction that reads first and then wants to write fails at once with "database is locked", whatever the
    timeout, if somebody else wrote in between.
    """
    return engine.execution_options(sqlite_begin="IMMEDIATE")


class Kept:
    """One connection that is kept for many transactions, and replaced when it has failed. For one thread."""

    def __init__(self, engine: Engine):
        self._engine = engine
        self._connection: Connection | None = None

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A transaction, committed at the end of the block. Raises DBAPIError."""
        connection = self._connection or self._engine.connect()
        self._connection = None  # until it has proved to be still of use
        try:
            with connection.begin():
                yield connection
        except BaseException:
            connection.invalidate()
            connection.close()
            raise
        self._connection = connection

    def close(self) -> None:
        """Close it; begin() opens a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def is_postgresql(connection: Connection) -> bool:
    """Whether this is PostgreSQL; otherwise it is SQLite."""
    return connection.dialect.name == "postgresql"


def insert_unless_there(
    connection: Connection, table: Table, values: Mapping[str, Any]
) -> postgresql.Insert | sqlite.Insert:
    """INSERT ... ON CONFLICT DO NOTHING, as each of the two databases spells it."""
    insert = postgresql.insert if is_postgresql(connection) else sqlite.insert
    return insert(table).values(values).on_conflict_do_nothing()


def complaint(error: DBAPIError) -> str:
    """What the database said, on one line."""
    return " ".join(str(error.orig).split())


def _configure_sqlite(dbapi_connection: Any, _record: object) -> None:
    dbapi_connection.isolation_level = (
        None  # we say BEGIN ourselves; the sqlite3 module would say it too late
    )
    cursor = dbapi_connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    # Readers and the writer don't wait for one another. The first to open a new file switches it, for which
    # SQLite does not wait by itself: several processes that start together would fail.
    _execute_when_free(cursor, "PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")  # a committed job survives a power cut
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    if connection.get_execution_options().get("sqlite_begin") != "IMMEDIATE":
        connection.exec_driver_sql("BEGIN")
        return
    cursor = connection.connection.cursor()
    cursor.execute("PRAGMA busy_timeout = 0")
    try:
        _execute_when_free(cursor, "BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        raise OperationalError("BEGIN IMMEDIATE", None, error) from error
    finally:
        cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        cursor.close()


def _execute_when_free(cursor: Any, statement: str) -> None:
    """Wait for the lock, and ask often. SQLite's own busy_timeout asks ever more rarely, in the end ten times
    a second, so that whoever has waited long is passed by those who have just come.
    """
    deadline = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            cursor.execute(statement)
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        time.sleep(ASK_SECONDS)


def _reset_sqlite(dbapi_connection: Any, *_: object) -> None:
    # A COMMIT that fails leaves SQLite's transaction open, and SQLAlchemy thinks that it has ended: the
    # connection would go back to the pool with the write lock.
    dbapi_connection.rollback()
