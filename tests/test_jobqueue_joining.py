"""enqueue(session=...) joins the transaction of SQLAlchemy's sessions and connections, also from asyncio."""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from jobs_for_tests import Line, Say, texts
from sqlalchemy import Engine, NullPool, create_engine, event, make_url, select, text
from sqlalchemy.exc import DBAPIError, PendingRollbackError
from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session, create_async_engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from jobqueue import DatabaseError, Queue, Worker
from jobqueue.tools.joining import through

pytest_plugins = ["queue_fixtures"]

ALONE = r"commit by itself \(AUTOCOMMIT\)"


# ---- AUTOCOMMIT


def autocommitting(url: str) -> Iterator[Any]:
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


def test_a_session_in_autocommit_mode_is_refused(queue: Queue, database_url: str) -> None:
    """However that was set: the job would be there before the caller's commit, and after a rollback."""
    refused = 0
    for session in autocommitting(database_url):
        for enqueue in (
            lambda: queue.enqueue(Say("hi"), session=session),  # noqa: B023 - called at once
            lambda: queue.enqueue_many([Say("hi")], session=session),  # noqa: B023
        ):
            with pytest.raises(DatabaseError, match=ALONE):
                enqueue()
            refused += 1
    assert refused == 18
    assert queue.jobs() == []


@pytest.mark.parametrize("given", ["connect_args", "create_engine()", "execution_options()"])
def test_an_engine_in_autocommit_mode_is_refused_at_its_first_transaction(
    given: str, postgres_database: str
) -> None:
    """A claim and an outcome must be written in one transaction. Only a connection shows whether they are.
    (On SQLite the queue sets the mode of its own connections.)
    """
    engine = create_engine(postgres_database)
    if given == "connect_args":
        engine = create_engine(postgres_database, connect_args={"autocommit": True})
    elif given == "create_engine()":
        engine = create_engine(postgres_database, isolation_level="AUTOCOMMIT")
    else:
        engine = engine.execution_options(isolation_level="AUTOCOMMIT")
    queue = Queue(engine)
    with pytest.raises(DatabaseError, match=ALONE):
        queue.create_tables()
    with pytest.raises(DatabaseError, match=ALONE):
        queue.enqueue(Say("hi"))
    with pytest.raises(DatabaseError, match=ALONE):
        Worker(queue).run()
    queue.close()
    engine.dispose()


def test_a_worker_uses_an_engine_with_another_isolation_level(queue: Queue, engine: Engine) -> None:
    """However that was set."""
    for level in ("SERIALIZABLE", "READ UNCOMMITTED"):
        with closing(Queue(engine.execution_options(isolation_level=level))) as other:
            other.enqueue(Say(level))
            assert Worker(other).work_off() == (1, 0)


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
    queue: Queue, engine: Engine, database_url: str
) -> None:
    """It says what to use instead, and shows no password."""
    for session in (engine, sessionmaker(engine), scoped_session, database_url, queue, object(), 7):
        with pytest.raises(TypeError) as error:
            queue.enqueue(Say("hi"), session=session)
        assert str(error.value).startswith("session must be an open Session or Connection of SQLAlchemy")
        assert f"not {type(session)}. Leave it out" in str(error.value)
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
