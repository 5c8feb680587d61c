"""Chapter 8's laboratory: a queue with workers to kill, and what became of the jobs."""

import logging
import os
import random
import re
import signal
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

import psutil
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from jobqueue import Job, Queue
from jobqueue.ledger import BEATS
from loadtests.folders import temporary_folder
from loadtests.servers.processes import Process
from workbook.chapter08_jobs import GO_ON, Base, Payment, SendMail, noted
from workbook.session import NOTEBOOKS, WorkbookError
from workbook.words import in_words

WORKER_SECONDS = 30.0
WATCH_SECONDS = 0.01
BEFORE_THE_KILL = 1.2  # seconds shown in the picture
NOT_OPEN = (
    "No worker has the job: run the cell that starts two workers (with recorded=False, if the chapter shows"
    " recordings), and then this one again."
)

QUEUE_LOG = logging.getLogger("jobqueue")


class Lab:
    """A queue in its own folder, and worker processes; both end with the block, or with the kernel.

    Nothing exists before open(), or `with Lab(lease=2, workers=1)`. Times are in seconds.
    """

    def __init__(self, lease: float = 30.0, workers: int = 0):
        self.lease = lease
        self._wanted = workers
        self._exits = ExitStack()
        self._workers: list[Process] = []
        self._letters: dict[int, str] = {}  # of workers, by process id, in the order in which they were seen
        self._beats: dict[tuple[str, float], None] = {}

    def open(self) -> Self:
        """Create an empty queue, and start the workers."""
        self.close()
        # Failures and dead workers are expected here: keep jobqueue's log of them out of the notebook.
        self._exits.callback(QUEUE_LOG.setLevel, QUEUE_LOG.level)
        QUEUE_LOG.setLevel(logging.CRITICAL)
        random.seed(7)  # a tenth of each wait is random: here the same in each run
        try:
            self.folder = str(self._exits.enter_context(temporary_folder("workbook")))
            self.url = f"sqlite:///{self.folder}/jobs.db"
            self.queue = Queue(self.url, lease=timedelta(seconds=self.lease))
            self._exits.callback(self.queue.close)
            self.queue.create_tables()
            Base.metadata.create_all(self.queue.engine)
            self.hire(self._wanted)
        except BaseException:
            self.close()
            raise
        return self

    def close(self) -> None:
        """End the workers, and remove the queue. Safe to call twice."""
        for worker in self._workers:
            worker.ask_to_stop()  # all at once; then each is waited for
        self._exits.close()
        self._workers, self._letters, self._beats = [], {}, {}

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(self, *_: object) -> None:
        self.close()

    def hire(self, count: int) -> list[Process]:
        """Start `count` more workers; returns them once they are running."""
        work = "from workbook.chapter08_jobs import work; work()"
        command = [sys.executable, "-c", work, self.url, str(self.lease)]
        path = os.pathsep.join(filter(None, (str(NOTEBOOKS), os.environ.get("PYTHONPATH"))))
        new = []
        for _ in range(count):
            log = Path(self.folder) / f"worker-{len(self._workers) + 1}.log"
            worker = Process("worker", command, log, {"PYTHONPATH": path})
            new.append(self._exits.enter_context(worker))
            self._workers.append(worker)
        for worker in new:
            worker.wait_for(r"Starting job worker", WORKER_SECONDS)
        return new

    def wait(self, condition: Callable[[], object], what: str, timeout: float = WORKER_SECONDS) -> None:
        """Wait until a condition holds. Raises WorkbookError after `timeout` seconds, and closes."""
        deadline = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > deadline:
                said = "\n".join(worker.output() for worker in self._workers)[-1500:]
                self.close()
                raise WorkbookError(
                    f"Waited {timeout:.0f} s for {what}, in vain. Run the chapter's cells again"
                    f" from the one that starts the workers. The workers said:\n{said}"
                )
            time.sleep(WATCH_SECONDS)

    def unfinished(self) -> list[Job]:
        """The jobs that wait or run."""
        return [job for job in self.queue.jobs() if job.failed_at is None]

    def happened(self, name: str, what: str) -> list[dict[str, Any]]:
        """What the jobs have noted under this name."""
        return [each for each in noted(self.folder) if (each["name"], each["what"]) == (name, what)]

    def payments(self, order: str) -> int:
        """How many payments of this order are in the database."""
        with Session(self.queue.engine) as session:
            return session.scalars(select(func.count()).where(Payment.order == order)).one()

    # -- by hand: a long job, and the worker that has it

    def set_to_work(self, workers: int, lease: float = 3.0) -> list[dict[str, Any]]:
        """Open, and have a worker begin a job that takes for ever; returns four looks at the job's row."""
        self.lease, self._wanted = lease, workers
        self.open()
        began = time.time()
        self.queue.enqueue(SendMail(self.folder, "ada", first="takes long"))
        self.wait(lambda: self.happened("ada", "mail"), "a worker to begin")
        looks = []
        for _ in range(4):
            time.sleep(0.23 * lease)
            (row,) = self.queue.jobs()
            assert row.locked_at and row.locked_by
            now = time.time()
            look = {
                "at": now - began,
                "locked by": f"worker {self._letter(row)}",
                "attempts": row.attempts,
                "silent for": now - row.locked_at.timestamp(),
            }
            print("  ".join(f"{key}: {_said(value)}" for key, value in look.items()))
            looks.append(look)
        return looks

    def at_work(self, watch: float = BEFORE_THE_KILL) -> int:
        """Watch for some seconds; returns the process id of the worker that has the job, between two of its
        heartbeats: a process that is stopped while it writes would keep SQLite's lock from all others.
        """
        if self._workers:
            until = time.monotonic() + watch
            row, beat, last_beat = self._look(), None, None
            while (now := time.monotonic()) < until or (beat == last_beat and now < until + self.lease):
                time.sleep(WATCH_SECONDS)
                row, last_beat = self._look(), beat
                beat = row and row.locked_at
            if row and row.locked_by:
                time.sleep(self.lease / BEATS / 2)
                return _pid(row)
        raise WorkbookError(NOT_OPEN)

    def afterwards(self, number: int) -> dict[str, Any]:
        """Watch from signal `number` until the job is done; returns what happened. Ends all workers.

        Times are in seconds since the signal. A worker that was only stopped is continued at the end, and
        what it logs is printed. Raises WorkbookError if the job does not come back.
        """
        if not self._workers:
            raise WorkbookError(NOT_OPEN)
        killed = time.time()
        self.wait(lambda: not self._look(), "the job to come back", 10 * self.lease + WORKER_SECONDS)
        begun, done = self.happened("ada", "begun"), self.happened("ada", "done")
        ends = {each["pid"]: each["at"] - killed for each in done}
        story = {
            "lease": self.lease,
            "signal": signal.Signals(number).name,
            "beats": [[letter, at - killed] for letter, at in self._beats],
            "attempts": [
                {
                    "worker": self._letters.setdefault(each["pid"], "?"),
                    "begun": each["at"] - killed,
                    "ended": ends.get(each["pid"]),
                }
                for each in begun
            ],
            "mails": [each["at"] - killed for each in self.happened("ada", "mail")],
        }
        self._wake_the_stopped()
        self.close()
        return story

    def _wake_the_stopped(self) -> None:
        """Continue the workers that SIGSTOP has stopped, and print what they log when their attempt ends."""
        for worker in self._workers:
            stopped = [each for each in worker.tree() if each.status() == psutil.STATUS_STOPPED]
            if not stopped:
                continue
            (Path(self.folder) / GO_ON).touch()
            for process in stopped:
                process.resume()
            said = worker.wait_for(r"job \d+ was not settled.*", WORKER_SECONDS).group()
            letter = next(self._letters[each.pid] for each in stopped if each.pid in self._letters)
            print(f"worker {letter}, which goes on after SIGCONT, says: {said}")

    def _look(self) -> Job | None:
        """The job's row as it is now; notes its heartbeat."""
        rows = self.queue.jobs(limit=1)
        if not rows:
            return None
        if rows[0].locked_at and rows[0].locked_by:
            self._beats[self._letter(rows[0]), rows[0].locked_at.timestamp()] = None
        return rows[0]

    def _letter(self, row: Job) -> str:
        return self._letters.setdefault(_pid(row), "ABCDEFGH"[len(self._letters)])


def _pid(row: Job) -> int:
    """The process id of the worker that has the job, from the worker's name."""
    found = re.search(r"pid:(\d+)", row.locked_by or "")
    assert found
    return int(found[1])


def _said(value: Any) -> str:
    return in_words(value) if isinstance(value, float) else str(value)
