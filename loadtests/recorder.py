"""Every request as a row: when it was meant to start, was sent, was done, unrounded; or that it never was.

Locust's own percentiles are rounded (495 to 505 ms all read "500") and forget the requests that were still in
flight when the load ended, which are the slowest ones. A `Recorder` keeps each request from the moment it is
sent. It knows nothing of Locust: whatever sends requests can use it.
"""

import itertools
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadtests.samples import Row, write_rows


@dataclass(slots=True)
class Pending:
    """A request under way. Whoever sends it says here how it went; silence means that it went well."""

    user: int
    group: str
    name: str
    intended: float
    sent: float
    status: int = 0
    error: str = ""


class Recorder:
    """Collects rows in memory. All times are seconds since `start()`, on a clock that never jumps."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter):
        self._clock = clock
        self._tickets = itertools.count()
        self.start()

    def start(self) -> None:
        """Forget everything, and begin to count time from now."""
        self.rows: list[Row] = []
        self.started_at = time.time()  # Unix time, to lay these rows beside what others measured
        self.ended: float | None = None
        self._origin = self._clock()
        self._in_flight: dict[int, Pending] = {}

    def now(self) -> float:
        return self._clock() - self._origin

    @contextmanager
    def request(self, user: int, group: str, name: str, intended: float | None = None) -> Iterator[Pending]:
        """Record what happens in the block as one request, meant to start at `intended` (default: now).

        When the block is left by an exception, also by the greenlet's end, the request stays unfinished.
        """
        ticket, pending = self.begin(user, group, name, intended)
        yield pending
        self.end(ticket)

    def begin(self, user: int, group: str, name: str, intended: float | None = None) -> tuple[int, Pending]:
        """Record that a request is sent now; returns the ticket to end() it with, and where to say how it
        went.
        """
        sent = self.now()
        pending = Pending(user, group, name, sent if intended is None else intended, sent)
        ticket = next(self._tickets)
        self._in_flight[ticket] = pending
        return ticket, pending

    def end(self, ticket: int) -> None:
        """Record that a request is done."""
        pending = self._in_flight.pop(ticket, None)
        if pending is not None:  # None: start() was called meanwhile
            self.rows.append(_row(pending, self.now()))

    def close(self) -> list[Row]:
        """End the recording; returns all rows by start, those still in flight as unfinished."""
        self.ended = self.now()
        self.rows += [_row(pending, None) for pending in self._in_flight.values()]
        self.rows.sort(key=lambda row: row.intended_s)
        self._in_flight.clear()
        return self.rows

    def write(self, path: Path, **about: Any) -> None:
        """Write the rows to `path` (CSV); start, end and `about` to a JSON file beside it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        write_rows(path, self.rows)
        meta = {"started_at": self.started_at, "ended_s": self.ended, **about}
        path.with_suffix(".json").write_text(json.dumps(meta, indent=1) + "\n")


def _row(pending: Pending, done: float | None) -> Row:
    return Row(
        user=pending.user,
        group=pending.group,
        name=pending.name,
        intended_s=pending.intended,
        sent_s=pending.sent,
        done_s=done,
        status=pending.status,
        error=pending.error,
    )


class LagMeter:
    """How late a generator is: it asks to be woken every `interval` seconds, and notes by how much it missed.

    A generator that is late measures itself instead of the server. `run` never returns: spawn it as a
    greenlet or a thread, with that world's `sleep`.
    """

    def __init__(self, recorder: Recorder, sleep: Callable[[float], object], interval: float = 0.02):
        self.samples: list[tuple[float, float]] = []  # (seconds since start, ms late)
        self._recorder = recorder
        self._sleep = sleep
        self._interval = interval

    def run(self) -> None:
        while True:
            before = self._recorder.now()
            self._sleep(self._interval)
            after = self._recorder.now()
            self.samples.append((after, max(0.0, after - before - self._interval) * 1000))
