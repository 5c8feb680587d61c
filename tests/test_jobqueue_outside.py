"""A worker that can't help itself: its parent sees it, kills it and replaces it, and other jobs go on."""

import ctypes
import os
import re
import resource
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from conftest import still_running, wait_until
from jobs_for_tests import Append, HangAtFirst, WriteLineAndHangAtFirst, lines_of, only_job

from jobqueue import Queue, job
from jobqueue.tools.statefile import StateFile

pytestmark = pytest.mark.live

pytest_plugins = ["queue_fixtures", "supervisor_fixtures"]

SHORT = ("--max-run-time", "1", "--lease", "3600")  # whoever waits for the lease waits in vain
KILLED = "was killed from outside: "
LATE = KILLED + r"job \d+ had exceeded its max_run_time, and the interpreter did not answer\."


def keep_the_interpreter() -> None:
    re.match(r"(a+)+$", "a" * 64 + "b")


def stop() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)
    threading.Event().wait()  # it takes a moment, in which the job could end


def close_all() -> None:
    os.closerange(3, 1000)
    threading.Event().wait()


def crash() -> None:
    ctypes.string_at(0)


def be_killed() -> None:
    """As by the kernel, when there is no memory left."""
    os.kill(os.getpid(), signal.SIGKILL)


def leave() -> None:
    os._exit(0)


WAYS = {  # to take a worker along, and what last_error says then
    keep_the_interpreter: LATE,
    stop: LATE,
    close_all: KILLED + r"its file descriptors had been closed\.",
    crash: r"was killed by signal 11 \(SIGSEGV\)\.",
    be_killed: r"was killed by signal 9 \(SIGKILL\)\.",
    leave: r"ended with exit status 0\.",
}


@job
@dataclass
class TakeAlong:
    """Poison: takes its worker along in one of WAYS."""

    way: str

    def perform(self) -> None:
        next(way for way in WAYS if way.__name__ == self.way)()


@job
class UseUpMemory:
    """Leaves its process not one byte, up to a limit of its own."""

    def perform(self) -> None:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + 2**26, resource.RLIM_INFINITY
        resource.setrlimit(resource.RLIMIT_AS, limit)
        kept: list[Any] = []
        for size in (2**20, 2**12, 2**6):
            with suppress(MemoryError):
                while True:
                    kept.append(bytearray(size))
        while True:
            kept = [kept]


def poison(queue: Queue, way: Callable[[], None], done: Path) -> int:
    """Enqueue such a job with two attempts, and good ones behind it; returns its id."""
    id = queue.enqueue(TakeAlong(way.__name__), max_attempts=2, priority=-1)
    queue.enqueue_many(Append(str(done), str(n)) for n in range(40))
    return id


def good_ones_are_done_and_poison_is_given_up(queue: Queue, id: int, done: Path, said: str) -> None:
    """The good jobs need no lease to end; then the poison's next attempt, due now, is its last."""
    wait_until(lambda: len(queue.jobs()) == 1, "the end of the good jobs")
    assert {*map(int, lines_of(done))} == set(range(40))

    wait_until(lambda: only_job(queue).locked_by is None, "the end of its attempt")
    queue.retry(id)
    wait_until(lambda: only_job(queue).failed_at, "the end of the poison")
    job = only_job(queue)
    assert (job.id, job.attempts) == (id, 2)
    assert re.fullmatch(f"The worker host:\\S+ pid:\\d+ \\S+ {said}", job.last_error or ""), job.last_error


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_a_job_that_takes_its_worker_along_stops_nothing_else(
    queue: Queue, start_worker: Callable[..., Any], tmp_path: Path, way: Callable[[], None]
) -> None:
    """Also with one process in the foreground: the good jobs are done, the bad one runs out of attempts, and
    the command ends in order.
    """
    done = tmp_path / "done"
    id = poison(queue, way, done)
    worker = start_worker("--import", "test_jobqueue_outside", *SHORT)
    good_ones_are_done_and_poison_is_given_up(queue, id, done, WAYS[way])
    worker.signal(signal.SIGTERM)
    assert worker.exit_status() == 0


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="only Linux tells what a process takes")
def test_a_job_that_uses_up_the_memory_of_its_process_fails_alone(
    queue: Queue, start_worker: Callable[..., Any], tmp_path: Path
) -> None:
    """Its worker goes on. Or another one does: a library in C may meet the end of the memory first, and abort
    the process, as seen on a busy machine.
    """
    done = tmp_path / "done"
    id = queue.enqueue(UseUpMemory(), max_attempts=1, priority=-1)
    queue.enqueue_many(Append(str(done), str(n)) for n in range(40))
    worker = start_worker("--threads", "2", "--import", "test_jobqueue_outside")
    wait_until(lambda: len(queue.jobs()) == 1 and only_job(queue).failed_at, "the end of all jobs")
    assert {*map(int, lines_of(done))} == set(range(40))
    assert only_job(queue).id == id
    assert re.search("MemoryError|SIGABRT", only_job(queue).last_error or ""), only_job(queue).last_error
    worker.signal(signal.SIGTERM)
    assert worker.exit_status() == 0
    assert "killing" not in worker.output()


