"""What a process tells about its requests while the load runs: for Locust's page, Prometheus and early ends.

Requests are told by when they were due, not by when they were answered: of those answered so far, the slow
ones would be missing. Once a request was due for longer than the rule allows, it is known to be within the
rule or over it, whether or not it has been answered.
"""

import math
from typing import Any, NamedTuple

from loadtests.generator.generator import Generator
from loadtests.generator.recorder import Pending, row_of
from loadtests.records.rows import Row

MARGIN_SECONDS = 0.001  # so that a request that is over the rule while it waits stays so when it ends


class Told(NamedTuple):
    """The news of a process. Times are seconds since its start."""

    started_at: float  # Unix time
    now: float
    until: float  # all requests due before it have been told, or are in `late`
    rows: list[Row]  # those that have ended since the last time; at the very end, all others too
    late: list[Row]  # all those that still wait, and are over the rule however they will end
    visits: list[str]  # the groups whose rows are whole visits
    users: int
    lag_ms: float  # the most since the last time

    def packed(self) -> list[Any]:
        """As plain lists and numbers, for a message."""
        return [
            *self[:3],
            *([row.cells() for row in rows] for rows in (self.rows, self.late)),
            *self[5:],
        ]


def unpacked(cells: list[Any]) -> Told:
    """What `packed` made a message of."""
    started_at, now, until, rows, late, *more = cells
    return Told(started_at, now, until, [Row(*row) for row in rows], [Row(*row) for row in late], *more)


class Teller:
    """Tells the news of one generator; a request costs nothing until it is told."""

    def __init__(self, generator: Generator) -> None:
        self._generator = generator
        self._held: list[Pending] = []  # not told yet
        self._seen = self._seen_dropped = self._seen_lag = 0

    def tell(self) -> Told:
        """All that is certain by now."""
        generator, recorder = self._generator, self._generator.recorder
        now, rule = recorder.now(), generator.load.rule_ms / 1000 + MARGIN_SECONDS
        fresh = recorder.since(self._seen)
        self._seen += len(fresh)
        held = [pending for pending in (*self._held, *fresh) if not pending.left_out]
        until = min(now - rule, generator.oldest_due())
        for pending in held:
            if pending.done is not None and not pending.settled and pending.done - pending.intended < rule:
                until = min(until, pending.intended)  # its user may yet call it a failure
        rows, late, self._held = [], [], []
        for pending in held:
            if pending.intended >= until:
                self._held.append(pending)
            elif pending.settled:
                rows.append(row_of(pending))
            else:
                self._held.append(pending)
                late.append(row_of(pending, waiting=True))
        return self._told(now, until, rows + self._dropped(until), late)

    def rest(self) -> Told:
        """Everything that was not told, when the load has ended."""
        recorder = self._generator.recorder
        held = [pending for pending in (*self._held, *recorder.since(self._seen)) if not pending.left_out]
        return self._told(recorder.now(), math.inf, list(map(row_of, held)), [])

    def _dropped(self, until: float) -> list[Row]:
        """Open load's visits that were refused since the last time."""
        dropped = [row for row in self._generator.dropped(self._seen_dropped) if row.intended_s < until]
        self._seen_dropped += len(dropped)
        return dropped

    def _told(self, now: float, until: float, rows: list[Row], late: list[Row]) -> Told:
        generator, recorder = self._generator, self._generator.recorder
        lags = generator.lags(self._seen_lag)
        self._seen_lag += len(lags)
        return Told(
            recorder.started_at,
            now,
            until,
            rows,
            late,
            sorted(recorder.visits),
            generator.users(),
            max((lag.ms for lag in lags), default=0.0),
        )
