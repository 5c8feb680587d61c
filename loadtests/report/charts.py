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
    EndLabel,
    LineStyle,
    head,
    house_style,
    inches,
    label_ends,
    latency_axis,
    load_axis,
    mark_load,
    rule_line,
    share_axis,
)
from loadtests.report.chartpoints import conditions_of, crosses, draw, marks, reach
from loadtests.report.selection import apps_in, curves, main_model, of_app, usual
from loadtests.wording import SHORT, duration, stated, stated_share

PERCENTILE_LINES: dict[FigureKey, LineStyle] = {
    "p50_ms": {"lw": 1.6, "marker": "o", "ms": 5},
    "p95_ms": {"lw": 3.2, "marker": "s", "ms": 8},
    "p99_ms": {"lw": 1.6, "marker": "D", "ms": 5, "ls": (0, (2, 1.5))},
}


def main_figure(results: Results) -> Figure:
    """The run in one picture: POST /feeds, its share over 500 ms, browsing, time to content."""
    settings = results["settings"]
    rule_ms = settings["rule_ms"]
    model = main_model(results)
    shown = usual(results, model)
    with house_style():
        figure = Figure(figsize=(14, 10))
        head(figure, finding(results["steps"], settings), conditions_of(settings, model, shown))
        answers = inches(figure, 0.95, 4.6, 10.6, 3.85)
        answers.set_title("POST /feeds: time to the answer", weight="bold")
        _percentiles(answers, results, shown, "submit", ["p50_ms", "p95_ms", "p99_ms"], rule_ms)
        _knees(answers, curves(results, model))

        share = inches(figure, 0.95, 0.75, 2.05, 2.75)
        share.set_title(f"POST /feeds over {duration(rule_ms)}")
        shares(share, results, shown)
        browse = inches(figure, 5.1, 0.75, 2.05, 2.75)
        browse.set_title("Browsing: time to the answer")
        _percentiles(browse, results, shown, "browse", ["p50_ms", "p95_ms"], rule_ms)
        content = inches(figure, 9.75, 0.75, 2.05, 2.75)
        content.set_title("Added feed: time to content")
        _percentiles(content, results, shown, "content", ["p50_ms", "p95_ms"], rule_ms)
    return figure


def _percentiles(
    axes: Axes,
    results: Results,
    shown: Sequence[Point],
    group: Group,
    keys: Sequence[FigureKey],
    rule_ms: float,
) -> None:
    """Percentiles of one group of requests against the load, one line per app and percentile."""
    series = {
        (app, key): marks(results, of_app(shown, app), group, key) for app in apps_in(results) for key in keys
    }
    latency_axis(axes, axes.yaxis, [height for each in series.values() for height in reach(each)])
    load_axis(axes, map(load_of, shown), main_model(results))
    labels = [*crosses(axes, results, shown), rule_line(axes, rule_ms)]
    for (app, key), each in series.items():
        for x, figure in draw(axes, each, COLOURS[app], **PERCENTILE_LINES[key])[-1:]:
            text = f"{SHORT_LABELS[app]} {key.removesuffix('_ms')}: {stated(figure)}"
            labels.append(EndLabel(x, figure["value"], text, COLOURS[app]))
    label_ends(axes, labels)


SHORT_LABELS: dict[str, str] = {"sync": "sync", "queued": "queued", "host": "your app"}


def shares(axes: Axes, results: Results, shown: Sequence[Point]) -> None:
    """The share of POST /feeds over the rule against the load, with its 95 % interval."""
    share_axis(axes)
    load_axis(axes, map(load_of, shown), main_model(results))
    labels = crosses(axes, results, shown)
    for app in apps_in(results):
        series = marks(results, of_app(shown, app), "submit", "share_over")
        for x, figure in draw(axes, series, COLOURS[app], lw=2, marker="o", ms=5)[-1:]:
            text = f"{SHORT_LABELS[app]}: {stated_share(figure)}"
            labels.append(EndLabel(x, figure["value"], text, COLOURS[app]))
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
