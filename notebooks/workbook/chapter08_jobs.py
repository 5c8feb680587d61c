"""The jobs of chapter 8, and the program of its workers, which imports nothing heavy.

What the jobs do outside the database, and when, is noted in a file in the folder that they are given.
"""

import json
import logging
import os
import signal
import sys
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from jobqueue import Queue, Worker, job
from jobqueue.tools.meter import Meter

FOR_EVER = 3600.0  # seconds; somebody will have killed it by then
LOG_FILE = "log.jsonl"
GO_ON = "go on"  # a file of this name ends the long attempts


class Base(DeclarativeBase):
    """The shop's own tables, in the queue's database."""


class Payment(Base):
    """A payment that was made."""

    __tablename__ = "payments"
    id: Mapped[int] = mapped_column(primary_key=True)
    order: Mapped[str]


def note(folder: str, name: str, what: str) -> int:
    """Add a line to the folder's file; returns how often this has been noted of this name, now included."""
    path = Path(folder) / LOG_FILE
    with path.open("a") as file:
        file.write(json.dumps({"name": name, "what": what, "pid": os.getpid(), "at": time.time()}) + "\n")
    return sum(each["name"] == name and each["what"] == what for each in noted(folder))


def noted(folder: str) -> list[dict[str, Any]]:
    """The lines of the folder's file."""
    path = Path(folder) / LOG_FILE
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def die() -> None:
    """End this process as kill -9 does: nothing is finished, nothing is cleaned up."""
    os.kill(os.getpid(), signal.SIGKILL)


def work() -> None:
    """A worker by itself, for the database and the lease of the command line: `jobqueue work` would have a
    supervisor, which sees a worker die.
    """
    logging.basicConfig(stream=sys.stdout, format="%(message)s", level=logging.INFO)
    queue = Queue(sys.argv[1], lease=timedelta(seconds=float(sys.argv[2])))
    # One job at a time: in a batch, each death would spend an attempt of the jobs behind it as well.
    worker = Worker(queue, max_batch=1, stop_timeout=0.2, observers=[Meter()])
    signal.signal(signal.SIGTERM, lambda _number, _frame: worker.stop())
    worker.run()


@job
@dataclass
class SendMail:
    """Sends a mail (a line in the file). Its first attempt may die, or never end after sending."""

    folder: str
    to: str
    first: str = "goes well"  # or "dies before", "dies after", "takes long"

    def perform(self) -> None:
        attempt = note(self.folder, self.to, "begun")
        if attempt == 1 and self.first == "dies before":
            die()
        note(self.folder, self.to, "mail")
        if attempt == 1 and self.first == "dies after":
            die()
        if self.first == "takes long":
            _rest(FOR_EVER if attempt == 1 else 0.5, Path(self.folder) / GO_ON)
        note(self.folder, self.to, "done")


def _rest(seconds: float, unless: Path) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and not unless.exists():
        time.sleep(0.02)


@job
@dataclass
class Pay:
    """Makes a payment: a row in the database, by the session that also finishes the job."""

    folder: str
    order: str
    first: str = "goes well"  # or "dies before", "dies after"

    def perform(self, session: Session) -> None:
        attempt = note(self.folder, self.order, "begun")
        if attempt == 1 and self.first == "dies before":
            die()
        session.add(Payment(order=self.order))
        session.flush()
        if attempt == 1 and self.first == "dies after":
            die()


@job
@dataclass
class Poison:
    """Kills its worker at every attempt, like a job that needs more memory than there is."""

    folder: str
    name: str

    def perform(self) -> None:
        note(self.folder, self.name, "begun")
        die()


@job
@dataclass
class AlwaysFails:
    """Raises an exception at every attempt."""

    def perform(self) -> None:
        raise ConnectionError("the mail server does not answer")
