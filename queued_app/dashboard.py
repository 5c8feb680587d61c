"""The queue's dashboard in the reader: at /jobs, behind the password FEEDREADER_JOBS_PASSWORD."""

import os

from flask import Flask

from jobqueue import Queue
from jobqueue.tools.dashboard import dashboard


def add_dashboard(app: Flask, queue: Queue) -> None:
    """Add the queue's pages to the app, if there is a password."""
    if password := os.environ.get("FEEDREADER_JOBS_PASSWORD"):
        app.register_blueprint(dashboard(queue, password=password))
