"""The difference between two measurements of one condition, with its interval. Pure.

A figure of one side is an estimate: a value, its standard error, and how many degrees of freedom that has.

* Between runs: the mean of the repeats, and their spread. That includes whatever made one run unlike another,
  so it is the better estimate. It needs two repeats on each side.
* Within a run: the run is resampled in blocks of time (loadtests/judging/bootstrap.py). That misses what
  differs from run to run.

Two estimates are compared by Welch's method (Biometrika 34, 1947).
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from loadtests.judging.bootstrap import BLOCKS
from loadtests.judging.intervals import student_p, student_t
from loadtests.records.figures import FigureKey, Summary


@dataclass(frozen=True)
class Estimate:
    """A figure of one side. `error`: its standard error; None if unknown. `most`: the largest it could be."""

    value: float
    error: float | None
    freedom: float
    lower_bound: bool = False
    most: float = math.inf


@dataclass(frozen=True)
class Difference:
    """B minus A, with its 95 % interval, and its p-value (`chance`).

    An end is None if it rests on a lower bound or an error is unknown. `chance` is None if the difference
    can't be judged.
    """

    value: float
    low: float | None
    high: float | None
    chance: float | None


def between_runs(summaries: Sequence[Summary], key: FigureKey) -> Estimate | None:
    """The mean of a figure over at least two repeats; None if one lacks it."""
    if values := _values(summaries, key):
        error = statistics.stdev(values) / math.sqrt(len(values))
        return _estimate(values, error, len(values) - 1, summaries, key)
    return None


def within_runs(
    summaries: Sequence[Summary], errors: Sequence[Mapping[FigureKey, float]], key: FigureKey
) -> Estimate | None:
    """The mean of a figure over repeats with their own errors (`bootstrap_errors`); None if one lacks it."""
    if values := _values(summaries, key):
        known = [each[key] for each in errors if key in each]
        error = math.hypot(*known) / len(values) if len(known) == len(values) else None
        return _estimate(values, error, len(values) * (BLOCKS - 1), summaries, key)
    return None


def _values(summaries: Sequence[Summary], key: FigureKey) -> list[float]:
    """The figure of each repeat; empty if one lacks it."""
    values = [value for summary in summaries if (value := summary[key]) is not None]
    return values if len(values) == len(summaries) else []


def _estimate(
    values: Sequence[float], error: float | None, freedom: float, summaries: Sequence[Summary], key: FigureKey
) -> Estimate:
    """The mean. A share's error is at least as large as for this many independent requests.

    0 of 30 over 500 ms has no spread at all, and yet the true share need not be 0. So two requests are added,
    one of them over (Laplace).
    """
    value = statistics.fmean(values)
    if key == "share_over" and error is not None:
        count = sum(summary["count"] for summary in summaries)
        share = (value * count + 1) / (count + 2)
        error = max(error, math.sqrt(share * (1 - share) / (count + 2)))
    most = 1.0 if key == "share_over" else math.inf
    bound = any(key in summary["lower_bounds"] for summary in summaries)
    return Estimate(value, error, freedom, bound, most)


def difference(a: Estimate, b: Estimate) -> Difference:
    """`b` minus `a`."""
    value = b.value - a.value
    if a.error is None or b.error is None:
        return Difference(value, None, None, None)
    squares = [(each.error or 0.0) ** 2 for each in (a, b)]
    error = math.sqrt(sum(squares))
    if error:
        shares = [square / sum(squares) for square in squares]
        freedom = 1 / (shares[0] ** 2 / a.freedom + shares[1] ** 2 / b.freedom)
        reach, chance = student_t(freedom) * error, student_p(value / error, freedom)
    else:
        reach, chance = 0.0, float(value == 0)
    # The truth behind a lower bound may be anywhere above it: one in `a` supports only a decrease, one in `b`
    # only an increase.
    backed = (not a.lower_bound or value < 0) and (not b.lower_bound or value > 0)
    return Difference(
        value,
        low=None if a.lower_bound else max(value - reach, -a.most),
        high=None if b.lower_bound else min(value + reach, b.most),
        chance=chance if backed else None,
    )
