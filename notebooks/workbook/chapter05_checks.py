"""The checks of chapter 5's exercises."""

import random
from collections.abc import Callable
from typing import Any

from loadtests.records.constants import SUBMITTERS
from workbook.exercises import Right

FEEDS = 10  # to be submitted in exercise 5.3


def sees_it_at_the_first_poll(seen_every: Callable[[float, float], Any]) -> bool | str:
    """Is it a poll, not before the feed has come, and is there no earlier one?"""
    if not callable(seen_every):
        return "Write a function of `done` and `pause`."
    for trial in range(40):
        pause = random.choice((0.25, 0.5, 1, 1.5, 2, 4))
        poll = random.randint(1, 2 if trial < 10 else 30) * pause
        done = poll if trial % 2 else poll - pause * random.uniform(0.01, 0.99)
        seen = seen_every(done, pause)
        told = f"A feed had come after {done:.4g} s, with pauses of {pause:g} s"
        if not _is_number(seen):
            return f"It must return a number of seconds, and not {type(seen).__name__}."
        if seen < done - 1e-6:
            return f"{told}, and was seen after {seen:.4g} s: before it was there."
        if abs(seen - pause * round(seen / pause)) > 1e-6:
            return f"{told}, and was seen after {seen:.4g} s, when there is no poll."
        if seen > poll + 1e-6:
            return f"{told}, and was seen after {seen:.4g} s: an earlier poll sees it, too."
    return True


def give_as_many_feeds(rate: float, content: float, think: float) -> Right:
    """Do that many users give a reader `rate` feeds a second, whose content takes `content` seconds?"""

    def right(users: Any) -> bool | str:
        if not _is_number(users):
            return f"It must be a number of users, and not {type(users).__name__}."
        given, one_user = SUBMITTERS * users / (content + think), SUBMITTERS / (content + think)
        if abs(given - rate) < one_user:  # rounded to whole users, too
            return True
        if abs(users / (content + think) - rate) < one_user:
            return "So many would have to submit. How many users are there, if seven of ten of them do?"
        return f"{users:.4g} users would give it {given:.1f} feeds a second; it is to be {rate:.1f}."

    return right


def nobody_did_a_job(idle: Any) -> bool | str:
    """Is it what the experiment returns, with all feeds submitted and all jobs left?"""
    if not isinstance(idle, dict) or not {"answers_s", "jobs_left"} <= idle.keys():
        return "It must be what the experiment returns."
    if len(idle["answers_s"]) != FEEDS:
        return f"{len(idle['answers_s'])} feeds were submitted; there should be {FEEDS}."
    if idle["jobs_left"] != FEEDS:
        return f"{idle['jobs_left']} jobs are left: so some worker was there to do the others."
    return True


def _is_number(answer: Any) -> bool:
    return isinstance(answer, int | float) and not isinstance(answer, bool)
