"""The figures of a load while it runs, from what its processes tell: the last ten seconds, and so far. Pure.

Percentiles are those of all samples, sorted into buckets of a tenth of a millisecond; shares over the rule
are exact. Requests count by when they were due, so the newest ones, which may still be in time, come later.
"""

import math
from bisect import bisect_right
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from loadtests.generator.telling import Told
from loadtests.judging.looks import Count
from loadtests.judging.samples import TITLES, rank_of
from loadtests.records.rows import Row

RECENT_SECONDS = 10.0
BUCKETS_A_MS = 10
PERCENTILES = (50, 95, 99)
STEP = 1e-6  # of times in a file of rows


class Quantile(NamedTuple):
    """A percentile in ms, or a lower bound of it if it depends on requests that still wait; None: unknown."""

    ms: float | None
    exact: bool


@dataclass
class Tally:
    """The requests of one group: counts, and their latencies in buckets. Adding one takes constant time."""

    judged: int = 0
    over: int = 0
    buckets: Counter[int] = field(default_factory=Counter)

    def add(self, row: Row, rule_ms: float) -> None:
        """Count a request that has ended."""
        self.judged += 1
        if row.failed or row.dropped:
            self.over += 1
            return
        ms = row.waited_ms(0.0)
        self.over += ms > rule_ms
        self.buckets[round(ms * BUCKETS_A_MS)] += 1

    def __iadd__(self, other: "Tally") -> "Tally":
        self.judged += other.judged
        self.over += other.over
        self.buckets.update(other.buckets)
        return self

    def figures(self, waiting: Sequence[float]) -> "Figures":
        """The figures, with `waiting`: how long each request that is over the rule and not answered waits."""
        judged, over = self.judged + len(waiting), self.over + len(waiting)
        return Figures(judged, over, tuple(self._quantiles(waiting)))

    def _quantiles(self, waiting: Sequence[float]) -> Iterator[Quantile]:
        """Nearest-rank percentiles of the answered requests and those that wait, as in judging/samples.py."""
        least = Counter(self.buckets)
        least.update(round(ms * BUCKETS_A_MS) for ms in waiting)
        answered, all_of_them = sorted(self.buckets.items()), sorted(least.items())
        count = sum(least.values())
        for percent in PERCENTILES:
            if not count:
                yield Quantile(None, True)
                continue
            rank = rank_of(count, percent)
            bucket = _at_rank(all_of_them, rank)
            yield Quantile(bucket / BUCKETS_A_MS, bucket == _at_rank(answered, rank))


def _at_rank(buckets: Iterable[tuple[int, int]], rank: int) -> float:
    upto = 0
    for bucket, count in buckets:
        upto += count
        if upto >= rank:
            return bucket
    return math.inf


class Figures(NamedTuple):
    """A group's figures: how many requests, how many of them over the rule, and its percentiles."""

    judged: int
    over: int
    quantiles: tuple[Quantile, ...]


class Group(NamedTuple):
    """A group's figures now. `ruled`: False for whole visits, to which the rule does not apply."""

    key: str
    ruled: bool
    recent: Figures
    whole: Figures


class View(NamedTuple):
    """What is shown. Times in seconds since the start of the load."""

    until: float  # requests that were due later are not counted yet
    users: int
    lag_ms: float  # of the load generator, the most since the last look
    groups: tuple[Group, ...]


class Live:
    """Takes in what the processes of a load tell. In a stepped load, the figures so far are of the step."""

    def __init__(self, rule_ms: float, warm_up: float, processes: Iterable[str] = ("",)) -> None:
        self.until = 0.0
        self.stage = 0
        self.start = self._warm_up = warm_up  # from when requests count, in seconds
        self._rule_ms = rule_ms
        self._told: dict[str, tuple[Told, float] | None] = dict.fromkeys(processes)
        self._held: list[Row] = []
        self._whole: dict[str, Tally] = defaultdict(Tally)
        self._recent: deque[tuple[float, dict[str, Tally]]] = deque()

    def take(self, told: Told, process: str = "", later: float = 0.0) -> None:
        """Take in a process's news; its clock started `later` seconds after that of the load."""
        self._told[process] = told, later
        self._held += [row.moved(later) if later else row for row in told.rows]

    def advance(self, starts: Sequence[float] = (0.0,)) -> None:
        """Count the requests of which every process has told; `starts`: of the stages that have begun."""
        known = [told.until + later for told, later in filter(None, self._told.values())]
        if len(known) < len(self._told):
            return
        # Between two times that a file of rows can hold, so that a later judgement counts the same requests.
        until = math.floor(min(known, default=0.0) / STEP) * STEP + STEP / 2
        if until <= self.until:
            return
        self.until = until
        stage = max(0, bisect_right(starts, until) - 1)
        if stage != self.stage:
            self.stage, self.start = stage, starts[stage] + self._warm_up
            self._whole = defaultdict(Tally)
        now: dict[str, Tally] = defaultdict(Tally)
        held = []
        for row in self._held:
            if row.intended_s >= until:
                held.append(row)
                continue
            now[row.group].add(row, self._rule_ms)
            if row.intended_s >= self.start:
                self._whole[row.group].add(row, self._rule_ms)
        self._held = held
        self._recent.append((until, now))
        while self._recent[0][0] <= until - RECENT_SECONDS:
            self._recent.popleft()

    def counts(self) -> dict[str, Count]:
        """How many requests of each group count by now, without warm-up and whole visits."""
        visits, waiting = self._visits(), Counter(row.group for row, _ in self._waiting(self.start))
        return {
            group: Count(self._whole[group].over + waiting[group], self._whole[group].judged + waiting[group])
            for group in sorted({*self._whole, *waiting} - visits)
        }

    def view(self) -> View:
        """The figures now."""
        recent: dict[str, Tally] = defaultdict(Tally)
        for _, tallies in self._recent:
            for group, tally in tallies.items():
                recent[group] += tally
        waits_recent = _by_group(self._waiting(self.until - RECENT_SECONDS))
        waits = _by_group(self._waiting(self.start))
        visits = self._visits()
        groups = tuple(
            Group(
                group,
                group not in visits,
                recent[group].figures(waits_recent[group]),
                self._whole[group].figures(waits[group]),
            )
            for group in sorted({*recent, *self._whole, *waits, *waits_recent}, key=_as_in_the_verdict)
        )
        return View(self.until, self.users, self.lag_ms, groups)

    @property
    def users(self) -> int:
        """How many users all processes run."""
        return sum(told.users for told, _ in filter(None, self._told.values()))

    @property
    def lag_ms(self) -> float:
        """How late the latest process was, lately."""
        return max((told.lag_ms for told, _ in filter(None, self._told.values())), default=0.0)

    def _visits(self) -> set[str]:
        return {group for told, _ in filter(None, self._told.values()) for group in told.visits}

    def _waiting(self, start: float) -> Iterator[tuple[Row, float]]:
        """The requests that wait and are over the rule, due from `start` on, and their waits in ms."""
        for told, later in filter(None, self._told.values()):
            for row in told.late:
                if start <= row.intended_s + later < self.until:
                    yield row, row.waited_ms(told.now)


def _as_in_the_verdict(group: str) -> tuple[int, str]:
    known = [*TITLES]
    return (known.index(group) if group in known else len(known)), group


def _by_group(waiting: Iterable[tuple[Row, float]]) -> dict[str, list[float]]:
    waits: dict[str, list[float]] = defaultdict(list)
    for row, ms in waiting:
        waits[row.group].append(ms)
    return waits
