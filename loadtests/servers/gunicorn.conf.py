"""The configuration both readers' web servers share. stack.py adds the address and the number of slots.

A slot is a process that serves one request at a time or, on request, a thread of a single process. All slots
take from one queue of connections, so that c slots serve exactly c requests at a time, as the theory assumes.
"""

import os
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

from loadtests.servers.slotmeter import FOLDER, SlotMeter


class SlotWorker(SyncWorker):  # type: ignore[misc]
    """gunicorn's own worker, but free again as soon as it has answered.

    After its answer gunicorn waits, up to 2 s, until the client has closed the connection too. That keeps a
    reset from overtaking the answer if part of what the client sent was never read (RFC 9112, 9.6). If all of
    it was read, nothing is reset: the answer says "Connection: close", and the kernel delivers it without us.
    A busy client would keep a waiting slot occupied, and no meter would show it.
    """

    def handle_request(self, listener: Any, req: Any, client: Any, addr: Any) -> None:
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
    worker.log.info("Slot ready")  # `loadtests.servers.stack` waits for this, once for each process


if folder := os.environ.get(FOLDER):
    meter = SlotMeter(Path(folder))

    def pre_request(_worker: Any, _request: Any) -> None:
        meter.begin()

    def post_request(_worker: Any, request: Any, _environ: Any, _response: Any) -> None:
        meter.end(request.method, request.path)
