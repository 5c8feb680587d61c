"""through() joins the transactions of connections that SQLAlchemy did not open: drivers', and Django's."""

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import django
import psycopg
import psycopg2
import pytest
from django.conf import settings
from django.test.utils import override_settings
from jobs_for_tests import Line, Say, WriteLine, said, texts
from psycopg.rows import dict_row
from psycopg2.extras import RealDictCursor
from sqlalchemy import Engine, create_engine, event, make_url, select

from jobqueue import AlreadyQueued, DatabaseError, Queue, Worker
from jobqueue.tools.inline import InlineQueue
from jobqueue.tools.joining import through

pytest_plugins = ["queue_fixtures"]

ALONE = r"commit by itself \(AUTOCOMMIT\)"


def libpq(url: str) -> str:
    """The URL as libpq wants it."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def connect(url: str, **options: Any) -> Any:
    """A connection of the usual driver."""
    if url.startswith("sqlite"):
        return sqlite3.connect(str(make_url(url).database), **options)
    return psycopg.connect(libpq(url), **options)


@pytest.fixture
def drivers(queue: Queue, database_url: str) -> Iterator[list[Any]]:
    """Connections of each driver that can be joined, to the queue's database."""
    connections = [connect(database_url)]
    if database_url.startswith("postgresql"):
        connections.append(psycopg2.connect(libpq(database_url)))
    yield connections
    for connection in connections:
        connection.close()


# ---- connections of drivers


def test_a_job_joins_the_transaction_of_a_drivers_connection(queue: Queue, drivers: list[Any]) -> None:
    """The caller's data and jobs commit together or not at all; the queue ends no transaction."""
    for driver in drivers:
        cursor = driver.cursor()
        for word, end in (("lost", driver.rollback), ("kept", driver.commit)):
            cursor.execute(f"INSERT INTO lines (text) VALUES ('{word}')")
            assert queue.enqueue(Say(word), session=through(queue, driver)) > 0
            assert queue.enqueue_many([Say(word), Say(word)], session=through(queue, driver)) == 2
            assert queue.enqueue(Say(word), session=through(queue, driver), unique_key=word) > 0
            with pytest.raises(AlreadyQueued):
                queue.enqueue(Say(word), session=through(queue, driver), unique_key=word)
            end()
        assert texts(queue) == ["kept"] * 4
        with queue.engine.connect() as connection:
            assert connection.scalars(select(Line.text)).all() == ["kept"]
        assert Worker(queue).work_off() == (4, 0)
        cursor.execute("DELETE FROM lines")
        driver.commit()


def test_the_drivers_connection_is_left_as_it_was(queue: Queue, drivers: list[Any]) -> None:
    """The queue neither closes it nor changes a setting, also when a statement of its own fails."""
    for driver in drivers:
        before = (
            driver.isolation_level,
            getattr(driver, "autocommit", None),
            getattr(driver, "row_factory", 0),
        )
        cursor = driver.cursor()
        cursor.execute("INSERT INTO lines (text) VALUES ('one')")
        queue.enqueue(Say("one"), session=through(queue, driver))
        cursor.execute("ALTER TABLE jobs RENAME TO hidden")
        with pytest.raises(Exception, match=r"(no such table|does not exist|schema, is not the queue's)"):
            queue.enqueue(Say("two"), session=through(queue, driver))
        driver.rollback()
        cursor.execute("SELECT count(*) FROM lines")
        assert cursor.fetchone()[0] == 0
        driver.rollback()
        after = (
            driver.isolation_level,
            getattr(driver, "autocommit", None),
            getattr(driver, "row_factory", 0),
        )
        assert after == before
    assert queue.jobs() == []


def test_a_raw_connection_of_an_engine_is_one_of_its_driver(queue: Queue, engine: Engine) -> None:
    """SQLAlchemy's wrapper around it is seen through."""
    raw = engine.raw_connection()
    queue.enqueue(Say("hi"), session=through(queue, raw))
    raw.commit()
    raw.close()
    assert texts(queue) == ["hi"]


def test_a_job_of_an_inline_queue_joins_a_drivers_transaction(
    open_queue: Callable[..., Queue], drivers: list[Any]
) -> None:
    """What the job writes is rolled back with the caller's data."""
    inline = open_queue(InlineQueue)
    for driver in drivers:
        cursor = driver.cursor()
        inline.enqueue(WriteLine("the job's"), session=through(inline, driver))
        cursor.execute("SELECT count(*) FROM lines")
        assert cursor.fetchone()[0] == 1
        driver.rollback()
        cursor.execute("SELECT count(*) FROM lines")
        assert cursor.fetchone()[0] == 0
        driver.rollback()


