"""Parts of the supervisor: restart delays, the words for a worker's end, and who frees its jobs."""

import os
import subprocess
from collections.abc import Callable

import psutil
import pytest
from conftest import still_running, wait_until

from jobqueue.tools.forking import ending
from jobqueue.tools.processes import Death, Freer, Place, restart_delay
from jobqueue.tools.pulse import Pulse


def test_the_delay_before_a_restart_grows_to_a_minute() -> None:
    """A worker that keeps dying does not keep the machine busy."""
    delays = [restart_delay(deaths) for deaths in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10**6)]
    assert delays == [0, 1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_endings_are_told_in_words() -> None:
    """A signal is given by number, and by name if this system has one."""
    assert ending(0) == "ended with exit status 0"
    assert ending(-11) == "was killed by signal 11 (SIGSEGV)"
    assert ending(-200) == "was killed by signal 200"


def test_a_worker_is_starting_until_it_begins_to_work_or_takes_too_long() -> None:
    """A supervisor starts few at a time, but does not wait for one that hangs in an import."""
    place = Place(pid=7, started=100.0)
    assert place.is_starting(100.9) and not place.is_starting(101.1)
    place.name = "host:here pid:7 0"
    assert not place.is_starting(100.5) and not Place().is_starting(100.5)


@pytest.mark.live
def test_a_worker_that_is_to_stop_at_once_is_in_doubt_from_then_on() -> None:
    """One that is to stop in order has until its jobs' time is up."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
        place = Place(pid=process.pid)
        place.pulse = Pulse(1)
        place.ask_to_stop(100.0, 60.0)
        assert place.limit(lease=1e9)[0] > 160.0
        place.ask_to_stop(100.0, 60.0, at_once=True)
        assert place.limit(lease=1e9) == (100.0, "it had not stopped in time")


@pytest.mark.live
def test_freeing_is_tried_again_and_given_up_in_the_end(caplog: pytest.LogCaptureFixture) -> None:
    """It is retried while the database is away, until the lease expires and other workers free the jobs."""
    tries = []

    def fork(_run: Callable[[], int]) -> int:
        tries.append(os.posix_spawnp("false", ["false"], os.environ))
        wait_until(lambda: not still_running([psutil.Process(tries[-1])]), "its end")
        return tries[-1]

    freer = Freer(fork, lambda _dead: 0, patience=2.5)
    freer.add("a worker", Death("was killed", at=0.0))
    for now in (0.0, 0.5, 1.5, 2.4):
        freer.turn(now)
        assert freer.next_moments()
    assert len(tries) == 2
    freer.turn(2.6)
    assert freer.next_moments() == []
    message = "the jobs of a worker could not be freed: they come back when their lease expires"
    assert caplog.messages == [message]


@pytest.mark.live
def test_freeing_is_given_up_when_the_supervisor_ends() -> None:
    """A hung database does not keep the supervisor. (A process waiting for its input stands for that.)"""
    reading, ours = os.pipe()
    processes = []

    def fork(_run: Callable[[], int]) -> int:
        to_its_input = [(os.POSIX_SPAWN_DUP2, reading, 0)]
        pid = os.posix_spawnp("cat", ["cat"], os.environ, file_actions=to_its_input)
        processes.append(psutil.Process(pid))
        return pid

    freer = Freer(fork, lambda _dead: 0, patience=30.0)
    freer.add("a worker", Death("was killed", at=0.0))
    freer.turn(0.0)
    freer.end()
    wait_until(lambda: not still_running(processes), "its end")
    processes[0].wait()
    os.close(reading)
    os.close(ours)
