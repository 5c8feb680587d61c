"""The messages between the processes of a distributed load, sent through Locust.

The master sends each worker its share of an open load, and asks it for its time again and again. Each worker
tells of its requests all the time (telling.py). At the end the master asks for the recordings and waits for
them, since Locust itself would end the workers at once.
"""

import logging
import time
from collections import defaultdict
from typing import Any

import gevent
import msgspec

from loadtests.generator.arrivals import Share
from loadtests.generator.clocks import Clock, clock_from, round_trip
from loadtests.generator.recordings import Collector, pack
from loadtests.records.recording import Recording

SHARE, STOP, RECORDING = "loadtests-share", "loadtests-stop", "loadtests-recording"
CLOCK, NEWS = "loadtests-clock", "loadtests-news"
# Between two requests for the time; the first few come sooner.
CLOCK_SECONDS, FIRST_CLOCKS, FIRST_CLOCK_SECONDS = 1.0, 5, 0.1
GATHERING_SECONDS = 30.0  # beyond the time that visits have to finish
ARRIVING_SECONDS = 0.02

log = logging.getLogger(__name__)


class Gathering:
    """The master's side of one load."""

    def __init__(self, runner: Any) -> None:
        self.started_at = time.time()
        self._runner = runner
        self._collectors = {
            client.id: Collector() for client in runner.clients.all if client.state != "missing"
        }
        for index, client_id in enumerate(self._collectors):
            share = {"index": index, "of": len(self._collectors)}
            runner.send_message(SHARE, share, client_id=client_id)
        self._trips: dict[str, list[Clock]] = defaultdict(list)
        self._clocks_fixed = False
        runner.register_message(CLOCK, self._take_clock)
        runner.register_message(RECORDING, self._take_recording)
        self._asking = gevent.spawn(self._ask_for_clocks)

    def processes(self) -> list[str]:
        """The ids of the workers."""
        return list(self._collectors)

    def _ask_for_clocks(self) -> None:
        asked = 0
        while True:
            self._runner.send_message(CLOCK, {"asked": time.time()})
            gevent.sleep(FIRST_CLOCK_SECONDS if asked < FIRST_CLOCKS else CLOCK_SECONDS)
            asked += 1

    def _take_clock(self, msg: Any, **_: Any) -> None:
        """Take in a worker's answer to a request for its time."""
        if not self._clocks_fixed:
            self._trips[msg.node_id].append(round_trip(msg.data["asked"], msg.data["answered"], time.time()))

    def fix_clocks(self) -> None:
        """Learn no more of the clocks: the final verdict counts the requests that it was decided by."""
        self._clocks_fixed = True

    def later(self, client_id: str, started_at: float) -> float:
        """How many seconds after the load, by our clock, a worker's recording started."""
        clock, _ = clock_from(self._trips[client_id])
        return started_at - clock.ahead - self.started_at

    def _take_recording(self, msg: Any, **_: Any) -> None:
        """Take in a part of a worker's recording, which nobody waits for once the load was judged."""
        if not self._asking.dead:
            self._collectors.setdefault(msg.node_id, Collector()).add(msg.data)

    def wait(self, drain: float) -> tuple[list[Recording], int]:
        """Ask for all recordings and wait.

        Returns them, corrected to our clock, and how many processes did not report.
        """
        self._runner.send_message(STOP)
        deadline = time.monotonic() + drain + GATHERING_SECONDS
        while self._expected() and time.monotonic() < deadline:
            gevent.sleep(ARRIVING_SECONDS)
        self._asking.kill()
        parts = [
            self._by_our_clock(client_id, collector.recording)
            for client_id, collector in self._collectors.items()
            if collector.recording
        ]
        lost = len(self._collectors) - len(parts)
        self._collectors.clear()  # the runner keeps this object until the next load begins
        return parts, lost

    def _by_our_clock(self, client_id: str, recording: Recording) -> Recording:
        clock, fault = clock_from(self._trips[client_id])
        if clock.ahead:
            log.warning(
                "The clock of %s is %+.3f s off. The times of its requests are corrected, to within %.1f ms.",
                *(client_id, clock.ahead, clock.error * 1000),
            )
        return msgspec.structs.replace(
            recording,
            started_at=recording.started_at - clock.ahead,
            clock_error_s=clock.error,
            faults=(*recording.faults, *filter(None, [fault])),
        )

    def _expected(self) -> bool:
        """True while a connected worker has not reported."""
        there = {client.id for client in self._runner.clients.all if client.state != "missing"}
        return any(
            client in there for client, collector in self._collectors.items() if not collector.recording
        )


def report(runner: Any, recording: Recording) -> None:
    """Send a worker's recording to the master."""
    for message in pack(recording):
        runner.send_message(RECORDING, message)


def tell_time(runner: Any, message: Any) -> None:
    """Answer the master's request for this worker's time."""
    runner.send_message(CLOCK, {"asked": message.data["asked"], "answered": time.time()})


def share_in(message: Any) -> Share:
    """The share in the master's message."""
    return Share(int(message.data["index"]), int(message.data["of"]))
