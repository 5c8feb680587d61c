"""A reader on one engine, to measure and to harm: visitors who add feeds, and what became of these."""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil
import requests
import sqlalchemy as sa

from loadtests.engines.engines import READER, engine_command
from loadtests.errors import ProcessError
from loadtests.servers.processes import Process
from loadtests.servers.stack import Stack, StackSettings, gunicorn_command

EVERY_SECONDS = 0.05
COMES_SECONDS = 60.0
PENDING = "pending"  # the status of a feed that is not fetched yet
REDIRECTS = (302, 303)  # the answers to a visitor whose feed was accepted
VISITORS = 8  # that add feeds at a time
BACKEND = sa.text("SELECT pg_backend_pid()")
FETCHED = sa.text("SELECT url, status FROM feeds")
COUNT_HELD = sa.text("SELECT count(*) FROM jobs")  # jobqueue's own; it deletes those that are done


@dataclass
class KillableStack(Stack):
    """The reader is served in the way in which it can be killed: see engines/reader.py."""

    lease: float | None = None  # of jobqueue's workers, in seconds; None: as it comes

    @property
    def dies(self) -> Path:
        """The file that has a web process die once it has committed a feed."""
        return self.folder / "dies"

    def web_command(self) -> list[str]:
        return gunicorn_command(self.settings, f"{READER}:create_app()")

    def worker_command(self) -> list[str]:
        leased = self.lease is not None and not self.engine.module
        return [*super().worker_command(), *(["--lease", f"{self.lease:g}"] if leased else [])]

    def environment(self) -> dict[str, str]:
        return super().environment() | {"ENGINE_DIES": str(self.dies)}


@dataclass
class StagedReader:
    """A stack, and what one does to it. Times are seconds."""

    stack: KillableStack

    @cached_property
    def _database(self) -> sa.Engine:
        return sa.create_engine(self.stack.database_url, pool_pre_ping=True)

    def feeds(self, kind: str, count: int, first: int = 1) -> list[str]:
        """Addresses of so many feeds."""
        return [f"{self.stack.feeds_url}/feeds/{kind}/{n}.xml" for n in range(first, first + count)]

    def new_feeds(self, count: int) -> list[str]:
        """Addresses of so many feeds that answer at once, and are not stored yet."""
        return self.feeds("fast", count, first=len(self.states()) + 1)

    def add(self, urls: Sequence[str], visitors: int = VISITORS) -> dict[str, int]:
        """Add feeds; returns the status of each answer, 0 where there was none."""
        with ThreadPoolExecutor(visitors) as pool:
            return dict(zip(urls, pool.map(self._post, urls), strict=True))

    def _post(self, url: str) -> int:
        address = f"{self.stack.url}/feeds"
        try:
            answer = requests.post(address, {"url": url}, allow_redirects=False, timeout=COMES_SECONDS)
            return answer.status_code
        except requests.RequestException:
            return 0

    def time_to_add(self, url: str) -> float:
        """How many seconds the answer to POST /feeds takes. Raises ProcessError if it is none."""
        began = time.monotonic()
        if self._post(url) not in REDIRECTS:
            raise self.stack.processes["web server"].error(f"did not accept {url}")
        return time.monotonic() - began

    def fsync_each_write(self) -> None:
        """Have Valkey do what a database does at a commit."""
        from redis import Redis

        Redis.from_url(self.stack.broker_url).config_set("appendfsync", "always")

    def states(self) -> dict[str, str]:
        """The status of each feed that is stored, by address."""
        with self._database.connect() as connection:
            return {row.url: row.status for row in connection.execute(FETCHED)}

    def fetched(self) -> int:
        """How many feeds have been fetched; a feed that could not be fetched is not pending, either."""
        return sum(status != PENDING for status in self.states().values())

    def asked(self, kind: str) -> int:
        """How often feeds of this kind have been asked for at their server."""
        return self._stats()["requested"].get(kind, 0)

    def in_flight(self, kind: str) -> int:
        """How many of them are being fetched."""
        return self._stats()["in_flight"].get(kind, 0)

    def _stats(self) -> Mapping[str, Mapping[str, int]]:
        found: Mapping[str, Mapping[str, int]]
        found = requests.get(f"{self.stack.feeds_url}/stats", timeout=COMES_SECONDS).json()
        return found

    @cached_property
    def _module(self) -> ModuleType:
        """The engine's own file, which reads its settings from the environment: one stack in a process."""
        os.environ.update(self.stack.environment())
        return import_module(self.stack.engine.module)

    def held(self) -> int:
        """How many jobs the engine has not done with."""
        if self.stack.engine.module:
            with suppress(Exception):
                return int(self._module.held())
            return int(self._module.held())  # its connection was of before a crash
        with self._database.connect() as connection:
            return int(connection.execute(COUNT_HELD).scalar_one())

    @property
    def workers(self) -> list[Process]:
        """All that were started, the latest last."""
        return [process for name, process in self.stack.processes.items() if name.startswith("worker")]

    @property
    def worker(self) -> Process:
        """The latest."""
        return self.workers[-1]

    def broker(self) -> list[psutil.Process]:
        """The processes of Valkey or PostgreSQL, in which the engine keeps its jobs; none of a file."""
        if process := self.stack.processes.get("broker"):
            return process.tree()
        if not self.stack.engine.postgresql:
            return []
        with self._database.connect() as connection:
            backend = psutil.Process(connection.execute(BACKEND).scalar_one())
            postmaster = backend.parent()
        return [postmaster, *postmaster.children()] if postmaster else []

    def start_worker(self) -> None:
        """Start one more worker; returns when it is ready."""
        self.stack.start_worker().wait_for(self.stack.engine.ready)

    def run(self, command: str) -> str:
        """Run a command of the engine's file to its end; returns what it printed. Raises ProcessError."""
        log = self.stack.folder / f"{command}.log"
        with Process(command, engine_command(command), log, self.stack.environment()) as process:
            if process.wait_with(lambda: None, COMES_SECONDS):
                raise process.error("failed")
            return process.output()


def kill_tree(process: Process) -> None:
    """kill -9 of all its processes; returns when they are gone.

    Until then a broker may give a job to the connection of one of them.
    """
    killed = process.tree()
    for each in killed:
        with suppress(psutil.NoSuchProcess):
            each.kill()
    process.stop()
    expect(lambda: not any(map(_holds_files, killed)), "A killed process did not end")


def _holds_files(process: psutil.Process) -> bool:
    """A process does until its last thread has ended, even if nobody ever asks for its status."""
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and (
            process.status() != psutil.STATUS_ZOMBIE or process.num_threads() > 1
        )
    return False


@contextmanager
def staged(engine: str, *, lease: float | None = None, **settings: Any) -> Iterator[StagedReader]:
    """Start the reader on an engine, with more settings of a stack; the lease is jobqueue's."""
    with KillableStack(StackSettings("queued", engine=engine, **settings), lease=lease) as stack:
        yield StagedReader(stack)


def until(holds: Callable[[], bool], within: float, every: float = EVERY_SECONDS) -> bool:
    """Wait for a condition; returns False if it does not hold in time."""
    deadline = time.monotonic() + within
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(every)
    return True


def expect(holds: Callable[[], bool], what: str) -> None:
    """Wait for what the trial needs. Raises ProcessError if it does not come."""
    if not until(holds, COMES_SECONDS):
        raise ProcessError(f"{what} within {COMES_SECONDS:g} seconds")
