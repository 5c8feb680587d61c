"""Who kept the rule, with how many users, and how that is said."""

from typing import Any

import pytest

from loadtests.judging.verdict import comparable, finding, verdict, within_rule
from loadtests.wording import duration, figure, percent, stated, user_count


def summary(share: float | None, p95: float | None = None, at_least: bool = False) -> dict[str, Any]:
    """As much of a summary as a point is made of."""
    latencies = {key: p95 if key == "p95_ms" else None for key in ("p50_ms", "p95_ms", "p99_ms", "mean_ms")}
    bounds = ["p95_ms"] if at_least else []
    intervals = dict.fromkeys(("p50_ci", "p95_ci", "p99_ci", "share_ci"))
    return {"count": 100, **latencies, **intervals, "share_over": share, "lower_bounds": bounds}


def step(
    app: str,
    users: int | None,
    submit: float | None = 0.0,
    browse: float | None = 0.0,
    fit: bool = True,
    p95: float | None = 20.0,
    at_least: bool = False,
    **changed: Any,
) -> dict[str, Any]:
    """A step: shares over the rule, fitness, p95 of POST /feeds, and whatever is `changed`."""
    bare = {
        "app": app,
        "model": "open" if users is None else "closed",
        "users": users,
        "rate_per_s": None,
        "slots": 8,
        "workers": 1,
        "threads": 32,
        "repeat": 1,
        "fit": fit,
        "unfit_reasons": [] if fit else ["the machine was 93 % busy"],
        "steady": True,
        "achieved_per_s": 1.0,
        "submit": summary(submit, p95, at_least),
        "browse": summary(browse),
        "content": summary(None),
        **changed,
    }
    return bare | {"within_rule": within_rule(bare)}


@pytest.mark.parametrize(
    ("submit", "browse", "kept"),
    [
        (0.0, 0.0, True),
        (0.01, 0.01, True),
        (0.0101, 0.0, False),
        (0.0, 0.0101, False),
        (0.0, None, True),
        (None, 0.0, True),
        (None, None, False),
    ],
)
def test_the_rule_allows_one_percent_of_each_group_that_was_measured(submit, browse, kept):
    """One user who submits leaves no browsing to judge; a step without any request keeps nothing."""
    assert step("sync", 1, submit, browse)["within_rule"] is kept


def test_the_status_is_that_of_the_queued_app():
    """What the synchronous app does is the lesson, not the verdict."""
    steps = [step("sync", 10, submit=0.9), step("queued", 10)]
    assert verdict(steps)["exit_status"] == 0
    assert verdict([*steps, step("queued", 20, browse=0.02)])["exit_status"] == 1


def test_alone_the_synchronous_app_is_judged():
    """`--app sync` asks about that app."""
    assert verdict([step("sync", 1)])["exit_status"] == 0
    assert verdict([step("sync", 1), step("sync", 5, submit=0.2)])["exit_status"] == 1


def test_an_unfit_step_of_either_app_takes_the_verdict_away():
    """Whatever the figures are: a run that measured something else proves nothing, and says why."""
    told = verdict([step("sync", 10, fit=False), step("queued", 10)])
    assert told["exit_status"] == 3
    assert "1 of its 2 points" in told["sentence"]
    assert "synchronous, 10 users: the machine was 93 % busy" in told["sentence"]


def test_no_steps_are_no_verdict():
    """An empty run is not a run that kept the rule."""
    told = verdict([])
    assert told == {
        "exit_status": 3,
        "sentence": "No step was measured.",
        "most_users": {"sync": None, "queued": None},
    }


def test_the_most_users_end_before_the_first_step_that_broke_the_rule():
    """Keeping it again with more users may be luck; what was unfit neither keeps nor breaks it."""
    steps = [
        step("sync", 50),
        step("sync", 1),
        step("sync", 20, submit=0.5),
        step("sync", 5),
        step("queued", 1, submit=1.0, fit=False),
        step("queued", 5),
    ]
    assert verdict(steps)["most_users"] == {"sync": 5, "queued": 5}


