"""The `theory` of results.json: from steps and points to curves, with the measurements beside them."""

import json
import math
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import loadtests
from loadtests.predicting.demands import demands, polling, workload
from loadtests.predicting.prediction import predict
from loadtests.records.predictions import Predicted

SCHEMA = json.loads(Path(loadtests.__file__).with_name("results.schema.json").read_text())
THEORY = {"$defs": SCHEMA["$defs"], **SCHEMA["properties"]["theory"]}
SETTINGS = {
    "rule_ms": 500.0,
    "warmup_s": 2.5,
    "ramp_users_per_s": 40.0,
    "measure_s": 11.0,
    "drain_s": 4.0,
    "think_s": 2.0,
    "submitters": 0.7,
    "slots": [8],
    "workers": [1],
    "threads": [32],
    "deadline_s": 5.0,
    "mix": {"typical": 80.0, "slow": 15.0, "hang": 5.0},
}
SYNC_SERVER = {
    "served": {"submit": 100, "page": 120, "list": 30},
    "demand_ms": {"submit": 1100.0, "page": 8.0, "list": 6.0},
    "demand_scv": {"submit": 1.5, "page": 0.5, "list": 0.5},
}
QUEUED_SERVER = {
    "served": {"submit": 100, "page": 220, "list": 30, "poll": 240},
    "demand_ms": {"submit": 10.0, "page": 6.0, "list": 5.0, "poll": 3.0},
    "demand_scv": {"submit": 0.3, "page": 0.5, "list": 0.5, "poll": 0.2},
}
USUAL = {"slots": 8, "workers": 1, "threads": 32}


def figure(value: float) -> dict[str, Any]:
    """A figure that was measured once."""
    return {"value": value, "low": None, "high": None, "lower_bound": False}


def step(app: str, load: float, model: str = "closed", **changed: Any) -> dict[str, Any]:
    """As much of a step as a prediction looks at."""
    server = QUEUED_SERVER if app == "queued" else SYNC_SERVER
    return {
        "app": app,
        "model": model,
        "users": load if model == "closed" else None,
        "rate_per_s": load if model == "open" else None,
        **USUAL,
        "fit": True,
        "slowed_reasons": [],
        "server": None if app == "host" else server,
        "submit": {"mean_ms": 12.0 if app == "queued" else 1150.0},
        "content": {"mean_ms": 1400.0 if app == "queued" else 1160.0},
        "queue": None,
        "window_s": [2.5, 13.5],
        "timeline": [],
        **changed,
    }


def results(*steps: dict[str, Any], **settings: Any) -> dict[str, Any]:
    """Results with a point for each step."""
    return {
        "settings": {**SETTINGS, **settings},
        "steps": list(steps),
        "points": [
            {
                **{
                    key: each[key]
                    for key in ("app", "model", "users", "rate_per_s", *USUAL, "fit", "slowed_reasons")
                },
                "steps": [index],
                "submit": {key: figure(700.0) for key in ("mean_ms", "p50_ms", "p95_ms", "p99_ms")}
                | {"share_over": figure(0.5)},
                "achieved_per_s": figure(12.0),
            }
            for index, each in enumerate(steps)
            if "burst" not in each
        ],
    }


def curves_of(*steps: dict[str, Any], **settings: Any) -> list[dict[str, Any]]:
    """The predicted curves, once their `theory` is checked against the schema."""
    theory = predict(results(*steps, **settings))
    jsonschema.validate(theory, THEORY)
    return theory["curves"] if theory else []


def test_every_app_and_model_has_its_curve_with_the_measurements_beside_it() -> None:
    """Both apps, closed and open, as in the schema; loads ascend to a tenth beyond the last measured."""
    loads = {"closed": [40, 10, 80], "open": [4.0, 2.0]}
    steps = [step(app, load, model) for app in ("sync", "queued") for model in loads for load in loads[model]]
    curves = curves_of(*steps)
    assert [(curve["app"], curve["model"]) for curve in curves] == [
        (app, model) for app in ("sync", "queued") for model in loads
    ]
    for curve in curves:
        measured = sorted(loads[curve["model"]])
        assert [at["load"] for at in curve["at"]] == measured
        assert curve["loads"] == sorted(set(curve["loads"]))
        assert curve["loads"][-1] == pytest.approx(1.1 * measured[-1])
        assert 15 < len(curve["loads"]) <= 41 + len(measured)
        assert all(len(curve[key]) == len(curve["loads"]) for key in Predicted.__required_keys__)
        assert all(at["measured"]["p95_ms"] == figure(700.0) for at in curve["at"])
        assert {key: curve[key] for key in USUAL} == USUAL
        assert (
            (curve["knee_users"] is None) == (curve["model"] == "open") != (curve["saturation_per_s"] is None)
        )
        assert all(isinstance(load, int) for load in curve["loads"]) == (curve["model"] == "closed")


