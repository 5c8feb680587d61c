"""The 500 ms rule, and how it is judged. Pure.

The rule: "avoid web requests which run longer than 500ms" (Heroku's documentation on background jobs). A
group of requests keeps it if at most 1 % of them took longer, or failed. The verdict is *kept* or *broken* if
the 95 % interval of that share lies on one side of the limit, and *undecided* if it spans the limit. Requests
that were slowed (fitness.py) can prove only that the rule was kept: over the limit they are undecided.
"""

import math
from collections.abc import Iterable
from typing import Generic, Literal, TypedDict, TypeVar

from loadtests.judging.intervals import CONFIDENCE, clopper_pearson
from loadtests.records.constants import MOST_OVER
from loadtests.records.expectations import Operator
from loadtests.records.figures import Word

Ruled = Literal["submit", "browse"]
# The groups of a run's steps that the rule applies to: "content" rows are not requests.
RULED: tuple[Ruled, ...] = ("submit", "browse")
MOST_MORE = 1_000_000  # advice to send more than that would be useless


class Counted(TypedDict):
    """The figures of a group that the rule needs."""

    over: int
    judged: int


C = TypeVar("C", bound=Counted)


class RuledGroups(TypedDict, Generic[C]):
    """The groups of a step, or of a point, that the rule applies to."""

    submit: C
    browse: C


def word_of(
    over: int, judged: int, most_over: float = MOST_OVER, slowed: bool = False, confidence: float = CONFIDENCE
) -> Word:
    """What `over` of `judged` requests prove, where a share of at most `most_over` is allowed."""
    if not judged:
        return "undecided"
    low, high = clopper_pearson(over, judged, confidence)
    return word_for("<=", None if slowed else low, high, most_over)


def word_for(comparison: Operator, low: float | None, high: float | None, limit: float) -> Word:
    """What the interval from `low` to `high` of a figure (None: unbounded) proves about its limit."""
    least, most = -math.inf if low is None else low, math.inf if high is None else high
    kept, broken = {
        "<": (most < limit, least >= limit),
        "<=": (most <= limit, least > limit),
        ">": (least > limit, most <= limit),
        ">=": (least >= limit, most < limit),
    }[comparison]
    return "kept" if kept else "broken" if broken else "undecided"


def excused(over: int, judged: int, most_over: float = MOST_OVER, slowed: bool = False) -> bool:
    """True if the share is over the limit, but may be the machine's doing: more requests won't decide."""
    return slowed and over > most_over * judged


def all_of(words: Iterable[Word]) -> Word:
    """One word for several: broken if any is, else undecided if any is or there are none, else kept."""
    found = set(words)
    return "broken" if "broken" in found else "kept" if found == {"kept"} else "undecided"


def more_needed(
    over: int, judged: int, most_over: float = MOST_OVER, slowed: bool = False, confidence: float = CONFIDENCE
) -> int | None:
    """About how many more requests like those so far would decide; None if that can't be said."""
    if not judged or excused(over, judged, most_over, slowed):
        return None

    def decides(count: int) -> bool:
        return word_of(round(over * count / judged), count, most_over, confidence=confidence) != "undecided"

    high = judged
    while not decides(high):
        high *= 2
        if high > MOST_MORE:
            return None
    low = high // 2
    while high - low > max(1, high // 100):
        middle = (low + high) // 2
        low, high = (low, middle) if decides(middle) else (middle, high)
    return max(1, high - judged)


def rule_of(step: RuledGroups[C], slowed: bool = False) -> Word:
    """What a step, or all repeats of a point together, prove about the groups of RULED that it has."""
    return all_of(
        word_of(step[group]["over"], step[group]["judged"], slowed=slowed) for group in _measured(step)
    )


def is_excused(step: RuledGroups[C], slowed: bool) -> bool:
    """True if a group of a step or a point is over the limit, but that may be the machine's doing."""
    return any(
        excused(step[group]["over"], step[group]["judged"], slowed=slowed) for group in _measured(step)
    )


def broken_shares(step: RuledGroups[C]) -> dict[Ruled, float]:
    """The share over the rule in each group of a step, or of a point, that broke it beyond doubt."""
    counts = {group: (step[group]["over"], step[group]["judged"]) for group in _measured(step)}
    return {
        group: over / judged for group, (over, judged) in counts.items() if word_of(over, judged) == "broken"
    }


def _measured(step: RuledGroups[C]) -> list[Ruled]:
    return [group for group in RULED if step[group]["judged"]]
