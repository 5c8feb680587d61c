"""How far a figure of one run can be trusted though its requests are not independent. Pure.

Successive requests met the same queue. So the run is resampled in blocks of time (a circular block
bootstrap), and a figure's standard error is its spread over the resamples. That misses any memory of the
queue longer than a block, a tenth of the run: near saturation nine of ten such intervals hold the truth
instead of 95 of 100, and fewer of p99's. Source: Politis and Romano, "A circular block-resampling procedure
for stationary data" (1992). Blocks may begin at every tenth of one.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loadtests.judging.intervals import CONFIDENCE, percentile_ranks, student_t
from loadtests.judging.samples import PERCENTILES, rank_of
from loadtests.records.figures import FigureKey
from loadtests.records.rows import Row

BLOCKS = 10  # of a run: long, so that one block spans most of a queue's memory
CELLS = 10  # of a block: the points where one may begin
RESAMPLES = 1000
FEWEST = 2 * BLOCKS  # requests that a figure needs: fewer, resampled, say nothing about their spread


def bootstrap_errors(
    rows: Sequence[Row], window: tuple[float, float], ended: float, rule_ms: float, seed: int = 1
) -> dict[FigureKey, float]:
    """The standard error of each figure of one group of requests within one run, drawn with `seed`.

    `window`: start and end of the measured time, in seconds. A figure is missing if it has too few requests:
    a latency fewer than FEWEST, a percentile too few for its exact interval.
    """
    if len(rows) < 2:
        return {}
    weights = _drawn_cells(seed)
    shares = _ratios(weights, *_over_and_decided(rows, window, ended, rule_ms))
    figures: dict[FigureKey, NDArray[np.float64]] = {"share_over": shares}
    cells, waited = _waits(rows, window, ended)
    if len(waited) >= FEWEST:
        figures["mean_ms"] = _means(weights, cells, waited)
        order = np.argsort(waited, kind="stable")
        figures |= _percentiles(weights, waited[order], cells[order])
    return {key: _spread(drawn) for key, drawn in figures.items() if not np.isnan(drawn).all()}


def mean_reach(
    rows: Sequence[Row], window: tuple[float, float], ended: float, confidence: float = CONFIDENCE
) -> float | None:
    """Half the interval of the mean latency, in ms; None if there are fewer than FEWEST latencies."""
    cells, waited = _waits(rows, window, ended)
    return _reach(_means(_drawn_cells(), cells, waited), confidence) if len(waited) >= FEWEST else None


def rate_reach(
    times: Sequence[float], window: tuple[float, float], confidence: float = CONFIDENCE
) -> float | None:
    """Half the interval of how often a second something happened; None if fewer than FEWEST times.

    `times`: when it did, in seconds, all within `window`.
    """
    if len(times) < FEWEST:
        return None
    counts = np.bincount(_cells(times, window), None, BLOCKS * CELLS)
    return _reach(_drawn_cells() @ counts / (window[1] - window[0]), confidence)


def _reach(drawn: NDArray[np.float64], confidence: float) -> float:
    return student_t(BLOCKS - 1, confidence) * _spread(drawn)


def _spread(drawn: NDArray[np.float64]) -> float:
    # Bessel's correction: a draw has as many blocks as the run, one of which is lost to its mean.
    return float(np.nanstd(drawn)) * math.sqrt(BLOCKS / (BLOCKS - 1))


def _waits(
    rows: Sequence[Row], window: tuple[float, float], ended: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The cell and the latency (ms) of each request that has one."""
    samples = [row for row in rows if not row.failed and not row.dropped]
    cells = _cells([row.intended_s for row in samples], window)
    return cells, np.array([row.waited_ms(ended) for row in samples])


def _means(
    weights: NDArray[np.int64], cells: NDArray[np.int64], waited: NDArray[np.float64]
) -> NDArray[np.float64]:
    sums, counts = np.bincount(cells, waited, BLOCKS * CELLS), np.bincount(cells, None, BLOCKS * CELLS)
    return _ratios(weights, sums, counts)


def _cells(times: Sequence[float], window: tuple[float, float]) -> NDArray[np.int64]:
    """Which cell of the measured time each time is in."""
    start, end = window
    pieces = [int((at - start) / (end - start) * BLOCKS * CELLS) for at in times]
    return np.array(pieces, dtype=np.int64).clip(0, BLOCKS * CELLS - 1)


def _drawn_cells(seed: int = 1) -> NDArray[np.int64]:
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
    cells = _cells([row.intended_s for row in rows], window)
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
