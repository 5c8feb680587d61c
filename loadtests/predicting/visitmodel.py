"""What queueing theory says of the visitors' requests: POST /feeds under closed and under open load. Pure.

The formulas of `loadtests.theory` know one kind of request and a think time before each. A visit here is
several requests in a row, and browsers' visits are others than submitters'. So a mean request stands for all:

* Closed load. If each request waits W for a slot, a submitter's cycle takes Z + pauses + demands + n W with n
  requests in a visit, a browser's Z + D + W. That gives the rate of each kind of request, from these the mean
  demand of a request and the mean time between an answer and the next request, and M/M/c//N with both gives W
  again. Repeated until W stays: a fixed point, as in approximate mean value analysis (Bard 1979, Schweitzer
  1979; Lazowska, chapter 6 of the book that `loadtests.theory` names).
* Open load. Requests arrive as if each came for itself, at the rate of visits times requests per visit.

The response time of POST /feeds is the wait, which is the same for all kinds since slots serve in order of
arrival, plus its own exponential time in a slot: the two distributions are convolved.
"""

import math
from dataclasses import dataclass
from functools import cached_property

from loadtests.numerics import PlusExponential
from loadtests.predicting.workload import Visit, Workload, submitters_among
from loadtests.theory import ClosedLoad, OpenLoad

__all__ = [
    "Prediction",
    "asked_per_user",
    "closed_load",
    "knee_users",
    "open_load",
    "predict_closed",
    "predict_open",
    "saturation",
]

PRECISION = 1e-7  # of the wait, relative to the mean demand
MOST_ROUNDS = 200


@dataclass(frozen=True)
class Prediction:
    """POST /feeds under one load. Times in seconds, infinite where there is no steady state."""

    post: float  # mean time in a slot
    wait: float  # mean, for a slot
    load: ClosedLoad | OpenLoad  # of the mean request
    throughput: float  # requests a second, of all kinds
    most_throughput: float  # its asymptotic bound
    least_mean: float  # the asymptotic bound of the mean

    @property
    def mean(self) -> float:
        """Mean response time."""
        return self.wait + self.post

    @property
    def steady(self) -> bool:
        """False where the slots can't carry an open load: then it has no distribution."""
        return math.isfinite(self.wait)

    @cached_property
    def distribution(self) -> PlusExponential:
        """Of the response time. Raises ValueError if there is no steady state."""
        if not self.steady:
            raise ValueError("the slots can't carry this load: waits grow as long as it lasts")
        return PlusExponential(self.load.share_waiting_over, self.post, self.load.demand / self.load.slots)


def closed_load(work: Workload, slots: int, users: int) -> ClosedLoad:
    """M/M/c//N for the mean request of `users` who visit: its `wait` is the wait for a slot.

    Raises ValueError unless slots and users are whole numbers from 1.
    """
    wait, step = 0.0, 1.0
    load = _mean_request(work, slots, users, wait)
    for _ in range(MOST_ROUNDS):
        change = load.wait - wait
        if abs(change) <= PRECISION * load.demand:
            break
        wait += step * change
        step = 0.5  # damped: the first guess, no wait at all, is far off and may be left at once
        load = _mean_request(work, slots, users, wait)
    return load


def _mean_request(work: Workload, slots: int, users: int, wait: float) -> ClosedLoad:
    """The load of the mean request if each waits so long."""
    visits = _visits_per_second(work, users, wait)
    rate = math.fsum(often * visit.requests for often, visit in visits)
    demand = math.fsum(often * visit.demand for often, visit in visits) / rate
    return ClosedLoad(slots, users, max(0.0, users / rate - demand - wait), demand)


def _visits_per_second(work: Workload, users: int, wait: float) -> list[tuple[float, Visit]]:
    submitters = submitters_among(users, work.submitters)
    kinds = ((submitters, work.submit_visit), (users - submitters, work.browse_visit))
    return [
        (count / (work.think + visit.pause + visit.demand + visit.requests * wait), visit)
        for count, visit in kinds
    ]


def predict_closed(work: Workload, slots: int, users: int) -> Prediction:
    """POST /feeds with so many users. Raises ValueError as `closed_load`."""
    load = closed_load(work, slots, users)
    return Prediction(
        post=work.post,
        wait=load.wait,
        load=load,
        throughput=load.throughput,
        most_throughput=load.most_throughput,
        least_mean=work.post + load.least_response - load.demand,
    )


def knee_users(work: Workload, slots: int) -> float:
    """N*, users of both kinds: with so many who never waited the slots would just be busy all the time.

    Not rounded: c / (slot time that a user asks for, over the time of his cycle). With one kind of visit it
    is the N* = c(D+Z)/D of `theory.knee`.
    """
    busy = 0.0
    for share, visit in ((work.submitters, work.submit_visit), (1 - work.submitters, work.browse_visit)):
        busy += share * visit.demand / (work.think + visit.pause + visit.demand)
    return slots / busy


def asked_per_user(work: Workload) -> float:
    """Requests a second, of any kind, that a user asks for on average while nobody waits for a slot.

    N times this and the slots' own bound meet at N*.
    """
    kinds = ((work.submitters, work.submit_visit), (1 - work.submitters, work.browse_visit))
    return sum(share * visit.requests / (work.think + visit.pause + visit.demand) for share, visit in kinds)


def saturation(work: Workload, slots: int) -> float:
    """The visits a second of open load that the slots can't carry any more."""
    return slots / work.mean_visit.demand


def open_load(work: Workload, slots: int, rate: float) -> OpenLoad:
    """M/M/c for the mean request of `rate` visits a second. Raises ValueError as `OpenLoad`."""
    visit = work.mean_visit
    return OpenLoad(slots, rate * visit.requests, visit.demand / visit.requests)


def predict_open(work: Workload, slots: int, rate: float) -> Prediction:
    """POST /feeds at so many visits a second. Raises ValueError as `open_load`."""
    load = open_load(work, slots, rate)
    most = min(load.rate, slots / load.demand)
    return Prediction(
        post=work.post, wait=load.wait, load=load, throughput=most, most_throughput=most, least_mean=work.post
    )
