"""The checks of chapter 5's exercises."""

from collections.abc import Iterator, Mapping, Sequence
from random import Random
from statistics import mean
from typing import Any

from loadtests.bench.plan import Plan
from loadtests.records.constants import SUBMITTERS
from workbook.exercises import Case, Right, computes, is_number

SUBMITTED = 10  # to be submitted in exercise 5.3


def _feeds_seen(source: Random) -> Iterator[Case]:
    """Feeds that come between two polls, or exactly at one: eighths and pauses are exact as floats."""
    for trial in range(40):
        pause = source.choice((0.5, 1, 1.5, 2, 4))
        poll = source.randint(1, 2 if trial < 10 else 30) * pause
        if trial % 2:
            yield (poll, pause), poll, "It came exactly at a poll, and that poll sees it."
        else:
            done = poll - source.randrange(1, round(8 * pause)) / 8
            yield (done, pause), poll, "It is seen at the first poll from then on: how many pauses are over?"


sees_it_at_the_first_poll = computes(_feeds_seen)


def give_as_many_feeds(expected: Mapping[str, float], waits: Sequence[float], plan: Plan) -> Right:
    """Do that many users give the queued reader the feeds a second expected for "sync"? `waits`: seconds."""
    rate, content, think = expected["sync"], mean(waits), plan.think

    def right(users: Any) -> bool | str:
        if not is_number(users):
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
    returned = idle if isinstance(idle, dict) else {}
    answers, left = returned.get("answers_s"), returned.get("jobs_left")
    if not isinstance(answers, list) or not all(map(is_number, answers)) or not is_number(left):
        return "It must be what the experiment returns."
    if len(answers) != SUBMITTED:
        return f"{len(answers)} feeds were submitted; there should be {SUBMITTED}."
    if min(answers) <= 0:
        return "An answer takes some time: it must be what the experiment returns."
    if left != SUBMITTED:
        return f"{left} jobs are left: so some worker was there to do the others."
    return True
