"""A database that falls silent: it refuses nothing and closes nothing, and it never answers."""

import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from conftest import wait_until
from jobs_for_tests import Base, Say, call_with_session, said
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from jobqueue import Queue, ledger, postgresql
from jobqueue.ledger import Watcher
from jobqueue.tools import failures
from jobqueue.transactions import Kept
from loadtests.torture.silentproxy import SilentProxy

pytest_plugins = ["queue_fixtures"]
pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)

RunWorker = Callable[..., Any]
usual_limit = postgresql.SILENT_SECONDS
SAYS_NOTHING = "the server has said nothing for 0.5 seconds"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Notice the silence after half a second; connecting takes whole seconds, at least two."""
    monkeypatch.setattr(postgresql, "SILENT_SECONDS", 0.5)
    monkeypatch.setattr(postgresql, "CONNECT_SECONDS", 2)


@pytest.fixture
def proxy(database_url: str) -> Iterator[SilentProxy]:
    with SilentProxy(database_url) as proxy:
        yield proxy


@pytest.fixture(params=["a URL", "an engine"])
def through(request: pytest.FixtureRequest, proxy: SilentProxy) -> Iterator[Queue]:
    """An empty queue behind the proxy: on a URL, and on a user's engine with a limit for connecting."""
    said.clear()
    with ExitStack() as stack:
        database: Any = proxy.url
        if request.param == "an engine":
            database = create_engine(proxy.url, connect_args={"connect_timeout": 2})
            stack.callback(database.dispose)
        queue = Queue(database, lease=timedelta(seconds=3))
        stack.callback(queue.close)
        queue.create_tables()
        Base.metadata.create_all(queue.engine)
        yield queue


@pytest.fixture
def direct(database_url: str) -> Iterator[Queue]:
    """The same queue, for others."""
    queue = Queue(database_url)
    yield queue
    queue.close()


def test_a_worker_says_that_the_database_is_silent_and_goes_on_with_a_new_one(
    through: Queue, direct: Queue, proxy: SilentProxy, run_worker: RunWorker, caplog: pytest.LogCaptureFixture
) -> None:
    """It had noticed nothing after two minutes."""
    running = run_worker(through)
    through.enqueue(Say("before"))
    wait_until(lambda: "before" in said, "the first job")
    proxy.silence()
    wait_until(lambda: "the database did not answer, trying again" in caplog.text, "what it says")
    direct.enqueue(Say("after"))
    proxy.speak()
    wait_until(lambda: "after" in said and not direct.jobs(), "the job's end")
    running.stop()
    running.wait()


def test_a_second_stop_ends_a_worker_whose_database_is_silent(
    through: Queue, proxy: SilentProxy, run_worker: RunWorker, caplog: pytest.LogCaptureFixture
) -> None:
    """What it could not give back is freed after the lease."""
    running = run_worker(through, stop_timeout=3600.0)
    wait_until(lambda: running.lines, "the worker's start")
    proxy.silence()
    running.stop()
    running.stop()
    running.wait()
    assert "did not answer; jobs are freed after the lease" in caplog.text


@pytest.mark.live
def test_a_second_signal_ends_a_process_whose_database_is_silent(
    through: Queue, proxy: SilentProxy, start_worker: Callable[..., Any]
) -> None:
    """Its supervisor kills it after a second."""
    process = start_worker("--stop-timeout", "3600", "--database", str(proxy.url))
    process.pid()
    through.enqueue(Say("hi"))
    proxy.silence()
    process.signal(signal.SIGTERM)
    process.signal(signal.SIGINT)  # two of a kind at once could arrive as one
    assert process.exit_status() == 0
    assert re.search(r"killing worker pid:\d+: it had not stopped in time", process.output())


