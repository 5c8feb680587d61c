"""The queue's own connections: faster than SQLAlchemy's, and otherwise equivalent."""

import gc
import os
import sys
import threading
import traceback
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from conftest import administer
from jobs_for_tests import Fail, Line, Say
from sqlalchemy import make_url
from sqlalchemy.exc import DBAPIError, IntegrityError

from jobqueue import Job, Queue, Worker, claiming, direct, inserting, settling
from jobqueue.direct import Kept, Spares, Transaction, count
from jobqueue.schema import WorkerRow, jobs, workers
from jobqueue.tools import presence
from jobqueue.tools.presence import Self, Tally

pytest_plugins = ["queue_fixtures"]

NOON = datetime(2026, 11, 23, 12, 0, 0, 123, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)
LEASE = timedelta(seconds=30)
ONE = sa.select(sa.literal_column("1"))


def row(handler: str, **options: Any) -> dict[str, Any]:
    """A new job's columns, as Queue makes them."""
    common = {"priority": 0, "run_at": NOON, "queue": "default", "max_attempts": 25, "max_run_time": None}
    stamps = {"unique_key": None, "created_at": NOON, "updated_at": NOON}
    return {**common, **stamps, "handler": handler, **options}


def use_every_statement(transaction: Transaction) -> list[Any]:
    """Call each of the queue's SQL functions in an empty database, and return their results."""
    t = transaction
    said: list[Any] = [
        inserting.add(t, row("one", max_run_time=1.5)),
        inserting.add_unique(t, row("two, 'quoted' 🌊", unique_key="key"), keep=False),
        inserting.add_unique(t, row("two", unique_key="key"), keep=True),
        inserting.add_many(
            t, {k: v for k, v in row("", priority=1).items() if k != "handler"}, ["3", "4", "5"]
        ),
        inserting.add(t, row("later", run_at=LATER, queue="images")),
        inserting.add(t, row("at most once", max_attempts=1, priority=2)),
        claiming.next_run_at(t),
        claiming.next_run_at(t, ["images"]),
        claiming.next_run_at(t, ["none"]),
        claiming.claim(t, "a", 2, NOON),
        claiming.claim(t, "b", 3, NOON, ["default", "other"], batch=True),
        claiming.claim(t, "c", 5, NOON, batch=True),
        claiming.claim(t, "d", 1, NOON),
    ]
    alone, batch, last = said[-4:-1]
    settling.renew(t, "a", alone, NOON + LEASE)
    settling.release(t, "b", batch[:1], NOON)
    presence.be_seen(t, Self("a", 2, "mail", 30.0, 60.5, NOON), Tally(3, 4, waited=0.5), NOON)
    presence.be_seen(t, Self("a", 2, "mail", 30.0, 60.5, NOON), Tally(1, 0), LATER)
    presence.be_seen(t, Self("b", 1, "", 30.0, 60.5, NOON), Tally(), NOON)
    presence.forget_the_silent(t, LEASE, LATER)
    return [
        *said,
        settling.finish(t, "a", [*alone[:1], *batch]),
        settling.retry(t, "b", batch[1], "an error", LATER, NOON),
        settling.retry(t, "nobody", batch[2], "an error", LATER, NOON),
        settling.bury(t, "c", last[0], "an error", LATER),
        settling.reap(t, LEASE, NOON + 2 * LEASE),
        settling.free(t, "a", "was killed.", LATER),
        claiming.next_run_at(t),
        presence.tallies(t),
    ]


def content(queue: Queue) -> list[Any]:
    with queue.engine.connect() as connection:
        return [
            connection.execute(sa.select(jobs).order_by(jobs.c.id)).all(),
            connection.execute(sa.select(workers).order_by(workers.c.name)).all(),
        ]


def clear(queue: Queue) -> None:
    """Recreate the tables, so that ids begin at 1."""
    Job.metadata.drop_all(queue.engine)
    queue.create_tables()


def test_every_statement_says_and_does_the_same_as_with_sqlalchemy(queue: Queue) -> None:
    """Results, their types, row counts and the tables' contents are equal; times are aware, in UTC."""
    with queue.writer.begin() as connection:
        expected = use_every_statement(connection)
    expected_content = content(queue)
    clear(queue)
    for _ in range(2):  # the second time, the compiled statements are reused
        kept = Kept(queue.writer)
        with kept.begin() as transaction:
            assert use_every_statement(transaction) == expected
        kept.close()
        assert content(queue) == expected_content
        clear(queue)
    assert expected[6] == NOON and expected[6].tzinfo is UTC
    assert [job.run_at.tzinfo for job in expected[9]] == [UTC, UTC]


