"""When a page whose feed is being fetched should ask for it again: soon at first, then less and less often.

Where feeds wait for their turn, asking before it comes is in vain. Who fetches them, and how many wait, is
not known here. But each feed that has come has waited, too, and the least of the last few waits is about the
time until a feed's turn. (Not the mean: a server that hangs makes a long wait where no other feed waits.)
"""

from datetime import datetime, timedelta

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 4.0  # seconds
LONGEST_SILENCE = 10.0  # seconds without asking, before a feed's turn: it may come sooner than expected
REMEMBERED = 8  # waits: if they were fewer, all might be those of slow servers
RECENT = timedelta(seconds=10)  # older waits say nothing about now


def pause(age: float, turn: float = 0.0) -> float:
    """Seconds until a page should ask again for a feed that was requested `age` seconds ago.

    It asks after 0.5, 1.5, 3.5, 7.5, 11.5, 15.5 ... seconds, so polling makes no wait much more than twice as
    long. If feeds wait some `turn` seconds for their turn, it asks first then: with 9, after 9, 13, 17 ...
    """
    age = max(age, 0.0)  # two machines' clocks may differ
    return max(min(FIRST_PAUSE + age, LONGEST_PAUSE), min(turn - age, LONGEST_SILENCE))


class LastWaits:
    """The waits of the last feeds that this process knows to have come. Its threads may share it."""

    def __init__(self) -> None:
        self._last: tuple[tuple[datetime, datetime], ...] = ()  # replaced, never changed

    def note(self, requested_at: datetime, fetched_at: datetime) -> None:
        """Remember that a feed has come. A feed noted twice counts once."""
        wait = requested_at, fetched_at
        if wait not in self._last:
            self._last = (*self._last, wait)[-REMEMBERED:]

    def turn(self, now: datetime) -> float:
        """About how many seconds feeds wait for their turn; 0 if too few have come lately to say."""
        recent = [fetched - requested for requested, fetched in self._last if now - fetched < RECENT]
        return min(recent).total_seconds() if len(recent) == REMEMBERED else 0.0
