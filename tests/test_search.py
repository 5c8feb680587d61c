"""What a run measures next: the search for the most users an app holds; repeats where loads were given."""

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_verdict import FULL
from test_verdict import step as step_of

from loadtests.bench.plan import Condition, Plan, PlannedStep
from loadtests.bench.search import BETWEEN, MOST_SEARCHED, UP, next_step, what_is_left
from loadtests.judging.points import points
from loadtests.judging.verdict import verdict

SEARCH = Plan(search=True)
FIXED = Plan(users=(5, 20))


@dataclass(frozen=True)
class World:
    """Apps that break the rule with more users than their limit, on a machine that serves so many."""

    limits: dict[str, float]
    machine: float = 1e9
    per_user: float = 400.0  # requests of each kind that a user sends in a step
    unfit: bool = False  # beyond the machine: less load than asked for, or latencies longer than the app's

    def measure(self, planned: PlannedStep) -> dict[str, Any]:
        condition = planned.condition
        assert condition.users
        full = condition.users > self.machine
        slow = condition.users > self.limits[condition.app] or full
        return step_of(
            condition.app,
            condition.users,
            submit=0.5 if slow else 0.0,
            fit=not (full and self.unfit),
            requests=max(1, round(self.per_user * condition.users)),
            repeat=planned.repeat,
            slowed_reasons=[FULL] if full else [],
        )

    def run(self, plan: Plan, done: list[dict[str, Any]] | None = None) -> list[dict[str, Any]]:
        """All steps of a run, from those done on. Checks that what is left never gets more, and is enough."""
        done = list(done or [])
        left = what_is_left(plan, done).steps
        while following := next_step(plan, done):
            now = what_is_left(plan, done)
            assert 1 <= now.steps <= left
            assert now.seconds > 0
            done.append(self.measure(following.step))
            left = now.steps - 1
        assert what_is_left(plan, done).steps == 0
        return done


limits = st.sampled_from([0, *BETWEEN, 3000])


def searched(done: list[dict[str, Any]], app: str = "queued") -> list[int]:
    """The users of an app's steps after the planned ones, in order."""
    return [each["users"] for each in done[len(SEARCH.steps()) :] if each["app"] == app]


@settings(max_examples=60, deadline=None)
@given(limits, limits, st.sampled_from([0, *BETWEEN, 1e9]), st.booleans())
def test_a_search_ends_with_the_limit_of_each_app_or_with_the_machine(
    queued: int, sync: int, machine: float, unfit: bool
) -> None:
    """As close as the loads between the steps are; and no load is added above one that broke the rule."""
    done = World({"queued": queued, "sync": sync}, machine, unfit=unfit).run(SEARCH)
    told = verdict(done, {"search": True})
    for app, limit in (("queued", queued), ("sync", sync)):
        assert len(searched(done, app)) <= MOST_SEARCHED
        reach = min(limit, machine)
        measurable = [users for users in BETWEEN if users <= reach and users <= UP[-1]]
        assert told["most_users"][app] == max(measurable, default=None)
        planned = [each for each in done[: len(SEARCH.steps())] if each["app"] == app]
        broken = [each["users"] for each in planned if each["rule"] == "broken" and each["fit"]]
        for each in done[len(SEARCH.steps()) :]:
            if each["app"] == app:
                assert each["users"] <= min(broken, default=UP[-1])
                broken += [each["users"]] * (each["rule"] == "broken" and each["fit"])
    reach = min(queued, machine)
    expected = (3 if unfit else 4) if machine < 1 else 0 if reach >= 1 else 1
    assert told["exit_status"] == expected


