"""Helpers for chapter 12: workers killed on several engines, two databases, several workers."""

import json
from collections.abc import Sequence
from contextlib import ExitStack

from loadtests.enginebench.harm import Aftermath
from loadtests.enginebench.tables import engine_label
from loadtests.enginebench.trials import trial_command
from loadtests.engines.engines import check_engine
from loadtests.folders import temporary_folder
from loadtests.queuebench.workbench import Workbench, work_command
from loadtests.servers.databases import database_server
from loadtests.servers.processes import Process
from workbook.readers import PATIENCE_SECONDS

WAITS_SECONDS = 0.1  # each job of `drains`


# ---- a worker killed, on several engines


def workers_killed(engines: Sequence[str], watched: float, lease: float) -> dict[str, Aftermath]:
    """Kill each engine's only worker while it fetches ten feeds, and start another one at once; side by side.

    Returns what has become of the feeds after `watched` seconds, by engine. `lease`: jobqueue's, in seconds.
    Raises UsageError if an engine is not installed.
    """
    for engine in engines:
        check_engine(engine)
    found: dict[str, Aftermath] = {}
    with temporary_folder("workbook") as folder, ExitStack() as exits:
        trials = {}
        for engine in engines:
            command = trial_command(engine, "worker-killed", folder, lease=lease, only_watch=watched)
            trial = Process(f"trial of {engine_label(engine)}", command, folder / f"{engine}.log")
            trials[engine] = exits.enter_context(trial)
        for engine, trial in trials.items():
            if trial.wait_with(lambda: None, watched + 3 * PATIENCE_SECONDS):
                raise trial.error("failed")
            found[engine] = json.loads(trial.output().splitlines()[-1])["worker-killed"]
            fetched, after = found[engine]["by_itself"], found[engine]["after_s"]
            when = f", the last {after} s after the kill" if after else ""
            print(f"{engine_label(engine)}: {fetched} of {found[engine]['stored']} feeds came{when}")
    return found


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
