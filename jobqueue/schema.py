"""The tables: the jobs, with Delayed Job's columns under Delayed Job's names, and the workers.

`Job` is the ORM class, for your own queries; the queue itself uses the table behind it. A queue may choose
its tables' names. There are no numbered versions: what a table lacks is read off the table itself. So every
column added since the first version is nullable or has a server default.
"""

import re
import threading
from datetime import datetime
from functools import cache
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy import BigInteger, Column, Connection, Dialect, Index, Integer, MetaData, Table, Text, event
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.orm.attributes import set_committed_value
from sqlalchemy.schema import CreateColumn, CreateIndex, CreateSchema, CreateTable

from jobqueue.dialects import UTCDateTime, readable
from jobqueue.errors import DatabaseError

DEFAULT_TABLE = "jobs"
DEFAULT_QUEUE = "default"
MAX_ATTEMPTS = 25
GONE = "(gone)"
MOST_OF_A_NAME = 63  # that PostgreSQL keeps
ADVISORY_LOCK = 0x6A6F6273  # "jobs"; any number that others are unlikely to use
# A table without these is not the queue's, nor Delayed Job's.
ORIGINAL_COLUMNS = {"priority", "attempts", "handler", "last_error", "run_at", "locked_at", "locked_by"}


TYPES_OF_COLUMNS = {datetime: UTCDateTime, str: Text}


class Base(DeclarativeBase):
    """The metadata of the tables with the default names; use `Queue.metadata`, which has the indexes too."""

    type_annotation_map = TYPES_OF_COLUMNS


class JobColumns:
    """The columns of a job, whatever its table is called."""

    # Never reused (AUTOINCREMENT): otherwise a late finish could hit another job.
    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    priority: Mapped[int] = mapped_column(server_default="0")  # Lower numbers run first
    attempts: Mapped[int] = mapped_column(server_default="0")  # Attempts counted so far: see claiming.py
    handler: Mapped[str]  # What to run: a registered name and its arguments, as JSON
    last_error: Mapped[str | None]  # Traceback of the last failure, or how the last worker was lost
    run_at: Mapped[datetime]  # When to run it: at once, later, or at the next retry
    locked_at: Mapped[datetime | None]  # When it was claimed, or its lease last renewed
    locked_by: Mapped[str | None]  # Name of the worker that has it
    failed_at: Mapped[datetime | None]  # When it failed for good; such a job is kept, but not run again
    queue: Mapped[str] = mapped_column(server_default=DEFAULT_QUEUE)  # Name of the queue it is in
    max_attempts: Mapped[int] = mapped_column(server_default=str(MAX_ATTEMPTS))  # Attempts before giving up
    max_run_time: Mapped[float | None]  # Seconds that one attempt may take; NULL: the worker's limit
    unique_key: Mapped[str | None]  # While this job waits or runs, no other job with this key is queued
    unique_until: Mapped[str | None]  # "start": only while it waits; its claim clears the key
    created_at: Mapped[datetime]  # When it was enqueued
    updated_at: Mapped[datetime]  # When the row last changed, other than by a heartbeat

    @property
    def state(self) -> str:
        """ "waiting", "running" or "failed" (for good)."""
        return "failed" if self.failed_at else "running" if self.locked_by else "waiting"

    def __repr__(self) -> str:
        state = f"run at {self.run_at:%F %T}" if self.state == "waiting" else self.state
        return f"<Job {self.id} {self.handler} {state}, {self.attempts} of {self.max_attempts} attempts>"


