"""The picture of the last page."""

import math
from collections.abc import Sequence
from itertools import groupby

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from loadtests.report.chartparts import COLOURS, GREY, canvas, described, head, inches
from workbook.scoring import WELL_SAID, WELL_SAID_POINTS, Prediction

MOST_FACTOR = 100.0  # factors beyond it are drawn at the edge, as arrows
GOOD_COLOUR, OFF_COLOUR = "#007A5A", COLOURS["sync"]
ROW_INCHES = 0.42


def predictions_figure(predictions: Sequence[Prediction]) -> Figure:
    """How many times too small (left) or too large (right) each prediction was; a row for each chapter."""
    chapters = [(number, list(each)) for number, each in groupby(predictions, key=lambda each: each.chapter)]
    rows = len(chapters)
    with canvas(11, 2.0 + ROW_INCHES * rows) as figure:
        key = (
            f"green: well said; hollow: doubtful; arrows: by over {MOST_FACTOR:g} times."
            f" {WELL_SAID_POINTS:g} points of a share are drawn as a factor of {WELL_SAID}."
        )
        head(figure, "What you said, against what was measured", key)
        axes = inches(figure, 1.4, 0.75, 9.0, ROW_INCHES * rows)
        axes.set_xscale("log")
        axes.set_xlim(1 / (1.4 * MOST_FACTOR), 1.4 * MOST_FACTOR)
        axes.set_ylim(rows - 0.5, -0.5)
        axes.axvspan(1 / WELL_SAID, WELL_SAID, color="#e3efe3", zorder=0)
        axes.axvline(1, color=GREY, lw=1.4)
        for row, (_, each) in enumerate(chapters):
            if row:
                axes.axhline(row - 0.5, color="#e4e4e4", lw=0.8)
            for place, prediction in enumerate(each):
                _mark(axes, row + 0.8 * ((place + 0.5) / len(each) - 0.5), prediction)
        axes.set_yticks(range(rows), [f"chapter {number}" for number, _ in chapters])
        names = ("100 times\ntoo small", "10 times", "right", "10 times", "100 times\ntoo large")
        axes.set_xticks((0.01, 0.1, 1, 10, 100), names)
        axes.xaxis.minorticks_off()
        axes.grid(axis="y", visible=False)
    good = sum(each.well_said for each in predictions)
    less = sum(not each.well_said and (each.off or 0) < 0 for each in predictions)
    more = len(predictions) - good - less
    return described(
        figure,
        f"Of {len(predictions)} predictions {good} were well said, {less} too small and {more} too large.",
    )


def _mark(axes: Axes, y: float, each: Prediction) -> None:
    ratio = WELL_SAID ** (each.off or 0.0)
    shown = min(MOST_FACTOR, max(1 / MOST_FACTOR, ratio))
    marker = "o" if math.isclose(shown, ratio) else (">" if ratio > shown else "<")
    colour = GOOD_COLOUR if each.well_said else OFF_COLOUR
    inside = "white" if each.doubtful else colour
    axes.plot([shown], [y], marker=marker, color=colour, markerfacecolor=inside, ms=8, alpha=0.85)
