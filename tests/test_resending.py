"""A request that its client silently resends: each failed attempt is a row, and a failure."""

import socket
import struct
import threading
from contextlib import closing
from typing import Any, Self

import pytest
from geventhttpclient.client import HTTPClient
from geventhttpclient.connectionpool import ConnectionPool
from geventhttpclient.response import HTTPConnectionClosed

from loadtests.generator.recorder import Recorder
from loadtests.generator.resending import SENT_AGAIN, attempts, was_idle, watch
from loadtests.records.rows import Row

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n"
AT_ONCE = struct.pack("ii", 1, 0)  # of SO_LINGER: closing resets the connection


class Server(threading.Thread):
    """Handles successive requests as `does` says, until the end of its `with` block."""

    def __init__(self, *does: str) -> None:
        super().__init__(daemon=True)
        self.told, self.closed = threading.Event(), threading.Event()
        self._does = does
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes a thread that waits for a connection
        self.join(60)
        self._listener.close()

    def run(self) -> None:
        does = list(self._does)
        while does:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                while does and self._kept(connection, does.pop(0)):
                    pass
            self.closed.set()

    def _kept(self, connection: socket.socket, what: str) -> bool:
        """Whether the connection is kept for another request."""
        connection.recv(65536)
        if what.startswith("answer"):
            connection.sendall(OK)
        if what == "answer, and close when told":
            self.told.wait(60)
        if what == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
        return what == "answer"


@pytest.fixture(autouse=True)
def watched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the plugin watch geventhttpclient during this test."""
    for of, names in ((HTTPClient, ["request"]), (ConnectionPool, ["get_socket", "release_socket"])):
        for name in names:
            monkeypatch.setattr(of, name, getattr(of, name))  # so that it is restored
    watch(HTTPClient, ConnectionPool)


@pytest.fixture
def recorder() -> Recorder:
    """A recorder that has started."""
    return Recorder()


def send(client: HTTPClient, recorder: Recorder, method: str = "GET") -> None:
    """Send a request, and record it."""
    with recorder.request(1, "look", f"{method} /") as pending, attempts(recorder, pending):
        client.request(method, "/").read()


def rows_of(recorder: Recorder, *does: str, method: str = "GET") -> list[Row]:
    """The rows of successive requests, as many as the server handles."""
    with Server(*does) as server, closing(HTTPClient("127.0.0.1", server.port)) as client:
        for _ in range(max(1, does.count("answer"))):
            send(client, recorder, method)
    return recorder.close()


@pytest.mark.parametrize("how", ["drop", "reset"])
def test_a_request_that_was_dropped_and_sent_again_is_a_failure_and_a_success(
    recorder: Recorder, how: str
) -> None:
    """On a new connection. The second row begins where the first ends."""
    failed, well = rows_of(recorder, how, "answer")
    assert failed.failed and failed.error == SENT_AGAIN
    assert not well.failed and well.intended_s == well.sent_s == failed.done_s
    assert recorder.resent == 0


@pytest.mark.parametrize("how", ["drop", "reset"])
def test_the_server_may_drop_it_on_a_connection_that_was_used_before(recorder: Recorder, how: str) -> None:
    """Its kernel acknowledged the request, or it closed the connection without a word."""
    first, failed, well = rows_of(recorder, "answer", how, "answer")
    assert (first.error, failed.error, well.error) == ("", SENT_AGAIN, "")
    assert recorder.resent == 0


def test_a_server_that_always_drops_it_has_as_many_failures_as_it_had_requests(recorder: Recorder) -> None:
    """geventhttpclient eventually gives up."""
    with pytest.raises(HTTPConnectionClosed):
        rows_of(recorder, *["drop"] * 20)
    rows = recorder.close()
    assert len(rows) > 2 and all(row.failed for row in rows)


def test_what_is_not_sent_again_is_one_failure(recorder: Recorder) -> None:
    """A POST may have taken effect."""
    with pytest.raises(HTTPConnectionClosed):
        rows_of(recorder, "drop", method="POST")
    (row,) = recorder.close()
    assert row.failed


def test_a_connection_that_was_closed_while_idle_is_no_failure(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server closes it after the client has checked that it is open, and before it sends."""
    take = ConnectionPool.get_socket
    with (
        Server("answer, and close when told", "answer") as server,
        closing(HTTPClient("127.0.0.1", server.port)) as client,
    ):
        send(client, recorder)

        def taken_too_late(pool: ConnectionPool) -> Any:
            connection = take(pool)
            server.told.set()
            assert server.closed.wait(60)
            return connection

        monkeypatch.setattr(ConnectionPool, "get_socket", taken_too_late)
        send(client, recorder)
    rows = recorder.close()
    assert [row.failed for row in rows] == [False, False]
    assert recorder.resent == 1


@pytest.mark.parametrize(
    ("before", "after", "idle"),
    [
        ((10, 5), (10, 6), True),  # it was closed, and nothing was acknowledged
        ((10, 5), (30, 6), False),  # the server had the request
        ((10, 5), (10, 5), False),  # it was reset
        (None, (1, 1), False),  # a new connection
        ((10, 5), None, False),  # the kernel does not say
    ],
)
def test_it_was_idle_if_the_kernel_says_so(
    before: tuple[int, int] | None, after: tuple[int, int] | None, idle: bool
) -> None:
    """By the bytes acknowledged and received."""
    assert was_idle(before, after) == idle


def test_an_attempt_that_locust_was_told_to_repeat_is_a_row_too(recorder: Recorder) -> None:
    """A user's max_retries: the client simply repeats the request, after an error status or no answer."""
    with (
        Server("answer") as server,
        closing(HTTPClient("127.0.0.1", 1)) as nobody,
        closing(HTTPClient("127.0.0.1", server.port)) as client,
        recorder.request(1, "look", "POST /") as pending,
        attempts(recorder, pending),
    ):
        with pytest.raises(ConnectionRefusedError):
            nobody.request("POST", "/")
        client.request("POST", "/").read()
    failed, well = recorder.close()
    assert "refused" in failed.error and not well.failed