def test_the_sentence_says_plainly_who_kept_the_rule_and_how_badly_it_was_broken():
    """Both apps in one sentence, and then the worst share and where it was seen."""
    steps = [
        step("sync", 1),
        step("sync", 5, submit=0.02, browse=0.3),
        step("sync", 10, submit=0.25),
        step("queued", 1),
        step("queued", 10, submit=0.003),
    ]
    assert verdict(steps)["sentence"] == (
        "The queued app kept the rule of 500 ms up to 10 users, the most tried; "
        "the synchronous app kept it up to 1 user. "
        "At worst, with 5 users, 30.0 % of browsing in the synchronous app took longer or failed."
    )


def test_another_rule_is_said():
    """It is a setting."""
    assert "kept the rule of 200 ms" in verdict([step("sync", 1)], {"rule_ms": 200})["sentence"]


def test_repeats_are_judged_together():
    """One repeat over the rule, one under: their mean decides, and it is one point."""
    steps = [step("queued", 10, submit=share, repeat=i) for i, share in enumerate((0.0, 0.015))]
    assert verdict(steps)["exit_status"] == 0
    assert verdict([*steps, step("queued", 10, submit=0.02, repeat=3)])["exit_status"] == 1


def test_a_repeat_that_was_not_fit_is_left_out_and_said():
    """There is another one to go by; what the busy machine did says nothing."""
    told = verdict([step("queued", 10, submit=0.5, fit=False), step("queued", 10, repeat=2)])
    assert (told["exit_status"], told["most_users"]) == (0, {"sync": None, "queued": 10})
    assert told["sentence"].endswith(
        "Left out: 1 of 2 measurements not fit (queued, 10 users: the machine was 93 % busy)."
    )


def test_open_load_is_told_by_its_rate():
    """Visits a second are no users, and count for the exit status all the same."""
    steps = [step("queued", 10), step("sync", 10, submit=0.2)]
    steps += [step("queued", None, rate_per_s=rate) for rate in (1.0, 7.5)]
    told = verdict([*steps, step("sync", None, submit=0.1, rate_per_s=1.0)])
    assert (told["exit_status"], told["most_users"]) == (0, {"sync": None, "queued": 10})
    assert told["sentence"].endswith(
        "In open load the queued app kept the rule of 500 ms up to 7.5 visits a second, the most tried; "
        "the synchronous app broke it even with 1 visit a second."
    )
    assert verdict([*steps, step("queued", None, submit=0.02, rate_per_s=9.0)])["exit_status"] == 1


def test_the_most_users_are_those_of_the_first_slots_and_the_others_are_told_shortly():
    """A sweep over slots has one headline: the default's."""
    steps = [
        step("sync", users, submit=0.2 if users > slots else 0, slots=slots)
        for slots in (4, 8, 16)
        for users in (5, 10, 20)
    ]
    told = verdict(steps, {"slots": [8, 4, 16]})
    assert told["most_users"] == {"sync": 5, "queued": None}
    assert told["sentence"].endswith("The synchronous app held none with 4 slots, 10 users with 16 slots.")
    assert verdict(steps, {"slots": [16, 4, 8]})["most_users"] == {"sync": 10, "queued": None}


def test_an_app_that_was_running_already_is_called_by_its_address():
    """And judged, being the only one."""
    told = verdict([step("host", 10)], {"host": "http://127.0.0.1:8000"})
    assert (told["exit_status"], told["most_users"]) == (0, {"sync": None, "queued": None, "host": 10})
    assert told["sentence"].startswith("The app at http://127.0.0.1:8000 kept the rule")
    assert finding([step("host", 10)]) == "With 10 users, 95 % of POST /feeds took up to 20 ms in your app"


def test_the_sentence_does_not_call_a_number_the_most_tried_when_more_were_unfit():
    """50 users were fit, 100 were tried."""
    told = verdict([step("queued", 50), step("queued", 100, fit=False)])["sentence"]
    assert told.endswith(
        "The queued app kept the rule of 500 ms up to 50 users, the most that can be judged."
    )


def test_an_app_that_never_kept_the_rule_is_said_to_have_broken_it_from_the_start():
    """And a step that answered nothing at all is told as such."""
    assert "broke the rule of 500 ms even with 5 users" in verdict([step("sync", 5, submit=0.2)])["sentence"]
    nothing = verdict([step("sync", 5, None, None)])["sentence"]
    assert nothing.endswith("With 5 users, nothing was answered by the synchronous app.")


