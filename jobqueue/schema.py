"""The tables: the jobs, with Delayed Job's columns under Delayed Job's names, and the workers.

`Job` is the ORM class, for looking and for queries of your own. The queue itself works on `jobs`, the table
behind it. Every column that is new since the first version has a server default: `migrating.py` adds it to
tables that are older.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, cast

from sqlalchemy import BigInteger, Column, ColumnElement, DateTime, Dialect, Integer, Table, Text, and_
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator, TypeEngine

from jobqueue.retry import MAX_ATTEMPTS

DEFAULT_QUEUE = "default"
GONE = "(gone)"
UNREADABLE = datetime.min.replace(tzinfo=UTC)  # long due, so that a worker finds it
CHANNEL = "jobqueue"  # on which PostgreSQL tells idle workers of new jobs


def in_utc(moment: datetime) -> datetime:
    """The same moment in UTC. Raises ValueError for a naive datetime: nobody can know when that is."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment!r} has no time zone; use datetime.now(UTC), or .astimezone()")
    return moment.astimezone(UTC)


class UTCDateTime(TypeDecorator[datetime]):
    """A moment in time, always UTC and always aware.

    PostgreSQL has a type for that. SQLite's DateTime silently drops the offset, so there the value is turned
    into UTC before it is stored and marked as UTC when it is read.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(DateTime(timezone=dialect.name != "sqlite"))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        value = in_utc(value)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], datetime | None] | None:
        return _moment if dialect.name == "sqlite" else super().result_processor(dialect, coltype)


def _moment(text: Any) -> datetime | None:
    """What SQLite has stored. It stores whatever it is given, and what is no moment must stop no worker."""
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except (TypeError, ValueError):
        return UNREADABLE


class Base(DeclarativeBase):
    """The queue's own metadata: it never meets your models'."""

    type_annotation_map = {datetime: UTCDateTime, str: Text}  # noqa: RUF012 - SQLAlchemy's own idiom


class Job(Base):
    """One row: a job that waits, runs, or has failed for good. A job that succeeded has no row."""

    __tablename__ = "jobs"

    # Never used twice (AUTOINCREMENT): a reused id would let a late finish hit another job.
    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    priority: Mapped[int] = mapped_column(server_default="0")  # Lower numbers run first
    attempts: Mapped[int] = mapped_column(server_default="0")  # Attempts that were counted: see claiming.py
    handler: Mapped[str]  # What to run: a registered name and its arguments, as JSON
    last_error: Mapped[str | None]  # Traceback of the last failure, or how the last worker was lost
    run_at: Mapped[datetime]  # When to run it: at once, later, or at the next retry
    locked_at: Mapped[datetime | None]  # When the worker that has it last said that it is alive (the lease)
    locked_by: Mapped[str | None]  # Which worker has it
    failed_at: Mapped[datetime | None]  # When all attempts had failed; such a job is kept and left alone
    queue: Mapped[str] = mapped_column(server_default=DEFAULT_QUEUE)  # Name of the queue it is in
    max_attempts: Mapped[int] = mapped_column(
        server_default=str(MAX_ATTEMPTS)
    )  # Attempts before it has failed
    max_run_time: Mapped[float | None]  # Seconds that one attempt may take; empty: the worker's limit
    unique_key: Mapped[str | None]  # While this job waits or runs, no other one with this key is queued
    created_at: Mapped[datetime]  # When it was enqueued
    updated_at: Mapped[datetime]  # When a worker last changed the row

    @property
    def state(self) -> str:
        """ "waiting", "running" or "failed" (for good)."""
        return "failed" if self.failed_at else "running" if self.locked_by else "waiting"

    def __repr__(self) -> str:
        state = {
            "failed": "failed",
            "running": f"locked by {self.locked_by}",
            "waiting": f"run at {self.run_at:%F %T}",
        }[self.state]
        return f"<Job {self.id} {self.handler} {state}, {self.attempts} of {self.max_attempts} attempts>"


class WorkerRow(Base):
    """One row: a worker process, as it described itself, and what it has done.

    The row of a worker that has ended is added to one that is named GONE, so that sums only ever grow.
    """

    __tablename__ = "job_workers"

    name: Mapped[str] = mapped_column(primary_key=True)  # As in jobs.locked_by
    threads: Mapped[int]  # Jobs that it performs at a time
    queues: Mapped[str]  # Names of the queues it serves, by comma; empty: all
    lease: Mapped[float]  # Seconds of silence after which its jobs go to others
    max_run_time: Mapped[float]  # Seconds that a job may take which has no limit of its own
    started_at: Mapped[datetime]  # When it began
    seen_at: Mapped[datetime]  # When it last said that it is alive
    succeeded: Mapped[int] = mapped_column(BigInteger())  # Attempts that succeeded
    failed: Mapped[int] = mapped_column(BigInteger())  # Attempts that failed
    waits: Mapped[str]  # Histogram of pick-up latencies, as JSON: see presence.py


jobs = cast(Table, Job.__table__)
jobs.dialect_options["sqlite"]["autoincrement"] = True
workers = cast(Table, WorkerRow.__table__)

waiting = and_(jobs.c.locked_by.is_(None), jobs.c.failed_at.is_(None))
running = and_(jobs.c.locked_by.is_not(None), jobs.c.failed_at.is_(None))
unique = and_(jobs.c.unique_key.is_not(None), jobs.c.failed_at.is_(None))

# Partial indexes: small, and in the order in which jobs are claimed. Columns, condition, whether unique. Not
# as SQLAlchemy's Index: one with a condition imports the dialects, which would take longer than all the rest.
INDEXES: dict[str, tuple[tuple[Column[Any], ...], ColumnElement[bool], bool]] = {
    "jobs_waiting": ((jobs.c.priority, jobs.c.run_at, jobs.c.id), waiting, False),
    "jobs_running": ((jobs.c.locked_at,), running, False),
    "jobs_unique_key": ((jobs.c.unique_key,), unique, True),
}
