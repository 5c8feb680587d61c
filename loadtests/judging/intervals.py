"""How far a figure can be trusted: exact 95 % intervals, from counts, ranks and repeats. Pure.

* A share: Clopper and Pearson's interval of a binomial count.
* A percentile: two order statistics, with ranks from a binomial count, however latencies are distributed.
* A mean of repeats: Student's t.
* Several questions at once: Holm's adjustment.
"""

import math
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache

CONFIDENCE = 0.95


@lru_cache(1000)  # a search asks again and again for what was measured
def clopper_pearson(over: int, of: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The exact two-sided interval `(low, high)` for a share seen as `over` out of `of` (at least 1).

    Exact for independent requests. Those of one run share its queues, so their true interval is wider.
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


@lru_cache(maxsize=4096)
def percentile_ranks(
    n: int, percent: int | Fraction, confidence: float = CONFIDENCE
) -> tuple[int, int] | None:
    """The ranks `(low, high)`, counted from 1, of the samples that enclose the true percentile; or None.

    The number of samples below the true percentile is binomial, however latencies are distributed. `low` is
    the largest rank whose sample exceeds the true percentile with probability at most alpha/2, `high` the
    smallest whose sample falls below it with probability at most alpha/2. None if `n` samples have no such
    ranks: at 95 %, the 95th percentile needs 72, the 99th 368. Exact for independent samples, like
    `clopper_pearson`.
    Source: Conover, Practical Nonparametric Statistics, 3rd ed. (1999), section 3.2.
    """
    alpha, share = (1 - confidence) / 2, float(percent) / 100
    high = _rank_above(n, share, alpha)
    mirrored = _rank_above(n, 1 - share, alpha)
    return None if high is None or mirrored is None else (n + 1 - mirrored, high)


def _rank_above(n: int, p: float, alpha: float) -> int | None:
    """The smallest k with P(X >= k) <= `alpha`, for X binomial(`n`, `p`); None if not even k = n."""
    if n < 1 or p**n > alpha:
        return None
    low, high = math.ceil(n * p), n  # the tail is about a half at `low`, the mean, and small enough at `high`
    while high - low > 1:
        middle = (low + high) // 2
        if _upper_tail(middle, n, p) <= alpha:
            high = middle
        else:
            low = middle
    return high


@lru_cache(maxsize=256)
def student_t(freedom: float, confidence: float = CONFIDENCE) -> float:
    """The two-sided quantile of Student's t: with 4 degrees of freedom and 95 % it is 2.776.

    `freedom` is at least 1, and may be a fraction (Welch). By Newton's method: the share is concave in t's
    angle, so each step ends short of the answer, and closer to it.
    """
    angle = 0.0
    for _ in range(60):
        missing = confidence - _share_within(angle, freedom)
        angle += missing * _whole(freedom) / math.pow(math.cos(angle), freedom - 1)
        if missing < 1e-13:
            break
    return math.sqrt(freedom) * math.tan(angle)


def student_p(t: float, freedom: float) -> float:
    """The two-sided p-value of `t`: the chance that Student's t is at least as far from 0."""
    return max(0.0, 1.0 - _share_within(math.atan(abs(t) / math.sqrt(freedom)), freedom))


def _share_within(angle: float, freedom: float, pieces: int = 2000) -> float:
    """P(|T| <= t) for t = sqrt(freedom) * tan(angle): the density is a constant * cos(angle)**(freedom - 1).

    By Simpson's rule. Source: Abramowitz and Stegun, Handbook of Mathematical Functions (1964), 26.7.
    """
    width = angle / pieces
    terms = (math.pow(math.cos(i * width), freedom - 1) for i in range(pieces + 1))
    area = math.fsum((4 if i % 2 else 2 if 0 < i < pieces else 1) * each for i, each in enumerate(terms))
    return area * width / 3 / _whole(freedom)


def _whole(freedom: float) -> float:
    """The integral of cos(angle)**(freedom - 1) from 0 to pi / 2."""
    return math.exp(math.lgamma(freedom / 2) - math.lgamma((freedom + 1) / 2)) * math.sqrt(math.pi) / 2


def holm(chances: Sequence[float]) -> list[float]:
    """The p-values of several questions, adjusted for how many there are.

    If every adjusted value below 5 % is believed, the chance of any false alarm is at most 5 %. Source: Holm,
    Scandinavian Journal of Statistics 6 (1979).
    """
    adjusted, least = [0.0] * len(chances), 0.0
    for asked, index in enumerate(sorted(range(len(chances)), key=chances.__getitem__)):
        least = max(least, min(1.0, (len(chances) - asked) * chances[index]))
        adjusted[index] = least
    return adjusted
