"""The queue meets drivers and engines that it did not choose: it works with them, or says what to do."""

import re
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from conftest import administer, wait_until
from jobs_for_tests import Line, Say, WriteLine, call_with_session, said
from sqlalchemy import create_engine, event, make_url, select, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from jobqueue import DatabaseError, Queue, Worker
from jobqueue.tools.cli import main

pytest_plugins = ["queue_fixtures"]
RunWorker = Callable[..., Any]
EXTRA = "(the extra [postgresql])"


@pytest.fixture
def small(queue: Queue, database_url: str) -> Iterator[Queue]:
    """A queue on an engine whose pool has one connection, for which nobody waits long."""
    engine = create_engine(database_url, pool_size=1, max_overflow=0, pool_timeout=0.5)
    small = Queue(engine)
    yield small
    small.close()
    engine.dispose()


# ---- PostgreSQL's drivers


def test_with_psycopg2_a_worker_polls(
    postgres_database: str, run_worker: RunWorker, caplog: pytest.LogCaptureFixture
) -> None:
    """Its `notifies` is a list. One line says so, not one a second; jobs are found all the same."""
    said.clear()
    for database in (
        make_url(postgres_database).set(drivername="postgresql+psycopg2"),
        create_engine(make_url(postgres_database).set(drivername="postgresql+psycopg2")),
    ):
        caplog.clear()
        queue = Queue(database)
        queue.create_tables()
        running = run_worker(queue, poll_interval=3600.0)
        for word in ("one", "two"):
            queue.enqueue(Say(word))
            queue.enqueue_many([Say(word)])
            wait_until(lambda: said.count(word) == 2, "the jobs")  # noqa: B023 - called at once
        said.clear()
        running.stop()
        running.wait()
        assert [record.getMessage() for record in caplog.records if record.levelname != "INFO"] == [
            "not notified of new jobs, polling every 0.15 seconds:"
            " the driver is psycopg2, and only psycopg 3 notifies"
        ]
        queue.close()


def test_a_url_as_heroku_writes_it_is_accepted(postgres_database: str) -> None:
    """postgres:// is postgresql:// with psycopg 3."""
    queue = Queue(postgres_database.replace("postgresql+psycopg://", "postgres://"))
    queue.create_tables()
    assert (queue.enqueue(Say("hi")), queue.engine.driver) == (1, "psycopg")
    queue.close()


def test_an_asynchronous_driver_has_a_twin(database_url: str) -> None:
    """A URL or an AsyncEngine for asyncio is opened with the usual driver."""
    backend = "sqlite" if database_url.startswith("sqlite") else "postgresql"
    for driver in ("aiosqlite",) if backend == "sqlite" else ("asyncpg", "psycopg_async"):
        url = make_url(database_url).set(drivername=f"{backend}+{driver}")
        engine = create_async_engine(url)
        for database in (url, url.render_as_string(hide_password=False), engine, engine.sync_engine):
            queue = Queue(database)
            queue.create_tables()
            queue.enqueue(Say("hi"))
            assert not queue.engine.dialect.is_async
            queue.close()


