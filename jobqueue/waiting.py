"""Waiting jobs: their rows, adding them, telling the workers, and finding out when the next one is due."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import cache, lru_cache
from typing import Any, NamedTuple, cast

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection

from jobqueue.dialects import INFINITY, Listed, among, each, insert_unless_there, is_postgresql, plan_steadily
from jobqueue.errors import AlreadyQueued
from jobqueue.handlers import Performable, dump, registered
from jobqueue.options import DEFAULTS, checked
from jobqueue.schema import Tables

MOST_ROWS = 5_000  # inserted by one statement


def row_of(tables: Tables, job: Performable, options: dict[str, Any], now: datetime) -> dict[str, Any]:
    """The columns of a new job. enqueue()'s options win over its class's settings, these over the defaults;
    its enqueue() hook has the last word, and None there means the default. Raises as enqueue() does.
    """
    known = registered(job)
    blank = {**DEFAULTS, "attempts": 0, "run_at": now, "created_at": now, "updated_at": now}
    row = {**blank, **known.columns, **options, "handler": dump(job)}
    if "enqueue" in known.hooks:
        record: Any = tables.Job(**row)
        cast(Any, job).enqueue(record)
        changed = {name: value for name, value in vars(record).items() if row.get(name) != value}
        del changed["_sa_instance_state"]
        if unknown := changed.keys() - DEFAULTS.keys():
            raise ValueError(
                f"{type(job).__name__}.enqueue() sets {', '.join(sorted(unknown))} of the row,"
                f" which only has a say in {', '.join(DEFAULTS)}"
            )
        row |= {name: blank[name] for name in changed} | checked(now, **changed)
        row["handler"] = dump(job)  # it may have changed the object, too
    if row["unique_until"] and row["unique_key"] is None:
        raise ValueError("unique_until needs a unique_key")
    return row


def add(connection: Connection, tables: Tables, row: dict[str, Any]) -> int:
    """Insert a job; returns its id. Idle workers learn of it when the transaction commits."""
    added = connection.execute(_add(tables, is_postgresql(connection)), row)
    return int(added.scalar_one() if is_postgresql(connection) else added.lastrowid)


def add_unique(connection: Connection, tables: Tables, row: dict[str, Any], *, keep: bool) -> int:
    """Insert a job unless one with its unique key is waiting or running; returns its id.

    If there is one, returns that job's id if `keep`, and raises AlreadyQueued otherwise.
    """
    J = tables.jobs.c
    insertion = insert_unless_there(connection, tables.jobs).returning(J.id)
    with_key = sa.select(J.id).where(tables.unique, J.unique_key == row["unique_key"])
    while True:
        for id in connection.scalars(insertion, row).all():
            notify(connection, tables)
            return int(id)
        for id in connection.scalars(with_key).all():  # no row: it has just ended
            if keep:
                return int(id)
            raise AlreadyQueued(f"job {id} has the unique key {row['unique_key']!r}, not ended yet", id=id)


def add_many(connection: Connection, tables: Tables, rows: Sequence[dict[str, Any]]) -> None:
    """Insert jobs, in this order."""
    common, *others = ({name: row[name] for name in row if name != "handler"} for row in rows)
    if any(other != common for other in others):
        connection.execute(sa.insert(tables.jobs), rows)
    else:
        for start in range(0, len(rows), MOST_ROWS):
            handlers = [row["handler"] for row in rows[start : start + MOST_ROWS]]
            connection.execute(_add_each(tables, tuple(common)), {**common, "handlers": handlers})
    notify(connection, tables)


def notify(connection: Connection, tables: Tables) -> None:
    """Tell idle workers that there may be jobs. (On SQLite they see that the file has changed.)"""
    if is_postgresql(connection):
        connection.execute(sa.select(_notified(tables)))


def _notified(tables: Tables) -> ColumnElement[Any]:
    return sa.func.pg_notify(tables.channel, "")


@cache
def _add(tables: Tables, postgresql: bool) -> Any:
    """On PostgreSQL it also notifies, in the same round trip."""
    insertion = sa.insert(tables.jobs)
    return insertion.returning(tables.jobs.c.id, _notified(tables)) if postgresql else insertion


@cache
def _add_each(tables: Tables, columns: tuple[str, ...]) -> Any:
    """INSERT ... SELECT with all handlers in one parameter: many times faster than inserting row by row."""
    jobs = tables.jobs
    handler = each(sa.bindparam("handlers", type_=Listed(sa.Text()))).column_valued("value")
    values = [sa.bindparam(name, type_=jobs.c[name].type) for name in columns]
    return sa.insert(jobs).from_select(["handler", *columns], sa.select(handler, *values))


class Served(NamedTuple):
    """Which jobs a worker performs: those of these queues, or of all; with priorities in this range; `but`
    not those with these ids.
    """

    queues: tuple[str, ...] = ()
    min_priority: int | None = None
    max_priority: int | None = None
    but: tuple[int, ...] = ()

    def conditions(self, tables: Tables) -> Iterator[ColumnElement[bool]]:
        """That a job is one of these, and not of a paused queue."""
        J = tables.jobs.c
        yield J.queue.not_in(sa.select(tables.pauses.c.queue))
        if self.queues:
            yield among(J.queue, "queues", self.queues)
        if self.min_priority is not None:
            yield J.priority >= self.min_priority
        if self.max_priority is not None:
            yield J.priority <= self.max_priority
        if self.but:
            yield ~among(J.id, "but", self.but)


ALL = Served()


def next_run_at(connection: Connection, tables: Tables, served: Served = ALL) -> datetime | None:
    """When the next of the waiting jobs is due, possibly in the past; None if no job waits."""
    plan_steadily(connection)
    due: datetime | None = connection.scalar(_next_run_at(tables, served))
    return due


def is_any_left(connection: Connection, tables: Tables, served: Served) -> bool:
    """Whether any of the jobs waits, though not for ever, or is held by a worker: in one statement, since
    they go to and fro.
    """
    waiting = sa.and_(tables.waiting, tables.jobs.c.run_at < INFINITY)
    left = (sa.exists().where(state, *served.conditions(tables)) for state in (waiting, tables.running))
    return bool(connection.scalar(sa.select(sa.or_(*left))))


@lru_cache
def _next_run_at(tables: Tables, served: Served) -> Any:
    J = tables.jobs.c
    earliest = sa.func.min(J.run_at, type_=J.run_at.type)
    if served != ALL:
        return sa.select(earliest).where(tables.waiting, *served.conditions(tables))
    # The index orders jobs by priority, then run_at, so this reads only the first job of each priority, and
    # the paused ones before it, however many jobs there are. (PostgreSQL's wiki calls it a loose index scan.)
    lowest = sa.select(sa.func.min(J.priority).label("priority")).where(tables.waiting)
    first = lowest.cte("priorities", recursive=True)
    after = lowest.where(J.priority > first.c.priority).scalar_subquery()
    priorities = first.union_all(sa.select(after).where(first.c.priority.is_not(None)))
    its = (J.priority == priorities.c.priority, *served.conditions(tables))
    of_one = sa.select(earliest).where(tables.waiting, *its).scalar_subquery()
    of_all = sa.select(sa.func.min(of_one, type_=J.run_at.type).label("run_at")).select_from(priorities)
    return sa.select(of_all.subquery().c.run_at)  # UTCDateTime names a selected column more than once
