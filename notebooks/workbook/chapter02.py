"""Helpers for chapter 2: figures of its steps, and what chance does to such short ones."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from loadtests.predicting.demands import demands, workload
from loadtests.predicting.simulation import Period, feed_service, simulate_closed
from loadtests.records.constants import OVERRUN_SECONDS
from loadtests.records.rows import Row
from loadtests.records.steps import sound
from loadtests.theory import ClosedLoad, OpenLoad, littles_law
from workbook.readers import rows_of
from workbook.session import WorkbookError

ResultsJson = Mapping[str, Any]

Latency = Literal["mean_ms", "p95_ms"]
LATENCIES: tuple[Latency, ...] = ("mean_ms", "p95_ms")


def prediction_of(results: ResultsJson) -> Mapping[str, Any]:
    """What theory predicts for the one app that was measured. Raises WorkbookError if no step was sound."""
    curves: Sequence[Mapping[str, Any]] = (results["theory"] or {}).get("curves", [])
    if not curves:
        raise WorkbookError(
            "No step of this run is fit to judge by, so there is no measured demand to predict from. Close"
            " whatever else is running on this machine, and run the bench again; or take the figures from"
            " recordings: begin(2, recorded=True) in the first cell."
        )
    return curves[0]


def held_by_a_visit(results: ResultsJson) -> float:
    """Seconds for which a submit and its page held a slot, on average over all sound steps."""
    measured = prediction_of(results)["demand_ms"]
    return float(measured["submit"] + measured["page"]) / 1000


def feeds_per_s(results: ResultsJson) -> dict[int, float]:
    """Submits answered per second, by number of visitors."""
    return {step["users"]: _ended(rows_of(results, step), step["window_s"]) for step in results["steps"]}


def _ended(rows: Sequence[Row], window: Sequence[float]) -> float:
    begin, end = window
    ended = [row for row in rows if row.group == "submit" and row.done_s and begin <= row.done_s < end]
    return len(ended) / (end - begin)


def print_visits(results: ResultsJson) -> None:
    """Print N = X (R + Z), and how busy the slots were, a line for each step."""
    think, rates = results["settings"]["think_s"], feeds_per_s(results)
    for step in sorted(results["steps"], key=lambda step: step["users"]):
        rate, mean_ms = rates[step["users"]], step["content"]["mean_ms"]
        if mean_ms is None:  # no visit ended
            continue
        print(
            f"{step['users']:2} visitors: X = {rate:4.1f} visits a second, R = {mean_ms / 1000:.2f} s:"
            f" N = X (R + Z) = {littles_law(rate, mean_ms / 1000, think):4.1f};"
            f" slots {100 * step['server']['utilisation']:.0f} % busy"
        )


def print_loads(users: Sequence[int], rates: Sequence[float], demand: float) -> None:
    """Print the computed throughput and response time of closed and open loads on 4 slots."""
    for number in users:
        load = ClosedLoad(slots=4, users=number, think=1, demand=demand)
        sent = f"X = {load.throughput:4.1f} a second"
        print(f"closed, {number:3} visitors: {sent}, R = {load.response:5.2f} s")
    for rate in rates:
        arriving = OpenLoad(slots=4, rate=rate, demand=demand)
        asked = f"asks for {100 * arriving.utilisation:3.0f} % of the slots"
        print(f"open, {rate:2} visits a second: {asked}, R = {arriving.response:5.2f} s")


def short_steps(results: ResultsJson, count: int = 200) -> dict[int, dict[Latency, tuple[float, float]]]:
    """The range of 95 % of `count` simulated steps as short as the measured ones: what chance allows.

    By users and figure, in ms. The feeds are those of the mix, and the demand is the measured one.
    """
    settings, steps = results["settings"], [step for step in results["steps"] if sound(step)]
    found = demands(steps)
    assert found  # or there would be no prediction, and so no picture
    draws = {"submit": feed_service(settings["mix"], settings["deadline_s"], found.mean["submit"])}
    limits = {}
    for step in steps:
        users, ramp = step["users"], settings["ramp_users_per_s"]
        period = Period(
            warmup=settings["warmup_s"] + users / ramp,
            ramp=ramp,
            measure=settings["measure_s"],
            drain=OVERRUN_SECONDS + settings["drain_s"],
            repeats=1,
        )
        work = workload(found, settings, [], users)
        runs = [
            simulate_closed(work, step["slots"], users, period, draws, seed).figures()
            for seed in range(count)
        ]
        figures = {key: [run[key] or 0.0 for run in runs if run] for key in LATENCIES}
        limits[users] = {key: _middle(values, percent=95) for key, values in figures.items()}
    return limits


def _middle(values: Sequence[float], percent: int) -> tuple[float, float]:
    beyond = (100 - percent) / 2 / 100
    ordered = sorted(values)
    return ordered[int(beyond * len(ordered))], ordered[-1 - int(beyond * len(ordered))]
