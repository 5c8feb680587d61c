"""The picture of chapter 9: two clocks for the same requests."""

from matplotlib.figure import Figure

from loadtests.judging.samples import nearest_rank
from loadtests.records.constants import RULE_MS
from loadtests.report.chart_rows import Series
from loadtests.report.chartparts import (
    EndLabel,
    canvas,
    described,
    head,
    inches,
    label_ends,
    latency_axis,
    rule_line,
    seconds_axis,
)
from loadtests.wording import duration

SENT_COLOUR = "#A3478A"


def two_clocks_figure(tool: Series) -> Figure:
    """Each request of one tool twice: timed from when it was meant to begin, and from when it was sent."""
    rows = [row for row in tool.rows if row.sent_s is not None]
    intended = [row.waited_ms(tool.ended) for row in rows]
    sent = [row.waited_ms(tool.ended, naive=True) for row in rows]
    with canvas(11, 4.9) as figure:
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
