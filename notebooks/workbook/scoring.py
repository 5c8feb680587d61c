"""How far off a prediction was, and whether the measurement can tell.

* Times, rates and ratios: by a factor.
* Counts, too; 0 counts as a half, so that 1 for 0 is as far off as 2 for 1.
* Shares: in percentage points, as forecasters' Brier score does. The ratio of two small shares says little,
  and that of a share to 0 nothing.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from workbook.words import in_words

WELL_SAID = 1.5  # a factor; below it a prediction counts as good
WELL_SAID_POINTS = 10.0  # the same for a share: 60 % instead of 50 % is a factor of 1.5 in the odds
UNIT_SECONDS = {
    "ms": 1e-3,
    "seconds": 1.0,
    "minutes": 60.0,
    "hours": 3600.0,
    "days": 86400.0,
    "weeks": 604800.0,
}
PERCENT = "percent"
RATIOS = {*UNIT_SECONDS, "per_second", "times"}  # units of what is never 0; all other words count something
ZERO_COUNTS = 0.5

Ends = Sequence[float | None]  # low and high; None: no limit


def distance(said: float, measured: float, unit: str) -> float:
    """How far `said` lies above (or, negative, below) `measured`: 1 is the edge of what is well said."""
    if unit == PERCENT:
        return (said - measured) / WELL_SAID_POINTS
    least = 0.0 if unit in RATIOS else ZERO_COUNTS
    said, measured = max(said, least), max(measured, least)
    if said == measured:
        return 0.0
    if not said or not measured:
        return math.copysign(math.inf, said - measured)
    return math.log(said / measured) / math.log(WELL_SAID)


@dataclass(frozen=True)
class Prediction:
    """What was said and, once it is known, what was measured, in the same unit."""

    chapter: int
    name: str
    unit: str
    said: float
    measured: float | None = None
    at_least: bool = False  # the measurement is a lower bound
    interval: Ends | None = None  # of the true figure, at 95 %; None if no sample was drawn
    doubtful: bool = False  # the run was slowed or not fit

    @property
    def known(self) -> bool:
        """Whether it was measured, and so well that no figure in its interval would be off from it."""
        if self.measured is None:
            return False
        ends = self.interval or ()
        return all(end is not None and abs(distance(end, self.measured, self.unit)) <= 1 for end in ends)

    @property
    def off(self) -> float | None:
        """How far off it was, as `distance` says; None if that is not known."""
        if self.measured is None or not self.known:
            return None
        if self.at_least and self.said >= self.measured:
            return 0.0
        return distance(self.said, self.measured, self.unit)

    @property
    def well_said(self) -> bool:
        return self.off is not None and abs(self.off) < 1

    @property
    def verdict(self) -> str:
        """ "well said", or how far off it was; "not measured", or "not scored" if that is not known."""
        if self.off is None:
            return "not measured" if self.measured is None else "not scored"
        if self.well_said:
            return "well said"
        least = "at least " if self.at_least else ""
        if self.unit == PERCENT:
            return f"off by {least}{abs(self.off) * WELL_SAID_POINTS:.0f} points"
        if self.said == 0 or self.measured == 0:  # no factor of anything
            return f"off by {least}{in_words(abs(self.said - (self.measured or 0)), self.unit)}"
        factor = round(WELL_SAID ** abs(self.off), 9)  # 2.75, not 2.7499999999999996
        return f"off by a factor of {least}{factor:.{1 if factor < 9.95 else 0}f}"
