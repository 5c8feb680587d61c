"""Waking up: an idle worker hears of new jobs at once. In these tests it would not poll for an hour."""

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from conftest import wait_until
from jobs_for_tests import Line, Say, said
from sqlalchemy import event, text
from sqlalchemy.orm import Session

from jobqueue import Queue, lease, ledger, worker
from jobqueue.lease import Claimed, Lease
from jobqueue.ledger import Watcher
from jobqueue.tools import presence

pytest_plugins = ["queue_fixtures"]

AN_HOUR = 3600.0
LISTENERS = "FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN %'"

Open = Callable[..., Queue]
RunWorker = Callable[..., Any]


def watchers() -> set[threading.Thread]:
    """The watcher threads of this process."""
    return {thread for thread in threading.enumerate() if thread.name == "jobqueue watcher"}


def instead_of_listening(queue: Queue, act: Callable[[], object]) -> None:
    """Call `act` in a watcher's thread whenever it has checked out one of the queue's connections."""
    event.listen(queue.engine, "checkout", lambda *_: threading.current_thread() in watchers() and act())


@pytest.fixture
def sleepy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let workers sleep for an hour unless they are notified: they do not write their tallies, either."""
    monkeypatch.setattr(worker, "LONGEST_WAIT", AN_HOUR)
    monkeypatch.setattr(presence, "TELL_SECONDS", AN_HOUR)


@pytest.fixture
def idle(queue: Queue, open_queue: Open, run_worker: RunWorker, sleepy: None) -> Callable[..., Any]:
    """idle() starts a worker that has done a first job and now sleeps for an hour. Its heartbeats are hours
    apart, too.
    """

    def start(**options: Any) -> Any:
        options = {"poll_interval": AN_HOUR, **options}
        running = run_worker(open_queue(lease=timedelta(seconds=10 * AN_HOUR)), **options)
        queue.enqueue(Say("first"))
        hear(queue, "first")
        return running

    return start


def hear(queue: Queue, said_last: str) -> None:
    """Wait until the job that says this has been done."""

    def is_done() -> bool:
        return said_last in said and not any(said_last in job.handler for job in queue.jobs())

    wait_until(is_done, f"the job that says {said_last!r}")


ENQUEUE = """
import sys
from jobqueue import Queue
from jobs_for_tests import Say
queue = Queue(sys.argv[1])
input(">")
queue.enqueue(Say(sys.argv[2]))
"""


@pytest.mark.live
def test_it_hears_of_a_job_from_another_process(
    queue: Queue, idle: Callable[..., Any], at_once: Callable[..., list[str]], database_url: str
) -> None:
    """The worker keeps listening, so it also hears of a second job."""
    idle()
    for word in ("second", "third"):
        at_once(1, ENQUEUE, database_url, word)
        hear(queue, word)


def test_it_hears_of_a_job_in_a_callers_transaction_when_that_commits(
    queue: Queue, idle: Callable[..., Any]
) -> None:
    """It hears nothing of one that is rolled back."""
    idle()
    with Session(queue.writer) as session:
        queue.enqueue(Say("never"), session=session)
        session.rollback()
        session.add(Line(text="data"))
        queue.enqueue(Say("committed"), session=session)
        assert said == ["first"]
        session.commit()
    hear(queue, "committed")
    assert said == ["first", "committed"]


def test_it_hears_of_many_jobs(queue: Queue, idle: Callable[..., Any]) -> None:
    """enqueue_many() and unique jobs notify it, too."""
    idle()
    queue.enqueue_many(Say(word) for word in ("one", "two", "three"))
    hear(queue, "three")
    queue.enqueue(Say("unique"), unique_key="key")
    hear(queue, "unique")


def claim(queue: Queue) -> Claimed:
    """Let another worker claim the job."""
    with queue.writer.begin() as connection:
        (job,) = Lease(queue.tables, "other").claim(connection, 1, datetime.now(UTC))
    return job


def release(queue: Queue, job: Claimed) -> None:
    with queue.writer.begin() as connection:
        Lease(queue.tables, "other").release(connection, [job], datetime.now(UTC))


def free(queue: Queue, _: Claimed) -> None:
    with queue.writer.begin() as connection:
        assert lease.free(connection, queue.tables, "other", "was killed.", datetime.now(UTC))


def reap(queue: Queue, _: Claimed) -> None:
    with queue.writer.begin() as connection:
        assert lease.reap(connection, queue.tables, timedelta(), datetime.now(UTC))


@pytest.mark.parametrize("give_back", [release, free, reap])
def test_it_hears_of_a_job_that_another_worker_gives_back(
    queue: Queue, idle: Callable[..., Any], give_back: Callable[[Queue, Claimed], None]
) -> None:
    """It also hears of a job that is freed because its worker has died."""
    queue.enqueue(Say("again"))
    job = claim(queue)
    idle()
    give_back(queue, job)
    hear(queue, "again")


def test_it_sleeps_until_the_next_job_is_due(queue: Queue, idle: Callable[..., Any]) -> None:
    """It sleeps no longer, and a job that is due later does not hide an earlier one."""
    idle()
    queue.enqueue(Say("in hours"), run_at=timedelta(hours=2), priority=-1)
    due = datetime.now(UTC) + timedelta(seconds=0.4)
    queue.enqueue(Say("soon"), run_at=due)
    hear(queue, "soon")
    assert datetime.now(UTC) >= due
    assert said == ["first", "soon"]


@pytest.fixture
def listener(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """A watcher without a worker; yields the times at which it rang."""
    monkeypatch.setattr(ledger, "RECONNECT_SECONDS", 0.05)
    rings: list[float] = []
    watcher = Watcher(queue, lambda: rings.append(time.monotonic()))
    wait_until(lambda: rings, "the first ring: for what was said before")
    yield rings
    watcher.end()
    assert not watchers()


def test_a_watcher_rings_at_a_commit_and_not_before(queue: Queue, listener: list[float]) -> None:
    """It hears nothing of a transaction that is still open."""
    with Session(queue.writer) as session:
        queue.enqueue(Say("one"), session=session)
        session.flush()
        heard = len(listener)
        with queue.engine.connect() as other:
            other.execute(text("SELECT 1"))
        assert len(listener) == heard
        session.commit()
    wait_until(lambda: len(listener) > heard, "a ring")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_watcher_that_rings_in_vain_looks_less_often(queue: Queue, listener: list[float]) -> None:
    """Or all of a crowd would wake at each commit of one of them. A watcher that was right keeps looking."""
    right: list[None] = []
    watcher = Watcher(queue, lambda: right.append(None))
    for number in itertools.count():
        watcher.was_right()
        queue.pause(f"queue {number}")  # a commit that no job depends on
        if len(right) > 100:
            break
    watcher.end()
    assert len(listener) < len(right) - 20


def test_a_listener_whose_connection_is_cut_listens_again(
    postgres_database: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It logs the loss, reconnects, and rings, since it may have missed a notification."""
    monkeypatch.setattr(ledger, "RECONNECT_SECONDS", 0.05)
    rings: list[float] = []
    queue = Queue(postgres_database)
    queue.create_tables()
    watcher = Watcher(queue, lambda: rings.append(time.monotonic()))

    def listeners() -> set[int]:
        with queue.engine.connect() as connection:
            return set(connection.scalars(text(f"SELECT pid {LISTENERS}")))

    wait_until(lambda: rings and listeners(), "the first ring")
    (first,) = listeners()
    with queue.engine.connect() as connection:
        connection.execute(text(f"SELECT pg_terminate_backend({first})"))
    wait_until(lambda: len(rings) == 2 and listeners() - {first}, "a new listener")
    queue.enqueue(Say("new"))
    wait_until(lambda: len(rings) == 3, "a ring")
    assert "not notified of new jobs for a moment, polling: " in caplog.text
    watcher.end()
    queue.close()


