"""What the machine, the processes and the database did meanwhile, looked at twice a second from a thread."""

import contextlib
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from types import TracebackType
from typing import Self

import psutil
import sqlalchemy as sa

from loadtests.errors import ProcessError
from loadtests.processes import Process

INTERVAL_SECONDS = 0.5
SAMPLES_OF_START = 8

# Plain SQL: this package must not import the apps, and sees their database as an operator would.
FETCHED = sa.text("SELECT count(*) FROM feeds WHERE status <> 'pending'")
BACKLOG = sa.text("SELECT count(*) FROM jobs WHERE locked_by IS NULL AND failed_at IS NULL")


@dataclass(frozen=True, slots=True)
class Sample:
    """One look. CPU times are seconds since the machine or the process started; memory is in bytes."""

    at: float  # Unix time
    host_busy: float
    host_total: float
    cpu: Mapping[str, float]
    memory: Mapping[str, int]
    fetched: int  # feeds whose fetch has ended
    backlog: int | None  # jobs that wait; None where there is no queue


@dataclass
class Sampler:
    """Samples `processes` and the database from `start` of the context to its end; then `samples` has them
    all.
    """

    processes: Mapping[str, Process]
    database_url: str
    queued: bool
    samples: list[Sample] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._stop = threading.Event()
        self._engine = sa.create_engine(self.database_url)
        self._used: dict[int, float] = {}
        self._trees: dict[str, list[psutil.Process]] = {}
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._engine.dispose()

    def _run(self) -> None:
        while True:
            self.samples.append(self._look())
            if self._stop.wait(INTERVAL_SECONDS):
                return

    def _look(self) -> Sample:
        if len(self.samples) < SAMPLES_OF_START:  # processes are still being forked; later the list stays
            self._trees = {name: process.tree() for name, process in self.processes.items()}
        times = psutil.cpu_times()
        total = (
            sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
        )  # counted in user
        with self._engine.connect() as connection:
            fetched: int = connection.execute(FETCHED).scalar_one()
            backlog: int | None = connection.execute(BACKLOG).scalar_one() if self.queued else None
        return Sample(
            at=time.time(),
            host_busy=total - times.idle - getattr(times, "iowait", 0.0),
            host_total=total,
            cpu={name: sum(map(self._cpu_seconds, tree)) for name, tree in self._trees.items()},
            memory={name: sum(map(_memory, tree)) for name, tree in self._trees.items()},
            fetched=fetched,
            backlog=backlog,
        )

    def _cpu_seconds(self, process: psutil.Process) -> float:
        with contextlib.suppress(psutil.NoSuchProcess):  # what has ended keeps what it had used
            times = process.cpu_times()
            self._used[process.pid] = float(times.user + times.system)
        return self._used.get(process.pid, 0.0)


def _memory(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


@dataclass(frozen=True)
class Window:
    """What the samples say of a stretch of time. CPU in percent: of all cores for the host, of one for a
    process.
    """

    host_cpu_percent: float
    cpu_percent: dict[str, float]
    memory_mib: dict[str, float]
    fetched_per_s: float
    backlog_max: int | None
    timeline: list[dict[str, float | int | None]]  # from the first sample on, t_s counted from `origin`


def window(samples: Sequence[Sample], start: float, end: float, origin: float) -> Window:
    """Sum up the samples between two Unix times, or all of them if fewer than two lie there. Raises
    ProcessError when there are not even two in all.
    """
    inside = [sample for sample in samples if start <= sample.at <= end]
    if len(inside) < 2:  # a window of a second, on a machine too busy to look twice
        inside = list(samples)
    if len(inside) < 2:
        raise ProcessError("The load ended before its processes could be looked at twice.")
    first, last = inside[0], inside[-1]
    elapsed = last.at - first.at
    backlogs = [sample.backlog for sample in inside if sample.backlog is not None]
    return Window(
        host_cpu_percent=_host_percent(first, last),
        cpu_percent={name: 100 * (last.cpu[name] - first.cpu[name]) / elapsed for name in first.cpu},
        memory_mib={name: max(sample.memory[name] for sample in inside) / 2**20 for name in first.memory},
        fetched_per_s=(last.fetched - first.fetched) / elapsed,
        backlog_max=max(backlogs) if backlogs else None,
        timeline=[
            {
                "t_s": round(after.at - origin, 2),
                "host_cpu_percent": round(_host_percent(before, after), 1),
                "fetched": after.fetched,
                "backlog": after.backlog,
            }
            for before, after in pairwise(samples)
        ],
    )


def _host_percent(first: Sample, last: Sample) -> float:
    total = last.host_total - first.host_total
    return 100 * (last.host_busy - first.host_busy) / total if total else 0.0
