"""Shared by the tests of commands: a command's answer, and workers that are only rows."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from jobqueue import Queue
from jobqueue.lease import Claimed, Lease
from jobqueue.tools import presence
from jobqueue.tools.presence import Self, Tally
from jobqueue.waiting import Served

NOON = datetime(2025, 11, 24, 12, tzinfo=UTC)
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)


class Answer(NamedTuple):
    """A command's exit status and output."""

    status: int
    out: str
    err: str

    def json(self) -> Any:
        """Its output, parsed as JSON."""
        return json.loads(self.out)


Command = Callable[..., Answer]


def name_of(pid: int, host: str = "silver", token: str = "1a2b3c4d") -> str:
    """A worker's name, as in jobs.locked_by."""
    return f"host:{host} pid:{pid} {token}"


def seen(queue: Queue, name: str, now: datetime, done: Tally | None = None, **options: Any) -> None:
    """Record a heartbeat at `now` of a worker of this name, with `done` added to its tally."""
    settings = {"threads": 1, "queues": "", "lease": 30.0, "max_run_time": 20.0, "started_at": NOON - HOUR}
    with queue.writer.begin() as connection:
        presence.be_seen(
            connection, queue.tables, Self(name, **{**settings, **options}), done or Tally(), now
        )


def claimed(
    queue: Queue, name: str, now: datetime, limit: int = 1, queues: tuple[str, ...] = ()
) -> list[Claimed]:
    """Let the worker claim jobs."""
    with queue.writer.begin() as connection:
        return Lease(queue.tables, name).claim(connection, limit, now, Served(tuple(queues)))
