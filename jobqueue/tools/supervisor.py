"""Keeps a number of worker processes at work: starts them again when they die, frees their jobs, stops them.

The supervisor forks. It has imported jobqueue and no module of the user's, so that a new worker is there in
some tens of ms instead of the time that a new interpreter takes; and each worker imports the user's modules
itself, so that one that is started again runs new code. What makes forking safe: the supervisor has one
thread and never opens a database. Whatever needs one, also the freeing of a dead worker's jobs, is done by a
process of its own; so a database that is slow or away never holds the supervisor up, either.

A worker tells its name, the one in jobs.locked_by, through a pipe before it claims its first job: containers
share host names and process ids, so that these alone would free another worker's jobs.
"""

import logging
import os
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime

from jobqueue.tools.forking import Forker, ending, exit_code
from jobqueue.tools.processes import KILL_MARGIN, TRY_AGAIN, Freer, Place
from jobqueue.tools.statefile import State, StateFile

logger = logging.getLogger("jobqueue")

Tell = Callable[[str], None]


class Supervisor:
    """Supervises `wanted` processes that do `work(tell, lifeline)`: it calls tell(name) when it begins, ends
    in order at a TERM or when the lifeline ends, at once at a QUIT, and returns its exit status.

    `free(dead)` frees the jobs of dead workers: it is given their names, with how they ended. Both are called
    in processes of their own. `stop_timeout` and `lease` are the workers', in seconds; `database` is what the
    state file may say about it.
    """

    def __init__(
        self,
        wanted: int,
        work: Callable[[Tell, int], int],
        free: Callable[[Mapping[str, str]], int],
        *,
        stop_timeout: float,
        lease: float,
        database: str | None = None,
        state: StateFile | None = None,
    ):
        self.wanted = wanted
        self.stop_timeout = stop_timeout
        self._work = work
        self._database = database
        self._file = state
        self._freer = Freer(self._fork, free, patience=lease)  # after that, others free them
        self._since = datetime.now(UTC).isoformat(timespec="seconds")
        self._places: list[Place] = []
        self._stops = 0  # 1: stop in order, 2: at once
        self._passed_on = 0  # how much of that the workers have been told
        self._renew = False

    def run(self) -> None:
        """Supervise until a signal; returns when all workers are gone. Raises JobQueueError when another
        supervisor has the state file.
        """
        if self._file:
            self._file.hold()
        both = {signal.SIGINT, signal.SIGHUP}
        obeyed = {signal.SIGTERM, signal.SIGQUIT, signal.SIGCHLD, *both}
        self._forker = Forker(self._note, obeyed, ignored=both)
        logger.info("supervisor starts workers: %d", self.wanted)
        self._turn(time.monotonic())
        while not self._stops or self._places or self._freer.next_moments():
            self._wait()
            self._turn(time.monotonic())
        self._freer.end()
        logger.info("supervisor has stopped")
        if self._file:
            self._file.release()

    def _note(self, number: int) -> None:
        """In a signal handler: remember it. (CHLD needs no more than to wake us.)"""
        if number in {signal.SIGTERM, signal.SIGINT} or (number == signal.SIGHUP and os.isatty(0)):
            self._stops = min(self._stops + 1, 2)
        elif number == signal.SIGQUIT:
            self._stops = 2
        elif number == signal.SIGHUP:  # and not because its terminal was closed
            self._renew = True

    def _turn(self, now: float) -> None:
        """Do all that there is to do now."""
        for place in self._places:
            self._look_after(place, now)
        self._freer.turn(now)
        self._take_orders()
        if self._stops:
            self._stop_all(now)
        else:
            self._resize(now)
            self._renew_one(now)
            for place in self._places:
                if not (place.pid or place.leaving) and place.start_at <= now:
                    self._start(place, now)
        self._places = [place for place in self._places if place.pid or not place.leaving]
        if self._file:
            self._file.write(self._state())

    def _wait(self) -> None:
        """Until there may be something to do."""
        moments = [place.kill_at if place.pid else place.start_at for place in self._places]
        until = min((moment for moment in [*moments, *self._freer.next_moments()] if moment), default=None)
        timeout = None if until is None else max(0.0, until - time.monotonic())
        pipes = [place.pipe for place in self._places if place.pipe >= 0]
        self._forker.wait([*pipes, self._file.orders] if self._file else pipes, timeout)

    def _look_after(self, place: Place, now: float) -> None:
        """Hear what the worker says, and see whether it still lives."""
        place.kill_if_late(now)
        code = exit_code(place.pid) if place.pid else None
        place.hear()  # after that look: one that is dead has said all that it will ever say
        if code is not None:
            how = ending(code)
            if place.name and code != 0:
                self._freer.add(place.name, how, now)
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
        """Ask one of the outdated workers to stop, when all others work."""
        if self._renew:
            logger.info("new workers take the place of the old ones, one after another")
            for place in self._places:
                place.outdated = place.pid > 0
            self._renew = False
        if all(place.state().state == "working" for place in self._places):
            for place in [place for place in self._places if place.outdated][:1]:
                place.ask_to_stop(now, self.stop_timeout)

    def _stop_all(self, now: float) -> None:
        """Pass on what we were told, once."""
        if self._passed_on < self._stops:
            at_once = self._stops > 1
            logger.info("stopping %s", "at once" if at_once else f"within {self.stop_timeout:g} s")
            self._passed_on = self._stops
            self._freer.patience = KILL_MARGIN
            for place in self._places:
                place.leaving = True
                place.ask_to_stop(now, self.stop_timeout, at_once=at_once)

    def _start(self, place: Place, now: float) -> None:
        place.pipe, told = os.pipe()
        os.set_blocking(place.pipe, False)

        def tell(name: str) -> None:
            with suppress(BrokenPipeError):  # the supervisor is gone: the lifeline says so, too
                os.write(told, name.encode())
            os.close(told)

        place.started, place.started_at = now, datetime.now(UTC)
        place.start_at = now + TRY_AGAIN  # if the system has no process for us
        place.pid = self._fork(lambda: self._work(tell, self._forker.lifeline))
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

    def _state(self) -> State:
        workers = tuple(place.state() for place in self._places)
        return State(os.getpid(), self._since, self.wanted, self.stop_timeout, self._database, workers)
