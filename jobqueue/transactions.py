"""The transactions in which the queue speaks to its database: a caller's, which it never ends, or its own, on
connections that are kept from one to the next.
"""

import os
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from select import POLLIN, poll
from typing import Any
from weakref import WeakSet

import sqlalchemy as sa
from sqlalchemy import Connection, Engine, ExceptionContext, event
from sqlalchemy.exc import DBAPIError, UnboundExecutionError
from sqlalchemy.orm import Session, scoped_session

from jobqueue.database import driver_of, outside_pool, refuse_autocommit
from jobqueue.errors import DatabaseError, advised
from jobqueue.postgresql import PLAN_ALWAYS, greeted_by, limit_silence
from jobqueue.schema import Tables
from jobqueue.sqlite import file_of

STALE_SECONDS = 5.0  # a connection idle for longer may have been cut off
WRONG_TYPE = (
    "session must be an open Session or Connection of SQLAlchemy, not {0}. Leave it out to have the job"
    " committed at once; a connection of psycopg, sqlite3 or Django becomes one by through(queue, connection)"
)
ASYNCHRONOUS = (
    "session must not be asynchronous, as {0} is. With an AsyncSession or AsyncConnection, use"
    " await session.run_sync(lambda session: queue.enqueue(job, session=session))"
)
UNBOUND = (
    "The session has no engine for the queue's table: use Session(engine), or"
    " Session(binds={..., queue.tables.jobs: engine})"
)
ELSEWHERE = "The session's database, or its schema, is not the queue's, {0!r}: no worker would see the job"
TRANSLATED = (
    "schema_translate_map would have the queue's statements use another schema than its workers do:"
    ' name the schema of its tables, Queue(..., schema="public"), and leave that one out of the map'
)

Callers = Session | scoped_session[Session] | Connection  # what enqueue() takes as `session`


class Home:
    """Where a queue is, and so whose transactions it can join. Raises DatabaseError for an engine that would
    look for the tables in another schema.
    """

    def __init__(self, engine: Engine, writer: Engine, tables: Tables):
        self._engine = engine
        self._tables = tables
        self._known = WeakSet[Any]([engine.pool, writer.pool])  # pools found to lead here
        self._place: object = None
        self._refuse_translation(engine)
        for each in {engine, writer}:
            event.listen(each, "handle_error", self._advise)

    @contextmanager
    def advising(self, joined: Connection) -> Iterator[Connection]:
        """The caller's connection; an error in the block says what to do about it, if that is known."""
        try:
            yield joined
        except DBAPIError as error:
            advised(error, self._tables.metadata.tables)
            raise

    def _advise(self, context: ExceptionContext) -> None:
        if context.sqlalchemy_exception:
            advised(context.sqlalchemy_exception, self._tables.metadata.tables)

    def join(self, session: Callers | None) -> Connection | None:
        """The connection of the caller's transaction, if there is one. Raises TypeError, or DatabaseError if
        the job would not be safe there.
        """
        if session is None:
            return None
        if isinstance(session, Session | scoped_session):
            try:
                session = session.connection(bind_arguments={"clause": self._tables.jobs})
            except UnboundExecutionError as error:
                raise DatabaseError(UNBOUND) from error
        if not isinstance(session, Connection):
            text = ASYNCHRONOUS if "async" in type(session).__module__ else WRONG_TYPE
            raise TypeError(text.format(type(session)))
        self._refuse_translation(session)
        if session.dialect.name != self._engine.dialect.name:
            raise DatabaseError(ELSEWHERE.format(self._engine.url))
        if not session.in_transaction():  # the caller commits it, as one that a statement began
            session.begin()
        refuse_autocommit(session)
        if session.dialect.name == "sqlite" and not (driver := driver_of(session)).in_transaction:
            # sqlite3 does so before an INSERT, but not before a SAVEPOINT, whose end would then commit.
            session.exec_driver_sql(f"BEGIN {driver.isolation_level}")
        if session.engine.pool not in self._known:
            if not self._is_here(session):
                raise DatabaseError(ELSEWHERE.format(self._engine.url))
            self._known.add(session.engine.pool)
        return session

    def _is_here(self, connection: Connection) -> bool:
        place = self._place_of(connection)
        if place != self._place:  # not asked yet, or the server has been restarted since
            # The caller may hold the pool's last connection, so this takes none of the pool's.
            with outside_pool(self._engine) as own:
                self._place = self._place_of(own)
        return place == self._place

    def _place_of(self, connection: Connection) -> object:
        """What tells the database, and on PostgreSQL the table, from any other."""
        if connection.dialect.name == "sqlite":
            return file_of(connection)
        table = sa.cast(sa.func.to_regclass(self._tables.jobs.fullname), sa.BigInteger)
        # As a whole number, since drivers and Django make different things of a moment.
        started = sa.extract("epoch", sa.func.pg_postmaster_start_time()) * 1_000_000
        place = sa.select(sa.cast(started, sa.BigInteger), sa.func.current_database(), table)
        return tuple(connection.execute(place).one())

    def _refuse_translation(self, connection: Connection | Engine) -> None:
        own = self._tables.jobs.schema
        schemas = connection.get_execution_options().get("schema_translate_map") or {}
        if schemas.get(own, own) != own:
            raise DatabaseError(TRANSLATED)


