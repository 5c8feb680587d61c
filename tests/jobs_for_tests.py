"""A small cast of jobs for the queue's tests. Worker processes import it too, so it needs jobqueue alone.

What a job did is told by `said` (in this process), by lines in a file (in any process), or by rows of `Line`.
"""

import os
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import ForeignKey
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from jobqueue import Job, Queue, job

GATE_SECONDS = 30.0  # no thread waits longer at a gate: not even in a test that fails

said: list[str] = []
gates: defaultdict[str, threading.Event] = defaultdict(threading.Event)
scripts: dict[str, Callable[..., object]] = {}


def append_line(path: str, text: str) -> None:
    """Add a line to a file, whole, whoever else does so at the same time."""
    with Path(path).open("a") as file:
        file.write(f"{text}\n")


def lines_of(path: str | Path) -> list[str]:
    """The file's lines; none when it is not there yet."""
    return Path(path).read_text().splitlines() if Path(path).exists() else []


def only_job(queue: Queue) -> Job:
    """The queue's one and only job, as it is now."""
    (job,) = queue.jobs()
    return job


class Base(DeclarativeBase):
    """The application's own tables, in the queue's database."""


class Line(Base):
    """What a job wrote into the database."""

    __tablename__ = "lines"
    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]
    # Checked by COMMIT: a line whose parent is missing breaks its whole transaction there, and not before.
    parent_id: Mapped[int | None] = mapped_column(
        ForeignKey("lines.id", deferrable=True, initially="DEFERRED")
    )


@job
class Article(Base):
    """A mapped object with perform(): calls the script of its title, which may change it."""

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
class WaitAtGate:
    """Says that it is there, waits until a test opens the gate, and says that it has passed."""

    gate: str

    def perform(self) -> None:
        said.append(f"at {self.gate}")
        gates[self.gate].wait(GATE_SECONDS)
        said.append(f"through {self.gate}")


@job
@dataclass
class HangAtFirst:
    """Hangs at the first attempt, until its process is killed; fails at the second."""

    path: str

    def perform(self) -> None:
        append_line(self.path, "begun")
        if len(lines_of(self.path)) == 1:
            threading.Event().wait()
        raise RuntimeError("the second attempt")


@job
@dataclass
class KillItsWorker:
    """Poison: its process dies at every attempt, as if by the system that ran out of memory."""

    path: str

    def perform(self) -> None:
        append_line(self.path, "begun")
        os.kill(os.getpid(), signal.SIGKILL)


@job
@dataclass
class WaitForFile:
    """Says that it has begun by a line in one file, and waits for another."""

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
    """Writes into the database, uncommitted, and hangs at the first attempt until its process is killed."""

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
    """A mapped object, not saved yet, whose perform() calls this function with it."""
    scripts[function.__name__] = function
    return Article(title=function.__name__)
