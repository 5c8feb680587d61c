"""Helpers for chapter 7: jobs that take a known time, and jobqueue on SQLite to perform them."""

import heapq
import random
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from jobqueue import Queue, Worker, job
from loadtests.folders import temporary_folder
from workbook.session import WorkbookError

HEAD_START = 0.6  # seconds to enqueue all jobs in before the first is due
JOBS_LATE_SECONDS = 20.0  # seconds beyond what the jobs need, after which something is wrong

DoneJob = Mapping[str, Any]  # a finished job: due, seconds, began, ended; times in seconds
Jobs = Sequence[DoneJob]
Hands = tuple[int, Sequence[str]]  # a worker: how many threads it has, and which queues it serves ([]: all)


@dataclass(frozen=True)
class Planned:
    """A job to come: when it is due, seconds after the start, and how long it takes."""

    due: float
    seconds: float
    queue: str = "default"
    priority: int = 0


def poisson_jobs(rate: float, demand: float, seconds: float, seed: int) -> list[Planned]:
    """Poisson arrivals of `rate` jobs per second, with exponential times of mean `demand`.

    The number of jobs and their mean time are exact: given their number, Poisson arrivals are uniform; the
    times are scaled. So a short schedule is as good a test of a formula as it can be.
    """
    source = random.Random(seed)
    count = round(rate * seconds)
    moments = sorted(source.uniform(0, seconds) for _ in range(count))
    times = [source.expovariate(1 / demand) for _ in range(count)]
    scale = demand * count / sum(times)
    return [Planned(due, scale * each) for due, each in zip(moments, times, strict=True)]


# ---- the experiments


def crews(threads: Sequence[int], rate: float, demand: float, seconds: float, seed: int) -> dict[int, Any]:
    """Run the same schedule on one worker after another, each with a different number of threads."""
    return {each: work(poisson_jobs(rate, demand, seconds, seed), [(each, [])]) for each in threads}


def burst(
    threads: int, rate: float, demand: float, seconds: float, jobs: int, at: float, seed: int
) -> list[dict[str, Any]]:
    """Run a steady load, with `jobs` more at one moment."""
    usual, more = poisson_jobs(rate, demand, seconds, seed), poisson_jobs(jobs, demand, 1, seed + 1)
    return work([*usual, *(Planned(at, each.seconds) for each in more)], [(threads, [])])


def flood(
    workers: Sequence[Hands], urgent: float, ordinary: float, demand: float, seconds: float, seed: int
) -> list[dict[str, Any]]:
    """Run `urgent` and `ordinary` jobs per second, each kind in a queue of its name."""
    urgent_ones = [
        Planned(each.due, each.seconds, "urgent", -10) for each in poisson_jobs(urgent, demand, seconds, seed)
    ]
    others = [
        Planned(each.due, each.seconds, "ordinary", 0)
        for each in poisson_jobs(ordinary, demand, seconds, seed + 1)
    ]
    return work(urgent_ones + others, workers)


# ---- jobqueue at work


class Board:
    """Where the jobs write down when they began, and how many seconds they took.

    They begin by the wall clock, as they are due by it: it may run faster than the monotonic clock, while
    it is being set right.
    """

    def __init__(self, wanted: int):
        self.times: dict[int, tuple[float, float]] = {}
        self.complete = threading.Event()
        self._wanted = wanted

    def note(self, number: int, began: float, took: float) -> None:
        self.times[number] = began, took
        if len(self.times) == self._wanted:
            self.complete.set()


_boards: list[Board] = []  # that of the current run


@job
@dataclass
class Nap:
    """A job that only waits, like one that fetches something from somebody else's server."""

    number: int
    seconds: float

    def perform(self) -> None:
        began, before = time.time(), time.monotonic()
        time.sleep(self.seconds)
        _boards[0].note(self.number, began, time.monotonic() - before)


