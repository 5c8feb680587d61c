"""Queueing theory for the visitors' requests: POST /feeds under closed and open load. Pure.

The formulas of `loadtests.theory` assume one kind of request, with a think time before each. Here a visit is
several requests in a row, and browsers' visits differ from submitters'. So a mean request stands for all:

* Closed load. If each request waits W for a slot, a submitter's cycle takes Z + pauses + demands + n W with
  n requests per visit, and a browser's Z + D + W. This gives the rate of each kind of request; the rates give
  the mean demand of a request and the mean time between an answer and the next request; and M/M/c//N with
  both gives W again. This is repeated until W converges: a fixed point, as in approximate mean value analysis
  (Bard 1979, Schweitzer 1979; Lazowska, chapter 6 of the book that `loadtests.theory` names).
* Open load. Requests arrive as if independently, at the rate of visits times requests per visit.

The response time of POST /feeds is the wait, which is the same for all kinds since slots serve in order of
arrival, plus its own exponential time in a slot: the two distributions are convolved.
"""

import math
from dataclasses import dataclass
from functools import cached_property

from loadtests.numerics import PlusExponential
from loadtests.predicting.workload import Visit, Workload, submitters_among
from loadtests.theory import ClosedLoad, OpenLoad

PRECISION = 1e-7  # of the wait, relative to the mean demand
MOST_ROUNDS = 200


@dataclass(frozen=True)
class ExpectedSubmit:
    """POST /feeds under one load. Times in seconds, infinite where there is no steady state."""

    submit: float  # mean time in a slot
    wait: float  # mean wait for a slot
    load: ClosedLoad | OpenLoad  # of the mean request
    throughput: float  # requests of all kinds a second
    most_throughput: float  # its asymptotic upper bound
    least_mean: float  # the asymptotic lower bound of the mean

    @property
    def mean(self) -> float:
        """Mean response time."""
        return self.wait + self.submit

    @property
    def steady(self) -> bool:
        """False if the slots can't carry an open load: then there is no distribution."""
        return math.isfinite(self.wait)

    @cached_property
    def distribution(self) -> PlusExponential:
        """The distribution of the response time. Raises ValueError if there is no steady state."""
        if not self.steady:
            raise ValueError("the slots can't carry this load: waits grow as long as it lasts")
        return PlusExponential(self.load.share_waiting_over, self.submit, self.load.demand / self.load.slots)


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
        step = 0.5  # damped, except for the first step: its start, no wait at all, is far off
        load = _mean_request(work, slots, users, wait)
    return load


def _mean_request(work: Workload, slots: int, users: int, wait: float) -> ClosedLoad:
    """The load of the mean request if each request waits `wait`."""
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


def predict_closed(work: Workload, slots: int, users: int) -> ExpectedSubmit:
    """POST /feeds with `users` users. Raises ValueError as `closed_load` does."""
    load = closed_load(work, slots, users)
    return ExpectedSubmit(
        submit=work.submit,
        wait=load.wait,
        load=load,
        throughput=load.throughput,
        most_throughput=load.most_throughput,
        least_mean=work.submit + load.least_response - load.demand,
    )


def knee_users(work: Workload, slots: int) -> float:
    """N*, users of both kinds: the number that would just keep the slots busy if nobody waited.

    Not rounded: c / (slot time per cycle of a user / length of that cycle). With one kind of visit it is the
    N* = c(D+Z)/D of `theory.knee`.
    """
    busy = 0.0
    for share, visit in ((work.submitters, work.submit_visit), (1 - work.submitters, work.browse_visit)):
        busy += share * visit.demand / (work.think + visit.pause + visit.demand)
    return slots / busy


def asked_per_user(work: Workload) -> float:
    """Requests of any kind that a user sends a second, on average, while nobody waits for a slot.

    N times this meets the slots' own bound at N*.
    """
    kinds = ((work.submitters, work.submit_visit), (1 - work.submitters, work.browse_visit))
    return sum(share * visit.requests / (work.think + visit.pause + visit.demand) for share, visit in kinds)


def saturation(work: Workload, slots: int) -> float:
    """The rate of open load, in visits a second, from which on the slots can't keep up."""
    return slots / work.mean_visit.demand


def open_load(work: Workload, slots: int, rate: float) -> OpenLoad:
    """M/M/c for the mean request of `rate` visits a second. Raises ValueError as `OpenLoad` does."""
    visit = work.mean_visit
    return OpenLoad(slots, rate * visit.requests, visit.demand / visit.requests)


def predict_open(work: Workload, slots: int, rate: float) -> ExpectedSubmit:
    """POST /feeds at `rate` visits a second. Raises ValueError as `open_load` does."""
    load = open_load(work, slots, rate)
    most = min(load.rate, slots / load.demand)
    return ExpectedSubmit(
        submit=work.submit,
        wait=load.wait,
        load=load,
        throughput=most,
        most_throughput=most,
        least_mean=work.submit,
    )
