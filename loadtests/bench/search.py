"""Which step a run measures next, and why. Pure: from the plan and the steps measured so far.

The plan's own steps come first, then what may decide more. If the loads were given, that is a repeat of the
largest one, which speaks for the smaller ones. If the limit is searched for, each app's load grows until the
app breaks the rule, or can't be judged on this machine; then come loads in between, and repeats, until the
limit lies between two neighbours of BETWEEN.

A resumed run asks the same questions again, and finds the answers in its folder.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from loadtests.bench.plan import Condition, Plan, PlannedStep
from loadtests.judging.limits import held, is_doubtful, judged_app, series_of
from loadtests.judging.points import points
from loadtests.judging.rule import RULED, more_needed
from loadtests.records.steps import LOAD_KEYS, Point, Step, load_of

UP = (100, 200, 500, 1000, 2000)  # users, on the way up
BETWEEN = (1, 2, 3, 5, 7, 10, 14, 20, 30, 50, 70, 100, 140, 200, 300, 500, 700, 1000, 1400, 2000)
MOST_REPEATS = 3  # beyond the plan's, of a given load with too few requests to say
TRIES = 2  # measurements of a load that can't be judged, before it is given up; and of those beside the limit
MOST_SEARCHED = 10  # steps beyond the planned ones, for each app and capacity


class Next(NamedTuple):
    """A step to measure."""

    step: PlannedStep
    why: str = ""  # in a few words; empty for a step of the plan


class Left(NamedTuple):
    """What is left of a run, the current step included."""

    steps: int
    seconds: float
    at_most: bool  # it may be less


def next_step(plan: Plan, done: Sequence[Step]) -> Next | None:
    """The step to measure after those `done`, in the order they ran; None if there is none.

    The smallest load comes first, so apps alternate.
    """
    planned = plan.steps()
    if len(done) < len(planned):
        return Next(planned[len(done)])
    wanted = (found for _, found in _wanted(plan, done))
    return min(wanted, key=lambda found: _load(found.step.condition), default=None)


def _wanted(plan: Plan, done: Sequence[Step]) -> Iterator[tuple[int, Next]]:
    """For each series of loads that needs a step: how many more it may need, and the next one."""
    measured = points(done)
    for series in series_of(measured):
        if plan.search and series[0]["model"] == "closed":
            left = MOST_SEARCHED + len(plan.users) * plan.repeats - sum(len(p["steps"]) for p in series)
            found = _searched(series, left) if left > 0 else None
        else:
            left, found = 1, _repeated(plan, series, decides=series[0]["app"] == judged_app(measured))
        if found:
            yield left, found
    for burst in (condition for condition in plan.extra if condition.burst):  # not in `measured`
        if [step["fit"] for step in done if "burst" in step] == [False]:
            yield 1, Next(PlannedStep(burst, repeat=2), "once more")


def _repeated(plan: Plan, series: Sequence[Point], decides: bool) -> Next | None:
    """A repeat of a given load; for want of requests only if the series `decides` the run's exit status."""
    if any(point["rule"] == "broken" for point in series):
        return None
    most = held(series, LOAD_KEYS[series[0]["model"]]) or 0
    undecided = [point for point in series if load_of(point) > most]
    return _again(
        undecided, lambda point: MOST_REPEATS + plan.repeats - len(point["steps"]) if decides else 0
    )


def _searched(series: Sequence[Point], left: int) -> Next | None:
    """The next of at most `left` steps in the search for the most users one app holds; None if it is over."""
    if all(is_doubtful(point) for point in series):  # larger loads are no use if the smallest can't be judged
        return None if can_not_be_judged(series[0]) else _once_more(series[0], "once more")
    most = held(series, "users") or 0
    above = [point for point in series if load_of(point) > most]
    end = next((point for point in above if point["rule"] == "broken"), None)
    undecided = above[: above.index(end)] if end else above
    if end is None:
        while undecided and can_not_be_judged(undecided[-1]):
            end = undecided.pop()
    if end is None:
        top = series[-1]
        if is_doubtful(top):
            return _once_more(top, "once more")
        if higher := [users for users in UP if users > load_of(top)]:
            return _first(top, higher[0], "within the rule")
    below = [point for point in series if end is None or load_of(point) < load_of(end)]
    if end and below and not is_doubtful(below[-1]):
        low, high = load_of(below[-1]), load_of(end)
        if between := [users for users in BETWEEN if low < users < high]:
            middle = min(between, key=lambda users: abs(math.log(users * users / (low * high))))
            return _first(end, middle, "in between")
    if again := _again(undecided, lambda _: left):
        return again
    edge = [end, *(point for point in below if load_of(point) == most)] if end and below else []
    return next((_once_more(point, "to be sure") for point in edge if len(point["steps"]) < TRIES), None)


def can_not_be_judged(point: Point) -> bool:
    """Whether a load is given up: doubtful, even when measured again."""
    return is_doubtful(point) and len(point["steps"]) >= TRIES


def _again(undecided: Sequence[Point], left: Callable[[Point], int]) -> Next | None:
    """A repeat of the largest of these loads that a repeat may decide; None if there is none.

    A load with too few requests is repeated only if the repeats that are `left` are likely to decide it; one
    that could not be judged, only if no larger load could be.
    """
    judged = False
    for point in reversed(undecided):
        if not is_doubtful(point):
            judged = True
            if _repeats_needed(point) <= left(point):
                return _once_more(point, "more requests")
        elif not judged and not can_not_be_judged(point):
            return _once_more(point, "once more")
    return None


def _repeats_needed(point: Point) -> float:
    """About how many more repeats like those so far would decide whether a load kept the rule."""
    counts = [(point[group]["over"], point[group]["judged"]) for group in RULED]
    slowed = bool(point["slowed_reasons"])
    return max(
        (
            (more_needed(over, judged, slowed=slowed) or math.inf) / (judged / point["fit_repeats"])
            for over, judged in counts
            if judged
        ),
        default=math.inf,
    )


def _once_more(point: Point, why: str) -> Next:
    return Next(PlannedStep(_condition(point, point["users"]), len(point["steps"]) + 1), why)


def _first(like: Point, users: int, why: str) -> Next:
    return Next(PlannedStep(_condition(like, users)), why)


def _condition(like: Point, users: int | None) -> Condition:
    return Condition(
        app=like["app"],
        users=users,
        rate=like["rate_per_s"],
        slots=like["slots"],
        workers=like["workers"],
        threads=like["threads"],
    )


def _load(condition: Condition) -> float:
    return condition.users or condition.rate or 0.0


def what_is_left(plan: Plan, done: Sequence[Step]) -> Left:
    """What is left, the next step included; a search counts as the most steps it may take."""
    planned = [step.condition for step in plan.steps()]
    rest, most = planned[len(done) :], 0
    if not rest:
        most = sum(left for left, _ in _wanted(plan, done))
    elif plan.search:
        searches = {replace(condition, users=None) for condition in planned if condition.users}
        over = [p for p in points(done) if p["rule"] == "broken" and p["users"] == min(plan.users)]
        most = (len(searches) - len(over)) * MOST_SEARCHED
    seconds = sum(map(plan.seconds, rest)) + most * plan.seconds(Condition("queued", users=UP[-1]))
    return Left(len(rest) + most, seconds, at_most=plan.search)
