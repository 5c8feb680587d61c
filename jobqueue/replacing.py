"""An SQLite file may be replaced while it is open, as in a restore: its connections would go on with the old
one, which nobody finds any more.
"""

import fcntl
import logging
import os
import sqlite3
from pathlib import Path
from typing import Any
from weakref import finalize

from sqlalchemy import Engine, event
from sqlalchemy.exc import InvalidatePoolError, OperationalError

logger = logging.getLogger("jobqueue")


class OpenFile:
    """The file that connections have open, at this path, and its write-ahead log."""

    def __init__(self, path: str):
        self._path = path
        self._identity = _identity(path)
        self._is_gone = self._is_told = False
        # As long as this is open, no other file gets the log's number. (A few file systems allow none.)
        log = f"{path}-wal"
        self._log = os.open(log if Path(log).exists() else os.devnull, os.O_RDONLY)
        finalize(self, os.close, self._log)

    def is_replaced(self) -> bool:
        """Whether another file has its path now. What the old one has left there is removed."""
        now = _identity(self._path)
        self._is_gone = now is None
        if now in (None, self._identity):
            return False
        self._remove_log()
        if not self._is_told:
            self._is_told = True
            logger.warning("the file %s was replaced: opening the new one", self._path)
        return True

    def refuse_gone(self) -> None:
        """Raise OperationalError if is_replaced() found no file: what is written to this one is nowhere."""
        if self._is_gone:
            raise OperationalError(None, None, sqlite3.OperationalError(f"the file {self._path} is gone"))

    def has_its_log(self) -> bool:
        """Whether the log at this path is still the one. The last connection to be closed removes it."""
        return _identity(f"{self._path}-wal") == _identity(self._log)

    def _remove_log(self) -> None:
        """SQLite would take it for the new file's."""
        folder = os.open(Path(self._path).parent, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)  # or another process could just have made the new file's
            if self.has_its_log():
                for kind in ("wal", "shm"):
                    Path(f"{self._path}-{kind}").unlink(missing_ok=True)
        finally:
            os.close(folder)


def _identity(path: str | int) -> tuple[int, int] | None:
    try:
        status = os.stat(path)  # noqa: PTH116 - before each transaction, and Path.stat() takes twice as long
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def notice_replacing(engine: Engine) -> None:
    """Have the engine notice that its file was replaced: before it connects, and in its pool."""
    latest: list[OpenFile] = []

    def look(*_: object) -> None:
        if latest and latest[0].is_replaced():
            latest.clear()

    def remember(driver: Any, record: Any) -> None:
        cursor = driver.cursor()
        cursor.execute("SELECT count(*) FROM sqlite_schema").fetchone()  # the log is there from now on
        [(_, _, path), *_] = cursor.execute("PRAGMA database_list").fetchall()
        cursor.close()
        if not (latest and latest[0].has_its_log()):
            latest[:] = [OpenFile(os.path.realpath(path))]
        record.info["file"] = latest[0]

    def refuse(_driver: object, record: Any, _proxy: object) -> None:
        if record.info["file"].is_replaced():
            raise InvalidatePoolError

    event.listen(engine, "do_connect", look)
    event.listen(engine, "connect", remember)
    event.listen(engine, "checkout", refuse)
