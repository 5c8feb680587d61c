"""The checks of chapter 1's exercises."""

from collections.abc import Iterator
from dataclasses import replace
from random import Random

from loadtests.bench.plan import Plan
from workbook.exercises import Case, Right, computes, measures, sealed


def _most_feeds(source: Random) -> Iterator[Case]:
    said = "At that rate, are all the slots busy all the time, and no fetch waits?"
    for _ in range(10):
        slots, demand = source.randint(1, 64), round(source.uniform(0.05, 6), 2)
        yield (slots, demand), slots / demand, said


most_feeds = computes(_most_feeds)


def more_slots(plan: Plan) -> Right:
    """Is it the measurement of `plan`, but with the synchronous reader alone and 32 threads?"""
    return measures(replace(plan, apps=("sync",), slots=(32,), slot_kind="threads"))


still_slow = sealed(
    "3",
    "45c1fb0c",
    hint="Who waits for a place, and who for somebody else's server? Only the first is helped by places.",
)
