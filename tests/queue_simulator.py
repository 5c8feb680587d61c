"""A queue simulated event by event (SimPy), which uses none of the formulas that it checks.

Visitors arrive one by one (open load) or think and return (closed load), queue for one of `slots`, and hold
it for as long as `service` draws. `service` is a list: the times of one visit's requests, one after the
other, each of which queues again.
"""

import math
import random
from collections.abc import Callable
from statistics import mean, stdev

import simpy

Draw = Callable[[random.Random], float]
T_999 = {7: 5.408, 9: 4.781}  # Student's t, two-sided 99.9 %, by degrees of freedom


class Simulation:
    """Responses in seconds of `visits` visits after a warm-up of half as many. A seed fixes the outcome."""

    def __init__(self, slots: int, service: list[Draw], seed: int, visits: int = 2000):
        self.random = random.Random(seed)
        self.world = simpy.Environment()
        self.server = simpy.Resource(self.world, slots)
        self.service, self.warmup, self.visits = service, visits // 2, visits
        self.began: float = 0.0
        self.responses: list[list[float]] = [[] for _ in service]  # for each request of the visit

    def closed(self, users: int, think: float) -> "Simulation":
        """`users` who think for an exponentially distributed time of mean `think`."""
        for _ in range(users):
            self.world.process(self._user(think))
        return self._run()

    def open(self, rate: float) -> "Simulation":
        """Poisson arrivals at `rate` a second."""
        self.world.process(self._arrivals(rate))
        return self._run()

    @property
    def throughput(self) -> float:
        """Visits a second."""
        return self.visits / (self.world.now - self.began)

    def _run(self) -> "Simulation":
        last = self.responses[-1]
        while len(last) < self.warmup:
            self.world.step()
        self.began = self.world.now
        while len(last) < self.warmup + self.visits:
            self.world.step()
        self.responses = [each[self.warmup :] for each in self.responses]
        return self

    def _user(self, think: float):
        while True:
            yield self.world.timeout(self.random.expovariate(1 / think))
            yield from self._visit()

    def _arrivals(self, rate: float):
        while True:
            yield self.world.timeout(self.random.expovariate(rate))
            self.world.process(self._visit())

    def _visit(self):
        for draw, responses in zip(self.service, self.responses, strict=True):
            came = self.world.now
            with self.server.request() as slot:
                yield slot
                yield self.world.timeout(draw(self.random))
            responses.append(self.world.now - came)


def exponential(seconds: float) -> Draw:
    """Draws exponentially distributed times of this mean."""
    return lambda random: random.expovariate(1 / seconds)


def interval(figures: list[float]) -> tuple[float, float]:
    """The 99.9 % confidence interval for the mean of 8 or 10 independent repeats (Student's t)."""
    half = T_999[len(figures) - 1] * stdev(figures) / math.sqrt(len(figures))
    return mean(figures) - half, mean(figures) + half


class Readers:
    """Two kinds of visitors at the same slots: `visits` of the first kind, after a warm-up of half as many.

    A visit is a list of (pause before, draw): its requests, one after the other. The first request of the
    first kind is the POST whose waits and responses are kept. Times are in seconds.
    """

    def __init__(self, slots: int, visit: list, other_visit: list, seed: int, visits: int = 1500):
        self.random = random.Random(seed)
        self.world = simpy.Environment()
        self.server = simpy.Resource(self.world, slots)
        self.visit, self.other_visit, self.warmup, self.visits = visit, other_visit, visits // 2, visits
        self.waits: list[float] = []
        self.responses: list[float] = []
        self.answered = 0

    def closed(self, users: int, others: int, think: float) -> "Readers":
        """`users` of the first kind and `others` of the second; they think first."""
        for visit in [self.visit] * users + [self.other_visit] * others:
            self.world.process(self._user(visit, think))
        return self._run()

    def open(self, rate: float, share: float) -> "Readers":
        """Poisson arrivals at `rate` visits a second, of which `share` are of the first kind."""
        self.world.process(self._arrivals(rate, share))
        return self._run()

    def _run(self) -> "Readers":
        while len(self.responses) < self.warmup:
            self.world.step()
        began, before = self.world.now, self.answered
        while len(self.responses) < self.warmup + self.visits:
            self.world.step()
        self.throughput = (self.answered - before) / (self.world.now - began)
        self.waits, self.responses = self.waits[self.warmup :], self.responses[self.warmup :]
        return self

    def _user(self, visit: list, think: float):
        while True:
            yield self.world.timeout(self.random.expovariate(1 / think))
            yield from self._visit(visit)

    def _arrivals(self, rate: float, share: float):
        while True:
            yield self.world.timeout(self.random.expovariate(rate))
            self.world.process(self._visit(self.visit if self.random.random() < share else self.other_visit))

    def _visit(self, visit: list):
        for place, (pause, draw) in enumerate(visit):
            if pause:
                yield self.world.timeout(pause)
            came = self.world.now
            with self.server.request() as slot:
                yield slot
                begun = self.world.now
                yield self.world.timeout(draw(self.random))
            self.answered += 1
            if place == 0 and visit is self.visit:
                self.waits.append(begun - came)
                self.responses.append(self.world.now - came)
