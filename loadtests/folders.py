"""Temporary folders that are gone at the end, or, if their process was killed, when the next one is made."""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

PREFIX = "500ms-"  # of all our folders, and of nobody else's


@contextlib.contextmanager
def temporary_folder(name: str) -> Iterator[Path]:
    """An empty folder for the block; `name` begins its name. First removes those that killed processes left.

    This process holds a lock on it, which ends with the process, however that ends.
    """
    remove_abandoned()
    folder, held = _held(name)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(held)


def remove_abandoned() -> None:
    """Remove this user's folders that no process holds. One that can't be looked into is left."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            if folder.lstat().st_uid != os.getuid():
                continue
            held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(held)


def _held(name: str) -> tuple[Path, int]:
    """A new folder and its lock. Until it is locked, another process may take it for an abandoned one."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{name}-"))
        with contextlib.suppress(FileNotFoundError):
            held = os.open(folder, os.O_RDONLY)
            fcntl.flock(held, fcntl.LOCK_EX)
            if folder.exists():
                return folder, held
            os.close(held)
