"""Queueing formulas that the load tests are compared with. Pure: standard library, no simulation, no fitting.

The symbols are the usual ones: c slots (each serves one request at a time), N users, think time Z, service
demand D (mean time that a request holds a slot), arrival rate lambda, throughput X, response time R (wait and
service), utilisation U. Times are seconds, rates are per second, percentiles are named by percent. Sources:

Erlang    "Solution of Some Problems in the Theory of Probabilities of Significance in Automatic Telephone
          Exchanges", Elektroteknikeren 13 (1917)
Allen     "Probability, Statistics and Queueing Theory", 2nd edition (1990), chapter 5
Lazowska  Lazowska, Zahorjan, Graham, Sevcik, "Quantitative System Performance" (1984), chapters 3 and 5
Sevcik    Sevcik and Mitrani, J. ACM 28 (1981); Lavenberg and Reiser, J. Appl. Prob. 17 (1980): in a closed
          network an arrival sees what an outside observer would see with one user fewer
Jensen    "Markoff Chains as an Aid in the Study of Markoff Processes", Skand. Aktuarietidskr. 36 (1953)
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

from loadtests.numerics import (
    check_counts,
    check_not_negative,
    check_positive,
    erlang_c,
    percentile,
    poisson_terms,
)


@dataclass(frozen=True)
class ClosedLoad:
    """M/M/c//N, the machine repairman's model: N users who think, then ask for one of c slots.

    Think times and service times are exponential; requests are served in order of arrival. Raises
    ValueError unless slots and users are whole numbers from 1, think >= 0 and demand > 0. Source: Allen.
    """

    slots: int  # c
    users: int  # N
    think: float  # Z, seconds
    demand: float  # D, seconds

    def __post_init__(self) -> None:
        check_counts(slots=self.slots, users=self.users)
        check_positive(demand=self.demand)
        check_not_negative(think=self.think)

    @cached_property
    def probabilities(self) -> list[float]:
        """P(k requests at the server) for k = 0..N: p_k ~ N!/(N-k)! (D/Z)^k / (min(1,c) ... min(k,c))."""
        return self._states(self.users)

    @cached_property
    def throughput(self) -> float:
        """X, requests a second: the mean number of busy slots over D."""
        return math.fsum(min(k, self.slots) * p for k, p in enumerate(self.probabilities)) / self.demand

    @cached_property
    def response(self) -> float:
        """Mean R, seconds: by Little's law requests at the server over throughput, which equals N/X - Z."""
        return math.fsum(k * p for k, p in enumerate(self.probabilities)) / self.throughput

    @property
    def wait(self) -> float:
        """Mean wait for a slot, seconds: R - D."""
        return max(0.0, self.response - self.demand)

    @property
    def utilisation(self) -> float:
        """U = XD/c, the share of slot time in use: 0 to 1."""
        return self.throughput * self.demand / self.slots

    @property
    def most_throughput(self) -> float:
        """The asymptotic bound X <= min(c/D, N/(D+Z)), requests a second. Source: Lazowska, section 5.2."""
        return min(self.slots / self.demand, self.users / (self.demand + self.think))

    @property
    def least_response(self) -> float:
        """The asymptotic bound R >= max(D, ND/c - Z), seconds. Source: Lazowska, section 5.2."""
        return max(self.demand, self.users * self.demand / self.slots - self.think)

    def share_over(self, seconds: float) -> float:
        """P(R > seconds), absolute error below 1e-12 for thousands of users. Raises ValueError if negative.

        An arrival sees N-1 other users (Sevcik). If it finds k < c of them at the server its R is Exp(1/D),
        else Erlang(k-c+1, c/D) + Exp(1/D). Take the server's ends of service as a Poisson process of rate c/D
        (Jensen): its wait is over after k-c+1 of these events, and each later one is its own with probability
        1/c. So P(R > t) is the sum of P(j events in t) P(still there after j of them): nothing cancels.
        """
        return self._after(seconds, self._there_after)

    def share_waiting_over(self, seconds: float) -> float:
        """P(wait for a slot > seconds); at 0, the share that waits. Raises and source as for `share_over`."""
        waiting = self._still_waiting
        return self._after(seconds, lambda events: waiting[events] if events < len(waiting) else 0.0)

    def percentile(self, percent: float) -> float:
        """The time in seconds that `percent` % don't exceed. Raises ValueError unless 0 < percent < 100."""
        return percentile(self.share_over, percent, self.demand)

    def _states(self, users: int) -> list[float]:
        if self.think == 0:  # nobody is ever thinking
            return [0.0] * users + [1.0]
        ratio = math.log(self.demand / self.think)
        steps = (ratio + math.log((users - k + 1) / min(k, self.slots)) for k in range(1, users + 1))
        logs = list(accumulate(steps, initial=0.0))  # logarithms: the terms themselves overflow
        largest = max(logs)
        terms = [math.exp(log - largest) for log in logs]
        total = math.fsum(terms)
        return [term / total for term in terms]

    @cached_property
    def _ahead(self) -> list[float]:
        """P(an arrival has to wait for m ends of service), for m = 0..max(0, N-c)."""
        seen = self._states(self.users - 1)
        return [math.fsum(seen[: self.slots]), *seen[self.slots :]]

    @cached_property
    def _still_waiting(self) -> list[float]:
        """P(still waiting after j ends of service), for j = 0..max(0, N-c); 0 from there on."""
        return list(accumulate(reversed(self._ahead[1:]), initial=0.0))[::-1]

    @cached_property
    def _in_slot(self) -> list[float]:
        """P(in a slot after j ends of service): each was another request's with probability (c-1)/c."""
        return list(accumulate(self._ahead, lambda there, new: there * (1 - 1 / self.slots) + new))

    def _there_after(self, events: int) -> float:
        if (beyond := events + 1 - len(self._in_slot)) > 0:
            return self._in_slot[-1] * (1 - 1 / self.slots) ** beyond
        return self._still_waiting[events] + self._in_slot[events]

    def _after(self, seconds: float, there: Callable[[int], float]) -> float:
        check_not_negative(seconds=seconds)
        return math.fsum(p * there(j) for j, p in poisson_terms(self.slots * seconds / self.demand))


