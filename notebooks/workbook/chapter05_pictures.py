"""The pictures of chapter 5."""

from collections.abc import Mapping, Sequence
from itertools import islice, pairwise
from math import ceil
from statistics import median
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter

from loadtests.records.constants import RULE_MS
from loadtests.report.chartparts import (
    COLOURS,
    EndLabel,
    canvas,
    described,
    even_ticks,
    inches,
    label_ends,
    latency_axis,
    rule_line,
)
from loadtests.wording import SHORT, duration, span
from loadtests.wording import figure as stated
from workbook.chapter05 import REQUEST_STYLES, polls, seen_at

Visits = Mapping[str, Sequence[Mapping[str, float]]]
Rates = Mapping[str, Mapping[str, float]]
POLLS = tuple(islice(polls(), 12))


def staircase_figure(seen: Visits) -> Figure:
    """When the answer and when the content came, against how long the feed's server took."""
    with canvas(11, 5) as figure:
        axes = inches(figure, 0.9, 0.75, 6.9, 3.7)
        far = 1.08 * max(visit["delay"] for visit in seen["sync"])
        top = 1150 * max(visit["content"] for visits in seen.values() for visit in visits)
        axes.set_xlim(0, 1000 * far)
        axes.set_ylim(-0.06 * top, top)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(FixedLocator(range(0, ceil(axis.get_view_interval()[1]), 500)))
            axis.set_major_formatter(FuncFormatter(lambda ms, _: f"{ms / 1000:g} s"))
        edges = [0.0, *(poll for poll in POLLS if poll < far), far]
        stairs = [(moment, seen_at(end)) for start, end in pairwise(edges) for moment in (start, end)]
        flat = median(visit["answer"] for visit in seen["queued"])
        labels = [rule_line(axes, RULE_MS)]
        for app, points, text in (
            ("sync", [(0.0, 0.0), (far, far)], "answer and content"),
            ("queued", stairs, "content"),
            ("queued", [(0.0, flat), (far, flat)], "answer"),
        ):
            end = _line(axes, points, COLOURS[app])
            labels.append(EndLabel(*end, f"{SHORT[app]}: {text}", COLOURS[app]))
        for app, visits in seen.items():
            _marks(axes, visits, "content", "o", COLOURS[app])
        _marks(axes, seen["queued"], "answer", "s", COLOURS["queued"])
        _missed(axes, seen["queued"])
        axes.set_xlabel("how long the feed's server takes")
        axes.set_title(
            "Time since the feed was submitted (lines: expected; the flat one: the median)", weight="bold"
        )
        label_ends(axes, labels)
    told = [
        f"{SHORT[app]}, {what} after {span(*_ends(visits, what), lambda each: f'{each:.2g}')} s"
        for app, visits in seen.items()
        for what in ("answer", "content")
    ]
    taken = span(*_ends(seen["sync"], "delay"), lambda each: f"{each:.2g}")
    return described(figure, f"Feeds that take {taken} s. {'; '.join(told)}.")


def _ends(visits: Sequence[Mapping[str, float]], key: str) -> tuple[float, float]:
    times = [visit[key] for visit in visits]
    return min(times), max(times)


def _line(axes: Axes, points: Sequence[tuple[float, float]], colour: str) -> tuple[float, float]:
    """Draw a line of seconds in ms; returns its end."""
    xs, ys = zip(*points, strict=True)
    axes.plot([1000 * x for x in xs], [1000 * y for y in ys], color=colour, lw=1.6)
    return 1000 * xs[-1], 1000 * ys[-1]


def _missed(axes: Axes, visits: Sequence[Mapping[str, float]]) -> None:
    """Label each content that came a poll later than its feed alone would explain."""
    for visit in visits:
        poll, after = seen_at(visit["delay"]), seen_at(seen_at(visit["delay"]) + 0.001)
        if visit["content"] > (poll + after) / 2:
            where = 1000 * visit["delay"], 1000 * visit["content"]
            style: dict[str, Any] = {"textcoords": "offset points", "ha": "center", "size": 11}
            axes.annotate(
                f"missed the poll at {poll:.2g} s", where, xytext=(0, 9), color=COLOURS["queued"], **style
            )


