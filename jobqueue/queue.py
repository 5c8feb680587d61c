"""The queue as its users see it: make the table, enqueue, look."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import URL, Connection, Engine, select
from sqlalchemy.orm import Session, scoped_session

from jobqueue import store
from jobqueue.database import lock_for_create_tables, open_engine, writer
from jobqueue.handlers import Performable, dump
from jobqueue.retry import MAX_ATTEMPTS
from jobqueue.schema import DEFAULT_QUEUE, Base, Job, in_utc

LEASE = timedelta(seconds=30)


class Queue:
    """A job queue in a table of a database.

    `database` is a URL or an SQLAlchemy Engine, SQLite or PostgreSQL. `lease` is how long a worker may be
    silent before its jobs are given to others. Raises DatabaseError for a database that can't hold a queue.

    >>> queue = Queue("sqlite:///jobs.db")        # doctest: +SKIP
    >>> queue.create_tables()                     # doctest: +SKIP
    >>> queue.enqueue(ResizeImage(8))             # doctest: +SKIP
    1
    """

    def __init__(self, database: str | URL | Engine, *, lease: timedelta = LEASE):
        self.engine = open_engine(database)
        self.writer = writer(self.engine)
        self.lease = lease

    def __repr__(self) -> str:
        return f"<Queue {self.engine.url!r}>"

    def create_tables(self) -> None:
        """Create the queue's table and indexes if they are not there. Any number of processes may do it at
        once.
        """
        with self.writer.begin() as connection:
            lock_for_create_tables(connection)
            Base.metadata.create_all(connection)

    def enqueue(
        self,
        job: Performable,
        *,
        session: Session | scoped_session[Session] | Connection | None = None,
        priority: int = 0,
        run_at: datetime | timedelta | None = None,
        queue: str = DEFAULT_QUEUE,
        max_attempts: int = MAX_ATTEMPTS,
        max_run_time: float | None = None,
        now: datetime | None = None,
    ) -> int:
        """Add a job; returns its id.

        Without `session` the job is committed, and safe, when this returns. With one it becomes part of that
        session's transaction: job and data commit together or not at all. Lower `priority` runs first.
        `run_at` is an aware datetime, or a timedelta from now. `max_run_time` is in seconds. Raises NotAJob
        or NotSerializable, and ValueError for a naive datetime or a limit of nothing.
        """
        if max_attempts < 1:
            raise ValueError(f"max_attempts must be at least 1, not {max_attempts}")
        if max_run_time is not None and not max_run_time > 0:  # "not >": NaN, too, is no number of seconds
            raise ValueError(f"max_run_time must be more than 0 seconds, not {max_run_time}")
        now = in_utc(now or datetime.now(UTC))
        if isinstance(session, Session | scoped_session):
            session.flush()  # a mapped object that is new gets its primary key
        row = {
            "priority": priority,
            "handler": dump(job),
            "run_at": now + run_at if isinstance(run_at, timedelta) else in_utc(run_at or now),
            "queue": queue,
            "max_attempts": max_attempts,
            "max_run_time": max_run_time,
            "created_at": now,
            "updated_at": now,
        }
        if session is None:
            with self.writer.begin() as connection:
                return store.add(connection, row)
        return store.add(session if isinstance(session, Connection) else session.connection(), row)

    def jobs(self, limit: int = 100) -> Sequence[Job]:
        """The jobs in the table, in the order in which they would run; at most `limit` of them."""
        with Session(self.engine) as session:
            return session.scalars(select(Job).order_by(Job.priority, Job.run_at, Job.id).limit(limit)).all()

    def close(self) -> None:
        """Close the queue's connections. The queue opens new ones if it is used again."""
        self.engine.dispose()
