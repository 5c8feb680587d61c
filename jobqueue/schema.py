"""The tables: the jobs, with Delayed Job's columns under Delayed Job's names, and the workers.

`Job` is the ORM class, for your own queries; the queue itself uses `jobs`, the table behind it. Every column
added since the first version is nullable or has a server default, so that `migrating.py` can add it to older
tables.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, cast

from sqlalchemy import BigInteger, Column, ColumnElement, DateTime, Dialect, Integer, Table, Text, and_
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator, TypeEngine

DEFAULT_QUEUE = "default"
MAX_ATTEMPTS = 25
GONE = "(gone)"
UNREADABLE = datetime.min.replace(tzinfo=UTC)  # long due, so that a worker claims it
CHANNEL = "jobqueue"  # on which PostgreSQL notifies idle workers of new jobs


def in_utc(moment: datetime) -> datetime:
    """The same moment in UTC. Raises ValueError for a naive datetime, which is ambiguous."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment!r} has no time zone; use datetime.now(UTC), or .astimezone()")
    return moment.astimezone(UTC)


class UTCDateTime(TypeDecorator[datetime]):
    """A moment in time, always UTC and always aware.

    PostgreSQL has a type for this. SQLite's DateTime silently drops the offset, so there the value is
    converted to UTC before it is stored, and marked as UTC when it is read.
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
    """A moment that SQLite has stored. It stores any value, and an invalid one must not stop a worker."""
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except (TypeError, ValueError):
        return UNREADABLE


class Base(DeclarativeBase):
    """The queue's own metadata, separate from your models'."""

    type_annotation_map = {datetime: UTCDateTime, str: Text}  # noqa: RUF012 - SQLAlchemy's own idiom


class Job(Base):
    """One row: a job that is waiting, is running, or has failed for good. A job that succeeded has no row."""

    __tablename__ = "jobs"

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
    created_at: Mapped[datetime]  # When it was enqueued
    updated_at: Mapped[datetime]  # When the row last changed, other than by a heartbeat

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

    When a worker has ended, its counts are added to the row named GONE, so that totals never shrink.
    """

    __tablename__ = "job_workers"

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


jobs = cast(Table, Job.__table__)
jobs.dialect_options["sqlite"]["autoincrement"] = True
workers = cast(Table, WorkerRow.__table__)

waiting = and_(jobs.c.locked_by.is_(None), jobs.c.failed_at.is_(None))
running = and_(jobs.c.locked_by.is_not(None), jobs.c.failed_at.is_(None))
unique = and_(jobs.c.unique_key.is_not(None), jobs.c.failed_at.is_(None))

# Partial indexes, small and in claiming order: columns, condition, whether unique. Not SQLAlchemy's Index:
# with a condition, that imports the dialects, which takes longer than all the rest.
INDEXES: dict[str, tuple[tuple[Column[Any], ...], ColumnElement[bool], bool]] = {
    "jobs_waiting": ((jobs.c.priority, jobs.c.run_at, jobs.c.id), waiting, False),
    "jobs_running": ((jobs.c.locked_at,), running, False),
    "jobs_unique_key": ((jobs.c.unique_key,), unique, True),
}
