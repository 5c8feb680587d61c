"""What this app queues: feeds. Web processes and workers both import this module, so that both know the name.

The worker does so because it is told to: python -m jobqueue work --import queued_app.jobs --database ...
"""

from feedreader.models import Feed
from jobqueue import job

__all__ = ["Feed"]

job(Feed)
