"""Run one command, and end it, with all it started, when whoever asked for it is gone.

    python loadtests/servers/guard.py COMMAND [ARGUMENT ...]

The asker holds the other end of this process's standard input. When that end closes, for whatever reason
(the asker finished, crashed, or was killed with -9), or when TERM or INT arrives, the command's whole
process group gets TERM, and KILL after GRACE_SECONDS. A pipe is used since it works on every Unix; Linux's
PR_SET_PDEATHSIG would not reach grandchildren.

Standard library only, and started with `python -I -S`, so that a guard costs some 10 ms and 10 MB.
`loadtests.servers.processes` is what starts guards.
"""

import contextlib
import os
import select
import signal
import subprocess
import sys
from types import FrameType

GRACE_SECONDS = 5.0


def _signal_group(group: int, number: int) -> bool:
    """Send a signal to a process group; returns False when nobody is left in it."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):  # macOS says PermissionError of a group of zombies
        return False
    return True


def main(command: list[str]) -> int:
    """Run the command until it ends or the asker is gone; returns its status, or 128 + a signal's number."""
    # Signals wake select() through a pipe, so that no signal is missed between a check and the wait.
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write)
    stopping = False

    def stop(_number: int, _frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop)

    if cpus := {int(number) for number in os.environ.pop("GUARD_CPUS", "").split(",") if number}:
        os.sched_setaffinity(0, cpus)  # what it starts inherits this
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    while child.poll() is None and not stopping:
        ready, _, _ = select.select([0, wake_read], [], [])
        if wake_read in ready:
            os.read(wake_read, 4096)
        if 0 in ready and not os.read(0, 4096):
            stopping = True

    _signal_group(child.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(GRACE_SECONDS)
    _signal_group(
        child.pid, signal.SIGKILL
    )  # whoever is left: the command itself, or a child that it left behind
    status = child.wait()
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