class WorkerColumns:
    """The columns of a worker process, as it described itself, and what it has done.

    When a worker has ended, its counts are added to the row named GONE, so that totals never shrink.
    """

    name: Mapped[str] = mapped_column(primary_key=True)  # As in jobs.locked_by
    threads: Mapped[int]  # Jobs it performs at a time
    queues: Mapped[str]  # Comma-separated names of the queues it serves; empty: all
    lease: Mapped[float]  # Seconds of silence after which its jobs go to others
    max_run_time: Mapped[float]  # Seconds that an attempt may take if the job sets no limit
    started_at: Mapped[datetime]  # When it started
    seen_at: Mapped[datetime]  # When it last reported that it is alive
    succeeded: Mapped[int] = mapped_column(BigInteger())  # Attempts that succeeded
    failed: Mapped[int] = mapped_column(BigInteger())  # Attempts that failed
    waits: Mapped[str]  # Histogram of pick-up latencies, as JSON: see presence.py


@event.listens_for(JobColumns, "load", propagate=True)
def _make_readable(job: JobColumns, _context: object) -> None:
    for name, value in vars(job).items():
        if isinstance(value, bytes):
            set_committed_value(job, name, readable(value))


class Job(JobColumns, Base):
    """One row: a job that is waiting, is running, or has failed for good. A job that succeeded has no row."""

    __tablename__ = DEFAULT_TABLE


class WorkerRow(WorkerColumns, Base):
    """One row: a worker process."""

    __tablename__ = "job_workers"


class Tables:
    """A queue's tables, and the conditions and names that go with them. tables() makes one for each name."""

    def __init__(self, name: str, schema: str | None):
        classes: tuple[type[Job], type[WorkerRow]] = _classes(name, schema)
        self.Job, self.WorkerRow = classes
        self.metadata: MetaData = self.Job.metadata
        self.jobs = jobs = cast(Table, self.Job.__table__)
        self.workers = cast(Table, self.WorkerRow.__table__)
        self.pauses = Table(  # one row: a queue whose jobs wait until it is resumed
            _beside(name, "pauses"),
            self.metadata,
            Column("queue", Text, primary_key=True),
            Column("paused_at", UTCDateTime(), nullable=False),
            schema=schema,
        )
        self.ours = jobs.c.handler.is_not(None)  # always; but a table that is not ours lacks it
        self.waiting = sa.and_(jobs.c.locked_by.is_(None), jobs.c.failed_at.is_(None))
        self.running = sa.and_(jobs.c.locked_by.is_not(None), jobs.c.failed_at.is_(None))
        self.unique = sa.and_(jobs.c.unique_key.is_not(None), jobs.c.failed_at.is_(None))
        # On which PostgreSQL notifies idle workers of new jobs.
        self.channel = ".".join(filter(None, ("jobqueue", schema, name if name != DEFAULT_TABLE else None)))
        jobs.dialect_options["sqlite"]["autoincrement"] = True
        # Small, since partial, and in claiming order: of all queues, and of each.
        in_order = (jobs.c.priority, jobs.c.run_at, jobs.c.id)
        self._index("waiting", self.waiting, *in_order)
        self._index("waiting_by_queue", self.waiting, jobs.c.queue, *in_order)
        self._index("running", self.running, jobs.c.locked_at)
        self._index("unique_key", self.unique, jobs.c.unique_key, unique=True)

    def _index(self, suffix: str, where: Any, *columns: Any, unique: bool = False) -> None:
        name = f"{self.jobs.name}_{suffix}"
        Index(name, *columns, unique=unique, sqlite_where=where, postgresql_where=where)


_tables = cache(Tables)
_one_at_a_time = threading.Lock()  # a table can be defined once


def tables(name: str = DEFAULT_TABLE, schema: str | None = None) -> Tables:
    """The tables of the queue whose jobs are in the table `name`. Raises DatabaseError for a name that SQL
    would need in quotes, that is too long for the names made of it, or that ends in "job".
    """
    for word in (name, name if schema is None else schema):
        if not isinstance(word, str) or not re.fullmatch(r"[a-z_][a-z0-9_]{0,39}", word):
            raise DatabaseError(f"{word!r} can't name a table: use small letters, digits and _, at most 40")
    if name.endswith("job"):
        raise DatabaseError(f"{name!r} would share tables with {name}s: choose that, or another name")
    with _one_at_a_time:
        made = _tables(name, schema)
    if len(made.channel) > MOST_OF_A_NAME:
        raise DatabaseError(f"{schema}.{name} is too long: use 53 characters at most for both names together")
    return made


