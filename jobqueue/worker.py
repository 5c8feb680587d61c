"""The worker: claims jobs, has threads perform them, and settles their outcomes.

The thread that calls run() talks to the database; the others perform jobs. So one transaction settles many
jobs and claims the next ones, a hung job blocks no other, and leases are renewed however long a job takes.
"""

import logging
import os
import secrets
import socket
import time
from collections.abc import Callable, Collection, MutableSequence, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Literal, Never

from sqlalchemy.exc import DBAPIError

from jobqueue.database import complaint, reaction
from jobqueue.errors import DatabaseError, log_error
from jobqueue.lease import Claimed, Lease, Outcome
from jobqueue.ledger import RECONNECT_SECONDS, Ledger, Watcher
from jobqueue.observing import News, Observer
from jobqueue.options import check, checked, moment, refuse_others
from jobqueue.performing import Attempt, perform
from jobqueue.queue import Queue
from jobqueue.slots import MOST_AT_ONCE, BatchSize, Slot
from jobqueue.waiting import Served

logger = logging.getLogger("jobqueue")

POLL_INTERVAL = 1.0  # all in seconds
MAX_RUN_TIME = 4 * 3600.0  # as in Delayed Job
STOP_TIMEOUT = 10.0
LONGEST_WAIT = 0.5
PATIENCE = 0.05  # how long a job may hold up others claimed with it


