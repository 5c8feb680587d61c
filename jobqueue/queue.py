"""The queue as its users see it: create the tables, enqueue, look at jobs."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Any, Literal, Unpack

from sqlalchemy import URL, Connection, Engine, MetaData, case, delete, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, scoped_session

from jobqueue import waiting
from jobqueue.database import open_engines
from jobqueue.dialects import insert_unless_there
from jobqueue.errors import AlreadyQueued, NoSuchJob
from jobqueue.handlers import Performable
from jobqueue.options import EnqueueOptions, RowOptions, check, checked, moment, refuse_others
from jobqueue.schema import DEFAULT_TABLE, Job, migrate, missing, tables
from jobqueue.transactions import Callers, Home, Kept

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

LEASE = timedelta(seconds=30)


class Queue:
    """A job queue in a table of a database.

    `database` is a URL or an SQLAlchemy Engine, for SQLite or PostgreSQL. `lease` is how long a worker may be
    silent before its jobs go to others, at least half a second. The jobs are in the table `table`, on
    PostgreSQL in `schema`: so one database may hold several queues, or a table `jobs` of your own. Raises
    DatabaseError for a database that can't hold a queue, and for a table's name that is not a plain one.

    >>> queue = Queue("sqlite:///jobs.db")        # doctest: +SKIP
    >>> queue.create_tables()                     # doctest: +SKIP
    >>> queue.enqueue(ResizeImage(8))             # doctest: +SKIP
    1
    """

    def __init__(
        self,
        database: "str | URL | Engine | AsyncEngine",
        *,
        table: str = DEFAULT_TABLE,
        schema: str | None = None,
        lease: timedelta = LEASE,
    ):
        check(lease=lease)
        self.engine, self.writer = open_engines(database)  # `writer` takes SQLite's lock
        self.tables = tables(table, schema)
        self.lease = lease
        self._home = Home(self.engine, self.writer, self.tables)
        # An Engine's pool is the application's: none of its connections are kept.
        self._kept = None if self.engine.get_execution_options().get("shared_pool") else Kept()

    def __repr__(self) -> str:
        return f"<Queue {self.engine.url!r}>"

    @property
    def metadata(self) -> MetaData:
        """The queue's tables and their indexes, for Alembic's `target_metadata`."""
        return self.tables.metadata

    def create_tables(self) -> None:
        """Create the tables, or bring old ones up to date. Raises DatabaseError if one is not the queue's."""
        # Any number of processes may do so at once. Most find nothing to do, and need no lock for that.
        with self.engine.begin() as connection:
            if not missing(connection, self.tables):
                return
        with self.writer.begin() as connection:
            migrate(connection, self.tables)

    def enqueue(
        self,
        job: Performable,
        *,
        session: Callers | None = None,
        if_queued: Literal["refuse", "keep"] = "refuse",
        now: datetime | None = None,
        **options: Unpack[EnqueueOptions],
    ) -> int:
        """Add a job; returns its id.

        Without `session` the job is committed, and safe, when this returns. With one it becomes part of that
        session's transaction: job and data commit together or not at all.

        The options `priority`, `run_at`, `queue`, `max_attempts` and `max_run_time` are as @job says of the
        class, and otherwise: priority 0, due at once, in the queue "default", for 25 attempts, with the
        worker's limit for each. Lower priority runs first. `run_at` is an aware datetime, or a timedelta from
        now. `max_run_time` is in seconds.

        While a job with a `unique_key` is waiting or running, enqueueing another one with the same key raises
        AlreadyQueued, or with `if_queued="keep"` returns the id of the job already there. With
        `unique_until="start"`, a job that has begun no longer counts: what it has read may be out of date.

        Raises NotAJob or NotSerializable; TypeError; ValueError for a naive datetime, or for a value that no
        job can have, also if the job's enqueue() hook sets it.
        """
        if if_queued not in ("refuse", "keep"):
            raise ValueError(f'if_queued must be "refuse" or "keep", not {if_queued!r}')
        refuse_others(Queue.enqueue, options)
        [row] = self._rows([job], session, now, options)
        if (keep := if_queued == "keep") and row["unique_key"] is None:
            raise ValueError('if_queued="keep" needs a unique_key')
        return self._insert([row], session, keep)

    def enqueue_many(
        self,
        jobs: Iterable[Performable],
        *,
        session: Callers | None = None,
        now: datetime | None = None,
        **options: Unpack[RowOptions],
    ) -> int:
        """Add many jobs, all or none; returns how many. Jobs of equal priority run in the order given. The
        options are those of enqueue(), and so is what it raises.
        """
        refuse_others(Queue.enqueue_many, options)
        rows = self._rows(jobs, session, now, options)
        self._insert(rows, session)
        return len(rows)

    def _rows(
        self,
        jobs: Iterable[Performable],
        session: Callers | None,
        now: datetime | None,
        options: Mapping[str, Any],
    ) -> list[dict[str, Any]]:
        now = moment("now", now)
        given = checked(now, **options)
        if isinstance(session, Session | scoped_session):
            session.flush()  # gives a new mapped object its primary key
        return [waiting.row_of(self.tables, job, given, now) for job in jobs]

    def _insert(self, rows: Sequence[dict[str, Any]], session: Callers | None, keep: bool = False) -> int:
        """Add the rows; returns the id of the last one, if it was added by itself."""
        id = 0
        with self._transaction(session) as transaction:
            for keyless, some in groupby(rows, key=lambda row: row["unique_key"] is None):
                if keyless and len(rows) > 1:
                    waiting.add_many(transaction, self.tables, list(some))
                elif keyless:
                    id = waiting.add(transaction, self.tables, *some)
                else:  # from enqueue(), or from the jobs' own enqueue() hooks
                    for row in some:
                        id = waiting.add_unique(transaction, self.tables, row, keep=keep)
        return id

    def _transaction(
        self, session: Callers | None, engine: Engine | None = None
    ) -> AbstractContextManager[Connection]:
        """The caller's transaction, which the caller commits, or one of the queue's own."""
        joined = self._home.join(session)
        if joined is not None:
            return self._home.advising(joined)
        if self._kept and not engine:
            return self._kept.begin(self.writer)
        return (engine or self.writer).begin()

    def jobs(self, limit: int = 100) -> Sequence[Job]:
        """At most `limit` jobs, in the order in which they would run; those that failed for good are last."""
        check(limit=limit)
        Job = self.tables.Job
        order = Job.failed_at.is_not(None), Job.priority, Job.run_at, Job.id
        with Session(self.engine) as session:
            return session.scalars(select(Job).order_by(*order).limit(limit)).all()

    def get(self, id: int, *, session: Callers | None = None) -> Job:
        """The job with this id. Raises NoSuchJob; TypeError or ValueError for what can't be an id."""
        check(id=id)
        with self._transaction(session, self.engine) as connection:
            return self._get(connection, id)

    def _get(self, connection: Connection, id: int) -> Job:
        with Session(connection) as reading:
            if job := reading.get(self.tables.Job, id):
                return job
        raise NoSuchJob(id)

    def retry(self, id: int, *, session: Callers | None = None, now: datetime | None = None) -> bool:
        """Make a job due now; one that failed for good gets all its attempts again. Returns whether anything
        changed: a running job is left alone.

        Raises NoSuchJob, and AlreadyQueued when another job with its unique key is queued.
        """
        check(id=id)
        jobs, now = self.tables.jobs, moment("now", now)
        failed = jobs.c.failed_at.is_not(None)
        attempts = case((failed, 0), else_=jobs.c.attempts)
        values = {"run_at": now, "updated_at": now, "attempts": attempts, "failed_at": None}
        idle = or_(jobs.c.locked_by.is_(None), failed)
        with self._transaction(session) as connection:
            try:
                # No SELECT first: in SQLite others may write in between, and then this can't.
                with connection.begin_nested():
                    retried = connection.execute(update(jobs).where(jobs.c.id == id, idle).values(values))
            except IntegrityError as error:
                key = self._get(connection, id).unique_key
                text = f"job {id} can't be retried: another job with its key {key!r} is queued"
                raise AlreadyQueued(text) from error
            if not retried.rowcount:
                self._get(connection, id)
                return False
            waiting.notify(connection, self.tables)
            return True

    def delete(self, id: int, *, session: Callers | None = None) -> None:
        """Delete a job, whatever its state; a running attempt goes on to its end. Raises NoSuchJob."""
        check(id=id)
        jobs = self.tables.jobs
        with self._transaction(session) as connection:
            if not connection.execute(delete(jobs).where(jobs.c.id == id, self.tables.ours)).rowcount:
                raise NoSuchJob(id)

    def pause(self, queue: str, *, now: datetime | None = None) -> None:
        """Let a queue's jobs wait until resume(); those that run go on. Raises TypeError or ValueError."""
        check(queue=queue)
        row = {"queue": queue, "paused_at": moment("now", now)}
        with self.writer.begin() as connection:
            connection.execute(insert_unless_there(connection, self.tables.pauses), row)

    def resume(self, queue: str) -> None:
        """Let workers perform the jobs of a paused queue again."""
        check(queue=queue)
        pauses = self.tables.pauses
        with self.writer.begin() as connection:
            connection.execute(delete(pauses).where(pauses.c.queue == queue))
            waiting.notify(connection, self.tables)

    def clear(self, queue: str | None = None) -> int:
        """Delete all jobs, or those of one queue, failed ones included; returns how many.

        A running job goes on to its end, but its writes in the transaction that finishes it are rolled back.
        """
        jobs = self.tables.jobs
        which = [jobs.c.queue == name for name in checked(queue=queue).values()]
        with self.writer.begin() as connection:
            return connection.execute(delete(jobs).where(self.tables.ours, *which)).rowcount

    def close(self) -> None:
        """Close the queue's connections, but not those of an Engine's pool that it shares. The queue opens
        new ones if it is used again.
        """
        if self._kept:
            self._kept.close()
            self.engine.dispose()
            self.writer.dispose()
