"""An observer that says what Delayed Job's worker says: that it starts and ends, and how fast it is."""

import logging
import time
from collections.abc import Callable

from jobqueue.observing import Event
from jobqueue.tools.printing import plural

logger = logging.getLogger("jobqueue")

REPORT_SECONDS = 5.0  # how often it reports on a busy worker; on an idle one at once


class Meter:
    """Calls `say` with each line. For one worker: Worker(queue, observers=[Meter(print)])."""

    def __init__(self, say: Callable[[str], None] = logger.info):
        self._say = say
        self._done = self._failed = 0
        self._since = time.monotonic()

    def __call__(self, event: Event) -> None:
        if event.kind == "performed":
            self._done += 1
        elif event.kind == "failed":
            self._done += 1
            self._failed += 1
        elif event.kind == "started":
            self._say(f"*** Starting job worker {event.worker.host}")
        elif event.kind in ("busy", "idle", "stopped"):
            self._report(at_once=event.kind != "busy")
        if event.kind == "stopped":
            self._say(f"*** Exiting job worker {event.worker.host}")

    def _report(self, at_once: bool) -> None:
        elapsed = time.monotonic() - self._since
        if not at_once and elapsed < REPORT_SECONDS:
            return
        if self._done:
            rate = self._done / max(elapsed, 1e-6)
            self._say(f"{plural(self._done, 'job')} processed at {rate:.4f} j/s, {self._failed} failed ...")
        self._done = self._failed = 0
        self._since = time.monotonic()
