"""The picture of the last page."""

import math
from collections.abc import Sequence

from matplotlib.figure import Figure

from loadtests.report.chartparts import COLOURS, GREY, house_style
from workbook.predictions import WELL_SAID, Prediction
from workbook.words import in_words

MOST = 100.0  # factors beyond it are drawn at the edge, as arrows


def predictions_figure(predictions: Sequence[Prediction]) -> Figure:
    """Each prediction as a mark: how many times too large (right) or too small (left) it was."""
    rows = len(predictions)
    with house_style():
        figure = Figure(figsize=(11, 1.5 + 0.4 * rows), layout="constrained")
        axes = figure.add_subplot()
        axes.set_xscale("log")
        axes.set_xlim(1 / (1.6 * MOST), 1.6 * MOST)
        axes.set_ylim(rows - 0.3, -0.8)
        axes.axvspan(1 / WELL_SAID, WELL_SAID, color="#e3efe3", zorder=0)
        axes.axvline(1, color=GREY, lw=1.4)
        for place, each in enumerate(predictions):
            _mark(axes, place, each)
        axes.set_yticks(range(rows), [_label(each) for each in predictions])
        ticks = (0.01, 0.1, 1, 10, 100)
        names = ("100 times\ntoo small", "10 times", "right", "10 times", "100 times\ntoo large")
        axes.set_xticks(ticks, names)
        axes.xaxis.minorticks_off()
        axes.grid(axis="y", visible=False)
        axes.set_title("What you said, against what was measured (green: well said)", weight="bold")
    return figure


def _mark(axes, place: int, each: Prediction) -> None:  # type: ignore[no-untyped-def]
    assert each.measured is not None
    if each.said == each.measured:
        ratio = 1.0
    elif each.measured == 0 or each.said == 0:
        ratio = math.inf if each.measured == 0 else 0.0
    else:
        ratio = each.said / each.measured
    shown = min(MOST, max(1 / MOST, ratio))
    marker = "o" if shown == ratio else (">" if ratio > shown else "<")
    colour = COLOURS["queued"] if (each.factor or 0) < WELL_SAID else COLOURS["sync"]
    axes.plot([1, shown], [place, place], color=colour, lw=2)
    axes.plot([shown], [place], marker=marker, color=colour, ms=9)


def _label(each: Prediction) -> str:
    bound = "≥ " if each.at_least else ""
    said, measured = in_words(each.said, each.unit), in_words(each.measured or 0, each.unit)
    return f"{each.chapter}. {each.name}: {said}, was {bound}{measured}"
