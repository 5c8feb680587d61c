"""When a failed job runs again."""

from datetime import timedelta

MAX_ATTEMPTS = 25


def backoff(attempts: int) -> timedelta:
    """How long to wait after the given number of failed attempts: 5 + attempts**4 seconds, as in Delayed Job.

    >>> [str(backoff(n)) for n in (1, 2, 5, 24)]
    ['0:00:06', '0:00:21', '0:10:30', '3 days, 20:09:41']

    All 25 attempts together span about 20 days.
    """
    return timedelta(seconds=5 + attempts**4)
