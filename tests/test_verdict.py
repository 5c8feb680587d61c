"""Which app kept the rule, with how many users, and how that is worded."""

from typing import Any

import pytest

from loadtests.judging.rule import rule_of
from loadtests.judging.verdict import comparable, finding, verdict
from loadtests.wording import duration, figure, percent, stated, stated_share, user_count, with_interval

FULL = "the machine was 97 % busy"


def summary(
    share: float | None, p95: float | None = None, at_least: bool = False, judged: int = 10_000
) -> dict[str, Any]:
    """As much of a summary as a point is made from."""
    latencies = {key: p95 if key == "p95_ms" else None for key in ("p50_ms", "p95_ms", "p99_ms", "mean_ms")}
    bounds = ["p95_ms"] if at_least else []
    intervals = dict.fromkeys(("p50_ci", "p95_ci", "p99_ci", "share_ci"))
    counts = {"count": judged, "judged": 0 if share is None else judged, "over": round((share or 0) * judged)}
    return {**counts, **latencies, **intervals, "share_over": share, "lower_bounds": bounds}


def step(
    app: str,
    users: int | None,
    submit: float | None = 0.0,
    browse: float | None = 0.0,
    fit: bool = True,
    p95: float | None = 20.0,
    at_least: bool = False,
    requests: int = 10_000,
    **changed: Any,
) -> dict[str, Any]:
    """A step with these shares over the rule, of `requests` requests in each group, this fitness, this p95 of
    POST /feeds, and whatever is `changed`.
    """
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
        "unfit_reasons": [] if fit else ["9 of 10 users were there"],
        "slowed_reasons": [],
        "steady": True,
        "achieved_per_s": 1.0,
        "submit": summary(submit, p95, at_least, requests),
        "browse": summary(browse, judged=requests),
        "content": summary(None),
        **changed,
    }
    return bare | {"rule": rule_of(bare, bool(bare["slowed_reasons"]))}


@pytest.mark.parametrize(
    ("submit", "browse", "word"),
    [
        (0.0, 0.0, "kept"),
        (0.008, 0.008, "kept"),
        (0.01, 0.0, "undecided"),
        (0.0, 0.01, "undecided"),
        (0.0101, 0.0, "undecided"),
        (0.0123, 0.0, "broken"),
        (0.0, 0.0123, "broken"),
        (0.01, 0.0123, "broken"),
        (0.0, None, "kept"),
        (None, 0.0, "kept"),
        (None, None, "undecided"),
    ],
)
def test_the_rule_allows_one_percent_of_each_group_that_was_measured(submit, browse, word):
    """Of 10,000 requests. A single user submits, so that there is no browsing to judge; a step without any
    requests keeps nothing.
    """
    assert step("sync", 1, submit, browse)["rule"] == word


@pytest.mark.parametrize(
    ("over", "requests", "word"),
    [
        (0, 3, "undecided"),
        (0, 367, "undecided"),
        (0, 368, "kept"),  # 1 - 0.025 ** (1 / 368) = 0.99 %
        (1, 2, "broken"),  # 1 - 0.975 ** (1 / 2) = 1.26 %
        (1, 3, "undecided"),
        (3, 100, "undecided"),
        (4, 100, "broken"),
    ],
)
def test_few_requests_decide_only_what_is_beyond_doubt(over, requests, word):
    """The ends of the exact Clopper-Pearson interval, by hand where that is simple."""
    assert step("sync", 1, over / requests, None, requests=requests)["rule"] == word


def test_the_status_is_that_of_the_queued_app():
    """The synchronous app's figures are the lesson, not the verdict."""
    steps = [step("sync", 10, submit=0.9), step("queued", 10)]
    assert verdict(steps)["exit_status"] == 0
    assert verdict([*steps, step("queued", 20, browse=0.02)])["exit_status"] == 1


def test_alone_the_synchronous_app_is_judged():
    """`--app sync` asks about that app."""
    assert verdict([step("sync", 1)])["exit_status"] == 0
    assert verdict([step("sync", 1), step("sync", 5, submit=0.2)])["exit_status"] == 1


def test_without_a_fit_step_of_the_judged_app_there_is_no_verdict():
    """Whatever its figures: a run that measured something else proves nothing, and the reason is given."""
    told = verdict([step("queued", 10, fit=False), step("sync", 10)])
    assert told["exit_status"] == 3
    assert told["sentence"].startswith(
        "This run is not fit for a verdict: no load was the one asked for"
        " (queued, 10 users: 9 of 10 users were there). "
    )


