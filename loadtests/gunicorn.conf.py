"""What both readers' web servers have in common. `loadtests.stack` adds the address and the number of slots.

One slot is one process that serves one request at a time: all of them take from one queue of connections, so
that c slots are a server with exactly c places, which is what the theory is about.
"""

# The libraries are loaded once, before the slots are forked. The app itself is made in each, after the fork:
# a database connection must not be shared by two processes.
import feedparser
import flask
import requests
import sqlalchemy.orm

worker_class = "sync"
backlog = 2048  # connections that wait for a slot; a short queue would show as resends after 1 s and 3 s
timeout = 120  # seconds: a request may be slow, that is the point
graceful_timeout = 2
control_socket_disable = True

preloaded = (feedparser, flask, requests, sqlalchemy.orm)