def test_the_figures_of_the_synchronous_app() -> None:
    """Knee and saturation by hand; a few users see the bare service time, many queue behind each other."""
    closed, opened = curves_of(step("sync", 10), step("sync", 80), step("sync", 5.0, "open"))
    assert closed["demand_ms"] == {
        "submit": pytest.approx(1100),
        "page": pytest.approx(8),
        "list": pytest.approx(6),
    }
    browse = (90 * 6 + 60 * 8) / 150 / 1000  # three steps; of 360 pages 60 are browsers'
    busy = 0.7 * 1.108 / 3.108 + 0.3 * browse / (2 + browse)
    assert closed["knee_users"] == pytest.approx(8 / busy)
    assert opened["saturation_per_s"] == pytest.approx(8 / (0.7 * 1.108 + 0.3 * browse))
    few, many = (at["predicted"] for at in closed["at"])
    assert few["mean_ms"] == pytest.approx(1100, rel=0.01) == few["least_mean_ms"]
    assert few["p95_ms"] == pytest.approx(1100 * math.log(20), rel=0.01)
    assert few["share_over"] == pytest.approx(math.exp(-500 / 1100), rel=0.01)
    assert many["mean_ms"] > 3000
    assert many["achieved_per_s"] == pytest.approx(many["most_per_s"], rel=0.02)
    assert many["allen_cunneen_mean_ms"] is None
    (at,) = opened["at"]
    assert at["predicted"]["allen_cunneen_mean_ms"] > at["predicted"]["mean_ms"]


def test_the_simulation_has_what_formulas_leave_out() -> None:
    """With the real mix most feeds arrive within 500 ms; with exponential times most do not."""
    (curve,) = curves_of(step("sync", 8))
    (at,) = curve["at"]
    assert at["simulated"]["mean_ms"] == pytest.approx(at["predicted"]["mean_ms"], rel=0.05)
    assert at["simulated"]["achieved_per_s"] == pytest.approx(at["predicted"]["achieved_per_s"], rel=0.05)
    assert at["simulated"]["share_over"] < 0.4
    assert at["predicted"]["share_over"] > 0.6
    assert at["simulated"]["p50_ms"] < 450 < at["predicted"]["p50_ms"]


@pytest.mark.slow
def test_far_over_the_knee_a_step_is_too_short_for_what_the_formula_says() -> None:
    """No wait can exceed the step's length; the formula's steady state comes later."""
    (curve,) = curves_of(step("sync", 1000))
    (at,) = curve["at"]
    assert at["predicted"]["mean_ms"] > 40_000
    assert at["simulated"]["mean_ms"] < 20_000


def test_the_rule_may_be_another() -> None:
    """Shares are over the run's own rule, in the formula and in the simulation."""
    (curve,) = curves_of(step("sync", 8), rule_ms=3000.0)
    (at,) = curve["at"]
    assert at["predicted"]["share_over"] == pytest.approx(math.exp(-3000 / 1100), rel=0.01)
    assert 0.05 < at["simulated"]["share_over"] < 0.2


def test_where_everybody_submits_nobody_browses() -> None:
    """The knee is that of submitters alone."""
    (curve,) = curves_of(step("sync", 10), submitters=1.0)
    assert curve["knee_users"] == pytest.approx(8 * 3.108 / 1.108)


def test_polls_add_requests_and_their_pauses_take_time() -> None:
    """2.4 polls a visit and a second page; the rest of the time to content is pauses."""
    (curve,) = curves_of(step("queued", 20))
    (at,) = curve["at"]
    visit_s = 0.010 + 2 * 0.006 + 2.4 * 0.003
    pause_s = 1.400 - visit_s - 5.4 * 0.002  # each request waited 2 ms, as POST /feeds did
    browse_s = (30 * 5 + 20 * 6) / 50 / 1000
    expected = 14 * 5.4 / (2.0 + pause_s + visit_s) + 6 / (2.0 + browse_s)
    assert at["predicted"]["achieved_per_s"] == pytest.approx(expected, rel=1e-4)
    assert at["simulated"]["achieved_per_s"] == pytest.approx(expected, rel=0.05)


