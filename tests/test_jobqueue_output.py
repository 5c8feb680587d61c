"""A worker's log can't be written: the disk is full, its reader has gone, or a job has closed it."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jobs_for_tests import Append, CloseOutput, Fail, lines_of, only_job

from jobqueue import Queue

pytest_plugins = ["queue_fixtures"]
pytestmark = pytest.mark.live

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}


@pytest.fixture
def work(queue: Queue, database_url: str) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """work(stdout) runs `jobqueue work` until no job is left."""

    def run(stdout: Any) -> "subprocess.CompletedProcess[str]":
        line = [sys.executable, "-m", "jobqueue", "work", "--database", database_url, "--exit-when-empty"]
        line += ["--import", "jobs_for_tests"]
        errors = subprocess.PIPE
        return subprocess.run(
            line, env=ENVIRONMENT, stdout=stdout, stderr=errors, text=True, check=False, timeout=60
        )

    return run


def full_disk() -> int:
    return os.open("/dev/full", os.O_WRONLY)


def reader_gone() -> int:
    read, write = os.pipe()
    os.close(read)
    return write


@pytest.mark.parametrize("output", [full_disk, reader_gone])
def test_work_goes_on_without_a_log(
    queue: Queue, work: Callable[..., Any], tmp_path: Path, output: Callable[[], int]
) -> None:
    """Also after a job that fails, which has much to say; the exit status is as ever."""
    done = tmp_path / "done.txt"
    queue.enqueue(Append(str(done), "first"))
    queue.enqueue(Fail("x" * 100_000), max_attempts=1)
    queue.enqueue(Append(str(done), "last"))
    stdout = output()
    ended = work(stdout)
    os.close(stdout)
    assert lines_of(done) == ["first", "last"] and only_job(queue).failed_at
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize("names", [["stdout"], ["stdout", "stderr"]])
def test_work_goes_on_after_a_job_has_closed_the_output(
    queue: Queue, work: Callable[..., Any], tmp_path: Path, names: list[str]
) -> None:
    """Which is the whole process's."""
    done = tmp_path / "done.txt"
    queue.enqueue(CloseOutput(names))
    queue.enqueue(Fail("with nowhere to say so"), max_attempts=1)
    queue.enqueue(Append(str(done), "last"))
    ended = work(subprocess.PIPE)
    assert lines_of(done) == ["last"] and only_job(queue).failed_at
    assert (ended.returncode, ended.stderr) == (0, "")
