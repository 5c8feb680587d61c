"""The run in one picture, and how pictures are saved. The others are in chart_*.py.

Each function takes results, or rows, and returns a matplotlib Figure, without pyplot. In a notebook,
`%matplotlib inline` displays it. Every latency chart has the 500 ms line. A point that was not fit is a grey
cross without a value; a lower bound (see samples.py) is an upward arrow; an upper bound (see fitness.py) is
hollow.
"""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from loadtests.judging.verdict import finding
from loadtests.records.figures import FigureKey, Group
from loadtests.records.predictions import Curve
from loadtests.records.results import Results
from loadtests.records.steps import Point, load_of
from loadtests.report.chartparts import (
    COLOURS,
    headed,
    house_style,
    inches,
    label_ends,
    load_axis,
    mark_load,
    share_axis,
)
from loadtests.report.chartpoints import conditions_of, crosses, draw, draw_percentiles, marks, reach
from loadtests.report.selection import apps_in, curves, main_model, of_app, usual
from loadtests.wording import LABELS, SHORT, duration, stated_share


def main_figure(results: Results) -> Figure:
    """The run in one picture: POST /feeds, its share over 500 ms, browsing, time to content."""
    settings = results["settings"]
    model = main_model(results)
    shown = usual(results, model)
    heading = finding(results["steps"], settings), conditions_of(settings, model, shown)
    with headed(10, *heading) as figure:
        answers = inches(figure, 0.95, 4.6, 10.6, 3.85, "POST /feeds: time to the answer")
        _percentiles(answers, results, shown, "submit", ["p50_ms", "p95_ms", "p99_ms"])
        _knees(answers, curves(results, model))

        share = inches(figure, 0.95, 0.75, 2.05, 2.75)
        share.set_title(f"POST /feeds over {duration(settings['rule_ms'])}")
        shares(share, results, shown)
        browse = inches(figure, 5.1, 0.75, 2.05, 2.75)
        browse.set_title("Browsing: time to the answer")
        _percentiles(browse, results, shown, "browse", ["p50_ms", "p95_ms"])
        content = inches(figure, 9.75, 0.75, 2.05, 2.75)
        content.set_title("Added feed: time to content")
        _percentiles(content, results, shown, "content", ["p50_ms", "p95_ms"])
    return figure


def _percentiles(
    axes: Axes, results: Results, shown: Sequence[Point], group: Group, keys: Sequence[FigureKey]
) -> None:
    """Percentiles of one group of requests against the load, one line per app and percentile."""
    lines = {
        (app, key): marks(results, of_app(shown, app), group, key) for app in apps_in(results) for key in keys
    }
    draw_percentiles(axes, results, shown, lines, [each for line in lines.values() for each in reach(line)])


def shares(axes: Axes, results: Results, shown: Sequence[Point]) -> None:
    """The share of POST /feeds over the rule against the load, with its 95 % interval."""
    share_axis(axes)
    load_axis(axes, map(load_of, shown), main_model(results))
    labels = crosses(axes, results, shown)
    for app in apps_in(results):
        series = marks(results, of_app(shown, app), "submit", "share_over")
        labels += draw(axes, series, COLOURS[app], LABELS[app], stated_share, lw=2, marker="o", ms=5)
    label_ends(axes, labels)


def _knees(axes: Axes, predicted: Sequence[Curve]) -> None:
    """Mark the knee N* of each app whose measured loads reach it."""
    left, _ = axes.get_xlim()
    knees = [
        (curve["app"], curve["knee_users"])
        for curve in predicted
        if curve["knee_users"] and left < curve["knee_users"] <= max(each["load"] for each in curve["at"])
    ]
    for place, (app, users) in enumerate(knees):
        text = f"knee N* of the {SHORT[app]} app: {users:.0f} users"
        mark_load(axes, users, text, COLOURS[app], place)


def save(figure: Figure, folder: Path, name: str) -> tuple[Path, Path]:
    """Write `name`.png and `name`.svg, byte-identical for the same figure; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    png, svg = folder / f"{name}.png", folder / f"{name}.svg"
    with house_style():
        figure.savefig(png, dpi=150, metadata={"Software": None})
        figure.savefig(svg, dpi=150, metadata={"Date": None, "Creator": None})
    return png, svg
