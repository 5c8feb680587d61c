"""The queue's table with plain drivers: the limit that jobqueue is measured against.

Hand-written loops over sqlite3 and psycopg 3, on jobqueue's own table with its indexes, and as durable as
jobqueue: WAL and synchronous=FULL on SQLite, the defaults of PostgreSQL. They check nothing and perform no
job. Each returns the seconds that `count` jobs took.
"""

import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from time import perf_counter
from typing import Any

import psycopg
import sqlalchemy as sa

HANDLER = '{"job":"NoOp","arguments":{}}'
PLAIN_CHANNEL = "plain_jobs"
# How often an idle loop wakes: as often as jobqueue's watcher should. Its own constants are what is measured.
PLAIN_LOOK_SECONDS = 0.015
PLAIN_LISTEN_SECONDS = 0.2
COLUMNS = "(priority, handler, run_at, queue, max_attempts, created_at, updated_at)"
PLAIN_WORKER = "a hand-written loop"
ClaimedRows = list[tuple[int, str]]  # ids and handlers
Exchange = Callable[[ClaimedRows], ClaimedRows]

PICK = """SELECT id FROM jobs WHERE locked_by IS NULL AND failed_at IS NULL AND run_at <= {now}
    ORDER BY priority, run_at, id LIMIT {limit}"""
TAKE = "UPDATE jobs SET locked_at = {now}, locked_by = {worker}, attempts = attempts + 1, updated_at = {now}"

SQLITE_INSERT = f"INSERT INTO jobs {COLUMNS} VALUES (?, ?, ?, ?, ?, ?, ?)"
SQLITE_CLAIM = (
    f"{TAKE} WHERE id IN ({PICK}) RETURNING id, attempts, handler, max_attempts, max_run_time"
).format(now="?1", worker="?2", limit="?3")
POSTGRES_INSERT = f"INSERT INTO jobs {COLUMNS} VALUES (%s, %s, %s, %s, %s, %s, %s) RETURNING id"
# Finish the last jobs and claim the next in a single statement: one round trip, one transaction. The array
# keeps the planner from joining with the whole table, as it may when the ids come from a CTE.
POSTGRES_EXCHANGE = (
    "WITH done AS (DELETE FROM jobs WHERE id = ANY(%(done)s))"
    f" {TAKE} WHERE id = ANY(ARRAY({PICK} FOR UPDATE SKIP LOCKED))"
    " RETURNING id, attempts, handler, max_attempts, max_run_time"
).format(now="%(now)s", worker="%(worker)s", limit="%(limit)s")


def enqueue(url: str, count: int, autocommit: bool = False) -> float:
    """INSERT and COMMIT, `count` times; on PostgreSQL with `autocommit` the INSERT alone."""
    with _open(url) as connection:
        if isinstance(connection, sqlite3.Connection):
            start = perf_counter()
            for _ in range(count):
                connection.execute("BEGIN IMMEDIATE")
                connection.execute(SQLITE_INSERT, _row(_sqlite_now()))
                connection.execute("COMMIT")
        else:
            connection.autocommit = autocommit
            start = perf_counter()
            for _ in range(count):
                connection.execute(POSTGRES_INSERT, _row(datetime.now(UTC))).fetchone()
                connection.commit()
        return perf_counter() - start


def bulk(url: str, count: int) -> float:
    """All in one transaction: executemany on SQLite, COPY on PostgreSQL."""
    with _open(url) as connection:
        start = perf_counter()
        if isinstance(connection, sqlite3.Connection):
            now = _sqlite_now()
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(SQLITE_INSERT, (_row(now) for _ in range(count)))
            connection.execute("COMMIT")
        else:
            _copy(connection, (_row(datetime.now(UTC)) for _ in range(count)))
        return perf_counter() - start


def drain(url: str, count: int, batch: int) -> float:
    """Claim `batch` jobs, then delete those and claim the next in one transaction, until none is left.

    Timed like jobqueue: from the first claim on. Raises ValueError if the table did not hold `count` jobs.
    """
    with _open(url) as connection:
        if isinstance(connection, sqlite3.Connection):
            exchange = _sqlite_exchange(connection, batch)
        else:
            exchange = _postgres_exchange(connection, batch)
        claimed = exchange([])
        start, seen = perf_counter(), 0
        while claimed:
            seen += len(claimed)
            claimed = exchange(claimed)
        seconds = perf_counter() - start
    if seen != count:
        raise ValueError(f"{count} jobs should have been there, but {seen} were")
    return seconds


