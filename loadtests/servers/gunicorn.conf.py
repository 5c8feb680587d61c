"""The configuration both readers' web servers share. stack.py adds the address and the number of slots.

A slot is a process that serves one request at a time or, on request, a thread of a single process. All slots
take from one queue of connections, so that c slots serve exactly c requests at a time, as the theory assumes.
"""

import os
import select
import socket
from pathlib import Path
from typing import Any

# The libraries are imported once, before the slots are forked. The app itself is made in each slot, after
# the fork: two processes must not share a database connection.
import feedparser
import flask
import requests
import sqlalchemy.orm
from gunicorn.workers.sync import SyncWorker

from loadtests.servers.slotmeter import DEADLINE_FILE, FOLDER, SlotMeter


class SlotWorker(SyncWorker):  # type: ignore[misc]
    """gunicorn's own worker, but cheaper, and free again as soon as it has answered.

    After its answer gunicorn waits, up to 2 s, until the client has closed the connection too. That keeps a
    reset from overtaking the answer if part of what the client sent was never read (RFC 9112, 9.6). If all of
    it was read, nothing is reset: the answer says "Connection: close", and the kernel delivers it without us.
    A busy client would keep a waiting slot occupied, and no meter would show it.

    The cheaper parts need Linux. Its kernel wakes one free slot for a connection, and not all of them, which
    then wait again. It sends an answer's headers and body in one segment, for which the client wakes once.
    """

    waiting: "select.epoll | None" = None

    def wait(self, timeout: float) -> Any:
        if not hasattr(select, "EPOLLEXCLUSIVE"):
            return super().wait(timeout)
        if self.waiting is None:
            self.waiting = select.epoll()
            self.waiting.register(self.PIPE[0], select.EPOLLIN)
            self.waiting.register(self.sockets[0], select.EPOLLIN | select.EPOLLEXCLUSIVE)
        self.notify()
        ready = [file for file, _event in self.waiting.poll(timeout)]
        if self.PIPE[0] in ready:  # a signal has come, which gunicorn has dealt with
            os.read(self.PIPE[0], 1)
        return ready

    def handle_request(self, listener: Any, req: Any, client: Any, addr: Any) -> None:
        if hasattr(socket, "TCP_CORK"):
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        super().handle_request(listener, req, client, addr)
        if getattr(req.body.reader, "length", None) == 0:  # nothing is left of the request's body
            client.shutdown(socket.SHUT_RD)  # anything beyond it is still drained, but not waited for


worker_class = SlotWorker
backlog = 2048  # connections waiting for a slot; a short queue would show as resends after 1 s and 3 s
timeout = 120  # seconds; slow requests are the point here
graceful_timeout = 2
control_socket_disable = True
worker_connections = 4096  # for a server with threads; idle connections hold no thread

preloaded = (feedparser, flask, requests, sqlalchemy.orm)


def post_worker_init(worker: Any) -> None:
    if folder and isinstance(worker, SlotWorker):
        meter.open()  # the kernel may give all requests to the others; a thread counts from its first
    worker.log.info("Slot ready")  # `loadtests.servers.stack` waits for this, once for each process


if folder := os.environ.get(FOLDER):
    meter = SlotMeter(Path(folder))
    deadline = Path(file) if (file := os.environ.get(DEADLINE_FILE)) else None

    def pre_request(_worker: Any, _request: Any) -> None:
        if deadline:
            os.environ["FEEDREADER_DEADLINE"] = deadline.read_text()
        meter.begin()

    def post_request(_worker: Any, request: Any, _environ: Any, _response: Any) -> None:
        meter.end(request.method, request.path)
