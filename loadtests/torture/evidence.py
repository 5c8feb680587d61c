"""Counts, from what the attempts have left behind, what was lost, done twice, or done twice at once."""

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from jobqueue import Queue
from loadtests.torture.jobs import Effect


class Fates(NamedTuple):
    """What became of a trial's jobs. The first six are numbers of jobs."""

    tried: int
    left: int  # still in the table when the trial's time was over
    lost: int  # neither done nor in the table
    doubled: int  # with more than one effect in the database
    overlapping: int  # of which two attempts ran at the same time
    again: int  # begun more than once: allowed, since a worker that dies can't tell what it has done
    pause: float  # the longest time in which no job ended, in seconds
    struck: int = 0  # how often the harm was done
    stalled: bool = False  # whether no job ended any more, though the trial had time


class Try(NamedTuple):
    """An attempt at a job: the moments of its first line, of its last, and of its end, if it came to that."""

    begun: float
    last: float
    ended: float | None


def attempts(file: Path) -> dict[int, list[Try]]:
    """The attempts at each job, by its number, in the order in which they began."""
    moments: dict[tuple[int, str], list[tuple[float, str]]] = defaultdict(list)
    for line in file.read_text().splitlines() if file.exists() else ():
        number, attempt, what, moment = line.split()
        moments[int(number), attempt].append((float(moment), what))
    by_job: dict[int, list[Try]] = defaultdict(list)
    for (job, _), lines in moments.items():
        ends = [moment for moment, what in lines if what == "end"]
        by_job[job].append(Try(lines[0][0], lines[-1][0], ends[0] if ends else None))
    return {number: sorted(tried) for number, tried in by_job.items()}


def count(queue: Queue, file: Path, plain: Sequence[int], writing: Sequence[int]) -> Fates:
    """Count what became of the jobs with these numbers: Leave jobs, and Write jobs."""
    ours = {*plain, *writing}
    tried = {number: one for number, one in attempts(file).items() if number in ours}
    with Session(queue.engine) as session:
        effects = Counter(session.scalars(sa.select(Effect.number)))
        handlers = session.scalars(sa.select(queue.tables.Job.handler)).all()
    waiting = ours & {_number(handler) for handler in handlers}
    ended = sorted(each.ended for one in tried.values() for each in one if each.ended is not None)
    done = {number for number in plain if any(each.ended is not None for each in tried.get(number, ()))}
    done |= effects.keys()
    return Fates(
        tried=len(ours),
        left=len(waiting),
        lost=len(ours - done - waiting),
        doubled=sum(times > 1 for times in effects.values()),
        overlapping=sum(_overlap(one) for one in tried.values()),
        again=sum(len(one) > 1 for one in tried.values()),
        pause=max((later - earlier for earlier, later in pairwise(ended)), default=0.0),
    )


def _number(handler: str) -> int:
    """The number of the job with this handler; -1 if it is none of ours."""
    try:
        number: int = json.loads(handler)["arguments"]["number"]
        return number if isinstance(number, int) else -1
    except (ValueError, LookupError, TypeError, RecursionError):
        return -1


def _overlap(tried: Sequence[Try]) -> bool:
    """Whether an attempt still left a line after another had begun. (One that was killed leaves none.)"""
    last = 0.0
    for each in tried:
        if each.begun < last:
            return True
        last = max(last, each.last)
    return False
