"""Who kept the rule, with how many users, and how that is said."""

from typing import Any

import pytest

from loadtests.verdict import comparable, finding, verdict, within_rule
from loadtests.wording import duration, figure, percent, user_count


def step(
    app: str,
    users: int,
    submit: float | None = 0.0,
    browse: float | None = 0.0,
    fit: bool = True,
    p95: float | None = 20.0,
    at_least: bool = False,
) -> dict[str, Any]:
    """As much of a step as a verdict looks at: shares over the rule, fitness, and p95 of POST /feeds."""
    bare = {
        "app": app,
        "users": users,
        "fit": fit,
        "unfit_reasons": [] if fit else ["the machine was 93 % busy"],
        "submit": {"share_over_500ms": submit, "p95_ms": p95, "lower_bounds": ["p95_ms"] if at_least else []},
        "browse": {"share_over_500ms": browse},
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
    assert "1 of its 2 steps" in told["sentence"]
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
    """Both apps, in words, with the worst share and where it was seen."""
    steps = [
        step("sync", 1),
        step("sync", 5, submit=0.02, browse=0.3),
        step("sync", 10, submit=0.25),
        step("queued", 1),
        step("queued", 10, submit=0.003),
    ]
    assert verdict(steps)["sentence"] == (
        "The queued app kept the rule of 500 ms up to 10 users, the most tried. "
        "The synchronous app kept the rule of 500 ms up to 1 user; at worst, with 5 users, "
        "30.0 % of browsing took longer or failed."
    )


def test_the_sentence_does_not_call_a_number_the_most_tried_when_more_were_unfit():
    """50 users were fit, 100 were tried."""
    told = verdict([step("queued", 50), step("queued", 100, fit=False)])["sentence"]
    assert told.endswith(
        "The queued app kept the rule of 500 ms up to 50 users, the most that can be judged."
    )


def test_an_app_that_never_kept_the_rule_is_said_to_have_broken_it_from_the_start():
    """And a step that answered nothing at all is told as such."""
    assert "broke the rule of 500 ms even with 5 users" in verdict([step("sync", 5, submit=0.2)])["sentence"]
    assert verdict([step("sync", 5, None, None)])["sentence"].endswith("5 users: nothing was answered.")


def test_the_finding_compares_both_apps_where_both_are_fit():
    """The most users at which the comparison is valid, not the most that were tried."""
    steps = [step("sync", n, p95=7900.0, at_least=n == 50) for n in (10, 50, 100)]
    steps += [step("queued", n, p95=18.0, fit=n < 100) for n in (10, 50, 100)]
    assert {app: each["users"] for app, each in comparable(steps).items()} == {"sync": 50, "queued": 50}
    assert finding(steps) == (
        "With 50 users, 95 % of POST /feeds took up to at least 7.9 s synchronously, "
        "up to 18 ms with the queue"
    )


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
