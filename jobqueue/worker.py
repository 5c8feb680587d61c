"""The worker: claims jobs, has threads perform them, and settles how they went.

One thread, the one that calls run(), speaks to the database; the others perform. So the end of several jobs
and the claim of the next ones are one transaction, a hung job blocks nobody, and leases are renewed however
long a job takes.
"""

import logging
import os
import secrets
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from queue import Empty, SimpleQueue

from sqlalchemy.exc import DBAPIError

from jobqueue import store
from jobqueue.database import complaint
from jobqueue.errors import RunTimeExceeded
from jobqueue.meter import Meter
from jobqueue.performing import Outcome, Slot, perform, settle
from jobqueue.queue import Queue
from jobqueue.store import Claimed

logger = logging.getLogger("jobqueue")

POLL_INTERVAL = 0.05  # all in seconds
MAX_RUN_TIME = 4 * 3600.0  # as in Delayed Job
STOP_TIMEOUT = 10.0
RECONNECT_SECONDS = 1.0
LONGEST_WAIT = 0.5


class Worker:
    """Performs the jobs of a queue, `threads` of them at a time.

    `queues` limits it to the queues of these names. `poll_interval` is how often an idle worker looks for
    jobs, `max_run_time` how long one attempt may take, `stop_timeout` how long running jobs may go on after
    stop(): all in seconds. `say` is given the lines that Delayed Job's worker prints.
    """

    def __init__(
        self,
        queue: Queue,
        *,
        threads: int = 1,
        queues: Sequence[str] = (),
        poll_interval: float = POLL_INTERVAL,
        max_run_time: float = MAX_RUN_TIME,
        stop_timeout: float = STOP_TIMEOUT,
        say: Callable[[str], None] = logger.info,
    ):
        if threads < 1:
            raise ValueError(f"a worker needs at least one thread, not {threads}")
        self.queue = queue
        self.threads = threads
        self.queues = tuple(queues)
        self.poll_interval = poll_interval
        self.max_run_time = max_run_time
        self.stop_timeout = stop_timeout
        self.host = f"host:{socket.gethostname()} pid:{os.getpid()}"
        self.name = f"{self.host} {secrets.token_hex(4)}"  # containers share host names and pids
        self._say = say
        self._perform = partial(perform, queue, self.name)
        self._bell: SimpleQueue[None] = (
            SimpleQueue()
        )  # rung by what run() may wait for: a job's end, and stop()
        self._slots: list[Slot] = []
        self._outcomes: list[Outcome] = []  # performed, and not yet settled in the database
        self._stops = 0
        self._next_beat = 0.0
        self._meter = Meter(say)

    def work_off(self, limit: int = 1_000_000, *, now: datetime | None = None) -> tuple[int, int]:
        """Perform the jobs that are due, up to `limit`, in this thread; returns (succeeded, failed).

        `now` is the moment at which they are due and finished, for tests that don't wait. Nobody ends a hung
        job here, and nobody renews the lease of one that takes longer than it: run() does both.
        """
        self._beat(now or datetime.now(UTC))
        succeeded = failed = 0
        outcomes: list[Outcome] = []
        while True:
            moment = now or datetime.now(UTC)
            claimed = self._exchange(outcomes, min(1, limit - succeeded - failed), moment)
            if not claimed:
                return succeeded, failed
            try:
                outcomes = [self._perform(claimed[0])]
            except BaseException:  # Ctrl-C: not the job's fault
                with self.queue.writer.begin() as connection:
                    store.release(connection, self.name, claimed, moment)
                raise
            if outcomes[0].error is None:
                succeeded += 1
            else:
                failed += 1

    def run(self) -> None:
        """Perform jobs until stop() is called, from another thread or a signal handler.

        Then no more is claimed, what runs may go on for `stop_timeout` seconds, and the rest is given back
        with its attempt not counted. A second stop() gives it back at once. A database that goes away is
        waited for.
        """
        self._say(f"*** Starting job worker {self.host}")
        self._slots = [self._new_slot() for _ in range(self.threads)]
        wait = 0.0
        try:
            while not self._stops:
                self._collect(wait)
                wait = self._survive(self._turn)
        finally:
            self._finish_running()
            self._say(f"*** Exiting job worker {self.host}")

    def stop(self) -> None:
        """Ask run() to return. May be called from a signal handler; a second call means at once."""
        self._stops += 1
        self._bell.put(None)  # allowed in a signal handler

    # -- one turn of the loop

    def _turn(self) -> float:
        """Settle, beat, claim, start; returns how many seconds there is nothing to do unless a job ends."""
        now = datetime.now(UTC)
        self._end_hung_jobs()
        if time.monotonic() >= self._next_beat:
            self._beat(now)
        free = [slot for slot in self._slots if slot.job is None] if not self._stops else []
        claimed: list[Claimed] = []
        if self._outcomes or (free and self._is_due(now)):
            claimed = self._exchange(self._outcomes, len(free), now)
            self._outcomes = []
        for slot, job in zip(free, claimed, strict=False):
            slot.start(job, job.max_run_time or self.max_run_time)
        idle = len(claimed) < len(free)
        self._meter.report(idle=idle and len(free) - len(claimed) == self.threads)
        deadline = min((slot.deadline for slot in self._slots), default=float("inf"))
        until = min(deadline, self._next_beat) - time.monotonic()
        return max(0.0, min(until, self.poll_interval) if idle else until)

    def _collect(self, wait: float) -> None:
        """Wait until a job ends, stop() is called or `wait` seconds have passed; take all that has ended.

        Outcomes don't travel in the queue, but stay in their slots: Ctrl-C, at whatever moment, loses none.
        """
        with suppress(Empty):
            # A signal that arrives just before the wait begins does not end it: so no wait is long.
            self._bell.get(timeout=min(wait, LONGEST_WAIT))
            while True:
                self._bell.get_nowait()
        for slot in self._slots:
            if slot.outcome is not None:
                self._outcomes.append(slot.outcome)
                slot.free()

    def _exchange(self, outcomes: Sequence[Outcome], limit: int, now: datetime) -> list[Claimed]:
        """In one transaction, settle what was performed and claim up to `limit` jobs; returns these."""
        with self.queue.writer.begin() as connection:
            lost = settle(connection, self.name, outcomes, now)
            claimed = store.claim(connection, self.name, limit, now, self.queues) if limit > 0 else []
        for outcome in outcomes:
            job, error = outcome.job, outcome.error
            self._meter.count(failed=error is not None)
            if outcome in lost:
                logger.warning("job %d is somebody else's by now: this worker had lost its lease", job.id)
            elif error is not None:
                reason = error.strip().rpartition("\n")[2]
                of = f"attempt {job.attempts} of {job.max_attempts}"
                logger.warning("job %d failed: %s (%s)", job.id, reason, of)
        return claimed

    def _is_due(self, now: datetime) -> bool:
        """Whether a job waits: a read, so that idle workers stay away from SQLite's write lock."""
        with self.queue.engine.connect() as connection:
            due = store.next_run_at(connection, self.queues)
        return due is not None and due <= now

    def _beat(self, now: datetime) -> None:
        """Three times a lease: renew what this worker holds, free what dead workers held."""
        held = [slot.job for slot in self._slots if slot.job is not None] + [
            outcome.job for outcome in self._outcomes
        ]
        with self.queue.writer.begin() as connection:
            if held:
                store.renew(connection, self.name, held, now)
            if freed := store.reap(connection, self.queue.lease, now):
                logger.warning(
                    "freed %d jobs of workers that were not heard of for %s", freed, self.queue.lease
                )
        self._next_beat = time.monotonic() + self.queue.lease.total_seconds() / 3

    def _end_hung_jobs(self) -> None:
        """Fail the jobs that are over their max_run_time, and put new threads in the place of theirs."""
        now = time.monotonic()
        for index, slot in enumerate(self._slots):
            if slot.job is not None and slot.outcome is None and slot.deadline <= now:
                limit = slot.job.max_run_time or self.max_run_time
                error = f"{RunTimeExceeded.__name__}: {RunTimeExceeded.__doc__} ({limit:g} seconds)"
                self._outcomes.append(Outcome(slot.job, error))
                slot.end()
                self._slots[index] = self._new_slot()

    def _new_slot(self) -> Slot:
        return Slot(self._perform, done=partial(self._bell.put, None))

    # -- around the loop

    def _survive(self, turn: Callable[[], float]) -> float:
        """Take a turn; when the database is away, say so and try again in a second. What was performed is not
        forgotten.
        """
        try:
            return turn()
        except DBAPIError as error:
            logger.error("the database did not answer, trying again: %s", complaint(error))
            return RECONNECT_SECONDS

    def _finish_running(self) -> None:
        """Wait for what runs, settle it, and give back the rest."""
        self._stops = max(self._stops, 1)  # run() also ends by an exception, such as Ctrl-C without a handler
        deadline = time.monotonic() + self.stop_timeout
        while self._stops < 2 and time.monotonic() < deadline and any(slot.job for slot in self._slots):
            self._collect(max(0.0, deadline - time.monotonic()))
            self._survive(self._turn)
        self._collect(0.0)
        unfinished = [slot.job for slot in self._slots if slot.job is not None]
        now = datetime.now(UTC)
        try:
            self._exchange(self._outcomes, 0, now)
            if unfinished:
                with self.queue.writer.begin() as connection:
                    store.release(connection, self.name, unfinished, now)
                self._say(f"gave back {len(unfinished)} jobs that had not finished")
        except DBAPIError as error:
            logger.error("the database did not answer; jobs come back with their lease: %s", complaint(error))
        for slot in self._slots:
            slot.end()
        self._meter.report(idle=True)
