"""By how much the clock of another process is ahead, from messages that go to it and come back. Pure.

Half of a round trip is the most that can be wrong: the answer was written at some time between the asking and
its coming. So the shortest trip tells most. Source: Cristian, "Probabilistic clock synchronization",
Distributed Computing 3 (1989).
"""

from collections.abc import Iterable
from typing import NamedTuple

MOST_ERROR_SECONDS = 0.1  # by which the requests of two processes may be laid wrongly beside each other
MOST_DRIFT_SECONDS = 0.02  # within a load, beyond what the messages leave open


class Clock(NamedTuple):
    """A clock is `ahead` of ours by so many seconds, give or take `error`."""

    ahead: float
    error: float

    @property
    def agrees(self) -> bool:
        """True if it may well be ours."""
        return abs(self.ahead) <= self.error


def round_trip(asked: float, answered: float, came: float) -> Clock:
    """What one message tells: `asked` and `came` are times of our clock, `answered` of the other one."""
    return Clock(answered - (asked + came) / 2, (came - asked) / 2)


def clock_from(trips: Iterable[Clock]) -> tuple[Clock, str]:
    """What all messages tell, and why it is not good enough; empty if it is."""
    trips = list(trips)
    if not trips:
        return Clock(0.0, 0.0), "the clock of a load generator is not known: it did not answer"
    best = min(trips, key=lambda trip: trip.error)
    drift = max(abs(trip.ahead - best.ahead) - trip.error - best.error for trip in trips)
    if drift > MOST_DRIFT_SECONDS:
        return best, f"the clock of a load generator went wrong by {drift:.2f} s while the load ran"
    if best.error > MOST_ERROR_SECONDS:
        return best, (
            f"the clock of a load generator is known to within {best.error:.2f} s only (at most"
            f" {MOST_ERROR_SECONDS:g} s): messages to it take too long"
        )
    return (Clock(0.0, best.error) if best.agrees else best), ""
