"""Records every request as a row: when it was due, sent and done, unrounded, or that it was never sent.

Locust's own percentiles are rounded (495 to 505 ms all read "500") and miss the requests still in flight when
the load ended, which are the slowest. A `Recorder` keeps each request from the moment it is sent. It does not
depend on Locust: anything that sends requests can use it.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace

from loadtests.generator.faults import Faults, out_of_files
from loadtests.records.constants import RULE_MS
from loadtests.records.recording import Lag
from loadtests.records.rows import Row

JUMP_SECONDS = 0.5  # slewing the wall clock changes it by less
EARLY = 0.01  # of an interval: how much too soon a sleep may end
LONG_ERROR = 200
CUT_OFF = "cut off: its user was stopped"


@dataclass(slots=True, eq=False)
class Pending:
    """A request in flight, or done. Its sender sets `status` and `error`.

    An `error` of None means that none was reported, and counts as success.
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
    settled: bool = False  # its outcome is final; the locustfile may still judge the answer otherwise


class Recorder:
    """Collects requests in memory. All times are seconds since `start()`, on a monotonic clock."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter, rule_ms: float = RULE_MS):
        self._clock = clock
        self._rule_ms = rule_ms
        self.start()

    def start(self) -> None:
        """Discard everything, and count time from now."""
        self.faults = Faults()
        self.resent = 0  # requests whose idle connection the server closed before they arrived
        self.visits: set[str] = set()  # the groups whose rows are whole visits, not requests
        self.stopped: float | None = None
        self.ended: float | None = None
        self._all: list[Pending] = []
        self.started_at = time.time()  # Unix time, to align these rows with other measurements
        self._origin = self._clock()

    def now(self) -> float:
        return self._clock() - self._origin

    def begin(self, user: int, group: str, name: str, intended: float | None = None) -> Pending:
        """Record that a request is sent now, due at `intended` (default: now).

        Returns its record, to be completed by its sender and passed to `end`.
        """
        sent = self._clock() - self._origin
        pending = Pending(user, group, name, sent if intended is None else intended, sent)
        self._all.append(pending)
        return pending

    def end(self, pending: Pending, settled: bool = False) -> None:
        """Record that a request is done, unless it already was. `settled`: its outcome is final."""
        if pending.done is None:
            pending.done = self._clock() - self._origin
        if settled:
            pending.settled = True

    def again(self, pending: Pending, error: str, status: int = 0) -> None:
        """Record that a request has just failed and its client resends it: each attempt is a row."""
        now = self.now()
        self._all.append(replace(pending, done=now, status=status, error=error, settled=True))
        pending.intended = pending.sent = now

    def not_sent(self, pending: Pending) -> None:
        """Record that no file descriptor was left to send a request, which says nothing about the server."""
        self.faults.out_of_files += 1
        pending.left_out = True

    def cut_off(self, pending: Pending) -> None:
        """Record that a request's user was stopped while the request was in flight.

        After `stop()` the request stays unfinished: it waited until the recording ended. Before `stop()` only
        the time it had waited is known. From `rule_ms` on it is a failure; below, its outcome is unknown, so
        it is left out of the rows, and counted.
        """
        if self.stopped is None and pending.done is None:
            pending.done, pending.error, pending.settled = self.now(), CUT_OFF, True
            pending.left_out = (pending.done - pending.intended) * 1000 < self._rule_ms

    def never_sent(self, user: int, group: str, name: str, intended: float, error: str = "") -> None:
        """Record a request that was due at `intended` and never sent. `error`: DROPPED, or empty."""
        self._all.append(Pending(user, group, name, intended, None, error=error))

    def request(
        self, user: int, group: str, name: str, intended: float | None = None
    ) -> AbstractContextManager[Pending]:
        """Record the block as one request, due at `intended` (default: now)."""
        return self.during(self.begin(user, group, name, intended))

    @contextmanager
    def during(self, pending: Pending) -> Iterator[Pending]:
        """Record that a request which has begun ends with the block.

        An `Exception` makes it a failure. Any other `BaseException`, such as a killed greenlet's, means that
        it was cut off.
        """
        try:
            yield pending
        except Exception as error:
            pending.error = pending.error or error_words(error, 0)
            self.end(pending, settled=True)
            if out_of_files(error):
                self.not_sent(pending)
            raise
        except BaseException:
            self.cut_off(pending)
            raise
        self.end(pending, settled=True)

    def stop(self) -> None:
        """Record that no more load is offered from now on; requests in flight may finish until `close()`."""
        if self.stopped is None:
            self.stopped = self.now()

    def since(self, number: int) -> Sequence[Pending]:
        """All requests but the first `number`, in the order in which they began."""
        return self._all[number:]

    def close(self) -> list[Row]:
        """End the recording; returns the rows by intended start, those still in flight as unfinished."""
        self.stop()
        self.ended = self.now()
        rows = [_row(pending) for pending in self._all if not pending.left_out]
        rows.sort(key=lambda row: row.intended_s)
        return rows

    @property
    def left_out(self) -> int:
        """How many requests were cut off too early to tell how long they would have taken."""
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


def error_words(error: BaseException | None, status: int) -> str:
    """What went wrong, in a few words; Locust's own words for a status say less than "answered 503"."""
    if status >= 400 and type(error).__name__ != "CatchResponseError":  # which has the locustfile's words
        return f"answered {status}"
    return (str(error) or type(error).__name__)[:LONG_ERROR] if error else "no answer"


class LagMeter:
    """Measures how late a generator is: sleeps `interval` seconds again and again, and notes the excess.

    A generator that is late measures itself instead of the server. `run` never returns: spawn it as a
    greenlet or a thread, with the matching `sleep`.
    """

    def __init__(
        self,
        recorder: Recorder,
        sleep: Callable[[float], object],
        interval: float = 0.02,
        wall: Callable[[], float] = time.time,
    ):
        self.samples: list[Lag] = []
        self._recorder = recorder
        self._sleep = sleep
        self._interval = interval
        self._wall = wall

    def run(self) -> None:
        while True:
            before, wall = self._recorder.now(), self._wall()
            try:
                self._sleep(self._interval)
            finally:  # even when killed right after a standstill
                slept = self._recorder.now() - before
                self._note(before, slept)
                self._note_jump(self._wall() - wall - slept)

    def _note(self, before: float, slept: float) -> None:
        """Add a sample for each wake-up that was due meanwhile: a standstill of two seconds must not count as
        one among a thousand.
        """
        for number in range(1, int(slept / self._interval + EARLY) + 1):
            due = number * self._interval
            self.samples.append(Lag(before + due, max(0.0, slept - due) * 1000))

    def _note_jump(self, seconds: float) -> None:
        """Note that the wall clock advanced by `seconds` more than ours, which may stop while the machine is
        suspended.
        """
        if seconds > JUMP_SECONDS:
            self._recorder.faults.add(f"the machine was suspended, or its clock was set, by {seconds:.1f} s")
        elif seconds < -JUMP_SECONDS:
            self._recorder.faults.add(f"the machine's clock was set back by {-seconds:.1f} s")
