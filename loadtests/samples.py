"""From rows (one per request) to figures: exact percentiles, the share over 500 ms, its interval. Pure.

Three rules decide every figure here:

* Latency counts from the *intended* start, so that time lost in a busy load generator counts too.
* A request still in flight at the end of the run is not dropped. It is censored: all that is known is that it
  took at least as long as it had waited. A percentile that rests on such requests is stated as a lower bound.
* A failure is no latency. Fast errors would flatter the percentiles, so failures stay out of them, and always
  count as over 500 ms.
"""

import csv
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TypedDict

from loadtests.errors import LoadTestError

RULE_MS = 500.0  # "avoid web requests which run longer than 500ms", Heroku on background jobs
RULE_MS = 500.0
PERCENTILES = {"p50_ms": 50, "p95_ms": 95, "p99_ms": 99, "max_ms": 100}


@dataclass(frozen=True, slots=True)
class Row:
    """One request of one user. Times are seconds since the start of the run, to the microsecond."""

    user: int
    group: str  # submit, page, poll, browse or content
    name: str
    intended_s: float  # when it should have been sent
    sent_s: float
    done_s: float | None  # None: still in flight when the run ended
    status: int  # HTTP status; 0 when there was no answer
    error: str  # empty when all was well

    @property
    def unfinished(self) -> bool:
        """True when the run ended before the answer came."""
        return self.done_s is None

    @property
    def failed(self) -> bool:
        """True when it ended with an error, or with a status of 400 and above."""
        return self.done_s is not None and (bool(self.error) or self.status >= 400)

    def waited_ms(self, ended: float) -> float:
        """Milliseconds from the intended start to the answer, or to `ended` (seconds) if none had come.

        Rounded to the microsecond: the difference of two floats must not turn 500 ms into 500.0000000001.
        """
        done = ended if self.done_s is None else self.done_s
        return round((done - self.intended_s) * 1000, 3)


HEADER = [field.name for field in fields(Row)]


class Summary(TypedDict):
    """The figures of one group of requests, ready for results.json; None where there is nothing to state."""

    count: int
    failures: int
    unfinished: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    max_ms: float | None
    share_over_500ms: float | None
    share_ci: list[float] | None
    lower_bounds: list[str]


def read_rows(path: Path) -> list[Row]:
    """Every row of a CSV file, in its order. Raises LoadTestError, naming the line, if one can't be read."""
    with path.open(newline="", encoding="utf-8") as file:
        lines = csv.reader(file)
        if next(lines, None) != HEADER:
            raise LoadTestError(f"{path} is no file of requests: its first line is not {','.join(HEADER)}")
        rows = []
        try:
            for user, group, name, intended, sent, done, status, error in lines:
                times = float(intended), float(sent), float(done) if done else None
                rows.append(Row(int(user), group, name, *times, int(status), error))
        except (ValueError, csv.Error) as problem:
            raise LoadTestError(f"{path}, line {lines.line_num} is not a request: {problem}") from problem
        return rows


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Write rows as CSV: a line each, times with six decimals, `done_s` empty if there was no answer yet."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        for row in rows:
            writer.writerow(_cell(getattr(row, name)) for name in HEADER)


def _cell(value: float | str | None) -> float | str | None:
    if isinstance(value, str):  # an error text of several lines becomes one
        return " ".join(value.split())
    return f"{value:.6f}" if isinstance(value, float) else value


def in_window(rows: Iterable[Row], start: float, end: float) -> list[Row]:
    """The rows whose intended start lies in [start, end), in seconds: a step without its warm-up."""
    return [row for row in rows if start <= row.intended_s < end]


def summarise(rows: Sequence[Row], ended: float, rule_ms: float = RULE_MS) -> Summary:
    """The figures of one group of requests, the run having ended at `ended` (seconds on the rows' clock).

    The share over the rule counts every failure as over. An unfinished request is over once it has waited for
    `rule_ms`; before that nobody can say, so the share leaves it out (`count` and `unfinished` do not).
    """
    answered = [row.waited_ms(ended) for row in rows if not row.unfinished and not row.failed]
    waiting = [row.waited_ms(ended) for row in rows if row.unfinished]
    failures = len(rows) - len(answered) - len(waiting)

    figures = {key: percentile(answered, waiting, percent) for key, percent in PERCENTILES.items()}
    over = failures + sum(ms > rule_ms for ms in answered) + sum(ms >= rule_ms for ms in waiting)
    decided = failures + len(answered) + sum(ms >= rule_ms for ms in waiting)
    return Summary(
        count=len(rows),
        failures=failures,
        unfinished=len(waiting),
        p50_ms=figures["p50_ms"][0],
        p95_ms=figures["p95_ms"][0],
        p99_ms=figures["p99_ms"][0],
        max_ms=figures["max_ms"][0],
        share_over_500ms=over / decided if decided else None,
        share_ci=list(clopper_pearson(over, decided)) if decided else None,
        lower_bounds=[key for key, (_, exact) in figures.items() if not exact],
    )


def percentile(
    answered: Sequence[float], waiting: Sequence[float], percent: int
) -> tuple[float | None, bool]:
    """`(value, exact)` of the nearest-rank percentile; `waiting`: how long each unfinished one had waited.

    An order statistic grows with each of its samples. So it is smallest if every unfinished request was
    answered the moment the run ended, and largest if none ever was. Where the two agree the percentile is
    known. Where not, the first is the largest statement that is certainly true, whenever those requests would
    have been answered: a lower bound. Nothing is assumed of how they would have gone on. No samples:
    `(None, True)`.
    """
    if not answered and not waiting:
        return None, True
    least = nearest_rank([*answered, *waiting], percent)
    most = nearest_rank([*answered, *(math.inf for _ in waiting)], percent)
    return least, least == most


def nearest_rank(samples: Sequence[float], percent: int) -> float:
    """The smallest sample that at least `percent` % of the samples do not exceed: nothing is interpolated.

    Definition 1 of Hyndman and Fan, "Sample Quantiles in Statistical Packages", The American Statistician 50
    (1996).
    """
    rank = max(1, -(-percent * len(samples) // 100))  # in whole numbers: 0.07 * 100 is 7.000000000000001
    return sorted(samples)[rank - 1]


def clopper_pearson(over: int, of: int, confidence: float = 0.95) -> tuple[float, float]:
    """The exact two-sided interval `(low, high)` for a share seen as `over` out of `of` (at least 1).

    Exact for independent requests. Those of one run share its queues, so for them the truth is rather wider.
    Source: Clopper and Pearson, Biometrika 26 (1934). For 0 of n the upper limit is 1 - (alpha/2)**(1/n).
    """
    alpha = (1 - confidence) / 2
    return _lower_limit(over, of, alpha), 1.0 - _lower_limit(of - over, of, alpha)


def _lower_limit(k: int, n: int, alpha: float) -> float:
    """The share at which seeing `k` or more of `n` has probability `alpha`, by bisection; 0 when k is 0."""
    low, high = 0.0, k / n
    for _ in range(60 if k else 0):
        middle = (low + high) / 2
        if _upper_tail(k, n, middle) < alpha:
            low = middle
        else:
            high = middle
    return low


def _upper_tail(k: int, n: int, p: float) -> float:
    """P(X >= k) of a binomial X, for 0 < p <= k/n, where each term is smaller than the one before it."""
    choices = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    term, total = math.exp(choices + k * math.log(p) + (n - k) * math.log1p(-p)), 0.0
    while term > total * 1e-17:
        total += term
        term *= (n - k) / (k + 1) * p / (1 - p)
        k += 1
    return total
