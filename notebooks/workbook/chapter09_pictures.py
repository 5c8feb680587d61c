"""The pictures of chapter 9: two clocks for the same requests, and what short runs say."""

import math
import random
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from loadtests.judging.samples import nearest_rank
from loadtests.records.constants import RULE_MS
from loadtests.report.chart_rows import Series
from loadtests.report.chartparts import (
    GREY,
    EndLabel,
    described,
    head,
    house_style,
    inches,
    label_ends,
    latency_axis,
    number_axis,
    rule_line,
    seconds_axis,
)
from loadtests.wording import duration, percent
from workbook.chapter09 import TOOL_COLOURS, TRUE_P95_MS
from workbook.words import in_words

SENT_COLOUR = "#A3478A"
SHOWN_RUNS = 100  # runs of each length


def two_clocks_figure(tool: Series) -> Figure:
    """Each request of one tool twice: timed from when it was meant to begin, and from when it was sent."""
    rows = [row for row in tool.rows if row.sent_s is not None]
    intended = [row.waited_ms(tool.ended) for row in rows]
    sent = [row.waited_ms(tool.ended, naive=True) for row in rows]
    with house_style():
        figure = Figure(figsize=(11, 4.9))
        head(
            figure,
            "The same requests, timed from two moments",
            "one connection: what comes later has to wait",
        )
        axes = inches(figure, 0.95, 0.75, 7.1, 3.1)
        seconds_axis(axes, tool.ended, tool.window)
        axes.set_xlabel("when the request was meant to begin, seconds (grey: not counted)")
        latency_axis(axes, axes.yaxis, [*intended, *sent, 1.0])
        times = [row.intended_s for row in rows]
        axes.plot(times, intended, "o", ms=6, color=tool.colour, alpha=0.7)
        for slow, size in ((False, 4), (True, 10)):
            chosen = [(at, ms) for at, ms in zip(times, sent, strict=True) if (ms > RULE_MS) == slow]
            xs, ys = [at for at, _ in chosen], [ms for _, ms in chosen]
            axes.plot(xs, ys, "D", ms=size, mec=SENT_COLOUR, mfc="white" if slow else "none", zorder=3)
        slowest = nearest_rank(intended, 95), nearest_rank(sent, 50)
        right = axes.get_xlim()[1]
        labels = [
            EndLabel(right, slowest[0], "● from when it was meant to begin", tool.colour),
            EndLabel(right, slowest[1], "◇ from when it was sent", SENT_COLOUR),
            rule_line(axes, RULE_MS),
        ]
        label_ends(axes, labels)
    over = [sum(ms > RULE_MS for ms in waits) for waits in (intended, sent)]
    return described(
        figure,
        f"Of {len(rows)} requests, {over[0]} take over 500 ms from when they were meant to begin, up to"
        f" {duration(max(intended))}; and {over[1]} from when they were sent, up to {duration(max(sent))}.",
    )


def runs_figure(runs: Mapping[int, Sequence[float]]) -> Figure:
    """The p95 of runs of different lengths, a dot each, and what share of them is over the rule."""
    source = random.Random(1)
    with house_style():
        figure = Figure(figsize=(11, 4.9))
        head(
            figure,
            "A short run says anything: the p95 of many runs against one server",
            f"{len(next(iter(runs.values())))} simulated runs of each length, {SHOWN_RUNS} of them shown;"
            " orange: it says that the server breaks its promise, which it keeps",
        )
        axes = inches(figure, 0.95, 0.75, 7.6, 3.0)
        number_axis(
            axes, runs, "requests in a run (logarithmic); at the foot: share of the runs that is wrong"
        )
        axes.set_ylim(200, 800)
        told = []
        for requests, found in runs.items():
            for p95 in found[:SHOWN_RUNS]:
                colour = TOOL_COLOURS["closed"] if p95 > RULE_MS else TOOL_COLOURS["open"]
                x = requests * math.exp(source.uniform(-0.12, 0.12))
                axes.plot([x], [p95], "o", ms=4, color=colour, alpha=0.6, mew=0)
            wrong = percent(sum(p95 > RULE_MS for p95 in found) / len(found))
            axes.text(requests, 216, wrong, ha="center", size=11)
            told.append(f"{wrong} of those of {requests}")
        axes.axhline(TRUE_P95_MS, color=GREY, lw=1.4, ls=":")
        axes.set_ylabel("p95 of a run, ms")
        right = axes.get_xlim()[1]
        truth = f"{in_words(TRUE_P95_MS / 1000)}: the truth"
        label_ends(axes, [rule_line(axes, RULE_MS), EndLabel(right, TRUE_P95_MS, truth, GREY)])
    return described(
        figure,
        f"Runs whose p95 is over 500 ms, though it truly is {duration(TRUE_P95_MS)}: {', '.join(told)} requests.",
    )
