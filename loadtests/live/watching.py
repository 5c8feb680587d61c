"""While a test runs, each process tells of its requests, and the one that judges takes in what all tell."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import gevent
from locust.runners import WorkerRunner

from loadtests.generator.gathering import NEWS
from loadtests.generator.telling import Teller, Told
from loadtests.live.figures import Live

TELLING_SECONDS = 0.25  # little at a time, so that telling does not delay requests


class Watching:
    """One test, watched until stop(). A process that sends has a `teller`; the one that judges, `live`, and
    calls `look` with it after each news. The `listeners` get all news.
    """

    def __init__(
        self,
        runner: Any,
        teller: Teller | None,
        live: Live | None,
        listeners: Sequence[Callable[[Told], object]],
        look: Callable[[Live], object],
    ) -> None:
        self.live = live
        self._runner = runner
        self._teller = teller
        self._listeners = listeners
        self._look = look
        # A worker does not know whether the master watches.
        watched = live or listeners or isinstance(runner, WorkerRunner)
        self._greenlet = gevent.spawn(self._watch) if watched else None

    def _watch(self) -> None:
        while True:
            gevent.sleep(TELLING_SECONDS)
            if self._teller:
                self._tell(self._teller.tell())
            if self.live:
                self._look(self.live)

    def _tell(self, told: Told) -> None:
        """Send the news to the master, or take it in if this process judges."""
        if isinstance(self._runner, WorkerRunner):
            self._runner.send_message(NEWS, {"told": told})
        else:
            self.take(told)

    def take(self, told: Told, process: str = "", later: float = 0.0) -> None:
        """Take in the news of a process whose clock started `later` seconds after the load's."""
        for listen in self._listeners:
            listen(told)
        if self.live and told.until < math.inf:
            self.live.take(told, process, later)

    def stop(self) -> None:
        """Watch no more; news that others still tell is taken in."""
        if self._greenlet:
            self._greenlet.kill()

    def tell_the_rest(self) -> None:
        """Tell of what ended since, once nothing more is sent."""
        if self._teller:
            self._tell(self._teller.rest())