class Worker:
    """Performs the jobs of a queue, `threads` of them at a time.

    `queues` limits it to these queues, `min_priority` and `max_priority` to such jobs (lower runs first).
    `poll_interval` is how often an idle worker looks for jobs that it was not notified of, `max_run_time` how
    long one attempt may take, `stop_timeout` how long running jobs may go on after stop(): all in seconds. At
    most `max_batch` short jobs are claimed at once for a thread. `observers` hear of each Event. `running`:
    each thread's job, and its limit on the monotonic clock; before run(), shared memory may take its place.
    """

    def __init__(
        self,
        queue: Queue,
        /,
        *,
        threads: int = 1,
        queues: Collection[str] | None = None,
        min_priority: int | None = None,
        max_priority: int | None = None,
        poll_interval: float = POLL_INTERVAL,
        max_run_time: float = MAX_RUN_TIME,
        stop_timeout: float = STOP_TIMEOUT,
        max_batch: int = MOST_AT_ONCE,
        observers: Sequence[Observer] = (),
        **others: Never,
    ):
        if not isinstance(queue, Queue):
            raise TypeError(f"a worker needs a Queue, not {type(queue)}: Worker(Queue(url))")
        refuse_others(Worker, others)
        check(threads=threads, poll_interval=poll_interval, max_run_time=max_run_time)
        check(stop_timeout=stop_timeout, max_batch=max_batch, observers=observers)
        checked(queues=queues, min_priority=min_priority, max_priority=max_priority)
        self.queue = queue
        self.threads = threads
        self.queues = tuple(dict.fromkeys(queues or ()))  # each once, or its jobs would be claimed twice
        for name in self.queues:
            check(queue=name)
        self.poll_interval = poll_interval
        self.max_run_time = max_run_time
        self.stop_timeout = stop_timeout
        self.host = f"host:{socket.gethostname()} pid:{os.getpid()}"
        self.name = f"{self.host} {secrets.token_hex(4)}"  # containers share host names and pids
        lease = Lease(queue.tables, self.name)
        self._perform = partial(perform, queue, lease)
        self._bell: SimpleQueue[None] = SimpleQueue()  # rung by everything that run() waits for
        self._ring = partial(self._bell.put, None)  # safe in a signal handler
        self.running: Sequence[MutableSequence[float]] = [[0, 0] for _ in range(threads)]
        self._slots: list[Slot] = []
        self._outcomes: list[Outcome] = []  # performed, but not yet settled in the database
        self._stops, self._trouble = 0, ""  # how often it was asked; the database's, as last told
        self._news = News(self, observers)
        served = Served(self.queues, min_priority, max_priority)
        self._ledger = Ledger(queue, lease, served, BatchSize(max_batch), self._news)

    def work_off(self, limit: int = 1_000_000, *, now: datetime | None = None) -> tuple[int, int]:
        """Perform the jobs that are due, up to `limit`, in this thread; returns (succeeded, failed).

        `now` replaces the current time, for tests that don't wait. Unlike run(), this ends no hung job, and
        renews no lease, however long a job takes. Raises RuntimeError after run().
        """
        check(limit=limit)
        now = None if now is None else moment("now", now)
        self._refuse_another_run()
        self._ledger.batch.reset()  # one by one, in this thread
        succeeded = failed = 0
        outcomes: list[Outcome] = []
        self._news.tell("started", now or datetime.now(UTC))
        try:
            self._ledger.beat([], now or datetime.now(UTC))
            while True:
                at = now or datetime.now(UTC)
                hands = self._ledger.exchange(outcomes, min(1, limit - succeeded - failed), at)
                if not hands:
                    return succeeded, failed
                try:
                    self._news.tell("busy", at)
                    outcomes = [self._perform(hands[0][0], at)]
                except BaseException:  # Ctrl-C: not the job's fault
                    self._ledger.release(hands[0], at)
                    raise
                succeeded += outcomes[0].error is None
                failed += outcomes[0].failed
        finally:
            self._ledger.close()
            self._news.tell("stopped", now or datetime.now(UTC))

    def run(self, until: Literal["stopped", "idle", "empty"] = "stopped") -> None:
        """Perform jobs until stop() is called, from another thread or a signal handler; with "idle", at most
        until no job is due that it could claim, and with "empty", until none is scheduled for later, or held
        by others. It waits neither for jobs of paused queues nor for those whose class it does not know.

        Then it claims no more, lets running jobs go on for `stop_timeout` seconds, and gives back the rest
        with their attempts not counted. A second stop() gives them back at once. If the database goes away,
        run() waits for it. A worker runs once: then this raises RuntimeError.
        """
        if until not in ("stopped", "idle", "empty"):
            raise ValueError(f'until must be "stopped", "idle" or "empty", not {until!r}')
        self._refuse_another_run()
        self._until = until
        self._news.tell("started", datetime.now(UTC))
        self._slots = [Slot(self._perform, self._ring, self.max_run_time, notice) for notice in self.running]
        self._watcher = Watcher(self.queue, self._ring)
        try:
            while not self._stops:
                self._collect(self._survive(self._turn))
        finally:
            self._watcher.end()
            self._finish_running()
            self._ledger.close()
            self._news.tell("stopped", datetime.now(UTC))

    def stop(self) -> None:
        """Ask run() to return; a second call means at once. May be called from a signal handler."""
        self._stops += 1
        self._ring()

    def _turn(self) -> float:
        """Settle, beat, claim, start; returns how many seconds to wait unless the bell rings."""
        now = datetime.now(UTC)
        self._end_hung_jobs()
        self._ledger.release([job for slot in self._slots for job in slot.take_waiting(PATIENCE)], now)
        if time.monotonic() >= self._ledger.next_beat:
            self._ledger.beat(self._held(), now)
        free = [slot for slot in self._slots if slot.free] if not self._stops else []
        # An idle worker first looks for due jobs, with a read that leaves SQLite's write lock alone.
        look = bool(free) and not self._outcomes and not self._ledger.more
        due_in = self._ledger.due_in(now) if look else 0.0
        hands: list[list[Claimed]] = []
        if self._outcomes or (free and due_in <= 0):
            hands = self._ledger.exchange(self._outcomes, len(free), now)
            self._outcomes = []
            for slot in self._slots:
                slot.go_on()
            for slot, jobs in zip(free, hands, strict=False):
                slot.start(jobs)
        if hands:
            self._watcher.was_right()
        nothing = not hands and len(free) == self.threads
        self._news.tell("idle" if nothing else "busy", now)
        until = self._until if nothing else ""
        if until == "idle" or (until == "empty" and look and self._ledger.is_empty()):
            self.stop()
        idle = len(hands) < len(free)
        if idle and (hands or not look):
            return 0.0  # nothing due is left: look when the next job is due
        deadlines = [slot.deadline(PATIENCE) for slot in self._slots]
        wait = min(self._ledger.next_beat, *deadlines) - time.monotonic()
        if idle:
            wait = min(wait, due_in if due_in > 0 else self.poll_interval, self.poll_interval)
        return max(0.0, wait)

    def _collect(self, wait: float) -> None:
        """Wait until the bell rings or `wait` seconds have passed; take the outcomes of jobs that have ended.

        Outcomes stay in their slots until then, and don't pass through the bell: Ctrl-C never loses one.
        """
        with suppress(Empty):
            # A signal that arrives just before the wait begins does not end it, so no wait is long.
            self._bell.get(timeout=min(wait, LONGEST_WAIT))
            while True:
                self._bell.get_nowait()
        for slot in self._slots:
            self._outcomes += slot.take_outcomes(self._ledger.batch)

    def _held(self) -> list[Claimed]:
        performing = [job for slot in self._slots for job in slot.held()]
        return performing + self._ledger.unreleased + [outcome.job for outcome in self._outcomes]

    def _end_hung_jobs(self) -> None:
        """Fail jobs that have exceeded their max_run_time. Slot.go_on() replaces their threads."""
        for slot in self._slots:
            if hung := slot.abandon():
                self._outcomes += slot.take_outcomes(self._ledger.batch)
                self._outcomes.append(Attempt(hung).ended(hung.max_run_time or self.max_run_time))

    def _refuse_another_run(self) -> None:
        if self._slots:  # a thread that the first run left behind could pass for one of the second
            raise RuntimeError("this worker has run: make another Worker")

    def _survive(self, turn: Callable[[], Any], then: str = ", trying again") -> Any:
        """Take a turn. If it raises, log that, the database's trouble once: the loop goes on in a second."""
        try:
            wait, trouble = turn(), ""
        except DBAPIError as error:
            wait, trouble = RECONNECT_SECONDS, f"{reaction(error)}{then}: {complaint(error)}"
        except DatabaseError:  # it can't hold a queue, and never will
            raise
        except Exception as error:
            log_error(error, "the worker's loop failed%s", then)
            return RECONNECT_SECONDS
        if trouble != self._trouble:
            level = logging.ERROR if trouble else logging.WARNING
            logger.log(level, "the database %s", trouble or "answers again")
            self._trouble = trouble
        return wait

    def _finish_running(self) -> None:
        """Wait for running jobs, settle them, and give back the rest."""
        self._stops = max(self._stops, 1)  # run() also ends by an exception, such as Ctrl-C without a handler
        deadline = time.monotonic() + self.stop_timeout
        while self._stops < 2 and time.monotonic() < deadline and not all(slot.free for slot in self._slots):
            self._collect(max(0.0, deadline - time.monotonic()))
            self._survive(self._turn)
        self._collect(0.0)
        unfinished = [job for slot in self._slots for job in slot.held()]
        for slot in self._slots:
            slot.end()
        finish = partial(self._ledger.finish, self._outcomes, unfinished, datetime.now(UTC))
        self._survive(finish, "; jobs are freed after the lease")
