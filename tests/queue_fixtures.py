"""Fixtures of the queue's tests: a queue on each backend, and workers in threads and processes.

A test module that needs them sets `pytest_plugins = ["queue_fixtures"]`.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from conftest import wait_until
from jobs_for_tests import Base, gates, said, scripts
from sqlalchemy import Engine, create_engine, event

from jobqueue import Queue, Worker
from jobqueue.observing import Observer
from jobqueue.postgresql import plan_steadily
from jobqueue.tools.meter import Meter
from jobqueue.tools.presence import Presence
from loadtests.servers.processes import Process

# Worker processes find the sample jobs here.
ENVIRONMENT = {"PYTHONPATH": str(Path(__file__).parent)}


@pytest.fixture
def queue(database_url: str) -> Iterator[Queue]:
    """An empty queue on each backend, beside the tables of the sample jobs."""
    said.clear()
    scripts.clear()
    queue = Queue(database_url)
    queue.create_tables()
    Base.metadata.create_all(queue.engine)
    yield queue
    let_threads_end()
    queue.close()


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """The application's own engine."""
    engine = create_engine(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def open_queue(queue: Queue, database_url: str) -> Iterator[Callable[..., Queue]]:
    """open_queue(**options) opens the test's queue again; it is closed after the test."""
    queues: list[Queue] = []

    def open_it(kind: type[Queue] = Queue, **options: Any) -> Queue:
        queues.append(kind(database_url, **options))
        return queues[-1]

    yield open_it
    let_threads_end()
    for opened in queues:
        opened.close()


def let_threads_end() -> None:
    """Open all gates, and wait until no thread uses a queue. A thread that returns a connection after its
    queue was closed leaves it open.
    """
    for gate in list(gates.values()):
        gate.set()
    gates.clear()
    wait_until(lambda: not queue_threads(), "the end of all threads that perform jobs or listen")


def queue_threads() -> list[threading.Thread]:
    """The threads of this process that perform jobs or listen for new ones."""
    return [thread for thread in threading.enumerate() if thread.name in ("jobqueue", "jobqueue watcher")]


class RunningWorker:
    """A worker that runs in a thread of this process; `lines` is its output."""

    def __init__(self, queue: Queue, observers: Sequence[Observer] = (), **options: Any):
        self.lines: list[str] = []
        usual = (Presence(queue), Meter(self.lines.append))  # those of `jobqueue work`
        self.worker = Worker(queue, observers=[*usual, *observers], **options)
        self._thread = threading.Thread(target=self.worker.run)
        self._thread.start()

    def stop(self) -> None:
        self.worker.stop()

    def wait(self) -> None:
        """Wait until run() has returned."""
        wait_until(lambda: not self._thread.is_alive(), "the worker's end")


@pytest.fixture
def run_worker(open_queue: object) -> Iterator[Callable[..., RunningWorker]]:
    """run_worker(queue, **options) starts a worker in a thread. It is stopped at once after the test."""
    workers: list[RunningWorker] = []

    def run(queue: Queue, **options: Any) -> RunningWorker:
        workers.append(RunningWorker(queue, **options))
        return workers[-1]

    yield run
    for worker in workers:
        worker.stop()
        worker.stop()
        worker.wait()


class WorkerProcess(Process):
    """A command with a worker, in a process that can't outlive the test."""

    def pid(self) -> int:
        """The worker's process id, once it has started."""
        return int(self.wait_for(r"\*\*\* Starting job worker host:\S+ pid:(\d+)\n")[1])

    def signal(self, number: int) -> None:
        """Send the command a signal, once its worker has started."""
        self.pid()
        self.tree()[0].send_signal(number)

    def exit_status(self) -> int:
        """Wait for its end; returns its exit status."""
        return self.wait_with(lambda: None, timeout=60)


@pytest.fixture
def start_worker(queue: Queue, database_url: str, tmp_path: Path) -> Iterator[Callable[..., WorkerProcess]]:
    """start_worker("--threads", "2") runs `jobqueue work` on the test's queue; it is ended after the test."""
    with ExitStack() as stack:

        def start(*options: str, program: Sequence[str] = ("-m", "jobqueue", "work")) -> WorkerProcess:
            command = [sys.executable, *program, "--database", database_url, "--import", "jobs_for_tests"]
            log = tmp_path / f"worker{len(list(tmp_path.glob('worker*.log')))}.log"
            return stack.enter_context(WorkerProcess("worker", [*command, *options], log, ENVIRONMENT))

        yield start


@pytest.fixture
def start_lone_worker(start_worker: Callable[..., WorkerProcess]) -> Callable[..., WorkerProcess]:
    """The same with a worker that has no supervisor: see lone_worker.py."""
    return partial(start_worker, program=[str(Path(__file__).with_name("lone_worker.py"))])


@pytest.fixture
def at_once() -> Callable[..., list[str]]:
    """at_once(3, code, ...) runs Python code in 3 processes; returns what each printed.

    Each process prepares itself, and waits in `input(">")` until all the others are ready too. (If the test
    has died, the process reads the end of its input there, and ends.)
    """

    def run(count: int, code: str, *arguments: str) -> list[str]:
        command = [sys.executable, "-c", code, *arguments]
        with ExitStack() as stack:
            processes = [
                stack.enter_context(
                    subprocess.Popen(
                        command,
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE,
                        env={**os.environ, **ENVIRONMENT, "PYTHONUNBUFFERED": "1"},
                        text=True,
                    )
                )
                for _ in range(count)
            ]
            for process in processes:
                assert process.stdout and process.stdout.read(1) == ">", "it did not reach input('>')"
            for process in processes:
                assert process.stdin
                process.stdin.write("\n")
                process.stdin.flush()
            printed = [process.communicate(timeout=60)[0] for process in processes]
            assert [process.returncode for process in processes] == [0] * count
            return printed

    return run


@pytest.fixture
def explain(queue: Queue) -> Iterator[Callable[[], list[str]]]:
    """explain() returns the database's plan (EXPLAIN) for each statement since the test began."""
    executed: list[tuple[str, Any]] = []

    def record(_connection: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        if statement.startswith(("SELECT", "WITH", "UPDATE", "DELETE")):
            executed.append((statement, parameters))

    def explain() -> list[str]:
        prefix = "EXPLAIN QUERY PLAN " if queue.engine.dialect.name == "sqlite" else "EXPLAIN "
        statements = executed[:]
        with queue.engine.connect() as connection:
            plan_steadily(connection)
            plans = [connection.exec_driver_sql(prefix + sql, values).all() for sql, values in statements]
        return ["\n".join(str(row[-1]) for row in plan) for plan in plans]

    engines = {queue.engine, queue.writer}
    for engine in engines:
        event.listen(engine, "before_cursor_execute", record)
    yield explain
    for engine in engines:
        event.remove(engine, "before_cursor_execute", record)