def _beside(name: str, what: str) -> str:
    return f"{name[:-1] if name.endswith('jobs') else name}_{what}"


def _classes(name: str, schema: str | None) -> tuple[Any, Any]:
    if (name, schema) == (DEFAULT_TABLE, None):
        return Job, WorkerRow
    base = type("Base", (DeclarativeBase,), {"type_annotation_map": TYPES_OF_COLUMNS})
    own = {"__table_args__": {"schema": schema}, "__module__": __name__}
    workers = _beside(name, "workers")
    return (
        type("Job", (JobColumns, base), {**own, "__tablename__": name}),
        type("WorkerRow", (WorkerColumns, base), {**own, "__tablename__": workers}),
    )


def migrate(connection: Connection, tables: Tables) -> list[str]:
    """Create missing tables, columns and indexes; returns the statements executed.

    Any number of processes may call it at once, each in a transaction that writes. Raises DatabaseError.
    """
    if connection.dialect.name == "postgresql":  # on SQLite the write lock does this
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(ADVISORY_LOCK)))
    statements = missing(connection, tables)
    for statement in statements:
        connection.exec_driver_sql(statement.replace("%", "%%"))
    return statements


def missing(connection: Connection, tables: Tables) -> list[str]:
    """The statements that would bring the tables up to date; none if they already are. Raises DatabaseError
    if a table of this name is not a queue's.
    """
    inspector, dialect, schema = sa.inspect(connection), connection.dialect, tables.jobs.schema
    if schema and dialect.name != "postgresql":
        raise DatabaseError("SQLite has no schemas: choose a name for the table only")
    if schema and not inspector.has_schema(schema):
        return ddl(dialect, tables)
    statements: list[str] = []
    for table in tables.metadata.sorted_tables:
        parts = _parts(table, dialect)
        if not inspector.has_table(table.name, schema=schema):
            statements += parts.values()
            continue
        there = {column["name"] for column in inspector.get_columns(table.name, schema=schema)}
        ours = {column.name for column in table.c if not (column.nullable or column.server_default)}
        if lacking := ours.union(ORIGINAL_COLUMNS if table is tables.jobs else ()) - there:
            raise DatabaseError(
                f"The table {table.fullname} is not jobqueue's: it has no {', '.join(sorted(lacking))}."
                ' Choose another name: Queue(..., table="queued_jobs"), or --table'
            )
        alter = f"ALTER TABLE {dialect.identifier_preparer.format_table(table)} ADD COLUMN "
        new = [CreateColumn(column) for column in table.c if column.name not in there]
        statements += [alter + _text(column, dialect) for column in new]
        indexed = {index["name"] for index in inspector.get_indexes(table.name, schema=schema)}
        statements += [text for name, text in parts.items() if name not in ("", *indexed)]
    return statements


def ddl(dialect: Dialect, tables: Tables) -> list[str]:
    """The statements that create the tables in an empty database."""
    schema = tables.jobs.schema
    parts = [text for table in tables.metadata.sorted_tables for text in _parts(table, dialect).values()]
    return [_text(CreateSchema(schema), dialect), *parts] if schema else parts


def _parts(table: Table, dialect: Dialect) -> dict[str, str]:
    """The statements that create a table, under "", and its indexes, under their names."""
    indexes = {str(index.name): _text(CreateIndex(index), dialect) for index in table.indexes}
    return {"": _text(CreateTable(table), dialect), **dict(sorted(indexes.items()))}


def _text(element: CreateTable | CreateColumn | CreateIndex | CreateSchema, dialect: Dialect) -> str:
    return str(element.compile(dialect=dialect)).strip().replace("\t", "    ").replace(" \n", "\n")
