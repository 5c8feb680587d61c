"""What all tests share: a fresh database on each backend, and waiting for a condition."""

import contextlib
import itertools
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import psutil
import pytest
import sqlalchemy as sa

from loadtests.servers.postgres import running_postgres

database_numbers = itertools.count(1)


@pytest.fixture(scope="session", autouse=True)
def ctrl_c() -> None:
    """A program that was started in the background, as by nohup, ignores SIGINT, and so does all that it
    starts: tests that press Ctrl-C would wait for ever.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The URL of a real PostgreSQL, started when the first test asks for it."""
    with running_postgres() as url:
        yield url


def administer(url: str, *statements: str) -> None:
    """Execute statements that may not stand in a transaction (CREATE DATABASE and the like)."""
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


@pytest.fixture
def postgres_database(postgres_url: str) -> Iterator[str]:
    """The URL of an empty PostgreSQL database, dropped after the test whoever is still connected."""
    name = f"test_{next(database_numbers)}"
    administer(postgres_url, f"CREATE DATABASE {name}")
    yield sa.make_url(postgres_url).set(database=name).render_as_string(hide_password=False)
    administer(postgres_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database: every test that takes this runs on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'test.db'}"
    return request.getfixturevalue("postgres_database")


def wait_until(condition: Callable[[], object], what: str, timeout: float = 20.0) -> None:
    """Return as soon as `condition()` is true; fail after `timeout` seconds, saying `what` was waited for."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {timeout:g} seconds in vain for {what}")
        time.sleep(0.005)


def still_running(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Those that have not ended; one that only waits to be reaped has."""
    running = []
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                running.append(process)
    return running
