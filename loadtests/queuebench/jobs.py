"""The jobs of the queue's benchmark. Its workers import nothing else, since their memory is measured."""

import time
from dataclasses import dataclass

from jobqueue import job
from loadtests.queuebench.gate import PICKED

PAUSE_SECONDS = 0.1
THREADS = 50  # for jobs that pause


@job
class NoOp:
    """Does nothing, so that only the queue is measured."""

    def perform(self) -> None:
        pass


@job
class Pause:
    """Waits, as a job waits for somebody else's server."""

    def perform(self) -> None:
        time.sleep(PAUSE_SECONDS)


@job
@dataclass
class Stamp:
    """Prints the seconds since just before it was enqueued, and its process's CPU time so far.

    `sent` is on the machine's monotonic clock.
    """

    sent: float

    def perform(self) -> None:
        wait = time.monotonic() - self.sent
        print(f"{PICKED} {wait:.6f} s, CPU {time.process_time():.6f} s", flush=True)
