"""`jobqueue start|scale|status|stop`: workers in the background, under a supervisor."""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy.exc import DBAPIError

from jobqueue.database import complaint
from jobqueue.errors import JobQueueError
from jobqueue.tools import presence
from jobqueue.tools.asking import opened
from jobqueue.tools.options import DATABASE_VARIABLE, Commands, add_database
from jobqueue.tools.printing import complain
from jobqueue.tools.processes import KILL_MARGIN
from jobqueue.tools.statefile import StateFile, SupervisorState
from jobqueue.tools.working import add_options, arguments_for, how_many, prepare

STATE_FILE = Path("jobqueue.state")
START_SECONDS = 60.0
SETTLING_SECONDS = 0.05
ALREADY = "{} is already running; a second one needs another --state"


def add_commands(commands: Commands) -> None:
    add = commands.add_parser
    command = add(
        "start",
        help="start workers in the background",
        description="Start a supervisor in the background, which starts workers and restarts those that die."
        " Returns once they are working.",
    )
    add_database(command)
    command.add_argument(
        "-n", metavar="N", dest="processes", type=how_many, default=1, help="worker processes (1)"
    )
    _add_state(command)
    command.add_argument(
        "--log", metavar="FILE", type=Path, default=Path("jobqueue.log"), help="their output (jobqueue.log)"
    )
    add_options(command)
    command.set_defaults(run=start)

    command = add(
        "scale",
        help="change the number of workers",
        description="Change the number of workers under the supervisor; surplus workers stop gracefully."
        " Returns once the number is reached.",
    )
    command.add_argument("processes", metavar="N", type=how_many, help="worker processes")
    _add_state(command)
    command.set_defaults(run=scale)

    command = add(
        "status",
        help="show the state of the workers",
        description="Exit status 0: all workers are working. 1: some are not, or there is no supervisor."
        " The state file says which queue is theirs; --database is only needed if its URL has a password.",
    )
    add_database(command)
    _add_state(command)
    command.add_argument("--json", action="store_true", help="print JSON")
    command.set_defaults(run=status)

    command = add(
        "stop",
        help="stop the workers and their supervisor",
        description="Running jobs are finished, or given back after the workers' --stop-timeout."
        " Returns once all processes are gone.",
    )
    _add_state(command)
    command.add_argument("--now", action="store_true", help="give the jobs back at once")
    command.set_defaults(run=stop)


def start(options: argparse.Namespace) -> int:
    """Start a supervisor in the background; returns 0 when all its workers are working, 1 otherwise."""
    file = StateFile(options.state)
    if there := file.read():
        return complain(ALREADY.format(_described(there)))
    prepare(options).queue.close()  # report errors of the database or the modules right here
    command = [sys.executable, "-m", "jobqueue", "work", f"--processes={options.processes}"]
    command += [f"--state={options.state}", *arguments_for(options)]
    try:
        log = options.log.open("ab")
    except OSError as error:
        raise JobQueueError(f"the log {options.log} can't be written: {error.strerror}") from error
    with log:
        said_before = log.tell()
        supervisor = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # Not an argument, which would show its password to everybody.
            env={**os.environ, DATABASE_VARIABLE: options.database},
            start_new_session=True,
        )
    started = False

    def ours() -> SupervisorState | None:
        """The state of the supervisor started here; None if another one holds the file."""
        state = file.read()
        return state if state and state.supervisor == supervisor.pid else None

    try:
        _wait(lambda: supervisor.poll() is not None or _started(ours()) is not None, START_SECONDS)
        state = ours()
        started = bool(_started(state))
    finally:  # also on Ctrl-C
        if not started:
            supervisor.terminate()
            supervisor.wait()
    if not started or not state:
        if there := file.read():  # another `start` was faster
            return complain(ALREADY.format(_described(there)))
        text = options.log.read_bytes()[said_before:].decode(errors="replace")
        return complain(f"the workers did not start; {options.log} says:\n{text.rstrip()}")
    print(f"{_described(state)} runs, with workers: {state.working()}; they write to {options.log}")
    return 0


