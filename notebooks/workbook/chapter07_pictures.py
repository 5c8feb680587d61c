"""The pictures of chapter 7."""

from collections.abc import Mapping, Sequence
from math import ceil

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from loadtests.records.constants import RULE_MS
from loadtests.report.chart_rows import MORE_COLOURS
from loadtests.report.chartparts import (
    GREY,
    EndLabel,
    described,
    even_ticks,
    house_style,
    inches,
    label_ends,
    latency_axis,
)
from loadtests.theory import OpenLoad, drain_time
from loadtests.wording import duration, percent
from workbook.chapter07 import Jobs, backlog, of_queue, waits

ENDED = 0.02  # share of the picture: a shorter stretch without arrivals is not made grey
Corners = Sequence[tuple[float, float]]


def crews_figure(found: Mapping[str, Jobs], rate: float, demand: float, until: float) -> Figure:
    """The backlogs of crews of which the first is too small: what is expected of it is dashed."""
    names = {threads: f"{threads} threads" for threads in found}
    first, *others = names
    return _backlog_figure(
        {names[threads]: jobs for threads, jobs in found.items()},
        f"Jobs that wait: {rate:g} a second come, of {1000 * demand:g} ms each",
        until,
        f"{names[first]}, expected",
        _piled_up(int(first), rate, demand, until),
        enlarged=[names[threads] for threads in others],
    )


def burst_figure(
    jobs: Jobs, burst: int, at: float, threads: int, rate: float, demand: float, until: float
) -> Figure:
    """The backlog after `burst` jobs came at once; what is expected of it is dashed."""
    drained = at + drain_time(burst, threads, demand, rate)
    return _backlog_figure(
        {f"{threads} threads": jobs},
        f"Jobs that wait: {burst} at once, on top of {rate:g} a second",
        until,
        "expected",
        [(at, 0), (at, burst), (drained, 0)],
    )


def flood_figure(shared: Jobs, threads: int, urgent: float, demand: float, until: float) -> Figure:
    """The backlog of each kind if the urgent ones are too many; what is expected of these is dashed."""
    return _backlog_figure(
        {kind: of_queue(shared, kind) for kind in ("urgent", "ordinary")},
        f"Jobs that wait: urgent ones come faster than {threads} threads can do them",
        until,
        "urgent, expected",
        _piled_up(threads, urgent, demand, until),
    )


def _piled_up(threads: int, rate: float, demand: float, until: float) -> Corners:
    """The backlog of too few threads, as if jobs were water: it grows as long as they come."""
    most = until * (rate - threads / demand)
    return [(0, 0), (until, most), (until + drain_time(most, threads, demand), 0)]


def _backlog_figure(
    lines: Mapping[str, Jobs],
    title: str,
    until: float,
    expected: str,
    corners: Corners,
    enlarged: Sequence[str] = (),
) -> Figure:
    """Waiting jobs against time, a line for each name; dashed, with these corners, what is `expected`.

    Grey after `until`, when nothing arrives any more. The `enlarged` lines are drawn again below, on their
    own scale.
    """
    end = max(each["ended"] for jobs in lines.values() for each in jobs)
    colours = dict(zip(lines, MORE_COLOURS, strict=False))
    below = 2.3 if enlarged else 0.0
    with house_style():
        figure = Figure(figsize=(11, 4.6 + below))
        upper = inches(figure, 0.8, 0.75 + below, 7.3, 3.3)
        told = _backlogs(upper, lines, colours, until, end, {expected: corners})
        upper.set_title(title, weight="bold")
        lower = upper
        if enlarged:
            lower = inches(figure, 0.8, 0.75, 7.3, 1.75)
            _backlogs(lower, {name: lines[name] for name in enlarged}, colours, until, end, {}, width=1.3)
            upper.set_xticklabels([])
            lower.set_title("enlarged", size=11, pad=4)
        grey = " (grey: nothing arrives any more)" if end - until > ENDED * end else ""
        lower.set_xlabel(f"seconds since the start{grey}")
    return described(figure, f"{title}. {'; '.join(told)}.")


