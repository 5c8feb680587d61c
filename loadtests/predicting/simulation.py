"""The load tests' workload, simulated event by event: no formulas, no assumption about service times.

Each of c slots serves one request at a time, in order of arrival. A request holds its slot for a time drawn
for its kind: POST /feeds of the synchronous app for as long as the feeds of the mix take, the others as the
caller specifies. As in a measured step, the server is idle at first, a warm-up is left out, and a request
that has not ended when the step ends counts as having waited until then. So for a load that the slots can't
carry, which has no steady state, the simulation shows what such a step would show.

Since slots are assigned in order of arrival, a request's end is known when it arrives: the only events are
arrivals. Whole steps are repeated with new random numbers until there are enough requests.
"""

import heapq
import itertools
import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import fmean

from loadtests.feedserver.kinds import delay_of, kind_of
from loadtests.judging.samples import nearest_rank
from loadtests.predicting.workload import Workload, submitters_among
from loadtests.records.predictions import SimulatedFigures

Draw = Callable[[random.Random], float]  # a time in seconds
MIX_SAMPLE = 5000  # feeds of the mix, from which service times are drawn

SUBMIT, PAGE, POLL, BROWSE = ASKED = ("submit", "page", "poll", "browse")  # the kinds of request
Event = tuple[float, int, str, int]  # arrival time, visitor, kind, polls still to come


@dataclass(frozen=True)
class Period:
    """The parts of a step, in seconds, and how much is simulated."""

    warmup: float
    measure: float
    ramp: float = math.inf  # users of closed load who arrive per second
    drain: float = 1e9  # requests that take longer than this after `measure` are cut off
    requests: int = 30_000  # no repeat begins once this many have been simulated
    repeats: int = 2000  # at most


@dataclass
class Simulated:
    """What the requests of the measured periods saw. Times in seconds."""

    submits: list[float] = field(default_factory=list)  # response times of POST /feeds
    waits: list[float] = field(default_factory=list)  # their waits for a slot
    others: list[float] = field(default_factory=list)  # response times of all other requests
    ended: int = 0  # requests that ended within the measured periods
    seconds: float = 0.0  # total of all measured periods

    @property
    def throughput(self) -> float:
        """Requests a second."""
        return self.ended / self.seconds if self.seconds else 0.0

    def figures(self, rule_ms: float = 500.0) -> SimulatedFigures | None:
        """The figures of POST /feeds, as in results.json; None if none was sent."""
        if not self.submits:
            return None
        ordered = sorted(1000 * seconds for seconds in self.submits)
        return SimulatedFigures(
            mean_ms=fmean(ordered),
            p50_ms=nearest_rank(ordered, 50),
            p95_ms=nearest_rank(ordered, 95),
            p99_ms=nearest_rank(ordered, 99),
            share_over=sum(ms > rule_ms for ms in ordered) / len(ordered),
            achieved_per_s=self.throughput,
        )


def exponential(mean: float) -> Draw:
    """Draws exponential times of mean `mean`, in seconds."""
    return lambda source: source.expovariate(1 / mean)


def lognormal(mean: float, scv: float) -> Draw:
    """Draws lognormal times of mean `mean`, in seconds, and squared coefficient of variation `scv`."""
    variance = math.log1p(scv)
    mu, sigma = math.log(mean) - variance / 2, math.sqrt(variance)
    return lambda source: math.exp(source.gauss(mu, sigma))


def feed_service(mix: Mapping[str, float], deadline: float, mean: float) -> Draw:
    """Draws how long POST /feeds of the synchronous app holds a slot: as long as a feed of the mix takes.

    `mix` is in percent, as in `loadtests.feedserver.kinds`; a feed that takes longer than `deadline` seconds
    is abandoned then. All times are scaled to the measured mean `mean`. If all feeds of the mix respond at
    once, the time is the app's own: exponential.
    """
    kinds = [kind_of(n, mix) for n in range(MIX_SAMPLE)]
    delays = [
        deadline if kind == "drip" else min(delay_of(kind, n), deadline) for n, kind in enumerate(kinds)
    ]
    if not any(delays):
        return exponential(mean)
    scale = mean / fmean(delays)
    times = [scale * delay for delay in delays]
    return lambda source: times[int(source.random() * MIX_SAMPLE)]


