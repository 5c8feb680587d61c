"""Where the queue's benchmark runs: a database, programs that end by themselves, and workers that don't.

Each runs under guard in its own process. A worker is observed from outside: a `Watch` looks up single rows by
their id, which costs the worker next to nothing.
"""

import contextlib
import itertools
import json
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa

from loadtests.errors import ProcessError
from loadtests.queuebench.gate import GATE, READY
from loadtests.queuebench.plain import postgres_dsn
from loadtests.servers.databases import fresh_database
from loadtests.servers.processes import Process, own_memory

PROGRAM_SECONDS = 600.0


class Workbench:
    """Measures on one kind of database. `server` is as fresh_database() takes it; files go below `folder`."""

    def __init__(self, server: str, folder: Path):
        self.server = server
        self.folder = folder
        self._numbers = itertools.count(1)

    @contextlib.contextmanager
    def database(self) -> Iterator[str]:
        """Create an empty database, removed afterwards; yields its URL."""
        folder = self.folder / f"database-{next(self._numbers)}"
        folder.mkdir()
        with fresh_database(self.server, folder) as url:
            yield url

    def program(self, system: str, work: str, url: str, count: int, *options: str) -> float:
        """Run one of programs.py; returns its rate in jobs a second. Raises ProcessError."""
        command = program_command(system, work, url, count)
        with self._process(f"program {system} {work}", [*command, *options]) as process:
            process.wait_with(lambda: None, PROGRAM_SECONDS)
            said = process.wait_for(r'(?m)^{"count".*}$', timeout=0)[0]
        answer = json.loads(said)
        return float(answer["count"] / answer["seconds"])

    def timed(self, system: str, work: str, count: int) -> float:
        """The same in a fresh database."""
        with self.database() as url:
            return self.program(system, work, url, count)

    def megabytes_of(self, code: str) -> float:
        """The memory of an interpreter that has run `code`."""
        program = f"{code}; import time; print('ready', flush=True); time.sleep({PROGRAM_SECONDS})"
        with self._process("interpreter", [sys.executable, "-c", program]) as process:
            process.wait_for("ready", PROGRAM_SECONDS)
            return _megabytes(process)

    @contextlib.contextmanager
    def workers(self, url: str, commands: Sequence[Sequence[str]]) -> Iterator["Workers"]:
        """Start workers, one per command, which wait at a gate with everything imported."""
        gate = self.folder / f"gate-{next(self._numbers)}"
        with contextlib.ExitStack() as stack:
            processes = [
                stack.enter_context(self._process("worker", command, {GATE: str(gate)}))
                for command in commands
            ]
            yield Workers(processes, gate, stack.enter_context(contextlib.closing(Watch(url))))

    def _process(
        self, name: str, command: Sequence[str], environment: dict[str, str] | None = None
    ) -> Process:
        return Process(name, command, self.folder / f"{next(self._numbers)}.log", environment)


def work_command(url: str, threads: int = 1, *options: str) -> list[str]:
    """jobqueue's own command for a worker, with all settings but these at their defaults."""
    work = [sys.executable, "-m", "jobqueue", "work", "--database", url, "--threads", str(threads)]
    return [*work, "--import", "loadtests.queuebench.jobs", *options]


def program_command(system: str, work: str, url: str, count: int = 0) -> list[str]:
    """The command of one of programs.py."""
    return [sys.executable, "-m", "loadtests.queuebench.programs", system, work, url, str(count)]


class Workers:
    """Running workers and their gate."""

    def __init__(self, processes: Sequence[Process], gate: Path, watch: "Watch"):
        self.processes = processes
        self.watch = watch
        self._gate = gate

    def begin(self) -> None:
        """Wait until all of them have started, then let them go together."""
        for process in self.processes:
            process.wait_for(READY, PROGRAM_SECONDS)
        self._gate.touch()

    def drain(self, count: int, least: int = 0) -> float:
        """Let them go, and wait until the first `count` of the waiting jobs with ids from `least` on are
        done; returns jobs a second.

        The clock runs from the moment the first job is seen claimed to the moment the last is seen gone.
        """
        first = self.watch.first_id(least)
        if first is None:
            raise ProcessError("No job is waiting, though a program has just enqueued some.")
        last = first + count - 1
        self.begin()
        self.wait_until(lambda: self.watch.is_claimed(first))
        start = time.perf_counter()
        self.wait_until(lambda: self.watch.are_gone(last, last))
        self.wait_until(lambda: self.watch.are_gone(first, last))
        end = time.perf_counter()
        left = self.watch.first_id(last)  # the last job's batch may have included later ones
        return ((left or last + 1) - first) / (end - start)

    def output(self) -> str:
        """Everything the workers have printed."""
        return "".join(process.output() for process in self.processes)

    def megabytes(self) -> float:
        """The memory of the largest of them."""
        return max(map(_megabytes, self.processes))

    def wait_until(self, condition: Callable[[], object]) -> None:
        """Poll `condition` after each hundredth of the time passed: no figure is off by more than that.

        Raises ProcessError if a worker ends, or if it takes more than PROGRAM_SECONDS.
        """
        start = time.perf_counter()
        while not condition():
            passed = time.perf_counter() - start
            for process in self.processes:
                if not process.is_running():
                    process.wait_for(r"(?!)", timeout=0)  # matches nothing: raises with the output
            if passed > PROGRAM_SECONDS:
                raise ProcessError(f"The workers were not done after {PROGRAM_SECONDS:g} seconds.")
            time.sleep(min(0.01, max(0.0005, passed / 100)))


def _megabytes(process: Process) -> float:
    """The memory of a process and its descendants."""
    return sum(map(own_memory, process.tree())) / 1e6


class Watch:
    """Looks at a few jobs of a queue by their ids, without opening a transaction."""

    def __init__(self, url: str):
        self._is_postgres = sa.make_url(url).get_backend_name() == "postgresql"
        self._url = url
        self._connection: Any = None

    def first_id(self, least: int = 0) -> int | None:
        """The lowest job id from `least` on; None if there is none."""
        found: int | None = self._look(f"SELECT min(id) FROM jobs WHERE id >= {least}")[0][0]
        return found

    def last_id(self) -> int:
        """The highest job id; 0 if there is none."""
        found: int | None = self._look("SELECT max(id) FROM jobs")[0][0]
        return found or 0

    def is_claimed(self, id: int) -> bool:
        """Whether a worker has claimed the job, or finished it."""
        return not self._look(f"SELECT id FROM jobs WHERE id = {id} AND locked_by IS NULL")

    def are_gone(self, first: int, last: int) -> bool:
        """Whether no job with an id from `first` to `last` is left."""
        return not self._look(f"SELECT id FROM jobs WHERE id BETWEEN {first} AND {last} LIMIT 1")

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def _look(self, statement: str) -> list[tuple[Any, ...]]:
        if self._connection is None:  # opened late: the file or the table may not exist earlier
            if self._is_postgres:
                self._connection = psycopg.connect(postgres_dsn(self._url), autocommit=True)
            else:
                path = sa.make_url(self._url).database or ""
                self._connection = sqlite3.connect(path, isolation_level=None, timeout=15)
        rows: list[tuple[Any, ...]] = self._connection.execute(statement).fetchall()
        return rows
