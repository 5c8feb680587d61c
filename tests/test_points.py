"""All repeats of a condition together: which ones, their means, and intervals between and within runs."""

import random
import statistics
from typing import Any

import pytest

from loadtests.judging.points import points, together
from loadtests.judging.samples import summarise
from loadtests.records.rows import Row

ENDED = 100.0
CONDITION = ("app", "model", "users", "rate_per_s", "slots", "workers", "threads")


def step(latencies: list[float], hanging: int = 0, **changed: Any) -> dict[str, Any]:
    """A step whose POST /feeds took these times in milliseconds, with some that never ended."""
    rows = [Row(1, "submit", "POST /feeds", 0.0, 0.0, ms / 1000, 200, "") for ms in latencies]
    rows += [Row(1, "submit", "POST /feeds", 90.0, 90.0, None, 0, "")] * hanging
    condition = dict.fromkeys(CONDITION) | {"app": "queued", "model": "closed", "users": 10, "slots": 8}
    condition |= {"workers": 1, "threads": 32}
    groups = {
        "submit": summarise(rows, ENDED),
        "browse": summarise([], ENDED),
        "content": summarise([], ENDED),
    }
    usual = {"repeat": 1, "fit": True, "slowed_reasons": [], "steady": True, "achieved_per_s": 5.0}
    return {**condition, **usual, **groups, **changed}


def test_one_repeat_keeps_its_own_intervals():
    """Exact binomial within the run; a mean has none there."""
    one = step([float(ms) for ms in range(1, 401)])
    (point,) = points([one])
    low, high = one["submit"]["p95_ci"]
    assert point["submit"]["p95_ms"] == {"value": 380.0, "low": low, "high": high, "lower_bound": False}
    assert point["submit"]["share_over"]["high"] == one["submit"]["share_ci"][1]
    assert point["submit"]["mean_ms"] == {"value": 200.5, "low": None, "high": None, "lower_bound": False}
    assert (point["fit_repeats"], point["steps"], point["submit"]["count"]) == (1, [0], 400)


def test_what_was_not_measured_has_no_figure():
    """No user browsed."""
    (point,) = points([step([10.0])])
    assert point["browse"]["p95_ms"] is None
    assert point["browse"]["share_over"] is None
    assert point["submit"]["p99_ms"]["low"] is None  # a single request gives no interval


def test_repeats_are_averaged_with_students_interval():
    """10, 12 and 17: mean 13, standard deviation 3.606, t with 2 degrees of freedom 4.303."""
    (point,) = points([step([ms], repeat=i) for i, ms in enumerate((10.0, 12.0, 17.0))])
    figure = point["submit"]["p50_ms"]
    assert figure["value"] == pytest.approx(13)
    assert (figure["low"], figure["high"]) == pytest.approx((13 - 8.957, 13 + 8.957), abs=1e-3)
    assert point["achieved_per_s"] == {"value": 5.0, "low": 5.0, "high": 5.0, "lower_bound": False}


def test_an_interval_ends_where_no_figure_can_be():
    """No latency is below zero, and no share above 1."""
    (point,) = points([step([ms], repeat=i) for i, ms in enumerate((1.0, 900.0))])
    assert point["submit"]["p50_ms"]["low"] == 0
    share = point["submit"]["share_over"]
    assert (share["value"], share["low"], share["high"]) == (0.5, 0.0, 1.0)


def test_a_mean_with_a_lower_bound_in_it_is_one_and_has_no_interval():
    """That repeat's true value may be anything above, and so may the spread."""
    (point,) = points([step([10.0, 20.0]), step([10.0], hanging=3, repeat=2)])
    assert point["submit"]["p50_ms"]["lower_bound"]
    assert (point["submit"]["p50_ms"]["low"], point["submit"]["p50_ms"]["high"]) == (None, None)


