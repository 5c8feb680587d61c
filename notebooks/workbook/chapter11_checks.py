"""The checks of chapter 11's exercises: enough threads, a loop that hands over, and work that computes."""

import math
from collections.abc import Iterator, Mapping
from itertools import count
from random import Random
from typing import Any

from loadtests.theory import knee
from workbook.chapter11 import slowest
from workbook.exercises import NO_ANSWER, Case, Right, computes, is_number

PHOTOS, PAINTING_SECONDS, PAINTERS = 16, 2.5, 8


def _readers(draw: Random) -> Iterator[Case]:
    """Times in binary fractions; and no random case that is a whole number, where rounding would decide."""
    cases = [(200, 1.0, 3.0), (201, 1.0, 3.0), (7, 0.5, 0.0), (1, 0.25, 10.0)]
    for _ in range(3):
        visitors, demand, think = draw.randint(20, 2000), draw.randint(1, 24) / 8, draw.randint(1, 40) / 8
        cases.append((visitors + (visitors * demand % (demand + think) == 0), demand, think))
    for visitors, demand, think in cases:
        enough = (slots for slots in count(1) if knee(demand, slots, think) >= visitors)
        wrong = "What is the smallest whole number of threads with which the knee does not come earlier?"
        yield (visitors, demand, think), next(enough), wrong


enough_threads = computes(_readers)


def parsed_in_a_thread(seen: Mapping[str, Any]) -> Right:
    """Is it the same experiment as `seen`, but with a thread that parses, and its longest wait in seconds?"""

    def right(answer: tuple[Any, Any]) -> bool | str:
        handed, longest = answer
        if not isinstance(handed, Mapping) or "looks" not in handed:
            return "handed: what experiment() returns."
        if not handed["in_thread"]:
            return "In `handed`, it is still the loop that parses."
        if _planned(handed) != _planned(seen):
            return "Everything but in_thread must be as it was above: longer, seconds, every."
        if longest != slowest(handed):
            return "longest: it is not the longest wait for the list in `handed`, in seconds."
        return longest < slowest(seen) or "No faster than before: was the machine busy? Measure again."

    return right


def _planned(seen: Mapping[str, Any]) -> list[Any]:
    """What was asked of `one_loop`, other than `in_thread`."""
    return [seen["longer"], seen["added"], len(seen["looks"])]


def the_last_painting(last: Any) -> bool | str:
    """Are these the seconds until the last photo is done, with threads, with a loop, and with a queue?"""
    if not isinstance(last, list | tuple) or len(last) != 3:
        return "Write a list of three numbers: for threads, for the loop, and for the queue."
    if ... in last:
        return NO_ANSWER
    if wrong := [each for each in last if not is_number(each)]:
        return f"{wrong[0]!r} is not a number."
    by_one_core = PHOTOS * PAINTING_SECONDS
    for found, expected, wrong_way in (
        (last[0], by_one_core, "Threads: how many of them compute at the same moment?"),
        (last[1], by_one_core, "The loop: whom does it serve while it computes?"),
        (last[2], by_one_core / PAINTERS, "The queue: how many photos does each process have to do?"),
    ):
        if not math.isclose(found, expected):
            return wrong_way
    return True
