"""One measurement at a time: two on one machine would disturb each other."""

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from loadtests.errors import UsageError
from loadtests.files import writing

BESIDE = "LOADTESTS_BESIDE"


@contextlib.contextmanager
def alone(command: str) -> Iterator[None]:
    """Let no other measurement of this user begin before the end of the block.

    A lock, which ends with the process, however that ends. Raises UsageError if another process holds it. If
    the variable LOADTESTS_BESIDE is set, there is no lock.
    """
    if os.environ.get(BESIDE):
        yield
        return
    path = Path(tempfile.gettempdir()) / f"500ms-measuring-{os.getuid()}"
    with writing(path):
        number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    with os.fdopen(number, "r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                f"another measurement is running on this machine ({file.read() or 'just begun'}): they would"
                f" disturb each other. Wait for its end, or stop it; {BESIDE}=1 measures beside it anyway"
            ) from None
        file.truncate(0)
        file.write(f"process {os.getpid()}, {command}, since {datetime.now():%H:%M:%S}")
        file.flush()
        yield
