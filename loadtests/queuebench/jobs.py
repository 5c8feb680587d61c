"""The jobs of the queue's benchmark: what its workers import, and no more, since their memory is measured."""

import time
from dataclasses import dataclass

from jobqueue import job
from loadtests.queuebench.gate import PICKED

PAUSE_SECONDS = 0.1


@job
class NoOp:
    """Does nothing: what is measured is the queue."""

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
    """Says how many seconds ago it was about to be enqueued; `sent` is on the machine's monotonic clock."""

    sent: float

    def perform(self) -> None:
        print(f"{PICKED} {time.monotonic() - self.sent:.6f} s", flush=True)
