"""The figures of a running load, of the last ten seconds and so far, from its processes' news. Pure.

Percentiles are of all samples, in buckets of a tenth of a millisecond; shares over the rule are exact.
Requests count by when they were due, so the newest ones, which may still be in time, do not count yet.
"""

import math
from bisect import bisect_right
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from loadtests.generator.telling import ANSWERED, Request, Told
from loadtests.judging.looks import GroupCount
from loadtests.judging.samples import TITLES, nearest_rank, rank_of
from loadtests.records.recording import Lag, Vital

RECENT_SECONDS = 10.0
TENTHS, COARSE = 10, 100  # in a millisecond; in a coarse bucket
SILENT_SECONDS = 5.0  # without news, while others have some
SHOWN_PERCENTILES = (50, 95, 99)
STEP = 1e-6  # in seconds: the resolution of times in a file of rows


class Quantile(NamedTuple):
    """A percentile in ms; not `exact`: a lower bound, as it depends on requests that wait. None: unknown."""

    ms: float | None
    exact: bool


class Figures(NamedTuple):
    """A group's figures: how many requests, how many of them over the rule, and its percentiles."""

    judged: int
    over: int
    quantiles: tuple[Quantile, ...]


class Batch(NamedTuple):
    """Requests of one group: how many, how many over the rule, and latencies in tenths of a millisecond."""

    judged: int
    over: int
    tenths: list[int]


def batch(requests: Sequence[Request]) -> Batch:
    """Count requests that have ended."""
    tenths = [round(each.ms * TENTHS) for each in requests if each.outcome in ANSWERED]
    return Batch(len(requests), sum(each.outcome != "in_time" for each in requests), tenths)


