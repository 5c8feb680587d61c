"""An SQLite file may be replaced while it is open, as in a restore: its connections would go on with the old
one, which nobody finds any more.
"""

import fcntl
import logging
import os
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.exc import InvalidatePoolError, OperationalError

logger = logging.getLogger("feedreader")

Identity = tuple[int, int] | None


class OpenFile:
    """The file that a connection has open. `told` has the files of which the log says that they took over."""

    def __init__(self, path: str, told: set[Identity]):
        self._path = Path(path)
        self._told = told
        self._identity = _identity(self._path)
        logs = (Path(f"{path}-{kind}") for kind in ("wal", "shm"))
        self._logs = {log: _identity(log) for log in logs}

    def is_replaced(self) -> bool:
        """Whether another file has its path."""
        now = _identity(self._path)
        if now in (None, self._identity):
            return False
        self._remove_logs()
        if now not in self._told:
            self._told.add(now)
            logger.warning("the file %s was replaced: opening the new one", self._path)
        return True

    def refuse_gone(self) -> None:
        """Raise OperationalError if no file has its path: what is written to this one would be nowhere."""
        if not _identity(self._path):
            raise OperationalError(None, None, sqlite3.OperationalError(f"the file {self._path} is gone"))

    def _remove_logs(self) -> None:
        """Remove what the old file has left: SQLite would take it for the new one's."""
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)  # or another process could just have made the new one's
            for log, was in self._logs.items():
                if was and _identity(log) == was:
                    log.unlink()
        finally:
            os.close(folder)


def _identity(path: Path) -> Identity:
    with suppress(FileNotFoundError):
        status = path.stat()
        return status.st_dev, status.st_ino
    return None


def notice_replacing(engine: Engine) -> None:
    """Let no connection to a file that was replaced out of the pool: new ones take their place."""
    told: set[Identity] = set()

    def remember(driver: Any, record: Any) -> None:
        cursor = driver.cursor()
        cursor.execute("SELECT count(*) FROM sqlite_schema").fetchone()  # its logs are there from now on
        [[_, _, path]] = cursor.execute("PRAGMA database_list").fetchall()[:1]
        cursor.close()
        record.info["file"] = OpenFile(os.path.realpath(path), told)

    def refuse(_driver: object, record: Any, _proxy: object) -> None:
        if record.info["file"].is_replaced():
            raise InvalidatePoolError

    event.listen(engine, "connect", remember)
    event.listen(engine, "checkout", refuse)