@settings(max_examples=25, deadline=None)
@given(limits, limits, limits, st.floats(0.5, 60), st.data())
def test_a_resumed_search_goes_on_where_it_was(
    queued: int, sync: int, machine: float, per_user: float, data: st.DataObject
) -> None:
    """The same steps in the same order, wherever it was interrupted; and it ends, however few requests."""
    world = World({"queued": queued, "sync": sync}, machine, per_user)
    whole = world.run(SEARCH)
    assert len(whole) <= len(SEARCH.steps()) + 2 * MOST_SEARCHED
    cut = data.draw(st.integers(0, len(whole)))
    assert world.run(SEARCH, whole[:cut]) == whole


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.sampled_from(["kept", "broken", "few", "over", "unfit", "slowed"]), min_size=40, max_size=40)
)
def test_whatever_comes_out_a_search_ends(outcomes: list[str]) -> None:
    """Also where loads contradict one another; a limit that is told was kept, and not broken below."""
    done: list[dict[str, Any]] = []
    while following := next_step(SEARCH, done):
        outcome, condition = outcomes[len(done)], following.step.condition
        share = {"broken": 0.5, "slowed": 0.5, "over": 0.012}.get(outcome, 0.0)
        fit, requests = outcome != "unfit", 100 if outcome == "few" else 400
        done.append(
            step_of(
                condition.app,
                condition.users,
                share,
                fit=fit,
                requests=requests,
                repeat=following.step.repeat,
                slowed_reasons=[FULL] if outcome == "slowed" else [],
            )
        )
    assert len(done) <= len(SEARCH.steps()) + 2 * MOST_SEARCHED
    measured = points(done)  # type: ignore[arg-type]
    for app, most in verdict(done)["most_users"].items():  # type: ignore[arg-type]
        rules = {point["users"]: point["rule"] for point in measured if point["app"] == app}
        assert most is None or rules[most] == "kept"
        assert "broken" not in [rule for users, rule in rules.items() if most and (users or 0) < most]


def test_a_search_goes_up_then_in_between_and_makes_sure_of_the_edge() -> None:
    """The limit is 600: 500 is kept, 700 broken, and both are measured twice."""
    done = World({"queued": 600, "sync": 0}).run(SEARCH)
    assert searched(done) == [200, 500, 1000, 700, 700, 500]
    assert not searched(done, "sync")  # it broke the rule with the smallest load
    assert verdict(done, {"search": True})["sentence"].startswith(
        "The queued app kept the rule of 500 ms up to 500 users, and broke it with 700 users; "
        "the synchronous app broke it even with 1 user."
    )


def test_the_machine_ends_where_a_load_could_not_be_judged_twice() -> None:
    """Status 0: at least so many users."""
    done = World({"queued": 1e9, "sync": 0}, machine=800).run(SEARCH)
    assert searched(done) == [200, 500, 1000, 1000, 700, 700]
    told = verdict(done, {"search": True})
    assert told["exit_status"] == 0
    assert told["sentence"].startswith(
        "The queued app kept the rule of 500 ms with at least 700 users: this machine can do no more; "
    )
    assert told["sentence"].endswith(
        "The latencies of 1 of 12 points are upper bounds (queued, 1000 users: the machine was 97 % busy)."
    )


def test_where_no_load_can_be_judged_only_the_smallest_is_tried_again() -> None:
    """Were it judged, the search would go on."""
    done = World({"queued": 1e9, "sync": 0}, machine=0).run(SEARCH)
    assert searched(done) == searched(done, "sync") == [1]
    assert verdict(done, {"search": True})["exit_status"] == 4


def test_the_most_that_is_tried_ends_the_search() -> None:
    """Nothing above 2,000 users."""
    done = World({"queued": 1e9, "sync": 0}).run(SEARCH)
    assert searched(done) == [200, 500, 1000, 2000]
    assert "up to 2000 users, the most tried" in verdict(done, {"search": True})["sentence"]


def test_a_bad_moment_is_not_the_end_of_the_machine() -> None:
    """The load that could not be judged is measured again, and the search goes on."""
    world = World({"queued": 1e9, "sync": 0})
    done = World({"queued": 1e9, "sync": 0}, machine=100).run(SEARCH)[: len(SEARCH.steps()) + 1]
    assert [done[-1]["users"], done[-1]["rule"]] == [200, "undecided"]
    assert searched(world.run(SEARCH, done)) == [200, 200, 500, 1000, 2000]


def test_too_few_requests_are_repeated_only_at_the_edge() -> None:
    """On the way up a larger load speaks for the smaller ones."""
    done = World({"queued": 600, "sync": 0}, per_user=0.3).run(SEARCH)
    assert searched(done) == [200, 500, 1000, 700, 500, 500, 700]
    assert verdict(done, {"search": True})["most_users"]["queued"] == 500


def test_both_apps_are_taken_up_together() -> None:
    """So that slow changes on the machine affect both alike."""
    done = World({"queued": 2000, "sync": 2000}).run(SEARCH)[len(SEARCH.steps()) :]
    assert [each["users"] for each in done[::2]] == [each["users"] for each in done[1::2]]


