"""The queue at work: jobs in and out, backlog, workers; time to answer and to content; a burst."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from loadtests.records.constants import BURST_AT
from loadtests.records.figures import Group
from loadtests.records.inside import Look
from loadtests.records.results import Results
from loadtests.records.steps import Step, load_of
from loadtests.report.chartparts import (
    COLOURS,
    GREY,
    EndLabel,
    even_ticks,
    headed,
    inches,
    label_ends,
    latency_axis,
    load_axis,
    rule_line,
    seconds_axis,
    share_axis,
)
from loadtests.report.chartpoints import crosses, draw, marks, reach
from loadtests.report.selection import main_model, of_app, usual
from loadtests.wording import load, setting, stated

CONTENT = "#007A5A"
SMOOTH_SECONDS = 2.0  # rates are computed over intervals of at least this length


def queue_figure(results: Results, step: Step) -> Figure:
    """The queued app in one step: backlog, jobs in and out a second, workers in use; and time to answer and
    to content against the load.
    """
    threads = step["workers"] * step["threads"]
    seen = step["timeline"]
    ends, counted_window = _end(step), _window(step)
    title = f"The queue with {load(step)}: what is put off is done by the workers"
    with headed(9, title, f"{setting(step)}; looked at twice a second") as figure:
        backlog = inches(figure, 0.95, 5.0, 4.0, 2.7, "Backlog: jobs that wait")
        seconds_axis(backlog, ends, counted_window)
        _steps(backlog, [(each["t_s"], each["backlog"] or 0) for each in seen], "waiting")

        rates = inches(figure, 7.9, 5.0, 4.0, 2.7, "Jobs a second")
        seconds_axis(rates, ends, counted_window)
        _in_and_out(rates, seen)

        use = inches(figure, 0.95, 0.75, 4.0, 2.9, "Worker threads that have a job")
        seconds_axis(use, ends, counted_window)
        share_axis(use)
        busy = [(each["t_s"], (each["running"] or 0) / threads) for each in seen]
        use.plot(*_columns(busy), color=COLOURS["queued"], lw=2, drawstyle="steps-post")
        mean = step["queue"]["utilisation"] if step["queue"] else 0.0
        use.axhline(mean, color=GREY, lw=1.4, ls=":")
        label_ends(use, [EndLabel(ends, mean, f"mean: {mean:.0%}".replace("%", " %"), GREY)])

        times = inches(figure, 7.9, 0.75, 4.0, 2.9, "Time to answer, time to content")
        _answer_and_content(times, results)
    return figure


def _end(step: Step) -> float:
    return float(max([step["ended_s"], *(each["t_s"] for each in step["timeline"])]))


def _window(step: Step) -> tuple[float, float]:
    start, end = step["window_s"]
    return start, end


def _columns(pairs: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [x for x, _ in pairs], [y for _, y in pairs]


def _steps(axes: Axes, pairs: Sequence[tuple[float, float]], text: str) -> None:
    """A count over time, as steps, with its maximum labelled."""
    axes.plot(*_columns(pairs), color=COLOURS["queued"], lw=2, drawstyle="steps-post")
    most = max((y for _, y in pairs), default=0.0)
    axes.set_ylim(0, 1.1 * most or 1.0)
    even_ticks(axes.yaxis, 5, integer=True)
    at = next((x for x, y in pairs if y == most), 0.0)
    label_ends(axes, [EndLabel(at, most, f"most: {most:g} {text}", COLOURS["queued"])])


def rates(seen: Sequence[Look], key: Literal["enqueued", "fetched"]) -> list[tuple[float, float]]:
    """The growth rate of a count in the timeline: `(second, per second)`, over SMOOTH_SECONDS or more."""
    looks = [(each["t_s"], each[key]) for each in seen]
    chosen = looks[:1]
    for look in looks[1:]:
        if look[0] - chosen[-1][0] >= SMOOTH_SECONDS:
            chosen.append(look)
    return [
        ((after[0] + before[0]) / 2, (after[1] - before[1]) / (after[0] - before[0]))
        for before, after in pairwise(chosen)
    ]


def _in_and_out(axes: Axes, seen: Sequence[Look]) -> None:
    labels = []
    for pairs, text, colour, style in (
        (rates(seen, "enqueued"), "in: enqueued", GREY, (0, (4, 2))),
        (rates(seen, "fetched"), "out: performed", COLOURS["queued"], "-"),
    ):
        axes.plot(*_columns(pairs), color=colour, lw=2.2, ls=style)
        labels += [EndLabel(*pair, text, colour) for pair in pairs[-1:]]
    axes.set_ylim(0, axes.get_ylim()[1])
    even_ticks(axes.yaxis, 5)
    label_ends(axes, labels)


def _answer_and_content(axes: Axes, results: Results) -> None:
    """p95 of POST /feeds and of time to content in the queued app, against the load."""
    model = main_model(results)
    mine = of_app(usual(results, model), "queued")
    groups: tuple[tuple[Group, str, str, str], ...] = (
        ("submit", "answer", COLOURS["queued"], "s"),
        ("content", "content", CONTENT, "^"),
    )
    series = {group: marks(results, mine, group, "p95_ms") for group, *_ in groups}
    latency_axis(axes, axes.yaxis, [height for each in series.values() for height in reach(each)])
    load_axis(axes, map(load_of, mine), model)
    labels = [*crosses(axes, results, mine), rule_line(axes, results["settings"]["rule_ms"])]
    for group, text, colour, marker in groups:
        labels += draw(axes, series[group], colour, f"{text} p95", stated, lw=2.4, marker=marker, ms=8)
    label_ends(axes, labels)


def burst_figure(results: Results, step: Step) -> Figure:
    """Many feeds added at once: how the backlog rises and drains, beside the fluid limit."""
    burst = results["theory"]["burst"] if results["theory"] else None
    seen, jobs_at_once = step["timeline"], step.get("burst", 0)
    measured, predicted = (burst["measured_s"], burst["predicted_s"]) if burst else (None, None)
    said = "" if measured is None else f"; {measured:.1f} s later no more of them waited"
    begin = step["window_s"][0] + BURST_AT
    left = [(each["t_s"], (each["backlog"] or 0) + (each["running"] or 0)) for each in seen]
    most = max((jobs for _, jobs in left), default=0)
    title = f"A burst: {jobs_at_once} feeds added at once{said or ', and how they drain'}"
    subtitle = f"on top of {load(step)}; {step['workers'] * step['threads']} jobs at a time"
    with headed(6, title, subtitle) as figure:
        axes = inches(figure, 0.95, 0.75, 9.6, 3.95)
        seconds_axis(axes, _end(step), _window(step))
        axes.set_ylabel("jobs that wait or run")
        top = most if predicted is None else max(most, jobs_at_once)
        axes.set_ylim(0, 1.15 * top or 1.0)
        even_ticks(axes.yaxis, 6, integer=True)
        axes.plot(*_columns(left), color=COLOURS["queued"], lw=2.4, drawstyle="steps-post")
        at = next((x for x, jobs in left if jobs == most), begin)
        labels = [EndLabel(at, most, f"measured, most: {most:g} jobs", COLOURS["queued"])]
        if predicted is not None:
            before = next((jobs for x, jobs in reversed(left) if x < begin), 0)
            ends = (begin, begin + predicted)
            none_waits = max(before, step["workers"] * step["threads"])  # then all threads still have a job
            axes.plot(ends, (before + jobs_at_once, none_waits), color=GREY, lw=2, ls=(0, (4, 2)))
            labels.append(EndLabel(ends[1], none_waits, f"predicted: {predicted:.1f} s", GREY))
        label_ends(axes, labels)
    return figure
