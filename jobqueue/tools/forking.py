"""Forking in a process that handles signals, and waiting that a signal interrupts."""

import logging
import os
import select
import signal
from collections.abc import Callable, Iterable
from contextlib import suppress
from types import FrameType

from jobqueue.tools.printing import discard_unwritten

logger = logging.getLogger("jobqueue")


def ending(exit_code: int) -> str:
    """How a process ended, in words.

    >>> ending(-9), ending(1)
    ('was killed by signal 9 (SIGKILL)', 'ended with exit status 1')
    """
    if exit_code >= 0:
        return f"ended with exit status {exit_code}"
    names = {number.value: f" ({number.name})" for number in signal.Signals}
    return f"was killed by signal {-exit_code}{names.get(-exit_code, '')}"


def exit_code(pid: int) -> int | None:
    """A child's exit status, or minus the signal that killed it; None while it runs."""
    ended, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if ended else None


class Forker:
    """Calls `note` with each of the `obeyed` signals, and forks processes that no longer do so.

    The `ignored` ones do nothing in a forked process: a terminal, for instance, sends Ctrl-C to all
    processes, and the parent decides what it means.
    """

    def __init__(
        self,
        note: Callable[[int], None],
        obeyed: Iterable[signal.Signals],
        ignored: Iterable[signal.Signals],
    ):
        self._obeyed = set(obeyed)
        self._ignored = set(ignored)
        self._wake_read, self._wake_write = os.pipe()
        # Only this process keeps the lifeline's write end, so its readers see EOF when this process ends.
        self.lifeline, self._life = os.pipe()
        for end in (self._wake_read, self._wake_write):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        for number in self._obeyed:
            signal.signal(number, lambda number, _frame: note(number))

    def wait(self, pipes: Iterable[int], timeout: float | None) -> None:
        """Wait until a signal arrives, one of the pipes can be read, or `timeout` seconds have passed."""
        select.select([self._wake_read, *pipes], [], [], timeout)
        with suppress(BlockingIOError):
            os.read(self._wake_read, 4096)

    def fork(self, run: Callable[[], int]) -> int:
        """Call `run` in a new process, whose exit status is its result; returns the process id, or 0 when the
        system refuses.

        In the new process this raises SystemExit, or whatever `run` raises: it ends by unwinding the frames
        that it inherited from its parent.
        """
        with suppress(OSError):  # a full disk is no reason to start no process
            discard_unwritten()  # or both processes would write what is buffered
        before = signal.pthread_sigmask(signal.SIG_BLOCK, self._obeyed)  # no signal meets a half-made process
        try:
            pid = os.fork()
        except OSError as error:
            logger.error("no new process can be started: %s", error.strerror)
            pid = -1
        if pid == 0:
            self._become_a_child()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if pid == 0:
            raise SystemExit(run())
        return max(pid, 0)

    def _become_a_child(self) -> None:
        signal.set_wakeup_fd(-1)
        for end in (self._wake_read, self._wake_write, self._life):
            os.close(end)
        for number in self._obeyed:
            # Not SIG_IGN, which programs started by a job would inherit.
            signal.signal(number, _do_nothing if number in self._ignored else signal.SIG_DFL)


def _do_nothing(_number: int, _frame: FrameType | None) -> None:
    pass
