"""For workers that a test starts in the background: they end when the test has ended, even if by kill -9.

The test imports this into the workers, and keeps open for writing the named pipe whose path is in a variable.
"""

import os
import signal
import sys
import threading

PIPE_VARIABLE = "ENDS_WITH_ITS_TEST"


def _watch(path: str) -> None:
    pipe = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(pipe, True)
    os.read(pipe, 1)
    os.kill(os.getppid(), signal.SIGKILL)
    os._exit(1)


if sys.argv[1:2] == ["work"]:  # and not `start`, which imports it to see whether it can
    threading.Thread(target=_watch, args=[os.environ[PIPE_VARIABLE]], daemon=True).start()
