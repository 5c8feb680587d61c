"""The SQL of enqueueing. Each function takes a transaction."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import Text, bindparam, func, insert, select

from jobqueue.database import as_list, each_of, insert_unless_there, is_postgresql
from jobqueue.direct import Transaction, count, inserted_id, rows
from jobqueue.errors import AlreadyQueued
from jobqueue.schema import CHANNEL, jobs, unique

J = jobs.c
MOST_ROWS = 5_000  # inserted by one statement

INSERT = insert(jobs)
WITH_KEY = select(J.id).where(unique, J.unique_key == bindparam("key"))
NOTIFY = select(func.pg_notify(CHANNEL, ""))


def add(connection: Transaction, row: dict[str, Any]) -> int:
    """Insert a job; returns its id. Idle workers learn of it when the transaction commits."""
    if is_postgresql(connection):
        [(id, _)] = rows(connection, _insert_and_notify(tuple(row)), row)
        return int(id)
    return inserted_id(connection, INSERT, row)


def add_unique(connection: Transaction, row: dict[str, Any], *, keep: bool) -> int:
    """Insert a job unless one with its unique key is waiting or running; returns its id.

    If there is one, returns that job's id if `keep`, and raises AlreadyQueued otherwise.
    """
    insertion = insert_unless_there(jobs, is_postgresql(connection), J.id)
    while True:
        for (id,) in rows(connection, insertion, row):
            notify(connection)
            return int(id)
        for (id,) in rows(connection, WITH_KEY, {"key": row["unique_key"]}):  # no row: it has just ended
            if keep:
                return int(id)
            raise AlreadyQueued(f"job {id} has the unique key {row['unique_key']!r}, not ended yet", id=id)


def add_many(connection: Transaction, row: dict[str, Any], handlers: Sequence[str]) -> None:
    """Insert a job for each handler, in this order, with the other columns from `row`."""
    postgresql = is_postgresql(connection)
    statement = _insert_each(postgresql, tuple(row))
    for start in range(0, len(handlers), MOST_ROWS):
        some = handlers[start : start + MOST_ROWS]
        count(connection, statement, {**row, "handlers": as_list(some, postgresql)})
    notify(connection)


def notify(connection: Transaction) -> None:
    """Tell idle workers that there may be jobs. (On SQLite they see that the file has changed.)"""
    if is_postgresql(connection):
        rows(connection, NOTIFY, {})


@cache
def _insert_and_notify(columns: tuple[str, ...]) -> Any:
    """For PostgreSQL: both in one statement, and so in one round trip."""
    row = select(*(bindparam(name, type_=J[name].type) for name in columns))
    added = insert(jobs).from_select(columns, row).returning(J.id).cte("added")
    return select(added.c.id, func.pg_notify(CHANNEL, ""))


@cache
def _insert_each(postgresql: bool, columns: tuple[str, ...]) -> Any:
    """INSERT ... SELECT with all handlers in one parameter: many times faster than inserting row by row."""
    values = [bindparam(name, type_=J[name].type) for name in columns]
    each = each_of("handlers", Text(), postgresql)
    rows = select(each.c.value, *values).order_by(each.c.key)
    return insert(jobs).from_select(["handler", *columns], rows)
