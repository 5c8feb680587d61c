"""Sample jobs for the queue's tests. Worker processes import them too, so they need only jobqueue.

What a job did is seen in `said` (in this process), in lines of a file (in any process), or in rows of `Line`.
"""

import os
import signal
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import ForeignKey
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from jobqueue import Claimed, Job, Queue, job
from jobqueue.lease import Outcome

GATE_SECONDS = 30.0  # the longest wait at a gate, for threads of a failed test

said: list[str] = []
gates: defaultdict[str, threading.Event] = defaultdict(threading.Event)
scripts: dict[str, Callable[..., object]] = {}


def append_line(path: str, text: str) -> None:
    """Append a line to a file, intact even if other processes append at the same time."""
    with Path(path).open("a") as file:
        file.write(f"{text}\n")


def lines_of(path: str | Path) -> list[str]:
    """The file's lines; none while it does not exist."""
    return Path(path).read_text().splitlines() if Path(path).exists() else []


def only_job(queue: Queue) -> Job:
    """The queue's only job, in its current state."""
    (job,) = queue.jobs()
    return job


def texts(queue: Queue) -> list[str]:
    """What is in the queue's jobs, in their order."""
    return [job.handler.rpartition(":")[2].strip('"}') for job in queue.jobs()]


def failed(job: Claimed, text: str, run_at: datetime | None = None) -> Outcome:
    """The outcome of an attempt that failed with this last_error: it runs again at `run_at`, or never."""
    return Outcome(job, RuntimeError(text), text, run_at, job.attempts)


class Base(DeclarativeBase):
    """The application's own tables, in the queue's database."""


class Line(Base):
    """What a job wrote into the database."""

    __tablename__ = "lines"
    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]
    # Checked at COMMIT: a line whose parent is missing fails its whole transaction there, and not before.
    parent_id: Mapped[int | None] = mapped_column(
        ForeignKey("lines.id", deferrable=True, initially="DEFERRED")
    )


@job
class Article(Base):
    """A mapped object whose perform() calls the script named by its title, which may change the object."""

    __tablename__ = "articles"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    body: Mapped[str] = mapped_column(default="")

    def perform(self) -> None:
        scripts[self.title](self)


@job
@dataclass
class Say:
    text: str

    def perform(self) -> None:
        said.append(self.text)


@job
@dataclass
class Append:
    path: str
    text: str

    def perform(self) -> None:
        append_line(self.path, self.text)


@job
@dataclass
class WriteLine:
    text: str

    def perform(self, session: Session) -> None:
        session.add(Line(text=self.text))


@job
@dataclass
class Fail:
    message: str

    def perform(self) -> None:
        raise RuntimeError(self.message)


@job
@dataclass
class CloseOutput:
    """Closes these streams of its process."""

    names: list[str]

    def perform(self) -> None:
        for name in self.names:
            getattr(sys, name).close()


@job
@dataclass
class WaitAtGate:
    """Says that it has arrived, waits until the test opens the gate, and says that it has passed."""

    gate: str

    def perform(self) -> None:
        said.append(f"at {self.gate}")
        gates[self.gate].wait(GATE_SECONDS)
        said.append(f"through {self.gate}")


@job
@dataclass
class HangAtFirst:
    """Hangs at the first attempt until its process is killed; fails at the second."""

    path: str

    def perform(self) -> None:
        append_line(self.path, "begun")
        if len(lines_of(self.path)) == 1:
            threading.Event().wait()
        raise RuntimeError("the second attempt")


@job
@dataclass
class KillItsWorker:
    """Poison: kills its process at every attempt, as the system does when it runs out of memory. If this is
    in the environment, so does its failure().
    """

    path: str

    def perform(self) -> None:
        append_line(self.path, "begun")
        os.kill(os.getpid(), signal.SIGKILL)

    def failure(self, job: Claimed) -> None:
        append_line(self.path, "failure")
        if "TEST_KILLS_IN_FAILURE" in os.environ:
            os.kill(os.getpid(), signal.SIGKILL)


@job
@dataclass
class WaitForFile:
    """Writes a line to one file when it begins, and waits until another exists."""

    begun: str
    awaited: str

    def perform(self) -> None:
        append_line(self.begun, "begun")
        deadline = time.monotonic() + GATE_SECONDS
        while not Path(self.awaited).exists() and time.monotonic() < deadline:
            time.sleep(0.005)


@job
@dataclass
class WriteLineAndHangAtFirst:
    """Writes to the database, uncommitted, and hangs at the first attempt until its process is killed."""

    path: str
    text: str

    def perform(self, session: Session) -> None:
        session.add(Line(text=self.text))
        session.flush()
        append_line(self.path, "begun")
        if len(lines_of(self.path)) == 1:
            threading.Event().wait()


@job
@dataclass
class Call:
    """Calls a function of the test: see call()."""

    script: str

    def perform(self) -> None:
        scripts[self.script]()


@job
@dataclass
class CallWithSession:
    """Calls a function of the test with the job's session: see call_with_session()."""

    script: str

    def perform(self, session: Session) -> None:
        scripts[self.script](session)


def call(function: Callable[[], object]) -> Call:
    """A job that calls this function."""
    scripts[function.__name__] = function
    return Call(function.__name__)


def call_with_session(function: Callable[[Session], object]) -> CallWithSession:
    """A job that calls this function with its session."""
    scripts[function.__name__] = function
    return CallWithSession(function.__name__)


def article(function: Callable[[Article], Any]) -> Article:
    """A mapped object, not yet saved, whose perform() calls this function with it."""
    scripts[function.__name__] = function
    return Article(title=function.__name__)