def test_every_function_that_has_sql_is_in_that_test() -> None:
    """A new function with SQL must be added to it."""
    used = use_every_statement.__code__.co_names
    for module in (inserting, claiming, settling, presence):
        for name, function in vars(module).items():
            if callable(function) and getattr(function, "__module__", "") == module.__name__:
                takes = getattr(function, "__annotations__", {})
                if takes.get("connection") is not None and not name.startswith("_"):
                    assert name in used or name in ("notify", "leave"), name


@pytest.fixture
def kept(queue: Queue) -> Any:
    """One of the queue's own connections, closed after the test."""
    connection = Kept(queue.writer)
    yield connection
    connection.close()


def backend(transaction: Kept) -> Any:
    """The driver's connection, which identifies a connection."""
    cursor, _ = transaction.execute(ONE, {})
    return cursor.connection


def add(transaction: Transaction, **options: Any) -> int:
    return inserting.add(transaction, row("{}", **options))


def test_a_transaction_is_committed_at_its_end_and_the_connection_is_kept(queue: Queue, kept: Kept) -> None:
    """The next transaction uses the same connection."""
    with kept.begin() as transaction:
        first = backend(transaction)
        add(transaction)
        assert queue.jobs() == []
    assert len(queue.jobs()) == 1
    with kept.begin() as transaction:
        assert backend(transaction) is first
        add(transaction)
    assert len(queue.jobs()) == 2


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_transaction_that_fails_is_rolled_back(
    queue: Queue, kept: Kept, error: type[BaseException]
) -> None:
    """The error propagates; the connection, whose state is unknown, is replaced."""
    with pytest.raises(error), kept.begin() as transaction:
        first = backend(transaction)
        add(transaction)
        raise error
    assert queue.jobs() == []
    with kept.begin() as transaction:
        assert backend(transaction) is not first
        add(transaction)
    assert len(queue.jobs()) == 1


def test_an_error_of_the_driver_is_sqlalchemys(queue: Queue, kept: Kept) -> None:
    """Callers catch the same exception as if SQLAlchemy had executed the statement."""
    with pytest.raises(IntegrityError), kept.begin() as transaction:
        add(transaction, unique_key="key")
        add(transaction, unique_key="key")
    assert queue.jobs() == []
    with kept.begin() as transaction:
        add(transaction, unique_key="key")


def test_a_commit_that_fails_is_an_error_like_any_other(queue: Queue, kept: Kept) -> None:
    """Nothing is written, the error propagates, and the next transaction has a new connection."""
    with pytest.raises(IntegrityError, match=r"(?i)foreign key"), kept.begin() as transaction:
        first = backend(transaction)
        add(transaction)
        count(transaction, sa.insert(Line), {"text": "an orphan", "parent_id": 4711})  # refused at COMMIT
    assert queue.jobs() == []
    with kept.begin() as transaction:
        assert backend(transaction) is not first
        add(transaction)
    assert len(queue.jobs()) == 1


def cut_all(database_url: str) -> None:
    """Make the server end all connections to this database, as when it stops."""
    url = make_url(database_url)
    admin = url.set(database="postgres").render_as_string(hide_password=False)
    administer(
        admin,
        f"SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '{url.database}'",
    )


def test_a_connection_that_the_server_has_closed_is_replaced_before_it_is_used(
    postgres_database: str,
) -> None:
    """No transaction fails, even directly after the cut."""
    queue = Queue(postgres_database)
    queue.create_tables()
    for _ in range(2):
        queue.enqueue(Say("before"))
        cut_all(postgres_database)
        queue.enqueue(Say("after"))
    assert len(queue.jobs()) == 4
    queue.close()


def test_a_connection_that_is_cut_within_a_transaction_is_replaced_after_it(postgres_database: str) -> None:
    """That transaction raises a database error; the next one has a new connection."""
    queue = Queue(postgres_database)
    queue.create_tables()
    kept = Kept(queue.writer)
    with pytest.raises(DBAPIError), kept.begin() as transaction:
        add(transaction)
        cut_all(postgres_database)
        add(transaction)
    with kept.begin() as transaction:
        add(transaction)
    assert len(queue.jobs()) == 1
    kept.close()
    cut_all(postgres_database)
    queue.close()


