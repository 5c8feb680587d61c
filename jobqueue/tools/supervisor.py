"""Keeps worker processes running: kills those that hang, replaces those that die, frees their jobs.

The supervisor forks. It has imported jobqueue but none of the user's modules, so a new worker starts in some
tens of ms, not the time that a new interpreter takes; and each worker imports the user's modules itself, so a
restarted one runs new code. Forking is safe because the supervisor has one thread and never opens a database.
Whatever needs one, such as freeing a dead worker's jobs, runs in a separate process, so a slow or unreachable
database never holds the supervisor up either.

A worker sends its name, the one in jobs.locked_by, through a pipe before it claims its first job: containers
share host names and process ids, so freeing jobs by these alone could free another worker's. It keeps the
pipe open as long as it lives. The rest is on its Pulse.
"""

import logging
import os
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from math import inf

from jobqueue.tools.forking import Forker, ending, exit_code
from jobqueue.tools.processes import KILL_MARGIN, TRY_AGAIN, Death, Freer, Place
from jobqueue.tools.pulse import Pulse
from jobqueue.tools.statefile import StateFile, SupervisorState

logger = logging.getLogger("jobqueue.supervisor")

GLIMPSE_SECONDS = 0.5  # between looks at the pulses
STARTS_AT_ONCE = 4  # so that the first of many workers are soon at work, and not all are late
NEXT_START_SECONDS = 0.01
Tell = Callable[[str], None]


