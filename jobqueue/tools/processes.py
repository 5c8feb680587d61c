"""A supervisor's processes: workers, and one that frees the jobs of workers that died.

Times are seconds on the monotonic clock, except `started_at`.
"""

import logging
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from math import inf
from typing import NamedTuple

from jobqueue.tools.forking import exit_code
from jobqueue.tools.pulse import DOUBT_SECONDS, Pulse
from jobqueue.tools.statefile import WorkerState

logger = logging.getLogger("jobqueue.supervisor")

LONGEST_DELAY = 60.0  # all in seconds
KILL_MARGIN = 5.0  # from when a worker should have stopped until it is killed
TRY_AGAIN = 1.0
USUAL_START_SECONDS = 1.0  # that a worker's start usually takes at most


def restart_delay(deaths: int) -> float:
    """Seconds before trying again to start a worker, after so many failures in a row.

    >>> [restart_delay(deaths) for deaths in (1, 2, 3, 4, 7, 8, 1000)]
    [0.0, 1.0, 2.0, 4.0, 32.0, 60.0, 60.0]
    """
    return 0.0 if deaths < 2 else min(LONGEST_DELAY, 2.0 ** min(deaths - 2, 10))


@dataclass
class Place:
    """A place for one worker process, filled again when that dies."""

    pulse: Pulse = field(init=False)  # a new one for each process
    pid: int = 0  # 0: no process
    pipe: int = -1  # from which its name can be read
    name: str = ""  # empty until it is working
    started: float = 0.0
    started_at: datetime | None = None
    start_at: float = 0.0  # when to start the next one
    stop_by: float = inf  # when it must have stopped, once it has been asked to
    deaf_at: float = inf  # when the pipe was closed
    doubted: float = 0.0  # a limit() that has come
    doubt_until: float = 0.0  # when to look at it again
    killed: str = ""  # why the supervisor has killed it
    leaving: bool = False  # not to be filled again
    outdated: bool = False  # to be replaced by a new worker
    deaths: int = 0  # in a row, of workers that had not begun to work
    restarts: int = 0
    has_worked: bool = False  # this process, or one before it

    def state(self) -> WorkerState:
        """Its state, for the state file."""
        if not self.pid or not self.started_at:
            return WorkerState(None, "", "waiting", None, self.restarts, self.has_worked)
        state = "stopping" if self.stop_by < inf else "working" if self.name else "starting"
        since = self.started_at.isoformat(timespec="seconds")
        return WorkerState(self.pid, self.name, state, since, self.restarts, self.has_worked)

    def is_starting(self, now: float) -> bool:
        """Whether it has just started a worker, which has yet to begin to work."""
        return bool(self.pid) and not self.name and now - self.started < USUAL_START_SECONDS

    def hear(self, now: float) -> None:
        """Read the worker's name from the pipe, if it has arrived, or that the pipe was closed."""
        if self.pipe >= 0:
            try:
                said = os.read(self.pipe, 512).decode()
            except BlockingIOError:
                return
            self.name = said or self.name
            self.has_worked |= bool(said)
            if not said:
                os.close(self.pipe)
                self.pipe, self.deaf_at = -1, now

    def ask_to_stop(self, now: float, stop_timeout: float, *, at_once: bool = False) -> None:
        """Ask the worker, if there is one, to stop, gracefully or at once; see limit()."""
        if self.pid:
            self._send(signal.SIGQUIT if at_once else signal.SIGTERM)
            self.stop_by = now if at_once else now + KILL_MARGIN + stop_timeout

    def limit(self, lease: float) -> tuple[float, str]:
        """From when the worker is in doubt unless something changes, and why."""
        if not self.pid or self.killed:
            return inf, ""
        late = self.stop_by, "it had not stopped in time"
        deaf = self.deaf_at, "its file descriptors had been closed"
        return min(late, deaf, *self.pulse.limits(lease))

    def kill_if_late(self, lease: float, now: float) -> None:
        """Kill the worker if its limit() has come, DOUBT_SECONDS after a first look: it may be about to
        answer, or to end, or it was stopped together with this process, as by Ctrl-Z.
        """
        moment, why = self.limit(lease)
        if moment <= now and moment != self.doubted:
            self.doubted, self.doubt_until = moment, now + DOUBT_SECONDS
        elif moment <= now >= self.doubt_until:
            logger.warning("killing worker pid:%d: %s", self.pid, why)
            self._send(signal.SIGKILL)
            self.killed = why

    def empty(self, how: str, now: float) -> None:
        """Note that the worker has ended; decide when the next one starts, and log it."""
        if self.stop_by < inf or self.leaving:
            logger.info("worker pid:%d has stopped", self.pid)
            self.start_at = now
        else:
            lived = now - self.started
            self.deaths = 0 if self.name else self.deaths + 1
            self.restarts += 1
            delay = restart_delay(self.deaths) if self.deaths else max(0.0, TRY_AGAIN - lived)
            when = f"in {delay:.2g} s" if delay else "at once"
            logger.warning("worker pid:%d %s after %.1f s: another one starts %s", self.pid, how, lived, when)
            self.start_at = now + delay
        if self.pipe >= 0:
            os.close(self.pipe)
        self.pid, self.pipe, self.name, self.killed, self.outdated = 0, -1, "", "", False
        self.stop_by = self.deaf_at = inf

    def _send(self, number: int) -> None:
        # macOS raises it for a process that has ended but was not waited for.
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)


class Death(NamedTuple):
    """How a worker died, and when; the ids of its jobs that had exceeded their max_run_time."""

    how: str
    at: float
    late: Sequence[int] = ()


class Freer:
    """Frees the jobs of dead workers, in one process for all of them; tries for `patience` seconds.

    `fork` starts the process; `free` is what it runs, given the deaths by the workers' names.
    """

    def __init__(
        self,
        fork: Callable[[Callable[[], int]], int],
        free: Callable[[Mapping[str, Death]], int],
        patience: float,
    ):
        self.patience = patience
        self._fork = fork
        self._free = free
        self._dead: dict[str, Death] = {}
        self._told: dict[str, Death] = {}  # those that the process was given
        self._pid = 0
        self._start_at = 0.0

    def add(self, name: str, death: Death) -> None:
        """Note that a worker has died."""
        self._dead[name] = death
        self._start_at = death.at

    def turn(self, now: float) -> None:
        """Do what is due at `now`."""
        if self._pid and (code := exit_code(self._pid)) is not None:
            self._pid = 0
            if code == 0:
                for name in self._told:
                    self._dead.pop(name, None)
            self._start_at = now if code == 0 else now + TRY_AGAIN
        for name in [name for name, death in self._dead.items() if death.at + self.patience <= now]:
            logger.error("the jobs of %s could not be freed: they come back when their lease expires", name)
            del self._dead[name]
        if self._dead and not self._pid and self._start_at <= now:
            self._told = dict(self._dead)
            self._start_at = now + TRY_AGAIN  # in case the fork fails
            self._pid = self._fork(lambda: self._free(self._told))

    def next_moments(self) -> list[float]:
        """When turn() may next have something to do; empty when nothing is left."""
        moments = [death.at + self.patience for death in self._dead.values()]
        return [*moments, self._start_at] if self._dead and not self._pid else moments

    def end(self) -> None:
        """Give up: kill the process."""
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)
