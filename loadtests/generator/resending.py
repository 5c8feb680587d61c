"""Records what FastHttpUser's client hides: it silently resends a request whose connection was dropped.

geventhttpclient resends GET, HEAD, OPTIONS, TRACE, PUT and DELETE up to eleven times, and Locust as often as
a user's `max_retries` says. Here each failed attempt becomes a row of its own, a failure.

One kind is not a failure: a server may close an idle connection at the very moment when a request is sent on
it. That request never reached the app. The kernel's counters of the connection tell it apart: it was
never acknowledged, and the server's FIN arrived. Such requests are only counted. A request that was
acknowledged and still dropped is a failure, even if the server merely noticed it too late. So is every
dropped request where the kernel has no such counters; only Linux has them.
"""

import functools
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from weakref import WeakSet

from loadtests.generator.recorder import Pending, Recorder, error_words

SENT_AGAIN = "its connection was dropped; it was sent again"
# Of struct tcp_info in linux/tcp.h: tcpi_bytes_acked and tcpi_bytes_received; a FIN counts as a byte.
TCP_INFO, ACKED_AND_RECEIVED = getattr(socket, "TCP_INFO", None), struct.Struct("=120xQQ")


_sending: ContextVar["Attempts | None"] = ContextVar("sending", default=None)  # each greenlet has its own
_used: WeakSet[Any] = WeakSet()  # connections on which something was sent


class Attempts:
    """The attempts to send one request, which `watch` makes geventhttpclient report."""

    def __init__(self, recorder: Recorder, pending: Pending) -> None:
        self._recorder = recorder
        self._pending = pending
        self._failed: tuple[str, int] | None = None  # error and status of the previous attempt
        self._connection: Any = None
        self._before: tuple[int, int] | None = None  # its counters when it was taken, if it was used before
        self._idle: bool | None = None  # whether the dropped connection was idle; None: none dropped

    def begin(self) -> None:
        """The client is asked to send the request: a retry if the previous attempt failed."""
        if self._failed:
            self._recorder.again(self._pending, *self._failed)
        self._failed = self._connection = self._idle = None

    def failed(self, error: str, status: int = 0) -> None:
        """The client got no answer, or an error status."""
        self._failed = error, status

    def connect(self) -> None:
        """The client needs a connection, perhaps because the previous one was dropped."""
        if self._idle:
            self._recorder.resent += 1
        elif self._idle is not None:
            self._recorder.again(self._pending, SENT_AGAIN)
        self._idle = None

    def took(self, connection: Any) -> None:
        """The client sends the request on this connection."""
        self._connection = connection
        self._before = counters(connection) if connection in _used else None
        _used.add(connection)

    def closes(self, connection: Any) -> None:
        """The client closes a connection, because it was dropped or the request is over."""
        if connection is self._connection:
            self._idle = was_idle(self._before, counters(connection))


@contextmanager
def attempts(recorder: Recorder, pending: Pending) -> Iterator[None]:
    """Take everything that the block sends as attempts to send this request."""
    token = _sending.set(Attempts(recorder, pending))
    try:
        yield
    finally:
        _sending.reset(token)


def watch(client: Any, pool: Any) -> None:
    """Make geventhttpclient's client and connection pool classes report each attempt."""
    send, connect, close = client.request, pool.get_socket, pool.release_socket

    @functools.wraps(send)
    def request(self: Any, *args: Any, **kwargs: Any) -> Any:
        sending = _sending.get()
        if sending is None:
            return send(self, *args, **kwargs)
        sending.begin()
        try:
            response = send(self, *args, **kwargs)
        except Exception as error:
            sending.failed(error_words(error, 0))
            raise
        if response.status_code >= 400:
            sending.failed(error_words(None, response.status_code), response.status_code)
        return response

    @functools.wraps(connect)
    def get_socket(self: Any) -> Any:
        sending = _sending.get()
        if sending is None:
            return connect(self)
        sending.connect()
        connection = connect(self)
        sending.took(connection)
        return connection

    @functools.wraps(close)
    def release_socket(self: Any, connection: Any) -> None:
        if sending := _sending.get():
            sending.closes(connection)
        close(self, connection)

    client.request, pool.get_socket, pool.release_socket = request, get_socket, release_socket


def counters(connection: Any) -> tuple[int, int] | None:
    """How many bytes were acknowledged and received on a connection; None if the kernel does not say."""
    try:
        said: bytes = connection.getsockopt(socket.IPPROTO_TCP, TCP_INFO, ACKED_AND_RECEIVED.size)
        return ACKED_AND_RECEIVED.unpack(said)
    except (OSError, TypeError, struct.error):
        return None


def was_idle(before: tuple[int, int] | None, after: tuple[int, int] | None) -> bool:
    """True if the server had closed an idle connection when a request was sent on it.

    `before`: None for a new connection.
    """
    if before is None or after is None:
        return False
    return after[0] == before[0] and after[1] > before[1]
