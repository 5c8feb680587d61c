"""A supervisor's processes: workers, and one that frees the jobs of workers that died.

Times are seconds on the monotonic clock, except `started_at`.
"""

import logging
import os
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from jobqueue.tools.forking import exit_code
from jobqueue.tools.statefile import WorkerState

logger = logging.getLogger("jobqueue")

LONGEST_DELAY = 60.0  # all in seconds
LIVED_LONG = 60.0  # a worker that dies after this is restarted at once
KILL_MARGIN = 5.0  # from when a worker should have stopped until it is killed
TRY_AGAIN = 1.0


def restart_delay(deaths: int) -> float:
    """Seconds before restarting a worker that has died `deaths` times in a row.

    >>> [restart_delay(deaths) for deaths in (1, 2, 3, 4, 7, 8, 1000)]
    [0.0, 1.0, 2.0, 4.0, 32.0, 60.0, 60.0]
    """
    return 0.0 if deaths < 2 else min(LONGEST_DELAY, 2.0 ** min(deaths - 2, 10))


@dataclass
class Place:
    """A place for one worker process, filled again when that dies."""

    pid: int = 0  # 0: no process
    pipe: int = -1  # from which its name can be read
    name: str = ""  # empty until it is working
    started: float = 0.0
    started_at: datetime | None = None
    start_at: float = 0.0  # when to start the next one
    kill_at: float | None = None  # when to kill it, once it has been asked to stop
    leaving: bool = False  # not to be filled again
    outdated: bool = False  # to be replaced by a new worker
    deaths: int = 0  # in a row
    restarts: int = 0

    def state(self) -> WorkerState:
        """Its state, for the state file."""
        if not self.pid or not self.started_at:
            return WorkerState(None, "", "waiting", None, self.restarts)
        state = "stopping" if self.kill_at else "working" if self.name else "starting"
        since = self.started_at.isoformat(timespec="seconds")
        return WorkerState(self.pid, self.name, state, since, self.restarts)

    def hear(self) -> None:
        """Read the worker's name from the pipe, if it has arrived."""
        if self.pipe >= 0:
            try:
                self.name = os.read(self.pipe, 512).decode()
            except BlockingIOError:
                return
            os.close(self.pipe)
            self.pipe = -1

    def ask_to_stop(self, now: float, stop_timeout: float, *, at_once: bool = False) -> None:
        """Ask the worker, if there is one, to stop, gracefully or at once; see kill_if_late()."""
        if self.pid:
            self._send(signal.SIGQUIT if at_once else signal.SIGTERM)
            self.kill_at = now + KILL_MARGIN + (0.0 if at_once else stop_timeout)

    def kill_if_late(self, now: float) -> None:
        """Kill the worker if it should have stopped by now."""
        if self.pid and self.kill_at and self.kill_at <= now:
            logger.warning("worker pid:%d has not stopped in time: killing it", self.pid)
            self._send(signal.SIGKILL)
            self.kill_at = now + TRY_AGAIN

    def empty(self, how: str, now: float) -> None:
        """Note that the worker has ended; decide when the next one starts, and log it."""
        if self.kill_at:
            logger.info("worker pid:%d has stopped", self.pid)
            self.start_at = now
        else:
            lived = now - self.started
            self.deaths = 1 if lived >= LIVED_LONG else self.deaths + 1
            self.restarts += 1
            delay = restart_delay(self.deaths)
            when = f"in {delay:g} s" if delay else "at once"
            logger.warning("worker pid:%d %s after %.1f s: another one starts %s", self.pid, how, lived, when)
            self.start_at = now + delay
        self.pid, self.name, self.kill_at, self.outdated = 0, "", None, False

    def _send(self, number: int) -> None:
        # macOS raises it for a process that has ended but was not waited for.
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)


class Freer:
    """Frees the jobs of dead workers, in one process for all of them; tries for `patience` seconds.

    `fork` starts the process; `free` is what it runs, given the workers' names mapped to how they ended.
    """

    def __init__(
        self,
        fork: Callable[[Callable[[], int]], int],
        free: Callable[[Mapping[str, str]], int],
        patience: float,
    ):
        self.patience = patience
        self._fork = fork
        self._free = free
        self._dead: dict[str, tuple[str, float]] = {}  # by name: how they ended, and when
        self._told: dict[str, str] = {}  # those that the process was given
        self._pid = 0
        self._start_at = 0.0

    def add(self, name: str, how: str, now: float) -> None:
        """Note that a worker has died."""
        self._dead[name] = how, now
        self._start_at = now

    def turn(self, now: float) -> None:
        """Do what is due at `now`."""
        if self._pid and (code := exit_code(self._pid)) is not None:
            self._pid = 0
            if code == 0:
                for name in self._told:
                    self._dead.pop(name, None)
            self._start_at = now if code == 0 else now + TRY_AGAIN
        for name in [name for name, (_, since) in self._dead.items() if since + self.patience <= now]:
            logger.error("the jobs of %s could not be freed: they come back when their lease expires", name)
            del self._dead[name]
        if self._dead and not self._pid and self._start_at <= now:
            self._told = {name: how for name, (how, _) in self._dead.items()}
            self._start_at = now + TRY_AGAIN  # in case the fork fails
            self._pid = self._fork(lambda: self._free(self._told))

    def next_moments(self) -> list[float]:
        """When turn() may next have something to do; empty when nothing is left."""
        moments = [since + self.patience for _, since in self._dead.values()]
        return [*moments, self._start_at] if self._dead and not self._pid else moments

    def end(self) -> None:
        """Give up: kill the process."""
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)
