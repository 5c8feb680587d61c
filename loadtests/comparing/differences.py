"""The difference between two measurements of one condition, with its interval. Pure.

A figure of one side is an estimate: a value, its standard error, and how many degrees of freedom that has.

* Between runs: the mean of the repeats, and their spread. That includes whatever made one run unlike another,
  so it is the better estimate. It needs two repeats on each side.
* Within a run: successive requests met the same queue, so they are not independent. The run is resampled in
  blocks of time (a circular block bootstrap). That misses what differs from run to run, and any memory of the
  queue longer than a block, a tenth of the run: near saturation nine of ten such intervals hold the truth
  instead of 95 of 100, and fewer of p99's.

Two estimates are compared by Welch's method (Biometrika 34, 1947).
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loadtests.judging.intervals import percentile_ranks, student_p, student_t
from loadtests.judging.samples import PERCENTILES, rank_of
from loadtests.records.figures import FigureKey, Summary
from loadtests.records.rows import Row

BLOCKS = 10  # of a run: long, so that one block spans most of a queue's memory
CELLS = 10  # of a block: the points where one may begin
RESAMPLES = 1000
FEWEST = 2 * BLOCKS  # requests that a latency needs: fewer, resampled, say nothing about their spread


@dataclass(frozen=True)
class Estimate:
    """A figure of one side. `error`: its standard error; None if unknown."""

    value: float
    error: float | None
    freedom: float
    lower_bound: bool = False


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
    values = [value for summary in summaries if (value := summary[key]) is not None]
    if len(values) < len(summaries):
        return None
    error = statistics.stdev(values) / math.sqrt(len(values))
    bound = any(key in summary["lower_bounds"] for summary in summaries)
    return _at_least_by_count(
        Estimate(statistics.fmean(values), error, len(values) - 1, bound), summaries, key
    )


def within_runs(
    summaries: Sequence[Summary], errors: Sequence[Mapping[FigureKey, float]], key: FigureKey
) -> Estimate | None:
    """The mean of a figure over repeats with their own errors (`bootstrap_errors`); None if one lacks it."""
    values = [value for summary in summaries if (value := summary[key]) is not None]
    if len(values) < len(summaries):
        return None
    known = [each[key] for each in errors if key in each]
    error = math.hypot(*known) / len(values) if len(known) == len(values) else None
    bound = any(key in summary["lower_bounds"] for summary in summaries)
    estimate = Estimate(statistics.fmean(values), error, len(values) * (BLOCKS - 1), bound)
    return _at_least_by_count(estimate, summaries, key)


def _at_least_by_count(estimate: Estimate, summaries: Sequence[Summary], key: FigureKey) -> Estimate:
    """Keep a share's error at least as large as for this many independent requests.

    0 of 30 over 500 ms has no spread at all, and yet the true share need not be 0. So two requests are added,
    one of them over (Laplace).
    """
    if key != "share_over" or estimate.error is None:
        return estimate
    count = sum(summary["count"] for summary in summaries)
    share = (estimate.value * count + 1) / (count + 2)
    error = max(estimate.error, math.sqrt(share * (1 - share) / (count + 2)))
    return Estimate(estimate.value, error, estimate.freedom, estimate.lower_bound)


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
        low=None if a.lower_bound else value - reach,
        high=None if b.lower_bound else value + reach,
        chance=chance if backed else None,
    )


def bootstrap_errors(
    rows: Sequence[Row], window: tuple[float, float], ended: float, rule_ms: float, seed: int = 1
) -> dict[FigureKey, float]:
    """The standard error of each figure of one group of requests within one run, drawn with `seed`.

    `window`: start and end of the measured time, in seconds. A figure is missing if it has too few requests:
    a latency fewer than FEWEST, a percentile too few for its exact interval. Source: Politis and Romano, "A
    circular block-resampling procedure for stationary data" (1992). Blocks may begin at every tenth of one.
    """
    samples = [row for row in rows if not row.failed and not row.dropped]
    if len(rows) < 2:
        return {}
    weights = _drawn_cells(seed)
    shares = _ratios(weights, *_over_and_decided(rows, window, ended, rule_ms))
    figures: dict[FigureKey, NDArray[np.float64]] = {"share_over": shares}
    if len(samples) >= FEWEST:
        cells = _cells(samples, window)
        waited = np.array([row.waited_ms(ended) for row in samples])
        sums = np.bincount(cells, waited, BLOCKS * CELLS)
        figures["mean_ms"] = _ratios(weights, sums, np.bincount(cells, None, BLOCKS * CELLS))
        order = np.argsort(waited, kind="stable")
        figures |= _percentiles(weights, waited[order], cells[order])
    # Bessel's correction: a draw has as many blocks as the run, one of which is lost to its mean.
    small = math.sqrt(BLOCKS / (BLOCKS - 1))
    return {
        key: float(np.nanstd(drawn)) * small for key, drawn in figures.items() if not np.isnan(drawn).all()
    }


def _cells(rows: Sequence[Row], window: tuple[float, float]) -> NDArray[np.int64]:
    """Which cell of the measured time each row begins in."""
    start, end = window
    pieces = [int((row.intended_s - start) / (end - start) * BLOCKS * CELLS) for row in rows]
    return np.array(pieces, dtype=np.int64).clip(0, BLOCKS * CELLS - 1)


def _drawn_cells(seed: int) -> NDArray[np.int64]:
    """How often each cell occurs in each resample: an array of RESAMPLES by BLOCKS * CELLS."""
    first = np.random.default_rng(seed).integers(0, BLOCKS * CELLS, (RESAMPLES, BLOCKS, 1))
    drawn = (first + np.arange(CELLS)) % (BLOCKS * CELLS)
    weights = np.zeros((RESAMPLES, BLOCKS * CELLS), dtype=np.int64)
    np.add.at(weights, (np.arange(RESAMPLES)[:, None], drawn.reshape(RESAMPLES, -1)), 1)
    return weights


def _over_and_decided(
    rows: Sequence[Row], window: tuple[float, float], ended: float, rule_ms: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each cell, how many requests are over the rule, and of how many that is known."""
    cells = _cells(rows, window)
    waited = [row.waited_ms(ended) for row in rows]
    late = [ms >= rule_ms if row.unfinished else ms > rule_ms for row, ms in zip(rows, waited, strict=True)]
    over = np.array([row.failed or row.dropped or too for row, too in zip(rows, late, strict=True)])
    known = over | np.array([not row.unfinished for row in rows])
    return np.bincount(cells[over], None, BLOCKS * CELLS), np.bincount(cells[known], None, BLOCKS * CELLS)


def _ratios(weights: NDArray[np.int64], above: NDArray[Any], below: NDArray[Any]) -> NDArray[np.float64]:
    """The ratio of two sums in each resample; nan where it has no request."""
    sums = (weights @ below).astype(np.float64)
    ratios = np.full(len(sums), np.nan)
    np.divide(weights @ above, sums, out=ratios, where=sums > 0)
    return ratios


def _percentiles(
    weights: NDArray[np.int64], waited: NDArray[np.float64], cells: NDArray[np.int64]
) -> dict[FigureKey, NDArray[np.float64]]:
    """The nearest-rank percentiles of each resample; `waited` is sorted, `cells` are its requests'."""
    wanted: dict[FigureKey, int] = {
        key: PERCENTILES[key]
        for key in ("p50_ms", "p95_ms", "p99_ms")
        if percentile_ranks(len(waited), PERCENTILES[key])
    }
    found: dict[FigureKey, NDArray[np.float64]] = {key: np.full(len(weights), np.nan) for key in wanted}
    for index, drawn in enumerate(weights):
        ranks = drawn[cells].cumsum()
        for key, percent in wanted.items():
            if ranks[-1]:
                found[key][index] = waited[ranks.searchsorted(rank_of(int(ranks[-1]), percent))]
    return found
