"""The jobs of this app: feeds. Web processes and workers both import this module, so both know the name.

A worker imports it by an option: python -m jobqueue work --import queued_app.jobs --database ...
"""

from feedreader.models import Feed
from jobqueue import job

__all__ = ["Feed"]

job(Feed)
