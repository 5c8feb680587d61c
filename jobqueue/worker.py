"""The worker: claims jobs, has threads perform them, and settles how they went.

One thread, the one that calls run(), speaks to the database; the others perform. So the end of many jobs
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

from jobqueue import presence, store
from jobqueue.database import complaint
from jobqueue.direct import Direct, Kept
from jobqueue.errors import RunTimeExceeded
from jobqueue.meter import Meter
from jobqueue.performing import Outcome, perform, settle
from jobqueue.queue import Queue
from jobqueue.slots import MOST_AT_ONCE, BatchSize, Slot, deal
from jobqueue.store import Claimed
from jobqueue.wakeup import RECONNECT_SECONDS, Watcher

logger = logging.getLogger("jobqueue")

POLL_INTERVAL = 1.0  # all in seconds
MAX_RUN_TIME = 4 * 3600.0  # as in Delayed Job
STOP_TIMEOUT = 10.0
LONGEST_WAIT = 0.5
TELL_INTERVAL = 1.0
PATIENCE = 0.05


class Worker:
    """Performs the jobs of a queue, `threads` of them at a time.

    `queues` limits it to the queues of these names. `poll_interval` is how often an idle worker looks for
    jobs that it was not told of, `max_run_time` how long one attempt may take, `stop_timeout` how long
    running jobs may go on after stop(): all in seconds. `max_batch` is how many short jobs it claims at once
    for a thread, at most. `say` is given the lines that Delayed Job's worker prints. `token` tells this
    worker from others of the same host and pid: containers share both.
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
        max_batch: int = MOST_AT_ONCE,
        token: str | None = None,
        say: Callable[[str], None] = logger.info,
    ):
        if threads < 1:
            raise ValueError(f"a worker needs at least one thread, not {threads}")
        if max_batch < 1:
            raise ValueError(f"a batch is at least one job, not {max_batch}")
        self.queue = queue
        self.threads = threads
        self.queues = tuple(queues)
        self.poll_interval = poll_interval
        self.max_run_time = max_run_time
        self.stop_timeout = stop_timeout
        self.host = f"host:{socket.gethostname()} pid:{os.getpid()}"
        self.name = f"{self.host} {token or secrets.token_hex(4)}"
        self._me = presence.Self(
            self.name,
            threads=self.threads,
            queues=",".join(self.queues),
            lease=self.queue.lease.total_seconds(),
            max_run_time=self.max_run_time,
            started_at=datetime.now(UTC),
        )
        self._say = say
        self._perform = partial(perform, queue, self.name)
        self._writing = Kept(queue.writer)
        self._reading = Kept(queue.engine)
        self._bell: SimpleQueue[None] = SimpleQueue()  # rung by all that run() may wait for
        self._ring = partial(self._bell.put, None)  # allowed in a signal handler
        self._slots: list[Slot] = []
        self._batch = BatchSize(max_batch)
        self._outcomes: list[Outcome] = []  # performed, and not yet settled in the database
        self._more = True  # whether there was more than the last claim could take
        self._stops = 0
        self._next_beat = self._next_tell = 0.0
        self._meter = Meter(say)
        self._tally = presence.Tally()

    def work_off(self, limit: int = 1_000_000, *, now: datetime | None = None) -> tuple[int, int]:
        """Perform the jobs that are due, up to `limit`, in this thread; returns (succeeded, failed).

        `now` is the moment at which they are due and finished, for tests that don't wait. Nobody ends a hung
        job here, and nobody renews the lease of one that takes longer than it: run() does both.
        """
        succeeded = failed = 0
        outcomes: list[Outcome] = []
        self._reap(now or datetime.now(UTC))
        try:
            while True:
                moment = now or datetime.now(UTC)
                hands = self._exchange(outcomes, min(1, limit - succeeded - failed), moment)
                if not hands:
                    return succeeded, failed
                try:
                    outcomes = [self._perform(hands[0][0])]
                except BaseException:  # Ctrl-C: not the job's fault
                    with self._writing.begin() as connection:
                        store.release(connection, self.name, hands[0], moment)
                    raise
                if outcomes[0].error is None:
                    succeeded += 1
                else:
                    failed += 1
        finally:
            with suppress(DBAPIError), self._writing.begin() as connection:
                self._leave(connection, now or datetime.now(UTC))
            self._told()
            self._writing.close()

    def run(self) -> None:
        """Perform jobs until stop() is called, from another thread or a signal handler.

        Then no more is claimed, what runs may go on for `stop_timeout` seconds, and the rest is given back
        with its attempt not counted. A second stop() gives it back at once. A database that goes away is
        waited for.
        """
        self._say(f"*** Starting job worker {self.host}")
        self._slots = [self._new_slot() for _ in range(self.threads)]
        self._watcher = Watcher(self.queue, self._ring)
        wait = 0.0
        try:
            while not self._stops:
                self._collect(wait)
                wait = self._survive(self._turn)
        finally:
            self._watcher.end()
            self._finish_running()
            self._writing.close()
            self._reading.close()
            self._say(f"*** Exiting job worker {self.host}")

    def stop(self) -> None:
        """Ask run() to return. May be called from a signal handler; a second call means at once."""
        self._stops += 1
        self._ring()

    # -- one turn of the loop

    def _turn(self) -> float:
        """Settle, beat, claim, start; returns how many seconds to wait unless the bell rings."""
        now = datetime.now(UTC)
        self._end_hung_jobs()
        self._give_back_what_waits(now)
        if time.monotonic() >= self._next_beat:
            self._beat(now)
        free = [slot for slot in self._slots if slot.free] if not self._stops else []
        # A look is a read, so that idle workers stay away from SQLite's write lock.
        look = bool(free) and not self._outcomes and not self._more
        due_in = self._due_in(now) if look else 0.0
        hands: list[list[Claimed]] = []
        if self._outcomes or (free and due_in <= 0):
            hands = self._exchange(self._outcomes, len(free), now)
            self._outcomes = []
            for slot, jobs in zip(free, hands, strict=False):
                slot.start(jobs)
        self._meter.report(idle=not hands and len(free) == self.threads)
        return self._wait(len(hands) < len(free), look, due_in, bool(hands))

    def _wait(self, idle: bool, looked: bool, due_in: float, claimed: bool) -> float:
        """How many seconds there is nothing to do unless the bell rings."""
        until = [self._next_beat]
        until += [slot.deadline(self.max_run_time, PATIENCE) for slot in self._slots]
        if self._tally:
            until.append(self._next_tell)
        wait = min(until) - time.monotonic()
        if idle and (claimed or not looked):
            return 0.0  # there is nothing left that is due: look when the next one will be
        if idle:
            # What is due, and could not be claimed, is about to be another worker's.
            wait = min(wait, due_in if due_in > 0 else self.poll_interval, self.poll_interval)
        return max(0.0, wait)

    def _collect(self, wait: float) -> None:
        """Wait until the bell rings or `wait` seconds have passed; take the outcomes of all that has ended.

        Outcomes don't travel in the queue, but stay in their slots: Ctrl-C, at whatever moment, loses none.
        """
        with suppress(Empty):
            # A signal that arrives just before the wait begins does not end it: so no wait is long.
            self._bell.get(timeout=min(wait, LONGEST_WAIT))
            while True:
                self._bell.get_nowait()
        for slot in self._slots:
            self._outcomes += slot.take_outcomes(self._batch)

    def _exchange(self, outcomes: Sequence[Outcome], slots: int, now: datetime) -> list[list[Claimed]]:
        """In one transaction, settle what was performed and claim jobs for so many slots; returns for each
        slot its jobs.
        """
        limit = slots * self._batch.size
        tell = bool(self._tally) and time.monotonic() >= self._next_tell
        with self._writing.begin() as connection:
            lost = settle(connection, self.name, outcomes, now)
            claimed = self._claim(connection, limit, now) if slots else []
            hands, rest = deal(claimed, slots)
            if rest:
                store.release(connection, self.name, rest, now)
                self._batch.reset()
            if tell:
                presence.be_seen(connection, self._me, self._tally, now)
        if tell:
            self._told()
        if slots:
            self._more = len(claimed) == limit
        for hand in hands:
            for job in hand:
                self._tally.count_wait((now - job.run_at).total_seconds())
        self._count(outcomes, lost)
        return hands

    def _claim(self, connection: Direct, limit: int, now: datetime) -> list[Claimed]:
        together = self._batch.size > 1
        return store.claim(connection, self.name, limit, now, self.queues, batch=together)

    def _count(self, outcomes: Sequence[Outcome], lost: Sequence[Outcome]) -> None:
        failures = [outcome for outcome in outcomes if outcome.error is not None]
        self._meter.count(len(outcomes), len(failures))
        self._tally.failed += len(failures)
        self._tally.succeeded += len(outcomes) - len(failures)
        for job, error, _ in failures:
            reason = str(error).strip().rpartition("\n")[2]
            of = f"attempt {job.attempts} of {job.max_attempts}"
            logger.warning("job %d failed: %s (%s)", job.id, reason, of)
        for outcome in lost:
            id = outcome.job.id
            logger.warning("job %d is somebody else's by now: this worker had lost its lease", id)

    def _due_in(self, now: datetime) -> float:
        """In how many seconds the next waiting job is due."""
        with self._reading.begin() as connection:
            due = store.next_run_at(connection, self.queues)
        return (due - now).total_seconds() if due else float("inf")

    def _beat(self, now: datetime) -> None:
        """Three times a lease: renew what this worker holds, free what dead workers held."""
        held = [job for slot in self._slots for job in slot.held()] + [o.job for o in self._outcomes]
        with self._writing.begin() as connection:
            store.renew(connection, self.name, held, now)
            presence.be_seen(connection, self._me, self._tally, now)
        self._told()
        self._reap(now)
        self._next_beat = time.monotonic() + self.queue.lease.total_seconds() / 3
        if self._watcher.is_dead():
            self._watcher.end()
            self._watcher = Watcher(self.queue, self._ring)

    def _reap(self, now: datetime) -> None:
        with self._writing.begin() as connection:
            freed = store.reap(connection, self.queue.lease, now)
            presence.forget_the_silent(connection, self.queue.lease, now)
        if freed:
            logger.warning("freed %d jobs of workers that were not heard of for %s", freed, self.queue.lease)

    def _leave(self, connection: Direct, now: datetime) -> None:
        presence.be_seen(connection, self._me, self._tally, now)
        presence.leave(connection, self.name, now)

    def _told(self) -> None:
        self._tally = presence.Tally()
        self._next_tell = time.monotonic() + TELL_INTERVAL

    def _end_hung_jobs(self) -> None:
        """Fail the jobs that are over their max_run_time, and put new threads in the place of theirs."""
        for index, slot in enumerate(self._slots):
            if slot.deadline(self.max_run_time) <= time.monotonic() and (hung := slot.abandon()):
                limit = hung.max_run_time or self.max_run_time
                error = f"{RunTimeExceeded.__name__}: {RunTimeExceeded.__doc__} ({limit:g} seconds)"
                self._outcomes += [*slot.take_outcomes(self._batch), Outcome(hung, error)]
                slot.end()
                self._slots[index] = self._new_slot()
                self._slots[index].start(slot.take_waiting(0.0))

    def _give_back_what_waits(self, now: datetime) -> None:
        """A job that takes long after all holds none back that were claimed with it."""
        waiting = [job for slot in self._slots for job in slot.take_waiting(PATIENCE)]
        if waiting:
            with self._writing.begin() as connection:
                store.release(connection, self.name, waiting, now)

    def _new_slot(self) -> Slot:
        return Slot(self._perform, done=self._ring)

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
        while self._stops < 2 and time.monotonic() < deadline and any(not slot.free for slot in self._slots):
            self._collect(max(0.0, deadline - time.monotonic()))
            self._survive(self._turn)
        self._collect(0.0)
        unfinished = [job for slot in self._slots for job in slot.held()]
        now = datetime.now(UTC)
        try:
            self._exchange(self._outcomes, 0, now)
            with self._writing.begin() as connection:
                store.release(connection, self.name, unfinished, now)
                self._leave(connection, now)
            if unfinished:
                self._say(f"gave back {len(unfinished)} jobs that had not finished")
        except DBAPIError as error:
            logger.error("the database did not answer; jobs come back with their lease: %s", complaint(error))
        for slot in self._slots:
            slot.end()
        self._meter.report(idle=True)
