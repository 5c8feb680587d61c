"""A worker's throughput, in Delayed Job's words."""

import time
from collections.abc import Callable

REPORT_SECONDS = 5.0  # how often a busy worker reports; an idle one reports at once


class Meter:
    """Reports as Delayed Job's worker does: how many jobs, and how fast."""

    def __init__(self, say: Callable[[str], None]):
        self._say = say
        self._done = self._failed = 0
        self._since = time.monotonic()

    def count(self, done: int, failed: int) -> None:
        """Add `done` performed jobs, of which `failed` failed."""
        self._done += done
        self._failed += failed

    def report(self, *, idle: bool) -> None:
        """Report the counts, if any: an idle worker at once, a busy one every REPORT_SECONDS."""
        elapsed = time.monotonic() - self._since
        if not idle and elapsed < REPORT_SECONDS:
            return
        if self._done:
            rate = self._done / max(elapsed, 1e-6)
            self._say(f"{self._done} jobs processed at {rate:.4f} j/s, {self._failed} failed ...")
        self._done = self._failed = 0
        self._since = time.monotonic()
