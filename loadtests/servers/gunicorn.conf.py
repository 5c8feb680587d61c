"""What both readers' web servers have in common. stack.py adds the address and the number of slots.

One slot is one process that serves one request at a time: all of them take from one queue of connections, so
that c slots are a server with exactly c places, which is what the theory is about. Or, on request, one thread
of one process.
"""

import os
from pathlib import Path
from typing import Any

# The libraries are loaded once, before the slots are forked. The app itself is made in each, after the fork:
# a database connection must not be shared by two processes.
import feedparser
import flask
import requests
import sqlalchemy.orm

from loadtests.servers.slotmeter import FOLDER, SlotMeter

worker_class = "sync"
backlog = 2048  # connections that wait for a slot; a short queue would show as resends after 1 s and 3 s
timeout = 120  # seconds: a request may be slow, that is the point
graceful_timeout = 2
control_socket_disable = True
worker_connections = 4096  # of a server with threads: idle ones hold no thread

preloaded = (feedparser, flask, requests, sqlalchemy.orm)


def post_worker_init(worker: Any) -> None:
    worker.log.info("Slot ready")  # what `loadtests.servers.stack` waits for, once for each process


if folder := os.environ.get(FOLDER):
    meter = SlotMeter(Path(folder))

    def pre_request(_worker: Any, _request: Any) -> None:
        meter.begin()

    def post_request(_worker: Any, request: Any, _environ: Any, _response: Any) -> None:
        meter.end(request.method, request.path)
