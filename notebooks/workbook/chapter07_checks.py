"""The checks of chapter 7's exercises."""

from collections.abc import Iterator
from itertools import product
from random import Random
from typing import Any

from workbook.chapter07 import Jobs, begun, of_queue
from workbook.exercises import Case, Right, computes, is_number

THREADS_NEEDED = 30  # 86 (0.95 * 0.1 + 0.05 * 5) = 29.7
DEMANDS, LESS = (0.0625, 0.125, 0.25), (0.0, 0.5, 0.75)


def enough_threads(needed: Any) -> bool | str:
    """Does it count the jobs that hang, each once, and is it a whole number of threads?"""
    if not is_number(needed):
        return "It must be a number of threads."
    if needed != int(needed):
        return "There is no part of a thread."
    if needed < THREADS_NEEDED:
        return "Too few: the backlog grows. What does a job take now, on average over twenty of them?"
    return (
        needed == THREADS_NEEDED
        or "Fewer keep up as well: one job in twenty hangs, and which of them take 0.1 s?"
    )


def _bursts(draw: Random) -> Iterator[Case]:
    """Bursts that take a whole number of threads, or somewhat less; in binary fractions, so all is exact."""
    wrong = "With a whole number of threads the backlog must be gone in time, and one fewer must be too few."
    for number, (demand, less) in enumerate(product(DEMANDS, LESS)):
        needed, within = draw.randint(3, 40), draw.randint(2, 30)
        done = int((needed - less) / demand)  # jobs a second
        rate = draw.randint(0, done - 1) if number else 0
        yield ((done - rate) * within, rate, demand, within), needed, wrong


drains_in_time = computes(_bursts)


def keeps_them_apart(shared: Jobs) -> Right:
    """Did 3 threads do the urgent ones of these jobs, and 1 the ordinary ones?"""

    def right(own: Any) -> bool | str:
        if not isinstance(own, list) or not all(isinstance(each, dict) for each in own):
            return 'It must be what experiment("own-worker", ...) returns.'
        if _asked(own) != _asked(shared):
            return "These are other jobs: leave **FLOOD as it is."
        for queue, threads in (("urgent", 3), ("ordinary", 1)):
            if (found := _at_once(of_queue(own, queue))) != threads:
                return f"Up to {found} {queue} jobs ran at a time. How many threads serve only that queue?"
        return begun(own, "ordinary", by=3) > 50 or "The ordinary jobs waited all the same."

    return right


def _asked(jobs: Jobs) -> list[tuple[Any, ...]]:
    return sorted((each["queue"], each["due"], each["seconds"]) for each in jobs)


def _at_once(jobs: Jobs) -> int:
    """The most jobs that ran at a time."""
    running = most = 0
    moments = [(each[key], step) for each in jobs for key, step in (("began", 1), ("ended", -1))]
    for _, step in sorted(moments):  # at the same moment, ends come first
        running += step
        most = max(most, running)
    return most
