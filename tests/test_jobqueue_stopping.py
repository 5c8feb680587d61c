"""Stopping a worker: it finishes running jobs, gives back those that don't end, and claims no more."""

import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import wait_until
from jobs_for_tests import HangAtFirst, Say, WaitAtGate, call, gates, lines_of, only_job, said

from jobqueue import Queue, Worker

pytest_plugins = ["queue_fixtures"]

RunWorker = Callable[..., Any]


def start_job(queue: Queue, run_worker: RunWorker, **options: Any) -> Any:
    """Start a worker whose only thread waits at a gate; a second job waits for that thread."""
    queue.enqueue(WaitAtGate("stop"))
    queue.enqueue(Say("next"))
    running = run_worker(queue, **options)
    wait_until(lambda: said == ["at stop"], "the job's beginning")
    return running


def test_a_worker_that_is_stopped_finishes_what_runs(queue: Queue, run_worker: RunWorker) -> None:
    """It claims no more: the next job is left to others."""
    running = start_job(queue, run_worker)
    running.stop()
    gates["stop"].set()
    running.wait()
    assert said == ["at stop", "through stop"]
    job = only_job(queue)
    assert (job.attempts, job.locked_by) == (0, None)
    assert running.lines[-1].startswith("*** Exiting job worker")


def test_what_does_not_end_in_time_is_given_back(
    queue: Queue, run_worker: RunWorker, caplog: pytest.LogCaptureFixture
) -> None:
    """The attempt is not counted, since the job is not to blame. Another worker may claim it at once."""
    caplog.set_level("INFO", "jobqueue")
    running = start_job(queue, run_worker, stop_timeout=0.1)
    running.stop()
    running.wait()
    assert "gave back 1 job: not finished when the worker was stopped" in caplog.messages
    assert [(job.attempts, job.locked_by, job.last_error) for job in queue.jobs()] == [(0, None, None)] * 2
    gates["stop"].set()
    assert Worker(queue).work_off() == (2, 0)


def test_a_second_stop_means_at_once(queue: Queue, run_worker: RunWorker) -> None:
    """A long stop_timeout is then cut short."""
    running = start_job(queue, run_worker, stop_timeout=3600.0)
    running.stop()
    running.stop()
    running.wait()
    assert [(job.attempts, job.locked_by) for job in queue.jobs()] == [(0, None)] * 2


def test_an_idle_worker_stops_at_once(queue: Queue, run_worker: RunWorker) -> None:
    """It does not sleep out its poll interval."""
    running = run_worker(queue, poll_interval=3600.0)
    wait_until(lambda: running.lines, "the worker's start")
    running.stop()
    running.wait()


def test_a_worker_stopped_before_it_runs_claims_nothing(queue: Queue) -> None:
    """A signal may arrive before run() begins."""
    queue.enqueue(Say("hello"))
    worker = Worker(queue)
    worker.stop()
    worker.run()
    assert said == [] and only_job(queue).attempts == 0


def test_ctrl_c_ends_run_in_order_without_a_signal_handler(queue: Queue) -> None:
    """`Worker(queue).run()` finishes the running job, claims no more, and then raises KeyboardInterrupt."""
    main = threading.main_thread().ident
    assert main and threading.current_thread() is threading.main_thread()

    def press_ctrl_c() -> None:
        signal.pthread_kill(main, signal.SIGINT)
        said.append("pressed")

    queue.enqueue(call(press_ctrl_c))
    queue.enqueue(Say("claimed after Ctrl-C"))
    with pytest.raises(KeyboardInterrupt):
        Worker(queue, threads=1).run()
    assert said == ["pressed"]
    job = only_job(queue)
    assert (job.attempts, job.locked_by) == (0, None)


@pytest.mark.live
def test_a_worker_process_gives_back_its_job_and_exits(
    queue: Queue, start_worker: Callable[..., Any], tmp_path: Path
) -> None:
    """It exits at once at the second signal, even though a thread still hangs."""
    begun = tmp_path / "begun.txt"
    queue.enqueue(HangAtFirst(str(begun)))
    process = start_worker("--stop-timeout", "3600")
    wait_until(lambda: lines_of(begun), "the job's beginning")
    process.signal(signal.SIGTERM)
    process.signal(signal.SIGINT)
    assert process.exit_status() == 0
    assert "gave back 1 job: not finished when the worker was stopped" in process.output()
    assert (only_job(queue).attempts, only_job(queue).locked_by) == (0, None)
