"""The order in which a run measures its steps."""

import json
import re
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from loadtests.bench.full import full_plan, pilot_plan
from loadtests.bench.plan import Condition, Plan
from loadtests.errors import LoadTestError, UsageError

PLAN = Plan(users=(1, 5, 10, 20, 50, 100), repeats=3)


def test_everything_is_measured_as_often_as_was_asked() -> None:
    """Each app, load and number of slots; workers and threads for the queued app; extra ones once."""
    burst = Condition("queued", rate=5.0, burst=50)
    plan = Plan(users=(1, 2), rates=(3.0,), slots=(4, 16), threads=(8, 32), repeats=2, extra=(burst,))
    seen = Counter(step.condition for step in plan.steps())
    sync = [condition for condition in seen if condition.app == "sync"]
    queued = [condition for condition in seen if condition.app == "queued" and not condition.burst]
    assert (len(sync), len(queued)) == (3 * 2, 3 * 2 * 2)
    assert {seen[condition] for condition in sync + queued} == {2}
    assert seen[burst] == 1
    assert {condition.threads for condition in sync} == {8}


def test_the_order_is_mixed_and_the_apps_alternate() -> None:
    """No app or load gets the machine's good minutes to itself."""
    steps = PLAN.steps()
    orders = [
        [s.condition.users for s in steps if s.repeat == r and s.condition.app == "sync"] for r in (1, 2, 3)
    ]
    assert len({tuple(order) for order in orders}) == 3
    assert all(sorted(order) == list(PLAN.users) for order in orders)
    assert list(PLAN.users) not in orders
    pairs = [(one.condition, two.condition) for one, two in zip(steps[::2], steps[1::2], strict=True)]
    assert all(one.users == two.users and one.app != two.app for one, two in pairs)
    assert Counter(one.app for one, _ in pairs) == {"sync": 9, "queued": 9}
    assert [step.repeat for step in steps] == sorted(step.repeat for step in steps)


def test_the_same_seed_gives_the_same_order() -> None:
    """Another seed gives another order."""
    assert PLAN.steps() == PLAN.steps()
    assert PLAN.steps() != replace(PLAN, seed=2).steps()


def test_no_two_steps_share_their_files() -> None:
    """A step's name contains everything in which it differs."""
    plan = Plan(users=(1, 10), rates=(1.0, 2.5), slots=(4, 16), workers=(1, 2), threads=(8, 32), repeats=2)
    plan = replace(plan, extra=(Condition("queued", rate=1.0, burst=9), Condition("queued", users=7)))
    names = [step.name for step in plan.steps()]
    assert len(set(names)) == len(names)


def test_a_plan_survives_being_written_down() -> None:
    """An interrupted run is resumed from the plan in its folder."""
    plan = replace(PLAN, rates=(1.5,), extra=(Condition("queued", users=3),), connections=7)
    assert Plan.from_json(json.loads(json.dumps(plan.to_json()))) == plan


def pilot(**changed: Any) -> dict[str, Any]:
    """A pilot run that found D = 1.1 s, and 2 ms for a page."""
    demand = {"submit": 1100.0, "page": 2.0}
    usual = {"fit": True, "unfit_reasons": [], "slowed_reasons": [], "server": {"demand_ms": demand}}
    return {"steps": [usual | changed]}


def test_the_full_plan_lies_around_the_knee() -> None:
    """N* = c(D+Z)/D submitters, 0.7 of the users: 8 * 3.102 / 1.102 / 0.7 = 32.2."""
    plan = full_plan(Plan(search=True), pilot())
    assert plan.users == (16, 24, 32, 40, 48, 64)
    assert plan.repeats == 5
    saturation = 8 / (0.7 * 1.102 + 0.3 * 0.002)
    assert plan.rates == pytest.approx([load * saturation for load in (0.5, 0.75, 0.95)], rel=0.01)
    assert [bool(condition.burst) for condition in plan.extra] == [True]
    assert plan.search


def test_a_pilot_is_one_short_step_that_keeps_the_slots_busy() -> None:
    """It measures the synchronous app."""
    plan = pilot_plan(Plan(search=True))
    (step,) = plan.steps()
    assert not plan.search
    assert (step.condition.app, step.condition.users) == ("sync", 16)


def test_a_slowed_pilot_shows_no_knee() -> None:
    """The message says why."""
    with pytest.raises(LoadTestError, match="the machine was 97 % busy"):
        full_plan(Plan(), pilot(slowed_reasons=["the machine was 97 % busy"]))


@pytest.mark.parametrize(("users", "seconds"), [(1, 0.025), (100, 2.5), (400, 10), (1000, 10), (2000, 10)])
def test_many_users_arrive_within_ten_seconds(users: int, seconds: float) -> None:
    """The warm-up begins when all are there."""
    plan = Plan(warmup=2.5)
    assert plan.window(Condition("queued", users=users))[0] == pytest.approx(2.5 + seconds)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"slots": 32}, "such as slots=(8,)"),
        ({"slots": (...,)}, "such as slots=(8,)"),
        ({"slots": (0,)}, "not be below 1"),
        ({"measure": -1.0}, "not be below 0"),
        ({"apps": "sync"}, "it takes sync, queued"),
        ({"apps": ("synch",)}, "it takes sync, queued"),
        ({"slot_kind": "thread"}, "it takes processes, threads"),
        ({"mix": "fast"}, "is no setting"),
    ],
)
def test_a_setting_that_cannot_be_measured_is_refused_at_once(setting: dict[str, Any], said: str) -> None:
    """A sentence says what it takes."""
    with pytest.raises(UsageError, match=re.escape(said)):
        replace(PLAN, **setting)
