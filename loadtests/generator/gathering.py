"""The messages between the processes of a distributed load, sent through Locust.

The master tells each worker its share of an open load. At the end it asks for the recordings and waits for
them, since Locust itself would end the workers at once.
"""

import logging
import time
from typing import Any

import gevent

from loadtests.generator.arrivals import Share
from loadtests.generator.recordings import Collector, pack
from loadtests.records.recording import Recording

SHARE, STOP, RECORDING = "loadtests-share", "loadtests-stop", "loadtests-recording"
PATIENCE_SECONDS = 30.0  # beyond the time that visits have to finish
SOON_SECONDS = 0.02

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

    def add(self, client_id: str, message: dict[str, Any]) -> None:
        """Take in a message from a worker."""
        self._collectors.setdefault(client_id, Collector()).add(message)

    def wait(self, drain: float) -> tuple[list[Recording], int]:
        """Ask for all recordings and wait; returns them, and how many processes did not report."""
        self._runner.send_message(STOP)
        deadline = time.monotonic() + drain + PATIENCE_SECONDS
        while self._expected() and time.monotonic() < deadline:
            gevent.sleep(SOON_SECONDS)
        parts = [collector.recording for collector in self._collectors.values() if collector.recording]
        return parts, len(self._collectors) - len(parts)

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


def share_in(message: Any) -> Share:
    """The share in the master's message."""
    return Share(int(message.data["index"]), int(message.data["of"]))
