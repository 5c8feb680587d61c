"""Shared by all tests: an empty database on each backend, waiting for a condition, the `live` rule."""

import contextlib
import itertools
import os
import platform
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import sqlalchemy as sa

import jobqueue
from loadtests.servers.postgres import running_postgres

# No test cuts the power, so nothing has to reach the disk. All test processes share the connection limit.
POSTGRES_SETTINGS = ("fsync=off", "max_connections=400")
STARTS_A_PROCESS = {"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.system"}

os.environ["LOADTESTS_BESIDE"] = "1"  # the test processes measure side by side

server_key = pytest.StashKey[str]()
schema_numbers = itertools.count(1)
forbidding: list[str] = []  # the running test, if it may not start a process


def pytest_report_header() -> str:
    """Names the jobqueue that is tested: `make test-wheel` tests an installed one."""
    return f"jobqueue: {Path(jobqueue.__file__).parent}"


# ---- a test that starts a process is marked live


def forbid(event: str, _arguments: object) -> None:
    """Audit hook: fail a test that starts a process without being marked live."""
    if event in STARTS_A_PROCESS and forbidding:
        pytest.fail(f"{forbidding[0]} starts a process, so it must be marked: @pytest.mark.live")


platform.processor()  # may run `uname`, whose answer is cached: so no test runs it
sys.addaudithook(forbid)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Let neither a test nor its fixtures start a process unless it is marked live."""
    if not item.get_closest_marker("live"):
        forbidding.append(item.nodeid)
    try:
        return (yield)
    finally:
        forbidding.clear()


@pytest.fixture(scope="session", autouse=True)
def ctrl_c() -> None:
    """Restore SIGINT. A program started in the background ignores it, and so do its children: tests that
    press Ctrl-C would wait forever.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def signals_as_before() -> Iterator[None]:
    """A command's main() sets signal handlers; pytest's process has its own."""
    handlers = [
        (number, signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    ]
    yield
    for number, handler in handlers:
        signal.signal(number, handler)


# ---- databases


def server_of(config: pytest.Config) -> str:
    """The URL of the run's PostgreSQL, which is started on first use."""
    if server_key not in config.stash:
        stack = contextlib.ExitStack()
        config.add_cleanup(stack.close)
        test = [forbidding.pop()] if forbidding else []  # the server belongs to the run, not to a test
        config.stash[server_key] = stack.enter_context(running_postgres(*POSTGRES_SETTINGS))
        forbidding.extend(test)
    return config.stash[server_key]


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Let the processes of pytest-xdist share one server, which their controller owns."""
    node.workerinput["postgres_url"] = server_of(node.config)


@pytest.fixture(scope="session")
def postgres_url(pytestconfig: pytest.Config) -> str:
    """The URL of a real PostgreSQL."""
    shared: dict[str, str] = getattr(pytestconfig, "workerinput", {})
    return shared.get("postgres_url") or server_of(pytestconfig)


def administer(url: str, *statements: str) -> None:
    """Execute statements that can't run in a transaction (CREATE DATABASE and the like)."""
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


@pytest.fixture(scope="session")
def own_database(postgres_url: str, worker_id: str) -> sa.URL:
    """The PostgreSQL database of this test process: ending all its connections affects no other process."""
    administer(postgres_url, f"CREATE DATABASE {worker_id}")
    return sa.make_url(postgres_url).set(database=worker_id)


@pytest.fixture
def postgres_database(own_database: sa.URL) -> Iterator[str]:
    """The URL of an empty PostgreSQL schema; after the test its connections are ended and it is dropped."""
    name = f"test_{next(schema_numbers)}"
    everything = own_database.render_as_string(hide_password=False)
    administer(everything, f"CREATE SCHEMA {name}")
    url = own_database.update_query_dict({"options": f"-csearch_path={name}"})
    yield url.render_as_string(hide_password=False)
    administer(
        everything,
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()",
        f"DROP SCHEMA {name} CASCADE",
    )


@pytest.fixture(scope="session")
def durable_postgres() -> Iterator[str]:
    """The URL of a PostgreSQL with default settings, for tests that depend on them: these are live."""
    with running_postgres() as url:
        yield url


@pytest.fixture
def durable_database(durable_postgres: str) -> str:
    """The URL of an empty database on that server."""
    name = f"test_{next(schema_numbers)}"
    administer(durable_postgres, f"CREATE DATABASE {name}")
    return sa.make_url(durable_postgres).set(database=name).render_as_string(hide_password=False)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database: every test that uses it runs on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'test.db'}"
    return request.getfixturevalue("postgres_database")


def wait_until(condition: Callable[[], object], what: str, timeout: float = 60.0) -> None:
    """Return as soon as `condition()` is true; after `timeout` seconds fail, naming `what` was awaited."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {timeout:g} seconds in vain for {what}")
        time.sleep(0.005)


def still_running(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """The processes that have not ended; a zombie has."""
    running = []
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                running.append(process)
    return running