def test_each_capacity_is_searched_for_itself() -> None:
    """With 4 and with 16 slots."""
    plan = Plan(search=True, slots=(4, 16), apps=("queued",))
    done = []
    while following := next_step(plan, done):
        condition = following.step.condition
        assert condition.users
        over = condition.users > 30 * condition.slots
        done.append(
            step_of(
                "queued", condition.users, 0.5 * over, slots=condition.slots, repeat=following.step.repeat
            )
        )
    assert "held 300 users with 16 slots" in verdict(done, {"search": True, "slots": [4, 16]})["sentence"]
    assert verdict(done, {"slots": [4, 16]})["most_users"]["queued"] == 100


# ---- loads that were given


def after(plan: Plan, outcomes: dict[tuple[str, int], dict[str, Any]], *more: dict[str, Any]) -> str | None:
    """The step that follows the planned ones, which came out as said, and `more`: "queued 20 2"."""
    planned = [each.condition for each in plan.steps()]
    done = [
        step_of(each.app, each.users, **outcomes.get((each.app, each.users or 0), {})) for each in planned
    ]
    found = next_step(plan, [*done, *more])
    return f"{found.step.condition.app} {found.step.condition.users} {found.step.repeat}" if found else None


def test_the_largest_load_of_the_judged_app_is_repeated() -> None:
    """It is undecided, and as many requests again would decide: 200 with none over need 368."""
    few = {("sync", 20): {"requests": 30}, ("queued", 5): {"requests": 30}, ("queued", 20): {"requests": 200}}
    assert after(FIXED, few) == "queued 20 2"
    assert after(FIXED, few, step_of("queued", 20, requests=200, repeat=2)) is None


@pytest.mark.parametrize(
    "outcomes",
    [
        {},
        {("queued", 5): {"requests": 30}},
        {("queued", 5): {"submit": 0.2}, ("queued", 20): {"requests": 200}},
        {("queued", 5): {"requests": 30}, ("queued", 20): {"requests": 30}},
        {("queued", 20): {"submit": 0.01, "requests": 1000}},
        {("queued", 20): {"submit": None, "browse": None}},
    ],
)
def test_a_repeat_is_for_what_is_undecided_and_soon_decided(outcomes: dict[tuple[str, int], Any]) -> None:
    """Not for what is kept or broken, nor where a few more requests hardly help."""
    assert after(FIXED, outcomes) is None


def test_where_little_is_missing_in_many_steps_a_repeat_is_enough() -> None:
    """218 of 368 requests are missing after five steps of 30; after five of 70 only 18 are."""
    plan = Plan(users=(5,), apps=("queued",), repeats=5)
    assert after(plan, {("queued", 5): {"requests": 30}}) is None
    assert after(plan, {("queued", 5): {"requests": 70}}) == "queued 5 6"


def test_a_given_load_that_was_not_fit_is_measured_once_more() -> None:
    """Or was slowed. Of either app; not more than once, and not where a larger load speaks for it."""
    unfit = {"fit": False}
    assert after(FIXED, {("sync", 20): unfit}) == "sync 20 2"
    assert after(FIXED, {("queued", 20): unfit}) == "queued 20 2"
    assert after(FIXED, {("queued", 20): unfit}, step_of("queued", 20, fit=False, repeat=2)) is None
    assert after(FIXED, {("queued", 5): unfit}) is None
    assert after(FIXED, {("queued", 20): {"slowed_reasons": [FULL]}}) is None
    assert after(FIXED, {("queued", 20): {"slowed_reasons": [FULL], "submit": 0.1}}) == "queued 20 2"
    assert after(FIXED, {("queued", 20): {"slowed_reasons": [FULL], "requests": 200}}) == "queued 20 2"


def test_what_is_left_of_given_loads_is_counted_exactly() -> None:
    """A repeat is counted once it is known to follow."""
    assert what_is_left(FIXED, [])[::2] == (4, False)
    assert what_is_left(SEARCH, [])[::2] == (8 + 2 * MOST_SEARCHED, True)
    done = [step_of(each.condition.app, each.condition.users, requests=200) for each in FIXED.steps()]
    assert what_is_left(FIXED, done).steps == 1


def test_a_burst_that_was_not_fit_is_measured_once_more() -> None:
    """It is no load of a series."""
    burst = Condition("queued", rate=5.0, burst=100)
    plan = Plan(users=(20,), apps=("queued",), extra=(burst,))
    lost = step_of("queued", None, rate_per_s=5.0, burst=100, fit=False)
    done = [step_of("queued", 20), lost]
    assert next_step(plan, done) == (PlannedStep(burst, repeat=2), "once more")
    assert what_is_left(plan, done).steps == 1
    assert next_step(plan, [*done, lost | {"repeat": 2}]) is None
    assert next_step(plan, [*done[:1], lost | {"fit": True}]) is None
