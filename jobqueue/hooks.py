"""Calls a job's hooks: the methods of HOOKS in handlers.py that its class has."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from jobqueue.claiming import Claimed
from jobqueue.handlers import Performable, hook

logger = logging.getLogger("jobqueue")


@contextmanager
def around(target: Performable, job: Claimed) -> Iterator[None]:
    """before(), then what is inside; error(), and failure() when no attempt is left; in any case after().

    What before() raises fails the attempt. What the others raise is logged: the attempt went as it went.
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
    """success(), inside of around() when the work is done; what it raises fails the attempt."""
    if succeed := hook(target, "success"):
        succeed(job)


def _call(target: Performable, name: str, *arguments: object) -> None:
    if function := hook(target, name):
        try:
            function(*arguments)
        except (Exception, SystemExit):
            logger.exception("%s.%s() failed", type(target).__name__, name)
