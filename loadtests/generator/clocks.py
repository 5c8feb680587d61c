"""How far the clock of another process is ahead, from messages that go to it and come back. Pure.

The error is at most half the round trip, since the answer was written at some time between the question and
its arrival. So the shortest trip is the most exact. Source: Cristian, "Probabilistic clock synchronization",
Distributed Computing 3 (1989).
"""

from collections.abc import Iterable
from typing import NamedTuple

MOST_DRIFT_SECONDS = 0.02  # during a load, beyond the error of the messages


class Clock(NamedTuple):
    """A clock that is `ahead` of ours, give or take `error`, both in seconds."""

    ahead: float
    error: float

    @property
    def agrees(self) -> bool:
        """True if the difference is within the error."""
        return abs(self.ahead) <= self.error


def round_trip(asked: float, answered: float, came: float) -> Clock:
    """The clock by one message: `asked` and `came` are times of our clock, `answered` of the other one."""
    return Clock(answered - (asked + came) / 2, (came - asked) / 2)


def clock_from(trips: Iterable[Clock]) -> tuple[Clock, str]:
    """The clock by all messages, and why it can't be put right; empty if it can."""
    trips = list(trips)
    if not trips:
        return Clock(0.0, 0.0), "the clock of a load generator is not known: it did not answer"
    best = min(trips, key=lambda trip: trip.error)
    drift = max(abs(trip.ahead - best.ahead) - trip.error - best.error for trip in trips)
    if drift > MOST_DRIFT_SECONDS:
        return best, f"the clock of a load generator drifted by {drift:.2f} s while the load ran"
    return (Clock(0.0, best.error) if best.agrees else best), ""
