"""enqueue(session=...) joins the transactions of others: SQLAlchemy's, drivers', Django's, asyncio's."""

import asyncio
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
from jobs_for_tests import Line, Say, WriteLine, said
from psycopg.rows import dict_row
from psycopg2.extras import RealDictCursor
from sqlalchemy import Engine, NullPool, create_engine, event, make_url, select, text
from sqlalchemy.exc import DBAPIError, PendingRollbackError
from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session, create_async_engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from jobqueue import AlreadyQueued, DatabaseError, Queue, Worker
from jobqueue.tools.joining import through

pytest_plugins = ["queue_fixtures"]

ALONE = r"commit by itself \(AUTOCOMMIT\)"


def texts(queue: Queue) -> list[str]:
    """What is in the queue's jobs, in their order."""
    return [job.handler.rpartition(":")[2].strip('"}') for job in queue.jobs()]


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


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """The application's own engine."""
    engine = create_engine(database_url)
    yield engine
    engine.dispose()


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
    inline = open_queue(inline=True)
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


# ---- AUTOCOMMIT


def autocommitting(queue: Queue, url: str) -> Iterator[Any]:
    """Connections and sessions on which each statement commits by itself, by all the ways to have them so."""
    sqlite = url.startswith("sqlite")
    plain = create_engine(url, poolclass=NullPool)
    eager = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    option = {"isolation_level": None} if sqlite else {"autocommit": True}
    by_driver = create_engine(url, poolclass=NullPool, connect_args=option)
    by_event = create_engine(url, poolclass=NullPool)

    @event.listens_for(by_event, "connect")
    def set_it(driver: Any, _record: object) -> None:
        for name, value in option.items():
            setattr(driver, name, value)

    for engine in (eager, by_driver, by_event, plain.execution_options(isolation_level="AUTOCOMMIT")):
        with Session(engine) as session:
            yield session
        with engine.connect() as connection:
            yield connection
    with plain.connect() as connection:
        yield connection.execution_options(isolation_level="AUTOCOMMIT")
    driver = connect(url, **option)
    yield through(queue, driver)
    driver.close()


def test_a_session_in_autocommit_mode_is_refused(queue: Queue, database_url: str) -> None:
    """However that was set: the job would be there before the caller's commit, and after a rollback."""
    refused = 0
    for session in autocommitting(queue, database_url):
        for enqueue in (
            lambda: queue.enqueue(Say("hi"), session=session),  # noqa: B023 - called at once
            lambda: queue.enqueue_many([Say("hi")], session=session),  # noqa: B023
        ):
            with pytest.raises(DatabaseError, match=ALONE):
                enqueue()
            refused += 1
    assert refused == 20
    assert queue.jobs() == []


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


@pytest.mark.parametrize("given", ["create_engine()", "execution_options()"])
def test_an_engine_in_autocommit_mode_is_refused(given: str, database_url: str) -> None:
    """A claim and an outcome must be written in one transaction."""
    if given == "create_engine()":
        engine = create_engine(database_url, isolation_level="AUTOCOMMIT")
    else:
        engine = create_engine(database_url).execution_options(isolation_level="AUTOCOMMIT")
    with pytest.raises(DatabaseError, match=ALONE):
        Queue(engine)


def test_an_engine_whose_connections_autocommit_is_refused_at_its_first_transaction(
    postgres_database: str,
) -> None:
    """Only a connection shows it. (On SQLite the queue sets the mode of its own connections.)"""
    engine = create_engine(postgres_database, connect_args={"autocommit": True})
    queue = Queue(engine)
    with pytest.raises(DatabaseError, match=ALONE):
        queue.create_tables()
    with pytest.raises(DatabaseError, match=ALONE):
        Worker(queue).run()
    queue.close()
    engine.dispose()


# ---- another database


def test_a_session_of_another_database_is_refused(queue: Queue, database_url: str, tmp_path: Path) -> None:
    """Another file, another schema, another kind of database: the queue's worker would never see the job."""
    if database_url.startswith("sqlite"):
        others = [f"sqlite:///{tmp_path / 'other.db'}", "sqlite://"]
    else:
        # The same server and database, but not the same table.
        other = make_url(database_url).update_query_dict({"options": "-csearch_path=public"})
        others = [other.render_as_string(hide_password=False), f"sqlite:///{tmp_path / 'other.db'}"]
    for url in others:
        engine = create_engine(url, poolclass=NullPool)
        with Session(engine) as session, pytest.raises(DatabaseError, match="is not the queue's"):
            queue.enqueue(Say("hi"), session=session)
    driver = sqlite3.connect(tmp_path / "other.db")
    with pytest.raises(DatabaseError, match="is not the queue's"):
        queue.enqueue(Say("hi"), session=through(queue, driver))
    driver.close()
    assert queue.jobs() == []