def test_polling_is_taken_as_it_was_at_each_load() -> None:
    """It is interpolated between loads: with more users, feeds take longer and are polled more often."""
    busy = {**QUEUED_SERVER, "served": {"submit": 100, "page": 220, "list": 30, "poll": 640}}
    few, many = step("queued", 10), step("queued", 30, server=busy, content={"mean_ms": 5400.0})
    found = demands([few, many])
    assert found is not None
    polled = [polling(30, [many], found), polling(10, [few], found)]
    known = [each for each in polled if each is not None]
    works = [workload(found, SETTINGS, known, load) for load in (1, 10, 20, 30, 1000)]
    assert [work.polls for work in works] == pytest.approx([2.4, 2.4, 4.4, 6.4, 6.4])
    pauses = [work.pause for work in works]
    assert pauses[0] == pauses[1] < pauses[2] < pauses[3] == pauses[4]
    assert pauses[2] == pytest.approx((pauses[1] + pauses[3]) / 2)


def test_without_the_time_to_content_polling_is_not_known() -> None:
    """Nor without a POST /feeds. Without polls there are no pauses, either."""
    found = demands([step("queued", 10), step("sync", 10)])
    assert found is not None
    assert polling(10, [step("queued", 10, content={"mean_ms": None})], found) is None
    assert polling(10, [step("queued", 10, server={"served": {"page": 3}})], found) is None
    never = polling(10, [step("sync", 10)], found)
    assert never is not None
    assert (never.polls, never.pause) == (0, 0)


def test_open_load_beyond_saturation_has_nulls() -> None:
    """There is no steady state; throughput is what the slots can do, and the simulation continues."""
    (curve,) = curves_of(step("sync", 20.0, "open"))
    assert curve["saturation_per_s"] < 20
    (at,) = curve["at"]
    gone = ("mean_ms", "p50_ms", "p95_ms", "p99_ms", "share_over", "allen_cunneen_mean_ms")
    assert [at["predicted"][key] for key in gone] == [None] * 6
    assert at["predicted"]["achieved_per_s"] == at["predicted"]["most_per_s"]
    assert at["simulated"]["mean_ms"] > 1100
    steady = [load < curve["saturation_per_s"] for load in curve["loads"]]
    assert [mean is not None for mean in curve["p95_ms"]] == steady
    assert True in steady


def test_one_user_is_a_curve() -> None:
    """Of a single point."""
    (curve,) = curves_of(step("queued", 1))
    assert curve["loads"] == [1, 2]
    assert curve["at"][0]["predicted"]["mean_ms"] == pytest.approx(10.0)


def test_the_spread_of_all_requests_includes_how_far_their_kinds_are_apart() -> None:
    """By hand: E[S^2] / E[S]^2 - 1 over 250 requests. If one kind's spread is missing, so is the whole."""
    found = demands([step("sync", 10)])
    assert found is not None
    mean = (100 * 1.1 + 120 * 0.008 + 30 * 0.006) / 250
    square = (100 * 1.1**2 * 2.5 + 120 * 0.008**2 * 1.5 + 30 * 0.006**2 * 1.5) / 250
    assert found.scv_of_all == pytest.approx(square / mean**2 - 1)
    unknown = {**SYNC_SERVER, "demand_scv": {"submit": 1.5}}
    (curve,) = curves_of(step("sync", 5.0, "open", server=unknown))
    assert curve["service_scv"] is None
    assert curve["at"][0]["predicted"]["allen_cunneen_mean_ms"] is None


def test_demands_of_all_steps_are_pooled() -> None:
    """Weighted by their requests; differences between the steps' means are part of the spread."""
    other = {
        "served": {"submit": 300, "page": 300},
        "demand_ms": {"submit": 1500.0, "page": 8.0},
        "demand_scv": {"submit": 1.5, "page": 0.5},
    }
    found = demands([step("sync", 10), step("sync", 20, server=other)])
    assert found is not None
    assert found.mean["submit"] == pytest.approx(1.4)
    squares = (100 * 1.1**2 * 2.5 + 300 * 1.5**2 * 2.5) / 400
    assert found.scv["submit"] == pytest.approx(squares / 1.4**2 - 1)


