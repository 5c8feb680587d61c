"""A job queue in a database table, in the spirit of Rails' Delayed Job.

from jobqueue import Queue, Worker, job
"""

from jobqueue.errors import (
    AlreadyQueued,
    DatabaseError,
    Discard,
    HandlerError,
    JobQueueError,
    LeaseLost,
    NoSuchJob,
    NotAJob,
    NotSerializable,
    Retry,
    RunTimeExceeded,
)
from jobqueue.handlers import job
from jobqueue.lease import Claimed
from jobqueue.observing import Event, around, observe
from jobqueue.queue import Queue
from jobqueue.schema import Job
from jobqueue.worker import Worker

__version__ = "0.1.0"

__all__ = [
    "AlreadyQueued",
    "Claimed",
    "DatabaseError",
    "Discard",
    "Event",
    "HandlerError",
    "Job",
    "JobQueueError",
    "LeaseLost",
    "NoSuchJob",
    "NotAJob",
    "NotSerializable",
    "Queue",
    "Retry",
    "RunTimeExceeded",
    "Worker",
    "around",
    "job",
    "observe",
]
