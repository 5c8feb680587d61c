"""The arithmetic of the queue's benchmark: medians, ratios of paired samples, targets. Pure functions."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Literal

COMPARE = {"at least": "≥", "more than": ">", "less than": "<"}


@dataclass(frozen=True)
class Spread:
    """One figure, the lowest and highest of the rounds behind it, and every sample."""

    value: float
    low: float
    high: float
    samples: list[float]

    @property
    def spread(self) -> float:
        """From lowest to highest, as a share of the value; 0 for a value of 0."""
        return (self.high - self.low) / self.value if self.value else 0.0


@dataclass(frozen=True)
class Target:
    """The target for a figure or a ratio."""

    rule: Literal["at least", "more than", "less than"]
    limit: float

    def is_met(self, value: float) -> bool:
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
    met: bool | None


@dataclass(frozen=True)
class Result:
    """One line of the table: jobqueue's figure, its target, and the systems it was compared with.

    `measure` is its name in --only; `database` is "sqlite", "postgresql", or "" if it plays no part.
    """

    measure: str
    database: str
    title: str
    unit: str
    figure: Spread
    target: Target | None
    met: bool | None
    others: list[Other]

    def as_json(self) -> dict[str, object]:
        return asdict(self)


def spread_of(samples: Sequence[float]) -> Spread:
    """The median of the rounds' samples, of which there is at least one.

    >>> spread_of([3.0, 1.0, 2.0])
    Spread(value=2.0, low=1.0, high=3.0, samples=[3.0, 1.0, 2.0])
    """
    return Spread(median(samples), min(samples), max(samples), list(samples))


def summarise_percentile(rounds: Sequence[Sequence[float]], share: float) -> Spread:
    """A percentile of all rounds' samples together; low and high are the rounds' own. `share` is 0 to 1.

    >>> summarise_percentile([[1.0, 2.0], [3.0, 4.0]], 0.5)
    Spread(value=2.0, low=1.0, high=3.0, samples=[1.0, 2.0, 3.0, 4.0])
    """
    together = [sample for samples in rounds for sample in samples]
    each = [_percentile(samples, share) for samples in rounds]
    return Spread(_percentile(together, share), min(each), max(each), together)


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
    target: Target | None = None,
    ratio_targets: Mapping[str, Target] | None = None,
) -> Result:
    """A line of the table from every system's samples, one per round; the first system is jobqueue.

    `ratio_targets` holds the targets for jobqueue's ratio to some of the others, by their names.
    """
    (_, ours), *rest = samples.items()
    others = []
    for name, theirs in rest:
        ratio = paired_ratio(ours, theirs)
        wanted = (ratio_targets or {}).get(name)
        others.append(Other(name, spread_of(theirs), ratio, wanted, _met(wanted, ratio.value)))
    return of_figure(measure, database, title, unit, spread_of(ours), target, others)


def of_figure(
    measure: str,
    database: str,
    title: str,
    unit: str,
    figure: Spread,
    target: Target | None = None,
    others: Sequence[Other] = (),
) -> Result:
    """A line of the table for a figure that is already computed."""
    met = _met(target, figure.value)
    return Result(measure, database, title, unit, figure, target, met, list(others))


def all_met(results: Sequence[Result]) -> bool:
    """Whether every target of every result is met."""
    verdicts = [each.met for each in results] + [other.met for each in results for other in each.others]
    return False not in verdicts


def _met(target: Target | None, value: float) -> bool | None:
    return None if target is None else target.is_met(value)


def _percentile(samples: Sequence[float], share: float) -> float:
    """Nearest rank: the smallest sample that at least `share` of them do not exceed."""
    return sorted(samples)[max(1, math.ceil(share * len(samples))) - 1]
