"""Numerics for loadtests/theory.py: stable sums, percentiles by bisection, argument checks."""

import math
from collections.abc import Callable, Iterator

NEGLIGIBLE = 1e-18  # Poisson terms smaller than this fraction of the largest are left out
PIECES = 192  # of the curve of a wait to which an exponential time is added
NEVER = 1e-5  # a share of requests that counts as none


def poisson_terms(mean: float) -> Iterator[tuple[int, float]]:
    """(j, P(j events)) of a Poisson distribution, without negligible terms; the rest adds up to 1."""
    mode = int(mean)
    below, above = [], [1.0]  # relative to the term at the mode: neither overflows
    while above[-1] > NEGLIGIBLE:
        above.append(above[-1] * mean / (mode + len(above)))
    term = 1.0
    for j in range(mode, 0, -1):
        term *= j / mean
        if term <= NEGLIGIBLE:
            break
        below.append(term)
    terms = [*reversed(below), *above]
    total = math.fsum(terms)
    return ((mode - len(below) + i, term / total) for i, term in enumerate(terms))


def erlang_c(slots: int, load: float) -> float:
    """The share of Poisson arrivals that have to wait, given `load` a = lambda D erlangs; 1.0 if a >= c.

    By the recursion of Erlang's loss formula B, stable for any c: C = B / (1 - a/c (1-B)). Raises ValueError
    unless slots is a whole number from 1 and load >= 0. Source: Erlang, Elektroteknikeren 13 (1917).
    """
    check_counts(slots=slots)
    check_not_negative(load=load)
    if load >= slots:
        return 1.0
    lost = 1.0
    for k in range(1, slots + 1):
        lost = load * lost / (k + load * lost)
    return lost / (1 - load / slots * (1 - lost))


def percentile(share_over: Callable[[float], float], percent: float, start: float) -> float:
    """The least t with `share_over(t)` <= 1 - percent/100, to ten digits, searched upwards from `start` > 0.

    `share_over` falls to 0, but need not be continuous. Raises ValueError unless 0 < percent < 100.
    """
    if not 0 < percent < 100:
        raise ValueError(f"percent is {percent}; a percentile lies between 0 and 100, both excluded")
    wanted = 1 - percent / 100
    low, high = 0.0, start
    while share_over(high) > wanted:
        low, high = high, 2 * high
    while high - low > 1e-10 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if share_over(middle) > wanted else (low, middle)
    return high


def check_counts(**counts: int) -> None:
    """Raises ValueError, naming the argument, unless each is a whole number from 1."""
    for name, count in counts.items():
        if not isinstance(count, int) or count < 1:
            raise ValueError(f"{name} is {count!r}; it must be a whole number from 1")


def check_positive(**values: float) -> None:
    """Raises ValueError, naming the argument, unless each is finite and greater than 0."""
    for name, value in values.items():
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"{name} is {value}; it must be finite and greater than 0")


def check_not_negative(**values: float) -> None:
    """Raises ValueError, naming the argument, unless each is finite and at least 0."""
    for name, value in values.items():
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(f"{name} is {value}; it must be finite and 0 or more")


class PlusExponential:
    """The distribution of W + S: a time W >= 0 and an independent exponential time S of mean `mean`.

    `share_over` gives P(W > t) and falls smoothly for t > 0; `start` is roughly its time scale. It is sampled
    at PIECES points and taken as linear between them; over each piece the integral in
    P(W + S > t) = P(S > t) + int_0^t P(W > u) f_S(t - u) du is then exact.
    """

    def __init__(self, share_over: Callable[[float], float], mean: float, start: float) -> None:
        check_positive(mean=mean, start=start)
        end = start
        while share_over(end) > NEVER:
            end *= 2
        self.mean = mean
        self._width = end / PIECES
        self._shares = [share_over(i * self._width) for i in range(PIECES)] + [0.0]
        self._integrals = [0.0]
        for i in range(PIECES):
            self._integrals.append(self._integral(i, self._width))

    def share_over(self, seconds: float) -> float:
        """P(W + S > seconds), to about three digits. Raises ValueError if negative."""
        check_not_negative(seconds=seconds)
        piece = int(min(seconds / self._width, PIECES))
        return math.exp(-seconds / self.mean) + self._integral(piece, seconds - piece * self._width)

    def percentile(self, percent: float) -> float:
        """The time that `percent` % don't exceed. Raises ValueError unless 0 < percent < 100."""
        return percentile(self.share_over, percent, self.mean)

    def _integral(self, piece: int, into: float) -> float:
        """int_0^t P(W > u) f_S(t - u) du at t = `into` within `piece`; P(W > u) is 0 after the last."""
        ended = -math.expm1(-into / self.mean)
        before = self._integrals[piece] * (1 - ended)
        if piece == PIECES:
            return before
        first, last = self._shares[piece : piece + 2]
        return before + first * ended + (last - first) / self._width * (into - self.mean * ended)
