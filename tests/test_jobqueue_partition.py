"""A worker's host is cut off from the database's: nothing that either sends arrives any more."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import silent_host
from conftest import wait_until
from jobs_for_tests import Append, Line, WriteLine, WriteLineAndHangAtFirst, lines_of
from sqlalchemy import make_url, select
from sqlalchemy.orm import Session

from jobqueue import Queue
from loadtests.servers.processes import Process

pytest_plugins = ["queue_fixtures"]
pytestmark = [pytest.mark.live, pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)]

HERE = {"PYTHONPATH": str(Path(__file__).parent)}  # where it finds the jobs
SILENT_HOST = [*silent_host.NEEDS, sys.executable, silent_host.__file__]


class FarWorker(Process):
    """A worker on another host."""

    def cut_off(self) -> None:
        os.kill(int(self.wait_for(r"the link of pid:(\d+) is up")[1]), signal.SIGUSR1)

    def reconnect(self) -> None:
        os.kill(int(self.wait_for(r"the link of pid:(\d+) is up")[1]), signal.SIGUSR2)


@pytest.fixture
def far_worker(queue: Queue, database_url: str, tmp_path: Path) -> Iterator[Callable[..., FarWorker]]:
    """far_worker("--threads", "2") starts a worker on another host, ended after the test."""
    try:
        subprocess.run([*silent_host.NEEDS, *silent_host.LINK], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"needs network namespaces of Linux, by unshare and ip: {error}")
    url = make_url(database_url)
    options = {"options": url.query["options"]}
    far = url.set(host="10.77.0.1", port=5432, query=options).render_as_string(hide_password=False)
    with ExitStack() as stack:

        def start(*options: str) -> FarWorker:
            command = [*SILENT_HOST, str(url.query["host"]), sys.executable, "-m", "jobqueue", "work"]
            command += ["--database", far, "--import", "jobs_for_tests", *options]
            log = tmp_path / "far.log"
            return stack.enter_context(FarWorker("far worker", command, log, HERE))

        yield start


def test_a_worker_whose_database_vanishes_says_so_and_goes_on_when_it_is_back(
    queue: Queue, far_worker: Callable[..., FarWorker], tmp_path: Path
) -> None:
    """Left to the kernel, it would have noticed after a quarter of an hour."""
    effects = tmp_path / "effects.txt"
    worker = far_worker()
    queue.enqueue(Append(str(effects), "before"))
    wait_until(lambda: lines_of(effects) == ["before"], "the first job")
    worker.cut_off()
    worker.wait_for("the database did not answer, trying again")
    queue.enqueue(Append(str(effects), "after"))
    worker.reconnect()
    wait_until(lambda: lines_of(effects) == ["before", "after"] and not queue.jobs(), "the second job")


def test_of_two_hosts_the_one_that_is_not_cut_off_does_the_work(
    queue: Queue, far_worker: Callable[..., FarWorker], start_worker: Callable[..., Any], tmp_path: Path
) -> None:
    """Each job takes effect exactly once, also the one that the other host had begun, and whose transaction
    it had left open.
    """
    begun = tmp_path / "begun.txt"
    far = far_worker("--lease", "3")
    queue.enqueue(WriteLineAndHangAtFirst(str(begun), "begun there"))
    wait_until(lambda: lines_of(begun), "its beginning")
    near = start_worker("--lease", "3", "--threads", "2")
    near.pid()
    far.cut_off()
    queue.enqueue_many(WriteLine(f"job {n}") for n in range(240))
    wait_until(lambda: not queue.jobs(), "the end of all jobs")
    with Session(queue.engine) as session:
        done = sorted(session.scalars(select(Line.text)))
    assert done == sorted(["begun there", *(f"job {n}" for n in range(240))])
    far.wait_for("the database did not answer, trying again")