def test_one_file_by_other_names_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative, through a symlink, as a URI, in a folder with a blank."""
    folder = tmp_path / "a folder"
    folder.mkdir()
    (tmp_path / "link").symlink_to(folder)
    monkeypatch.chdir(folder)
    quoted = str(folder / "x.db").replace(" ", "%20")
    names = [
        "x.db",
        f"{tmp_path}/link/x.db",
        f"{folder}/x.db",
        f"file:{quoted}?uri=true",
        "file:x.db?uri=true",
    ]
    for count, name in enumerate(names):
        queue = Queue(f"sqlite:///{name}")
        queue.create_tables()
        for other in names:
            with Session(create_engine(f"sqlite:///{other}", poolclass=NullPool)) as session:
                queue.enqueue(Say(name), session=session)
                session.commit()
        assert len(queue.jobs()) == (count + 1) * len(names)
        queue.close()


def test_a_session_that_translates_the_queues_schema_is_refused(queue: Queue, engine: Engine) -> None:
    """Its INSERT would go elsewhere. A map that leaves out the queue's schema is no trouble."""
    elsewhere = engine.execution_options(schema_translate_map={None: "elsewhere"})
    with Session(elsewhere) as session, pytest.raises(DatabaseError, match="schema_translate_map"):
        queue.enqueue(Say("hi"), session=session)
    with Session(engine) as session:
        session.connection(execution_options={"schema_translate_map": {None: "elsewhere"}})
        with pytest.raises(DatabaseError, match="schema_translate_map"):
            queue.enqueue(Say("hi"), session=session)
    if engine.dialect.name == "postgresql":  # there the queue itself would use the engine, with its map
        with pytest.raises(DatabaseError, match="schema_translate_map"):
            Queue(elsewhere)
        Queue(elsewhere, schema="own").close()
    with Session(engine.execution_options(schema_translate_map={"theirs": "tenant"})) as session:
        queue.enqueue(Say("hi"), session=session)
        session.commit()
    assert texts(queue) == ["hi"]


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


