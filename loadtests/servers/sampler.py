"""Samples of the machine, the processes and the database, taken twice a second in a thread."""

import contextlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Self, TypeVar

import psutil
import sqlalchemy as sa

from loadtests.errors import ProcessError
from loadtests.records.inside import Look
from loadtests.servers.machine import host_seconds
from loadtests.servers.processes import Process, own_memory
from loadtests.servers.slotmeter import SlotCounts, read_slots

INTERVAL_SECONDS = 0.5
SAMPLES_OF_START = 8

# Plain SQL: this package must not import the apps, and sees their database as an operator would.
COUNT_FEEDS = sa.text("SELECT count(*), count(CASE WHEN status <> 'pending' THEN 1 END) FROM feeds")
COUNT_JOBS = sa.text("SELECT count(*), count(locked_by) FROM jobs WHERE failed_at IS NULL")


Number = TypeVar("Number", int, float)


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample. CPU times are seconds since the machine or the process started."""

    at: float  # Unix time
    host_busy: float
    host_total: float
    cpu: Mapping[str, float]
    enqueued: int  # feeds added
    fetched: int  # feeds whose fetch has ended
    backlog: int | None  # jobs waiting; None without a queue
    running: int | None  # jobs claimed by a worker
    slots: SlotCounts

    @property
    def pending(self) -> int:
        """Feeds whose fetch has not ended."""
        return self.enqueued - self.fetched

    @property
    def jobs(self) -> int:
        """Jobs waiting or running; 0 without a queue."""
        return (self.backlog or 0) + (self.running or 0)


@dataclass
class Sampler:
    """Takes samples while the context lasts; afterwards `samples` has them all, and `memory` the peak memory
    of each process with its children, in bytes.

    `processes` by name, `database_url` and `slots_folder` of a stack; without a stack the last two are None.
    """

    processes: Mapping[str, Process]
    database_url: str | None = None
    slots_folder: Path | None = None
    queued: bool = False
    samples: list[Sample] = field(default_factory=list)
    memory: dict[str, int] = field(default_factory=dict)

    def __enter__(self) -> Self:
        self._stop = threading.Event()
        self._engine = sa.create_engine(self.database_url) if self.database_url else None
        self._used: dict[int, float] = {}
        self._trees: dict[str, list[psutil.Process]] = {}
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._weigh(self._trees, own_memory)
        if self._engine:
            self._engine.dispose()

    def _run(self) -> None:
        while True:
            self.samples.append(self._look())
            if self._stop.wait(INTERVAL_SECONDS):
                return

    def _look(self) -> Sample:
        if len(self.samples) < SAMPLES_OF_START:  # processes are still being forked; later the list is fixed
            self._trees = {name: process.tree() for name, process in self.processes.items()}
        busy, total = host_seconds()
        self._weigh({name: tree for name, tree in self._trees.items() if len(tree) == 1}, _resident_memory)
        enqueued, fetched, backlog, running = self._count()
        return Sample(
            at=time.time(),
            host_busy=busy,
            host_total=total,
            cpu={name: sum(map(self._cpu_seconds, tree)) for name, tree in self._trees.items()},
            enqueued=enqueued,
            fetched=fetched,
            backlog=backlog,
            running=running,
            slots=read_slots(self.slots_folder) if self.slots_folder else SlotCounts(),
        )

    def _count(self) -> tuple[int, int, int | None, int | None]:
        """Feeds added and fetched, jobs waiting and running."""
        if self._engine is None:
            return 0, 0, None, None
        with self._engine.connect() as connection:
            enqueued, fetched = connection.execute(COUNT_FEEDS).one()
            if not self.queued:
                return enqueued, fetched, None, None
            jobs, running = connection.execute(COUNT_JOBS).one()
            return enqueued, fetched, jobs - running, running

    def _cpu_seconds(self, process: psutil.Process) -> float:
        with contextlib.suppress(psutil.NoSuchProcess):  # a process that has ended keeps its last figure
            times = process.cpu_times()
            self._used[process.pid] = float(times.user + times.system)
        return self._used.get(process.pid, 0.0)

    def _weigh(
        self, trees: Mapping[str, Sequence[psutil.Process]], memory_of: Callable[[psutil.Process], int]
    ) -> None:
        for name, tree in trees.items():
            self.memory[name] = max(self.memory.get(name, 0), sum(map(memory_of, tree)))


def _resident_memory(process: psutil.Process) -> int:
    """A process's resident memory: cheap to read."""
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


