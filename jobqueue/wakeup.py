"""Wakes the worker as soon as there are new jobs. Nothing depends on it: the worker also polls slowly.

SQLite: `PRAGMA data_version` tells whether another connection has committed; it costs a few microseconds.
PostgreSQL: LISTEN, on a connection of its own; enqueueing sends NOTIFY in the same transaction. With another
driver than psycopg 3, or behind a pooler, it rings several times a second instead.
"""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

from jobqueue.connections import is_pooled, outside_pool
from jobqueue.queue import Queue

logger = logging.getLogger("jobqueue")

LOOK_SECONDS = 0.015  # between reads of SQLite's data_version
POLL_OFTEN_SECONDS = 0.15  # between looks where there are no notifications
LISTEN_SECONDS = 0.2  # the longest wait for notifications, so that the thread ends soon when told to
CHECK_SECONDS = 10.0  # between checks that PostgreSQL still answers the listener
SILENCE_SECONDS = 3 * CHECK_SECONDS
RECONNECT_SECONDS = 1.0


class Watcher:
    """A thread that calls `ring` when there may be new jobs. If the database goes away, it reconnects."""

    def __init__(self, queue: Queue, ring: Callable[[], None]):
        self._queue = queue
        self._ring = ring
        self._ended = threading.Event()
        self._alive_at = time.monotonic()
        self._watch = self._watch_file if queue.engine.dialect.name == "sqlite" else self._listen
        self._thread = threading.Thread(target=self._loop, name="jobqueue watcher", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Let the thread end, which it does at once unless its connection hangs."""
        self._ended.set()
        self._thread.join(2 * LISTEN_SECONDS)

    def is_dead(self) -> bool:
        """Whether its connection has been silent for too long: it hangs, and the watcher must be replaced."""
        return time.monotonic() - self._alive_at > SILENCE_SECONDS

    def _loop(self) -> None:
        while not self._ended.is_set():
            try:
                driver: Any = outside_pool(self._queue.engine).dbapi_connection
                with closing(driver):  # SQLAlchemy would first roll back, and leave a lost connection open
                    self._watch(driver)
            except Exception as error:  # from SQLAlchemy, or from the driver itself
                if self._ended.is_set():
                    return
                said = " ".join(f"{type(error).__name__}: {error}".split())
                logger.warning("not notified of new jobs for a moment, polling: %s", said)
                self._ended.wait(RECONNECT_SECONDS)

    def _watch_file(self, driver: Any) -> None:
        cursor = driver.cursor()
        seen = None
        while not self._ended.wait(LOOK_SECONDS):
            version = cursor.execute("PRAGMA data_version").fetchone()[0]
            self._alive_at = time.monotonic()
            if version != seen:
                seen = version
                self._ring()

    def _poll(self, reason: str) -> None:
        logger.warning("not notified of new jobs, polling every %g seconds: %s", POLL_OFTEN_SECONDS, reason)
        while not self._ended.wait(POLL_OFTEN_SECONDS):
            self._alive_at = time.monotonic()
            self._ring()

    def _listen(self, driver: Any) -> None:
        if not callable(getattr(driver, "notifies", None)):  # psycopg2's is a list
            self._poll(f"the driver is {self._queue.engine.driver}, and only psycopg 3 notifies")
            return
        pooled = is_pooled(driver)
        driver.rollback()
        if pooled:
            self._poll("a pooler, such as PgBouncer, stands between")
            return
        driver.autocommit = True
        driver.execute(f'LISTEN "{self._queue.tables.channel}"')
        self._ring()  # for notifications sent before LISTEN
        while not self._ended.is_set():
            if time.monotonic() - self._alive_at > CHECK_SECONDS:
                driver.execute("SELECT 1")
                self._alive_at = time.monotonic()
            for _ in driver.notifies(timeout=LISTEN_SECONDS, stop_after=1):
                self._ring()
