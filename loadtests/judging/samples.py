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

import csv
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TypedDict

from loadtests.errors import LoadTestError
from loadtests.judging.intervals import clopper_pearson, percentile_ranks

RULE_MS = 500.0  # "avoid web requests which run longer than 500ms", Heroku on background jobs
PERCENTILES = {"p50_ms": 50, "p95_ms": 95, "p99_ms": 99, "max_ms": 100}
DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class Row:
    """One request of one user. Times are seconds since the start of the run, to the microsecond."""

    user: int
    group: str  # submit, page, poll, browse or content; or the locustfile's own name
    name: str
    intended_s: float  # when it should have been sent
    sent_s: float | None  # None: never sent
    done_s: float | None  # None: no answer when the run ended
    status: int  # HTTP status; 0 when there was no answer
    error: str  # empty on success; DROPPED: not sent, too many were in flight

    @property
    def dropped(self) -> bool:
        """True for an arrival of open load that was never sent, since too many were in flight."""
        return self.sent_s is None and self.error == DROPPED

    @property
    def unfinished(self) -> bool:
        """True if the run ended before the answer came, even if it still waited for a connection."""
        return self.done_s is None and not self.dropped

    @property
    def failed(self) -> bool:
        """True if it ended with an error, or with a status of 400 or above."""
        return self.done_s is not None and (bool(self.error) or self.status >= 400)

    def waited_ms(self, ended: float, naive: bool = False) -> float:
        """Milliseconds from the intended start to the answer, or to `ended` (seconds) if none had come.

        `naive` counts from the moment of sending, as most tools do; raises ValueError if it was never sent.
        Rounded to the microsecond: the difference of two floats must not turn 500 ms into 500.0000000001.
        """
        done = ended if self.done_s is None else self.done_s
        start = self.sent_s if naive else self.intended_s
        if start is None:
            raise ValueError(f"{self.name} was never sent: it has no naive latency")
        return round((done - start) * 1000, 3)


HEADER = [field.name for field in fields(Row)]


class Summary(TypedDict):
    """The figures of one group of requests, ready for results.json; None where there is no figure."""

    count: int  # including those below
    failures: int
    unfinished: int
    dropped: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    max_ms: float | None
    mean_ms: float | None  # unfinished requests count with their wait so far
    p50_ci: list[float | None] | None
    p95_ci: list[float | None] | None
    p99_ci: list[float | None] | None
    share_over_500ms: float | None
    share_ci: list[float] | None
    lower_bounds: list[str]


def read_rows(path: Path) -> list[Row]:
    """Every row of a CSV file, in order. Raises LoadTestError, naming the line, if one can't be read."""
    with path.open(newline="", encoding="utf-8") as file:
        lines = csv.reader(file)
        if next(lines, None) != HEADER:
            raise LoadTestError(f"{path} is not a file of requests: its first line is not {','.join(HEADER)}")
        rows = []
        try:
            for user, group, name, intended, sent, done, status, error in lines:
                times = float(intended), _seconds(sent), _seconds(done)
                rows.append(Row(int(user), group, name, *times, int(status), error))
        except (ValueError, csv.Error) as problem:
            raise LoadTestError(f"{path}, line {lines.line_num} is not a request: {problem}") from problem
        return rows


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Write rows as CSV, one a line; times have six decimals, or are empty if None."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        for row in rows:
            writer.writerow(_cell(getattr(row, name)) for name in HEADER)


def _seconds(text: str) -> float | None:
    return float(text) if text else None


def _cell(value: float | str | None) -> float | str | None:
    if isinstance(value, str):  # joins the lines of an error text
        return " ".join(value.split())
    return f"{value:.6f}" if isinstance(value, float) else value


def in_window(rows: Iterable[Row], start: float, end: float) -> list[Row]:
    """The rows whose intended start lies in [start, end), in seconds: a step without its warm-up."""
    return [row for row in rows if start <= row.intended_s < end]


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
    late = sum(ms >= rule_ms for ms in waiting)
    over = failures + dropped + sum(ms > rule_ms for ms in answered) + late
    decided = failures + dropped + len(answered) + late
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
        share_over_500ms=over / decided if decided else None,
        share_ci=list(clopper_pearson(over, decided)) if decided else None,
        lower_bounds=bounds + ["mean_ms"] * bool(waiting),
    )


class Samples:
    """Latencies, some of them censored, sorted once. `waiting`: how long each unfinished one had waited.

    An order statistic grows with each of its samples. So it is smallest if every unfinished request was
    answered the moment the run ended, and largest if none ever was. Nothing is assumed about how they would
    have ended.
    """

    def __init__(self, answered: Iterable[float], waiting: Iterable[float]) -> None:
        self._answered = sorted(answered)
        self._least = sorted([*self._answered, *waiting])

    def percentile(self, percent: int) -> tuple[float | None, bool]:
        """`(value, exact)` of the nearest-rank percentile; `(None, True)` without samples.

        It is exact if its smallest and largest possible values agree. If not, `value` is the smallest: a
        lower bound that holds whenever the unfinished requests would have been answered.
        """
        if not self._least:
            return None, True
        rank = rank_of(len(self._least), percent)
        return self._least[rank - 1], self._least[rank - 1] == self._most(rank)

    def interval(self, percent: int) -> list[float | None] | None:
        """The 95 % interval `[low, high]` of the true percentile; None if there are too few samples.

        `low` is the smallest possible value of its order statistic, `high` the largest of its own, so
        unfinished requests only widen the interval. `high` is None if it is unbounded.
        """
        ranks = percentile_ranks(len(self._least), percent)
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


def rank_of(count: int, percent: int) -> int:
    """The rank of the nearest-rank percentile among `count` samples, counted from 1."""
    return max(1, -(-percent * count // 100))  # in integers: 0.07 * 100 is 7.000000000000001
