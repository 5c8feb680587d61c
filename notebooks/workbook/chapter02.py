"""What chapter 2 alone needs."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter

from loadtests.bench.plan import OVERRUN_SECONDS
from loadtests.judging.samples import RULE_MS
from loadtests.predicting.demands import demands, workload
from loadtests.predicting.simulation import Period, feed_service, simulate_closed
from loadtests.report.chartparts import (
    COLOURS,
    GREY,
    EndLabel,
    even_ticks,
    house_style,
    inches,
    label_ends,
    latency_axis,
    mark_load,
    rule_line,
)
from loadtests.theory import ClosedLoad
from workbook.session import WorkbookError

Results = Mapping[str, Any]
Limits = Mapping[int, Mapping[str, tuple[float, float]]]  # by users and figure: lowest and highest

FIGURES = {"mean_ms": ("mean", "o", (0, (4, 2)), -0.6), "p95_ms": ("p95", "s", "-", 0.6)}


def prediction_of(results: Results) -> Mapping[str, Any]:
    """What theory says of the one app that was measured. Raises WorkbookError if no step was fit."""
    curves: Sequence[Mapping[str, Any]] = (results["theory"] or {}).get("curves", [])
    if not curves:
        raise WorkbookError(
            "No step of this run is fit to judge by, so there is no measured demand to predict from. Close"
            " what else runs on this machine, and run the bench again; or take the figures from recordings:"
            " begin(2, recorded=True) in the first cell."
        )
    return curves[0]


def short_steps(results: Results, count: int = 200) -> dict[int, dict[str, tuple[float, float]]]:
    """What chance does to steps as short as the measured ones: 95 % of so many simulated ones lie between.

    By users and figure, in ms. The feeds are those of the mix, and the demand is the measured one.
    """
    settings, steps = results["settings"], [step for step in results["steps"] if step["fit"]]
    found = demands(steps)
    assert found  # or there would be no prediction, and so no picture
    draws = {"post": feed_service(settings["mix"], settings["deadline_s"], found.mean["submit"])}
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
        limits[users] = {key: _middle([run[key] for run in runs if run], percent=95) for key in FIGURES}
    return limits


def _middle(values: Sequence[float], percent: int) -> tuple[float, float]:
    beyond = (100 - percent) / 2 / 100
    ordered = sorted(values)
    return ordered[int(beyond * len(ordered))], ordered[-1 - int(beyond * len(ordered))]


def latencies_figure(results: Results) -> Figure:
    """POST /feeds, measured and as M/M/c//N predicts it; below, how far they are apart, and may be."""
    curve = prediction_of(results)
    with house_style():
        figure = Figure(figsize=(11, 7.6))
        above = inches(figure, 0.9, 3.35, 7.4, 3.65)
        above.set_title("POST /feeds: predicted (lines) and measured (marks)", weight="bold")
        _latencies(above, curve)
        below = inches(figure, 0.9, 0.75, 7.4, 1.75)
        below.set_title("Measured minus predicted; bars: 95 % of steps so short, simulated")
        _residuals(below, curve, short_steps(results))
    return figure


def _users_axis(axes: Axes, curve: Mapping[str, Any]) -> None:
    users = [each["load"] for each in curve["at"]]
    axes.set_xlim(0, 1.08 * max(users))
    axes.set_xticks(users)
    axes.set_xlabel("visitors")


def _latencies(axes: Axes, curve: Mapping[str, Any]) -> None:
    _users_axis(axes, curve)
    right = axes.get_xlim()[1]
    shown = [n for n, load in enumerate(curve["loads"]) if load <= right]
    loads = [curve["loads"][n] for n in shown]
    latency_axis(axes, axes.yaxis, [value for key in FIGURES for value in curve[key]])
    labels = [rule_line(axes, RULE_MS)]
    for key, (name, marker, dashes, _) in FIGURES.items():
        heights = [curve[key][n] for n in shown]
        axes.plot(loads, heights, color=COLOURS["sync"], ls=dashes, lw=2, alpha=0.75)
        axes.plot(*_measured(curve, key), marker, color=COLOURS["sync"], ms=9)
        labels.append(EndLabel(loads[-1], heights[-1], name, COLOURS["sync"]))
    least = [curve["least_mean_ms"][n] for n in shown]
    axes.plot(loads, least, color=GREY, ls=":", lw=1.6)
    labels.append(EndLabel(loads[-1], least[-1], "the mean is at least this", GREY))
    mark_load(axes, curve["knee_users"], f"knee N*: {curve['knee_users']:.0f} visitors", GREY)
    label_ends(axes, labels)


def _measured(curve: Mapping[str, Any], key: str) -> tuple[list[float], list[float]]:
    found = [(each["load"], each["measured"][key]) for each in curve["at"] if each["measured"]]
    return [load for load, _ in found], [value["value"] for _, value in found]


def _residuals(axes: Axes, curve: Mapping[str, Any], limits: Limits) -> None:
    _users_axis(axes, curve)
    predicted = {(each["load"], key): each["predicted"][key] for each in curve["at"] for key in FIGURES}
    labels, heights = [], [10.0]
    for key, (name, marker, _, aside) in FIGURES.items():
        loads, values = _measured(curve, key)
        off = [100 * (value / predicted[load, key] - 1) for load, value in zip(loads, values, strict=True)]
        for load in loads:
            low, high = (100 * (end / predicted[load, key] - 1) for end in limits[int(load)][key])
            axes.vlines(load + aside, low, high, color=GREY, lw=8, alpha=0.35)
            heights += [abs(low), abs(high)]
        axes.plot([load + aside for load in loads], off, marker, color=COLOURS["sync"], ms=8)
        labels.append(EndLabel(loads[-1] + aside, off[-1], name, COLOURS["sync"]))
        heights += map(abs, off)
    axes.set_ylim(-1.1 * max(heights), 1.1 * max(heights))
    even_ticks(axes.yaxis, 5)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:+.0f} %" if y else "0 %"))
    axes.axhline(0, color="black", lw=1.2)
    label_ends(axes, labels)


def states_figure(load: ClosedLoad, title: str) -> Figure:
    """How often so many requests are at the server at a time; in colour where that is more than the slots."""
    shares = load.probabilities
    with house_style():
        figure = Figure(figsize=(10, 4.2))
        axes = inches(figure, 0.9, 0.75, 8.6, 2.85)
        colours = [COLOURS["sync"] if k > load.slots else GREY for k in range(len(shares))]
        axes.bar(range(len(shares)), shares, color=colours, width=0.75)
        axes.set_ylim(0, 1.45 * max(shares))
        axes.set_xticks(range(len(shares)))
        axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0, symbol=" %"))
        axes.grid(axis="x", visible=False)
        axes.set_xlabel("requests at the server at a time, waiting ones included")
        free, waiting = sum(shares[: load.slots]), sum(shares[load.slots + 1 :])
        for x, side, text, colour in (
            (-0.4, "left", f"{free:.0%} of the time a slot is free", GREY),
            (len(shares) - 0.6, "right", f"{waiting:.0%} of the time somebody waits", COLOURS["sync"]),
        ):
            axes.text(x, 1.3 * max(shares), text.replace("%", " %", 1), ha=side, color=colour, size=12)
        axes.set_title(title, weight="bold")
    return figure
