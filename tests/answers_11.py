"""Right and wrong answers to chapter 11's exercises."""

import math
from itertools import count
from typing import Any

import notebooks_path  # noqa: F401
from answers import Answers

from loadtests.theory import knee

# isort: split
from workbook import chapter11_checks as checks


def loop(in_thread: bool, longest: float, longer: int = 200) -> dict[str, Any]:
    """What `one_loop` returns."""
    return {
        "looks": [[0.0, 0.002], [0.05, longest]],
        "added": [0.75],
        "longer": longer,
        "in_thread": in_thread,
    }


SEEN, HANDED = loop(in_thread=False, longest=0.8), loop(in_thread=True, longest=0.04)

ANSWERS = {
    "1": Answers(
        checks.enough_threads,
        right=[
            lambda visitors, demand, think: math.ceil(visitors * demand / (demand + think)),
            lambda visitors, demand, think: next(
                slots for slots in count(1) if slots * (demand + think) >= visitors * demand
            ),
        ],
        wrong=[
            lambda visitors, demand, think: 50,
            lambda visitors, demand, think: visitors,
            lambda visitors, demand, think: visitors * demand / (demand + think),
            lambda visitors, demand, think: int(visitors * demand / (demand + think)) + 1,
            lambda visitors, demand, think: int(visitors * demand / (demand + think)),
            lambda visitors, demand, think: knee(demand, visitors, think),
            lambda visitors, demand, think: math.ceil(visitors * demand / (think or 1)),
            64,
        ],
    ),
    "2": Answers(
        checks.parsed_in_a_thread(SEEN),
        right=[(HANDED, 0.04), (loop(in_thread=True, longest=0.7), 0.7)],
        wrong=[
            (SEEN, 0.8),
            (HANDED, 40.0),
            (HANDED, 0.002),
            (HANDED, 0.8),
            (loop(in_thread=True, longest=0.9), 0.9),
            (loop(in_thread=True, longest=0.01, longer=1), 0.01),
            (HANDED | {"looks": [[0.0, 0.002]]}, 0.002),
            (0.04, 0.04),
        ],
    ),
    "3": Answers(
        checks.the_last_painting,
        right=[[40, 40, 5], (40.0, 40.0, 5.0)],
        wrong=[
            [5, 5, 5],
            [40, 40, 40],
            [2.5, 40, 5],
            [40, 2.5, 5],
            [40, 40, 2.5],
            ["40", "40", "5"],
            [40, 5],
            40,
        ],
    ),
}
