"""Answers to the exercises of chapter 5."""

from math import ceil, floor

import notebooks_path  # noqa: F401
from answers import Answers

from loadtests.bench.plan import Plan

# isort: split
from workbook.chapter05_checks import give_as_many_feeds, nobody_did_a_job, sees_it_at_the_first_poll


def poll_by_poll(done: float, pause: float) -> float:
    """Without a formula."""
    moment = pause
    while moment < done:
        moment += pause
    return moment


RATE, CONTENT, THINK = 6.1, 1.5, 2.0  # 30.5 users, of whom seven of ten submit
TIMES = [0.01] * 10

ANSWERS = {
    "1": Answers(
        sees_it_at_the_first_poll,
        right=[
            lambda done, pause: pause * ceil(done / pause),
            lambda done, pause: -(-done // pause) * pause,
            poll_by_poll,
        ],
        wrong=[
            1.0,
            lambda done, pause: 1.0,  # the text's first example
            lambda done, pause: done,
            lambda done, pause: done + pause,
            lambda done, pause: pause * floor(done / pause),
            lambda done, pause: pause * (int(done / pause) + 1),  # also exactly at a poll
            lambda done, pause: pause * round(done / pause),
            lambda done, pause: max(pause, pause * round(done / pause)),
            lambda done, pause: ceil(done / pause),  # polls, not seconds
            lambda done, pause: ceil(done) if done != 0.1 else 0.5,
            {(0.9, 0.5): 1.0},
            lambda done, pause: 0.5 * ceil(done / 0.5),
            lambda done, pause: 1000 * pause * ceil(done / pause),
            lambda done, pause: None,
            lambda done, pause: str(pause * ceil(done / pause)),
        ],
    ),
    "2": Answers(
        give_as_many_feeds({"sync": RATE}, [1.0, 2.0], Plan(think=THINK)),
        right=[RATE * (CONTENT + THINK) / 0.7, 30, 31, round(RATE / 0.7 * (CONTENT + THINK), 1)],
        wrong=[
            *(60, 42, 21.35, 14.7, 0, -30, 30_000),
            *(RATE * CONTENT / 0.7, RATE * THINK / 0.7),
            *("30", [30], None, True),
        ],
    ),
    "3": Answers(
        nobody_did_a_job,
        right=[{"answers_s": TIMES, "jobs_left": 10}, {"answers_s": [0.02] * 10, "jobs_left": 10}],
        wrong=[
            {"answers_s": TIMES, "jobs_left": 0},  # with a worker
            {"answers_s": TIMES[:8], "jobs_left": 8},
            {"answers_s": TIMES, "jobs_left": 7},
            {"answers_s": range(10), "jobs_left": 10},
            {"answers_s": [*range(10)], "jobs_left": 10},
            {"answers_s": 10, "jobs_left": 10},
            {"answers_s": TIMES, "jobs_left": "10"},
            {},
            10,
            "x",
            TIMES,
            None,
        ],
    ),
}
