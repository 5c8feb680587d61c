"""Helpers for chapter 12: two databases, several workers, two load generators."""

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import loadtests
from loadtests.errors import ProcessError
from loadtests.folders import temporary_folder
from loadtests.judging.samples import summarise
from loadtests.queuebench.workbench import Workbench, work_command
from loadtests.records.constants import LOCUST_SECONDS
from loadtests.records.recording import read_recording
from loadtests.records.rows import in_window
from loadtests.servers.databases import database_server
from loadtests.servers.processes import Process
from loadtests.servers.stack import Stack, StackSettings

FEEDS_LOAD = Path(loadtests.__file__ or "").with_name("feeds.py")
WAITS_SECONDS = 0.1  # each job of `drains`


# ---- two databases, one table


def enqueue_rates(jobs: int) -> dict[str, float]:
    """Jobs per second that one process enqueues, each in its own transaction, by database."""
    rates = {}
    for database in ("sqlite", "postgresql"):
        with database_server(database) as server, temporary_folder("workbook") as folder:
            rates[database] = Workbench(server, folder).timed("jobqueue", "enqueue", jobs)
    return rates


def drains(jobs: int, threads: int, workers: Sequence[int]) -> dict[str, dict[str, float]]:
    """Seconds to drain jobs that wait 0.1 s each, by database and number of worker processes.

    Each worker has `threads` threads. All workers begin together, once the jobs are there.
    """
    found: dict[str, dict[str, float]] = {}
    for database in ("sqlite", "postgresql"):
        with database_server(database) as server, temporary_folder("workbook") as folder:
            workbench = Workbench(server, folder)
            found[database] = {str(number): _drain(workbench, jobs, threads, number) for number in workers}
            print(database, ", ".join(f"{n}: {seconds:.2f} s" for n, seconds in found[database].items()))
    return found


def _drain(workbench: Workbench, jobs: int, threads: int, workers: int) -> float:
    with (
        workbench.database() as url,
        workbench.workers(url, [work_command(url, threads)] * workers) as started,
    ):
        workbench.program("jobqueue", "fill-pauses", url, jobs)
        return jobs / started.drain(jobs)


def theory(jobs: int, threads: int, workers: int) -> float:
    """How long `drains` should take, in seconds: rounds of 0.1 s until all jobs are done."""
    return WAITS_SECONDS * -(-jobs // (threads * workers))


# ---- two load generators


def two_generators(users: int, seconds: int, processes: int) -> dict[str, Any]:
    """Load the queued reader on PostgreSQL from several Locust processes; returns one merged result."""
    settings = StackSettings(app="queued", slot_kind="threads", database="postgresql", deadline=4)
    with ExitStack() as exits:
        folder = exits.enter_context(temporary_folder("workbook"))
        stack = exits.enter_context(Stack(settings))
        file = folder / "rows.csv"
        command = [
            *(sys.executable, "-m", "locust", "-f", str(FEEDS_LOAD), "--headless", "--only-summary"),
            *("--host", stack.url, "--feeds", stack.feeds_url, "--rows", str(file)),
            *("--deadline", str(settings.deadline)),
            *("--users", str(users), "--spawn-rate", str(users), "--processes", str(processes)),
            *("--run-time", f"{seconds}s", "--stop-timeout", "2", "--warm-up", "2"),
            *("--exit-code-on-error", "0"),
        ]
        locust = exits.enter_context(Process("load generators", command, folder / "locust.log"))
        status = locust.wait_with(lambda: None, seconds + LOCUST_SECONDS)
        if not file.exists():
            raise ProcessError(f"Locust ended with status {status}. It said:\n{locust.output()[-1500:]}")
        recording = read_recording(file)
    counted = in_window(recording.rows, recording.warm_up_s, recording.stopped_s)
    submits = [row for row in counted if row.group == "submit"]
    return {
        "processes": len(recording.vitals),
        "users": recording.users(),
        "rows": len(recording.rows),
        "visitors seen": len({row.user for row in recording.rows}),
        "submit": summarise(submits, recording.ended_s),
    }
