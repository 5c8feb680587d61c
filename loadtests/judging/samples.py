"""From rows (one per request) to figures: exact percentiles, the share over 500 ms, their intervals. Pure.

Four rules decide every figure here:

* Latency counts from the *intended* start, so that time lost in a busy load generator counts too. The naive
  latency, from the moment of sending, is kept for comparison.
* A request still in flight at the end of the run is kept, right-censored: it took at least as long as it had
  waited. A figure that rests on such requests is stated as a lower bound.
* A failure has no latency. Fast errors would flatter the percentiles, so failures are left out of them, and
  always count as over 500 ms.
* A request that was never sent because too many were in flight also counts as over 500 ms.
"""

import math
from collections.abc import Iterable, Sequence
from fractions import Fraction

from loadtests.judging.intervals import CONFIDENCE, clopper_pearson, percentile_ranks
from loadtests.records.constants import RULE_MS
from loadtests.records.figures import LatencyKey, Summary
from loadtests.records.rows import Row

PERCENTILES: dict[LatencyKey, int] = {"p50_ms": 50, "p95_ms": 95, "p99_ms": 99, "max_ms": 100}

TITLES = {
    "submit": "POST /feeds",
    "page": "page after a submit",
    "poll": "is it there yet?",
    "browse": "browsing",
    "content": "submit to content",
}


def by_group(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """The rows of each group: the groups of TITLES in its order, then the others as they first appear."""
    groups: dict[str, list[Row]] = {group: [] for group in TITLES}
    for row in rows:
        groups.setdefault(row.group, []).append(row)
    return {group: members for group, members in groups.items() if members}


def title(group: str) -> str:
    """A group's display name."""
    return TITLES.get(group, group)


def summarise(rows: Sequence[Row], ended: float, rule_ms: float = RULE_MS, naive: bool = False) -> Summary:
    """The figures of one group of requests, in a run that ended at `ended` (seconds on the rows' clock).

    The share over the rule counts every failed or dropped request as over. An unfinished request is over once
    it has waited for `rule_ms`; before that its outcome is unknown, so the share leaves it out (`count` and
    `unfinished` do not). `naive` counts from the moment of sending, and leaves out requests never sent.
    """
    if naive:
        rows = [row for row in rows if row.sent_s is not None]
    answered = [row.waited_ms(ended, naive) for row in rows if row.done_s is not None and not row.failed]
    waiting = [row.waited_ms(ended, naive) for row in rows if row.unfinished]
    dropped = sum(row.dropped for row in rows)
    failures = len(rows) - len(answered) - len(waiting) - dropped

    samples = Samples(answered, waiting)
    figures = {key: samples.percentile(percent) for key, percent in PERCENTILES.items()}
    bounds = [key for key, (_, exact) in figures.items() if not exact]
    bounds += ["mean_ms"] * bool(waiting)
    late = sum(ms >= rule_ms for ms in waiting)
    over = failures + dropped + sum(ms > rule_ms for ms in answered) + late
    judged = failures + dropped + len(answered) + late
    return Summary(
        count=len(rows),
        failures=failures,
        unfinished=len(waiting),
        dropped=dropped,
        p50_ms=figures["p50_ms"][0],
        p95_ms=figures["p95_ms"][0],
        p99_ms=figures["p99_ms"][0],
        max_ms=figures["max_ms"][0],
        mean_ms=samples.mean(),
        p50_ci=samples.interval(50),
        p95_ci=samples.interval(95),
        p99_ci=samples.interval(99),
        over=over,
        judged=judged,
        share_over=over / judged if judged else None,
        share_ci=list(clopper_pearson(over, judged)) if judged else None,
        lower_bounds=bounds,
    )


def samples_of(rows: Iterable[Row], ended: float, naive: bool = False) -> "Samples":
    """The latencies of rows; `naive`: counted from sending, without those never sent."""
    known = [row for row in rows if not (row.failed or row.dropped or (naive and row.sent_s is None))]
    waits = [(row.waited_ms(ended, naive), row.unfinished) for row in known]
    answered, waiting = ([ms for ms, unfinished in waits if unfinished is kind] for kind in (False, True))
    return Samples(answered, waiting)


class Samples:
    """Latencies, some of them censored, sorted once. `waiting`: how long each unfinished one had waited.

    An order statistic grows with each of its samples. So it is smallest if every unfinished request was
    answered the moment the run ended, and largest if none ever was. Nothing is assumed about how they would
    have ended.
    """

    def __init__(self, answered: Iterable[float], waiting: Iterable[float]) -> None:
        self._answered = sorted(answered)
        self._least = sorted([*self._answered, *waiting])

    @property
    def count(self) -> int:
        """How many there are, with the unfinished ones."""
        return len(self._least)

    def percentile(self, percent: int | Fraction) -> tuple[float | None, bool]:
        """`(value, exact)` of the nearest-rank percentile; `(None, True)` without samples.

        It is exact if its smallest and largest possible values agree. If not, `value` is the smallest: a
        lower bound that holds whenever the unfinished requests would have been answered.
        """
        if not self._least:
            return None, True
        rank = rank_of(len(self._least), percent)
        return self._least[rank - 1], self._least[rank - 1] == self._most(rank)

    def interval(self, percent: int | Fraction, confidence: float = CONFIDENCE) -> list[float | None] | None:
        """The interval `[low, high]` of the true percentile; None if there are too few samples.

        `low` is the smallest possible value of its order statistic, `high` the largest of its own, so
        unfinished requests only widen the interval. `high` is None if it is unbounded.
        """
        ranks = percentile_ranks(len(self._least), percent, confidence)
        if ranks is None:
            return None
        high = self._most(ranks[1])
        return [self._least[ranks[0] - 1], None if math.isinf(high) else high]

    def mean(self) -> float | None:
        """The mean; a lower bound if there are unfinished requests, which count with their wait so far."""
        return round(math.fsum(self._least) / len(self._least), 3) if self._least else None

    def _most(self, rank: int) -> float:
        return self._answered[rank - 1] if rank <= len(self._answered) else math.inf


def nearest_rank(samples: Sequence[float], percent: int) -> float:
    """The smallest sample that at least `percent` % of the samples do not exceed, without interpolation.

    Definition 1 of Hyndman and Fan, "Sample Quantiles in Statistical Packages", The American Statistician 50
    (1996).
    """
    return sorted(samples)[rank_of(len(samples), percent) - 1]


def rank_of(count: int, percent: int | Fraction) -> int:
    """The rank of the nearest-rank percentile among `count` samples, counted from 1."""
    return max(1, -(-percent * count // 100))  # without floats: 0.07 * 100 is 7.000000000000001
