"""Open load: latency from the intended start beside the naive one, and the means predicted by formulas."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from loadtests.records.results import Results
from loadtests.records.steps import App, Point, load_of
from loadtests.report.chart_theory import predicted, predicted_line
from loadtests.report.chartparts import (
    COLOURS,
    GREY,
    headed,
    inches,
    label_ends,
    latency_axis,
    load_axis,
    mark_load,
    rule_line,
)
from loadtests.report.chartpoints import (
    PERCENTILE_LINES,
    Mark,
    conditions_of,
    crosses,
    draw,
    draw_percentiles,
    marks,
    reach,
)
from loadtests.report.selection import apps_in, curves, naive_figure, of_app, usual
from loadtests.wording import SHORT, stated


def open_figure(results: Results) -> Figure:
    """Latency of POST /feeds against the rate of visits: from the intended start, and from sending.

    If a generator has to wait before it can send, the second hides that wait (coordinated omission). Below,
    for each app, the mean beside those of Erlang C and of Allen and Cunneen.
    """
    shown, settings = usual(results, "open"), results["settings"]
    apps = [app for app in apps_in(results) if of_app(shown, app)]
    heading = "Open load: visits that don't wait for one another", conditions_of(settings, "open", shown)
    with headed(10, *heading) as figure:
        lines = [(app, key) for app in apps for key in PERCENTILE_LINES]
        corrected = {(app, key): marks(results, of_app(shown, app), "submit", key) for app, key in lines}
        naive = {
            (app, key): [
                Mark(load_of(point), naive_figure(results, point, "submit", key) if point["fit"] else None)
                for point in of_app(shown, app)
            ]
            for app, key in lines
        }
        heights = [height for each in [*corrected.values(), *naive.values()] for height in reach(each)]
        left = inches(figure, 0.95, 4.95, 4.3, 3.6, "POST /feeds, from the intended start")
        right = inches(figure, 7.8, 4.95, 4.3, 3.6, "the same from sending (naive)")
        draw_percentiles(left, results, shown, corrected, heights)
        draw_percentiles(right, results, shown, naive, heights)
        for place, app in enumerate(apps):
            axes = inches(figure, 0.95 + 6.85 * place, 0.75, 4.3, 2.9)
            axes.set_title(f"{SHORT[app]}: mean", weight="bold", color=COLOURS[app])
            _mean(axes, results, app, of_app(shown, app))
    return figure


def _mean(axes: Axes, results: Results, app: App, shown: Sequence[Point]) -> None:
    """The mean of one app's POST /feeds, as measured and by both formulas."""
    mine = [curve for curve in curves(results, "open") if curve["app"] == app]
    series = marks(results, shown, "submit", "mean_ms")
    heights = [
        value
        for curve in mine
        for key in ("mean_ms", "allen_cunneen_mean_ms")
        for _, value in predicted(curve, key)
    ]
    latency_axis(axes, axes.yaxis, reach(series) + heights)
    load_axis(axes, map(load_of, shown), "open")
    labels = [*crosses(axes, results, shown), rule_line(axes, results["settings"]["rule_ms"])]
    for curve in mine:
        labels += predicted_line(axes, curve, "mean_ms", "Erlang C", GREY, ls=(0, (4, 2)))
        labels += predicted_line(axes, curve, "allen_cunneen_mean_ms", "Allen–Cunneen", "#8A5A00")
        if curve["saturation_per_s"]:
            left, right = axes.get_xlim()
            if left < curve["saturation_per_s"] < right:
                text = f"slots are full: {curve['saturation_per_s']:.3g}/s"
                mark_load(axes, curve["saturation_per_s"], text, GREY)
    labels += draw(axes, series, COLOURS[app], "measured", stated, lw=0, marker="o", ms=7)
    label_ends(axes, labels)
