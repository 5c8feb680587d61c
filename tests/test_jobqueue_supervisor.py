"""The supervisor: a worker that dies is replaced, and its jobs run again at once."""

import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import still_running, wait_until
from jobs_for_tests import Append, HangAtFirst, KillItsWorker, WaitForFile, lines_of, only_job

from jobqueue import Queue

pytestmark = pytest.mark.live

pytest_plugins = ["queue_fixtures", "supervisor_fixtures"]

# The same command line, run by a program that kills workers sooner.
IMPATIENT = (
    "-c",
    "import sys; from jobqueue.tools import cli, processes; processes.KILL_MARGIN = 0.2;"
    " sys.exit(cli.main())",
)

StartSupervisor = Callable[..., Any]
Command = Callable[..., tuple[int, str]]


def test_the_job_of_a_killed_worker_runs_again_soon(
    queue: Queue, start_supervisor: StartSupervisor, tmp_path: Path
) -> None:
    """The job does not wait for its lease: the supervisor sees the death at once and starts a new worker."""
    begun = tmp_path / "begun.txt"
    supervisor = start_supervisor(1, "--lease", "3600")
    queue.enqueue(HangAtFirst(str(begun)))
    wait_until(lambda: lines_of(begun), "the job's beginning")
    (worker,) = supervisor.workers()
    killed_at = time.monotonic()
    worker.kill()
    wait_until(lambda: len(lines_of(begun)) == 2, "the second attempt")
    print(f"ran again {time.monotonic() - killed_at:.3f} s after kill -9")
    wait_until(lambda: "RuntimeError: the second attempt" in (only_job(queue).last_error or ""), "its end")
    assert rf"worker pid:{worker.pid} was killed by signal 9 (SIGKILL) after " in supervisor.output()
    (another,) = supervisor.wait_for_workers(1)
    assert another.pid != worker.pid
    assert supervisor.status()["workers"][0]["restarts"] == 1


def test_a_colleague_takes_over_the_job_of_a_killed_worker(
    queue: Queue, start_supervisor: StartSupervisor, tmp_path: Path
) -> None:
    """The colleague's own job is left alone."""
    begun, colleagues, go_on = (tmp_path / name for name in ("begun", "colleagues", "go_on"))
    supervisor = start_supervisor(2, "--lease", "3600")
    queue.enqueue(WaitForFile(str(colleagues), str(go_on)))
    wait_until(lambda: lines_of(colleagues), "the colleague's job")
    queue.enqueue(HangAtFirst(str(begun)))
    wait_until(lambda: lines_of(begun), "the other job")
    names = {job.handler: job.locked_by for job in queue.jobs()}
    (holder,) = [name for handler, name in names.items() if "HangAtFirst" in handler]
    (victim,) = [worker for worker in supervisor.workers() if f"pid:{worker.pid} " in f"{holder} "]
    victim.kill()
    wait_until(lambda: len(lines_of(begun)) == 2, "the second attempt")
    assert [job.locked_by for job in queue.jobs() if "WaitForFile" in job.handler] == [
        name for handler, name in names.items() if "WaitForFile" in handler
    ]
    go_on.touch()
    wait_until(lambda: len(queue.jobs()) == 1, "the end of the colleague's job")
    assert lines_of(colleagues) == ["begun"]


def test_a_job_that_kills_its_workers_runs_out_of_attempts(
    queue: Queue, start_supervisor: StartSupervisor, tmp_path: Path
) -> None:
    """It is kept as failed, and last_error says how its last worker died; other jobs still run."""
    begun, after = tmp_path / "begun.txt", tmp_path / "after.txt"
    queue.enqueue(KillItsWorker(str(begun)), max_attempts=2)
    start_supervisor(1, "--lease", "3600", wait=False)
    wait_until(lambda: only_job(queue).failed_at, "the end of its attempts")
    job = only_job(queue)
    assert (job.attempts, job.locked_by) == (2, None)
    assert "The worker host:" in (job.last_error or "")
    assert (job.last_error or "").endswith(" was killed by signal 9 (SIGKILL).")
    queue.enqueue(Append(str(after), "next"))
    wait_until(lambda: lines_of(after) == ["next"], "the next job")


def test_workers_that_can_not_start_are_tried_ever_more_rarely(
    queue: Queue, start_supervisor: StartSupervisor, order: Command, tmp_path: Path
) -> None:
    """They are tried again at once, then after 1, 2, 4 ... seconds. The log says why."""
    (tmp_path / "broken.py").write_text("import no_such_module")
    supervisor = start_supervisor(1, "--import", "broken", wait=False)
    supervisor.wait_for(r"import failed: No module named 'no_such_module'")
    supervisor.wait_for(r"ended with exit status 2 after \d+\.\d s: another one starts at once")
    supervisor.wait_for(r"ended with exit status 2 after \d+\.\d s: another one starts in 1 s")
    waits = re.compile(r"workers: 0 of 1\n  one waits to be restarted, restarts: [2-9]\n")
    wait_until(lambda: waits.search(order("status")[1]), "a longer wait")
    assert order("status")[0] == 1
    supervisor.signal(signal.SIGTERM)
    assert supervisor.exit_status() == 0


