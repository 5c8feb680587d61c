"""A reader on one engine, to measure and to harm: visitors who add feeds, and what became of these."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import requests
import sqlalchemy as sa

from loadtests.engines.engines import READER, engine_command
from loadtests.errors import ProcessError
from loadtests.servers.processes import Process
from loadtests.servers.stack import Stack, StackSettings, gunicorn_command

LOOK_SECONDS = 0.02
PATIENCE_SECONDS = 60.0
VISITORS = 8  # that add feeds at a time
FETCHED = sa.text("SELECT url, status FROM feeds")


class SceneStack(Stack):
    """The reader is served in the way in which it can be killed: see engines/reader.py."""

    def web_command(self) -> list[str]:
        return gunicorn_command(self.settings, f"{READER}:create_app()")


@dataclass
class Scene:
    """A stack, and what one does to it. Times are seconds."""

    stack: Stack

    @cached_property
    def _engine(self) -> sa.Engine:
        return sa.create_engine(self.stack.database_url, poolclass=sa.NullPool)

    def feeds(self, kind: str, count: int, first: int = 1) -> list[str]:
        """Addresses of so many feeds."""
        return [f"{self.stack.feeds_url}/feeds/{kind}/{n}.xml" for n in range(first, first + count)]

    def add(self, urls: Sequence[str], visitors: int = VISITORS) -> list[int]:
        """Add feeds; returns the answers' statuses, 0 where there was none."""
        with ThreadPoolExecutor(visitors) as pool:
            return list(pool.map(self._post, urls))

    def _post(self, url: str) -> int:
        try:
            form = {"url": url}
            address = f"{self.stack.url}/feeds"
            return requests.post(address, form, allow_redirects=False, timeout=PATIENCE_SECONDS).status_code
        except requests.RequestException:
            return 0

    def states(self) -> dict[str, str]:
        """The status of each feed that is stored, by address."""
        with self._engine.connect() as connection:
            return {url: status for url, status in connection.execute(FETCHED)}

    def ready(self) -> int:
        """How many feeds have been fetched."""
        return sum(status == "ready" for status in self.states().values())

    def asked(self, kind: str) -> int:
        """How often feeds of this kind have been asked for at their server."""
        return int(self._stats()["requested"][kind])

    def in_flight(self, kind: str) -> int:
        """How many of them are being fetched."""
        return int(self._stats()["in_flight"][kind])

    def _stats(self) -> dict[str, dict[str, int]]:
        stats: dict[str, dict[str, int]]
        stats = requests.get(f"{self.stack.feeds_url}/stats", timeout=PATIENCE_SECONDS).json()
        return stats

    def workers(self) -> list[Process]:
        """The workers that run."""
        named = self.stack.processes.items()
        return [process for name, process in named if name.startswith("worker") and process.is_running()]

    def start_worker(self) -> None:
        """Start one more worker; returns when it is ready."""
        self.stack.start_worker().wait_for(self.stack.engine.ready)

    def by_hand(self) -> None:
        """Retry what dead workers held, by the engine's own command."""
        self.run("by_hand")

    def run(self, command: str) -> str:
        """Run a command of the engine's file; returns what it printed."""
        environment = self.stack.environment()
        log = self.stack.folder / f"{command}.log"
        with Process(command, engine_command(command), log, environment) as process:
            process.wait_with(lambda: None, PATIENCE_SECONDS)
            return process.output()


@contextmanager
def scene(
    engine: str, *, threads: int, workers: int = 1, slots: int = 4, database: str = ""
) -> Iterator[Scene]:
    """Start the reader on an engine."""
    settings = StackSettings(
        app="queued",
        engine=engine,
        slots=slots,
        threads=threads,
        workers=workers,
        deadline=10,
        database=database or "sqlite",
    )
    with SceneStack(settings) as stack:
        yield Scene(stack)


def until(holds: Callable[[], bool], within: float) -> float | None:
    """Wait for a condition; returns after how many seconds it held, or None if it did not in time."""
    began = time.monotonic()
    while not holds():
        if time.monotonic() - began > within:
            return None
        time.sleep(LOOK_SECONDS)
    return time.monotonic() - began


def expect(holds: Callable[[], bool], what: str) -> None:
    """Wait for what the trial needs. Raises ProcessError if it does not come."""
    if until(holds, PATIENCE_SECONDS) is None:
        raise ProcessError(f"{what} within {PATIENCE_SECONDS:g} seconds")
