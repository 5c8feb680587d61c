"""The file by which a supervisor is found, and the named pipe beside it by which it is given orders.

A supervisor holds a lock on the file for as long as it lives. The system drops the lock when the process
ends, however it ends, so neither a stale file nor a reused process id is taken for a supervisor.
"""

import errno
import fcntl
import json
import logging
import os
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from sqlalchemy import URL

from jobqueue.errors import JobQueueError

logger = logging.getLogger("jobqueue")

BEGINNING = '{"supervisor": '  # of every state file; any other file is never overwritten
LOCK_PATIENCE = 0.5  # seconds within which a mere reader has released the lock
LOCK_ASK_SECONDS = 0.01


class AlreadySupervised(JobQueueError):
    """A supervisor is already running."""


@dataclass(frozen=True)
class WorkerState:
    """A worker process, as its supervisor sees it."""

    pid: int | None  # None while it waits to be restarted
    name: str  # as in jobs.locked_by; empty until it is working
    state: str  # starting, working, stopping, or waiting (to be restarted)
    started_at: str | None  # in ISO 8601, like all times here
    restarts: int
    has_worked: bool  # it, or one before it in its place


@dataclass(frozen=True)
class SupervisorState:
    """A supervisor and its workers, at the last change."""

    supervisor: int  # process id
    started_at: str
    wanted: int  # how many workers
    stop_timeout: float  # seconds that a worker may take to stop
    database: str | None  # None when the URL has a password, which does not belong in a file
    table: str
    schema: str | None
    workers: tuple[WorkerState, ...]

    def working(self) -> int:
        """How many workers are working."""
        return sum(worker.state == "working" for worker in self.workers)


class StateFile:
    """A supervisor's file; the lock on it proves that the supervisor is alive."""

    def __init__(self, path: Path):
        if not path.name:
            raise JobQueueError(f"{path} is no file: name another state file with --state")
        self.path = path
        self._pipe = path.with_name(path.name + ".orders")  # not signals: so no process id is trusted
        self._file = self.orders = -1  # `orders`: readable when there are any
        self._written = b""

    # -- for the supervisor

    def hold(self) -> None:
        """Lock the file, empty it, and make the pipe. Raises AlreadySupervised; and JobQueueError for a file
        of another kind, or when a file can't be written.
        """
        deadline = time.monotonic() + LOCK_PATIENCE
        while True:
            try:
                file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            except OSError as error:
                raise JobQueueError(
                    f"the state file {self.path} can't be written: {error.strerror}"
                ) from error
            with suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if self._is_at_path(file):  # not one that its supervisor has just deleted
                    break
            os.close(file)
            if time.monotonic() > deadline:
                raise AlreadySupervised(
                    f"a supervisor is already running, and holds {self.path}: see jobqueue status;"
                    " a second one needs another --state"
                )
            time.sleep(LOCK_ASK_SECONDS)
        there = os.pread(file, 1 << 20, 0).decode(errors="replace")
        if there and not there.startswith(BEGINNING):
            os.close(file)
            raise JobQueueError(f"{self.path} is not a state file of jobqueue; name another with --state")
        os.ftruncate(file, 0)
        self._file = file
        try:
            self._pipe.unlink(missing_ok=True)
            os.mkfifo(self._pipe, 0o600)
            # Also for writing: otherwise this end would see EOF after each order.
            self.orders = os.open(self._pipe, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise JobQueueError(f"the named pipe {self._pipe} can't be made: {error.strerror}") from error

    def write(self, state: SupervisorState) -> None:
        """Write the state, if it has changed."""
        text = json.dumps(asdict(state)).encode()
        if text != self._written:
            # In place, since the lock is on this file. A reader that sees half of it tries again: see read().
            try:
                os.pwrite(self._file, text, 0)
                os.ftruncate(self._file, len(text))
                self._written = text
            except OSError as error:  # a full disk is no reason to abandon the workers
                logger.error("the state file %s can't be written: %s", self.path, error.strerror)

    def read_orders(self) -> list[str]:
        """The orders given since the last call."""
        with suppress(BlockingIOError):
            return os.read(self.orders, 4096).decode(errors="replace").splitlines()
        return []

    def close(self) -> None:
        """Close the file and the pipe; a forked process that does so leaves the supervisor its lock."""
        os.close(self._file)
        os.close(self.orders)

    def release(self) -> None:
        """Delete the file and the pipe, and release the lock."""
        self._pipe.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)
        self.close()

    # -- for all other processes

    def read(self) -> SupervisorState | None:
        """What the supervisor last wrote; None when none is running. Raises JobQueueError."""
        deadline = time.monotonic() + LOCK_PATIENCE
        while True:
            try:
                text = self._read_if_held()
            except OSError as error:
                raise JobQueueError(f"the state file {self.path} can't be read: {error.strerror}") from error
            if text is None:
                return None
            with suppress(ValueError, TypeError, KeyError):  # half written
                state = json.loads(text)
                workers = tuple(WorkerState(**worker) for worker in state.pop("workers"))
                return SupervisorState(**state, workers=workers)
            if time.monotonic() > deadline:
                raise JobQueueError(f"{self.path} is not a state file of this version of jobqueue")
            time.sleep(LOCK_ASK_SECONDS)

    def order(self, text: str) -> bool:
        """Give the supervisor an order; returns False when none is running. Raises JobQueueError."""
        try:
            pipe = os.open(self._pipe, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            if error.errno in {errno.ENOENT, errno.ENXIO}:  # no pipe, or no reader
                return False
            raise JobQueueError(
                f"the supervisor can't be reached ({self._pipe}): {error.strerror}"
            ) from error
        os.write(pipe, f"{text}\n".encode())
        os.close(pipe)
        return True

    def _read_if_held(self) -> str | None:
        try:
            file = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            with suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                return None
            return os.pread(file, 1 << 20, 0).decode(errors="replace")
        finally:
            os.close(file)

    def _is_at_path(self, file: int) -> bool:
        with suppress(FileNotFoundError):
            return os.path.samestat(os.fstat(file), self.path.stat())
        return False


def without_password(url: URL) -> str | None:
    """The URL for the state file, valid in every folder; None if it has a password."""
    if url.password is not None:
        return None
    if url.get_backend_name() == "sqlite" and url.database and not url.database.startswith("file:"):
        url = url.set(database=str(Path(url.database).resolve()))
    return url.render_as_string()
