"""What this app queues: feeds. Web processes and workers both import this module, so that both know the name.

python -m jobqueue work --import queued_app.jobs
"""

from feedreader.models import Feed
from jobqueue import job

__all__ = ["Feed"]

job(Feed)
