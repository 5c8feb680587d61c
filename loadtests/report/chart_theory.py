"""Prediction and measurement: queueing theory for the web server's slots, and what was measured."""

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from loadtests.records.constants import RULE_MS
from loadtests.records.figures import Figure as Value
from loadtests.records.figures import FigureKey
from loadtests.records.predictions import Curve, PredictedKey, SimulatedKey
from loadtests.records.recording import Model
from loadtests.report.chartparts import (
    COLOURS,
    GREY,
    EndLabel,
    LineStyle,
    even_ticks,
    headed,
    inches,
    label_ends,
    latency_axis,
    load_axis,
    rule_line,
    share_axis,
)
from loadtests.report.chartpoints import Mark, draw, reach
from loadtests.wording import SHORT, app_name, counted, duration

SIMULATED = "#8A5A00"
LATENCY_STYLES: dict[FigureKey, LineStyle] = {
    "p95_ms": {"lw": 0, "marker": "s", "ms": 8},
    "mean_ms": {"lw": 0, "marker": "o", "ms": 6},
}
DASHES: dict[FigureKey, Any] = {"p95_ms": "-", "mean_ms": (0, (4, 2))}
KIND_TITLES = {"submit": "POST /feeds", "page": "page", "poll": "poll", "list": "list"}
MODEL_FORMULAS: dict[Model, str] = {"closed": "M/M/c//N", "open": "M/M/c"}


def theory_figure(curve: Curve, rule_ms: float = RULE_MS) -> Figure:
    """One app under one load model: latency and share over the rule as predicted, simulated and measured.

    Below each, the residuals: how far the measurement and an independent simulation lie from the formula.
    """
    colour = COLOURS[curve["app"]]
    demands = (f"{KIND_TITLES.get(kind, kind)} {duration(ms)}" for kind, ms in curve["demand_ms"].items())
    formula = MODEL_FORMULAS[curve["model"]]
    title = f"What {formula} predicts for {app_name(curve['app'])}, and what was measured"
    subtitle = f"{counted(curve['slots'], 'slot')}; measured demand: {', '.join(demands)}"
    with headed(9, title, subtitle) as figure:
        latency = inches(figure, 0.95, 3.5, 4.4, 3.9, "POST /feeds: latency")
        _latencies(latency, curve, colour, rule_ms)
        share = inches(figure, 8.3, 3.5, 4.1, 3.9, f"POST /feeds over {duration(rule_ms)}")
        _shares(share, curve, colour)
        below = inches(figure, 0.95, 0.75, 4.4, 1.85)
        below.set_title("p95 minus prediction, in % of it")
        residuals(below, curve, "p95_ms", colour)
        below = inches(figure, 8.3, 0.75, 4.1, 1.85)
        below.set_title("share minus prediction, % points")
        residuals(below, curve, "share_over", colour)
    return figure


def measured(curve: Curve, key: SimulatedKey) -> list[Mark]:
    """A mark for each load at which the point was fit."""
    return [Mark(each["load"], each["measured"][key]) for each in curve["at"]]


def simulated(curve: Curve, key: SimulatedKey) -> list[tuple[float, float]]:
    """The simulated loads, each with its figure."""
    found = ((each["load"], each["simulated"][key]) for each in curve["at"] if each["simulated"])
    return [(load, value) for load, value in found if value is not None]


def _loads(curve: Curve) -> list[float]:
    return [each["load"] for each in curve["at"]] or list(curve["loads"])


def _latencies(axes: Axes, curve: Curve, colour: str, rule_ms: float) -> None:
    series = {key: measured(curve, key) for key in LATENCY_STYLES}
    heights = [height for each in series.values() for height in reach(each)]
    heights += [value for key in LATENCY_STYLES for _, value in predicted(curve, key)]
    latency_axis(axes, axes.yaxis, heights)
    load_axis(axes, _loads(curve), curve["model"])
    labels = [rule_line(axes, rule_ms)]
    for key, each in series.items():
        name = key.removesuffix("_ms")
        labels += predicted_line(axes, curve, key, f"{name} predicted", colour, ls=DASHES[key])
        labels += draw(axes, each, colour, f"{name} measured", **LATENCY_STYLES[key])
        labels += _simulation(axes, simulated(curve, key), f"{name} simulated")
    least = predicted_line(axes, curve, "least_mean_ms", "bound: mean at least", GREY, lw=1.2, ls=":")
    label_ends(axes, labels + least)


def _shares(axes: Axes, curve: Curve, colour: str) -> None:
    share_axis(axes)
    load_axis(axes, _loads(curve), curve["model"])
    key: SimulatedKey = "share_over"
    labels = predicted_line(axes, curve, key, "predicted", colour)
    labels += draw(axes, measured(curve, key), colour, "measured", lw=0, marker="o", ms=6)
    label_ends(axes, labels + _simulation(axes, simulated(curve, key), "simulated"))


def predicted(curve: Curve, key: PredictedKey) -> list[tuple[float, float]]:
    """The loads for which a figure is predicted and finite, each with the figure."""
    found = zip(curve["loads"], curve[key], strict=False)
    return [(load, value) for load, value in found if value is not None and math.isfinite(value)]


def predicted_line(
    axes: Axes, curve: Curve, key: PredictedKey, text: str, colour: str, **style: Any
) -> list[EndLabel]:
    """Draw one predicted figure as a line; returns its label if part of it lies in the chart."""
    left, right = axes.get_xlim()
    line = [(load, value) for load, value in predicted(curve, key) if left <= load <= right]
    if not line:
        return []
    xs, ys = zip(*line, strict=True)
    axes.plot(xs, ys, color=colour, **{"lw": 2.0, "alpha": 0.75, "gid": "predicted", **style})
    return [EndLabel(xs[-1], ys[-1], text, colour)]


