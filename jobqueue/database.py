"""Opens the queue's database. SQLite needs a few settings; PostgreSQL is used as it comes."""

import os
import random
import sqlite3
import sys
import time
import weakref
from importlib.util import find_spec
from typing import Any

import sqlalchemy as sa
from sqlalchemy import URL, Connection, Engine, PoolProxiedConnection, event
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, NoSuchModuleError, OperationalError

from jobqueue.dialects import read_text, url_of
from jobqueue.errors import DatabaseError, advised
from jobqueue.postgresql import allow_silence, configure, limit_silence, patience
from jobqueue.replacing import notice_replacing

BUSY_TIMEOUT_MS = 15_000
WAL_BYTES = 2**24
ASYNC_DRIVERS = ("aiosqlite", "asyncpg", "psycopg_async")
ASK_SECONDS = (0.001, 0.05)  # between a writer's attempts to get SQLite's write lock: at first, at last
AUTOCOMMIT = (
    "Each statement would commit by itself (AUTOCOMMIT), so that jobs and data would not commit together:"
    " begin a transaction first (in Django: transaction.atomic()), or use another isolation level"
)


def open_engine(database: Any) -> Engine:
    """An engine for the queue's own transactions.

    On PostgreSQL it shares the pool of a given Engine. On SQLite the queue has its own connections, since
    they need settings that an application's may not have; they are opened as a given Engine opens its own.
    The URL of an asynchronous driver, or of an AsyncEngine, is opened with the usual driver.

    Raises DatabaseError for an in-memory database, which only one connection can see, for any other kind of
    database, without its driver, and for an engine in AUTOCOMMIT mode.
    """
    database = getattr(database, "sync_engine", database)
    given = database if isinstance(database, Engine) and not database.dialect.is_async else None
    url = url_of(getattr(database, "url", database))
    backend, _, driver = url.drivername.partition("+")
    if backend not in ("postgresql", "postgres", "sqlite"):
        text = "A queue needs SQLite or PostgreSQL, not {}; its URL begins with sqlite: or postgresql:"
        raise DatabaseError(text.format(backend))
    if given:
        _refuse_autocommit_engine(given)
    backend = "sqlite" if backend == "sqlite" else "postgresql"  # Heroku's URLs begin with postgres:
    if driver in ("", *ASYNC_DRIVERS):  # with psycopg2, the queue would hear of no new jobs
        driver = "psycopg" if backend == "postgresql" and find_spec("psycopg") else ""
    url = url.set(drivername=f"{backend}+{driver}".rstrip("+"))
    if backend == "sqlite":
        engine = _open_sqlite(url, given)
    elif given:
        engine = given.execution_options(shared_pool=True)  # a copy, with a check of its own
        event.listen(engine, "begin", refuse_autocommit)
    else:
        engine = _engine(url, max_overflow=-1, pool_pre_ping=True, connect_args=patience(url))
        for moment, act in (
            ("connect", limit_silence),
            ("connect", configure),
            ("checkout", allow_silence),  # the pool has just asked whether it still lives
            ("checkin", limit_silence),
        ):
            event.listen(engine, moment, act)
    return engine


def _open_sqlite(url: URL, given: Engine | None) -> Engine:
    if given and _is_in_memory(url):  # as far as the URL says
        with given.connect() as connection:
            url = url.set(database=sqlite_file(connection))
    if _is_in_memory(url) or url.host:
        raise DatabaseError(
            f"{url!r} names no file, and in memory only one connection sees a queue; name one after three"
            " slashes, as in sqlite:///jobs.db"
        )
    engine = _engine(url, pool_size=0)  # no limit; each thread at work needs one
    event.listen(engine, "connect", _configure_sqlite)
    notice_replacing(engine)
    if given:
        event.listen(engine, "do_connect", lambda *_: outside_pool(given).dbapi_connection)
    event.listen(engine, "begin", _begin)
    event.listen(engine, "reset", _reset_sqlite)
    return engine


def _is_in_memory(url: URL) -> bool:
    return url.database in (None, "", ":memory:", "file::memory:") or url.query.get("mode") == "memory"


def _engine(url: URL, **options: Any) -> Engine:
    """Raises DatabaseError without the driver."""
    try:
        return _forget_in_children(sa.create_engine(url, **options))
    except (ImportError, NoSuchModuleError) as error:
        backend = url.get_backend_name()
        install = "Install psycopg 3, pip install 'psycopg[binary]' (the extra [postgresql]), and begin"
        begin = install if backend == "postgresql" else "Begin"
        raise DatabaseError(
            f"The driver of {url.drivername}:// is not installed ({error}). {begin} the URL with {backend}:"
        ) from error
    except (ArgumentError, ValueError) as error:
        raise DatabaseError(f"{url!r} is not a database URL: {str(error).splitlines()[0]}") from None


