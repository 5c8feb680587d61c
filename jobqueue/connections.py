"""Other people's connections: joins their transactions, which it never ends, and finds out what they are."""

import os
import sqlite3
from contextlib import suppress
from inspect import iscoroutinefunction
from typing import Any, Protocol
from weakref import WeakSet

from sqlalchemy import (
    BigInteger,
    Connection,
    Engine,
    NullPool,
    PoolProxiedConnection,
    cast,
    event,
    extract,
    func,
    select,
)
from sqlalchemy.exc import DBAPIError, UnboundExecutionError
from sqlalchemy.orm import Session, scoped_session

from jobqueue.errors import DatabaseError
from jobqueue.schema import Tables

AUTOCOMMIT = (
    "Each statement would commit by itself (AUTOCOMMIT), so that jobs and data would not commit together:"
    " begin a transaction first, or use another isolation level"
)
WRONG_TYPE = (
    "session must be an open Session or Connection of SQLAlchemy, a connection of psycopg or sqlite3, or"
    " Django's, not {0}. Leave it out to have the job committed at once"
)
ASYNCHRONOUS = (
    "session must not be asynchronous, as {0} is. With an AsyncSession or AsyncConnection, use"
    " await session.run_sync(lambda session: queue.enqueue(job, session=session))"
)
UNBOUND = (
    "The session has no engine for the queue's table: use Session(engine), or"
    " Session(binds={..., queue.tables.jobs: engine})"
)
ELSEWHERE = "The session's database, or its schema, is not the queue's, {0!r}: no worker would see the job"
TRANSLATED = (
    "schema_translate_map would have the queue's statements use another schema than its workers do:"
    ' name the schema of its tables, Queue(..., schema="public"), and leave that one out of the map'
)
_compiled: dict[Any, Any] = {}  # the queue's few statements, for connections that SQLAlchemy did not open


class DriverConnection(Protocol):
    """A connection of psycopg or sqlite3, or Django's."""

    def cursor(self) -> Any: ...
    def commit(self) -> None: ...


Callers = Session | scoped_session[Session] | Connection | DriverConnection  # enqueue() takes as `session`


class Home:
    """Where a queue is, and so whose transactions it can join. Raises DatabaseError for an engine that would
    look for the tables in another schema.
    """

    def __init__(self, engine: Engine, tables: Tables):
        _refuse_translation(engine, tables)
        self._engine = engine
        self._tables = tables
        self._known = WeakSet[Any]([engine.pool])  # pools and connections found to lead here
        self._place: object = engine.get_execution_options().get("sqlite_file")

    def join(self, session: Callers | None) -> Connection | None:
        """The connection of the caller's transaction, if there is one. Raises TypeError, or DatabaseError if
        the job would not be safe there.
        """
        if session is None:
            return None
        if isinstance(session, Session | scoped_session):
            try:
                session = session.connection(bind_arguments={"clause": self._tables.jobs})
            except UnboundExecutionError as error:
                raise DatabaseError(UNBOUND) from error
        holder: Any
        if isinstance(session, Connection):
            _refuse_translation(session, self._tables)
            holder, backend = session.engine.pool, session.dialect.name
        else:
            holder = _driver_of(session)
            backend = "sqlite" if isinstance(holder, sqlite3.Connection) else "postgresql"
        if backend != self._engine.dialect.name:
            raise DatabaseError(ELSEWHERE.format(self._engine.url))
        connection = session if isinstance(session, Connection) else _speak_through(holder, self._engine)
        if not connection.in_transaction():  # the caller commits it, as one that a statement began
            connection.begin()
        refuse_autocommit(connection)
        if backend == "sqlite" and not (driver := _sqlite3_of(connection)).in_transaction:
            # sqlite3 does so before an INSERT, but not before a SAVEPOINT, whose end would then commit.
            connection.exec_driver_sql(f"BEGIN {driver.isolation_level}")
        if holder not in self._known:
            if not self._is_here(connection):
                raise DatabaseError(ELSEWHERE.format(self._engine.url))
            with suppress(TypeError):  # one of sqlite3's: asked each time, which takes microseconds
                self._known.add(holder)
        return connection

    def _is_here(self, connection: Connection) -> bool:
        place = _place(connection, self._tables)
        if place != self._place and self._engine.dialect.name == "postgresql":
            # Not asked yet, or the server has been restarted since. The caller may hold the pool's last
            # connection, so this takes none of the pool's.
            with Connection(self._engine, outside_pool(self._engine)) as own:
                self._place = _place(own, self._tables)
        return place == self._place


def _driver_of(session: Any) -> Any:
    """The driver's connection. Raises TypeError for anything else."""
    if hasattr(session, "ensure_connection"):  # Django's
        session.ensure_connection()
        session = session.connection
    driver = getattr(session, "driver_connection", session)  # of SQLAlchemy's raw_connection()
    commit = getattr(driver, "commit", None)
    if iscoroutinefunction(commit) or "async" in type(session).__module__:
        raise TypeError(ASYNCHRONOUS.format(type(session).__name__))
    psycopg = commit and hasattr(getattr(driver, "info", None), "transaction_status")
    if not (psycopg or isinstance(driver, sqlite3.Connection)):
        raise TypeError(WRONG_TYPE.format(type(session).__name__))
    return driver


