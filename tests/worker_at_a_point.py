"""For worker processes of the tests: sets their batch size, and the point at which they die.

The process imports this (`--import worker_at_a_point`) and reads its environment. A test that imports it for
its jobs lacks these variables, so nothing is patched there. The library knows nothing of this module.
"""

import os
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from jobs_for_tests import Line, append_line
from sqlalchemy.orm import Session

from jobqueue import around, job
from jobqueue.lease import Lease
from jobqueue.ledger import Ledger
from jobqueue.slots import BatchSize, Slot

BATCHES = "TEST_BATCHES_OF"
POINT = "TEST_DIES_AT"
AFTER = "TEST_DIES_AFTER"  # how often it survives the point

BEFORE_THE_CLAIM_COMMITS = "before the claim commits"
AFTER_THE_CLAIM = "after the claim"
BEFORE_THE_EFFECT = "before the effect"
AFTER_THE_EFFECT = "after the effect"
BEFORE_THE_FINISH_COMMITS = "before the finish commits"
AFTER_THE_FINISH = "after the finish"
IN_A_CONTEXT = "in a context"
WHILE_LOADING = "while loading"
POINTS = (
    BEFORE_THE_CLAIM_COMMITS,
    AFTER_THE_CLAIM,
    BEFORE_THE_EFFECT,
    AFTER_THE_EFFECT,
    BEFORE_THE_FINISH_COMMITS,
    AFTER_THE_FINISH,
)
told = os.environ.get(POINT)  # read once: a test sets it for the processes that it starts
left = [int(os.environ.get(AFTER, "0"))]


def at(point: str) -> None:
    """Die here, as by kill -9, if this is the chosen point."""
    if told == point:
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1


def always_batches_of(size: int, patch: Callable[[object, str, Any], None] = setattr) -> None:
    """Fix the workers' batch size from the start, however long the jobs take."""

    def stay(batch: BatchSize, *_: object) -> None:
        batch.size = size

    patch(BatchSize, "__init__", stay)
    patch(BatchSize, "learn", stay)


def _die_at_these_points() -> None:
    take, start, finish, exchange = Lease.take, Slot.start, Lease.finish, Ledger.exchange

    def dying_take(*arguments: Any) -> Any:
        claimed = take(*arguments)
        if claimed:
            at(BEFORE_THE_CLAIM_COMMITS)
        return claimed

    def dying_start(*arguments: Any) -> None:
        at(AFTER_THE_CLAIM)
        start(*arguments)

    def dying_finish(*arguments: Any) -> Any:
        finished = finish(*arguments)
        if finished:
            at(BEFORE_THE_FINISH_COMMITS)
        return finished

    def dying_exchange(ledger: Ledger, outcomes: Any, *arguments: Any) -> Any:
        hands = exchange(ledger, outcomes, *arguments)
        if outcomes:
            at(AFTER_THE_FINISH)
        return hands

    Lease.take, Slot.start, Lease.finish = dying_take, dying_start, dying_finish  # type: ignore[assignment,method-assign]
    Ledger.exchange = dying_exchange  # type: ignore[method-assign]

    @around
    def dying_context() -> AbstractContextManager[None]:
        at(IN_A_CONTEXT)
        return nullcontext()


@job
@dataclass
class AppendAt:
    """A plain job: its effect is a line in a file."""

    path: str
    text: str

    def __post_init__(self) -> None:
        at(WHILE_LOADING)

    def perform(self) -> None:
        at(BEFORE_THE_EFFECT)
        append_line(self.path, self.text)
        at(AFTER_THE_EFFECT)


@job
@dataclass
class WriteLineAt:
    """Its effect is a row, written by the session that finishes the job. `path` gets a line per attempt."""

    path: str
    text: str

    def perform(self, session: Session) -> None:
        append_line(self.path, "attempt")
        at(BEFORE_THE_EFFECT)
        session.add(Line(text=self.text))
        session.flush()
        at(AFTER_THE_EFFECT)


if BATCHES in os.environ:
    always_batches_of(int(os.environ[BATCHES]))
if told:
    _die_at_these_points()
