"""Other people's connections: joins their transactions, which it never ends, and finds out what they are."""

import os
import sqlite3
from contextlib import suppress
from inspect import iscoroutinefunction
from typing import Any, Protocol
from weakref import WeakSet

from sqlalchemy import BigInteger, Connection, Engine, NullPool, PoolProxiedConnection, cast, func, select
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
_compiled: dict[Any, Any] = {}  # the queue's few statements, for connections that SQLAlchemy did not open


class DriverConnection(Protocol):
    """A connection of psycopg or sqlite3, or Django's."""

    def cursor(self) -> Any: ...
    def commit(self) -> None: ...


Callers = Session | scoped_session[Session] | Connection | DriverConnection  # enqueue() takes as `session`


def join(session: Callers, engine: Engine, tables: Tables, known: WeakSet[Any]) -> Connection:
    """The connection of the caller's transaction. `known` are the pools and connections already found to lead
    to the queue's database. Raises TypeError, or DatabaseError if the job would not be safe there.
    """
    if isinstance(session, Session | scoped_session):
        try:
            session = session.connection(bind_arguments={"clause": tables.jobs})
        except UnboundExecutionError as error:
            raise DatabaseError(UNBOUND) from error
    holder: Any
    if isinstance(session, Connection):
        holder, backend = session.engine.pool, session.dialect.name
    else:
        holder = _driver_of(session)
        backend = "sqlite" if isinstance(holder, sqlite3.Connection) else "postgresql"
    if backend != engine.dialect.name:
        raise DatabaseError(ELSEWHERE.format(engine.url))
    connection = session if isinstance(session, Connection) else _speak_through(holder, engine)
    if not connection.in_transaction():  # the caller commits it, as one that a statement began
        connection.begin()
    refuse_autocommit(connection)
    if holder not in known:
        if _place(connection, tables) != _own_place(engine, tables):
            raise DatabaseError(ELSEWHERE.format(engine.url))
        with suppress(TypeError):  # one of sqlite3's: asked each time, which takes microseconds
            known.add(holder)
    return connection


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
    connection = Engine(pool, engine.dialect, engine.url, execution_options=options).connect()
    connection.detach()
    return connection


def refuse_autocommit(connection: Connection) -> None:
    """Raises DatabaseError if each statement commits by itself, however that was set. Asks no server."""
    driver: Any = connection.connection.dbapi_connection
    if connection.dialect.name == "sqlite":
        driver = getattr(driver, "driver_connection", driver)  # of an asynchronous one
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
    place = select(func.pg_postmaster_start_time(), func.current_database(), table)
    return tuple(connection.execute(place).one())


def _own_place(engine: Engine, tables: Tables) -> object:
    if file := engine.get_execution_options().get("sqlite_file"):
        return file
    with engine.connect() as connection:
        return _place(connection, tables)


def sqlite_file(connection: Connection) -> str:
    """The path of the file that is open; empty for a database in memory."""
    file = str(connection.exec_driver_sql("PRAGMA database_list").all()[0][2])
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
