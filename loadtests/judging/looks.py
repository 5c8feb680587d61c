"""Looking at a load again and again while it runs, without being wrong more often. Pure.

Look at growing data often enough, and chance will decide: at 95 % confidence, a server exactly at the limit
is sooner or later found to have kept or broken the rule. So the 5 % of error is spent over the looks: the
k-th may be wrong with probability 0.05 / (k (k + 1)), and these add up to 0.05 however many there are (a
union bound). Waiting for the number of requests to grow by half before each look keeps k small. Exact for
independent requests, like all intervals here. Sources: Lan and DeMets, "Discrete sequential boundaries for
clinical trials", Biometrika 70 (1983), on spending the error; Jennison and Turnbull, Group Sequential Methods
(2000).
"""

from collections.abc import Mapping
from typing import NamedTuple

from loadtests.judging.intervals import CONFIDENCE
from loadtests.judging.rule import word_of
from loadtests.records.figures import Word

FIRST_LOOK_REQUESTS, LOOK_GROWTH = 50, 1.5


class GroupCount(NamedTuple):
    """How many of a group's `judged` requests were over the rule."""

    over: int
    judged: int


def confidence_at(look: int) -> float:
    """The confidence of a look, counted from 1; 0: the only one, which may spend all of the error."""
    return 1 - (1 - CONFIDENCE) / (look * (look + 1)) if look else CONFIDENCE


class Looks:
    """The looks at one load, or at one stage of it."""

    def __init__(self, most_over: float) -> None:
        self.taken = 0
        self._most_over = most_over
        self._due = float(FIRST_LOOK_REQUESTS)

    def due(self, groups: Mapping[str, GroupCount]) -> bool:
        """Whether enough requests were added since the last look."""
        return sum(count.judged for count in groups.values()) >= self._due

    def look(self, groups: Mapping[str, GroupCount], slowed: bool = False) -> dict[str, Word]:
        """What each group proves. `slowed`: latencies are upper bounds, which can't prove a broken rule."""
        self.taken += 1
        self._due = LOOK_GROWTH * sum(count.judged for count in groups.values())
        confidence = confidence_at(self.taken)
        return {
            group: word_of(count.over, count.judged, self._most_over, slowed, confidence)
            for group, count in groups.items()
        }