def test_the_finding_compares_both_apps_where_both_are_fit():
    """The most users at which the comparison is valid, not the most that were tried."""
    steps = [step("sync", n, p95=7900.0, at_least=n == 50) for n in (10, 50, 100)]
    steps += [step("queued", n, p95=18.0, fit=n < 100) for n in (10, 50, 100)]
    assert {app: each["users"] for app, each in comparable(steps).items()} == {"sync": 50, "queued": 50}
    assert finding(steps) == (
        "With 50 users, 95 % of POST /feeds took up to at least 7.9 s synchronously, "
        "up to 18 ms with the queue"
    )


def test_of_several_repeats_the_first_fit_one_is_shown_and_their_mean_is_told():
    """With other slots than the default a step is not compared."""
    steps = [step("sync", 5, fit=False, repeat=1), step("sync", 5, p95=30.0, repeat=2)]
    steps += [step("sync", 5, p95=40.0, repeat=3), step("sync", 9, slots=16)]
    assert comparable(steps)["sync"]["repeat"] == 2
    assert finding(steps) == "With 5 users, 95 % of POST /feeds took up to 35 ms synchronously"


@pytest.mark.parametrize(
    "steps",
    [
        [],
        [step("sync", 1, fit=False), step("queued", 1)],
        [step("sync", 1), step("queued", 5)],
        [step("sync", 1, p95=None)],
    ],
)
def test_without_a_comparison_there_is_no_finding(steps):
    """Nothing is compared across numbers of users, and nothing that was not answered."""
    assert finding(steps) == "No step of this run is fit for a comparison"


def test_one_app_alone_is_a_finding_too():
    """A run of one app says what that one did."""
    assert finding([step("sync", 1), step("sync", 5, p95=40.0)]) == (
        "With 5 users, 95 % of POST /feeds took up to 40 ms synchronously"
    )


# ---- figures in words --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ms", "words"),
    [
        (0, "0.0 ms"),
        (3.21, "3.2 ms"),
        (9.96, "10 ms"),
        (18.4, "18 ms"),
        (999.4, "999 ms"),
        (999.6, "1.0 s"),
        (7940, "7.9 s"),
        (99_949, "99.9 s"),
        (99_950, "100 s"),
        (123_456, "123 s"),
    ],
)
def test_a_duration_is_said_with_the_digits_that_matter(ms, words):
    """Units change where the number would grow a digit, also when it gets there by rounding."""
    assert duration(ms) == words


@pytest.mark.parametrize(
    ("share", "words"),
    [
        (0, "0 %"),
        (0.0004, "<0.1 %"),
        (0.003, "0.3 %"),
        (0.0104, "1.0 %"),
        (0.978, "97.8 %"),
        (0.9996, ">99.9 %"),
        (1, "100 %"),
    ],
)
def test_almost_nothing_and_almost_all_are_not_said_to_be_it(share, words):
    """One request in 2,500 over the rule is not 0 %."""
    assert percent(share) == words


def test_a_figure_says_when_it_is_a_lower_bound_or_missing():
    """The mark goes wherever the figure goes."""
    summary = {"p50_ms": 12.0, "p95_ms": 7900.0, "p99_ms": None, "lower_bounds": ["p95_ms"]}
    assert [figure(summary, key) for key in ("p50_ms", "p95_ms", "p99_ms")] == ["12 ms", "≥ 7.9 s", "–"]
    assert figure(summary, "p95_ms", at_least="at least ") == "at least 7.9 s"


def test_one_user_is_singular():
    """Small, and seen in every run."""
    assert (user_count(1), user_count(20)) == ("1 user", "20 users")


def test_a_figure_of_a_point_is_said_in_the_same_way():
    """A mean of repeats that is a lower bound is marked, too."""
    assert stated({"value": 7900.0, "low": None, "high": None, "lower_bound": True}) == "≥ 7.9 s"
    assert (stated({"value": 18.0, "low": 1.0, "high": 20.0, "lower_bound": False}), stated(None)) == (
        "18 ms",
        "–",
    )
