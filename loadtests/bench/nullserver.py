"""A server that answers at once with a few bytes: measuring it measures the load generator itself.

`Connection` reads HTTP/1.1 from an asyncio transport and does nothing more, so it is cheap; a server whose
answers take a known time is a subclass (the harness's own tests have one). It is for load generators on
loopback: requests have no body and are not pipelined.

    python -m loadtests.bench.nullserver
"""

import asyncio
import sys
from collections.abc import Callable

from loadtests.records.constants import BACKLOG


def response(status: str = "200 OK", body: bytes = b"ok\n") -> bytes:
    """The bytes of an answer that keeps the connection open."""
    return (
        f"HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        + body
    )


OK = response()


class Connection(asyncio.Protocol):
    """One connection. `asked` is called for each request, and answers with `write`, now or later."""

    def __init__(self) -> None:
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while b"\r\n\r\n" in self._received:
            head, _, self._received = self._received.partition(b"\r\n\r\n")
            self.asked(head.split(b" ", 2)[1].decode("ascii", "replace"))

    def asked(self, path: str) -> None:
        """Handle a request for `path`."""
        self.write(OK)

    def write(self, answer: bytes) -> None:
        """Send an answer, unless the client has left."""
        if not self._transport.is_closing():
            self._transport.write(answer)


async def serve(connection: Callable[[], asyncio.Protocol], name: str) -> None:
    """Listen on a free port of loopback, print the address, and serve until the process ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(connection, "127.0.0.1", 0, backlog=BACKLOG)
    print(f"{name} listening at: http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    try:
        asyncio.run(serve(Connection, "Null server"))
    except KeyboardInterrupt:
        sys.exit(130)
