"""What a supervisor sees of a worker without its help: a page of memory that both share.

A thread of the worker notes that the interpreter runs, and those that perform jobs note which, and how long
these may take: Worker.running. Nothing has to be sent, so a job that keeps the interpreter, or closes all
file descriptors, hides nothing. The monotonic clock is the same in all processes.
"""

import faulthandler
import mmap
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

BEAT_SECONDS = 0.25
DOUBT_SECONDS = 1.0  # for which a supervisor looks at a worker that seems to hang before it kills it


class Pulse:
    """The page of one worker process with so many threads. Make it before the fork."""

    def __init__(self, threads: int):
        cells = memoryview(mmap.mmap(-1, 8 * (2 + 2 * threads))).cast("d")
        self.running: Sequence[Any] = [cells[n : n + 2] for n in range(2, len(cells), 2)]
        self._cells = cells
        self.beat()

    def beat(self) -> None:
        """Note that the worker was alive just now."""
        self._cells[0] = time.monotonic()

    def keep_beating(self, most: float) -> None:
        """In the worker: start the thread that does so for as long as the interpreter runs. If that stands
        still for `most` seconds, the process ends, though its supervisor may be gone.
        """

        def loop() -> None:
            while True:
                self.beat()
                with suppress(RuntimeError):  # out of memory
                    # A thread that needs no interpreter; it also says what that did.
                    faulthandler.dump_traceback_later(most, exit=True, file=2)
                time.sleep(BEAT_SECONDS)

        threading.Thread(target=loop, name="jobqueue beat", daemon=True).start()

    @property
    def finished(self) -> bool:
        """Whether the worker has ended in order, and holds no job any more."""
        return bool(self._cells[1])

    def finish(self) -> None:
        self._cells[1] = 1

    def late(self, now: float) -> list[int]:
        """The ids of the jobs that have exceeded their max_run_time."""
        return [int(id) for id, until in self.running if 0 < until <= now]

    def limits(self, lease: float) -> Iterator[tuple[float, str]]:
        """The moments from which on the worker is in doubt unless something changes, and why.

        If the interpreter stands still when a job's time is up, its silence before that is part of the doubt:
        it is killed half of DOUBT_SECONDS later, or once it has been silent for one and a half.
        """
        beat = self._cells[0]
        yield beat + lease, f"its interpreter had not run for {lease:g} s, the lease"
        for id, until in self.running:
            if until and until <= beat:  # the interpreter runs, and will end it once the database answers
                yield until + lease, f"job {id:.0f} had exceeded its max_run_time, and was not ended"
            elif until:  # it is 0 before the worker runs
                since = max(beat, until - DOUBT_SECONDS) + DOUBT_SECONDS / 2
                yield since, f"job {id:.0f} had exceeded its max_run_time, and the interpreter did not answer"
