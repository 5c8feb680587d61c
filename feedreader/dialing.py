"""Connections to untrusted servers: only to public addresses, and only until a deadline.

Both limits are enforced below HTTP. The address is checked when it is dialled, after the name look-up and on
every redirect, since a name may resolve to anything. At the deadline the connection is cut, whatever it waits
for: a client library's timeouts apply to each read, and a server that drips bytes outlasts them.
"""

import queue
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from ipaddress import ip_address
from typing import Any, Self

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

from feedreader.addresses import is_public
from feedreader.errors import FetchFailed

AddressInfo = tuple[Any, Any, int, str, Any]  # as socket.getaddrinfo returns it
Dial = Callable[[str, int], socket.socket]


class Deadline:
    """A moment, `seconds` from now, at which the watched connections are cut.

    A context manager: leaving it cancels the cut.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds
        self._wires: list[socket.socket] = []
        self._lock = threading.Lock()
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        with self._lock:
            while self._wires:
                self._wires.pop().close()

    @property
    def passed(self) -> bool:
        """Whether there is no time left."""
        return time.monotonic() >= self._end

    def remaining(self) -> float:
        """Seconds left, more than 0. Raises TimeoutError if there are none."""
        seconds = self._end - time.monotonic()
        if seconds <= 0:
            raise TimeoutError
        return seconds

    def watch(self, connection: socket.socket) -> None:
        """Cut this connection at the deadline. Raises TimeoutError if that has passed."""
        with self._lock:
            # A duplicate stays ours when TLS takes over the original; shutting it down ends both.
            self._wires.append(connection.dup())
        self.remaining()

    def _cut(self) -> None:
        with self._lock:
            for wire in self._wires:
                with suppress(OSError):  # no longer connected
                    wire.shutdown(socket.SHUT_RDWR)


class Dialer:
    """Connects to (host, port); returns a socket that the deadline watches.

    Raises FetchFailed if there is no such server or it may not be fetched from, TimeoutError at the deadline.
    """

    def __init__(self, deadline: Deadline, allow: frozenset[tuple[str, int]]) -> None:
        self._deadline = deadline
        self._allow = allow

    def __call__(self, host: str, port: int) -> socket.socket:
        host = host.strip("[]").lower()
        found = self._look_up(host, port)
        if (host, port) not in self._allow:
            found = [info for info in found if is_public(info[4][0])]
            if not found:
                raise FetchFailed(
                    "This address is on a private network, and is not fetched. Whoever runs this reader can"
                    f" allow it: FEEDREADER_ALLOW={f'[{host}]' if ':' in host else host}:{port}"
                )
        for left, (family, kind, protocol, _, address) in zip(range(len(found), 0, -1), found, strict=True):
            connection = socket.socket(family, kind, protocol)
            try:
                # A share of the time, so that one dead address does not use it all up.
                connection.settimeout(self._deadline.remaining() / left)
                connection.connect(address)
                self._deadline.watch(connection)
            except OSError:
                connection.close()
                continue
            return connection
        self._deadline.remaining()
        raise FetchFailed(f"Can't connect to the server {host} at port {port}.")

    def _look_up(self, host: str, port: int) -> list[AddressInfo]:
        """The addresses of `host`. Asked for in a thread, since a name look-up has no timeout."""
        look_up = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        if _is_ip_address(host):
            return look_up()
        answer: queue.SimpleQueue[list[AddressInfo]] = queue.SimpleQueue()

        def ask() -> None:
            try:
                answer.put(look_up())
            except (OSError, UnicodeError):  # UnicodeError: a name that no server can have
                answer.put([])

        threading.Thread(target=ask, name="look-up", daemon=True).start()
        try:
            found = answer.get(timeout=self._deadline.remaining())
        except queue.Empty:
            raise TimeoutError from None
        if not found:
            raise FetchFailed(f"There is no server named {host}.")
        return found


class DialingAdapter(HTTPAdapter):
    """Makes requests use only connections that `dial` opens."""

    def __init__(self, dial: Dial) -> None:
        super().__init__()
        self.poolmanager.pool_classes_by_scheme = {
            "http": partial(_HTTPPool, dial=dial),
            "https": partial(_HTTPSPool, dial=dial),
        }


class _DialledHTTP(HTTPConnection):
    """A connection of urllib3's, opened by `dial`."""

    def __init__(self, *args: Any, dial: Dial, **options: Any) -> None:
        super().__init__(*args, **options)
        self._dial = dial

    def _new_conn(self) -> socket.socket:
        return self._dial(self._dns_host, self.port)


class _DialledHTTPS(_DialledHTTP, HTTPSConnection):
    """The same, before the TLS handshake."""


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = _DialledHTTP


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _DialledHTTPS


def _is_ip_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
