"""The checks of chapter 9's exercises: how long a freeze may last, and the requests that a tool omitted."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any

from loadtests.records.constants import MOST_OVER, RULE_MS
from workbook.exercises import NOT_A_FUNCTION, Case, computes, is_number


def _freezes(draw: Random) -> Iterator[Case]:
    for seconds in (60, 8, 3600, draw.randint(100, 1000), draw.uniform(2, 50)):
        wrong = "With such a freeze, does the share that waits too long just reach what the rule allows?"
        yield (seconds,), MOST_OVER * seconds + RULE_MS / 1000, wrong


the_longest_freeze = computes(_freezes)


def what_was_omitted(mended: Callable[[Sequence[int], int], Any]) -> bool | str:
    """Does it add each request that fell due during a wait, and no other?"""
    if not callable(mended):
        return NOT_A_FUNCTION
    draw = Random()
    drawn = [draw.randint(1, 900) for _ in range(6)]
    for latencies, every, wrong in (
        ([5, 25, 8], 25, "None took longer than 25 ms: these three are all there is."),
        ([5, 30, 8], 25, "One request fell due during those 30 ms."),
        ([5, 100, 8], 25, "Three requests fell due during those 100 ms."),
        ([90, 5, 60], 20, "Two of these took longer than 20 ms."),
        ([], 25, "Without latencies nothing was omitted."),
        (drawn, draw.randint(10, 90), "Count how many requests fell due during each."),
    ):
        found = mended(list(latencies), every)
        if not isinstance(found, list | tuple) or not all(map(is_number, found)):
            return f"It must return a list of latencies, not {found!r}."
        if Counter(found) != _mended(latencies, every):
            return f"Given ({latencies}, {every}), it returned {found}. {wrong}"
    return True


def _mended(latencies: Sequence[int], every: int) -> Counter[int]:
    return Counter(latency - late for latency in latencies for late in range(0, latency, every))
