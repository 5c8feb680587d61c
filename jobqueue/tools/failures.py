"""Retry or delete all jobs that failed for good, in one statement however many there are."""

from datetime import UTC, datetime

from sqlalchemy import ColumnElement, and_, delete, func, or_, select, update
from sqlalchemy.exc import IntegrityError

from jobqueue import Queue, waiting
from jobqueue.errors import AlreadyQueued
from jobqueue.lease import A_DAY
from jobqueue.schema import Tables


def retry_all(queue: Queue, *, until: datetime, name: str | None = None, now: datetime | None = None) -> int:
    """Retry the jobs that had failed by `until`, with all their attempts again, in the named queue or in all;
    returns how many.

    Of jobs with the same unique key the newest is retried, and none while another job with that key is
    queued. Raises AlreadyQueued when one is enqueued at the same moment.
    """
    now = now or datetime.now(UTC)
    jobs = queue.tables.jobs
    J = jobs.c
    failed = _failed(queue.tables, until, name)
    newest = select(func.max(J.id)).where(failed, J.unique_key.is_not(None)).group_by(J.unique_key)
    other = jobs.alias("other").c
    queued = select(other.id).where(other.unique_key == J.unique_key, other.failed_at.is_(None)).exists()
    again = (
        update(jobs)
        .where(failed, or_(J.unique_key.is_(None), and_(J.id.in_(newest), ~queued)))
        .values(attempts=0, failed_at=None, run_at=now, updated_at=now)
    )
    try:
        with queue.writer.begin() as connection:
            count = connection.execute(again).rowcount
            waiting.notify(connection, queue.tables)
    except IntegrityError as error:
        raise AlreadyQueued(
            "a job with the unique key of a failed one was queued just now, so none was retried: try again"
        ) from error
    return count


def delete_all(queue: Queue, *, until: datetime, name: str | None = None) -> int:
    """Delete the jobs that had failed by `until`, in the named queue or in all; returns how many."""
    with queue.writer.begin() as connection:
        return connection.execute(
            delete(queue.tables.jobs).where(_failed(queue.tables, until, name))
        ).rowcount


def _failed(tables: Tables, until: datetime, name: str | None) -> ColumnElement[bool]:
    J = tables.jobs.c
    future = J.failed_at > datetime.now(UTC) + A_DAY  # as others may have written
    return and_(or_(J.failed_at <= until, future), *([] if name is None else [J.queue == name]))