def test_a_step_that_is_not_fit_does_not_void_the_others():
    """The other app's is left out; the judged one's leaves its load open, unless a larger one was kept."""
    told = verdict([step("sync", 10, fit=False), step("queued", 10)])
    assert told["exit_status"] == 0
    assert told["sentence"].endswith(
        "Left out: 1 of 2 measurements, slowed or not fit (synchronous, 10 users: 9 of 10 users were there)."
    )
    kept, unfit = step("queued", 10), step("queued", 20, fit=False)
    assert verdict([kept, unfit])["exit_status"] == 4
    assert verdict([kept, unfit, step("queued", 50)])["exit_status"] == 0
    assert verdict([unfit, step("queued", 50, submit=0.2)])["exit_status"] == 1


def test_no_steps_are_no_verdict():
    """An empty run has not kept the rule."""
    told = verdict([])
    assert told == {
        "exit_status": 3,
        "sentence": "No step was measured.",
        "most_users": {"sync": None, "queued": None},
    }


def test_the_most_users_end_before_the_first_step_that_broke_the_rule():
    """Keeping it again with more users may be luck; an unfit step neither keeps nor breaks it."""
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
    """Both apps in one sentence, then the worst share and where it occurred."""
    steps = [
        step("sync", 1),
        step("sync", 5, submit=0.02, browse=0.3),
        step("sync", 10, submit=0.25),
        step("queued", 1),
        step("queued", 10, submit=0.003),
    ]
    assert verdict(steps)["sentence"] == (
        "The queued app kept the rule of 500 ms up to 10 users, the most tried; "
        "the synchronous app kept it up to 1 user, and broke it with 5 users. "
        "At worst, with 5 users, 30.0 % of browsing in the synchronous app took longer or failed."
    )


def test_another_rule_is_said():
    """The limit is a setting."""
    assert "kept the rule of 200 ms" in verdict([step("sync", 1)], {"rule_ms": 200})["sentence"]


def test_repeats_are_judged_together():
    """One repeat over the rule, one under: their requests together decide, as one point."""
    steps = [step("queued", 10, submit=share, repeat=i) for i, share in enumerate((0.0, 0.015))]
    assert verdict(steps)["exit_status"] == 0
    assert verdict([*steps, step("queued", 10, submit=0.02, repeat=3)])["exit_status"] == 1


def test_a_repeat_that_was_not_fit_is_left_out_and_said():
    """Another repeat decides; figures of another load say nothing."""
    told = verdict([step("queued", 10, submit=0.5, fit=False), step("queued", 10, repeat=2)])
    assert (told["exit_status"], told["most_users"]) == (0, {"sync": None, "queued": 10})
    assert told["sentence"].endswith(
        "Left out: 1 of 2 measurements, slowed or not fit (queued, 10 users: 9 of 10 users were there)."
    )


def test_open_load_is_told_by_its_rate():
    """Visits a second are not users, but count for the exit status all the same."""
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
    """A sweep over slots has one headline: that of the default."""
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
    """It is judged, as the only app."""
    told = verdict([step("host", 10)], {"host": "http://127.0.0.1:8000"})
    assert (told["exit_status"], told["most_users"]) == (0, {"sync": None, "queued": None, "host": 10})
    assert told["sentence"].startswith("The app at http://127.0.0.1:8000 kept the rule")
    assert finding([step("host", 10)]) == "With 10 users, 95 % of POST /feeds took up to 20 ms in your app"


def test_where_more_could_not_be_judged_the_sentence_says_whether_the_machine_was_full():
    """50 users were fit, 100 were tried."""
    kept, unfit = step("queued", 50), step("queued", 100, fit=False)
    assert verdict([kept, unfit | {"slowed_reasons": [FULL]}])["sentence"].startswith(
        "The queued app kept the rule of 500 ms with at least 50 users: this machine can do no more."
    )
    assert verdict([kept, unfit])["sentence"].startswith(
        "The queued app kept the rule of 500 ms up to 50 users, the most that can be judged."
    )


def test_an_app_that_never_kept_the_rule_is_said_to_have_broken_it_from_the_start():
    """A step without any requests proves nothing."""
    assert "broke the rule of 500 ms even with 5 users" in verdict([step("sync", 5, submit=0.2)])["sentence"]
    nothing = verdict([step("sync", 5, None, None)])
    assert nothing["exit_status"] == 4
    assert nothing["sentence"].endswith(
        "There were too few requests to say whether the synchronous app kept the rule of 500 ms."
    )


# ---- too few requests to say -------------------------------------------------------------------------------


