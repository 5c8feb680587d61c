"""A load generator of the demo: Locust with visitors.py. Orders and news go through a socket."""

import contextlib
import socket
import sys
import time
from pathlib import Path

import msgspec

from loadtests.demo.controls import Order
from loadtests.generator.telling import Told
from loadtests.records.constants import LOCUST_SECONDS
from loadtests.servers.processes import Process
from loadtests.servers.stack import Stack

SOCKET = "DEMO_SOCKET"  # the variable that names it: a file in the stack's folder, which is this user's alone
LEAVING_SECONDS = 2  # that visitors who are too many may take to end their visit
CHUNK = 2**16


class Visitors:
    """The visitors to a stack's reader. A context manager, which returns when they can take orders.

    They end after `minutes`, whatever happens. Every request is written to `rows` then, if that is a file.
    Raises ProcessError if the generator does not start.
    """

    def __init__(self, stack: Stack, minutes: float, rows: Path | None = None) -> None:
        path = stack.folder / "demo.socket"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            listener.listen(1)
            listener.settimeout(0.1)
            command, log = _command(stack, minutes, rows), stack.folder / "locust.log"
            self.process = Process("load generator", command, log, {SOCKET: str(path)})
            self._socket = self._accept(listener)
        self._pending = b""

    def __enter__(self) -> "Visitors":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        self.process.stop()

    def _accept(self, listener: socket.socket) -> socket.socket:
        deadline = time.monotonic() + LOCUST_SECONDS
        while True:
            with contextlib.suppress(TimeoutError):
                return listener.accept()[0]
            if not self.process.is_running() or time.monotonic() > deadline:
                error = self.process.error("did not start")
                self.process.stop()
                raise error

    def order(self, order: Order) -> None:
        """Have it followed from now on."""
        self._socket.settimeout(LEAVING_SECONDS)
        with contextlib.suppress(OSError):  # it has ended, which Side.check() says
            self._socket.sendall(msgspec.json.encode(order) + b"\n")

    def news(self) -> list[Told]:
        """What has been told since the last time."""
        self._socket.settimeout(0)
        with contextlib.suppress(OSError):  # there is no more now
            while data := self._socket.recv(CHUNK):
                self._pending += data
        *lines, self._pending = self._pending.split(b"\n")
        return [msgspec.json.decode(line, type=Told) for line in lines]


def _command(stack: Stack, minutes: float, rows: Path | None) -> list[str]:
    locustfile = Path(__file__).with_name("visitors.py")
    return [
        *(sys.executable, "-m", "locust", "-f", str(locustfile), "--headless", "--only-summary"),
        *("--host", stack.url, "--feeds", stack.feeds_url, "--users", "1", "--spawn-rate", "1"),
        *("--run-time", f"{round(minutes * 60)}s", "--stop-timeout", str(LEAVING_SECONDS)),
        *(("--rows", str(rows)) if rows else ()),
    ]
