"""The jobs of the queue's benchmark. Its workers import nothing else, since their memory is measured."""

import time
from dataclasses import dataclass

from jobqueue import job
from loadtests.queuebench.gate import PICKED

PAUSE_SECONDS = 0.1


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
    """Prints the seconds since just before it was enqueued; `sent` is on the machine's monotonic clock."""

    sent: float

    def perform(self) -> None:
        print(f"{PICKED} {time.monotonic() - self.sent:.6f} s", flush=True)
