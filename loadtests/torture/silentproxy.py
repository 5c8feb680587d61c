"""A proxy before PostgreSQL that can fall silent: it then holds all connections open, and forwards nothing.

The kernel still acknowledges what it is sent, so that TCP's own timeouts don't notice.
"""

import selectors
import socket
import threading
from types import TracebackType
from typing import Any, Self

from sqlalchemy import URL, make_url


class SilentProxy:
    """Forwards connections on a loopback port to the server of `database_url`, until silence(). A context
    manager, in a thread of this process; `url` leads through it.
    """

    def __init__(self, database_url: str):
        self._to = make_url(database_url)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._closing, self._wake = socket.socketpair()
        self._forwards = threading.Event()
        self._forwards.set()
        self._ends: dict[socket.socket, socket.socket] = {}
        self._thread = threading.Thread(target=self._loop, daemon=True)

    @property
    def url(self) -> URL:
        query = {name: value for name, value in self._to.query.items() if name != "host"}
        return self._to.set(host="127.0.0.1", port=self._listener.getsockname()[1], query=query)

    def silence(self) -> None:
        """Forward nothing from now on; connections are still accepted."""
        self._forwards.clear()

    def speak(self) -> None:
        """Be a new server: the old connections are reset, new ones are forwarded."""
        self._wake.send(b"r")
        self._forwards.set()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._wake.send(b"e")
        self._forwards.set()
        self._thread.join()
        for end in (*self._ends, self._listener, self._closing, self._wake):
            end.close()

    def _loop(self) -> None:
        with selectors.DefaultSelector() as selector:
            for end in (self._listener, self._closing):
                selector.register(end, selectors.EVENT_READ)
            while True:
                ready: list[Any] = [key.fileobj for key, _ in selector.select()]
                self._forwards.wait()
                if self._closing in ready:
                    if self._closing.recv(1) == b"e":
                        return
                    for end in list(self._ends):
                        self._part(selector, end)
                    continue
                for end in ready:
                    if end is self._listener:
                        self._join(selector)
                    elif end in self._ends:
                        self._forward(selector, end)

    def _join(self, selector: selectors.BaseSelector) -> None:
        client, _ = self._listener.accept()
        server = socket.socket(socket.AF_UNIX)
        server.connect(f"{self._to.query['host']}/.s.PGSQL.{self._to.port or 5432}")
        self._ends |= {client: server, server: client}
        for end in (client, server):
            selector.register(end, selectors.EVENT_READ)

    def _forward(self, selector: selectors.BaseSelector, end: socket.socket) -> None:
        try:
            data = end.recv(65_536)
            self._ends[end].sendall(data)
        except OSError:
            data = b""
        if not data:
            self._part(selector, end)

    def _part(self, selector: selectors.BaseSelector, end: socket.socket) -> None:
        for each in (end, self._ends.get(end)):
            if each and self._ends.pop(each, None):
                selector.unregister(each)
                each.close()
