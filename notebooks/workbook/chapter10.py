"""What chapter 10 alone needs: two databases, several workers, two load generators, another engine."""

import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import sqlalchemy as sa

import loadtests
from loadtests.errors import ProcessError
from loadtests.judging.samples import in_window, read_rows, summarise
from loadtests.queuebench.stage import Stage, work_command
from loadtests.servers.databases import database_server
from loadtests.servers.processes import Process
from loadtests.servers.stack import Stack, StackSettings

FEEDS_LOAD = Path(loadtests.__file__ or "").with_name("feeds.py")
ENGINES = Path(__file__).with_name("chapter10_engines.py")
ENGINE = "procrastinate"
WAITS_SECONDS = 0.1  # each job of `drains` does
PATIENCE_SECONDS = 60.0
SOON_SECONDS = 0.01


# ---- two databases, one table


def enqueue_rates(jobs: int) -> dict[str, float]:
    """Jobs a second that one process enqueues, each in a transaction of its own, by database."""
    rates = {}
    for database in ("sqlite", "postgresql"):
        with database_server(database) as server, tempfile.TemporaryDirectory(prefix="workbook-") as folder:
            rates[database] = Stage(server, Path(folder)).timed("jobqueue", "enqueue", jobs)
    return rates


def drains(jobs: int, threads: int, workers: Sequence[int]) -> dict[str, dict[str, float]]:
    """Seconds until so many jobs that wait 0.1 s are done, by database and number of worker processes.

    Each worker has `threads` threads. All workers begin together, when the jobs are there.
    """
    found: dict[str, dict[str, float]] = {}
    for database in ("sqlite", "postgresql"):
        with database_server(database) as server, tempfile.TemporaryDirectory(prefix="workbook-") as folder:
            stage = Stage(server, Path(folder))
            found[database] = {str(number): _drain(stage, jobs, threads, number) for number in workers}
            print(database, ", ".join(f"{n}: {seconds:.2f} s" for n, seconds in found[database].items()))
    return found


def _drain(stage: Stage, jobs: int, threads: int, workers: int) -> float:
    with (
        stage.database() as url,
        stage.workers(url, [work_command(url, threads)] * workers) as started,
    ):
        stage.program("jobqueue", "fill-pauses", url, jobs)
        return jobs / started.drain(jobs)


# ---- two load generators


def two_generators(users: int, seconds: int, processes: int) -> dict[str, Any]:
    """The queued reader on PostgreSQL, and visitors of several processes of Locust, as one result."""
    settings = StackSettings(app="queued", slot_kind="threads", database="postgresql", deadline=4)
    with ExitStack() as exits:
        folder = Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="workbook-")))
        stack = exits.enter_context(Stack(settings))
        file = folder / "rows.csv"
        command = [
            *(sys.executable, "-m", "locust", "-f", str(FEEDS_LOAD), "--headless", "--only-summary"),
            *("--host", stack.url, "--feeds", stack.feeds_url, "--rows", str(file)),
            *("--users", str(users), "--spawn-rate", str(users), "--processes", str(processes)),
            *("--run-time", f"{seconds}s", "--stop-timeout", "2", "--warm-up", "2"),
            *("--exit-code-on-error", "0"),
        ]
        locust = exits.enter_context(Process("load generators", command, folder / "locust.log"))
        status = locust.wait_with(lambda: None, seconds + PATIENCE_SECONDS)
        if not file.exists():
            raise ProcessError(f"Locust ended with status {status}. It said:\n{locust.output()[-1500:]}")
        about, rows = json.loads(file.with_suffix(".json").read_text()), read_rows(file)
    counted = in_window(rows, 2, about["stopped_s"])
    submits = [row for row in counted if row.group == "submit"]
    return {
        "processes": about["processes"],
        "users": about["users"],
        "rows": len(rows),
        "visitors seen": len({row.user for row in rows}),
        "submit": summarise(submits, about["ended_s"]),
    }


# ---- another engine


def has_engine() -> bool:
    """Whether Procrastinate is installed here."""
    return find_spec(ENGINE) is not None


def engines(feeds: int, at_a_time: int) -> dict[str, dict[str, float]]:
    """The reader's job on jobqueue and on Procrastinate, both on PostgreSQL, with the same feeds.

    Returns for each, in seconds: to add all feeds, each with its job in one transaction; from a worker's
    start until the first is fetched; and from then until all are, by so many at a time.
    """
    found = {}
    with database_server("postgresql") as server, tempfile.TemporaryDirectory(prefix="workbook-") as name:
        folder = Path(name)
        command = [sys.executable, "-m", "loadtests", "feedserver", "--port", "0"]
        with Process("feed server", command, folder / "feeds.log") as feedserver:
            feeds_url = feedserver.wait_for_address()
            stage = Stage(server, folder)
            for engine in ("jobqueue", ENGINE):
                with stage.database() as url:
                    found[engine] = _one_engine(engine, url, feeds_url, feeds, at_a_time, folder)
    return found


def _one_engine(
    engine: str, url: str, feeds_url: str, feeds: int, at_a_time: int, folder: Path
) -> dict[str, float]:
    environment = {"FEEDREADER_ALLOW": feeds_url.removeprefix("http://"), "FEEDREADER_DATABASE": url}
    common = [sys.executable, str(ENGINES), engine, url]
    command = [*common, "add", feeds_url, str(feeds)]
    with Process("program that adds feeds", command, folder / f"add-{engine}.log", environment) as adding:
        adding.wait_with(lambda: None, PATIENCE_SECONDS)
        said = adding.wait_for(r'(?m)^{"seconds".*}$', timeout=0)[0]
    with Process("worker", [*common, "work", str(at_a_time)], folder / f"work-{engine}.log", environment):
        started = time.monotonic()
        database = sa.create_engine(url, poolclass=sa.NullPool)
        _wait_until(lambda: _fetched(database) >= 1)
        first = time.monotonic()
        _wait_until(lambda: _fetched(database) == feeds)
        return {
            "added in": json.loads(said)["seconds"],
            "first fetched after": first - started,
            "from the first to the last": time.monotonic() - first,
        }


def _fetched(database: sa.Engine) -> int:
    with database.connect() as connection:
        return int(
            connection.execute(sa.text("SELECT count(*) FROM feeds WHERE status = 'ready'")).scalar_one()
        )


def _wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        if time.monotonic() > deadline:
            raise ProcessError(f"Not all feeds were fetched within {PATIENCE_SECONDS:g} s.")
        time.sleep(SOON_SECONDS)


def theory(jobs: int, threads: int, workers: int) -> float:
    """How long `drains` should take, in seconds: as many rounds as it takes, of 0.1 s each."""
    return WAITS_SECONDS * -(-jobs // (threads * workers))