def test_too_few_requests_are_no_verdict():
    """Three requests of 20 ms prove nothing, whichever app is judged: status 4, and no number of users."""
    told = verdict([step("queued", 5, requests=3), step("sync", 5)])
    assert (told["exit_status"], told["most_users"]) == (4, {"sync": 5, "queued": None})
    assert told["sentence"] == (
        "There were too few requests to say whether the queued app kept the rule of 500 ms; "
        "the synchronous app kept it up to 5 users, the most tried."
    )
    assert verdict([step("queued", 5), step("sync", 5, requests=3)])["exit_status"] == 0


def test_a_larger_load_that_kept_the_rule_speaks_for_smaller_ones():
    """One user never sends many requests; if a hundred are served well, one is, too."""
    few = [step("queued", users, requests=30 * users) for users in (1, 5)]
    assert verdict(few)["exit_status"] == 4
    told = verdict([*few, step("queued", 20, requests=600)])
    assert (told["exit_status"], told["most_users"]["queued"]) == (0, 20)
    assert told["sentence"] == "The queued app kept the rule of 500 ms up to 20 users, the most tried."


def test_a_smaller_load_does_not_speak_for_a_larger_one():
    """Nor open load for closed, nor 16 slots for 8."""
    kept = step("queued", 20)
    for undecided in (
        step("queued", 50, requests=30),
        step("queued", None, rate_per_s=2.0, requests=30),
        step("queued", 5, slots=16, requests=30),
    ):
        assert verdict([kept, undecided])["exit_status"] == 4
    told = verdict([kept, step("queued", 50, requests=30)])
    assert told["most_users"]["queued"] == 20
    assert told["sentence"] == (
        "The queued app kept the rule of 500 ms up to 20 users, "
        "and with 50 users there were too few requests to say."
    )


def test_what_was_broken_with_a_smaller_load_is_not_undone_by_a_larger_one():
    """It also outweighs anything undecided."""
    steps = [step("queued", 5, requests=30), step("queued", 10, submit=0.2), step("queued", 20)]
    told = verdict(steps)
    assert (told["exit_status"], told["most_users"]["queued"]) == (1, None)
    assert told["sentence"].startswith(
        "The queued app broke the rule of 500 ms with 10 users, "
        "and with less there were too few requests to say. At worst, with 10 users, 20.0 % of "
    )
    assert verdict([*steps, step("queued", 50, requests=30)])["exit_status"] == 1


def test_what_is_told_of_a_broken_rule_is_what_is_beyond_doubt():
    """3 of 100 browsing requests may be chance: theirs is not the worst share that is reported."""
    broken = step("sync", 5, submit=0.02) | {"browse": summary(0.03, judged=100)}
    assert verdict([broken])["sentence"].endswith(
        "2.0 % of POST /feeds in the synchronous app took longer or failed."
    )


# ---- a search for the limit --------------------------------------------------------------------------------

SEARCH = {"search": True}


def test_a_limit_that_was_searched_for_is_an_answer():
    """Status 0 where the same steps, asked for one by one, broke the rule."""
    steps = [step("queued", 10), step("queued", 20), step("queued", 50, submit=0.2)]
    assert (verdict(steps)["exit_status"], verdict(steps, SEARCH)["exit_status"]) == (1, 0)
    assert verdict(steps, SEARCH)["sentence"].startswith(
        "The queued app kept the rule of 500 ms up to 20 users, and broke it with 50 users."
    )


def test_no_limit_is_none():
    """Broken with the smallest load that can be judged: 1. With a larger one, the smaller undecided: 4."""
    broken = step("queued", 10, submit=0.2)
    assert verdict([broken], SEARCH)["exit_status"] == 1
    assert verdict([step("queued", 1, fit=False), broken], SEARCH)["exit_status"] == 1
    assert verdict([step("queued", 1, requests=3), broken], SEARCH)["exit_status"] == 4
    assert verdict([step("queued", 1, requests=3)], SEARCH)["exit_status"] == 4
    assert verdict([step("queued", 1, fit=False), step("sync", 1)], SEARCH)["exit_status"] == 3


def test_a_search_does_not_excuse_open_load():
    """Its rates were given."""
    steps = [step("queued", 10), step("queued", None, rate_per_s=5.0, submit=0.2)]
    assert verdict(steps, SEARCH)["exit_status"] == 1


# ---- slowed by the machine ---------------------------------------------------------------------------------