@dataclass(frozen=True)
class OpenLoad:
    """M/M/c: Poisson arrivals, whatever the responses, exponential service, c slots, in order of arrival.

    If the load reaches or exceeds the capacity of the slots (rho >= 1), no steady state exists: waits grow as
    long as the load lasts. Then every time is `math.inf` and every share 1.0, without an error. Raises
    ValueError unless slots is a whole number from 1, rate > 0 and demand > 0. Source: Erlang; Allen.
    """

    slots: int  # c
    rate: float  # lambda, arrivals a second
    demand: float  # D, seconds

    def __post_init__(self) -> None:
        check_counts(slots=self.slots)
        check_positive(rate=self.rate, demand=self.demand)

    @property
    def utilisation(self) -> float:
        """rho = lambda D / c. From 1 on, it is the load offered per slot, not the share in use."""
        return self.rate * self.demand / self.slots

    @cached_property
    def waiting_share(self) -> float:
        """The share of arrivals that find all slots busy (Erlang C)."""
        return erlang_c(self.slots, self.rate * self.demand)

    @property
    def wait(self) -> float:
        """Mean wait W_q = C(c,a) D / (c-a), seconds, with a = lambda D."""
        free = self.slots - self.rate * self.demand
        return self.waiting_share * self.demand / free if free > 0 else math.inf

    @property
    def response(self) -> float:
        """Mean R = W_q + D, seconds."""
        return self.wait + self.demand

    def wait_allen_cunneen(self, arrival_scv: float, service_scv: float) -> float:
        """Approximate mean wait in G/G/c, seconds: W_q (c_a^2 + c_s^2)/2.

        The arguments are squared coefficients of variation (variance over squared mean) of the times between
        arrivals and of the service times; 1 for exponential ones, 0 for constant ones. Exact for M/M/c and
        for M/G/1 (Pollaczek-Khinchine). Raises ValueError if one is negative. Source: Allen.
        """
        check_not_negative(arrival_scv=arrival_scv, service_scv=service_scv)
        return self.wait if math.isinf(self.wait) else self.wait * (arrival_scv + service_scv) / 2

    def share_waiting_over(self, seconds: float) -> float:
        """P(wait > seconds), C exp(-(c-a) seconds/D). Raises ValueError if negative. Source: Allen."""
        check_not_negative(seconds=seconds)
        if self.utilisation >= 1:
            return 1.0
        return self.waiting_share * math.exp(-(self.slots - self.rate * self.demand) * seconds / self.demand)

    def share_over(self, seconds: float) -> float:
        """P(R > seconds): wait and service, convolved. Raises ValueError if negative. Source: Allen."""
        check_not_negative(seconds=seconds)
        if self.utilisation >= 1:
            return 1.0
        free, t = self.slots - self.rate * self.demand, seconds / self.demand
        # (exp(-t) - exp(-free t)) / (free - 1), written to avoid cancellation where the two rates are equal
        apart = abs(free - 1)
        both = math.exp(-t * min(1, free)) * (-math.expm1(-t * apart) / apart if apart else t)
        return math.exp(-t) + self.waiting_share * both

    def percentile(self, percent: float) -> float:
        """The time in seconds that `percent` % don't exceed. Raises ValueError unless 0 < percent < 100."""
        return math.inf if self.utilisation >= 1 else percentile(self.share_over, percent, self.demand)


def knee(demand: float, slots: int, think: float) -> float:
    """N* = c(D+Z)/D, users: where the two asymptotes meet; beyond it, users must wait for each other.

    Not rounded. Raises ValueError as `ClosedLoad` does. Source: Lazowska, section 5.2.
    """
    ClosedLoad(slots, 1, think, demand)
    return slots * (1 + think / demand)


def littles_law(throughput: float, response: float, think: float = 0.0) -> float:
    """N = X(R+Z): how many users (with Z = 0, requests) there are. Source: Little, Oper. Res. 9 (1961)."""
    return throughput * (response + think)


def workers_needed(rate: float, demand: float) -> int:
    """The least whole W > lambda D: enough workers for `rate` jobs a second of `demand` seconds each.

    With exactly lambda D the backlog grows without bound. Raises ValueError unless rate >= 0 and demand > 0.
    """
    check_positive(demand=demand)
    check_not_negative(rate=rate)
    return math.floor(rate * demand) + 1


def drain_time(backlog: float, workers: int, demand: float, rate: float = 0.0) -> float:
    """Seconds until a backlog is gone while `rate` jobs a second still arrive: B / (W/D - lambda).

    The fluid limit: it leaves out randomness, and the last jobs, which leave some workers idle (a burst that
    fits into the workers still takes D). Infinite if the workers can't keep up. Raises ValueError unless
    workers is a whole number from 1, demand > 0, backlog >= 0 and rate >= 0. Source: Kleinrock, "Queueing
    Systems", volume 2 (1976), chapter 2.
    """
    check_counts(workers=workers)
    check_positive(demand=demand)
    check_not_negative(backlog=backlog, rate=rate)
    spare = workers / demand - rate
    return backlog / spare if spare > 0 else (math.inf if backlog else 0.0)