def simulate_closed(
    work: Workload,
    slots: int,
    users: int,
    period: Period,
    draws: Mapping[str, Draw] | None = None,
    seed: int = 1,
) -> Simulated:
    """`users` who think before each visit, including the first. The same seed gives the same result.

    `draws` maps the kinds submit, page, poll and browse to the time that a request holds a slot; a kind not
    in it takes an exponential time with the mean in `work`.
    """
    submitters = submitters_among(users, work.submitters)

    def begin(step: _Step) -> None:
        for number in range(users):
            step.think(
                step.source.random() * users / period.ramp, number, SUBMIT if number < submitters else BROWSE
            )

    return _repeated(_Setting(work, slots, _all_draws(work, draws)), begin, period, seed)


def simulate_open(
    work: Workload,
    slots: int,
    rate: float,
    period: Period,
    draws: Mapping[str, Draw] | None = None,
    seed: int = 1,
) -> Simulated:
    """Poisson arrivals of `rate` visits a second; otherwise like `simulate_closed`."""
    setting = _Setting(work, slots, _all_draws(work, draws), rate)
    return _repeated(setting, lambda step: step.arrive(0.0), period, seed)


def _all_draws(work: Workload, draws: Mapping[str, Draw] | None) -> dict[str, Draw]:
    means = {kind: getattr(work, kind) for kind in ASKED}
    return {kind: exponential(mean) for kind, mean in means.items() if mean} | dict(draws or {})


def _repeated(setting: "_Setting", begin: "Callable[[_Step], None]", period: Period, seed: int) -> Simulated:
    source, seen = random.Random(seed), Simulated()
    for _ in range(period.repeats):
        step = _Step(setting, source)
        begin(step)
        step.run(period, seen)
        if len(seen.submits) + len(seen.others) >= period.requests:
            break
    return seen


@dataclass(frozen=True)
class _Setting:
    """What all repeats have in common."""

    work: Workload
    slots: int
    draws: Mapping[str, Draw]
    rate: float | None = None  # visits a second of open load


class _Step:
    """One step, starting with an idle server."""

    def __init__(self, setting: _Setting, source: random.Random) -> None:
        self.work, self.draws, self.rate = setting.work, setting.draws, setting.rate
        self.source = source
        self.free_at = [0.0] * setting.slots  # a heap: when each slot becomes free
        self.events: list[Event] = []  # a heap: requests to come
        self.numbers = itertools.count()

    def think(self, now: float, number: int, asks: str) -> None:
        """A user of closed load thinks, then visits."""
        think = self.source.expovariate(1 / self.work.think) if self.work.think else 0.0
        heapq.heappush(self.events, (now + think, number, asks, self._polls(asks)))

    def arrive(self, now: float) -> None:
        """Schedule the next visitor of open load."""
        assert self.rate
        asks = SUBMIT if self.source.random() < self.work.submitters else BROWSE
        at = now + self.source.expovariate(self.rate)
        heapq.heappush(self.events, (at, next(self.numbers), asks, self._polls(asks)))

    def run(self, period: Period, seen: Simulated) -> None:
        """Serve all requests that arrive before the end of the period, and record their times in `seen`."""
        start, end = period.warmup, period.warmup + period.measure
        cut = end + period.drain
        while self.events and self.events[0][0] < end:
            at, number, asks, polls = heapq.heappop(self.events)
            begun = max(at, self.free_at[0])
            done = begun + self.draws[asks](self.source)
            heapq.heapreplace(self.free_at, done)
            seen.ended += start <= done < end
            if at >= start and asks == SUBMIT:
                seen.submits.append(min(done, cut) - at)
                seen.waits.append(min(begun, cut) - at)
            elif at >= start:
                seen.others.append(min(done, cut) - at)
            if self.rate and asks in (SUBMIT, BROWSE):
                self.arrive(at)
            self._go_on(done, number, asks, polls)
        seen.seconds += period.measure

    def _go_on(self, now: float, number: int, asks: str, polls: int) -> None:
        """Schedule the visitor's next request after an answer."""
        work = self.work
        if asks == SUBMIT:
            heapq.heappush(self.events, (now, number, PAGE, polls))
        elif asks in (PAGE, POLL) and polls:  # the first page, or a poll before the last
            heapq.heappush(self.events, (now + work.pause / work.polls, number, POLL, polls - 1))
        elif asks == POLL:
            heapq.heappush(self.events, (now, number, PAGE, 0))
        elif not self.rate:
            self.think(now, number, BROWSE if asks == BROWSE else SUBMIT)

    def _polls(self, asks: str) -> int:
        if asks != SUBMIT or not self.work.polls:
            return 0
        return int(self.work.polls + self.source.random())  # the whole number below or above
