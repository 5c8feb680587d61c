"""The jobs of the trials. Each attempt leaves evidence: lines in a file, and for some a row in the database.

A line is "number attempt what moment": which job, which attempt at it, its "begin", a "step" or its "end", or
that it will "hold" its interpreter; and when, in seconds on the machine's monotonic clock. Any number of
processes append whole lines.
"""

import os
import re
import time
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from functools import cache
from typing import Any

from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from jobqueue import job, performing, worker
from jobqueue.tools import working

EVIDENCE = "TORTURE_EVIDENCE"  # the variable that names the file
CLOCK_AHEAD = "TORTURE_CLOCK"  # the variable that says by how many seconds this process's clock is ahead
STEP_SECONDS = 0.01


class Base(DeclarativeBase):
    pass


class Effect(Base):
    """What a job has written to the queue's database."""

    __tablename__ = "effects"

    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[int]


def _set_clock_ahead(seconds: float) -> None:
    class Ahead(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:
            return datetime.now(tz) + timedelta(seconds=seconds)

    for module in (performing, worker, working):  # those that look at a worker's clock
        module.datetime = Ahead  # type: ignore[attr-defined]


if float(os.environ.get(CLOCK_AHEAD, "0")):
    _set_clock_ahead(float(os.environ[CLOCK_AHEAD]))


@cache
def _file() -> int:
    return os.open(os.environ[EVIDENCE], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)


def _note(number: int, attempt: str, what: str) -> None:
    os.write(_file(), f"{number} {attempt} {what} {time.monotonic():.6f}\n".encode())


def _work(number: int, steps: int) -> None:
    attempt = uuid.uuid4().hex
    _note(number, attempt, "begin")
    for _ in range(steps):
        time.sleep(STEP_SECONDS)
        _note(number, attempt, "step")
    _note(number, attempt, "end")


@job
@dataclass
class Leave:
    """Its effect is outside the database: it is there at least once."""

    number: int
    steps: int

    def perform(self) -> None:
        _work(self.number, self.steps)


@job
@dataclass
class Write:
    """Its effect is in the queue's database: it is there exactly once."""

    number: int
    steps: int

    def perform(self, session: Session) -> None:
        _work(self.number, self.steps)
        session.add(Effect(number=self.number))


@job
class HoldTheInterpreter:
    """Lets no other thread of its process run, in practice for ever."""

    def perform(self) -> None:
        _note(-1, uuid.uuid4().hex, "hold")
        re.match(r"(a+)+$", "a" * 64 + "b")
