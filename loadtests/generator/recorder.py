"""Every request as a row: when it was meant to start, was sent, was done, unrounded; or that it never was.

Locust's own percentiles are rounded (495 to 505 ms all read "500") and forget the requests that were still in
flight when the load ended, which are the slowest ones. A `Recorder` keeps each request from the moment it is
sent. It knows nothing of Locust: whatever sends requests can use it.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from loadtests.records.constants import RULE_MS
from loadtests.records.rows import Row

CUT_OFF = "cut off: its user was stopped"


@dataclass(slots=True, eq=False)
class Pending:
    """A request under way, or over. Whoever sends it says here how it went.

    `error` is None while nobody has said anything of it, which means that it went well.
    """

    user: int
    group: str
    name: str
    intended: float
    sent: float | None
    done: float | None = None
    status: int = 0
    error: str | None = None
    left_out: bool = False


class Recorder:
    """Collects requests in memory. All times are seconds since `start()`, on a clock that never jumps."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter):
        self._clock = clock
        self.start()

    def start(self) -> None:
        """Forget everything, and begin to count time from now."""
        self.visits: set[str] = set()  # the groups whose rows are whole visits: no requests
        self.stopped: float | None = None
        self.ended: float | None = None
        self._all: list[Pending] = []
        self.started_at = time.time()  # Unix time, to lay these rows beside what others measured
        self._origin = self._clock()

    def now(self) -> float:
        return self._clock() - self._origin

    def begin(self, user: int, group: str, name: str, intended: float | None = None) -> Pending:
        """Record that a request is sent now, meant to start at `intended` (default: now).

        Returns where to say how it goes, for `end`.
        """
        sent = self._clock() - self._origin
        pending = Pending(user, group, name, sent if intended is None else intended, sent)
        self._all.append(pending)
        return pending

    def end(self, pending: Pending) -> None:
        """Record that a request is done, unless that is known already."""
        if pending.done is None:
            pending.done = self._clock() - self._origin

    def cut_off(self, pending: Pending) -> None:
        """Record that a request's user was stopped meanwhile.

        After `stop()` it stays unfinished: it waited until the recording ended. Before, only this is known:
        how long it had waited. Over the rule that is a failure; below it nobody can say how it would have
        gone, so it is left out, and counted.
        """
        if self.stopped is None and pending.done is None:
            pending.done, pending.error = self.now(), CUT_OFF
            pending.left_out = (pending.done - pending.intended) * 1000 < RULE_MS

    def never_sent(self, user: int, group: str, name: str, intended: float, error: str = "") -> None:
        """Record what should have been sent at `intended`, and was not. `error`: DROPPED, or none."""
        self._all.append(Pending(user, group, name, intended, None, error=error))

    @contextmanager
    def request(self, user: int, group: str, name: str, intended: float | None = None) -> Iterator[Pending]:
        """Record what happens in the block as one request, meant to start at `intended` (default: now).

        An exception makes it a failure. When the block is left otherwise, as by a greenlet's end, it was cut
        off.
        """
        pending = self.begin(user, group, name, intended)
        try:
            yield pending
        except Exception as error:
            pending.error = pending.error or str(error) or type(error).__name__
            self.end(pending)
            raise
        except BaseException:
            self.cut_off(pending)
            raise
        self.end(pending)

    def stop(self) -> None:
        """Record that no more load is put on from now; what is in flight may still end, until `close()`."""
        if self.stopped is None:
            self.stopped = self.now()

    def close(self) -> list[Row]:
        """End the recording; returns all rows by start, those still in flight as unfinished."""
        self.stop()
        self.ended = self.now()
        rows = [_row(pending) for pending in self._all if not pending.left_out]
        rows.sort(key=lambda row: row.intended_s)
        return rows

    @property
    def left_out(self) -> int:
        """How many requests were cut off before anybody could say how long they would take."""
        return sum(pending.left_out for pending in self._all)


def _row(pending: Pending) -> Row:
    return Row(
        user=pending.user,
        group=pending.group,
        name=pending.name,
        intended_s=pending.intended,
        sent_s=pending.sent,
        done_s=pending.done,
        status=pending.status,
        error=pending.error or "",
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
