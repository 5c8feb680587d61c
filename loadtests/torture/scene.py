"""A scene: a queue full of jobs, and workers at it, which a trial strikes."""

import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from jobqueue import Queue
from loadtests.servers.processes import Process
from loadtests.torture.evidence import Fates, count
from loadtests.torture.jobs import EVIDENCE, Base, Leave, Write

GLANCE_SECONDS = 0.02
TRIAL_SECONDS = 180.0  # for a trial
STALLED_SECONDS = 60.0  # without a job's end: work does not go on
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
        self._last_end = time.monotonic()
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
        if self.evidence.exists():
            with self.evidence.open() as file:
                file.seek(self._read)
                lines = file.read()
                whole = lines[: lines.rfind("\n") + 1]
                self._read += len(whole)
                if ended := whole.count(" end "):
                    self._done += ended
                    self._last_end = time.monotonic()
        return self._done

    def is_stalled(self) -> bool:
        """Whether no attempt has come to its end for so long that none will."""
        self.done()
        return time.monotonic() - self._last_end > STALLED_SECONDS

    def wait(self, condition: Callable[[], object]) -> bool:
        """Wait until the condition holds; returns False if work stalls before, or time is over."""
        while not condition():
            if time.monotonic() > self._until or self.is_stalled():
                return False
            time.sleep(GLANCE_SECONDS)
        return True

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
        self.wait(lambda: not self._number(jobs.id <= self._last, jobs.failed_at.is_(None)))

    def set_aside(self) -> int:
        """How many of the jobs that a trial has added have failed for good."""
        jobs = self.queue.tables.jobs.c
        return self._number(jobs.id > self._last, jobs.failed_at.is_not(None))

    def count(self) -> Fates:
        """What became of the jobs, once the workers are gone."""
        stalled = self.is_stalled()
        self._stack.close()
        return count(self.queue, self.evidence, self.plain, self.writing)._replace(
            struck=self.struck, stalled=stalled
        )

    def _number(self, *which: sa.ColumnElement[bool]) -> int:
        """How many jobs are such; -1 while the database can't be asked."""
        try:
            with self.queue.engine.connect() as connection:
                return connection.scalars(sa.select(sa.func.count()).where(*which)).one()
        except DBAPIError:
            return -1