@pytest.mark.usefixtures("sleepy")
def test_a_worker_whose_listener_is_cut_hears_again(
    queue: Queue,
    open_queue: Open,
    run_worker: RunWorker,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """PostgreSQL ends the connection, SQLite's fails; the worker still hears of two more jobs. The connection
    is closed, too, and not left to the garbage collector.
    """
    monkeypatch.setattr(ledger, "RECONNECT_SECONDS", 0.05)
    watched = open_queue(lease=timedelta(seconds=10 * AN_HOUR))
    cut = threading.Event()
    listening: list[Any] = []
    closed: list[Any] = []
    close = psycopg.Connection.close
    monkeypatch.setattr(psycopg.Connection, "close", lambda driver: closed.append(driver) or close(driver))

    def can_be_cut(driver: Any, *_: object) -> None:
        if threading.current_thread() in watchers():
            if not listening and queue.engine.dialect.name == "sqlite":
                driver.set_progress_handler(cut.is_set, 1)  # once it returns True, all statements fail
            listening.append(driver)

    event.listen(watched.engine, "checkout", can_be_cut)
    run_worker(watched, poll_interval=AN_HOUR)
    queue.enqueue(Say("first"))
    hear(queue, "first")
    if queue.engine.dialect.name == "postgresql":
        with queue.engine.connect() as connection:
            assert connection.scalars(text(f"SELECT pg_terminate_backend(pid) {LISTENERS}")).all() == [True]
    cut.set()
    wait_until(lambda: "not notified of new jobs for a moment" in caplog.text, "the loss")
    for word in ("second", "third"):
        queue.enqueue(Say(word))
        hear(queue, word)
    assert len(listening) == 2
    assert listening[0] in closed or queue.engine.dialect.name == "sqlite"


def test_a_watcher_keeps_the_connection_that_answers(
    queue: Queue, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """However often it checks, and long after its last ring."""
    monkeypatch.setattr(ledger, "CHECK_SECONDS", 0.01)
    monkeypatch.setattr(ledger, "LISTEN_SECONDS", 0.01)
    connected: list[str] = []
    rings: list[float] = []
    instead_of_listening(queue, lambda: connected.append("once"))
    watcher = Watcher(queue, lambda: rings.append(time.monotonic()))
    wait_until(lambda: rings, "the first ring: for what was said before")
    later = time.monotonic() + 0.3
    wait_until(lambda: time.monotonic() > later, "some checks")
    queue.enqueue(Say("heard"))
    wait_until(lambda: len(rings) > 1, "a ring")
    watcher.end()
    assert (connected, caplog.text) == (["once"], "")


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_without_notifications_a_worker_looks_often(
    queue: Queue, idle: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A driver other than psycopg 3 may not deliver notifications: one line says so."""
    monkeypatch.delattr(psycopg.Connection, "notifies")
    idle()
    queue.enqueue(Say("second"))
    hear(queue, "second")
    assert caplog.messages == [
        "not notified of new jobs, polling every 0.15 seconds:"
        " the driver is psycopg, and only psycopg 3 notifies"
    ]


@pytest.mark.usefixtures("sleepy")
def test_the_slow_poll_does_not_need_a_watcher(queue: Queue, run_worker: RunWorker) -> None:
    """The worker is never notified, and still finds each job at its next poll."""

    def fail() -> None:
        raise OSError("no route to the database")

    instead_of_listening(queue, fail)
    running = run_worker(queue, poll_interval=0.1)
    for word in ("one", "two"):
        queue.enqueue(Say(word))
        hear(queue, word)
    running.stop()
    running.wait()


def test_no_watcher_is_left_when_its_worker_has_ended(queue: Queue, idle: Callable[..., Any]) -> None:
    """The watcher's thread and its connection end."""
    running = idle()
    assert len(watchers()) == 1
    running.stop()
    running.wait()
    assert not watchers()
    if queue.engine.dialect.name == "postgresql":

        def listening() -> int:
            with queue.engine.connect() as connection:
                return connection.scalar(text(f"SELECT count(*) {LISTENERS}")) or 0

        wait_until(lambda: not listening(), "the end of its connection")
