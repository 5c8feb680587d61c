"""Opens the queue's database. SQLite needs a few settings; PostgreSQL is used as it comes."""

import os
import weakref
from importlib.util import find_spec
from typing import Any

import sqlalchemy as sa
from sqlalchemy import URL, Connection, Engine, event
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, NoSuchModuleError, OperationalError

from jobqueue import postgresql, sqlite
from jobqueue.dialects import url_of
from jobqueue.errors import DatabaseError, advised

ASYNC_DRIVERS = ("aiosqlite", "asyncpg", "psycopg_async")
AUTOCOMMIT = (
    "Each statement would commit by itself (AUTOCOMMIT), so that jobs and data would not commit together:"
    " begin a transaction first (in Django: transaction.atomic()), or use another isolation level"
)


def open_engines(database: Any) -> tuple[Engine, Engine]:
    """Engines for the queue's own transactions: those that only read, and those that write.

    On PostgreSQL they are one, and share the pool of a given Engine. On SQLite the queue has its own
    connections, since they need settings that an application's may not have; they are opened as a given
    Engine opens its own. The URL of an asynchronous driver, or of an AsyncEngine, is opened with the usual
    driver.

    Raises DatabaseError for an in-memory database, which only one connection can see, for any other kind of
    database, and without its driver.
    """
    database = getattr(database, "sync_engine", database)
    given = database if isinstance(database, Engine) and not database.dialect.is_async else None
    url = url_of(getattr(database, "url", database))
    backend, _, driver = url.drivername.partition("+")
    if backend not in ("postgresql", "postgres", "sqlite"):
        text = "A queue needs SQLite or PostgreSQL, not {}; its URL begins with sqlite: or postgresql:"
        raise DatabaseError(text.format(backend))
    backend = "sqlite" if backend == "sqlite" else "postgresql"  # Heroku's URLs begin with postgres:
    if driver in ("", *ASYNC_DRIVERS):  # with psycopg2, the queue would hear of no new jobs
        driver = "psycopg" if backend == "postgresql" and find_spec("psycopg") else ""
    url = url.set(drivername=f"{backend}+{driver}".rstrip("+"))
    if backend == "sqlite":
        return _open_sqlite(url, given)
    if given:
        engine: Engine = given.execution_options(shared_pool=True)  # a copy, with a check of its own
        event.listen(engine, "begin", refuse_autocommit)
    else:
        engine = _engine(url, max_overflow=-1, pool_pre_ping=True, connect_args=postgresql.patience(url))
        postgresql.set_up(engine)
    return engine, engine


def _open_sqlite(url: URL, given: Engine | None) -> tuple[Engine, Engine]:
    if given and _is_in_memory(url):  # as far as the URL says
        with given.connect() as connection:
            url = url.set(database=sqlite.file_of(connection))
    if _is_in_memory(url) or url.host:
        raise DatabaseError(
            f"{url!r} names no file, and in memory only one connection sees a queue; name one after three"
            " slashes, as in sqlite:///jobs.db"
        )
    # Pools without limit: each thread at work needs a connection.
    engines = _engine(url, pool_size=0), _engine(url, pool_size=0)
    sqlite.set_up(*engines)
    if given:
        for engine in engines:
            event.listen(engine, "do_connect", lambda *_: driver_of(outside_pool(given)))
    return engines


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


def outside_pool(engine: Engine) -> Connection:
    """A connection opened as the engine's pool opens its own, but not counted: the pool may be used up. The
    queue alone uses it, and the server's silence is limited. The caller closes it. Raises DBAPIError.
    """
    base = engine.dialect.loaded_dbapi.Error
    try:
        connection = Connection(engine, engine.pool.recreate().connect())
    except base as error:
        raise advised(DBAPIError.instance(None, None, error, base, dialect=engine.dialect)) from error
    connection.detach()
    postgresql.limit_silence(connection.connection.dbapi_connection)
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