class Supervisor:
    """Supervises `wanted` processes that run `work(tell, pulse, lifeline)`: it calls tell(name) when it
    starts, stops gracefully on TERM or when the lifeline ends, at once on QUIT, and returns its exit status.
    `lasting`: whether a worker is also replaced if it finishes by itself, or can't even start.

    `free(dead)` frees the jobs of dead workers: `dead` maps their names to their deaths. Both run in
    separate processes. `threads`, `stop_timeout` and `lease` are the workers', in seconds where they are
    times; `database`, the URL, `table` and `schema` are for the state file.
    """

    def __init__(
        self,
        wanted: int,
        work: Callable[[Tell, Pulse, int], int],
        free: Callable[[Mapping[str, Death]], int],
        *,
        lasting: bool,
        threads: int,
        stop_timeout: float,
        lease: float,
        database: str | None = None,
        table: str,
        schema: str | None,
        state: StateFile | None = None,
    ):
        self.wanted = wanted
        self.stop_timeout = stop_timeout
        self._work = work
        self._lasting = lasting
        self._threads = threads
        self._lease = lease
        self._where = database, table, schema
        self._file = state
        self._freer = Freer(self._fork, free, patience=lease)  # after a lease, other workers free them
        self._since = datetime.now(UTC).isoformat(timespec="seconds")
        self._places: list[Place] = []
        self._stops = 0  # 1: stop gracefully, 2: at once
        self._passed_on = 0  # how many of them were passed on to the workers
        self._renew = False
        self._status = 0

    def run(self) -> int:
        """Supervise until a signal or an order to stop, or until all workers have finished; returns 0, or the
        exit status of a worker that could not start. Raises JobQueueError when another supervisor holds the
        state file.
        """
        if self._file:
            self._file.hold()
            self._file.write(self._state())  # so that nobody finds it empty
        both = {signal.SIGINT, signal.SIGHUP}
        obeyed = {signal.SIGTERM, signal.SIGQUIT, signal.SIGCHLD, *both}
        self._forker = Forker(self._note, obeyed, ignored=both)
        logger.info("supervisor starts workers: %d", self.wanted)
        self._turn(time.monotonic())
        while self._places or self._freer.next_moments():
            self._wait()
            self._turn(time.monotonic())
        self._freer.end()
        logger.info("supervisor has stopped")
        if self._file:
            self._file.release()
        return self._status

    def _note(self, number: int) -> None:
        """Remember a signal, in its handler. (CHLD only has to wake us.)"""
        if number in {signal.SIGTERM, signal.SIGINT} or (number == signal.SIGHUP and os.isatty(0)):
            self._stops = min(self._stops + 1, 2)
        elif number == signal.SIGQUIT:
            self._stops = 2
        elif number == signal.SIGHUP:  # and not because a terminal was closed
            self._renew = True

    def _turn(self, now: float) -> None:
        """Do everything that is due at `now`."""
        for place in self._places:
            self._look_after(place, now)
        self._freer.turn(now)
        self._take_orders()
        if self._stops:
            self._stop_all(now)
        else:
            self._resize(now)
            self._renew_one(now)
            starting = sum(place.is_starting(now) for place in self._places)
            for place in self._places:
                if not (place.pid or place.leaving) and place.start_at <= now and starting < STARTS_AT_ONCE:
                    self._start(place, now)
                    starting += 1
        self._places = [place for place in self._places if place.pid or not place.leaving]
        if self._file:
            self._file.write(self._state())

    def _wait(self) -> None:
        """Wait until there may be something to do."""
        limits = [max(place.limit(self._lease)[0], place.doubt_until) for place in self._places]
        now = time.monotonic()
        starts = [max(place.start_at, now + NEXT_START_SECONDS) for place in self._places if not place.pid]
        until = min(now + GLIMPSE_SECONDS, *limits, *starts, *self._freer.next_moments())
        pipes = [place.pipe for place in self._places if place.pipe >= 0]
        self._forker.wait([*pipes, self._file.orders] if self._file else pipes, max(0.0, until - now))

    def _look_after(self, place: Place, now: float) -> None:
        """Read the worker's name, see whether it is still alive, and kill it if it hangs."""
        code = exit_code(place.pid) if place.pid else None
        place.hear(now)  # after exit_code(): a dead worker has sent all that it ever will
        if code is None:
            place.kill_if_late(self._lease, now)
            return
        finished = place.pulse.finished
        how = f"was killed from outside: {place.killed}" if place.killed else ending(code)
        unasked = not self._lasting and place.stop_by == inf
        if unasked and (finished or not (place.name or place.restarts)):
            place.leaving = True
            self.wanted -= 1
            self._status = self._status or (code if code >= 0 else 128 - code)
        if place.name and not finished:
            self._freer.add(place.name, Death(how, now, place.pulse.late(now)))
        place.empty(how, now)

    def _take_orders(self) -> None:
        for order in self._file.read_orders() if self._file else []:
            logger.info("order: %s", order)
            if order == "stop":
                self._note(signal.SIGTERM)
            elif order == "stop now":
                self._note(signal.SIGQUIT)
            elif order.isdecimal():
                self.wanted = int(order)

    def _resize(self, now: float) -> None:
        there = [place for place in self._places if not place.leaving]
        self._places += [Place() for _ in range(self.wanted - len(there))]
        for place in there[self.wanted :]:
            place.leaving = True
            place.ask_to_stop(now, self.stop_timeout)

    def _renew_one(self, now: float) -> None:
        """Ask one of the outdated workers to stop, once all workers are working."""
        if self._renew:
            logger.info("replacing the workers, one after another")
            for place in self._places:
                place.outdated = place.pid > 0
            self._renew = False
        if all(place.state().state == "working" for place in self._places):
            for place in [place for place in self._places if place.outdated][:1]:
                place.ask_to_stop(now, self.stop_timeout)

    def _stop_all(self, now: float) -> None:
        """Pass each request to stop on to the workers, once."""
        if self._passed_on < self._stops:
            at_once = self._stops > 1
            logger.info("stopping %s", "at once" if at_once else f"within {self.stop_timeout:g} s")
            self._passed_on = self._stops
            self._freer.patience = TRY_AGAIN if at_once else KILL_MARGIN
            for place in self._places:
                place.leaving = True
                place.ask_to_stop(now, self.stop_timeout, at_once=at_once)

    def _start(self, place: Place, now: float) -> None:
        place.pipe, told = os.pipe()
        os.set_blocking(place.pipe, False)

        def tell(name: str) -> None:
            with suppress(BrokenPipeError):  # the supervisor is gone, as the lifeline tells too
                os.write(told, name.encode())

        place.pulse = Pulse(self._threads)
        place.started, place.started_at = now, datetime.now(UTC)
        place.start_at = now + TRY_AGAIN  # in case the fork fails
        place.pid = self._fork(lambda: self._work(tell, place.pulse, self._forker.lifeline))
        os.close(told)

    def _fork(self, run: Callable[[], int]) -> int:
        def let_go_and_run() -> int:
            if self._file:
                self._file.close()
            for place in self._places:
                if place.pipe >= 0:
                    os.close(place.pipe)
            return run()

        return self._forker.fork(let_go_and_run)

    def _state(self) -> SupervisorState:
        workers = tuple(place.state() for place in self._places)
        return SupervisorState(
            os.getpid(), self._since, self.wanted, self.stop_timeout, *self._where, workers
        )
