"""The pictures of chapter 9: three ways beside the feeds alone, and a loop that computes."""

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from loadtests.judging.samples import RULE_MS, Row
from loadtests.report.chart_rows import Series
from loadtests.report.chartparts import (
    COLOURS,
    GREY,
    head,
    house_style,
    inches,
    label_ends,
    latency_axis,
    rule_line,
)
from workbook.chapter09 import WAYS, feeds_alone, steps_of
from workbook.readers import rows_of

WAY_COLOURS = {"sync": COLOURS["sync"], "host": "#007A5A", "queued": COLOURS["queued"]}


def ways_series(*benches: Mapping[str, Any], deadline: float) -> list[Series]:
    """The POST /feeds of each way, and how long the feeds themselves take, for `ecdf_figure`."""
    series = []
    for results in benches:
        for app, step in steps_of(results).items():
            rows = [row for row in rows_of(results, step) if row.group == "submit"]
            window = (step["window_s"][0], step["window_s"][1])
            series.append(Series(WAYS[app], WAY_COLOURS[app], rows, step["ended_s"], window))
    alone = [
        Row(n, "submit", "/feeds", 0.0, 0.0, wait, 200, "") for n, wait in enumerate(feeds_alone(deadline))
    ]
    return [Series("feeds alone", GREY, alone, deadline), *series]


def loop_figure(seen: Mapping[str, Any]) -> Figure:
    """Every look at the list: when, and how long it took; uprights where a feed was added."""
    times = [at for at, _ in seen["looks"]]
    waits = [1000 * wait for _, wait in seen["looks"]]
    with house_style():
        figure = Figure(figsize=(11, 4.7))
        what = "each dot asks for the list of feeds, and for nothing else; dashed: somebody adds a long feed"
        head(figure, "One loop: while it computes, nobody is served", what)
        axes = inches(figure, 0.95, 0.75, 8.2, 3.0)
        axes.set_xlim(0, max(times) + 0.1)
        latency_axis(axes, axes.yaxis, [*waits, 1.0])
        for at in seen["added"]:
            axes.axvline(at, color=GREY, lw=1.4, ls=(0, (5, 4)))
        axes.plot(times, waits, "o", ms=6, color=WAY_COLOURS["host"], alpha=0.7, mew=0)
        axes.set_xlabel("when it was asked for, seconds")
        label_ends(axes, [rule_line(axes, RULE_MS)])
    return figure