def _speak_through(driver: Any, engine: Engine) -> Connection:
    """A connection that executes statements and does nothing else: it begins, ends and resets nothing, even
    when it is forgotten, since it is detached.
    """
    pool = NullPool(lambda: driver, reset_on_return=None)
    options = {"compiled_cache": _compiled}
    connection = _Borrowing(pool, engine.dialect, engine.url, execution_options=options).connect()
    connection.detach()
    return connection


class _Borrowing(Engine):
    """The engine of such a connection."""


@event.listens_for(_Borrowing, "before_cursor_execute")
def _have_tuples(_connection: object, cursor: Any, *_: object) -> None:
    """SQLAlchemy needs tuples, and the caller's connection may make dicts of its rows."""
    psycopg3 = hasattr(cursor, "pgresult")
    cursor.row_factory = (lambda _cursor: tuple) if psycopg3 else None  # None: psycopg2's and sqlite3's way


def _refuse_translation(connection: Connection | Engine, tables: Tables) -> None:
    schemas = connection.get_execution_options().get("schema_translate_map") or {}
    if schemas.get(tables.jobs.schema, tables.jobs.schema) != tables.jobs.schema:
        raise DatabaseError(TRANSLATED)


def _sqlite3_of(connection: Connection) -> Any:
    driver: Any = connection.connection.dbapi_connection
    return getattr(driver, "driver_connection", driver)  # of an asynchronous one


def refuse_autocommit(connection: Connection) -> None:
    """Raises DatabaseError if each statement commits by itself, however that was set. Asks no server."""
    driver: Any = connection.connection.dbapi_connection
    if connection.dialect.name == "sqlite":
        driver = _sqlite3_of(connection)
        alone = driver.isolation_level is None or getattr(driver, "autocommit", None) is True
        begun = driver.in_transaction
    else:
        alone = driver.autocommit
        begun = getattr(getattr(driver, "info", None), "transaction_status", 0) != 0  # 0: idle
    if alone and not begun:
        raise DatabaseError(AUTOCOMMIT)


def refuse_autocommit_engine(engine: Engine) -> None:
    """Raises DatabaseError if the engine's options ask for AUTOCOMMIT; SQLAlchemy hides create_engine()'s."""
    hidden = getattr(engine.dialect, "_on_connect_isolation_level", None)
    for level in (hidden, engine.get_execution_options().get("isolation_level")):
        if str(level).upper() == "AUTOCOMMIT":
            raise DatabaseError(AUTOCOMMIT)


def _place(connection: Connection, tables: Tables) -> object:
    """What tells the database from any other; on PostgreSQL also the table from those of other schemas."""
    if connection.dialect.name == "sqlite":
        return sqlite_file(connection)
    table = cast(func.to_regclass(tables.jobs.fullname), BigInteger)
    # As a whole number, since drivers and Django make different things of a moment.
    started = cast(extract("epoch", func.pg_postmaster_start_time()) * 1_000_000, BigInteger)
    return tuple(connection.execute(select(started, func.current_database(), table)).one())


def sqlite_file(connection: Connection) -> str:
    """The path of the file that is open; empty for a database in memory."""
    file = os.fsdecode(connection.exec_driver_sql("PRAGMA database_list").all()[0][2])
    return file and os.path.realpath(file)


def outside_pool(engine: Engine) -> PoolProxiedConnection:
    """A connection opened as the engine's pool opens its own, but not counted: the pool may be used up. The
    caller closes it. Raises DBAPIError.
    """
    base = engine.dialect.loaded_dbapi.Error
    try:
        connection = engine.pool.recreate().connect()
    except base as error:
        raise DBAPIError.instance(None, None, error, base, dialect=engine.dialect) from error
    connection.detach()
    return connection


def is_pooled(driver: Any) -> bool:
    """Whether a pooler such as PgBouncer stands before PostgreSQL: it greets with a process id of its own."""
    cursor = driver.cursor()
    cursor.execute("SELECT pg_backend_pid()")
    [pid] = cursor.fetchone()
    return bool(pid != getattr(getattr(driver, "info", None), "backend_pid", pid))  # pg8000 does not tell


def configure_postgresql(driver: Any, _record: object) -> None:
    # A pooler gives each transaction another server connection, which lacks what psycopg has prepared.
    if hasattr(driver, "prepare_threshold") and is_pooled(driver):
        driver.prepare_threshold = None
    # Drivers read times in the session's zone, in which the first and the last may be in no year of Python's.
    driver.cursor().execute("SET TIME ZONE 'UTC'")
    driver.commit()