def test_workers_stop_by_themselves_when_the_supervisor_is_killed(
    queue: Queue, start_outlived: StartSupervisor, tmp_path: Path
) -> None:
    """They stop cleanly: a job that they can't finish in time is given back, its attempt not counted."""
    begun = tmp_path / "begun.txt"
    supervisor = start_outlived(2, "--stop-timeout", "0.2")
    workers = supervisor.workers()
    queue.enqueue(HangAtFirst(str(begun)))
    wait_until(lambda: lines_of(begun), "the job's beginning")
    supervisor.signal(signal.SIGKILL)
    wait_until(lambda: not still_running(workers), "the workers' end")
    assert (only_job(queue).attempts, only_job(queue).locked_by) == (0, None)
    assert supervisor.output().count("the supervisor is gone: this worker stops") == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_whole_group_is_no_second_signal(
    queue: Queue, start_supervisor: StartSupervisor, tmp_path: Path, number: int
) -> None:
    """A terminal's Ctrl-C or systemd's TERM reaches workers twice, and yet they finish running jobs."""
    begun, go_on = tmp_path / "begun.txt", tmp_path / "go_on"
    supervisor = start_supervisor(1)
    queue.enqueue(WaitForFile(str(begun), str(go_on)))
    wait_until(lambda: lines_of(begun), "the job's beginning")
    os.killpg(os.getpgid(supervisor.workers()[0].pid), number)
    supervisor.wait_for("stopping within 10 s")
    go_on.touch()
    assert supervisor.exit_status() == 0
    assert queue.jobs() == []


def test_a_worker_that_does_not_stop_is_killed(
    queue: Queue, start_supervisor: StartSupervisor, tmp_path: Path
) -> None:
    """Its jobs are freed before the supervisor ends. (A stopped process stands for one that hangs.)"""
    begun = tmp_path / "begun.txt"
    supervisor = start_supervisor(1, "--stop-timeout", "0.1", program=IMPATIENT)
    queue.enqueue(HangAtFirst(str(begun)))
    wait_until(lambda: lines_of(begun), "the job's beginning")
    supervisor.workers()[0].suspend()
    supervisor.signal(signal.SIGINT)
    assert supervisor.exit_status() == 0
    assert only_job(queue).locked_by is None
    assert "was killed from outside: it had not stopped in time" in (only_job(queue).last_error or "")


def test_hup_replaces_the_workers(queue: Queue, start_supervisor: StartSupervisor) -> None:
    """Each is replaced in turn by one that imports the modules anew. That does not count as a restart."""
    supervisor = start_supervisor(2)
    before = supervisor.workers()
    supervisor.signal(signal.SIGHUP)
    wait_until(lambda: not still_running(before), "the old workers' end")
    supervisor.wait_for_workers(2)
    assert [worker["restarts"] for worker in supervisor.status()["workers"]] == [0, 0]


def test_a_worker_that_can_not_end_ends_without_its_supervisor_too(
    queue: Queue, start_outlived: StartSupervisor, order: Command, tmp_path: Path
) -> None:
    """Here an application thread would keep the process alive forever; no supervisor is left to kill it."""
    (tmp_path / "clinging.py").write_text(
        "import threading\nfrom jobqueue.tools import working\nworking.KILL_MARGIN = 0.1\n"
        "threading.Thread(target=threading.Event().wait).start()\n"
    )
    options = ("--import", "clinging", "--stop-timeout", "0.1")
    supervisor = start_outlived(1, *options)
    workers = supervisor.workers()
    supervisor.signal(signal.SIGKILL)
    wait_until(lambda: not still_running(workers), "the worker's end")


def test_a_system_that_refuses_new_processes_is_asked_again(
    queue: Queue, start_supervisor: StartSupervisor
) -> None:
    """It is asked again a second later, and the supervisor goes on until then."""
    refused_once = (
        "import errno, os, sys; from jobqueue.tools import cli; fork = os.fork\n"
        "def refuse():\n    os.fork = fork\n    raise OSError(errno.EAGAIN, 'too many processes')\n"
        "os.fork = refuse; sys.exit(cli.main())"
    )
    supervisor = start_supervisor(1, program=("-c", refused_once))
    assert "no new process can be started: too many processes" in supervisor.output()
