"""The checks of chapter 1's exercises."""

from collections.abc import Iterator
from dataclasses import replace
from random import Random
from typing import Any

from loadtests.bench.plan import Plan
from workbook.exercises import Case, Right, computes, measures


def _most_feeds(source: Random) -> Iterator[Case]:
    said = "At that rate, are all the slots busy all the time, and no fetch waits?"
    for _ in range(10):
        slots, demand = source.randint(1, 64), round(source.uniform(0.05, 6), 2)
        yield (slots, demand), slots / demand, said


most_feeds = computes(_most_feeds)


def more_slots(plan: Plan) -> Right:
    """Is it the measurement of `plan`, but with the synchronous reader alone and 32 threads?"""
    return measures(replace(plan, apps=("sync",), slots=(32,), slot_kind="threads"))


def still_slow(group: Any) -> bool | str:
    """Is it the group whose 95th percentile stays over 500 ms?"""
    word = group.strip().lower() if isinstance(group, str) else ""
    if word not in ("submit", "browse"):
        return 'It must be one of the two words, "submit" or "browse".'
    return word == "submit" or "Compare both percentiles with 500: they are in milliseconds."
