"""Makes workers that a test starts in the background end with the test, even if it is killed by kill -9.

The workers import this. The test holds open the write end of a named pipe, whose path is in PIPE_VARIABLE.
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


if sys.argv[1:2] == ["work"]:  # not `start`, which imports it only to check that it can
    threading.Thread(target=_watch, args=[os.environ[PIPE_VARIABLE]], daemon=True).start()
