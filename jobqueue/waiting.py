"""Waiting jobs: their rows, adding them, telling the workers, and finding out when the next one is due."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple, cast

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection

from jobqueue.dialects import UNREADABLE, Listed, UTCDateTime, among, each, exactly, insert_unless_there, vain
from jobqueue.errors import AlreadyQueued
from jobqueue.handlers import Performable, dump, registered
from jobqueue.options import DEFAULTS, checked
from jobqueue.postgresql import plan_steadily
from jobqueue.schema import Tables

NOW: sa.BindParameter[datetime] = sa.bindparam("now", type_=UTCDateTime())
LIMIT: sa.BindParameter[int] = sa.bindparam("limit", type_=sa.Integer())
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
    kind = connection.dialect.name
    added = connection.execute(_add(tables, kind), row)
    return int(added.scalar_one() if kind == "postgresql" else added.lastrowid)


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
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(_notified(tables)))


def _notified(tables: Tables) -> ColumnElement[Any]:
    return sa.func.pg_notify(tables.channel, "")


@cache
def _add(tables: Tables, kind: str) -> Any:
    """On PostgreSQL it also notifies, in the same round trip."""
    insertion = sa.insert(tables.jobs).inline()  # or SQLAlchemy would look for the key once more
    return insertion.returning(tables.jobs.c.id, _notified(tables)) if kind == "postgresql" else insertion


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
        yield _unpaused(tables, J.queue)
        if self.queues:
            yield among(J.queue, "queues", self.queues)
        if self.min_priority is not None:
            yield J.priority >= self.min_priority
        if self.max_priority is not None:
            yield J.priority <= self.max_priority
        if self.but:
            yield ~among(J.id, "but", self.but)


ALL = Served()


def due(tables: Tables, served: Served, columns: Sequence[ColumnElement[Any]], *, above: bool = False) -> Any:
    """SELECT up to `limit` jobs that are due `now`, in the order in which they should run: those of one lane,
    the most urgent in which a job is due. With `above`, only lanes of later priorities count. For a worker
    that serves several queues, those of one lane in each.
    """
    J = tables.jobs.c
    lanes = _lanes(tables, served, above=above, until_due=True)
    last = sa.select(sa.func.max(lanes.c.priority))

    def of(queue: Any, priority: Any) -> Any:
        found = _in_order(tables, queue, *columns).where(J.priority == priority.scalar_subquery())
        return _unlocked(found.where(J.run_at <= NOW)).limit(LIMIT)

    if not served.queues:
        return of(None, last).where(_unpaused(tables, J.queue))
    by_queue = [of(sa.literal(name), last.where(lanes.c.queue == name)) for name in served.queues]
    if len(by_queue) == 1:
        return by_queue[0]
    merged = sa.union_all(*(sa.select(each.subquery()) for each in by_queue))
    return merged.order_by("priority", "run_at", "id").limit(LIMIT)


def next_run_at(connection: Connection, tables: Tables, served: Served = ALL) -> datetime | None:
    """When the next of the waiting jobs is due, possibly in the past; None if no job waits."""
    plan_steadily(connection)
    due: datetime | None = connection.scalar(_next_run_at(tables, served))
    return due


def is_any_left(connection: Connection, tables: Tables, served: Served) -> bool:
    """Whether any job waits, or is held: in one statement, since they go to and fro."""
    both = tables.waiting, tables.running
    left = (sa.exists().where(state, *served.conditions(tables)) for state in both)
    return bool(connection.scalar(sa.select(sa.or_(*left))))


@cache
def hastening(tables: Tables) -> Any:
    """UPDATE that makes due what would wait for ever, for its claim to set it aside. Looks only far ahead."""
    J = tables.jobs.c
    found = _in_lane(tables, _lanes(tables, ALL), J.id).where(vain(J.run_at)).order_by(None).correlate(None)
    return sa.update(tables.jobs).where(J.id.in_(_unlocked(found))).values(run_at=UNREADABLE, updated_at=NOW)


@cache
def _next_run_at(tables: Tables, served: Served) -> Any:
    J = tables.jobs.c
    lanes = _lanes(tables, served)
    first = _in_lane(tables, lanes, J.run_at).limit(1)
    of_all = sa.select(sa.func.min(first.scalar_subquery(), type_=J.run_at.type).label("run_at"))
    # UTCDateTime names a selected column more than once.
    return sa.select(of_all.select_from(lanes).subquery().c.run_at)


def _lanes(tables: Tables, served: Served, *, above: bool = False, until_due: bool = False) -> sa.CTE:
    """The lanes: the jobs that wait at one priority are a lane or, for a worker that serves certain queues
    only, one in each of these. The most urgent come first; with `until_due`, a queue's last one is the first
    in which a job is due.

    Each is found by one look into an index, however many jobs there are. (PostgreSQL's wiki calls it a loose
    index scan.)
    """
    J = tables.jobs.c

    def lowest(queue: Any, *beyond: ColumnElement[bool]) -> Any:
        found = _in_order(tables, queue, J.priority).where(*beyond)
        if served.max_priority is not None:
            found = found.where(J.priority <= served.max_priority)
        return found.limit(1).scalar_subquery().label("priority")

    start = [J.priority > sa.bindparam("above")] if above else []
    if served.min_priority is not None:
        start.append(J.priority >= served.min_priority)
    if served.queues:
        name = each(sa.bindparam("queues", served.queues, type_=Listed(sa.Text()))).column_valued("value")
        first = sa.select(lowest(name, *start), name.label("queue")).where(_unpaused(tables, name))
    else:
        first = sa.select(lowest(None, *start))
    lane = first.cte("lanes", recursive=True)
    queue = lane.c.get("queue")
    following = sa.select(lowest(queue, J.priority > lane.c.priority), *list(lane.c)[1:])
    following = following.where(lane.c.priority.is_not(None))
    if until_due:
        due = _unlocked(_in_lane(tables, lane, J.id).where(J.run_at <= NOW))
        following = following.where(~due.exists())
    return lane.union_all(following)


def _in_lane(tables: Tables, lane: sa.CTE, *columns: ColumnElement[Any]) -> Any:
    J = tables.jobs.c
    found = _in_order(tables, lane.c.get("queue"), *columns).where(J.priority == lane.c.priority)
    return found if "queue" in lane.c else found.where(_unpaused(tables, J.queue))


def _in_order(tables: Tables, queue: Any, *columns: ColumnElement[Any]) -> Any:
    """SELECT from the waiting jobs, of all queues or of one, in the order of the index that serves this."""
    J = tables.jobs.c
    found = sa.select(*columns).where(tables.waiting)
    if queue is None:
        return found.order_by(J.priority, J.run_at, J.id)
    return found.where(exactly(J.queue, queue)).order_by(J.queue, J.priority, J.run_at, J.id)


def _unlocked(jobs: Any) -> Any:
    """PostgreSQL: no worker waits for another, or takes what it has. SQLAlchemy omits it for SQLite, where
    the transaction has the write lock from its start.
    """
    return jobs.with_for_update(skip_locked=True)


def _unpaused(tables: Tables, queue: ColumnElement[str]) -> ColumnElement[bool]:
    return queue.not_in(sa.select(tables.pauses.c.queue))