def test_a_connection_may_make_what_it_likes_of_its_rows(queue: Queue, database_url: str) -> None:
    """Dicts, for example: by row_factory, or by psycopg2's cursor_factory. It goes on doing so."""
    if database_url.startswith("sqlite"):
        connections = [connect(database_url), connect(database_url)]
        connections[0].row_factory = sqlite3.Row
        connections[1].row_factory = lambda cursor, row: {
            column[0]: value for column, value in zip(cursor.description, row, strict=True)
        }
        connections[1].text_factory = bytes
    else:
        connections = [
            connect(database_url, row_factory=dict_row),
            psycopg2.connect(libpq(database_url), cursor_factory=RealDictCursor),
        ]
    for number, driver in enumerate(connections, 1):
        session, key = through(queue, driver), str(number)
        id = queue.enqueue(Say("hi"), session=session, unique_key=key)
        assert queue.enqueue(Say("hi"), session=session, unique_key=key, if_queued="keep") == id
        assert queue.enqueue_many([Say("ho")], session=through(queue, driver)) == 1
        assert queue.retry(id, session=through(queue, driver))
        assert queue.get(id, session=through(queue, driver)).id == id
        cursor = driver.cursor()
        cursor.execute("SELECT 7 AS seven")
        assert cursor.fetchone()["seven"] == 7
        driver.commit()
        driver.close()
        assert len(queue.jobs()) == 2 * number


def test_a_raw_connection_may_be_the_pools_only_one(queue: Queue, database_url: str) -> None:
    """Nothing waits for a second one. Of each new connection one question is asked, and of the pool none."""
    engine = create_engine(database_url, pool_size=1, max_overflow=0, pool_timeout=0.1)
    own = Queue(engine)
    opened: list[object] = []
    event.listen(engine, "connect", lambda *args: opened.append(args))
    for _ in range(3):
        raw = engine.raw_connection()
        own.enqueue(Say("hi"), session=through(own, raw))
        raw.commit()
        raw.invalidate()
    engine.dispose()
    own.close()
    assert len(queue.jobs()) == 3
    assert len(opened) == 4  # once, the queue asks where it is itself


def test_a_transaction_begun_by_hand_is_joined(queue: Queue, database_url: str) -> None:
    """The mode does not matter inside a transaction: on SQLite it is the usual recipe to set it."""
    sqlite = database_url.startswith("sqlite")
    driver = connect(database_url, **({"isolation_level": None} if sqlite else {"autocommit": True}))
    for end in ("ROLLBACK", "COMMIT"):
        driver.execute("BEGIN")
        queue.enqueue(Say(end), session=through(queue, driver))
        driver.execute(end)
    driver.close()
    assert texts(queue) == ["COMMIT"]


def test_a_drivers_connection_that_commits_by_itself_is_refused(queue: Queue, database_url: str) -> None:
    """As a session that does is."""
    sqlite = database_url.startswith("sqlite")
    driver = connect(database_url, **({"isolation_level": None} if sqlite else {"autocommit": True}))
    with pytest.raises(DatabaseError, match=ALONE):
        queue.enqueue(Say("hi"), session=through(queue, driver))
    driver.close()
    assert queue.jobs() == []


def test_a_connection_to_another_database_is_refused(queue: Queue, tmp_path: Path) -> None:
    """No worker would see the job."""
    driver = sqlite3.connect(tmp_path / "other.db")
    with pytest.raises(DatabaseError, match="is not the queue's"):
        queue.enqueue(Say("hi"), session=through(queue, driver))
    driver.close()


def test_a_drivers_connection_is_no_session(queue: Queue, drivers: list[Any]) -> None:
    """Its whole name is told, since a Connection is what is wanted."""
    for driver in (*drivers, drivers[0].cursor()):
        with pytest.raises(TypeError) as error:
            queue.enqueue(Say("hi"), session=driver)
        assert f"not {type(driver)}. Leave it out" in str(error.value)
        assert "becomes one by through(queue, connection)" in str(error.value)


# ---- Django


@pytest.fixture(scope="session")
def django_is_set_up() -> None:
    settings.configure(DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}})
    django.setup()


@pytest.fixture(params=[True, False])
def django_connection(
    request: pytest.FixtureRequest, django_is_set_up: None, queue: Queue, database_url: str
) -> Iterator[Any]:
    """A connection of Django's to the queue's database, with each value of its setting USE_TZ."""
    from django.db import connections

    url = make_url(database_url)
    if database_url.startswith("sqlite"):
        options = {"ENGINE": "django.db.backends.sqlite3", "NAME": url.database}
    else:
        options = {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": url.database,
            "USER": url.username,
            "HOST": url.query["host"],
            "OPTIONS": {"options": url.query["options"]},
        }
    connections.settings["queue"] = connections.settings["default"] | options
    with override_settings(USE_TZ=request.param):
        yield connections["queue"]
        connections["queue"].close()
    del connections["queue"]


def test_a_job_joins_a_django_transaction(queue: Queue, django_connection: Any) -> None:
    """Inside atomic(), also a nested one; outside, where Django commits each statement, it is refused."""
    from django.db import transaction

    class Broken(Exception): ...

    with transaction.atomic("queue"):
        queue.enqueue(Say("first"), session=through(queue, django_connection))
        with pytest.raises(Broken), transaction.atomic("queue"):
            queue.enqueue(Say("inner"), session=through(queue, django_connection))
            raise Broken
        with django_connection.cursor() as cursor:
            cursor.execute("INSERT INTO lines (text) VALUES ('one')")
    with pytest.raises(Broken), transaction.atomic("queue"):
        queue.enqueue(Say("outer"), session=through(queue, django_connection))
        raise Broken
    with pytest.raises(DatabaseError, match=rf"{ALONE}.*in Django: transaction.atomic\(\)"):
        queue.enqueue(Say("no transaction"), session=through(queue, django_connection))
    assert texts(queue) == ["first"]
    assert Worker(queue).work_off() == (1, 0)
    assert said == ["first"]