def test_unfit_repeats_are_left_out_and_a_point_without_a_fit_one_has_no_figures():
    """They count only in `steps`."""
    steps = [step([10.0]), step([5000.0], fit=False, steady=False), step([5000.0], fit=False, users=20)]
    ten, twenty = points(steps)
    assert (ten["steps"], ten["fit_repeats"], ten["submit"]["p50_ms"]["value"]) == ([0, 1], 1, 10.0)
    assert (ten["fit"], ten["steady"], ten["rule"]) == (True, True, "undecided")
    assert (twenty["fit"], twenty["submit"]["p50_ms"], twenty["rule"]) == (False, None, "undecided")
    assert (twenty["achieved_per_s"], twenty["submit"]["count"]) == (None, 0)


def test_slowed_repeats_count_only_where_none_is_sound():
    """Then the figures are upper bounds: of the interval only the upper end is known."""
    slowed = [step([ms] * 400, repeat=n, slowed_reasons=[f"{n}"]) for n, ms in enumerate((30.0, 40.0))]
    (point,) = points([step([10.0] * 400, repeat=3), *slowed])
    assert (point["fit_repeats"], point["slowed_reasons"]) == (1, [])
    assert point["submit"]["p50_ms"]["value"] == 10.0 and "upper_bound" not in point["submit"]["p50_ms"]
    (point,) = points(slowed)
    assert (point["fit"], point["fit_repeats"], point["slowed_reasons"]) == (True, 2, ["0", "1"])
    figure = point["submit"]["p50_ms"]
    assert (figure["value"], figure["low"], figure["upper_bound"]) == (35.0, None, True)
    assert figure["high"] > 35 and point["rule"] == "kept"
    (point,) = points([step([900.0] * 400, slowed_reasons=["full"])])
    assert point["rule"] == "undecided"


def test_a_points_rule_is_what_the_requests_of_all_fit_repeats_prove():
    """200 each are undecided, 400 together decide; an unfit repeat's don't count."""
    steps = [step([10.0] * 200, repeat=n) for n in (1, 2)]
    assert [point["rule"] for point in points(steps[:1])] == ["undecided"]
    (point,) = points(steps)
    assert (point["rule"], point["submit"]["judged"], point["submit"]["over"]) == ("kept", 400, 0)
    (point,) = points([*steps, step([900.0] * 50, repeat=3, fit=False)])
    assert (point["rule"], point["submit"]["judged"]) == ("kept", 400)
    (point,) = points([*steps, step([900.0] * 50, repeat=3)])
    assert (point["rule"], point["submit"]["judged"], point["submit"]["over"]) == ("broken", 450, 50)


def test_every_condition_has_its_point_in_a_fixed_order_however_the_steps_were_mixed():
    """By app, slots, workers and threads, then by load; a burst is not a condition."""
    changes: list[dict[str, Any]] = [
        {"app": "sync", "users": 1},
        {"app": "sync", "users": 20},
        {"app": "sync", "users": None, "model": "open", "rate_per_s": 2.5},
        {"app": "sync", "users": None, "model": "open", "rate_per_s": 10.0},
        {"app": "sync", "slots": 16, "users": 1},
        {"app": "queued", "users": 1},
        {"app": "queued", "users": 1, "threads": 64},
        {"app": "host", "users": 1},
    ]
    steps = [step([10.0], **change) for change in changes]
    mixed = random.Random(4).sample([*steps, step([9.0], burst=50)], len(steps) + 1)
    found = points(mixed)
    assert [{key: point[key] for key in CONDITION} for point in found] == [
        {key: each[key] for key in CONDITION} for each in steps
    ]
    assert [mixed[point["steps"][0]]["app"] for point in found] == [each["app"] for each in steps]


def test_ninety_five_of_a_hundred_intervals_between_runs_hold_the_true_mean():
    """Five repeats of a normally distributed figure, 1,000 times: as Student's t promises."""
    rng = random.Random(7)
    held = 0
    for _ in range(1000):
        values = [rng.gauss(100, 15) for _ in range(5)]
        figure = together([{"value": v, "low": None, "high": None, "lower_bound": False} for v in values])
        assert figure
        assert figure["value"] == pytest.approx(statistics.mean(values))
        held += figure["low"] <= 100 <= figure["high"]
    assert 930 <= held <= 970
