"""The checks of chapter 2's exercises."""

import math
from collections.abc import Iterator
from dataclasses import replace
from random import Random
from typing import Any

from loadtests.bench.plan import Plan
from loadtests.theory import ClosedLoad
from workbook.exercises import Case, Right, computes, is_number, measures

USERS, THINK, MAY_WAIT = 31, 1.0, 0.05  # of exercise 2.2


def _slots_for(source: Random) -> Iterator[Case]:
    for slots in (1, 2, source.randint(3, 20)):  # exactly at the knee
        yield (4 * slots, 1.5, 0.5), slots, "At the knee itself the visitors ask for just what there is."
    users = source.randint(2, 40)
    yield (users, 0, 0.5), users, "Without a pause, each visitor always needs a slot or waits for one."
    drawn = 0
    while drawn < 10:
        users = source.randint(2, 200)
        think, demand = (round(source.uniform(0.1, 5), 2) for _ in range(2))
        busy = users * demand / (think + demand)
        if abs(busy - round(busy)) > 0.01:  # or rounding errors would decide
            drawn += 1
            said = "Where is the knee with that many slots, and where with one fewer?"
            yield (users, think, demand), math.ceil(busy), said


slots_for = computes(_slots_for)


def enough_slots(demand: float) -> Right:
    """Is it the smallest number of slots with which so few of exercise 2.2's requests wait?"""

    def waiting(slots: int) -> float:
        return ClosedLoad(slots, USERS, THINK, demand).share_waiting_over(0) if slots else 1.0

    def right(slots: Any) -> bool | str:
        if not is_number(slots) or slots != int(slots) or not 1 <= slots <= USERS:
            return f"It must be a number of slots: a whole one, from 1 to {USERS}."
        if waiting(int(slots)) > MAY_WAIT:
            return "With so few slots more of the requests wait."
        return waiting(int(slots) - 1) > MAY_WAIT or "One slot fewer would be enough."

    return right


def measured_with(plan: Plan, slots: int) -> Right:
    """Is it the measurement of `plan`, but of 31 users and so many slots?"""
    return measures(replace(plan, users=(USERS,), slots=(slots,)))
