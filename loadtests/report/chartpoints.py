"""Points on a chart: the figure over all repeats, its interval, a dot per repeat, and a cross if not fit."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes

from loadtests.records.figures import Figure, FigureKey, Group
from loadtests.records.recording import Model
from loadtests.records.results import Results, Settings
from loadtests.records.steps import Point, load_of, sound
from loadtests.report.chartparts import GREY, EndLabel, arrow_up, room_below
from loadtests.report.selection import apps_in, of_app, repeats_of
from loadtests.wording import SHORT, conditions


@dataclass(frozen=True)
class Mark:
    """What is drawn at `x`: a figure with its interval, or None, and the individual repeats."""

    x: float
    figure: Figure | None
    repeats: Sequence[float] = ()


def marks(results: Results, points: Sequence[Point], group: Group, key: FigureKey) -> list[Mark]:
    """A mark for each point, by its load."""
    return [
        Mark(
            load_of(point),
            point[group][key] if point["fit"] else None,
            repeats_of(results, point, group, key),
        )
        for point in points
    ]


def conditions_of(settings: Settings, model: Model, points: Sequence[Point]) -> str:
    """The conditions of a run for a chart's heading, and the legend of what is hollow in it."""
    slowed = any(point["fit"] and not sound(point) for point in points)
    legend = ["hollow: upper bounds"] if slowed else []
    return ", ".join([*conditions(settings, model), *legend])


def draw(axes: Axes, series: Sequence[Mark], colour: str, **style: Any) -> list[tuple[float, Figure]]:
    """Draw a line through the figures, broken where one is missing; returns those that exist.

    An interval is a bar, a repeat a small dot; a lower bound has an upward arrow, an upper bound is hollow.
    """
    heights = [mark.figure["value"] if mark.figure else math.nan for mark in series]
    axes.plot([mark.x for mark in series], heights, color=colour, **style)
    for mark in series:
        if mark.figure is None:
            continue
        if mark.figure.get("upper_bound"):
            hollow: dict[str, Any] = {
                **style,
                "mfc": "white",
                "mew": 1.8,
                "zorder": 2.5,
                "gid": "upper bound",
            }
            axes.plot(mark.x, mark.figure["value"], color=colour, **hollow)
        _interval(axes, mark.x, mark.figure, colour)
        if mark.repeats:
            places = [mark.x] * len(mark.repeats)
            axes.plot(places, mark.repeats, ".", color=colour, ms=5, alpha=0.45, mew=0, gid="repeats")
        if mark.figure["lower_bound"]:
            arrow_up(axes, mark.x, mark.figure["value"], colour)
    return [(mark.x, mark.figure) for mark in series if mark.figure]


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
            heights += [mark.figure["value"], *(end for end in _ends(mark.figure) if end is not None)]
    return heights


def _ends(figure: Figure) -> tuple[float | None, float | None]:
    return figure["low"], figure["high"]


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
