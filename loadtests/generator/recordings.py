"""Samples a process's use of the machine, and merges the recordings of several processes into one.

Each process counts time from its own start. A recording states that start in Unix time, and is shifted to the
start of the whole. Differences between the clocks of two machines are already corrected: see gathering.py.
"""

import time
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from loadtests.generator.loadoptions import Load
from loadtests.records.recording import Arrivals, Recording, Stage, Vital
from loadtests.records.rows import Row, cells
from loadtests.servers.machine import host_seconds

ROWS_A_MESSAGE = 5000
TOGETHER_SECONDS = 2.0  # within which all processes end a load


def look(at: float, users: int) -> Vital:
    """A sample of this process, now."""
    return Vital(at, time.process_time(), *host_seconds(), users)


def merged(parts: Sequence[Recording], started_at: float) -> Recording:
    """All recordings as one, which began at `started_at` (Unix time). No parts: an empty one."""
    moved = [_moved(part, part.started_at - started_at) for part in parts]
    counts = [part.arrivals for part in moved if part.arrivals]
    stopped = max((part.stopped_s for part in moved), default=0.0)
    moved = [_left(part, stopped) if part.stopped_s < stopped - TOGETHER_SECONDS else part for part in moved]
    return Recording(
        started_at=started_at,
        stopped_s=stopped,
        ended_s=max((part.ended_s for part in moved), default=0.0),
        rows=tuple(sorted((row for part in moved for row in part.rows), key=lambda row: row.intended_s)),
        lag=tuple(sorted(lag for part in moved for lag in part.lag)),
        vitals=tuple(process for part in moved for process in part.vitals),
        visits=tuple(sorted({group for part in moved for group in part.visits})),
        resent=sum(part.resent for part in moved),
        left_out=sum(part.left_out for part in moved),
        clock_error_s=max((part.clock_error_s for part in moved), default=0.0),
        faults=tuple(dict.fromkeys(fault for part in moved for fault in part.faults)),
        arrivals=sum(counts, Arrivals()) if counts else None,
    )


def _left(part: Recording, stopped: float) -> Recording:
    """The recording of a process that ended early, without its users from then on: the others run them."""
    early = f"a load generator was ended {stopped - part.stopped_s:.1f} s before the others"
    gone = tuple(
        (*vitals, vitals[-1]._replace(at=part.stopped_s, users=0)) for vitals in part.vitals if vitals
    )
    return msgspec.structs.replace(part, vitals=gone, faults=(*part.faults, early))


def _moved(part: Recording, later: float) -> Recording:
    return msgspec.structs.replace(
        part,
        stopped_s=part.stopped_s + later,
        ended_s=part.ended_s + later,
        rows=tuple(row.moved(later) for row in part.rows),
        lag=tuple(lag._replace(at=lag.at + later) for lag in part.lag),
        vitals=tuple(
            tuple(vital._replace(at=vital.at + later) for vital in process) for process in part.vitals
        ),
    )


def with_plan(
    recording: Recording,
    load: Load,
    stages: Sequence[Stage],
    users_asked: int,
    lost: int = 0,
    looks: Sequence[int] = (),
    decided_s: float | None = None,
) -> Recording:
    """The recording with its load and the limits it is judged by. `lost`: processes that did not report."""
    return msgspec.structs.replace(
        recording,
        model=load.model,
        rate_per_s=load.rate if load.open and not load.steps else None,
        connections=load.connections,
        users_asked=None if load.open else users_asked,
        stages=tuple(stages),
        warm_up_s=load.warm_up,
        seed=load.seed,
        rule_ms=load.rule_ms,
        most_over=load.most_over,
        expectations=load.expectations,
        looks=tuple(looks),
        decided_s=decided_s,
        processes_lost=lost,
    )


def pack(recording: Recording) -> Iterator[dict[str, Any]]:
    """A worker's messages, of plain lists and numbers; the last one has everything but the rows."""
    rows = recording.rows
    for first in range(0, len(rows), ROWS_A_MESSAGE):
        yield {"rows": [list(cells(row)) for row in rows[first : first + ROWS_A_MESSAGE]]}
    yield {"last": msgspec.to_builtins(msgspec.structs.replace(recording, rows=()))}


class Collector:
    """Reassembles one worker's recording from its messages."""

    def __init__(self) -> None:
        self.recording: Recording | None = None  # set by the last message
        self._rows: list[Row] = []

    def add(self, message: dict[str, Any]) -> None:
        self._rows += [Row(*row) for row in message.get("rows", ())]
        if last := message.get("last"):
            known = msgspec.convert(last, Recording)
            self.recording = msgspec.structs.replace(known, rows=tuple(self._rows))
