"""Points on a chart: the figure over all repeats, its interval, a dot per repeat, and a cross if not fit."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes

from loadtests.records.figures import Figure, FigureKey, Group
from loadtests.records.recording import Model
from loadtests.records.results import Results, Settings
from loadtests.records.steps import App, Point, load_of, sound
from loadtests.report.chartparts import (
    COLOURS,
    GREY,
    EndLabel,
    LineStyle,
    arrow_up,
    label_ends,
    latency_axis,
    load_axis,
    room_below,
    rule_line,
)
from loadtests.report.selection import apps_in, of_app, repeats_of
from loadtests.wording import LABELS, SHORT, conditions, stated


@dataclass(frozen=True)
class Mark:
    """What is drawn at `x`: a figure with its interval, or None, and the individual repeats."""

    x: float
    figure: Figure | None
    repeats: Sequence[float] = ()


Lines = Mapping[tuple[App, FigureKey], Sequence[Mark]]  # a line for each app and percentile

PERCENTILE_LINES: dict[FigureKey, LineStyle] = {
    "p50_ms": {"lw": 1.6, "marker": "o", "ms": 5},
    "p95_ms": {"lw": 3.2, "marker": "s", "ms": 8},
    "p99_ms": {"lw": 1.6, "marker": "D", "ms": 5, "ls": (0, (2, 1.5))},
}


def marks(
    results: Results,
    points: Sequence[Point],
    group: Group,
    key: FigureKey,
    x: Callable[[Point], float] = load_of,
) -> list[Mark]:
    """A mark for each point, by default at its load."""
    return [
        Mark(x(point), point[group][key] if point["fit"] else None, repeats_of(results, point, group, key))
        for point in points
    ]


def conditions_of(settings: Settings, model: Model, points: Sequence[Point]) -> str:
    """The conditions of a run for a chart's heading, and the legend of what is hollow in it."""
    slowed = any(point["fit"] and not sound(point) for point in points)
    legend = ["hollow: upper bounds"] if slowed else []
    return ", ".join([*conditions(settings, model), *legend])


def draw(
    axes: Axes,
    series: Sequence[Mark],
    colour: str,
    text: str,
    say: Callable[[Figure], str] | None = None,
    **style: Any,
) -> list[EndLabel]:
    """Draw a line through the figures, broken where one is missing; returns its label, if it has a figure.

    An interval is a bar, a repeat a small dot; a lower bound has an upward arrow, an upper bound is hollow.
    The label is `text`, with the last figure as `say` says it.
    """
    heights = [mark.figure["value"] if mark.figure else math.nan for mark in series]
    axes.plot([mark.x for mark in series], heights, color=colour, **style)
    for mark in series:
        if mark.figure is None:
            continue
        if mark.figure.get("upper_bound"):
            hollow = {**style, "mfc": "white", "mew": 1.8, "zorder": 2.5, "gid": "upper bound"}
            axes.plot(mark.x, mark.figure["value"], color=colour, **hollow)
        _interval(axes, mark.x, mark.figure, colour)
        if mark.repeats:
            places = [mark.x] * len(mark.repeats)
            axes.plot(places, mark.repeats, ".", color=colour, ms=5, alpha=0.45, mew=0, gid="repeats")
        if mark.figure["lower_bound"]:
            arrow_up(axes, mark.x, mark.figure["value"], colour)
    last = [(mark.x, mark.figure) for mark in series if mark.figure][-1:]
    return [
        EndLabel(x, figure["value"], f"{text}: {say(figure)}" if say else text, colour) for x, figure in last
    ]


def draw_percentiles(
    axes: Axes, results: Results, shown: Sequence[Point], lines: Lines, heights: Sequence[float]
) -> None:
    """Percentiles against the load, on an axis that covers `heights` (ms); a cross for each unfit point."""
    latency_axis(axes, axes.yaxis, heights)
    load_axis(axes, map(load_of, shown), shown[0]["model"] if shown else "closed")
    labels = [*crosses(axes, results, shown), rule_line(axes, results["settings"]["rule_ms"])]
    for (app, key), series in lines.items():
        text = f"{LABELS[app]} {key.removesuffix('_ms')}"
        labels += draw(axes, series, COLOURS[app], text, stated, **PERCENTILE_LINES[key])
    label_ends(axes, labels)


def _interval(axes: Axes, x: float, figure: Figure, colour: str) -> None:
    low, high = figure["low"], figure["high"]
    if low is None and high is None:
        return
    bottom, top = (figure["value"] if end is None else end for end in (low, high))
    axes.vlines(x, bottom, top, color=colour, lw=5, alpha=0.3, gid="interval")


def reach(series: Sequence[Mark]) -> list[float]:
    """All heights that a chart of `series` has to cover."""
    heights = [height for mark in series for height in mark.repeats]
    for mark in series:
        if mark.figure:
            ends = (mark.figure["low"], mark.figure["high"])
            heights += [mark.figure["value"], *(end for end in ends if end is not None)]
    return heights


def crosses(
    axes: Axes, results: Results, points: Sequence[Point], x: Callable[[Point], float] = load_of
) -> list[EndLabel]:
    """Draw a grey cross for each unfit point, in a row per app at the bottom of the chart."""
    unfit = {app: [x(point) for point in of_app(points, app) if not point["fit"]] for app in apps_in(results)}
    rows = [app for app in unfit if unfit[app]]
    share = 0.2 / (axes.bbox.height / axes.figure.dpi)  # of the axes' height, for a row of 0.2 inches
    room_below(axes, share * len(rows))
    labels = []
    for place, app in enumerate(rows):
        _, y = (axes.transAxes - axes.transData).transform((0, share * (place + 0.5)))
        axes.plot(unfit[app], [y] * len(unfit[app]), "x", color=GREY, ms=9, mew=2.5)
        labels.append(EndLabel(max(unfit[app]), y, f"{SHORT[app]}: not fit", GREY))
    return labels
