"""Joins the transaction of a connection that SQLAlchemy did not open: psycopg's, sqlite3's or Django's."""

import sqlite3
from inspect import iscoroutinefunction
from typing import Any, Protocol
from weakref import WeakKeyDictionary, ref

from sqlalchemy import Connection, Engine, NullPool, event

from jobqueue.errors import DatabaseError
from jobqueue.queue import Queue
from jobqueue.transactions import ASYNCHRONOUS, ELSEWHERE

_compiled: dict[Any, Any] = {}  # the queue's few statements
_pools: WeakKeyDictionary[Any, NullPool] = WeakKeyDictionary()  # so that each is asked once where it leads


class DriverConnection(Protocol):
    """A connection of psycopg or sqlite3, or Django's."""

    def cursor(self) -> Any: ...
    def commit(self) -> None: ...


def through(queue: Queue, connection: DriverConnection) -> Connection:
    """The same connection as SQLAlchemy sees it, to pass as `session`:
    `queue.enqueue(job, session=through(queue, django.db.connection))`.

    It begins, ends and resets nothing, even when it is forgotten. Raises TypeError for what is no connection
    of psycopg, sqlite3 or Django, and DatabaseError for one to another kind of database than the queue's.
    """
    driver = _driver_of(connection)
    if isinstance(driver, sqlite3.Connection) != (queue.engine.dialect.name == "sqlite"):
        raise DatabaseError(ELSEWHERE.format(queue.engine.url))
    if isinstance(driver, sqlite3.Connection):  # which can't be a key; asking it takes microseconds
        pool = _pool(lambda: driver)
    else:
        pool = _pools.get(driver) or _pools.setdefault(driver, _pool(ref(driver)))
    options = {"compiled_cache": _compiled}
    borrowed = _Borrowing(pool, queue.engine.dialect, queue.engine.url, execution_options=options).connect()
    borrowed.detach()
    return borrowed


def _driver_of(connection: Any) -> Any:
    """The driver's connection. Raises TypeError for anything else."""
    if hasattr(connection, "ensure_connection"):  # Django's
        connection.ensure_connection()
        connection = connection.connection
    driver = getattr(connection, "driver_connection", connection)  # of SQLAlchemy's raw_connection()
    commit = getattr(driver, "commit", None)
    if iscoroutinefunction(commit) or "async" in type(driver).__module__:
        raise TypeError(ASYNCHRONOUS.format(type(connection)))
    psycopg = commit and hasattr(getattr(driver, "info", None), "transaction_status")
    if not (psycopg or isinstance(driver, sqlite3.Connection)):
        raise TypeError(
            "through() takes a connection of psycopg or sqlite3, or Django's, not"
            f" {type(connection)}. A Session or Connection of SQLAlchemy needs none of this"
        )
    return driver


def _pool(creator: Any) -> NullPool:
    return NullPool(creator, reset_on_return=None)


class _Borrowing(Engine):
    """The engine of such a connection."""


@event.listens_for(_Borrowing, "before_cursor_execute")
def _have_tuples(_connection: object, cursor: Any, *_: object) -> None:
    """SQLAlchemy needs tuples, and the caller's connection may make dicts of its rows."""
    psycopg3 = hasattr(cursor, "pgresult")
    cursor.row_factory = (lambda _cursor: tuple) if psycopg3 else None  # None: psycopg2's and sqlite3's way
