"""The SQL of enqueueing, and the connections kept for it. Each function takes a transaction."""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from select import POLLIN, poll
from typing import Any

from sqlalchemy import Connection, Engine, Text, bindparam, func, insert, select

from jobqueue.database import as_list, each_of, insert_unless_there, is_postgresql
from jobqueue.errors import AlreadyQueued
from jobqueue.schema import Tables

STALE_SECONDS = 5.0  # a connection idle for longer may have been cut off
MOST_ROWS = 5_000  # inserted by one statement


class Spares:
    """Connections kept from one of the queue's own transactions to the next, for any number of threads.
    Taking one from SQLAlchemy's pool, and returning it, takes more than half as long as all the rest.
    """

    def __init__(self, engine: Engine):
        self._engine = engine
        self._kept: list[tuple[Connection, float]] = []
        self._inherited: list[tuple[Connection, float]] = []
        self._pid = os.getpid()

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A transaction, committed at the end of the block. Raises DBAPIError."""
        connection = self._take() or self._engine.connect()
        try:
            with connection.begin():
                yield connection
        except BaseException:
            connection.close()
            raise
        self._kept.append((connection, time.monotonic()))

    def close(self) -> None:
        """Return the connections that are not in use to the pool."""
        while self._kept:
            self._kept.pop()[0].close()

    def _take(self) -> Connection | None:
        if self._pid != os.getpid():  # after a fork: the parent's connections are neither used nor closed
            self._inherited, self._kept, self._pid = self._kept, [], os.getpid()
        with suppress(IndexError):  # none is left, or another thread took it
            while True:
                connection, used_at = self._kept.pop()
                if time.monotonic() - used_at < STALE_SECONDS and _looks_open(connection):
                    return connection
                connection.close()  # the pool checks whether it is still alive
        return None


def _looks_open(connection: Connection) -> bool:
    """PostgreSQL sends a message when it ends a connection; until asked, it sends nothing else."""
    driver: Any = connection.connection.dbapi_connection
    if not hasattr(driver, "fileno"):
        return True
    unread = poll()
    unread.register(driver.fileno(), POLLIN)
    return not unread.poll(0)


def add(connection: Connection, tables: Tables, row: dict[str, Any]) -> int:
    """Insert a job; returns its id. Idle workers learn of it when the transaction commits."""
    if is_postgresql(connection):
        return int(connection.execute(_insert_and_notify(tables, tuple(row)), row).one()[0])
    return connection.execute(insert(tables.jobs), row).lastrowid


def add_unique(connection: Connection, tables: Tables, row: dict[str, Any], *, keep: bool) -> int:
    """Insert a job unless one with its unique key is waiting or running; returns its id.

    If there is one, returns that job's id if `keep`, and raises AlreadyQueued otherwise.
    """
    J = tables.jobs.c
    insertion = insert_unless_there(tables.jobs, is_postgresql(connection), J.id)
    with_key = select(J.id).where(tables.unique, J.unique_key == row["unique_key"])
    while True:
        for (id,) in connection.execute(insertion, row).all():
            notify(connection, tables)
            return int(id)
        for (id,) in connection.execute(with_key).all():  # no row: it has just ended
            if keep:
                return int(id)
            raise AlreadyQueued(f"job {id} has the unique key {row['unique_key']!r}, not ended yet", id=id)


def add_many(connection: Connection, tables: Tables, rows: Sequence[dict[str, Any]]) -> None:
    """Insert jobs, in this order."""
    postgresql = is_postgresql(connection)
    common, *others = ({name: row[name] for name in row if name != "handler"} for row in rows)
    if any(other != common for other in others):
        connection.execute(insert(tables.jobs), rows)
    else:
        statement = _insert_each(tables, postgresql, tuple(common))
        for start in range(0, len(rows), MOST_ROWS):
            handlers = [row["handler"] for row in rows[start : start + MOST_ROWS]]
            connection.execute(statement, {**common, "handlers": as_list(handlers, postgresql)})
    notify(connection, tables)


def notify(connection: Connection, tables: Tables) -> None:
    """Tell idle workers that there may be jobs. (On SQLite they see that the file has changed.)"""
    if is_postgresql(connection):
        connection.execute(select(func.pg_notify(tables.channel, "")))


@cache
def _insert_and_notify(tables: Tables, columns: tuple[str, ...]) -> Any:
    """For PostgreSQL: both in one statement, and so in one round trip."""
    jobs = tables.jobs
    row = select(*(bindparam(name, type_=jobs.c[name].type) for name in columns))
    added = insert(jobs).from_select(columns, row).returning(jobs.c.id).cte("added")
    return select(added.c.id, func.pg_notify(tables.channel, ""))


@cache
def _insert_each(tables: Tables, postgresql: bool, columns: tuple[str, ...]) -> Any:
    """INSERT ... SELECT with all handlers in one parameter: many times faster than inserting row by row."""
    jobs = tables.jobs
    values = [bindparam(name, type_=jobs.c[name].type) for name in columns]
    each = each_of("handlers", Text(), postgresql)
    rows = select(each.c.value, *values).order_by(each.c.key)
    return insert(jobs).from_select(["handler", *columns], rows)