def _backlogs(
    axes: Axes,
    lines: Mapping[str, Jobs],
    colours: Mapping[str, str],
    until: float,
    end: float,
    dashed: Mapping[str, Corners],
    width: float = 2.2,
) -> list[str]:
    """Draw lines of waiting jobs; returns their labels."""
    axes.set_xlim(0, end)
    if end - until > ENDED * end:
        axes.axvspan(until, end, color="#f0f0f0", lw=0, zorder=0)
    labels, most = [], 1.0
    for name, jobs in lines.items():
        moments = sorted({0.0, *(each[key] for each in jobs for key in ("due", "began"))})
        heights = [backlog(jobs, moment) for moment in moments]
        most = max(most, *heights)
        axes.plot(moments, heights, color=colours[name], lw=width, drawstyle="steps-post")
        top = max(range(len(heights)), key=heights.__getitem__)
        labels.append(EndLabel(moments[top], heights[top], f"{name}: up to {heights[top]}", colours[name]))
    for name, corners in dashed.items():
        axes.plot(*zip(*corners, strict=True), color=GREY, lw=2, ls=(0, (4, 2)))
        top_corner = max(corners, key=lambda corner: corner[1])
        most = max(most, top_corner[1])
        labels.append(EndLabel(*top_corner, f"dashed: {name}", GREY))
    axes.set_ylim(0, 1.12 * most)
    even_ticks(axes.yaxis, 6 if most > 20 else 4, integer=True)
    axes.xaxis.set_major_locator(FixedLocator(range(ceil(end))))
    label_ends(axes, labels)
    return [label.text for label in labels]


def waits_figure(found: Mapping[str, Jobs], rate: float, demand: float) -> Figure:
    """The share of jobs that waited longer: measured, and by Erlang C where there is a steady state."""
    with house_style():
        figure = Figure(figsize=(11, 5))
        axes = inches(figure, 0.9, 0.75, 6.7, 3.4)
        latency_axis(axes, axes.xaxis, [2.0])
        least = 0.5 / max(len(jobs) for jobs in found.values())
        _share_axis(axes, least)
        axes.axvline(RULE_MS, color="black", lw=1.4)
        axes.text(RULE_MS, 1.6, f"{duration(RULE_MS)}: the rule", ha="center", size=11)
        left, right = axes.get_xlim()
        told = []
        for (threads, jobs), colour in zip(found.items(), MORE_COLOURS, strict=False):
            times = sorted(1000 * wait for wait in waits(jobs))
            shares = [1 - count / len(times) for count in range(len(times) + 1)]
            axes.step([left, *times, right], [*shares, 0], where="post", color=colour, lw=2.6)
            _name(axes, times, f"{threads} threads", colour)
            over = sum(wait > RULE_MS for wait in times) / len(times)
            told.append(f"{threads} threads: {percent(over)} over {duration(RULE_MS)}")
            _erlang(axes, OpenLoad(int(threads), rate, demand), least, colour)
        axes.set_xlabel("pick-up latency (logarithmic)")
        figure.text(
            0.02, 0.945, "Share of jobs that waited longer (dashed: Erlang C)", weight="bold", size=13
        )
    return described(figure, f"The share of jobs that waited longer, against the wait. {'; '.join(told)}.")


def _name(axes: Axes, times: Sequence[float], text: str, colour: str) -> None:
    """Label a curve: high up, or lower down if it is off the chart there."""
    high, low = times[-round(0.3 * len(times))], times[-max(1, round(0.02 * len(times)))]
    x, share = (high, 0.3) if high > 10 else (low, 0.02)
    axes.text(1.12 * max(x, axes.get_xlim()[0]), share, text, color=colour, size=11, va="center")


def _share_axis(axes: Axes, least: float) -> None:
    axes.set_yscale("log")
    axes.set_ylim(least, 1.3)
    axes.yaxis.set_major_locator(FixedLocator([share for share in (1.0, 0.1, 0.01, 0.001) if share > least]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g} %"))
    axes.yaxis.set_minor_locator(NullLocator())


def _erlang(axes: Axes, load: OpenLoad, least: float, colour: str) -> None:
    if load.utilisation >= 1:
        return
    left, right = axes.get_xlim()
    moments = [left * (right / left) ** (n / 300) for n in range(301)]
    shares = [load.share_waiting_over(ms / 1000) for ms in moments]
    line = [(ms, share) for ms, share in zip(moments, shares, strict=True) if share > least]
    if line:
        axes.plot(*zip(*line, strict=True), color=colour, lw=1.6, ls=(0, (4, 2)))
