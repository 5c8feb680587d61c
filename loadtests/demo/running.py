"""One of the two readers: its processes, its visitors, and what is to be seen of them now."""

import contextlib
import math
from collections import deque
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple, Self

import sqlalchemy as sa

from loadtests.demo.controls import Order, Wanted
from loadtests.demo.load import Visitors
from loadtests.demo.stacks import ChangingStack
from loadtests.generator.telling import Request
from loadtests.judging.judge import health_of, slowed_by
from loadtests.judging.rule import RULED
from loadtests.live.figures import Figures, Live, Quantile
from loadtests.records.recording import Recording
from loadtests.servers.sampler import COUNT_JOBS
from loadtests.servers.slotmeter import slots_held
from loadtests.servers.stack import StackSettings

DOTS = 6000  # kept, for pages that are opened later
HEALTH_SECONDS = 5.0  # over which the machine's use is averaged
LAGS, VITALS = 400, 20  # more than are sampled in that time
NONE = Quantile(None, True)


class Dot(NamedTuple):
    """A request as it is drawn. `at`: when it was due, Unix time; `ms` until its answer; None: it failed."""

    at: float
    ms: float | None
    group: str


class Now(NamedTuple):
    """What is to be seen of a reader. Figures are of the last ten seconds; None: there are none."""

    visitors: int
    share: float | None  # over the rule or failed, of the requests in the groups RULED
    shares: dict[str, float | None]  # the same of each group
    slots: list[float | None]  # for how many seconds each has held its request; None: it is free
    in_line: int  # requests that wait for a slot
    waiting: list[Dot]  # requests over the rule that have not been answered yet
    content: Quantile  # from submitting a feed until it was read, median
    jobs: tuple[int, int] | None  # waiting and performed now; None: no queue
    worker: bool  # whether there is one
    busy: float  # the machine, from 0 to 1
    slowed: tuple[str, ...]  # why latencies are upper bounds: the machine's limit, not the reader's

    @property
    def held(self) -> int:
        """How many slots are in use."""
        return sum(held is not None for held in self.slots)


class RunningReader:
    """A reader that serves visitors. A context manager; starting raises ProcessError."""

    def __init__(self, app: str, wanted: Wanted, minutes: float, rows: Path | None = None) -> None:
        self.app = app
        self.dots: deque[Dot] = deque(maxlen=DOTS)
        self.counted = 0  # of the dots so far, also those that are not kept any more
        self.stack = ChangingStack(StackSettings(app, deadline=wanted.deadline, threads=wanted.threads))
        self._wanted = wanted
        self._minutes = minutes
        self._rows = rows
        self._exits = contextlib.ExitStack()
        self._live = Live(warm_up=0.0)
        self._late: list[Request] = []
        self._in_flight = 0
        self._visits: list[str] = []  # the groups that are not requests
        self._started_at = 0.0  # Unix time

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as exits:
            exits.enter_context(self.stack)
            self._visitors = exits.enter_context(Visitors(self.stack, self._minutes, self._rows))
            self._engine = sa.create_engine(self.stack.database_url)
            exits.callback(self._engine.dispose)
            self.want(self._wanted)
            self._exits = exits.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._exits.close()

    def ask_to_stop(self) -> None:
        """Have everything end, without waiting for it."""
        for process in (self._visitors.process, *self.stack.processes.values()):
            process.ask_to_stop()

    def want(self, wanted: Wanted) -> None:
        """Change what is run."""
        self._wanted = wanted
        self.stack.change(wanted.deadline, wanted.threads)
        self.hang(0)

    def hang(self, feeds: int) -> None:
        """Let so many extra visitors submit a feed that is never answered."""
        wanted = self._wanted
        self._visitors.order(Order(wanted.visitors, wanted.mix, wanted.deadline, feeds))

    def check(self) -> None:
        """Raises ProcessError if a process has ended that should run."""
        for process in (self._visitors.process, *self.stack.lasting()):
            if not process.is_running():
                raise process.error("ended")

    def take_news(self) -> None:
        """Take in what its visitors told since the last time. Call it several times a second."""
        for told in self._visitors.news():
            self._live.take(told)
            self._started_at, self._visits = told.started_at, told.visits
            self._late, self._in_flight = told.late, told.in_flight
            dots = [self._dot(each) for each in told.ended if each.group not in told.visits]
            self.dots += dots
            self.counted += len(dots)
        self._live.advance()

    def now(self) -> Now:
        """What is to be seen of it."""
        view, slots = self._live.view(), slots_held(self.stack.slots_folder)
        recent = {group.key: group.recent for group in view.groups}
        busy, slowed = self._health()
        return Now(
            visitors=view.users,
            share=share_over(recent, RULED),
            shares={group: share_over(recent, [group]) for group in RULED},
            slots=slots,
            in_line=max(0, self._in_flight - len(slots)) if all(held is not None for held in slots) else 0,
            waiting=[self._dot(each) for each in self._late if each.group not in self._visits],
            content=self._content(recent["content"].quantiles[0] if "content" in recent else NONE),
            jobs=self._jobs(),
            worker=bool(self.stack.worker and self.stack.worker.is_running()),
            busy=busy,
            slowed=slowed,
        )

    def _dot(self, request: Request) -> Dot:
        ms = None if request.outcome == "failed" else request.ms
        return Dot(self._started_at + request.due, ms, request.group)

    def _content(self, median: Quantile) -> Quantile:
        """The median of the feeds that were read lately; if there were none, how long the next has waited."""
        waiting = [each.ms for each in self._late if each.group == "content"]
        return Quantile(max(waiting), False) if waiting and median.ms is None else median

    def _health(self) -> tuple[float, tuple[str, ...]]:
        """How busy the machine is, and why latencies are upper bounds, by the rules of every verdict."""
        lag, vitals = tuple(self._live.lag[-LAGS:]), tuple(self._live.vitals[""][-VITALS:])
        recent = Recording(started_at=0.0, stopped_s=0.0, ended_s=0.0, lag=lag, vitals=(vitals,))
        health = health_of(recent, vitals[-1].at - HEALTH_SECONDS, math.inf) if vitals else None
        if not health:
            return 0.0, ()
        return health.host_cpu_percent / 100, slowed_by(recent, health, 0.0)

    def _jobs(self) -> tuple[int, int] | None:
        if self.app != "queued":
            return None
        with self._engine.connect() as connection:
            jobs, claimed = connection.execute(COUNT_JOBS).one()
        performed = claimed if self.stack.worker else 0  # those of a killed worker wait for the next
        return jobs - performed, performed


def share_over(figures: Mapping[str, Figures], groups: Iterable[str]) -> float | None:
    """The share of these groups' requests that were over the rule or failed; None: there were none."""
    known = [figures[group] for group in groups if group in figures]
    judged = sum(each.judged for each in known)
    return sum(each.over for each in known) / judged if judged else None