def _marks(axes: Axes, visits: Sequence[Mapping[str, float]], key: str, marker: str, colour: str) -> None:
    xs, ys = [1000 * visit["delay"] for visit in visits], [1000 * visit[key] for visit in visits]
    axes.plot(xs, ys, marker, color=colour, ms=8, clip_on=False)


def answer_and_content_figure(results: Mapping[str, Any]) -> Figure:
    """A bar from the median to p95 for each app's answers, and below them for its contents."""
    steps = {step["app"]: step for step in results["steps"]}
    names = {"submit": "answer", "content": "content"}
    shown = [(app, group, steps[app][group]) for group in names for app in ("sync", "queued")]
    with canvas(12, 4) as figure:
        axes = inches(figure, 2.3, 0.75, 5.9, 2.65)
        latency_axis(axes, axes.xaxis, [each[key] for *_, each in shown for key in ("p50_ms", "p95_ms")])
        axes.set_ylim(3.6, -0.6)
        axes.axvline(RULE_MS, color="black", lw=1.4)
        axes.text(RULE_MS, -0.66, f"{duration(RULE_MS)}: the rule", ha="center", size=11)
        told = []
        for place, (app, group, each) in enumerate(shown):
            half, most = each["p50_ms"], each["p95_ms"]
            axes.plot([half, most], [place, place], color=COLOURS[app], lw=7, alpha=0.45)
            axes.plot([half], [place], "o", color=COLOURS[app], ms=10)
            end = ">" if "p95_ms" in each["lower_bounds"] else "|"
            axes.plot([most], [place], end, color=COLOURS[app], ms=14, mew=2.5)
            more = " or more" if end == ">" else ""
            said = f"half within {stated(each, 'p50_ms')}, 95 % within {duration(most)}{more}"
            told.append(f"{names[group]}, {SHORT[app]}: {said}")
            across = axes.get_yaxis_transform()
            axes.text(1.02, place, said, color=COLOURS[app], size=11, va="center", transform=across)
        axes.set_yticks(range(len(shown)), [f"{names[group]}, {SHORT[app]}" for app, group, _ in shown])
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("time since the feed was submitted (logarithmic)")
        figure.text(0.02, 0.93, f"With {results['settings']['users'][0]} users", weight="bold", size=13)
        if any("p95_ms" in each["lower_bounds"] for *_, each in shown):
            said = "▶ at least: some still waited at the end"
            axes.text(1.02, 3.6, said, size=11, va="bottom", transform=axes.get_yaxis_transform())
    return described(figure, f"The time since the feed was submitted. {'; '.join(told)}.")


def requests_figure(rates: Rates) -> Figure:
    """A bar for each app: the requests per second that the same users sent it, by kind."""
    with canvas(11, 3.5) as figure:
        axes = inches(figure, 1.5, 0.75, 8.3, 1.6)
        most = max(sum(of.values()) for of in rates.values())
        axes.set_xlim(0, 1.02 * most)
        axes.set_ylim(1.5, -0.5)
        even_ticks(axes.xaxis, 8)
        apps = [app for app in SHORT if app in rates]
        for place, app in enumerate(apps):
            left = 0.0
            for kind, rate in rates[app].items():
                name, colour, ink = REQUEST_STYLES[kind]
                bar: dict[str, Any] = {"color": colour, "edgecolor": "white", "lw": 0.8}
                axes.barh(place, rate, left=left, height=0.66, label=None if place else name, **bar)
                if rate > 0.05 * most:  # room for the number
                    middle = left + rate / 2
                    axes.text(middle, place, f"{rate:.1f}", color=ink, size=11, ha="center", va="center")
                left += rate
            axes.text(left, place, f" {left:.1f} in all", size=11, va="center")
        axes.set_yticks(range(len(apps)), [SHORT[app] for app in apps])
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("requests a second")
        figure.text(0.02, 0.9, "The same users, and what they ask of each reader", weight="bold", size=13)
        figure.legend(loc="upper left", bbox_to_anchor=(0.12, 0.86), ncols=len(REQUEST_STYLES), frameon=False)
    told = [
        f"{SHORT[app]}, {', '.join(f'{REQUEST_STYLES[kind][0]} {rate:.1f}' for kind, rate in of.items())}"
        for app, of in rates.items()
    ]
    return described(figure, f"Requests a second that the same users send. {'; '.join(told)}.")
