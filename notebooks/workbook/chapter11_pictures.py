"""The pictures of chapter 11: three ways compared with the feeds alone, and a loop that computes."""

from bisect import bisect_right
from collections.abc import Mapping
from statistics import median
from typing import Any

from matplotlib.figure import Figure

from loadtests.records.constants import RULE_MS
from loadtests.records.rows import in_window
from loadtests.report.chart_rows import not_yet_answered
from loadtests.report.chartparts import (
    COLOURS,
    GREY,
    canvas,
    described,
    head,
    inches,
    label_ends,
    latency_axis,
    rule_line,
    share_axis,
)
from loadtests.wording import duration, percent
from workbook.chapter11 import WAYS, steps_of, submitted
from workbook.readers import rows_of

WAY_COLOURS = {"sync": COLOURS["sync"], "host": "#007A5A", "queued": COLOURS["queued"]}
LINES: dict[str, Any] = {  # threads and async overlap
    "sync": {"lw": 3, "zorder": 3},
    "host": {"lw": 2.5, "ls": (0, (3, 2)), "zorder": 4},
    "queued": {"lw": 3, "zorder": 3},
}


def ways_figure(both: Mapping[str, Any], twin: Mapping[str, Any]) -> Figure:
    """The share of POST /feeds not yet answered, for each way; and the same for these feeds alone."""
    found = {
        app: not_yet_answered(in_window(_submits(results, step), *step["window_s"]))
        for results in (both, twin)
        for app, step in steps_of(results).items()
    }
    alone = sorted(
        1000 * each for pairs in (submitted(both, "sync"), submitted(twin, "host")) for _, each in pairs
    )
    with canvas(11, 4.9) as figure:
        what = "share of the POST /feeds not yet answered, against the time since each was meant to begin"
        head(figure, "Threads and async answer when the feed's server does", what)
        axes = inches(figure, 0.95, 0.75, 7.6, 3.1)
        latency_axis(axes, axes.xaxis, [*alone, *(ms for times, _ in found.values() for ms in times)])
        share_axis(axes)
        axes.set_xlabel("time (logarithmic)")
        left, _ = axes.get_xlim()
        axes.axvline(RULE_MS, color="black", lw=1.4)
        axes.text(RULE_MS, 1.05, f"{duration(RULE_MS)}: the rule", ha="center", size=11)
        after = [1 - count / len(alone) for count in range(len(alone) + 1)]
        axes.step([left, *alone], after, where="post", color="#c4c4c4", lw=9, label="these feeds alone")
        for app, (times, shares) in found.items():
            line = {"color": WAY_COLOURS[app], "label": WAYS[app], **LINES[app]}
            axes.step([left, *times], shares, where="post", **line)
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False)
    lines = {"these feeds alone": (alone, after), **{WAYS[app]: each for app, each in found.items()}}
    told = [
        f"{name}, {percent(shares[bisect_right(times, RULE_MS)])} after {duration(RULE_MS)}"
        for name, (times, shares) in lines.items()
    ]
    return described(figure, f"The share of POST /feeds not yet answered, against time. {'; '.join(told)}.")


def _submits(results: Mapping[str, Any], step: Mapping[str, Any]) -> list[Any]:
    return [row for row in rows_of(results, step) if row.group == "submit"]


def loop_figure(seen: Mapping[str, Any]) -> Figure:
    """Every look at the list: when, and how long it took; vertical lines where a feed was added."""
    times = [at for at, _ in seen["looks"]]
    waits = [1000 * wait for _, wait in seen["looks"]]
    with canvas(11, 4.7) as figure:
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
    return described(
        figure,
        f"Half of {len(waits)} looks at the list take under {duration(median(waits))}; while one of the"
        f" {len(seen['added'])} long feeds is parsed, up to {duration(max(waits))}.",
    )
