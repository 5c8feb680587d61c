"""Fixtures of the supervisor's tests: a supervisor on the test's queue, and the commands that control it.

A test module that needs them sets `pytest_plugins = ["queue_fixtures", "supervisor_fixtures"]`.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
from conftest import wait_until
from ends_with_its_test import PIPE_VARIABLE

from jobqueue import Queue
from jobqueue.tools.cli import main
from jobqueue.tools.statefile import StateFile
from loadtests.servers.processes import Process

# Worker processes find the sample jobs here.
ENVIRONMENT = {"PYTHONPATH": str(Path(__file__).parent)}
OUTLIVED = (
    "-c",
    "import signal, subprocess, sys; subprocess.run([sys.executable, '-m', 'jobqueue', *sys.argv[1:]]);"
    " signal.pause()",
)


class SupervisorProcess(Process):
    """`jobqueue work --processes N --state FILE` in a process that can't outlive the test."""

    def __init__(self, command: list[str], folder: Path):
        self.state = folder / "jobqueue.state"
        super().__init__("supervisor", command, folder / "supervisor.log", ENVIRONMENT)

    def status(self) -> dict[str, Any]:
        """The contents of the state file; {"workers": []} while there is none."""
        state = StateFile(self.state).read()
        return (
            {"workers": []} if state is None else vars(state) | {"workers": [vars(w) for w in state.workers]}
        )

    def workers(self) -> list[psutil.Process]:
        """The working workers, in the order of their places."""
        pids = [worker["pid"] for worker in self.status()["workers"] if worker["state"] == "working"]
        return [psutil.Process(pid) for pid in pids]

    def wait_for_workers(self, count: int) -> list[psutil.Process]:
        """Wait until `count` workers are working; returns them."""
        wait_until(lambda: len(self.workers()) == count == self.status().get("wanted"), f"{count} workers")
        return self.workers()

    def signal(self, number: int) -> None:
        os.kill(self.status()["supervisor"], number)

    def exit_status(self) -> int:
        return self.wait_with(lambda: None, timeout=60)


StartSupervisor = Callable[..., SupervisorProcess]
Command = Callable[..., tuple[int, str]]


@pytest.fixture
def start_supervisor(queue: Queue, database_url: str, tmp_path: Path) -> Iterator[StartSupervisor]:
    """start_supervisor(2, "--threads", "3") starts a supervisor of 2 workers, and waits for them."""
    with ExitStack() as stack:

        def start(
            count: int, *options: str, program: tuple[str, ...] = ("-m", "jobqueue"), wait: bool = True
        ) -> SupervisorProcess:
            command = [
                sys.executable,
                *program,
                "work",
                "--database",
                database_url,
                "--processes",
                str(count),
            ]
            command += ["--state", str(tmp_path / "jobqueue.state"), "--import", "jobs_for_tests", *options]
            supervisor = stack.enter_context(SupervisorProcess(command, tmp_path))
            if wait:
                supervisor.wait_for_workers(count)
            return supervisor

        yield start


@pytest.fixture
def start_outlived(start_supervisor: StartSupervisor) -> StartSupervisor:
    """The same in a program that goes on when the supervisor is killed, and so does the test's guard."""
    return partial(start_supervisor, program=OUTLIVED)


@pytest.fixture
def order(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """order("scale", "3") runs a command in the supervisor's folder; returns its exit status and output."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str]:
        exited = main(arguments)
        output = capsys.readouterr()
        return exited, output.out + output.err

    return run


@pytest.fixture
def start(
    database_url: str, queue: Queue, tmp_path: Path, order: Command
) -> Iterator[Callable[..., "subprocess.CompletedProcess[str]"]]:
    """start("-n", "2") runs `jobqueue start`. Its processes end with the test, even if that is killed."""
    pipe = tmp_path / "test_runs"
    os.mkfifo(pipe)
    ours = os.open(pipe, os.O_RDWR)

    def run(*options: str) -> "subprocess.CompletedProcess[str]":
        line = [sys.executable, "-m", "jobqueue", "start", "--database", database_url]
        line += ["--import", "ends_with_its_test", "--import", "jobs_for_tests", *options]
        environment = {**os.environ, **ENVIRONMENT, PIPE_VARIABLE: str(pipe)}
        return subprocess.run(
            line, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
        )

    yield run
    order("stop", "--now")
    os.close(ours)
