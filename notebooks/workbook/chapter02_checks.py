"""The checks of chapter 2's exercises."""

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from random import Random
from typing import Any

from loadtests.bench.plan import Plan
from loadtests.theory import ClosedLoad
from workbook.exercises import Case, Right, computes, is_number, measures

USERS, THINK, MAY_WAIT = 31, 1.0, 0.05  # of exercise 2.2


def _slots_for(source: Random) -> Iterator[Case]:
    drawn = 0
    while drawn < 10:
        users = source.randint(2, 200)
        think, demand = (round(source.uniform(0.1, 5), 2) for _ in range(2))
        busy = users * demand / (think + demand)
        if abs(busy - round(busy)) > 0.01:  # or rounding errors would decide
            drawn += 1
            right = math.ceil(busy)
            yield (users, think, demand), right, partial(_missed, right)
    users = source.randint(2, 40)
    yield (users, 0, 0.5), users, "Without a pause, each visitor always needs a slot or waits for one."
    for slots in (1, 2, source.randint(3, 20)):
        yield (4 * slots, 1.5, 0.5), slots, "These users are exactly at a knee, and so not beyond it."


def _missed(right: int, slots: float) -> str:
    if slots != int(slots):
        return "It must be a whole number of slots."
    return (
        "With so few slots they are beyond the knee."
        if slots < right
        else "With one slot fewer they would not be beyond the knee, either."
    )


slots_for = computes(_slots_for)


def enough_slots(demand: float) -> Right:
    """Is it the smallest number of slots with which so few of exercise 2.2's requests wait?"""

    def right(slots: Any) -> bool | str:
        if not is_number(slots) or slots != int(slots) or not 1 <= slots <= USERS:
            return f"It must be a number of slots: a whole one, from 1 to {USERS}."
        enough = _enough(demand)
        if slots < enough:
            return "With so few slots more of the requests wait."
        return slots == enough or "One slot fewer would be enough."

    return right


def _enough(demand: float) -> int:
    loads = (ClosedLoad(slots, USERS, THINK, demand) for slots in range(1, USERS + 1))
    return next(load.slots for load in loads if load.share_waiting_over(0) <= MAY_WAIT)


def measured_with_enough(plan: Plan, demand: float) -> Right:
    """Is it the measurement of `plan`, but of 31 users and as many slots as exercise 2.2 finds?"""
    return measures(replace(plan, users=(USERS,), slots=(_enough(demand),)))
