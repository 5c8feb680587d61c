"""The pictures of a run. Each function takes results, or rows, and returns a matplotlib Figure; no pyplot.

In a notebook, `%matplotlib inline` shows what they return. Every chart of a latency has the 500 ms line. A
step that was not fit is a grey cross without a value; a lower bound (see statistics.py) is an arrow upwards.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from itertools import compress
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator, PercentFormatter

from loadtests import wording
from loadtests.chartparts import (
    COLOURS,
    GREY,
    EndLabel,
    arrow_up,
    head,
    house_style,
    inches,
    label_ends,
    latency_axis,
    room_below,
    rule_line,
    users_axis,
)
from loadtests.samples import RULE_MS, Row, in_window, summarise
from loadtests.verdict import MOST_OVER, finding
from loadtests.wording import APPS, duration, percent, user_count

Step = Mapping[str, Any]

PERCENTILE_LINES: dict[str, dict[str, Any]] = {
    "p50_ms": {"lw": 1.6, "marker": "o", "ms": 5},
    "p95_ms": {"lw": 3.2, "marker": "s", "ms": 8},
    "p99_ms": {"lw": 1.6, "marker": "D", "ms": 5, "ls": (0, (2, 1.5))},
}


def main_figure(results: Mapping[str, Any]) -> Figure:
    """The run in one picture: POST /feeds, its share over 500 ms, browsing, time to content."""
    steps, settings = results["steps"], results["settings"]
    rule_ms = settings["rule_ms"]
    conditions = [
        f"{settings['model']} load",
        f"think time {settings['think_s']:g} s",
        f"{settings['measure_s']:g} s a step",
        f"{settings['slots']} requests at a time in either web server",
        f"{settings['workers'] * settings['threads']} jobs at a time",
        settings["database"],
    ]
    with house_style():
        figure = Figure(figsize=(14, 10))
        head(figure, finding(steps), ", ".join(conditions))
        answers = inches(figure, 0.95, 4.6, 10.9, 3.85)
        answers.set_title("POST /feeds: time to the answer", weight="bold")
        _percentiles(answers, steps, "submit", ["p50_ms", "p95_ms", "p99_ms"], rule_ms)

        share = inches(figure, 0.95, 0.75, 2.05, 2.75)
        share.set_title(f"POST /feeds over {duration(rule_ms)}")
        _shares(share, steps)
        browse = inches(figure, 5.1, 0.75, 2.05, 2.75)
        browse.set_title("Browsing: time to the answer")
        _percentiles(browse, steps, "browse", ["p50_ms", "p95_ms"], rule_ms)
        content = inches(figure, 9.75, 0.75, 2.05, 2.75)
        content.set_title("Added feed: time to content")
        _percentiles(content, steps, "content", ["p50_ms", "p95_ms"], rule_ms)
    return figure


def _percentiles(axes: Axes, steps: Sequence[Step], group: str, keys: Sequence[str], rule_ms: float) -> None:
    """Percentiles of one group of requests against users, a line for each app and percentile."""
    values = [step[group][key] for step in steps if step["fit"] for key in keys]
    latency_axis(axes, axes.yaxis, [value for value in values if value is not None])
    users_axis(axes, steps)
    labels = _crosses(axes, steps)
    labels.append(rule_line(axes, rule_ms))
    for app, colour in COLOURS.items():
        for key in keys:
            points = _line(axes, steps, app, group, key, **PERCENTILE_LINES[key])
            for step in points:
                if key in step[group]["lower_bounds"]:
                    arrow_up(axes, step["users"], step[group][key], colour)
            for step in points[-1:]:
                text = f"{app} {key.removesuffix('_ms')}: {wording.figure(step[group], key)}"
                labels.append(EndLabel(step["users"], step[group][key], text, colour))
    label_ends(axes, labels)


def _shares(axes: Axes, steps: Sequence[Step]) -> None:
    """The share of POST /feeds over the rule, with its 95 % interval."""
    axes.set_ylim(-0.03, 1.03)
    axes.yaxis.set_major_locator(FixedLocator([fifths / 5 for fifths in range(6)]))
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, symbol=" %"))
    users_axis(axes, steps)
    labels = _crosses(axes, steps)
    for app, colour in COLOURS.items():
        points = _line(axes, steps, app, "submit", "share_over_500ms", lw=2, marker="o", ms=5)
        for step in points:
            axes.plot([step["users"]] * 2, step["submit"]["share_ci"], color=colour, lw=5, alpha=0.35)
        for step in points[-1:]:
            share = step["submit"]["share_over_500ms"]
            labels.append(EndLabel(step["users"], share, f"{app}: {percent(share)}", colour))
    label_ends(axes, labels)


def _line(axes: Axes, steps: Sequence[Step], app: str, group: str, key: str, **style: Any) -> list[Step]:
    """Draw one figure of one app against users, broken where it has none; returns the steps that have it."""
    mine = sorted((step for step in steps if step["app"] == app), key=lambda step: int(step["users"]))
    shown = [step["fit"] and step[group][key] is not None for step in mine]
    heights = [step[group][key] if show else float("nan") for step, show in zip(mine, shown, strict=True)]
    axes.plot([step["users"] for step in mine], heights, color=COLOURS[app], **style)
    return list(compress(mine, shown))


def _crosses(axes: Axes, steps: Sequence[Step]) -> list[EndLabel]:
    """At the foot of the chart a row for each app that was unfit, a grey cross for each such step."""
    unfit = {app: [step["users"] for step in steps if step["app"] == app and not step["fit"]] for app in APPS}
    rows = [app for app in APPS if unfit[app]]
    share = 0.2 / (axes.bbox.height / axes.figure.dpi)  # of the height of the axes, for a row of 0.2 inches
    room_below(axes, share * len(rows))
    labels = []
    for place, app in enumerate(rows):
        _, y = (axes.transAxes - axes.transData).transform((0, share * (place + 0.5)))
        axes.plot(unfit[app], [y] * len(unfit[app]), "x", color=GREY, ms=9, mew=2.5)
        labels.append(EndLabel(max(unfit[app]), y, f"{app}: not fit", GREY))
    return labels


def timeline_figure(
    rows_by_app: Mapping[str, Iterable[Row]],
    ended: Mapping[str, float],
    window: tuple[float, float],
    users: int,
    rule_ms: float = RULE_MS,
) -> Figure:
    """Every POST /feeds of one step as a mark: when it began, how long it took. A panel for each app.

    `rows_by_app` holds all rows of the step, `ended` when it ended for each app, `window` what was counted,
    in seconds on the clock of the rows. A triangle was unanswered at the end: it took at least that long.
    """
    submits = {app: [row for row in rows if row.group == "submit"] for app, rows in rows_by_app.items()}
    waits = {app: [row.waited_ms(ended[app]) for row in rows] for app, rows in submits.items()}
    with house_style():
        figure = Figure(figsize=(14, 6))
        key = "dot: answered    triangle: unanswered at the end, so at least that long    cross: failed"
        head(figure, f"Every POST /feeds with {user_count(users)}, when it began and how long it took", key)
        width = (11.3 - 0.9 * (len(submits) - 1)) / len(submits)
        for place, (app, rows) in enumerate(submits.items()):
            axes = inches(figure, 0.95 + place * (width + 0.9), 0.75, width, 3.95)
            axes.set_xlim(0, max(ended.values()))
            axes.set_xlabel("began at, seconds into the step (grey: not counted)")
            latency_axis(axes, axes.yaxis, [ms for each in waits.values() for ms in each])
            for start, end in ((0, window[0]), (window[1], max(ended.values()))):
                axes.axvspan(start, end, color="#f0f0f0", lw=0, zorder=0)
            _marks(axes, rows, waits[app], COLOURS[app])
            label = rule_line(axes, rule_ms)
            if place == len(submits) - 1:
                label_ends(axes, [label])
            counted = summarise(in_window(rows, *window), ended[app], rule_ms)
            over = f"{percent(counted['share_over_500ms'] or 0)} over {duration(rule_ms)}"
            title = f"{APPS[app]}: {counted['count']} counted, {over}"
            axes.set_title(title, color=COLOURS[app], weight="bold")
    return figure


def _marks(axes: Axes, rows: Sequence[Row], waits: Sequence[float], colour: str) -> None:
    for marker, size, chosen in (
        (".", 40, lambda row: not row.failed and not row.unfinished),
        ("x", 40, lambda row: row.failed),
        ("^", 50, lambda row: row.unfinished),
    ):
        points = [(row.intended_s, ms) for row, ms in zip(rows, waits, strict=True) if chosen(row)]
        xs, ys = [x for x, _ in points], [y for _, y in points]
        # As pixels even in an SVG file: thousands of marks would make it too large to send.
        axes.scatter(xs, ys, s=size, c=colour, marker=marker, alpha=0.7, rasterized=True)


def ecdf_figure(rows_by_app: Mapping[str, Iterable[Row]], users: int, rule_ms: float = RULE_MS) -> Figure:
    """The share of POST /feeds not yet answered after a time, on two logarithmic axes: the tail shows.

    `rows_by_app` holds the measured rows of one step. As in the percentiles failures are left out, and what
    was unfinished at the end never comes down.
    """
    with house_style():
        figure = Figure(figsize=(14, 6))
        title = f"How many are still waiting, after how long? With {user_count(users)}"
        head(
            figure, title, "share of POST /feeds not yet answered; what stays level was unanswered at the end"
        )
        axes = inches(figure, 0.95, 0.75, 9.9, 4.0)
        curves = {app: _not_yet_answered(rows) for app, rows in rows_by_app.items()}
        latency_axis(axes, axes.xaxis, [ms for times, _ in curves.values() for ms in times])
        axes.set_xlabel("time since the request was meant to begin")
        least = min([MOST_OVER, *(share for _, shares in curves.values() for share in shares if share > 0)])
        axes.set_yscale("log")
        axes.set_ylim(least / 2, 1.2)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{share * 100:g} %"))
        axes.yaxis.set_major_locator(FixedLocator([10.0**-n for n in range(9) if 10.0**-n > least / 2]))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.axvline(rule_ms, color="black", lw=1.4)
        axes.text(rule_ms, 1.3, f"{duration(rule_ms)}: the rule", ha="center", size=11)
        axes.axhline(MOST_OVER, color=GREY, lw=1.4, ls=":")
        left, right = axes.get_xlim()
        labels = [EndLabel(right, MOST_OVER, f"the rule: at most {MOST_OVER * 100:g} %", GREY)]
        for app, (times, shares) in curves.items():
            axes.step([left, *times, right], [*shares, shares[-1]], where="post", color=COLOURS[app], lw=3)
            over = shares[bisect_right(times, rule_ms)]
            text = f"{APPS[app]}: {percent(over)} after {duration(rule_ms)}"
            labels.append(EndLabel(rule_ms, max(over, least / 2), text, COLOURS[app]))
        label_ends(axes, labels)
    return figure


def _not_yet_answered(rows: Iterable[Row]) -> tuple[list[float], list[float]]:
    """When answers came, in ms, ascending; and the shares unanswered before the first and after each."""
    rows = [row for row in rows if row.group == "submit" and not row.failed]
    times = sorted(row.waited_ms(row.done_s) for row in rows if row.done_s is not None)
    return times, [1 - count / max(1, len(rows)) for count in range(len(times) + 1)]


def save(figure: Figure, folder: Path, name: str) -> tuple[Path, Path]:
    """Write `name`.png and `name`.svg, byte for byte the same for the same figure; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    png, svg = folder / f"{name}.png", folder / f"{name}.svg"
    with house_style():
        figure.savefig(png, dpi=150, metadata={"Software": None})
        figure.savefig(svg, dpi=150, metadata={"Date": None, "Creator": None})
    return png, svg
