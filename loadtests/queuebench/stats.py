"""The arithmetic of the queue's benchmark: medians, ratios of paired samples, targets. Pure functions."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Literal

from loadtests.judging.intervals import percentile_ranks
from loadtests.status import Status

Answer = Literal["met", "missed", "undecided"]
COMPARE = {"at least": "≥", "more than": ">", "less than": "<"}


@dataclass(frozen=True)
class Spread:
    """One figure, the lowest and highest of the rounds behind it, and every sample."""

    value: float
    low: float
    high: float
    samples: list[float]

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of the median, by order statistics; None for fewer than six samples."""
        ranks = percentile_ranks(len(self.samples), 50)
        return ranks and (sorted(self.samples)[ranks[0] - 1], sorted(self.samples)[ranks[1] - 1])


@dataclass(frozen=True)
class Target:
    """The target for a ratio: jobqueue's figure over another's of the same run."""

    rule: Literal["at least", "more than", "less than"]
    limit: float

    def answer(self, ratio: Spread) -> Answer:
        """Met or missed if the whole interval of the ratio says so; otherwise undecided."""
        if ratio.interval is None:
            return "undecided"
        ends = {self._holds(end) for end in ratio.interval}
        return "undecided" if len(ends) > 1 else "met" if True in ends else "missed"

    def _holds(self, value: float) -> bool:
        if self.rule == "at least":
            return value >= self.limit
        return value > self.limit if self.rule == "more than" else value < self.limit


@dataclass(frozen=True)
class Other:
    """A system that jobqueue was compared with. `ratio` is jobqueue's figure over the other's."""

    name: str
    figure: Spread
    ratio: Spread
    target: Target | None
    answer: Answer | None


@dataclass(frozen=True)
class Result:
    """One line of the table: jobqueue's figure, and the systems it was compared with.

    `measure` is its name in --only; `database` is "sqlite", "postgresql", or "" if it plays no part.
    """

    measure: str
    database: str
    title: str
    unit: str
    figure: Spread
    others: list[Other]

    def as_json(self) -> dict[str, object]:
        return asdict(self)


def spread_of(samples: Sequence[float]) -> Spread:
    """The median of the rounds' samples, of which there is at least one.

    >>> spread_of([3.0, 1.0, 2.0])
    Spread(value=2.0, low=1.0, high=3.0, samples=[3.0, 1.0, 2.0])
    """
    return Spread(median(samples), min(samples), max(samples), list(samples))


def paired_ratio(ours: Sequence[float], others: Sequence[float]) -> Spread:
    """The median of ours over the other's, round by round: what slows a round slows both.

    >>> paired_ratio([2.0, 3.0, 8.0], [1.0, 1.0, 2.0]).value
    3.0
    """
    return spread_of([mine / other for mine, other in zip(ours, others, strict=True)])


def result(
    measure: str,
    database: str,
    title: str,
    unit: str,
    samples: Mapping[str, Sequence[float]],
    targets: Mapping[str, Target] | None = None,
) -> Result:
    """A line of the table from every system's samples, one per round; the first system is jobqueue.

    `targets` holds the targets for jobqueue's ratio to some of the others, by their names.
    """
    (_, ours), *rest = samples.items()
    others = []
    for name, theirs in rest:
        ratio, target = paired_ratio(ours, theirs), (targets or {}).get(name)
        others.append(Other(name, spread_of(theirs), ratio, target, target.answer(ratio) if target else None))
    return Result(measure, database, title, unit, spread_of(ours), others)


def share(seconds: float, weights: Sequence[float]) -> float:
    """How many of a run's last `seconds` the next measure may take; `weights` are those of all that are left.

    >>> share(600.0, [2.0, 1.0, 1.0])
    300.0
    """
    return max(0.0, seconds) * weights[0] / sum(weights)


def answers(results: Sequence[Result]) -> list[Answer]:
    """The answers to all targets of all results."""
    return [other.answer for each in results for other in each.others if other.answer]


def status(results: Sequence[Result]) -> Status:
    """One target missed is enough to fail, and one undecided to be in doubt."""
    given = answers(results)
    if "missed" in given:
        return Status.BROKEN
    return Status.UNDECIDED if "undecided" in given else Status.KEPT
