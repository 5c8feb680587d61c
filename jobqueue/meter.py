"""How fast a worker is, in Delayed Job's words."""

import time
from collections.abc import Callable

REPORT_SECONDS = 5.0  # a busy worker says this often how many jobs it has processed; an idle one at once


class Meter:
    """Says what Delayed Job's worker says: how many jobs, how fast."""

    def __init__(self, say: Callable[[str], None]):
        self._say = say
        self._done = self._failed = 0
        self._since = time.monotonic()

    def count(self, done: int, failed: int) -> None:
        """So many jobs were performed, so many of these failed."""
        self._done += done
        self._failed += failed

    def report(self, *, idle: bool) -> None:
        """Say what was counted, if anything: an idle worker at once, a busy one every few seconds."""
        elapsed = time.monotonic() - self._since
        if not idle and elapsed < REPORT_SECONDS:
            return
        if self._done:
            rate = self._done / max(elapsed, 1e-6)
            self._say(f"{self._done} jobs processed at {rate:.4f} j/s, {self._failed} failed ...")
        self._done = self._failed = 0
        self._since = time.monotonic()
