"""How the queue opens its database and creates its tables."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jobs_for_tests import Say
from sqlalchemy import Engine, create_engine, event, inspect
from sqlalchemy.exc import OperationalError

from jobqueue import DatabaseError, Queue, Worker, sqlite

pytest_plugins = ["queue_fixtures"]

CREATE_TABLES = """
import sys
from jobqueue import Queue
queue = Queue(sys.argv[1])
input(">")
queue.create_tables()
"""


@pytest.mark.live
def test_tables_are_created_once_by_whoever_is_first(
    database_url: str, at_once: Callable[..., list[str]]
) -> None:
    """Web processes and workers start together, each creates the tables, and none fails."""
    at_once(3, CREATE_TABLES, database_url)
    queue = Queue(database_url)
    queue.create_tables()  # a second call does nothing
    assert queue.jobs() == []
    assert sorted(inspect(queue.engine).get_table_names()) == ["job_pauses", "job_workers", "jobs"]
    assert {index["name"] for index in inspect(queue.engine).get_indexes("jobs")} == {
        "jobs_waiting",
        "jobs_waiting_by_queue",
        "jobs_running",
        "jobs_unique_key",
    }
    queue.close()


def test_an_sqlite_queue_is_durable_and_shared(tmp_path: Path) -> None:
    """With WAL, readers and the writer don't wait for one another; with FULL, commits survive a power cut."""
    queue = Queue(f"sqlite:///{tmp_path / 'test.db'}")
    with queue.writer.begin() as connection:
        settings = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "busy_timeout", "foreign_keys")
        }
    queue.close()
    assert settings == {"journal_mode": "wal", "synchronous": 2, "busy_timeout": 15_000, "foreign_keys": 1}


@pytest.mark.parametrize("drivers", [["psycopg", "psycopg2"], ["psycopg2"]])
def test_a_missing_driver_is_named_with_what_installs_it(
    drivers: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever is missing: of psycopg 3 alone no other is asked for."""
    for driver in drivers:
        monkeypatch.setitem(sys.modules, driver, None)  # as if it were not installed
    if "psycopg" in drivers:
        with pytest.raises(DatabaseError, match=r"'psycopg\[binary\]' \(the extra \[postgresql\]\)"):
            Queue("postgresql://h/x")
    else:
        assert Queue("postgresql://h/x").engine.driver == "psycopg"


def test_only_a_busy_database_is_waited_for(tmp_path: Path) -> None:
    """Any other error at BEGIN is raised at once, as SQLAlchemy's own."""
    queue = Queue(f"sqlite:///{tmp_path / 'test.db'}")
    with queue.writer.connect() as connection:
        dbapi_connection: Any = connection.connection.dbapi_connection
        dbapi_connection.execute("BEGIN")
        with pytest.raises(OperationalError, match="cannot start a transaction within a transaction"):
            connection.begin()
    queue.close()


def test_tables_that_are_there_are_left_without_waiting(tmp_path: Path) -> None:
    """A crowd of workers that start together must not queue for SQLite's write lock to find nothing to do."""
    queue = Queue(f"sqlite:///{tmp_path / 'test.db'}")
    queue.create_tables()
    with queue.writer.begin():
        Queue(queue.engine.url).create_tables()
    queue.close()


def test_a_writer_asks_for_the_lock_often_at_first_and_then_less(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crowd that asked every millisecond would leave no processor to the one that has the lock."""
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_MS", 1000)
    queue = Queue(f"sqlite:///{tmp_path / 'test.db'}")
    with queue.writer.begin(), queue.writer.connect() as waiting:
        asked: list[float] = []
        driver: Any = waiting.connection.dbapi_connection
        driver.set_trace_callback(lambda sql: asked.append(time.monotonic()) if "IMMEDIATE" in sql else None)
        with pytest.raises(OperationalError, match="database is locked"):
            waiting.begin()
    assert 3 < len(asked) < 150  # of 1,000 milliseconds
    assert asked[2] - asked[0] < asked[-1] - asked[-3]
    queue.close()


def test_an_engine_for_sqlite_is_left_as_it_is(tmp_path: Path) -> None:
    """The queue opens its own connections to the same file, since the application's may lack the settings."""
    engine = create_engine(f"sqlite:///{tmp_path / 'test.db'}")
    queue = Queue(engine)
    queue.create_tables()
    assert queue.engine is not engine
    with engine.connect() as connection:
        assert sorted(inspect(connection).get_table_names()) == ["job_pauses", "job_workers", "jobs"]
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 5_000
    engine.dispose()
    queue.close()


def test_an_engine_for_postgresql_shares_its_pool(postgres_database: str) -> None:
    """No other pool is opened."""
    engine = create_engine(postgres_database)
    assert Queue(engine).engine.pool is engine.pool
    engine.dispose()


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite:///file:x?mode=memory&uri=true"]
)
def test_a_queue_in_sqlites_memory_is_refused(url: str) -> None:
    """Its jobs would be invisible to every other thread and process."""
    with pytest.raises(
        DatabaseError, match=r"names no file, .* name one after three slashes, as in sqlite:///jobs.db"
    ):
        Queue(url)


@pytest.mark.parametrize(
    ("database", "message"),
    [
        ("jobs.db", "'jobs.db' is not a database URL; use, for example, sqlite:///jobs.db"),
        ("mysql+pymysql://h/x", "A queue needs SQLite or PostgreSQL, not mysql"),
        ("oracle://h/x", "A queue needs SQLite or PostgreSQL, not oracle"),
    ],
)
def test_other_databases_are_refused(database: str, message: str) -> None:
    """The error comes before any connection is made, and says what is supported."""
    with pytest.raises(DatabaseError, match=message):
        Queue(database)


def test_a_queue_shows_its_database_and_hides_the_password() -> None:
    """Its repr ends up in logs."""
    assert repr(Queue("postgresql+psycopg://ada:secret@127.0.0.1/x")) == (
        "<Queue postgresql+psycopg://ada:***@127.0.0.1/x>"
    )


def test_a_closed_queue_opens_again(database_url: str) -> None:
    """close() releases connections, for instance before a fork; the next use opens new ones."""
    queue = Queue(database_url)
    queue.create_tables()
    queue.close()
    assert isinstance(queue.engine, Engine) and queue.jobs() == []
    queue.close()


def test_a_workers_own_connection_is_set_up_once_and_others_are_left_alone(postgres_database: str) -> None:
    """Its settings cost a round trip a connection, not one a transaction."""
    engine = create_engine(postgres_database)
    statements: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda _c, _cursor, text, *_: statements.append(text))
    queue = Queue(engine)
    queue.create_tables()
    queue.enqueue_many(Say(text) for text in "abc")
    assert Worker(queue).work_off() == (3, 0)
    assert len([text for text in statements if "set_config" in text]) == 1
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SHOW enable_seqscan").scalar() == "on"
    engine.dispose()
