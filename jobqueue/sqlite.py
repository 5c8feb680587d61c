"""SQLite: how its file is opened, and transactions are begun. It may be replaced while it is open, as in a
restore: its connections would go on with the old one, which nobody finds any more.
"""

import fcntl
import logging
import os
import random
import sqlite3
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any
from weakref import finalize

from sqlalchemy import Connection, Engine, PoolProxiedConnection, event
from sqlalchemy.exc import InvalidatePoolError

from jobqueue.dialects import read_text

logger = logging.getLogger("jobqueue")

BUSY_TIMEOUT_MS = 15_000
WAL_BYTES = 2**24
ASK_SECONDS = (0.001, 0.05)  # between a writer's attempts to get the write lock: at first, at last


def set_up(reading: Engine, writing: Engine) -> None:
    """Have the engines open the file as a queue needs it. Transactions of the second one wait for the write
    lock at their start: one that read first would fail at its first write if another had written since,
    whatever the timeout.
    """
    for engine in (reading, writing):
        # Not by the event "begin": an engine with such events takes a tenth longer for each enqueue().
        engine.dialect.do_begin = partial(_begin, writes=engine is writing)  # type: ignore[method-assign]
        event.listen(engine, "connect", _configure)
        event.listen(engine, "reset", _reset)
    _notice_replacing(reading, writing)


def file_of(connection: Connection) -> str:
    """The path of the file that is open; empty for a database in memory."""
    file = os.fsdecode(connection.exec_driver_sql("PRAGMA database_list").all()[0][2])
    return file and os.path.realpath(file)


def _configure(driver: Any, _record: object) -> None:
    if sys.version_info >= (3, 12):
        driver.autocommit = sqlite3.LEGACY_TRANSACTION_CONTROL
    if driver.text_factory is str:  # not what a given engine has set
        driver.text_factory = read_text
    driver.isolation_level = None  # we send BEGIN ourselves; sqlite3 would send it too late
    cursor = driver.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    # Readers and the writer don't wait for each other. The first to open a new file switches it to WAL;
    # SQLite doesn't wait for the lock this takes, so processes that start together would fail.
    _execute_when_free(cursor, "PRAGMA journal_mode = WAL")
    cursor.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")  # of a WAL that has grown, once it is reused
    cursor.execute("PRAGMA synchronous = FULL")  # a committed job survives a power cut
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _begin(connection: PoolProxiedConnection, *, writes: bool) -> None:
    file = connection.info.get("file")
    if not file:  # a connection of the caller's driver, on which he begins
        return
    file.refuse_gone()
    cursor = connection.cursor()
    if not writes:
        cursor.execute("BEGIN")
        return
    cursor.execute("PRAGMA busy_timeout = 0")
    try:
        _execute_when_free(cursor, "BEGIN IMMEDIATE")
    finally:
        cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        cursor.close()


def _execute_when_free(cursor: Any, statement: str) -> None:
    """Ask until the lock is free: often at first, then once in each twentieth of the time waited, more or
    less. SQLite's own busy_timeout comes to ask ten times a second, so that newcomers overtake those who have
    waited long. And if all of a crowd asked every millisecond, who has the lock would lack the processor.
    """
    start = time.monotonic()
    while True:
        try:
            cursor.execute(statement)
            return
        except sqlite3.OperationalError as error:
            waited = time.monotonic() - start
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or waited > BUSY_TIMEOUT_MS / 1000:
                raise
        first, last = ASK_SECONDS
        time.sleep(random.uniform(0.5, 1.5) * min(max(first, waited / 20), last))


def _reset(driver: Any, *_: object) -> None:
    # A failed COMMIT leaves SQLite's transaction open, but SQLAlchemy believes it has ended: the connection
    # would return to the pool holding the write lock.
    driver.rollback()


class OpenFile:
    """The file that connections have open, at this path, and its write-ahead log."""

    def __init__(self, path: str):
        self._path = path
        self._identity = _identity(path)
        self._is_gone = False
        # As long as this is open, no other file gets the log's number. (A few file systems allow none.)
        log = f"{path}-wal"
        self._log = os.open(log if Path(log).exists() else os.devnull, os.O_RDONLY)
        finalize(self, os.close, self._log)

    def is_replaced(self) -> bool:
        """Whether another file has its path now."""
        now = _identity(self._path)
        self._is_gone = now is None
        return now not in (None, self._identity)

    def refuse_gone(self) -> None:
        """Raise OperationalError if is_replaced() found no file: what is written to this one is nowhere."""
        if self._is_gone:
            raise sqlite3.OperationalError(f"the file {self._path} is gone")

    def has_its_log(self) -> bool:
        """Whether the log at this path is still the one. The last connection to be closed removes it."""
        return _identity(f"{self._path}-wal") == _identity(self._log)

    def give_up(self) -> None:
        """Remove the log that it has left there, which SQLite would take for the new file's."""
        logger.warning("the file %s was replaced: opening the new one", self._path)
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


def _notice_replacing(*engines: Engine) -> None:
    """Have the engines notice that their file was replaced: before they connect, and in their pools."""
    latest: list[OpenFile] = []

    def look(*_: object) -> None:
        if latest and latest[0].is_replaced():
            latest.pop().give_up()

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

    for engine in engines:
        event.listen(engine, "do_connect", look)
        event.listen(engine, "connect", remember)
        event.listen(engine, "checkout", refuse)