def send(url: str, handlers: Iterable[str]) -> None:
    """INSERT each handler and COMMIT; on PostgreSQL the transaction notifies `handlers_as_they_come`."""
    with _open(url) as connection:
        for handler in handlers:
            if isinstance(connection, sqlite3.Connection):
                connection.execute(SQLITE_INSERT, _row(_sqlite_now(), handler))
            else:
                with connection.transaction():
                    connection.execute(POSTGRES_INSERT, _row(datetime.now(UTC), handler))
                    connection.execute(f"NOTIFY {PLAIN_CHANNEL}")


def handlers_as_they_come(url: str) -> Iterator[str]:
    """Claim each new job, and delete it when the next is asked for; yields its handler. Never ends.

    It waits as jobqueue's watcher does: LISTEN on PostgreSQL, looks at data_version on SQLite.
    """
    with _open(url) as connection:
        if isinstance(connection, sqlite3.Connection):
            wake_ups, exchange = _sqlite_changes(connection), _sqlite_exchange(connection, 1)
        else:
            wake_ups, exchange = _notifications(url), _postgres_exchange(connection, 1)
        for _ in wake_ups:
            claimed = exchange([])
            while claimed:
                for _, handler in claimed:
                    yield handler
                claimed = exchange(claimed)


def _sqlite_changes(connection: sqlite3.Connection) -> Iterator[None]:
    seen = None
    while True:
        time.sleep(PLAIN_LOOK_SECONDS)
        version = connection.execute("PRAGMA data_version").fetchone()[0]
        if version != seen:
            seen = version
            yield


def _notifications(url: str) -> Iterator[None]:
    """On a connection of its own: one that claims meanwhile would lose some."""
    with psycopg.connect(postgres_dsn(url), autocommit=True) as connection:
        connection.execute(f"LISTEN {PLAIN_CHANNEL}")
        yield
        while True:
            if list(connection.notifies(timeout=PLAIN_LISTEN_SECONDS, stop_after=1)):
                yield


def postgres_dsn(url: str) -> str:
    """The same address as psycopg and libpq expect it."""
    return sa.make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def settle_postgres(url: str) -> None:
    """VACUUM, ANALYZE and CHECKPOINT a table just filled, so that none happens while the clock runs."""
    with psycopg.connect(postgres_dsn(url), autocommit=True) as connection:
        connection.execute("VACUUM (ANALYZE)")
        try:
            connection.execute("CHECKPOINT")
        except psycopg.errors.InsufficientPrivilege:  # not our server: it decides when
            return


def _open(url: str) -> Any:
    """A connection that closes with its `with` block."""
    if sa.make_url(url).get_backend_name() == "postgresql":
        return psycopg.connect(postgres_dsn(url), autocommit=True)
    connection = sqlite3.connect(
        sa.make_url(url).database or "", timeout=60, isolation_level=None, factory=_Closing
    )
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    return connection


class _Closing(sqlite3.Connection):
    """Closes at the end of a `with` block; sqlite3's own only commits."""

    def __exit__(self, *_: object) -> None:  # type: ignore[override]
        self.close()


def _row(now: object, handler: str = HANDLER) -> tuple[object, ...]:
    return 0, handler, now, "default", 25, now, now


def _sqlite_now() -> str:
    """The current time as jobqueue stores it: UTC, without an offset."""
    return datetime.now(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")


def _copy(connection: psycopg.Connection[Any], rows: Iterable[tuple[object, ...]]) -> None:
    with connection.cursor() as cursor, cursor.copy(f"COPY jobs {COLUMNS} FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)


def _sqlite_exchange(connection: sqlite3.Connection, batch: int) -> Exchange:
    def exchange(done: ClaimedRows) -> ClaimedRows:
        connection.execute("BEGIN IMMEDIATE")
        if done:
            ids = [id for id, _ in done]
            connection.execute(f"DELETE FROM jobs WHERE id IN ({','.join('?' * len(done))})", ids)
        rows = connection.execute(SQLITE_CLAIM, (_sqlite_now(), PLAIN_WORKER, batch)).fetchall()
        connection.execute("COMMIT")
        return [(row[0], row[2]) for row in rows]

    return exchange


def _postgres_exchange(connection: psycopg.Connection[Any], batch: int) -> Exchange:
    def exchange(done: ClaimedRows) -> ClaimedRows:
        values = {
            "done": [id for id, _ in done],
            "now": datetime.now(UTC),
            "worker": PLAIN_WORKER,
            "limit": batch,
        }
        rows = connection.execute(POSTGRES_EXCHANGE, values, prepare=True).fetchall()
        return [(row[0], row[2]) for row in rows]

    return exchange
