"""What a process tells of its requests while the load runs: for Locust's page, Prometheus and early ends.

Requests are told by when they were due, not by when they were answered: among the answered ones, the slow
would still be missing. Once the rule's time has passed since a request was due, it is known to be within the
rule or over it, whether or not it has been answered.
"""

import math
from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

from loadtests.generator.generator import Generator
from loadtests.generator.recorder import Pending
from loadtests.records.recording import Lag, Vital

MARGIN_SECONDS = 0.001  # so that a request told as over the rule while it waits is still over it when it ends

RequestOutcome = Literal["in_time", "too_late", "failed", "dropped", "unfinished"]
ANSWERED: tuple[RequestOutcome, ...] = ("in_time", "too_late")


class Request(NamedTuple):
    """What is told of a request. `due`: when it should have been sent, in seconds since the start."""

    group: str
    name: str
    due: float
    ms: float  # from then until its answer, or until now if it waits; 0 if it failed or was dropped
    outcome: RequestOutcome
    late_ms: float  # how late it was sent; 0 if it was not


class Told(NamedTuple):
    """The news of a process. Times are seconds since its start."""

    started_at: float  # Unix time
    until: float  # all requests due before it have been told, or are in `late`
    ended: list[Request]  # since the last time; at the end of the load, also those that never ended
    late: list[Request]  # all that still wait, and will be over the rule however they end
    visits: list[str]  # the groups whose rows are whole visits, not requests
    users: int
    lag: list[Lag]  # since the last time, like `vitals`
    vitals: list[Vital]
    in_flight: int  # requests sent and not answered yet


def unpacked(cells: Iterable[Any]) -> Told:
    """The news from a message, in which all tuples have become lists."""
    started_at, until, ended, late, visits, users, lag, vitals, in_flight = cells
    return Told(
        started_at,
        until,
        [Request(*each) for each in ended],
        [Request(*each) for each in late],
        visits,
        users,
        [Lag(*each) for each in lag],
        [Vital(*each) for each in vitals],
        in_flight,
    )


class Teller:
    """Tells the news of one generator. Each request is told once, in constant time."""

    def __init__(self, generator: Generator) -> None:
        self._generator = generator
        self._held: list[Pending] = []  # not told yet
        self._seen = self._seen_dropped = self._seen_lags = self._seen_vitals = 0

    def tell(self) -> Told:
        """All that is certain by now."""
        generator, recorder = self._generator, self._generator.recorder
        now, rule = recorder.now(), generator.load.rule_ms / 1000 + MARGIN_SECONDS
        held = self._not_told()
        until = min(now - rule, generator.oldest_due())
        for pending in held:
            if not pending.settled and pending.done is not None and pending.done - pending.intended < rule:
                until = min(until, pending.intended)  # its user may yet call it a failure
        ended, late, self._held = [], [], []
        for pending in held:
            if pending.intended < until and pending.settled:
                ended.append(self._request(pending))
                continue
            self._held.append(pending)
            if pending.intended < until:
                waits = ((pending.done or now) - pending.intended) * 1000
                late.append(_told_of(pending, waits, "unfinished"))
        return self._told(until, ended + self._dropped(until), late)

    def rest(self) -> Told:
        """Everything that was not told, when the load has ended."""
        return self._told(math.inf, [self._request(pending) for pending in self._not_told()], [])

    def _not_told(self) -> list[Pending]:
        fresh = self._generator.recorder.since(self._seen)
        self._seen += len(fresh)
        return [pending for pending in (*self._held, *fresh) if not pending.left_out]

    def _request(self, pending: Pending) -> Request:
        """A request that has ended, or never will; by the same measure as in records/rows.py."""
        ms, done, rule_ms = 0.0, pending.done, self._generator.load.rule_ms
        outcome: RequestOutcome
        if done is None:
            outcome = "dropped" if pending.error else "unfinished"
        elif pending.error or pending.status >= 400:
            outcome = "failed"
        else:
            ms = round((done - pending.intended) * 1000, 3)
            outcome = "in_time" if ms <= rule_ms else "too_late"
        return _told_of(pending, ms, outcome)

    def _dropped(self, until: float) -> list[Request]:
        """Open load's visits that were refused since the last time."""
        fresh = self._generator.dropped(self._seen_dropped)
        dropped = [
            Request(group, name, due, 0.0, "dropped", 0.0) for group, name, due in fresh if due < until
        ]
        self._seen_dropped += len(dropped)
        return dropped

    def _told(self, until: float, ended: list[Request], late: list[Request]) -> Told:
        generator, recorder = self._generator, self._generator.recorder
        lag, vitals = generator.samples(self._seen_lags, self._seen_vitals)
        self._seen_lags += len(lag)
        self._seen_vitals += len(vitals)
        unanswered = [pending for pending in self._held if pending.done is None]
        in_flight = sum(pending.group not in recorder.visits for pending in unanswered)
        visits, users = sorted(recorder.visits), generator.users()
        return Told(recorder.started_at, until, ended, late, visits, users, lag, vitals, in_flight)


def _told_of(pending: Pending, ms: float, outcome: RequestOutcome) -> Request:
    late_ms = 0.0 if pending.sent is None else (pending.sent - pending.intended) * 1000
    return Request(pending.group, pending.name, pending.intended, ms, outcome, late_ms)