def _simulation(axes: Axes, found: Sequence[tuple[float, float]], text: str) -> list[EndLabel]:
    if not found:
        return []
    xs, ys = zip(*found, strict=True)
    axes.plot(xs, ys, "D", color=SIMULATED, mfc="none", ms=9, mew=1.6, gid="simulated")
    return [EndLabel(xs[-1], ys[-1], text, SIMULATED)]


def residuals(axes: Axes, curve: Curve, key: SimulatedKey, colour: str) -> None:
    """Measured and simulated minus predicted: in percent of the prediction; shares in percentage points."""
    shift = {each["load"]: each["predicted"][key] for each in curve["at"]}

    def off(load: float, value: float) -> float | None:
        expected: float | None = shift[load]
        if expected is None or not math.isfinite(expected):
            return None
        if key == "share_over":
            return 100 * (value - expected)
        return 100 * (value / expected - 1) if expected else None

    series = []
    for mark in measured(curve, key):
        figure = mark.figure
        middle = off(mark.x, figure["value"]) if figure else None
        if figure is None or middle is None:
            continue
        low, high = (None if end is None else off(mark.x, end) for end in (figure["low"], figure["high"]))
        series.append(
            Mark(mark.x, Value(value=middle, low=low, high=high, lower_bound=figure["lower_bound"]))
        )
    others = [
        (load, distance)
        for load, value in simulated(curve, key)
        if (distance := off(load, value)) is not None
    ]
    heights = [abs(height) for height in [*reach(series), *(distance for _, distance in others)]]
    most = 1.15 * max([10.0, *(min(height, 300.0) for height in heights)])
    axes.set_ylim(-most, most)
    load_axis(axes, _loads(curve), curve["model"])
    sign = " pp" if key == "share_over" else " %"
    even_ticks(axes.yaxis, 5)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:+.0f}{sign}" if y else f"0{sign}"))
    axes.axhline(0, color="black", lw=1.2)
    labels = draw(axes, series, colour, "measured", lw=0, marker="s", ms=7)
    label_ends(axes, labels + _simulation(axes, others, "simulated"))


def throughput_figure(predictions: Sequence[Curve]) -> Figure:
    """Requests a second against users, with the prediction and both asymptotic bounds; a panel for each app.

    X <= min(c/D, N/(D+Z)): the users can't ask for more, and the slots can't serve more. The two meet at the
    knee N*. Beyond it, the slots' bound may still rise a little: users who send several requests per visit
    wait more often, so more of the requests are the other users'.
    """
    marks = [
        mark.figure for curve in predictions for mark in measured(curve, "achieved_per_s") if mark.figure
    ]
    intervals = ", with their 95 % intervals" if any(mark["low"] is not None for mark in marks) else ""
    title = "How many requests are answered a second, and how many could be"
    subtitle = f"grey: the asymptotic bounds; line: predicted; marks: measured{intervals}"
    with headed(6, title, subtitle) as figure:
        width = (13.0 - 2.9 * len(predictions)) / len(predictions)
        for place, curve in enumerate(predictions):
            axes = inches(figure, 0.95 + place * (width + 2.9), 0.75, width, 3.85)
            _throughput(axes, curve)
    return figure


def _throughput(axes: Axes, curve: Curve) -> None:
    colour = COLOURS[curve["app"]]
    axes.set_title(f"{SHORT[curve['app']]} app", color=colour, weight="bold")
    series = measured(curve, "achieved_per_s")
    top = max([0.0, *reach(series), *(value for _, value in predicted(curve, "achieved_per_s"))])
    axes.set_xlim(0, 1.05 * max(_loads(curve)))
    axes.set_xlabel("simulated users")
    even_ticks(axes.xaxis, 6, integer=True)
    axes.set_ylim(0, 1.25 * top or 1.0)
    axes.set_ylabel("requests answered a second")
    even_ticks(axes.yaxis, 6)
    labels = []
    if bound := predicted(curve, "most_per_s"):
        slope, knee, limit = _asked(curve, bound), curve["knee_users"] or 0.0, bound[-1][1]
        end = min(axes.get_xlim()[1], 1.25 * top / slope)
        axes.plot([0, end], [0, end * slope], color=GREY, lw=1.4, ls=":", gid="bound")
        labels.append(EndLabel(end, end * slope, "users: N/(D+Z)", GREY))
        if knee < bound[-1][0] and limit < 1.25 * top:
            line = [(knee, knee * slope), *((load, most) for load, most in bound if load > knee)]
            axes.plot(*zip(*line, strict=True), color=GREY, lw=1.4, ls=":", gid="bound")
            most = f"{limit:.1f}" if limit < 10 else f"{limit:,.0f}"
            labels.append(EndLabel(axes.get_xlim()[1], limit, f"slots: c/D = {most}/s", GREY))
    labels += predicted_line(axes, curve, "achieved_per_s", "predicted", colour)
    labels += draw(axes, series, colour, "measured", lw=0, marker="o", ms=7)
    label_ends(axes, labels)


def _asked(curve: Curve, bound: Sequence[tuple[float, float]]) -> float:
    """Requests a second that a user sends who never waits.

    Runs of older versions do not record it: for them, the last load below the knee, at which rounding to
    whole submitters matters least, gives about the same.
    """
    if asked := curve.get("per_user_per_s"):
        return asked
    knee = curve["knee_users"] or 0.0
    load, most = max([bound[0], *((load, most) for load, most in bound if load < knee)])
    return most / load
