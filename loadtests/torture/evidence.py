"""Counts, from what the attempts have left behind, what was lost, done twice, or done twice at once."""

import json
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Sequence
from math import ceil
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
    pause: float = 0.0  # after a harm, the longest time in which jobs were due and none ended, in seconds
    slow: float = 0.0  # the longest from when a job kept an interpreter until the rate was back, in seconds
    struck: int = 0  # how often the harm was done
    stalled: bool = False  # whether no job ended any more, though the trial had time


WINDOW_SECONDS = 0.5  # in which a rate is measured
BACK = 0.8  # of the rate before: the rate is back


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
    done = {number for number in plain if any(each.ended is not None for each in tried.get(number, ()))}
    done |= effects.keys()
    return Fates(
        tried=len(ours),
        left=len(waiting),
        lost=len(ours - done - waiting),
        doubled=sum(times > 1 for times in effects.values()),
        overlapping=sum(_overlap(one) for one in tried.values()),
        again=sum(len(one) > 1 for one in tried.values()),
        slow=slow(file),
    )


def slow(file: Path) -> float:
    """The longest time from the moment a job kept an interpreter until the rate was back, or until jobs ran
    out. The rate before is that of the two seconds before the first such moment.
    """
    lines = [line.split() for line in file.read_text().splitlines()] if file.exists() else []
    holds, ends = (sorted(float(line[3]) for line in lines if line[2] == what) for what in ("hold", "end"))

    def ended(since: float, seconds: float) -> int:
        return bisect_left(ends, since + seconds) - bisect_left(ends, since)

    if not (holds and ends):
        return 0.0
    longest = 0.0
    enough = ceil(BACK * ended(holds[0] - 2, 2) / 2 * WINDOW_SECONDS)
    ran_out = ends[-enough]  # fewer were left from then on
    for hold in holds:
        later = (moment for moment in [hold, *ends] if moment >= hold)
        back = next((moment for moment in later if ended(moment, WINDOW_SECONDS) >= enough), ran_out)
        longest = max(longest, back - hold)
    return longest


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
