"""What is expected of a load beyond the rule, in words: "pay p95 < 300ms". Pure.

    REQUESTS METRIC COMPARISON VALUE

* REQUESTS: a group; or a request's name, in quotes; or `all` requests together, without whole visits.
* METRIC: any percentile from p1 to p99.99 of the latencies of answered requests; their `mean`; `over`, the
  share that took longer than the rule or failed; `failed`, the share that failed; `rate`, how many were
  answered a second.
* COMPARISON: < <= > >=
* VALUE: with its unit: ms or s, % for a share, /s for a rate.
"""

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from loadtests.errors import UsageError

Metric = Literal["percentile", "mean", "over", "failed", "rate"]
Operator = Literal["<", "<=", ">", ">="]
COMPARISONS: tuple[Operator, ...] = ("<", "<=", ">", ">=")
WORDS: tuple[Metric, ...] = ("mean", "over", "failed", "rate")
EXAMPLES: dict[Metric, str] = {
    "percentile": "pay p95 < 300ms",
    "mean": "pay mean < 0.2s",
    "over": "pay over <= 1%",
    "failed": "all failed < 1%",
    "rate": "all rate > 50/s",
}
UNITS: dict[Metric, dict[str, Fraction]] = {  # one of each: in ms, as a share, or a second
    "percentile": {"ms": Fraction(1), "s": Fraction(1000)},
    "mean": {"ms": Fraction(1), "s": Fraction(1000)},
    "over": {"%": Fraction("0.01")},
    "failed": {"%": Fraction("0.01")},
    "rate": {"/s": Fraction(1)},
}


@dataclass(frozen=True)
class Expectation:
    """One expectation, parsed. `limit`: in ms, as a share from 0 to 1, or a second.

    It concerns a `group`, or requests of a `name`, or all requests if both are None.
    """

    text: str
    group: str | None
    name: str | None
    metric: Metric
    percent: Fraction | None  # of a percentile: exact, as its rank must be
    comparison: Operator
    limit: float


def expectation(text: str) -> Expectation:
    """Parse an expectation. Raises UsageError, which says where it is wrong, with an example."""
    text = " ".join(text.split())
    parts = re.fullmatch(r"(.*?)\s*([<>]=?)\s*([^<>]*)", text)
    if not parts:
        raise _wrong(text, "", "has no comparison: <, <=, > or >=")
    *requests, metric = parts[1].rsplit(" ", 1)
    percent = re.fullmatch(r"p(\d+(?:\.\d+)?)", metric)
    known = "percentile" if percent else next((word for word in WORDS if word == metric), None)
    if known is None:
        raise _wrong(
            text, metric or parts[2], "should be a metric: p95 or the like, mean, over, failed or rate"
        )
    if percent and not 1 <= Fraction(percent[1]) <= Fraction("99.99"):
        raise _wrong(text, metric, "is not a percentile from p1 to p99.99")
    group, name = _requests(text, "".join(requests))
    return Expectation(
        text=text,
        group=group,
        name=name,
        metric=known,
        percent=Fraction(percent[1]) if percent else None,
        comparison=next(each for each in COMPARISONS if each == parts[2]),
        limit=_limit(text, parts[3], known),
    )


def _requests(text: str, who: str) -> tuple[str | None, str | None]:
    """The group and the name in `who`, at most one of them; neither means all requests."""
    if not who:
        raise _wrong(text, "", "does not say which requests: begin with a group, a name in quotes, or all")
    if who[0] not in "\"'":
        return (None if who == "all" else who), None
    if len(who) < 3 or who[-1] != who[0]:
        raise _wrong(text, who, "is not a name between two quotes")
    return None, who[1:-1]


def _limit(text: str, value: str, metric: Metric) -> float:
    units = UNITS[metric]
    parts = re.fullmatch(r"(\d+(?:\.\d+)?) ?(\S+)", value)
    if not parts or parts[2] not in units:
        unit = " or ".join(units)
        raise _wrong(text, value, f"should be a number with its unit, {unit}", EXAMPLES[metric])
    limit = Fraction(parts[1]) * units[parts[2]]
    if metric in ("over", "failed") and limit > 1:
        raise _wrong(text, value, "is more than 100 %", EXAMPLES[metric])
    return float(limit)


def _wrong(text: str, place: str, why: str, example: str = EXAMPLES["percentile"]) -> UsageError:
    where = f"in {text!r}, {place!r}" if place else f"{text!r}"
    return UsageError(f"{where} {why}. For example: {example}")
