"""Calls a job's hooks: those of HOOKS in handlers.py that its class has."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from jobqueue.claiming import Claimed
from jobqueue.handlers import Performable, hook

logger = logging.getLogger("jobqueue")


@contextmanager
def called(target: Performable, job: Claimed) -> Iterator[None]:
    """Call before() and run the block; call error() if either raises, failure() too if no attempt is left,
    and after() in any case.

    An exception in before() fails the attempt. One in the other hooks is logged, and changes nothing.
    """
    try:
        if before := hook(target, "before"):
            before(job)
        yield
    except (Exception, SystemExit) as error:
        _call(target, "error", job, error)
        if job.attempts >= job.max_attempts:
            _call(target, "failure", job)
        raise
    finally:
        _call(target, "after", job)


def success(target: Performable, job: Claimed) -> None:
    """Call success(), inside called() once the work is done; an exception in it fails the attempt."""
    if succeed := hook(target, "success"):
        succeed(job)


def _call(target: Performable, name: str, *arguments: object) -> None:
    if function := hook(target, name):
        try:
            function(*arguments)
        except (Exception, SystemExit):
            logger.exception("%s.%s() failed", type(target).__name__, name)
