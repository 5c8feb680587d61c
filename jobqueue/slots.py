"""The threads that perform jobs, and how many jobs each is given at a time."""

import threading
import time
from collections import deque
from collections.abc import Callable, MutableSequence, Sequence
from math import inf
from queue import SimpleQueue

from jobqueue.lease import Claimed, Outcome

MOST_AT_ONCE = 500
BATCH_SECONDS = 0.02  # a batch is as many jobs as take about this long


class BatchSize:
    """How many jobs to claim at once for a thread: many if they take microseconds, one if seconds."""

    def __init__(self, most: int = MOST_AT_ONCE):
        self.size = 1
        self._most = most

    def learn(self, jobs: int, seconds: float) -> None:
        """Learn from a batch's duration: shrink at once, grow step by step."""
        fit = int(BATCH_SECONDS * jobs / max(seconds, 1e-9))
        grown = self.size * 4 if jobs >= self.size else self.size
        self.size = max(1, min(fit, grown, self._most))

    def reset(self) -> None:
        self.size = 1


def deal(due: Sequence[Claimed], slots: int) -> list[list[Claimed]]:
    """Deal jobs out to `slots` slots; returns each slot's jobs.

    A job that shares no slot gets one to itself; the others share the rest. It ends before the first job that
    would get none.
    """
    alone: list[list[Claimed]] = []
    sharing: list[Claimed] = []
    for job in due:
        if len(alone) + bool(sharing) == slots and not (sharing and job.shares):
            break
        if job.shares:
            sharing.append(job)
        else:
            alone.append([job])
    left = slots - len(alone)
    return alone + [hand for n in range(left) if (hand := sharing[n::left])]


class Slot:
    """A thread that performs the jobs it is given, one after another, and calls `done` when all have ended.

    A thread can't be stopped from outside: one whose job hangs is abandoned, and another one takes its place.
    `notice`: see Worker.running. Everything but the work happens under a lock.
    """

    def __init__(
        self,
        work: Callable[[Claimed], Outcome],
        done: Callable[[], None],
        max_run_time: float,
        notice: MutableSequence[float],
    ):
        self._work = work
        self._done = done
        self._max_run_time = max_run_time
        self._notice = notice
        self._lock = threading.Lock()
        self._wake: SimpleQueue[bool] = SimpleQueue()
        self._waiting: deque[Claimed] = deque()
        self._current: Claimed | None = None
        self._abandoned = True  # it has no thread
        self._outcomes: list[Outcome] = []
        self._given = 0
        self._given_at = self._ended_at = 0.0  # on the monotonic clock, in seconds
        self.go_on()

    @property
    def free(self) -> bool:
        """Whether it has nothing to do, and all outcomes have been taken."""
        with self._lock:
            return not (self._waiting or self._current or self._outcomes or self._abandoned)

    def start(self, jobs: Sequence[Claimed]) -> None:
        """Start performing these jobs."""
        with self._lock:
            self._waiting.extend(jobs)
            self._given, self._given_at = len(jobs), time.monotonic()
        self._wake.put(True)

    def held(self) -> list[Claimed]:
        """The jobs that have not ended, or whose outcomes have not been taken."""
        with self._lock:
            current = [self._current] if self._current else []
            return [*current, *self._waiting, *(outcome.job for outcome in self._outcomes)]

    def take_outcomes(self, batch: BatchSize) -> list[Outcome]:
        """Take the outcomes of jobs that have ended; once all have, `batch` learns how long they took."""
        with self._lock:
            taken, self._outcomes = self._outcomes, []
            if taken and not self._current and not self._waiting:
                batch.learn(self._given, self._ended_at - self._given_at)
        return taken

    def take_waiting(self, patience: float) -> list[Claimed]:
        """Take back the jobs that have not begun, if those ahead take longer than `patience` seconds."""
        with self._lock:
            if not self._waiting or time.monotonic() - self._given_at < patience:
                return []
            taken = list(self._waiting)
            self._waiting.clear()
            self._given -= len(taken)
        return taken

    def deadline(self, patience: float = inf) -> float:
        """When the running job will have run too long, on the monotonic clock: by its own limit, or by
        `patience` if others wait behind it. Infinity if no job is running.
        """
        with self._lock:
            return min(self._notice[1], self._given_at + patience) if self._waiting else self._notice[1]

    def abandon(self) -> Claimed | None:
        """Take away the running job if it has run too long; returns it, or None. Its thread ends with it."""
        with self._lock:
            if self._current is None or time.monotonic() < self._notice[1]:
                return None
            job, self._current, self._abandoned = self._current, None, True
        return job

    def go_on(self) -> None:
        """Start a thread, if it has none. After abandon(), not before that job's outcome is settled: if it
        holds SQLite's write lock, nothing can be settled, and the supervisor must see that it hangs.
        """
        with self._lock:
            if self._abandoned:
                threading.Thread(target=self._loop, name="jobqueue", daemon=True).start()  # or it fails
                self._notify(None)
                self._abandoned = False
                self._wake.put(True)

    def end(self) -> None:
        """Let the thread end once it has nothing left to do."""
        self._wake.put(False)

    def _loop(self) -> None:
        while self._wake.get():
            while job := self._begin():
                if not self._end(self._work(job)):
                    return  # it was abandoned
            self._done()

    def _begin(self) -> Claimed | None:
        with self._lock:
            self._current = self._waiting.popleft() if self._waiting else None
            self._notify(self._current)
            return self._current

    def _notify(self, job: Claimed | None) -> None:
        """Note in public which job runs, and when it will have run too long."""
        if job is None:
            self._notice[1] = inf
        else:
            self._notice[0] = job.id
            self._notice[1] = time.monotonic() + (job.max_run_time or self._max_run_time)

    def _end(self, outcome: Outcome) -> bool:
        with self._lock:
            if self._current is not outcome.job:
                return False
            self._ended_at = time.monotonic()
            self._outcomes.append(outcome)
            self._current = None
            return True