class LiveTally:
    """The requests of one group. Adding takes constant time for each, and a rank is found without sorting."""

    def __init__(self) -> None:
        self.judged = self.over = self._answered = 0
        self._fine: Counter[int] = Counter()
        self._coarse: Counter[int] = Counter()  # by COARSE tenths

    def add(self, batch: Batch, forget: bool = False) -> None:
        """Count requests, or forget those that were counted. One call for many is cheaper than many calls."""
        sign = -1 if forget else 1
        self.judged += sign * batch.judged
        self.over += sign * batch.over
        self._answered += sign * len(batch.tenths)
        coarse = [each // COARSE for each in batch.tenths]
        for counter, values in ((self._fine, batch.tenths), (self._coarse, coarse)):
            (counter.subtract if forget else counter.update)(values)

    def figures(self, waiting: Sequence[float]) -> Figures:
        """The figures, with requests that wait and are over the rule; `waiting`: for how long each, in ms."""
        waits = Batch(len(waiting), len(waiting), [round(ms * TENTHS) for ms in waiting])
        count = self._answered + len(waiting)
        ranks = [rank_of(count, percent) for percent in SHOWN_PERCENTILES]
        most = [self._at_rank(rank) for rank in ranks]  # if they are never answered
        self.add(waits)
        least = [self._at_rank(rank) for rank in ranks]  # if they are answered now
        ends = zip(least, most, strict=True)
        quantiles = tuple(Quantile(low if count else None, low == high) for low, high in ends)
        figures = Figures(self.judged, self.over, quantiles)
        self.add(waits, forget=True)
        return figures

    def _at_rank(self, rank: int) -> float:
        """The latency of this rank, in ms, counted from 1; infinite if there are fewer."""
        if rank > self._answered:
            return math.inf
        for coarse in sorted(self._coarse):
            if rank <= (here := self._coarse[coarse]):
                break
            rank -= here
        tenths = coarse * COARSE
        while rank > self._fine[tenths]:
            rank -= self._fine[tenths]
            tenths += 1
        return tenths / TENTHS


class LiveGroup(NamedTuple):
    """A group's figures now. `ruled`: False for whole visits, to which the rule does not apply."""

    key: str
    ruled: bool
    recent: Figures
    whole: Figures


class View(NamedTuple):
    """What is shown. Times in seconds since the start of the load."""

    until: float  # requests that were due later are not counted yet
    users: int
    lag_ms: float  # of the load generators, the most in their latest news
    groups: tuple[LiveGroup, ...]
    silent: int = 0  # load generators without news for some seconds: the figures wait for them


class Live:
    """Takes in the news of a load's processes. In a stepped load, the figures so far are the step's."""

    def __init__(self, warm_up: float, processes: Iterable[str] = ("",)) -> None:
        self.until = 0.0
        self.stage = 0
        self.start = self._warm_up = warm_up  # seconds; requests due from then on count
        self.lag: list[Lag] = []
        self.vitals: dict[str, list[Vital]] = defaultdict(list)  # of each process
        self._sent_late: list[float] = []  # in ms, of each request of the stage that was sent late
        self._told: dict[str, tuple[Told, float] | None] = dict.fromkeys(processes)
        self._held: list[Request] = []
        self._whole: dict[str, LiveTally] = defaultdict(LiveTally)
        self._recent: dict[str, LiveTally] = defaultdict(LiveTally)
        self._expiring: deque[tuple[float, str, Batch]] = deque()  # what is in `_recent`, and since when

    def take(self, told: Told, process: str = "", later: float = 0.0) -> None:
        """Take in a process's news; its clock started `later` seconds after the load's."""
        self._told[process] = told, later
        self.lag += [each._replace(at=each.at + later) for each in told.lag]
        self.vitals[process] += [each._replace(at=each.at + later) for each in told.vitals]
        self._held += [each._replace(due=each.due + later) for each in told.ended] if later else told.ended

    def advance(self, starts: Sequence[float] = (0.0,)) -> None:
        """Count the requests that every process's news covers; `starts`: when the stages so far began."""
        known = [told.until + later for told, later in self._news()]
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
            self._whole = defaultdict(LiveTally)
            self._sent_late = []
        counted: dict[str, list[Request]] = defaultdict(list)
        held = []
        for request in self._held:
            if request.due < until:
                counted[request.group].append(request)
            else:
                held.append(request)
        self._held = held
        for group, requests in counted.items():
            fresh = batch(requests)
            judged = [each for each in requests if each.due >= self.start]
            self._whole[group].add(fresh if len(judged) == len(requests) else batch(judged))
            self._sent_late += [each.late_ms for each in judged if each.late_ms > 0]
            self._recent[group].add(fresh)
            self._expiring.append((until, group, fresh))
        while self._expiring and self._expiring[0][0] <= until - RECENT_SECONDS:
            _, group, old = self._expiring.popleft()
            self._recent[group].add(old, forget=True)

    def counts(self) -> dict[str, GroupCount]:
        """How many requests of each group count so far, without the warm-up and whole visits."""
        visits, waiting = self._visits(), Counter(each.group for each in self._waiting(self.start))
        tallies = {group: self._whole[group] for group in {*self._whole, *waiting} - visits}
        counts = {
            group: GroupCount(tally.over + waiting[group], tally.judged + waiting[group])
            for group, tally in tallies.items()
        }
        return {group: count for group, count in counts.items() if count.judged}

    def view(self) -> View:
        """The figures now."""
        recent, waits_recent = self._recent, _by_group(self._waiting(self.until - RECENT_SECONDS))
        waits = _by_group(self._waiting(self.start))
        visits = self._visits()
        groups = tuple(
            LiveGroup(
                group,
                group not in visits,
                recent[group].figures(waits_recent[group]),
                self._whole[group].figures(waits[group]),
            )
            for group in sorted({*recent, *self._whole, *waits, *waits_recent}, key=_as_in_the_verdict)
        )
        return View(self.until, self.users, self.lag_ms, groups, self._silent())

    def _silent(self) -> int:
        untils = [told[0].until + told[1] if told else 0.0 for told in self._told.values()]
        return sum(max(untils) - until > SILENT_SECONDS for until in untils)

    @property
    def users(self) -> int:
        """How many users all processes run."""
        return sum(told.users for told, _ in self._news())

    @property
    def lag_ms(self) -> float:
        """The largest lag in the processes' latest news."""
        return max((lag.ms for told, _ in self._news() for lag in told.lag), default=0.0)

    def sent_late_ms(self) -> float:
        """How late open load's visits were sent, in ms, as in judging/fitness.py."""
        late = self._sent_late + [each.late_ms for each in self._waiting(self.start) if each.late_ms > 0]
        return nearest_rank(late, 99) if late else 0.0

    def _news(self) -> Iterator[tuple[Told, float]]:
        """The latest news of each process that has some, and how much later its clock started."""
        return filter(None, self._told.values())

    def _visits(self) -> set[str]:
        return {group for told, _ in self._news() for group in told.visits}

    def _waiting(self, start: float) -> Iterator[Request]:
        """The requests due from `start` on that still wait and are over the rule."""
        for told, later in self._news():
            for each in told.late:
                if start <= each.due + later < self.until:
                    yield each


def _as_in_the_verdict(group: str) -> tuple[int, str]:
    known = [*TITLES]
    return (known.index(group) if group in known else len(known)), group


def _by_group(waiting: Iterable[Request]) -> dict[str, list[float]]:
    waits: dict[str, list[float]] = defaultdict(list)
    for each in waiting:
        waits[each.group].append(each.ms)
    return waits