def test_only_what_was_fit_and_usual_counts() -> None:
    """A slowed or unfit step, other threads or other slots leave the other curves unchanged."""
    slow = {**SYNC_SERVER, "demand_ms": {"submit": 9000.0, "page": 8.0, "list": 6.0}}
    curves = curves_of(
        step("sync", 10),
        step("sync", 20, fit=False, server=slow),
        step("sync", 50, slowed_reasons=["full"], server=slow),
        step("sync", 30, slots=16, server=slow),
        step("sync", 40, threads=128),
    )
    assert [(curve["slots"], [at["load"] for at in curve["at"]]) for curve in curves] == [
        (8, [10]),
        (16, [30]),
    ]
    assert [curve["demand_ms"]["submit"] for curve in curves] == pytest.approx([1100, 9000])


@pytest.mark.parametrize(
    "steps",
    [
        [],
        [step("host", 10)],
        [step("sync", 10, fit=False)],
        [step("sync", 10, server={**SYNC_SERVER, "served": {}})],
        [step("sync", 10, server={**SYNC_SERVER, "served": {"submit": 3}})],
    ],
    ids=["nothing measured", "a host", "not fit", "nothing served", "no page"],
)
def test_there_may_be_nothing_to_predict_from(steps: list[dict[str, Any]]) -> None:
    """Then there is neither a theory nor an error."""
    assert predict(results(*steps)) is None


def test_what_is_predicted_can_be_written_as_json() -> None:
    """Standard JSON has no infinity."""
    theory = predict(results(step("sync", 20.0, "open"), step("sync", 300)))
    assert json.loads(json.dumps(theory, allow_nan=False)) == theory


# ---- the burst


def burst_step(backlogs: list[tuple[float, int]], **changed: Any) -> dict[str, Any]:
    """A burst of 100 jobs of 0.8 s on top of 20 a second, for 32 threads; backlog samples by time."""
    usual = {
        "burst": 100,
        "queue": {"in_per_s": 20 + 100 / 11, "demand_s": 0.8},
        "timeline": [{"t_s": at, "backlog": backlog} for at, backlog in backlogs],
    }
    return step("queued", 30.0, "open", **{**usual, **changed})


LOOKS = [(1.0, 9), (3.0, 2), (5.0, 1), (6.0, 70), (8.0, 30), (9.5, 2), (10.0, 0)]


def test_a_burst_waits_for_threads_that_have_time_to_spare() -> None:
    """20 jobs a second keep 16 of 32 threads busy: 84 of 100 jobs wait, and 40 - 20 a second drain."""
    theory = predict(results(burst_step(LOOKS)))
    assert theory is not None
    jsonschema.validate(theory, THEORY)
    assert theory["curves"] == []  # a burst is not a sustained load
    assert theory["burst"] == {
        "jobs": 100,
        "predicted_s": pytest.approx(4.2),
        "measured_s": pytest.approx(9.5 - 5.5),  # back at 2, as before; the warm-up's 9 does not count
    }


@pytest.mark.parametrize(
    ("looks", "seconds"),
    [
        ([(3.0, 2), (6.0, 2), (8.0, 0)], 0.0),
        ([(3.0, 2), (6.0, 70), (8.0, 30)], None),
        ([(6.0, 70), (8.0, 0)], None),
        ([(3.0, 2)], None),
    ],
    ids=["never more", "never back", "nobody looked before", "nobody looked after"],
)
def test_what_the_looks_at_a_burst_show(looks: list[tuple[float, int]], seconds: float | None) -> None:
    """Unobserved figures are not made up."""
    theory = predict(results(burst_step(looks)))
    assert theory is not None
    assert theory["burst"]["measured_s"] == seconds


@pytest.mark.parametrize(
    ("queue", "seconds"),
    [
        ({"in_per_s": 41 + 100 / 11, "demand_s": 0.8}, None),
        ({"in_per_s": 20.0, "demand_s": None}, None),
        ({"in_per_s": 1.0, "demand_s": 0.1}, pytest.approx(68 / 320)),
    ],
    ids=["workers too few", "no job was seen", "no other load"],
)
def test_what_is_predicted_of_a_burst(queue: dict[str, Any], seconds: Any) -> None:
    """Workers without spare capacity never catch up."""
    theory = predict(results(burst_step(LOOKS, queue=queue)))
    assert theory is not None
    assert theory["burst"]["predicted_s"] == seconds


def test_a_burst_that_is_not_fit_says_nothing() -> None:
    """Like any other step."""
    assert predict(results(burst_step(LOOKS, fit=False))) is None
