"""Start commands that can't outlive this process, and wait until they are ready.

Each runs under `loadtests/servers/guard.py`, in its own process group, with its output in a log file.
`Process` is a context manager; its errors quote the end of the log.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

import psutil

from loadtests.errors import ProcessError
from loadtests.files import writing

GUARD = Path(__file__).with_name("guard.py")
PROCESS_START_SECONDS = 120.0  # a busy machine takes its time; a process that ended is noticed at once
ASKED_EVERY_SECONDS = 0.1  # how often one looks for signals to stop
STOP_SECONDS = 10.0  # more than the guard's grace period
ADDRESS = re.compile(r"https?://[\w.\-]+:\d+")


def stop_signals() -> list[int]:
    """From now on TERM, INT and HUP do nothing but appear in this list. Call it in the main thread.

    Look there from time to time: a handler that set an Event could find its lock taken by the very thread
    that it interrupts, and a signal that another thread gets wakes nobody.
    """
    asked: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda number, _frame: asked.append(number))
    return asked


class Process:
    """A command under guard. `name` appears in messages, `log` receives the output, `cpus` are the numbers of
    the processors it may use (empty: any).

    `wait_for` raises ProcessError if the command ends first, or takes too long.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        environment: Mapping[str, str] | None = None,
        cpus: Sequence[int] = (),
    ):
        self.name = name
        self.command = list(command)
        self.log = log
        with writing(log):
            self._log_file = log.open("wb")
        self._guard = subprocess.Popen(
            [sys.executable, "-I", "-S", str(GUARD), *self.command],
            stdin=subprocess.PIPE,
            stdout=self._log_file,
            stderr=subprocess.STDOUT,
            env={
                **os.environ,
                "PYTHONUNBUFFERED": "1",
                "GUARD_CPUS": ",".join(map(str, cpus)),
                **(environment or {}),
            },
            start_new_session=True,  # Ctrl-C reaches only us, and we stop the others in order
        )

    def output(self) -> str:
        """Everything the process has printed so far."""
        return self.log.read_text(errors="replace")

    def wait_for(
        self, pattern: str | re.Pattern[str], timeout: float = PROCESS_START_SECONDS, times: int = 1
    ) -> re.Match[str]:
        """Wait until the output has matched `pattern` `times` times; returns the first match. `timeout` is in
        seconds.
        """
        deadline = time.monotonic() + timeout
        while True:
            ended = self._guard.poll()  # checked before the output, so that its last words are seen
            matches = list(re.finditer(pattern, self.output()))
            if len(matches) >= times:
                return matches[0]
            if ended is not None:
                raise self.error(f"ended at once (exit status {ended})")
            if time.monotonic() > deadline:
                raise self.error(f"was not ready after {timeout:g} seconds")
            time.sleep(0.01)

    def wait_for_address(self) -> str:
        """Wait until the output names an address, such as "http://127.0.0.1:9000"; returns it."""
        return self.wait_for(ADDRESS).group()

    def wait_with(self, tick: Callable[[], object], timeout: float) -> int:
        """Wait for the command to end, calling `tick` several times a second; returns the exit status.

        Raises ProcessError after `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            try:
                return self._guard.wait(0.25)
            except subprocess.TimeoutExpired:
                tick()
        raise self.error(f"did not end within {timeout:g} seconds")

    def is_running(self) -> bool:
        return self._guard.poll() is None

    def tree(self) -> list[psutil.Process]:
        """The command and all its descendants, without the guard, to read their CPU and memory."""
        try:
            return psutil.Process(self._guard.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def ask_to_stop(self) -> None:
        """Have the guard end the command, without waiting for it."""
        if self._guard.stdin and not self._guard.stdin.closed:
            self._guard.stdin.close()

    def stop(self) -> None:
        """End the command and everything it started. Safe to call twice.

        Returns when the command is gone; what it started has been killed, and may take a moment to end.
        """
        self.ask_to_stop()
        try:
            self._guard.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            for process in self.tree():
                process.kill()
            self._guard.kill()
            self._guard.wait()
        self._log_file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def error(self, what: str) -> ProcessError:
        """The error that says `what` the process did, and the end of what it printed."""
        lines = self.output().strip().splitlines()[-15:]
        said = "It said:\n  " + "\n  ".join(lines) if lines else f"It said nothing (log: {self.log})."
        return ProcessError(f"The {self.name} {what}. {said}")


def own_memory(process: psutil.Process) -> int:
    """A process's memory in bytes; 0 if it has ended. Expensive to read.

    What it shares with others is divided among them, where the system tells: resident memory would count most
    of it many times if many were forked from one.
    """
    try:
        memory = process.memory_full_info()
    except psutil.Error:
        return 0
    return int(getattr(memory, "pss", memory.uss))