def test_a_connection_that_was_not_used_for_long_goes_through_its_pool(
    queue: Queue, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pool checks that it is still alive: a firewall may have dropped it silently."""
    looked: list[object] = []
    sa.event.listen(queue.engine, "checkout", lambda *_: looked.append(None))
    with kept.begin() as transaction:
        add(transaction)
    with kept.begin() as transaction:
        add(transaction)
    assert len(looked) == 1
    monkeypatch.setattr(direct, "STALE_SECONDS", -1.0)
    with kept.begin() as transaction:
        add(transaction)
    assert len(looked) == 2


def test_what_a_kept_connection_was_told_is_not_left_to_the_pool(queue: Queue, kept: Kept) -> None:
    """Other users of the engine keep their lock timeout and planner settings."""

    def settings() -> list[Any]:
        names = (
            ["busy_timeout"] if queue.engine.dialect.name == "sqlite" else ["plan_cache_mode", "enable_sort"]
        )
        prefix = "PRAGMA" if queue.engine.dialect.name == "sqlite" else "SHOW"
        with queue.engine.connect() as connection:
            return [connection.exec_driver_sql(f"{prefix} {name}").scalar() for name in names]

    expected = settings()
    with kept.begin() as transaction:
        add(transaction)
    kept.close()
    assert settings() == expected


def test_threads_do_not_share_a_connection(queue: Queue) -> None:
    """Each takes a spare connection for its transaction and puts it back."""
    spares = Spares(queue.engine)  # for reading: two writers on SQLite would wait for each other
    inside, both = [], threading.Barrier(2, timeout=60)

    def look() -> None:
        with spares.begin() as transaction:
            claiming.next_run_at(transaction)
            inside.append(backend(transaction))
            both.wait()

    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert inside[0] is not inside[1]
    with spares.begin() as transaction:
        assert backend(transaction) in inside
    spares.close()
    with spares.begin() as transaction:  # it opens again
        assert claiming.next_run_at(transaction) is None
    spares.close()


def in_a_child(function: Callable[[], object]) -> None:
    """Call the function in a forked child, which then exits at once; fail if the function raised."""
    pid = os.fork()
    if not pid:
        status = 1
        try:
            function()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@pytest.mark.live
def test_after_a_fork_the_parents_connections_are_neither_used_nor_closed(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A web server forks its workers after the application has enqueued and listed jobs: one connection is
    kept, and one is in the pool. A queue that was closed and collected before the fork does no harm.
    """
    queue.enqueue(Say("parent"))
    assert len(queue.jobs()) == 1
    Queue(queue.engine.url).close()
    gc.collect()
    opened: list[object] = []
    sa.event.listen(queue.engine, "connect", lambda *_: opened.append(None))
    unraisable: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", unraisable.append)

    def enqueue_first() -> None:
        queue.enqueue(Say("child"))
        assert len(opened) == 1
        queue.enqueue(Say("child again"))
        assert len(queue.jobs()) == 3
        assert len(opened) == 2 and unraisable == []

    def look_first() -> None:
        assert len(queue.jobs()) == 3
        assert len(opened) == 1

    in_a_child(enqueue_first)
    in_a_child(look_first)
    queue.enqueue(Say("parent again"))
    assert len(queue.jobs()) == 4
    assert opened == []


@pytest.mark.parametrize("moment", ["connect", "commit"])
def test_an_interrupt_is_no_error_of_the_databases(queue: Queue, kept: Kept, moment: str) -> None:
    """Ctrl-C during connect or commit propagates to the caller, and nothing is written."""

    def press_ctrl_c(*_: object) -> None:
        raise KeyboardInterrupt

    def connect(dialect: Any, _record: object, arguments: Any, options: Any) -> Any:
        if moment == "connect":
            press_ctrl_c()
        pressed = type("Pressed", (dialect.loaded_dbapi.Connection,), {"commit": press_ctrl_c})
        return getattr(pressed, "connect", pressed)(*arguments, **options)

    queue.close()  # so that it has to connect
    sa.event.listen(queue.engine, "do_connect", connect, once=True)
    with pytest.raises(KeyboardInterrupt), kept.begin() as transaction:
        add(transaction)
    assert queue.jobs() == []
    with kept.begin() as transaction:
        add(transaction)
    assert len(queue.jobs()) == 1


def test_an_engine_of_ones_own_is_used_through_its_pool(postgres_database: str) -> None:
    """None of its connections is kept, as its pool may hold only one."""
    engine = sa.create_engine(postgres_database, pool_size=1, max_overflow=0, pool_timeout=60)
    queue = Queue(engine)
    queue.create_tables()
    queue.enqueue(Say("one"))
    queue.enqueue_many([Say("two"), Fail("three")])
    assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    with engine.begin() as connection:
        queue.enqueue(Say("four"), session=connection)
    queue.close()
    assert len(queue.jobs()) == 4
    engine.dispose()


def test_a_worker_gives_its_connections_back(queue: Queue) -> None:
    """They are released when work_off() returns, as the program may run for days after it."""
    queue.enqueue(Say("one"))
    Worker(queue).work_off()
    queue.close()
    assert queue.engine.pool.checkedout() == 0  # type: ignore[attr-defined]


def test_a_workers_row_is_a_row_like_any_other(queue: Queue) -> None:
    """It can be loaded through its mapped class."""
    with Kept(queue.writer).begin() as transaction:
        presence.be_seen(transaction, Self("a", 1, "", 30.0, 60.0, NOON), Tally(2, 1), LATER)
    with sa.orm.Session(queue.engine) as session:
        found = session.get_one(WorkerRow, "a")
        assert (found.started_at, found.seen_at, found.succeeded, found.failed) == (NOON, LATER, 2, 1)