def test_beside_it_other_threads_and_processes_go_on(
    queue: Queue, start_supervisor: Callable[..., Any], tmp_path: Path
) -> None:
    """Jobs in its worker's other threads are performed again, and their attempts are not used up."""
    done = tmp_path / "done"
    id = poison(queue, keep_the_interpreter, done)
    start_supervisor(2, "--threads", "4", "--import", "test_jobqueue_outside", *SHORT, wait=False)
    good_ones_are_done_and_poison_is_given_up(queue, id, done, LATE)


def test_workers_in_the_background_have_a_parent_too(
    queue: Queue, start: Callable[..., Any], tmp_path: Path
) -> None:
    """`jobqueue start` is the same supervisor."""
    started = start("--import", "test_jobqueue_outside", *SHORT)
    assert started.returncode == 0, started.stderr
    id = poison(queue, keep_the_interpreter, tmp_path / "done")
    good_ones_are_done_and_poison_is_given_up(queue, id, tmp_path / "done", LATE)


def test_a_worker_that_is_silent_for_a_lease_is_killed(
    queue: Queue, start_supervisor: Callable[..., Any], tmp_path: Path
) -> None:
    """Also an idle one; no attempt has to exceed its time first."""
    supervisor = start_supervisor(1, "--lease", "0.5")
    (worker,) = supervisor.workers()
    worker.suspend()
    supervisor.wait_for(r"killing worker pid:\d+: its interpreter had not run for 0\.5 s, the lease")
    wait_until(lambda: still_running([worker]) == [], "its end")
    queue.enqueue(Append(str(tmp_path / "done"), "done"))
    wait_until(lambda: lines_of(tmp_path / "done"), "a job's end")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_job_that_hangs_with_the_write_lock_is_ended_with_its_worker(
    queue: Queue, start_worker: Callable[..., Any], tmp_path: Path
) -> None:
    """Before that nobody can write: its worker can't even record the end of its attempt."""
    begun, done = tmp_path / "begun", tmp_path / "done"
    id = queue.enqueue(WriteLineAndHangAtFirst(str(begun), "written"), max_attempts=1)
    start_worker("--max-run-time", "0.2", "--lease", "1")
    wait_until(lambda: lines_of(begun), "the job's beginning")
    queue.enqueue(Append(str(done), "done"))
    wait_until(lambda: lines_of(done), "another job's end")
    job = queue.get(id)
    assert (job.attempts, job.state) == (1, "failed")
    why = f"{KILLED}job {id} had exceeded its max_run_time, and was not ended."
    assert (job.last_error or "").endswith(why), job.last_error
    queue.retry(id)
    wait_until(lambda: not queue.jobs(), "the end of its second attempt")


def test_a_worker_that_keeps_its_interpreter_does_not_outlive_its_parent_for_long(
    queue: Queue, start_outlived: Callable[..., Any]
) -> None:
    """Without one, nobody else could end it; and it says what kept it."""
    supervisor = start_outlived(1, "--lease", "3", "--import", "test_jobqueue_outside")
    workers = supervisor.workers()
    queue.enqueue(TakeAlong("keep_the_interpreter"))
    wait_until(lambda: only_job(queue).locked_by, "the claim")
    supervisor.signal(signal.SIGKILL)
    wait_until(lambda: still_running(workers) == [], "its end")
    supervisor.wait_for(r"in keep_the_interpreter")


def test_workers_are_not_blamed_for_the_time_in_which_their_parent_was_stopped_too(
    queue: Queue, start_worker: Callable[..., Any], tmp_path: Path
) -> None:
    """As by Ctrl-Z: the job goes on."""
    begun, lease = tmp_path / "begun", 1.0
    queue.enqueue(HangAtFirst(str(begun)))
    command = start_worker("--lease", str(lease))
    wait_until(lambda: lines_of(begun), "the job's beginning")
    parent, worker = command.tree()
    for process in (worker, parent):
        process.suspend()
    stopped = monotonic()
    wait_until(lambda: monotonic() > stopped + 2 * lease, "two leases")
    for process in (parent, worker):
        process.resume()
    command.signal(signal.SIGTERM)
    command.signal(signal.SIGTERM)
    assert command.exit_status() == 0
    assert "had not run" not in command.output()


def test_of_four_starts_at_once_one_wins(
    queue: Queue, start: Callable[..., Any], order: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    """The others say so, with the same status, and leave the winner alone."""
    with ThreadPoolExecutor() as pool:
        starts = [*pool.map(lambda _: start("-n", "1"), range(4))]
    state = StateFile(tmp_path / "jobqueue.state").read()
    assert state and state.working() == 1
    assert sorted(started.returncode for started in starts) == [0, 1, 1, 1], starts
    already = f"jobqueue: supervisor pid:{state.supervisor} is already running; a second one needs another"
    assert {started.stderr for started in starts} == {"", f"{already} --state\n"}
    assert order("status")[0] == 0
