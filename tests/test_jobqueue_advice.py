"""Errors of the database say what to do about them, wherever the queue meets them."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from jobs_for_tests import Say
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import Session

from jobqueue import Queue, Worker, sqlite
from jobqueue.database import complaint

pytest_plugins = ["queue_fixtures"]

MIGRATE = r"made, and brought up to date, by queue.create_tables\(\) or jobqueue migrate"


def uses(queue: Queue) -> list[Callable[[], Any]]:
    """All that can be done with a queue."""
    return [
        partial(queue.enqueue, Say("hi")),
        partial(queue.enqueue, Say("hi"), unique_key="hi"),
        partial(queue.enqueue_many, [Say("hi")] * 2),
        queue.jobs,
        partial(queue.get, 1),
        partial(queue.retry, 1),
        partial(queue.delete, 1),
        partial(queue.pause, "mail"),
        partial(queue.resume, "mail"),
        queue.clear,
        Worker(queue).work_off,
    ]


@pytest.mark.parametrize("kind", ["URL", "psycopg2", "Engine"])
def test_missing_tables_name_what_makes_them(database_url: str, kind: str) -> None:
    """Whatever is asked of the queue, and by whatever connection."""
    if kind == "psycopg2" and database_url.startswith("sqlite"):
        pytest.skip("SQLite has one driver")
    engine = create_engine(
        make_url(database_url).set(drivername=f"postgresql+{kind}") if kind == "psycopg2" else database_url
    )
    queue = Queue(database_url if kind == "URL" else engine)
    for use in uses(queue):
        with pytest.raises(DBAPIError, match=MIGRATE) as error:
            use()
        assert "or jobqueue migrate" in str(error.value).splitlines()[0]
        assert "or jobqueue migrate" in complaint(error.value)
    with Session(engine) as session, pytest.raises(DBAPIError, match=MIGRATE):
        queue.enqueue(Say("hi"), session=session)
    queue.close()
    engine.dispose()


def test_tables_of_an_older_release_name_what_brings_them_up_to_date(queue: Queue) -> None:
    """A column is missing."""
    with queue.writer.begin() as connection:
        connection.execute(text("ALTER TABLE jobs DROP COLUMN unique_until"))
    for use in (partial(queue.enqueue, Say("hi")), queue.jobs):
        with pytest.raises(DBAPIError, match=MIGRATE):
            use()
    queue.create_tables()
    assert queue.enqueue(Say("hi")) > 0


@pytest.mark.parametrize("statement", ["SELECT 1 WHERE", "SELECT * FROM nowhere"])
def test_an_error_without_advice_is_left_as_it_is(queue: Queue, statement: str) -> None:
    """Nothing is added, for instance to what a job's session says of tables that are not the queue's."""
    with queue.engine.connect() as connection, pytest.raises(DBAPIError) as error:
        connection.execute(text(statement))
    assert complaint(error.value) == " ".join(str(error.value.orig).split())


def test_who_holds_sqlites_lock_himself_is_told_to_pass_his_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The queue would wait for the caller, who waits for the queue."""
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_MS", 50)
    queue = Queue(f"sqlite:///{tmp_path / 'test.db'}")
    queue.create_tables()
    engine = create_engine(queue.engine.url)
    with Session(engine) as session:
        session.execute(text("CREATE TABLE customers (name TEXT)"))
        session.execute(text("INSERT INTO customers (name) VALUES ('Ada')"))
        with pytest.raises(OperationalError, match=r"pass its session: enqueue\(job, session=s") as error:
            queue.enqueue(Say("hi"))
        queue.enqueue(Say("hi"), session=session)
        session.commit()
    assert complaint(error.value).startswith(
        "database is locked. If a transaction of your own holds the lock,"
    )
    assert len(queue.jobs()) == 1
    queue.close()
    engine.dispose()


def test_a_file_that_can_not_be_written_says_what_sqlite_needs(tmp_path: Path) -> None:
    """As in a file system that is mounted read-only, or without its folder."""
    path = tmp_path / "test.db"
    there = Queue(f"sqlite:///{path}")
    there.create_tables()
    there.close()
    read_only = Queue(f"sqlite:///file:{path}?mode=ro&uri=true")
    nowhere = Queue(f"sqlite:///{tmp_path}/nowhere/test.db")
    for use in (
        partial(read_only.enqueue, Say("hi")),
        read_only.clear,
        Worker(nowhere).work_off,
        nowhere.create_tables,
    ):
        with pytest.raises(
            OperationalError, match="write to the database's file and to its folder, which must ex"
        ):
            use()
    read_only.close()
    nowhere.close()
