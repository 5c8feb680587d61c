"""What queueing theory predicts for an invented run: `theory` of results.json, from loadtests/theory.py."""

import random
from collections.abc import Callable
from statistics import mean, pvariance
from typing import Any

from loadtests.theory import ClosedLoad, OpenLoad, knee

LATENCIES = ("mean_ms", "p50_ms", "p95_ms", "p99_ms", "share_over")


def make_theory(found: dict[str, Any], fetch_seconds: Callable[[random.Random], float]) -> dict[str, Any]:
    """Predictions for each condition of the run, from the simulation's service demand."""
    rng = random.Random(1)
    samples = [fetch_seconds(rng) for _ in range(400)]
    curves: dict[tuple[Any, ...], dict[str, Any]] = {}
    for point in found["points"]:
        of = tuple(point[key] for key in ("app", "model", "slots", "workers", "threads"))
        if of not in curves:
            curves[of] = make_curve(*of, found, samples)
    burst = next((step for step in found["steps"] if "burst" in step), None)
    drained = {"jobs": burst["burst"], "predicted_s": 3.1, "measured_s": 3.6} if burst else None
    return {
        "note": "The demand is the mean time that POST /feeds held a slot.",
        "curves": list(curves.values()),
        "burst": drained,
    }


def make_curve(
    app: str, model: str, slots: int, workers: int, threads: int, found: dict[str, Any], samples: list[float]
) -> dict[str, Any]:
    """One curve, and its values at the measured loads."""
    settings = found["settings"]
    demand = 0.014 + (mean(samples) if app == "sync" else 0.0)
    scv = pvariance(samples) / demand**2 if app == "sync" else 0.1
    points_here = [
        point
        for point in found["points"]
        if (point["app"], point["model"], point["slots"]) == (app, model, slots)
        and (point["workers"], point["threads"]) == (workers, threads)
    ]
    loads = sorted({float(point["users"] or point["rate_per_s"]) for point in points_here})
    fine = sorted({*loads, *(loads[0] * (loads[-1] / loads[0]) ** (n / 20) for n in range(21))})
    if model == "closed":
        fine = sorted({float(round(load)) for load in fine})
    predictions = [predict(settings, model, load, slots, demand, scv) for load in fine]
    at = []
    for load in loads:
        point = next(each for each in points_here if (each["users"] or each["rate_per_s"]) == load)
        said = predict(settings, model, load, slots, demand, scv)
        near = {key: said[key] and 1.03 * said[key] for key in (*LATENCIES, "achieved_per_s")}
        near["share_over"] = min(1.0, near["share_over"])
        seen = {key: point["submit"][key] for key in LATENCIES}
        at.append(
            {
                "load": load,
                "predicted": said,
                "simulated": near if load > loads[0] else None,  # null where nothing was sent
                "measured": seen | {"achieved_per_s": point["achieved_per_s"]},
            }
        )
    knee_users = knee(demand, slots, settings["think_s"]) / settings["submitters"]
    return {
        "app": app,
        "model": model,
        "slots": slots,
        "workers": workers,
        "threads": threads,
        "demand_ms": {"submit": 1000 * demand},
        "service_scv": scv,
        "knee_users": knee_users if model == "closed" else None,
        "per_user_per_s": 1 / (demand + settings["think_s"]) if model == "closed" else None,
        "saturation_per_s": None if model == "closed" else slots / demand / settings["submitters"],
        "loads": fine,
        **{key: [each[key] for each in predictions] for key in predictions[0]},
        "at": at,
    }


def predict(
    settings: dict[str, Any], model: str, load: float, slots: int, demand: float, scv: float
) -> dict[str, Any]:
    """What the formulas predict at one load; None for a value without bound."""
    if model == "closed":
        users = max(1, round(load * settings["submitters"]))
        closed = ClosedLoad(slots, users, settings["think_s"], demand)
        return figures_of(closed) | {
            "achieved_per_s": closed.throughput / settings["submitters"],
            "least_mean_ms": 1000 * closed.least_response,
            "most_per_s": min(slots / demand / settings["submitters"], load / (demand + settings["think_s"])),
            "allen_cunneen_mean_ms": None,
        }
    opened = OpenLoad(slots, load * settings["submitters"], demand)
    bounds = {"least_mean_ms": 1000 * demand, "most_per_s": slots / demand, "achieved_per_s": load}
    if opened.utilisation >= 1:
        keys = ("mean_ms", "p50_ms", "p95_ms", "p99_ms", "allen_cunneen_mean_ms")
        return dict.fromkeys(keys) | {"share_over": 1.0} | bounds
    mean_s = opened.wait_allen_cunneen(1.0, scv) + demand
    return figures_of(opened) | bounds | {"allen_cunneen_mean_ms": 1000 * mean_s}


def figures_of(model: ClosedLoad | OpenLoad) -> dict[str, float]:
    """Latencies in ms, and the share over the 500 ms rule."""
    percentiles = {f"p{percent}_ms": 1000 * model.percentile(percent) for percent in (50, 95, 99)}
    return {"mean_ms": 1000 * model.response, **percentiles, "share_over": model.share_over(0.5)}