@dataclass(frozen=True)
class Window:
    """A summary of the samples in a time window. CPU in percent: of all cores for the host, of one for a
    process.
    """

    host_cpu_percent: float
    cpu_percent: dict[str, float]
    in_per_s: float  # feeds added
    out_per_s: float  # feeds fetched
    backlogs: list[int]  # jobs waiting, at each sample; empty without a queue
    running: float  # jobs running in the workers, on average
    slots_busy: float  # busy slots of the web server, on average
    requests: dict[str, int]  # answered by the slots, by kind
    busy_s: dict[str, float]  # slot time that they took, by kind
    squares_s2: dict[str, float]  # sum of the squares of these times, by kind

    @property
    def served(self) -> dict[str, int]:
        """Visitors' requests answered by the slots, by kind; kinds without any are left out."""
        return {kind: count for kind, count in self.requests.items() if count and kind != "other"}

    @property
    def demand_scv(self) -> dict[str, float]:
        """The squared coefficient of variation of the time in a slot, by kind: variance over squared mean.

        1 for exponential times, 0 for constant ones. A kind with fewer than two requests is left out.
        """
        return {
            kind: max(0.0, count * self.squares_s2[kind] / self.busy_s[kind] ** 2 - 1)
            for kind, count in self.served.items()
            if count > 1 and self.busy_s[kind] > 0
        }


def window(samples: Sequence[Sample], start: float, end: float) -> Window:
    """Summarise the samples between two Unix times, or all of them if fewer than two lie there. Raises
    ProcessError if there are fewer than two in all.
    """
    inside = [sample for sample in samples if start <= sample.at <= end]
    if len(inside) < 2:  # a window of a second, on a machine too busy to sample twice
        inside = list(samples)
    if len(inside) < 2:
        raise ProcessError("The load ended before its processes could be sampled twice.")
    first, last = inside[0], inside[-1]
    elapsed = last.at - first.at
    return Window(
        host_cpu_percent=_host_percent(first, last),
        cpu_percent={name: 100 * (last.cpu[name] - first.cpu[name]) / elapsed for name in first.cpu},
        in_per_s=(last.enqueued - first.enqueued) / elapsed,
        out_per_s=(last.fetched - first.fetched) / elapsed,
        backlogs=[sample.backlog for sample in inside if sample.backlog is not None],
        running=sum(sample.running or 0 for sample in inside) / len(inside),
        slots_busy=(last.slots.total_busy_s - first.slots.total_busy_s) / elapsed,
        requests=_grown(first.slots.requests, last.slots.requests),
        busy_s=_grown(first.slots.busy_s, last.slots.busy_s),
        squares_s2=_grown(first.slots.squares_s2, last.slots.squares_s2),
    )


def _grown(first: Mapping[str, Number], last: Mapping[str, Number]) -> dict[str, Number]:
    """How much each kind's figure has grown."""
    return {kind: figure - first.get(kind, 0) for kind, figure in last.items()}


def drain_seconds(samples: Sequence[Sample], load_ended: float) -> float | None:
    """Seconds from the end of the load (Unix time) to the first sample without a job; None if there is none,
    or no queue. The resolution is INTERVAL_SECONDS.
    """
    queue = [sample for sample in samples if sample.at >= load_ended and sample.backlog is not None]
    return next((sample.at - load_ended for sample in queue if not sample.jobs), None)


def timeline(samples: Sequence[Sample], origin: float) -> list[Look]:
    """The samples from the second on, as results.json holds them; `t_s` counts from `origin` (Unix time)."""
    return [
        Look(
            t_s=round(after.at - origin, 2),
            host_cpu_percent=round(_host_percent(before, after), 1),
            enqueued=after.enqueued,
            fetched=after.fetched,
            backlog=after.backlog,
            running=after.running,
        )
        for before, after in pairwise(samples)
    ]


def _host_percent(first: Sample, last: Sample) -> float:
    total = last.host_total - first.host_total
    return 100 * (last.host_busy - first.host_busy) / total if total else 0.0
