"""A job queue in a database table, in the spirit of Rails' Delayed Job.

from jobqueue import Queue, Worker, job
"""

from jobqueue.errors import (
    DatabaseError,
    HandlerError,
    JobQueueError,
    LeaseLost,
    NotAJob,
    NotSerializable,
    RunTimeExceeded,
)
from jobqueue.handlers import job
from jobqueue.queue import Queue
from jobqueue.schema import Job
from jobqueue.worker import Worker

__all__ = [
    "DatabaseError",
    "HandlerError",
    "Job",
    "JobQueueError",
    "LeaseLost",
    "NotAJob",
    "NotSerializable",
    "Queue",
    "RunTimeExceeded",
    "Worker",
    "job",
]