def scale(options: argparse.Namespace) -> int:
    """Change the number of workers; returns 0 once it is reached, 1 when it is not."""
    file = StateFile(options.state)
    state = file.read()
    if state is None or not file.order(str(options.processes)):
        return complain(_nobody(options))

    def reached() -> bool:
        now = file.read()
        there = now and (now.wanted, now.working(), len(now.workers))
        return now is None or there == (options.processes,) * 3

    if not _wait(reached, START_SECONDS + state.stop_timeout) or file.read() is None:
        return complain(f"the number of workers is not {options.processes}: see jobqueue status, and the log")
    print(f"workers: {options.processes}")
    return 0


def status(options: argparse.Namespace) -> int:
    """Print the state of the workers; returns 0 when all are working, 1 otherwise."""
    state = StateFile(options.state).read()
    if state is None:
        print(json.dumps({"running": False}) if options.json else _nobody(options))
        return 1
    options.database = state.database or options.database
    options.table, options.schema = state.table, state.schema
    done = _done(options) if options.database else {}
    now = datetime.now(UTC)
    rows: list[dict[str, Any]] = []
    for worker in state.workers:
        row = {**asdict(worker), "seconds": _age(worker.started_at, now), "succeeded": None, "failed": None}
        if (tally := done.get(worker.name)) is not None:
            row |= {"succeeded": tally.succeeded, "failed": tally.failed}
        rows.append(row)
    working = state.working()
    if options.json:
        print(json.dumps({"running": True, **asdict(state), "working": working, "workers": rows}))
    else:
        age = timedelta(seconds=_age(state.started_at, now))
        print(f"{_described(state)} runs for {age}, with workers: {working} of {state.wanted}")
        for row in rows:
            print("  " + _line(row))
    return 0 if working == state.wanted else 1


def stop(options: argparse.Namespace) -> int:
    """Stop the workers and their supervisor; returns 0 once they are gone, 1 when they are not in time."""
    file = StateFile(options.state)
    state = file.read()
    if state is None or not file.order("stop now" if options.now else "stop"):
        return complain(_nobody(options))
    limit = 3 * KILL_MARGIN + (0.0 if options.now else state.stop_timeout)
    if not _wait(lambda: file.read() is None, limit):
        return complain(f"{_described(state)} has not stopped; see its log, or: kill -9 {state.supervisor}")
    print(f"{_described(state)} has stopped")
    return 0


def _add_state(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--state",
        metavar="FILE",
        type=Path,
        default=STATE_FILE,
        help=f"the supervisor's state file ({STATE_FILE})",
    )


def _nobody(options: argparse.Namespace) -> str:
    return f"no supervisor runs with {options.state}: start one with jobqueue start"


def _described(state: SupervisorState) -> str:
    return f"supervisor pid:{state.supervisor}"


def _wait(condition: Callable[[], object], seconds: float) -> bool:
    """Wait until the condition is true; returns whether it became so in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(SETTLING_SECONDS)
    return True


def _started(state: SupervisorState | None) -> bool | None:
    """Whether all workers have begun to work, if only to die of a job; None while that is open."""
    if state is None or len(state.workers) < state.wanted:
        return None
    if any(worker.restarts and not worker.has_worked for worker in state.workers):
        return False
    return all(worker.has_worked for worker in state.workers) or None


def _done(options: argparse.Namespace) -> dict[str, presence.Tally]:
    """What each worker has done, by its name."""
    try:
        with opened(options) as queue, queue.engine.connect() as connection:
            return presence.tallies(connection, queue.tables)
    except (DBAPIError, JobQueueError) as error:
        why = complaint(error) if isinstance(error, DBAPIError) else error
        complain(f"can't read what the workers have done: {why}")
        return {}


def _age(since: str | None, now: datetime) -> int:
    return max(0, int((now - datetime.fromisoformat(since)).total_seconds())) if since else 0


def _line(row: dict[str, Any]) -> str:
    """A worker, on one line."""
    if row["pid"] is None:
        return f"one waits to be restarted, restarts: {row['restarts']}"
    words = f"pid:{row['pid']} {row['state']} for {timedelta(seconds=row['seconds'])}"
    done = "" if row["succeeded"] is None else f", succeeded: {row['succeeded']}, failed: {row['failed']}"
    return f"{words}, restarts: {row['restarts']}{done}"
