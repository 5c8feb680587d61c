"""What the machine did: the CPU of each process, and the load generator's own cost."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter

from loadtests.judging.fitness import MOST_GENERATOR_CPU, MOST_HOST_CPU, MOST_LAG_MS
from loadtests.records.constants import RULE_MS
from loadtests.records.results import Floor, FloorRate, Results
from loadtests.records.steps import Point, load_of
from loadtests.report.chartparts import (
    COLOURS,
    GREY,
    EndLabel,
    even_ticks,
    headed,
    inches,
    label_ends,
    latency_axis,
    number_axis,
    rule_line,
)
from loadtests.report.selection import apps_in, counted_steps, main_model, mean_of, of_app, unusual, usual
from loadtests.wording import SHORT, duration, load, setting

# Processes by the start of their name: a colour of Okabe and Ito's palette, and the colour of text on it.
PROCESSES = {
    "web server": ("#0072B2", "white"),
    "worker": ("#56B4E9", "black"),
    "feed server": ("#E69F00", "black"),
    "load generator": ("#666666", "white"),
    "others": ("#CC79A7", "black"),
}
FloorKey = Literal["p50_ms", "p99_ms", "lag_p99_ms", "cpu_percent", "host_cpu_percent"]
BAR_INCHES = 0.62


def cpu_points(results: Results) -> list[Point]:
    """The points whose CPU is shown: each app's fit points under the highest load, at most four.

    Three with the default slots, workers and threads, and one with others that carried an even higher load.
    """
    chosen: list[Point] = []
    for app in apps_in(results):
        mine = [point for point in of_app(usual(results, main_model(results)), app) if point["fit"]]
        most = load_of(mine[-1]) if mine else 0.0
        others = [p for p in of_app(unusual(results), app) if p["fit"] and p["model"] == main_model(results)]
        larger = sorted((p for p in others if load_of(p) > most), key=load_of, reverse=True)
        chosen += [*larger[:1], *reversed(mine[-3:])]
    return chosen


def cpu_of(results: Results, point: Point) -> dict[str, float]:
    """Percent of one core by kind of process, the mean of the repeats, summed over workers."""
    used: dict[str, float] = {}
    for kind in PROCESSES:
        steps = [
            sum(seen["cpu_percent"] for name, seen in step["processes"].items() if _kind(name) == kind)
            for step in counted_steps(results, point)
        ]
        mean = mean_of(steps)
        if mean:
            used[kind] = mean
    return used


def _kind(name: str) -> str:
    return next((kind for kind in PROCESSES if name.startswith(kind)), "others")


def cpu_figure(results: Results) -> Figure:
    """Where the CPU went: a bar for each app and load shown, with a segment for each kind of process."""
    shown = cpu_points(results)
    cores = results["machine"]["cores"]
    height = 2.5 + BAR_INCHES * len(shown)
    subtitle = f"mean of the counted time; 100 % is one core, the machine has {cores}"
    with headed(height, "Where each process's CPU went", subtitle) as figure:
        axes = inches(figure, 4.6, 0.75, 8.6, height - 2.5)
        used = [cpu_of(results, point) for point in shown]
        most = max([100.0 * cores, *(sum(each.values()) for each in used)])
        axes.set_xlim(0, most * 1.02)
        axes.set_ylim(len(shown) - 0.4, -0.6)
        axes.set_xlabel("CPU, percent of one core")
        even_ticks(axes.xaxis, 8)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:.0f} %"))
        axes.yaxis.set_major_locator(FixedLocator(range(len(shown))))
        axes.set_yticklabels([f"{SHORT[point['app']]}, {load(point)}\n{setting(point)}" for point in shown])
        axes.grid(visible=False, axis="y")
        for place, each in enumerate(used):
            _bar(axes, place, each, most)
        _key(figure, [kind for kind in PROCESSES if any(kind in each for each in used)], height)
    return figure


def _bar(axes: Axes, place: int, used: Mapping[str, float], most: float) -> None:
    left = 0.0
    for kind, percent in used.items():
        colour, ink = PROCESSES[kind]
        axes.barh(place, percent, left=left, color=colour, height=0.72, edgecolor="white", lw=0.8)
        if percent > 0.055 * most:  # wide enough for the number
            axes.text(
                left + percent / 2, place, f"{percent:.0f}", ha="center", va="center", color=ink, size=11
            )
        left += percent


def _key(figure: Figure, kinds: Sequence[str], height: float) -> None:
    """The legend: coloured squares in a line above the bars."""
    left = 4.6
    for kind in kinds:
        axes = inches(figure, left, height - 1.55, 0.22, 0.22)
        axes.set_facecolor(PROCESSES[kind][0])
        axes.set_xticks([])
        axes.set_yticks([])
        figure.text((left + 0.3) / 14, (height - 1.44) / height, kind, size=12, va="center")
        left += 0.62 + 0.1 * len(kind)


def floor_figure(floor: Floor, rule_ms: float = RULE_MS) -> Figure:
    """The load generator against a server that answers at once: what it adds, and how much it can send."""
    rates = floor["rates"]
    highest = floor["highest_fit_per_s"]
    title = (
        f"The load generator alone: fit up to {highest:g} requests a second"
        if highest is not None
        else "The load generator alone: not fit at any of these rates"
    )
    subtitle = "open load on a server that answers at once; no figure of an app can be better"
    with headed(6, title, subtitle) as figure:
        numbers = [rate["rate_per_s"] for rate in rates]
        latency = inches(figure, 0.95, 0.75, 3.9, 3.85, "What it adds to a latency")
        times = [rate[key] for rate in rates if rate["fit"] for key in ("p50_ms", "p99_ms", "lag_p99_ms")]
        latency_axis(latency, latency.yaxis, [ms for ms in times if ms])
        number_axis(latency, numbers, "requests a second (logarithmic)")
        labels = [rule_line(latency, rule_ms)]
        labels += _floor_line(latency, rates, "p50_ms", "p50", COLOURS["queued"], duration)
        labels += _floor_line(latency, rates, "p99_ms", "p99", COLOURS["sync"], duration)
        labels += _floor_line(latency, rates, "lag_p99_ms", "late, p99", GREY, duration)
        latency.axhline(MOST_LAG_MS, color=GREY, lw=1.2, ls=":")
        labels.append(EndLabel(latency.get_xlim()[1], MOST_LAG_MS, f"late at most {MOST_LAG_MS:g} ms", GREY))
        label_ends(latency, [*labels, *_unfit(latency, rates)])

        cpu = inches(figure, 8.0, 0.75, 3.9, 3.85, "What it takes")
        cpu.set_ylim(0, 105)
        cpu.yaxis.set_major_locator(FixedLocator([0, 20, 40, 60, 80, 100]))
        cpu.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:.0f} %"))
        number_axis(cpu, numbers, "requests a second (logarithmic)")
        most = min(MOST_GENERATOR_CPU, MOST_HOST_CPU)
        cpu.axhline(most, color=GREY, lw=1.2, ls=":")
        labels = [EndLabel(cpu.get_xlim()[1], most, f"at most {most:g} %", GREY)]
        say = "{:.0f} %".format
        labels += _floor_line(cpu, rates, "cpu_percent", "its core", COLOURS["queued"], say)
        labels += _floor_line(cpu, rates, "host_cpu_percent", "machine", COLOURS["sync"], say)
        label_ends(cpu, [*labels, *_unfit(cpu, rates)])
    return figure


def _floor_line(
    axes: Axes, rates: Sequence[FloorRate], key: FloorKey, text: str, colour: str, say: Callable[[float], str]
) -> list[EndLabel]:
    found = [(rate["rate_per_s"], rate[key]) for rate in rates if rate["fit"]]
    known = [(x, y) for x, y in found if y is not None]
    axes.plot([x for x, _ in known], [y for _, y in known], color=colour, lw=2, marker="o", ms=6)
    low, high = axes.get_ylim()
    return [EndLabel(x, min(max(y, low), high), f"{text}: {say(y)}", colour) for x, y in known[-1:]]


def _unfit(axes: Axes, rates: Sequence[FloorRate]) -> list[EndLabel]:
    """A grey cross at the bottom for each rate at which the generator was not fit."""
    at = [rate["rate_per_s"] for rate in rates if not rate["fit"]]
    if not at:
        return []
    _, y = (axes.transAxes - axes.transData).transform((0, 0.03))
    axes.plot(at, [y] * len(at), "x", color=GREY, ms=9, mew=2.5)
    return [EndLabel(max(at), y, "not fit", GREY)]