def test_enqueueing_fails_when_the_database_is_silent(proxy: SilentProxy) -> None:
    """It does so on a new connection, too, and succeeds once there is a server that answers."""
    queue = Queue(proxy.url)
    queue.create_tables()
    queue.enqueue(Say("before"))
    proxy.silence()
    with pytest.raises(OperationalError, match=SAYS_NOTHING):
        queue.enqueue(Say("lost"))
    with pytest.raises(OperationalError, match="timeout expired"):
        queue.enqueue(Say("lost"))
    proxy.speak()
    queue.enqueue(Say("after"))
    assert [job.handler.count("lost") for job in queue.jobs()] == [0, 0]
    queue.close()


def test_a_listener_to_a_silent_server_listens_again(
    through: Queue,
    direct: Queue,
    proxy: SilentProxy,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It asks now and then whether the server still answers."""
    monkeypatch.setattr(ledger, "CHECK_SECONDS", 0.1)
    monkeypatch.setattr(ledger, "RECONNECT_SECONDS", 0.05)
    rings: list[float] = []
    watcher = Watcher(through, lambda: rings.append(time.monotonic()))
    wait_until(lambda: rings, "the first ring: for what was said before")
    proxy.silence()
    wait_until(lambda: SAYS_NOTHING in caplog.text, "the loss")
    proxy.speak()
    wait_until(lambda: len(rings) > 1, "the ring of one that listens again")
    heard = len(rings)
    direct.enqueue(Say("heard"))
    wait_until(lambda: len(rings) > heard, "a ring")
    watcher.end()


def test_a_statement_of_a_job_may_take_its_time(through: Queue, run_worker: RunWorker) -> None:
    """The limit is for the queue's own short ones, even on a connection that has been both."""

    def report(session: Session) -> None:
        session.execute(text("SELECT pg_sleep(1)"))
        said.append("reported")

    with through.engine.connect() as connection:
        connection.execute(text("SELECT pg_sleep(1)"))
    through.enqueue(call_with_session(report))
    run_worker(through, threads=1)
    wait_until(lambda: not through.jobs(), "the job's end")
    assert said == ["reported"]


def test_what_is_asked_of_all_jobs_may_take_its_time(through: Queue) -> None:
    """To retry or delete a million failed ones, say: this is not what a worker waits for."""
    sleep = "LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(1); RETURN NULL; END'"
    through.enqueue(Say("hi"))
    with through.writer.begin() as connection:
        connection.execute(text("UPDATE jobs SET failed_at = now()"))
        connection.execute(text(f"CREATE FUNCTION slow() RETURNS trigger {sleep}"))
        when = "BEFORE UPDATE OR DELETE ON jobs FOR EACH STATEMENT"
        connection.execute(text(f"CREATE TRIGGER slow {when} EXECUTE FUNCTION slow()"))
    now = datetime.now(UTC) + timedelta(minutes=1)
    assert failures.retry_all(through, until=now) == 1
    assert failures.delete_all(through, until=now) == 0
    assert through.clear() == 1


def test_a_statement_of_the_queue_that_waits_for_a_lock_ends_first_in_the_server(direct: Queue) -> None:
    """Or it would go on there, beside the next one, whenever it was given up here."""
    own = Kept(own=True)
    with own.begin(direct.writer) as connection:
        seconds = int(connection.scalar(text("SHOW statement_timeout")).removesuffix("s"))
    own.close()
    assert 0 < seconds < usual_limit


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_the_arguments_of_a_url_win(proxy: SilentProxy, driver: str) -> None:
    """The others are set below the lease, for a network that is silent."""
    url = proxy.url.set(drivername=f"postgresql+{driver}").update_query_dict({"keepalives_idle": "77"})
    queue = Queue(url)
    with queue.engine.connect() as connection:
        raw: Any = connection.connection.dbapi_connection
        parameters = raw.info.get_parameters() if driver == "psycopg" else raw.info.dsn_parameters
        ours = {name: str(parameters[name]) for name in ("keepalives_idle", "tcp_user_timeout")}
    queue.close()
    assert ours == {"keepalives_idle": "77", "tcp_user_timeout": "500"}