def writer(engine: Engine) -> Engine:
    """The same engine, for transactions that write: on SQLite they wait for the write lock at their start.
    One that read first would fail at its first write if another had written since, whatever the timeout.
    """
    return engine.execution_options(sqlite_begin="IMMEDIATE")


def driver_of(connection: Connection) -> Any:
    """The driver's connection."""
    driver: Any = connection.connection.dbapi_connection
    return getattr(driver, "driver_connection", driver)  # of an asynchronous one


def refuse_autocommit(connection: Connection) -> None:
    """Raises DatabaseError if each statement commits by itself, however that was set. Asks no server."""
    driver: Any = connection.connection.dbapi_connection
    if connection.dialect.name == "sqlite":
        driver = driver_of(connection)
        alone = driver.isolation_level is None or getattr(driver, "autocommit", None) is True
        begun = driver.in_transaction
    else:
        alone = driver.autocommit
        begun = getattr(getattr(driver, "info", None), "transaction_status", 0) != 0  # 0: idle
    if alone and not begun:
        raise DatabaseError(AUTOCOMMIT)


def _refuse_autocommit_engine(engine: Engine) -> None:
    """Raises DatabaseError if the engine's options ask for AUTOCOMMIT; SQLAlchemy hides create_engine()'s."""
    hidden = getattr(engine.dialect, "_on_connect_isolation_level", None)
    for level in (hidden, engine.get_execution_options().get("isolation_level")):
        if str(level).upper() == "AUTOCOMMIT":
            raise DatabaseError(AUTOCOMMIT)


def sqlite_file(connection: Connection) -> str:
    """The path of the file that is open; empty for a database in memory."""
    file = os.fsdecode(connection.exec_driver_sql("PRAGMA database_list").all()[0][2])
    return file and os.path.realpath(file)


def outside_pool(engine: Engine) -> PoolProxiedConnection:
    """A connection opened as the engine's pool opens its own, but not counted: the pool may be used up. The
    queue alone uses it, and the server's silence is limited. The caller closes it. Raises DBAPIError.
    """
    base = engine.dialect.loaded_dbapi.Error
    try:
        connection = engine.pool.recreate().connect()
    except base as error:
        raise advised(DBAPIError.instance(None, None, error, base, dialect=engine.dialect)) from error
    connection.detach()
    limit_silence(connection.dbapi_connection)
    return connection


def is_connection_lost(error: BaseException) -> bool:
    """Whether the database is away, rather than that something is wrong with a statement."""
    if not isinstance(error, OperationalError | InterfaceError):
        return False
    return error.connection_invalidated or error.statement is None


def complaint(error: DBAPIError) -> str:
    """The database's error message, and what to do about it, on one line."""
    return " ".join(error.args[0].partition(") ")[2].split())  # without the class of the driver's error


def reaction(error: DBAPIError) -> str:
    """What the database did: a lock or a lost connection pass, but not what is wrong with a statement."""
    return "did not answer" if isinstance(error, InterfaceError | OperationalError) else "refused a statement"


def _forget_in_children(engine: Engine) -> Engine:
    """Have a forked child open its own connections: it neither uses nor closes the parent's."""
    known, inherited = weakref.ref(engine), []

    def forget() -> None:
        if parents := known():
            inherited.append(parents.pool)
            parents.dispose(close=False)

    os.register_at_fork(after_in_child=forget)
    return engine


def _configure_sqlite(dbapi_connection: Any, _record: object) -> None:
    if sys.version_info >= (3, 12):
        dbapi_connection.autocommit = sqlite3.LEGACY_TRANSACTION_CONTROL
    if dbapi_connection.text_factory is str:  # not what a given engine has set
        dbapi_connection.text_factory = read_text
    dbapi_connection.isolation_level = None  # we send BEGIN ourselves; sqlite3 would send it too late
    cursor = dbapi_connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    # Readers and the writer don't wait for each other. The first to open a new file switches it to WAL;
    # SQLite doesn't wait for the lock this takes, so processes that start together would fail.
    _execute_when_free(cursor, "PRAGMA journal_mode = WAL")
    cursor.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")  # of a WAL that has grown, once it is reused
    cursor.execute("PRAGMA synchronous = FULL")  # a committed job survives a power cut
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _begin(connection: Connection) -> None:
    connection.info["file"].refuse_gone()
    cursor = connection.connection.cursor()
    if connection.get_execution_options().get("sqlite_begin") != "IMMEDIATE":
        cursor.execute("BEGIN")
        return
    cursor.execute("PRAGMA busy_timeout = 0")
    try:
        _execute_when_free(cursor, "BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        raise advised(OperationalError("BEGIN IMMEDIATE", None, error)) from error
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


def _reset_sqlite(dbapi_connection: Any, *_: object) -> None:
    # A failed COMMIT leaves SQLite's transaction open, but SQLAlchemy believes it has ended: the connection
    # would return to the pool holding the write lock.
    dbapi_connection.rollback()