class Kept:
    """Connections kept from one of the queue's own transactions to the next, for any number of threads:
    taking one from the pool and returning it takes more than half as long as all the rest. With `own`
    they are not the pool's, which jobs may use up.
    """

    def __init__(self, *, own: bool = False):
        self._own = own
        # By process: after a fork, the parent's connections are neither used nor closed.
        self._kept: defaultdict[tuple[int, Engine], list[tuple[Connection, float]]] = defaultdict(list)

    @contextmanager
    def begin(self, engine: Engine) -> Iterator[Connection]:
        """A transaction, committed at the end of the block. Raises DBAPIError."""
        kept = self._kept[os.getpid(), engine]
        connection = self._take(kept) or self._open(engine)
        try:
            if self._own:
                _plan_always(connection)
            with connection.begin():
                yield connection
        except BaseException:
            connection.close()
            raise
        kept.append((connection, time.monotonic()))

    def close(self) -> None:
        """Close the connections that are not in use, or return them to the pool."""
        for key in [key for key in list(self._kept) if key[0] == os.getpid()]:
            for connection, _ in self._kept.pop(key):
                connection.close()

    def _take(self, kept: list[tuple[Connection, float]]) -> Connection | None:
        with suppress(IndexError):  # none is left, or another thread took it
            while True:
                connection, used_at = kept.pop()
                if time.monotonic() - used_at < STALE_SECONDS and _looks_open(connection):
                    return connection
                connection.close()  # the pool checks whether it is still alive
        return None

    def _open(self, engine: Engine) -> Connection:
        if not self._own or engine.dialect.name == "sqlite":  # whose pool has no limit
            connection = engine.connect()
            limit_silence(driver_of(connection))
            return connection
        return outside_pool(engine)


def _looks_open(connection: Connection) -> bool:
    """SQLite's file may be another one. PostgreSQL sends a message when it ends a connection; until asked, it
    sends nothing else.
    """
    if connection.dialect.name == "sqlite":
        return not connection.info["file"].is_replaced()
    driver = driver_of(connection)
    if not hasattr(driver, "fileno"):
        return True
    unread = poll()
    unread.register(driver.fileno(), POLLIN)
    return not unread.poll(0)


def _plan_always(connection: Connection) -> None:
    """As plan_steadily() does, but once for all transactions, which saves each a round trip; unless a pooler
    lets others use the session, too. (pg8000 can't tell.)
    """
    if connection.dialect.name == "postgresql" and "steady" not in connection.info:
        greeted = greeted_by(driver_of(connection))
        pid = connection.scalar(sa.select(sa.func.pg_backend_pid()))
        connection.info["steady"] = greeted == pid
        if greeted == pid:
            connection.execute(PLAN_ALWAYS)
        connection.commit()
