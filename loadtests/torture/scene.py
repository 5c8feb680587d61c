"""A scene: a queue full of jobs, and workers at it, which a trial strikes."""

import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from jobqueue import Queue
from loadtests.servers.processes import Process
from loadtests.torture.evidence import Fates, count
from loadtests.torture.jobs import EVIDENCE, Base, Leave, Write

GLANCE_SECONDS = 0.02
TRIAL_SECONDS = 180.0  # for a trial
STALLED_SECONDS = 60.0  # without a job's end, though one is due: work does not go on
COMMAND = (sys.executable, "-m", "jobqueue", "work", "--import", "loadtests.torture.jobs")


class Scene:
    """`jobs` jobs of a few hundredths of a second each, half of which write to the database; and workers."""

    def __init__(self, url: str, folder: Path, jobs: int, seed: int):
        self.queue = Queue(url)
        self.random = random.Random(seed)
        self.evidence = folder / "evidence"
        self.workers: list[Process] = []
        self.url = url
        self._folder = folder
        self._until = time.monotonic() + TRIAL_SECONDS
        # Since when a job has been due and none has ended; and the longest such time since the first harm.
        self._since, self._pause = time.monotonic(), 0.0
        self.struck = 0  # how often the harm was done
        self._stack = ExitStack()
        self._done = self._read = self._last = 0
        self.plain, self.writing = range(jobs // 2), range(jobs // 2, jobs)

    def __enter__(self) -> "Scene":
        self.queue.create_tables()
        Base.metadata.create_all(self.queue.engine)
        steps = self.random.randrange
        mixed = [Leave(n, steps(4)) for n in self.plain] + [Write(n, steps(4)) for n in self.writing]
        self.random.shuffle(mixed)
        self.queue.enqueue_many(mixed)
        self._last = max(job.id for job in self.queue.jobs(len(mixed)))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        self.queue.close()

    def start(self, *options: str, url: str = "", **environment: str) -> Process:
        """Start `jobqueue work` with these options; `url` is another way to the same database."""
        if not self.workers:
            self._since = time.monotonic()
        log = self._folder / f"worker-{len(list(self._folder.glob('worker-*')))}.log"
        command = [*COMMAND, "--database", url or self.url, *options]
        named = {EVIDENCE: str(self.evidence), **environment}
        self.workers.append(self._stack.enter_context(Process("worker", command, log, named)))
        return self.workers[-1]

    def replace(self, worker: Process, *options: str) -> None:
        """Start another worker for one that has been killed."""
        self.workers.remove(worker)
        worker.stop()
        self.start(*options)

    def done(self) -> int:
        """How many attempts have come to their end so far."""
        ends: list[float] = []
        if self.evidence.exists():
            with self.evidence.open() as file:
                file.seek(self._read)
                lines = file.read()
            whole = lines[: lines.rfind("\n") + 1]
            self._read += len(whole)
            ends = [float(line.split()[3]) for line in whole.splitlines() if " end " in line]
        self._done += len(ends)
        for moment in ends:
            self._pause_until(moment)
        if not (ends or self.is_any_due()):
            self._since = time.monotonic()
        return self._done

    def _pause_until(self, moment: float) -> None:
        if self.struck:
            self._pause = max(self._pause, moment - self._since)
        self._since = max(self._since, moment)

    def is_stalled(self) -> bool:
        """Whether jobs have been due for so long without an attempt's end that none will come."""
        self.done()
        return time.monotonic() - self._since > STALLED_SECONDS

    def wait(self, condition: Callable[[], object]) -> bool:
        """Wait until the condition holds; returns False if work stalls before, or time is over."""
        while not condition():
            if time.monotonic() > self._until or self.is_stalled():
                return False
            time.sleep(GLANCE_SECONDS)
        return True

    def last(self, seconds: float) -> None:
        """Let the harm last so long."""
        until = time.monotonic() + seconds
        self.wait(lambda: time.monotonic() > until)

    def spread(self, times: int) -> Iterator[int]:
        """Yield 1, 2 ... `times`, spread evenly over the jobs, as far as they get in time."""
        jobs = len(self.plain) + len(self.writing)
        while self.struck < times:
            if not self.wait(lambda: self.done() * (times + 1) >= jobs * (self.struck + 1)):
                return
            self.struck += 1
            yield self.struck

    def finish(self) -> None:
        """Wait until none of its jobs is left but those that failed for good, as far as it comes to that."""
        jobs = self.queue.tables.jobs.c
        self.wait(lambda: not self._number(self._ours, jobs.failed_at.is_(None)))

    def set_aside(self) -> int:
        """How many of the jobs that a trial has added have failed for good."""
        jobs = self.queue.tables.jobs.c
        return self._number(jobs.id > self._last, jobs.failed_at.is_not(None))

    def count(self) -> Fates:
        """What became of the jobs, once the workers are gone."""
        if stalled := self.is_stalled():
            self._pause_until(time.monotonic())
        self._stack.close()
        return count(self.queue, self.evidence, self.plain, self.writing)._replace(
            pause=self._pause, struck=self.struck, stalled=stalled
        )

    @property
    def _ours(self) -> sa.ColumnElement[bool]:
        return self.queue.tables.jobs.c.id <= self._last

    def is_any_due(self) -> bool:
        """Whether a job could run, or is held by a worker that may have died: not if all left wait to be
        tried again.
        """
        jobs = self.queue.tables.jobs.c
        now = jobs.run_at <= datetime.now(UTC)
        which = self._ours, jobs.failed_at.is_(None), sa.or_(jobs.locked_by.is_not(None), now)
        return self._number(*which) != 0

    def _number(self, *which: sa.ColumnElement[bool]) -> int:
        """How many jobs are such; -1 while the database can't be asked."""
        try:
            with self.queue.engine.connect() as connection:
                return connection.scalars(sa.select(sa.func.count()).where(*which)).one()
        except DBAPIError:
            return -1