def work(planned: Sequence[Planned], workers: Sequence[Hands]) -> list[dict[str, Any]]:
    """Have these workers perform these jobs; returns the jobs in the order in which they were due.

    Raises WorkbookError if they are not done in time. When it returns, or is interrupted, no worker is left.
    """
    planned = sorted(planned, key=lambda each: each.due)
    board = Board(len(planned))
    _boards[:] = [board]
    with (
        temporary_folder("workbook") as folder,
        closing(Queue(f"sqlite:///{folder}/q.db")) as queue,
    ):
        queue.create_tables()
        start = datetime.now(UTC) + timedelta(seconds=HEAD_START)
        _enqueue(queue, planned, start)
        threads = sum(hands for hands, _ in workers)
        needed = planned[-1].due + sum(each.seconds for each in planned) / threads
        with _running(queue, workers):
            if not board.complete.wait(HEAD_START + needed + JOBS_LATE_SECONDS):
                raise WorkbookError(
                    f"Only {len(board.times)} of {len(planned)} jobs were done in time. If each queue has"
                    " a worker, close whatever else is running on this machine, and run the cell again."
                )
    return [
        {
            "queue": each.queue,
            "due": round(each.due, 4),
            "seconds": round(each.seconds, 4),
            "began": round(began - start.timestamp(), 4),
            "ended": round(began - start.timestamp() + took, 4),
        }
        for number, each in enumerate(planned)
        for began, took in [board.times[number]]
    ]


def _enqueue(queue: Queue, planned: Sequence[Planned], start: datetime) -> None:
    """Enqueue all jobs beforehand, each with its `run_at`, so that this process can't delay any."""
    with queue.writer.begin() as connection:
        for number, each in enumerate(planned):
            queue.enqueue(
                Nap(number, each.seconds),
                run_at=start + timedelta(seconds=each.due),
                priority=each.priority,
                queue=each.queue,
                session=connection,
            )


@contextmanager
def _running(queue: Queue, workers: Sequence[Hands]) -> Iterator[None]:
    """Workers in threads of this process, stopped at the end. Each job is claimed alone, as slow ones are."""
    started = [
        Worker(queue, threads=threads, queues=queues or None, max_batch=1, stop_timeout=1.0)
        for threads, queues in workers
    ]
    loops = [threading.Thread(target=worker.run, name="worker", daemon=True) for worker in started]
    for loop in loops:
        loop.start()
    try:
        yield
    finally:
        for worker in started:
            worker.stop()
        for loop in loops:
            loop.join()


# ---- figures from the jobs


def waits(jobs: Jobs) -> list[float]:
    """Their pick-up latencies: seconds from when a job was due until it began."""
    return [each["began"] - each["due"] for each in jobs]


def backlog(jobs: Jobs, at: float) -> int:
    """How many jobs were due at that moment, and had not begun."""
    return sum(bool(each["due"] <= at < each["began"]) for each in jobs)


def busy(jobs: Jobs, seconds: float) -> float:
    """How many threads were busy on average, over the first `seconds` seconds."""
    spans = [(min(each["began"], seconds), min(each["ended"], seconds)) for each in jobs]
    return float(sum(ended - began for began, ended in spans)) / seconds


def none_free(jobs: Jobs, threads: int) -> int:
    """How many of the jobs found no free thread when they were due."""

    def there(moment: float) -> int:
        return sum(bool(each["due"] < moment < each["ended"]) for each in jobs)

    return sum(there(each["due"]) >= threads for each in jobs)


def drained(jobs: Jobs, since: float) -> float:
    """Seconds from `since` until no job waits for the first time."""
    moments = sorted(each["began"] for each in jobs if each["began"] > since)
    return float(next(moment for moment in moments if not backlog(jobs, moment))) - since


def begun(jobs: Jobs, queue: str, by: float) -> float:
    """Percentage of a queue's jobs that had begun by that moment."""
    ours = [bool(each["began"] <= by) for each in jobs if each["queue"] == queue]
    return 100 * sum(ours) / len(ours)


def of_queue(jobs: Jobs, queue: str) -> list[DoneJob]:
    """The jobs of one queue."""
    return [each for each in jobs if each["queue"] == queue]


def simulated(jobs: Jobs, threads: int) -> list[DoneJob]:
    """The same jobs if a queue took no time: each begins, in order of arrival, on the next free thread."""
    free = [0.0] * threads
    found: list[DoneJob] = []
    for each in jobs:
        began = max(each["due"], free[0])
        heapq.heapreplace(free, began + each["seconds"])
        found.append({**each, "began": began, "ended": began + each["seconds"]})
    return found
