"""The 500 ms rule, as it is judged here. Pure.

The rule: "avoid web requests which run longer than 500ms" (Heroku's documentation on background jobs). A
group of requests keeps it if at most 1 % of them took longer, or failed. That is *kept* or *broken* where the
95 % interval of the share lies on one side of the limit, and *undecided* where it holds both.
"""

from collections.abc import Iterable
from typing import Generic, Literal, TypedDict, TypeVar

from loadtests.judging.intervals import clopper_pearson
from loadtests.records.constants import MOST_OVER
from loadtests.records.figures import Word

Ruled = Literal["submit", "browse"]
RULED: tuple[Ruled, ...] = (
    "submit",
    "browse",
)  # the groups of a run's steps that the rule is for: content is no request
MOST_MORE = 1_000_000  # more requests than that are no advice


class Counted(TypedDict):
    """What of a group's figures the rule asks for."""

    over: int
    judged: int


C = TypeVar("C", bound=Counted)


class RuledGroups(TypedDict, Generic[C]):
    """The groups of a step, or of a point, that the rule is for."""

    submit: C
    browse: C


def word_of(over: int, judged: int, most_over: float = MOST_OVER) -> Word:
    """What `over` of `judged` requests prove, where a share of at most `most_over` is allowed."""
    if not judged:
        return "undecided"
    low, high = clopper_pearson(over, judged)
    return "kept" if high <= most_over else "broken" if low > most_over else "undecided"


def all_of(words: Iterable[Word]) -> Word:
    """The one word of several: broken if any is, else undecided if any is, or if there is none."""
    found = set(words)
    return "broken" if "broken" in found else "kept" if found == {"kept"} else "undecided"


def more_needed(over: int, judged: int, most_over: float = MOST_OVER) -> int | None:
    """About how many more requests would decide, if they went as those before; None if that can't be said."""
    if not judged:
        return None

    def decides(count: int) -> bool:
        return word_of(round(over * count / judged), count, most_over) != "undecided"

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


def rule_of(step: RuledGroups[C]) -> Word:
    """What a step, or all repeats of a point together, prove: of the groups of RULED that it has."""
    return all_of(word_of(step[group]["over"], step[group]["judged"]) for group in _measured(step))


def broken_shares(step: RuledGroups[C]) -> dict[Ruled, float]:
    """The share over the rule in each group of a step, or of a point, that broke it beyond doubt."""
    counts = {group: (step[group]["over"], step[group]["judged"]) for group in _measured(step)}
    return {
        group: over / judged for group, (over, judged) in counts.items() if word_of(over, judged) == "broken"
    }


def _measured(step: RuledGroups[C]) -> list[Ruled]:
    return [group for group in RULED if step[group]["judged"]]