def test_a_database_is_asked_once_which_it_is(queue: Queue, engine: Engine) -> None:
    """The first enqueue on a foreign engine finds that out; later ones insert (on SQLite, after BEGIN)."""
    executed: list[str] = []

    def record(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if not statement.startswith("BEGIN"):
            executed.append(statement)

    event.listen(engine, "before_cursor_execute", record)
    for _ in range(3):
        with Session(engine) as session:
            queue.enqueue(Say("hi"), session=session)
            session.commit()
    assert len(executed) == 4
    assert sum("INSERT" in statement for statement in executed) == 3


def test_a_session_with_several_engines_uses_that_of_the_queues_table(
    queue: Queue, engine: Engine, tmp_path: Path
) -> None:
    """Without one it says what to do."""
    other = create_engine(f"sqlite:///{tmp_path / 'other.db'}", poolclass=NullPool)
    with Session(binds={Line: other, queue.tables.jobs: engine}) as session:
        queue.enqueue(Say("hi"), session=session)
        session.commit()
    with Session(other, binds={queue.tables.Job: engine}) as session:
        queue.enqueue(Say("ho"), session=session)
        session.commit()
    assert texts(queue) == ["hi", "ho"]
    advice = r"binds=\{..., queue.tables.jobs: engine\}"
    with Session(binds={Line: other}) as session, pytest.raises(DatabaseError, match=advice):
        queue.enqueue(Say("hi"), session=session)


def test_a_transaction_that_can_not_write_says_so(queue: Queue, engine: Engine, database_url: str) -> None:
    """One that has failed, or is read-only, is not mended by the queue."""
    with Session(engine) as session:
        session.add(Line(id=1, text="one"))
        session.flush()
        with pytest.raises(DBAPIError):
            session.execute(text("INSERT INTO lines (id, text) VALUES (1, 'two')"))
        if database_url.startswith("postgresql"):
            with pytest.raises(DBAPIError, match="current transaction is aborted"):
                queue.enqueue(Say("hi"), session=session)
        session.rollback()
        session.add_all([Line(id=1, text="one"), Line(id=1, text="two")])
        with pytest.raises(DBAPIError):
            session.flush()
        with pytest.raises(PendingRollbackError, match="rolled back due to a previous exception"):
            queue.enqueue(Say("hi"), session=session)
    with Session(engine) as session:
        read_only = "PRAGMA query_only = 1" if "sqlite" in database_url else "SET TRANSACTION READ ONLY"
        session.execute(text(read_only))
        with pytest.raises(DBAPIError, match=r"(attempt to write a readonly|in a read-only transaction)"):
            queue.enqueue(Say("hi"), session=session)
    assert queue.jobs() == []


# ---- wrong types


def test_a_session_of_a_wrong_type_is_refused_in_a_sentence(
    queue: Queue, engine: Engine, database_url: str, drivers: list[Any]
) -> None:
    """It says what to use instead, and shows no password."""
    wrong = [
        engine,
        sessionmaker(engine),
        scoped_session,
        database_url,
        queue,
        object(),
        7,
        drivers[0].cursor(),
    ]
    for session in wrong:
        with pytest.raises(TypeError) as error:
            queue.enqueue(Say("hi"), session=session)
        assert str(error.value).startswith("session must be an open Session or Connection of SQLAlchemy")
        assert f"not {type(session).__name__}. Leave it out" in str(error.value)
    assert queue.jobs() == []


# ---- asyncio


def asynchronous(url: str) -> Iterator[dict[str, Any]]:
    """What create_async_engine() needs to open the database, with each of its asynchronous drivers."""
    parsed = make_url(url)
    if url.startswith("sqlite"):
        yield {"url": parsed.set(drivername="sqlite+aiosqlite")}
        return
    yield {"url": parsed.set(drivername="postgresql+psycopg_async")}
    path = str(parsed.query["options"]).rpartition("=")[2]
    host = parsed.set(drivername="postgresql+asyncpg").difference_update_query(["options"])
    yield {"url": host, "connect_args": {"server_settings": {"search_path": path}}}


def test_a_job_joins_an_asynchronous_transaction(queue: Queue, database_url: str) -> None:
    """With each driver: AsyncSession and AsyncConnection, committed and rolled back."""

    async def enqueue(options: dict[str, Any], word: str, end: str) -> None:
        engine = create_async_engine(**options)
        async with AsyncSession(engine) as session:
            session.add(Line(text=word))
            await session.run_sync(lambda session: queue.enqueue(Say(word), session=session))
            await session.run_sync(lambda session: queue.enqueue_many([Say(word)] * 2, session=session))
            await getattr(session, end)()
        async with engine.connect() as connection:
            await connection.run_sync(lambda connection: queue.enqueue(Say(word), session=connection))
            await getattr(connection, end)()
        await engine.dispose()

    for options in asynchronous(database_url):
        asyncio.run(enqueue(options, "kept", "commit"))
        asyncio.run(enqueue(options, "lost", "rollback"))
        assert texts(queue) == ["kept"] * 4
        with queue.writer.begin() as connection:
            assert connection.scalars(select(Line.text)).all() == ["kept"]
            connection.execute(text("DELETE FROM lines"))
        queue.clear()


def test_an_asynchronous_session_in_autocommit_mode_is_refused(queue: Queue, database_url: str) -> None:
    """With each driver."""

    async def enqueue(options: dict[str, Any]) -> None:
        engine = create_async_engine(**options, isolation_level="AUTOCOMMIT")
        async with AsyncSession(engine) as session:
            with pytest.raises(DatabaseError, match=ALONE):
                await session.run_sync(lambda session: queue.enqueue(Say("hi"), session=session))
        await engine.dispose()

    for options in asynchronous(database_url):
        asyncio.run(enqueue(options))
    assert queue.jobs() == []


def test_an_asynchronous_session_is_told_the_way_that_works(queue: Queue, database_url: str) -> None:
    """AsyncSession, AsyncConnection, their engine, and the connections of asynchronous drivers."""

    async def enqueue(options: dict[str, Any]) -> None:
        engine = create_async_engine(**options)
        async with engine.connect() as connection, AsyncSession(engine) as session:
            advice = r"await session.run_sync\(lambda session: queue.enqueue\("
            for wrong in (session, connection, engine, async_scoped_session(session, str)):
                with pytest.raises(TypeError, match=advice):
                    queue.enqueue(Say("hi"), session=wrong)
            raw: Any = (await connection.get_raw_connection()).driver_connection
            with pytest.raises(TypeError, match=advice):
                through(queue, raw)
        await engine.dispose()

    for options in asynchronous(database_url):
        asyncio.run(enqueue(options))


def test_asynchronous_code_enqueues_in_a_thread(queue: Queue) -> None:
    """Without a session the call waits for a commit, so it must not run in the event loop."""

    async def enqueue() -> int:
        return await asyncio.to_thread(queue.enqueue, Say("hi"), priority=3)

    assert asyncio.run(enqueue()) == queue.jobs()[0].id


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
    with pytest.raises(DatabaseError, match=ALONE):
        queue.enqueue(Say("no transaction"), session=through(queue, django_connection))
    assert texts(queue) == ["first"]
    assert Worker(queue).work_off() == (1, 0)
    assert said == ["first"]