@pytest.mark.parametrize("url", ["postgresql://h/x", "postgres://h/x", "postgresql+asyncpg://h/x"])
def test_a_missing_driver_is_named_with_its_extra_on_every_path(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Queue(), and the commands that open one."""
    for driver in ("psycopg", "psycopg2"):
        monkeypatch.setitem(sys.modules, driver, None)  # as if it were not installed
    with pytest.raises(DatabaseError, match=re.escape(EXTRA)):
        Queue(url)
    for command in (["work"], ["migrate"], ["stats"], ["doctor"]):
        assert main([*command, "--database", url]) == 2
        assert EXTRA in capsys.readouterr().err


# ---- engines


def test_what_opens_an_engines_connections_opens_the_queues(tmp_path: Path) -> None:
    """On SQLite, where the queue has its own: arguments, a creator, and listeners, all of them."""
    path = str(tmp_path / "test.db")
    opened: list[str] = []

    class Own(sqlite3.Connection):
        """What the creator, or connect_args, make."""

    def creator() -> sqlite3.Connection:
        opened.append("creator")
        return sqlite3.connect(path, factory=Own, check_same_thread=False)

    for engine in (
        create_engine("sqlite://", creator=creator),
        create_engine(f"sqlite:///{path}", creator=creator),
        create_engine(f"sqlite:///{path}", connect_args={"factory": Own}),
        create_engine(f"sqlite:///{path}", connect_args={"factory": Own}, pool_size=1, max_overflow=0),
        create_engine(f"sqlite:///{path}", connect_args={"factory": Own}, poolclass=NullPool),
    ):

        @event.listens_for(engine, "connect")
        def define(driver: Any, _record: object) -> None:
            driver.create_function("answer", 0, lambda: 42)

        queue = Queue(engine)
        queue.create_tables()
        with engine.connect(), Session(queue.writer) as session:  # the engine's only connection is in use
            assert session.scalar(text("SELECT answer()")) == 42
            assert isinstance(session.connection().connection.dbapi_connection, Own)
            assert session.scalar(text("PRAGMA synchronous")) == 2
        queue.enqueue(Say("hi"))
        with Session(engine) as session:
            queue.enqueue(Say("hi"), session=session)
            session.commit()
        assert Worker(queue).work_off() == (2, 0)
        queue.close()
        engine.dispose()
    assert len(opened) >= 4


def test_an_engine_in_memory_is_refused() -> None:
    """Also if its connections come from a creator."""
    for engine in (
        create_engine("sqlite://"),
        create_engine("sqlite://", creator=lambda: sqlite3.connect(":memory:")),
    ):
        with pytest.raises(DatabaseError, match="in memory only one connection sees a queue"):
            Queue(engine)
        engine.dispose()


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///:memory:", "sqlite://jobs.db", "sqlite://folder/jobs.db"]
)
def test_an_sqlite_url_needs_three_slashes(url: str) -> None:
    """After two of them stands a host, which a file has not."""
    with pytest.raises(
        DatabaseError, match=r"^sqlite://.* names no file, .* after three slashes, as in sqlite:///j"
    ):
        Queue(url)


@pytest.mark.parametrize("threads", [1, 4])
def test_a_pool_of_one_connection_is_enough(small: Queue, run_worker: RunWorker, threads: int) -> None:
    """The worker's connections are not counted; the jobs with sessions take turns."""
    running = run_worker(small, threads=threads)
    small.enqueue_many([WriteLine(str(n)) for n in range(20)])
    wait_until(lambda: not small.jobs(), "all jobs")
    with Session(small.engine) as session:
        assert len(session.scalars(select(Line)).all()) == 20
    running.stop()
    running.wait()
    assert running.lines[-1].startswith("*** Exiting job worker")


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_worker_works_on_while_a_job_holds_the_only_connection(
    small: Queue, run_worker: RunWorker, caplog: pytest.LogCaptureFixture
) -> None:
    """With its other threads; it says nothing. (On SQLite such a job holds the only write lock.)"""
    done: list[str] = []

    def hold(session: Session) -> None:
        session.execute(text("SELECT 1"))
        wait_until(lambda: "hi" in said, "another job")
        done.append("held")

    small.enqueue(call_with_session(hold))
    running = run_worker(small, threads=2)
    wait_until(lambda: not small.engine.pool.checkedin(), "the job")  # type: ignore[attr-defined]
    with closing(Queue(small.engine.url)) as other:
        other.enqueue(Say("hi"))
        wait_until(lambda: done and not other.jobs(), "the end of both jobs")
    running.stop()
    running.wait()
    assert "did not answer" not in caplog.text
    assert "row was not written" not in caplog.text


# ---- time zones


@pytest.mark.parametrize("zone", ["America/New_York", "Pacific/Kiritimati", "UTC"])
def test_the_sessions_time_zone_does_not_matter(postgres_database: str, zone: str) -> None:
    """The first and the last moments can be read, by a worker on the queue's own or a given engine. The last
    makes no sense.
    """
    name = make_url(postgres_database).database
    administer(postgres_database, f"ALTER DATABASE {name} SET TimeZone = '{zone}'")
    moments = "0001-01-04 00:00:00+00", "9999-12-31 23:59:59+00"  # only others write such
    engine = create_engine(postgres_database)
    queues = [Queue(postgres_database), Queue(engine)]
    try:
        for queue in queues:
            queue.create_tables()
            with queue.writer.begin() as connection:
                for moment in moments:
                    id = queue.enqueue(Say(moment), session=connection)
                    connection.execute(text(f"UPDATE jobs SET run_at = '{moment}' WHERE id = {id}"))
            worker = Worker(queue)
            assert worker.work_off() == (1, 1)
            assert [job.state for job in queues[0].jobs()] == ["failed"]
            queue.clear()
    finally:
        for queue in queues:
            queue.close()
        engine.dispose()
        administer(postgres_database, f"ALTER DATABASE {name} RESET TimeZone")