def test_a_full_machine_can_prove_only_that_the_rule_was_kept():
    """Status 0 with what its figures are; over the limit it is undecided, whatever the share."""
    kept = step("queued", 10, slowed_reasons=[FULL])
    told = verdict([kept])
    assert (told["exit_status"], told["most_users"]["queued"]) == (0, 10)
    assert told["sentence"] == (
        "The queued app kept the rule of 500 ms up to 10 users, the most tried. "
        "The latencies of 1 of 1 point are upper bounds (queued, 10 users: the machine was 97 % busy)."
    )
    told = verdict([kept, step("queued", 50, submit=0.9, slowed_reasons=[FULL])])
    assert (told["exit_status"], told["most_users"]["queued"]) == (4, 10)
    assert told["sentence"].startswith(
        "The queued app kept the rule of 500 ms with at least 10 users: this machine can do no more. "
    )
    alone = verdict([step("queued", 50, submit=0.9, slowed_reasons=[FULL])])
    assert alone["exit_status"] == 4 and "too busy to say whether the queued app kept" in alone["sentence"]


def test_a_slowed_repeat_does_not_count_beside_a_sound_one():
    """It is told that it was left out, and decides nothing."""
    slowed = step("queued", 10, submit=0.9, slowed_reasons=[FULL])
    told = verdict([slowed, step("queued", 10, repeat=2)])
    assert told["exit_status"] == 0
    assert told["sentence"].endswith(
        "Left out: 1 of 2 measurements, slowed or not fit (queued, 10 users: the machine was 97 % busy)."
    )
    assert verdict([slowed, step("queued", 10, submit=0.2, repeat=2)])["exit_status"] == 1


def test_figures_of_slowed_steps_are_not_compared():
    """At 10 users neither app was slowed."""
    steps = [step(app, users) for app in ("sync", "queued") for users in (10, 50)]
    steps[-1]["slowed_reasons"] = [FULL]
    assert {app: each["users"] for app, each in comparable(steps).items()} == {"sync": 10, "queued": 10}


def test_the_finding_compares_both_apps_where_both_are_fit():
    """At the most users for which the comparison is valid, not the most that were tried."""
    steps = [step("sync", n, p95=7900.0, at_least=n == 50) for n in (10, 50, 100)]
    steps += [step("queued", n, p95=18.0, fit=n < 100) for n in (10, 50, 100)]
    assert {app: each["users"] for app, each in comparable(steps).items()} == {"sync": 50, "queued": 50}
    assert finding(steps) == (
        "With 50 users, 95 % of POST /feeds took up to at least 7.9 s synchronously, "
        "up to 18 ms with the queue"
    )


def test_of_several_repeats_the_first_fit_one_is_shown_and_their_mean_is_told():
    """Steps with other slots than the default are not compared."""
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
    """Different numbers of users are never compared, nor requests that were not answered."""
    assert finding(steps) == "No step of this run is fit for a comparison"


def test_one_app_alone_is_a_finding_too():
    """A run of one app reports that app's figures."""
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
    """The unit changes where the number would gain a digit, even by rounding."""
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
    """The mark accompanies the figure everywhere."""
    summary = {"p50_ms": 12.0, "p95_ms": 7900.0, "p99_ms": None, "lower_bounds": ["p95_ms"]}
    assert [figure(summary, key) for key in ("p50_ms", "p95_ms", "p99_ms")] == ["12 ms", "≥ 7.9 s", "–"]
    assert figure(summary, "p95_ms", at_least="at least ") == "at least 7.9 s"


def test_one_user_is_singular():
    """A detail, but it appears in every run."""
    assert (user_count(1), user_count(20)) == ("1 user", "20 users")


def test_a_figure_of_a_point_is_said_in_the_same_way():
    """A mean of repeats that is a lower bound is marked, too."""
    assert stated({"value": 7900.0, "low": None, "high": None, "lower_bound": True}) == "≥ 7.9 s"
    assert (stated({"value": 18.0, "low": 1.0, "high": 20.0, "lower_bound": False}), stated(None)) == (
        "18 ms",
        "–",
    )


def test_a_mark_says_on_which_side_the_truth_may_lie():
    """Unanswered requests: above. A full machine: below. Both: nobody knows."""
    known = {"value": 18.0, "low": None, "high": 20.0, "lower_bound": False, "upper_bound": True}
    assert (stated(known), stated(known | {"lower_bound": True})) == ("≤ 18 ms", "~ 18 ms")
    assert with_interval(known, stated) == "≤ 18 ms (? to 20 ms)"
    assert stated_share(known | {"value": 0.25}) == "≤ 25.0 %"
