"""The same reader on two engines, for chapter 12: jobqueue, and Procrastinate in its place."""

import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import sqlalchemy as sa

from loadtests.feedserver.kinds import delay_of
from loadtests.servers.processes import Process
from loadtests.servers.stack import Stack, StackSettings, gunicorn_command
from workbook.readers import PATIENCE_SECONDS, comes_true, read, submit, under_way, wait_until
from workbook.session import NOTEBOOKS
from workbook.words import in_words

PROCRASTINATE = Path(__file__).with_name("chapter12_procrastinate.py")
POLL_SECONDS = 0.05
SLOW_SEARCHED = 500  # searched for the quickest of the slow ones


@dataclass
class EngineStack(Stack):
    """The queued reader on PostgreSQL, with jobqueue or with Procrastinate in its place.

    With either, a worker that is silent for two seconds counts as dead.
    """

    on: str = "jobqueue"

    def web_command(self) -> list[str]:
        if self.on == "jobqueue":
            return super().web_command()
        factory = "workbook.chapter12_procrastinate:create_app()"
        return gunicorn_command(self.settings, factory, "--pythonpath", str(NOTEBOOKS))

    def worker_command(self) -> list[str]:
        if self.on == "jobqueue":
            return [*super().worker_command(), "--lease", "2"]
        return self.tool("work", str(self.settings.threads))

    def tool(self, *arguments: str) -> list[str]:
        """A command of Procrastinate, for this reader."""
        return [sys.executable, str(PROCRASTINATE), *arguments]

    def ready(self) -> int:
        """How many feeds have been fetched."""
        engine = sa.create_engine(self.database_url, poolclass=sa.NullPool)
        with engine.connect() as connection:
            query = sa.text("SELECT count(*) FROM feeds WHERE status = 'ready'")
            return int(connection.execute(query).scalar_one())


def same_visitors(engines: Sequence[str], visitors: int, feeds: int) -> dict[str, list[dict[str, float]]]:
    """Let `visitors` at a time add typical feeds to the queued reader; each engine gets the same feeds.

    Returns, by engine, for each feed, in seconds: its own "delay", and when the "answer" and the "content"
    came. Visitors poll for the content 20 times a second.
    """
    found = {}
    for engine in engines:
        settings = _settings(slots=2 * visitors, threads=visitors)
        with EngineStack(settings, on=engine) as stack, ThreadPoolExecutor(visitors) as pool:
            visit = partial(read, stack.url, every=POLL_SECONDS)
            # First requests are slow with any engine, and don't count.
            list(pool.map(visit, (f"{stack.feeds_url}/feeds/fast/{n}.xml" for n in range(3 * visitors))))
            visits = list(pool.map(visit, (f"{stack.feeds_url}/feeds/typical/{n}.xml" for n in range(feeds))))
        found[engine] = [{"delay": delay_of("typical", n), **each} for n, each in enumerate(visits)]
        print(f"{engine}: {feeds} feeds, {visitors} at a time")
    return found


def worker_killed(engines: Sequence[str], watched: float) -> dict[str, dict[str, float | None]]:
    """Kill the only worker while it fetches a feed, and start another one at once; on each engine.

    Returns how many seconds after the kill the feed was there "by itself", or None if it was not within
    `watched` seconds. Then stalled jobs are retried, and "after a retry" is how long that took.
    """
    found = {}
    for engine in engines:
        print(f"{engine}: ", end="")
        with EngineStack(_settings(slots=2, threads=4), on=engine) as stack:
            found[engine] = _killed(stack, watched)
    return found


def _killed(stack: EngineStack, watched: float) -> dict[str, float | None]:
    feed = min(range(SLOW_SEARCHED), key=lambda n: delay_of("slow", n))
    submit(stack.url, f"{stack.feeds_url}/feeds/slow/{feed}.xml")
    wait_until(lambda: under_way(stack.feeds_url, "slow") == 1, "The fetch did not begin.")
    for process in stack.processes["worker 1"].tree():
        process.kill()
    killed = time.monotonic()
    stack.start_worker().wait_for(stack.engine.ready)
    if comes_true(lambda: stack.ready() == 1, watched):
        took = time.monotonic() - killed
        print(f"  the feed was there by itself, {in_words(took)} after the kill")
        return {"by itself": took}
    retried = _retried(stack)
    print(f"  not there after {watched:g} s; then {in_words(retried)} after a retry was asked for")
    return {"by itself": None, "after a retry": retried}


def _retried(stack: EngineStack) -> float:
    """Retry stalled jobs; returns seconds until the feed was there."""
    asked = time.monotonic()
    environment = {"FEEDREADER_DATABASE": stack.database_url}
    with Process("retry", stack.tool("retry-stalled"), stack.folder / "retry.log", environment) as retry:
        retry.wait_with(lambda: None, PATIENCE_SECONDS)
    wait_until(lambda: stack.ready() == 1, "The feed was not fetched even then.")
    return time.monotonic() - asked


def _settings(slots: int, threads: int) -> StackSettings:
    return StackSettings(
        app="queued", database="postgresql", slots=slots, slot_kind="threads", threads=threads
    )
