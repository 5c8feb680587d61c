"""Chapter 2's pictures: the knee, how many requests are at the server, and how long they wait."""

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MultipleLocator, PercentFormatter

from loadtests.records.constants import RULE_MS
from loadtests.report.chart_rows import MORE_COLOURS
from loadtests.report.chartparts import (
    COLOURS,
    GREY,
    EndLabel,
    canvas,
    described,
    even_ticks,
    inches,
    label_ends,
    latency_axis,
    mark_load,
    rule_line,
)
from loadtests.theory import ClosedLoad, knee
from loadtests.wording import duration
from workbook.chapter02 import Latency, ResultsJson, feeds_per_s, held_by_a_visit, prediction_of, short_steps

LowHigh = Mapping[int, Mapping[Latency, tuple[float, float]]]  # by users and figure: lowest and highest

FIGURE_STYLES: dict[Latency, Any] = {
    "mean_ms": ("mean", "o", (0, (4, 2)), -0.42),
    "p95_ms": ("p95", "s", "-", 0.42),
}


def throughput_figure(results: ResultsJson) -> Figure:
    """Feeds added per second against visitors: both bounds, M/M/c//N, and measurements."""
    settings, held = results["settings"], held_by_a_visit(results)
    (slots,), think = settings["slots"], settings["think_s"]
    measured = sorted(feeds_per_s(results).items())
    most = round(1.2 * measured[-1][0])
    with canvas(11, 5) as figure:
        axes = inches(figure, 0.9, 0.75, 7.4, 3.65)
        axes.set_xlim(0, most)
        axes.set_ylim(0, 1.35 * slots / held)
        axes.set_xlabel("visitors")
        axes.set_ylabel("feeds added a second")
        even_ticks(axes.xaxis, 8, integer=True)
        even_ticks(axes.yaxis, 8)
        end = min(most, 1.35 * slots / held * (held + think))
        axes.plot([0, end], [0, end / (held + think)], color=GREY, lw=1.6, ls=":")
        axes.axhline(slots / held, color=GREY, lw=1.6, ls=":")
        users = range(1, most + 1)
        predicted = [ClosedLoad(slots, n, think, held).throughput for n in users]
        axes.plot([0, *users], [0, *predicted], color=COLOURS["sync"], lw=2, alpha=0.75)
        axes.plot(*zip(*measured, strict=True), "o", color=COLOURS["sync"], ms=9)
        at = knee(held, slots, think)
        axes.axvline(at, color=GREY, lw=1.4, ls=(0, (5, 4)), zorder=1.4)
        axes.text(at + 0.01 * most, 0.04 * slots / held, f"knee N*: {at:.1f} visitors", color=GREY, size=11)
        labels = [
            EndLabel(end, end / (held + think), "visitors: N / (D + Z)", GREY),
            EndLabel(most, slots / held, "slots: c / D", GREY),
            EndLabel(most, predicted[-1], "predicted", COLOURS["sync"]),
            EndLabel(*measured[-1], "measured", COLOURS["sync"]),
        ]
        label_ends(axes, labels)
        axes.set_title("How many feeds are added a second, and how many could be", weight="bold")
    told = ", ".join(f"{rate:.1f} by {submitters}" for submitters, rate in measured)
    return described(
        figure,
        f"Feeds added a second, by visitors: {told}; the bounds meet at {at:.1f} visitors and"
        f" {slots / held:.1f} a second.",
    )


def states_figure(load: ClosedLoad, title: str) -> Figure:
    """The share of time with each number of requests at the server; in colour where no slot is free."""
    shares = load.probabilities
    with canvas(10, 4.2) as figure:
        axes = inches(figure, 1.0, 0.75, 8.5, 2.85)
        colours = [GREY] * load.slots + [MORE_COLOURS[2]] + [COLOURS["sync"]] * (len(shares) - load.slots - 1)
        axes.bar(range(len(shares)), shares, color=colours, width=0.75)
        axes.set_ylim(0, 1.45 * max(shares))
        axes.yaxis.set_major_locator(MultipleLocator(0.05))
        axes.set_xticks(range(len(shares)))
        axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0, symbol=" %"))
        axes.grid(axis="x", visible=False)
        axes.set_xlabel("requests at the server at a time, waiting ones included")
        axes.set_ylabel("share of the time")
        groups = shares[: load.slots], shares[load.slots : load.slots + 1], shares[load.slots + 1 :]
        texts = "a slot is free", "all are busy, nobody waits", "somebody waits"
        of_time = [f"{sum(each):.0%}".replace("%", " %") for each in groups]
        said = [f"{share}: {text}" for share, text in zip(of_time, texts, strict=True)]
        for place, words in enumerate(said):
            colour = colours[(0, load.slots, load.slots + 1)[place]]
            across = (0.01, 0.33, 0.72)[place]
            axes.text(across, 0.93, words, transform=axes.transAxes, color=colour, size=12)
        axes.set_title(title, weight="bold")
    told = f"{'; '.join(said)}; most often there are {shares.index(max(shares))}"
    return described(figure, f"The share of the time with each number of requests at the server. {told}.")


def latencies_figure(results: ResultsJson) -> Figure:
    """Answer times, measured and predicted by M/M/c//N; below, their difference, and what chance allows."""
    with canvas(11, 7.6) as figure:
        above = inches(figure, 0.9, 3.35, 7.4, 3.65)
        above.set_title("The answer to POST /feeds: predicted (lines) and measured (marks)", weight="bold")
        _latencies(above, results)
        below = inches(figure, 0.9, 0.75, 7.4, 1.75)
        below.set_title("Measured minus predicted; grey: 95 % of simulated steps, as short as these")
        _residuals(below, results, short_steps(results))
    told = []
    for key, (name, *_) in FIGURE_STYLES.items():
        measured = [duration(ms) for _, ms in sorted(_measured(results, key).items())]
        told.append(f"{name} {', '.join(measured)}")
    loads = ", ".join(f"{users:g}" for users in sorted(_measured(results, "mean_ms")))
    return described(figure, f"The answer to POST /feeds with {loads} visitors. {'; '.join(told)}.")


def _visitors_axis(axes: Axes, results: ResultsJson) -> None:
    ticks = [round(each["load"]) for each in prediction_of(results)["at"]]
    axes.set_xlim(0, 1.08 * max(ticks))
    axes.set_xticks(ticks)
    axes.set_xlabel("visitors")


def _latencies(axes: Axes, results: ResultsJson) -> None:
    curve, settings, held = prediction_of(results), results["settings"], held_by_a_visit(results)
    _visitors_axis(axes, results)
    right = axes.get_xlim()[1]
    shown = [n for n, load in enumerate(curve["loads"]) if 0 < load <= right]
    loads = [curve["loads"][n] for n in shown]
    heights = [curve[key][n] for key in FIGURE_STYLES for n in shown]
    heights += [value for key in FIGURE_STYLES for value in _measured(results, key).values()]
    latency_axis(axes, axes.yaxis, heights)
    axes.set_ylim(min(heights) / 1.6, 1.6 * max(heights))
    ticks = [ms for ms in (100, 200, 500, 1000, 2000, 5000, 10_000) if ms in _range(axes.get_ylim())]
    axes.yaxis.set_major_locator(FixedLocator(ticks))
    labels = [rule_line(axes, RULE_MS)]
    for key, (name, marker, dashes, _) in FIGURE_STYLES.items():
        heights = [curve[key][n] for n in shown]
        axes.plot(loads, heights, color=COLOURS["sync"], ls=dashes, lw=2, alpha=0.75)
        marks = _measured(results, key)
        axes.plot(list(marks), list(marks.values()), marker, color=COLOURS["sync"], ms=9)
        labels.append(EndLabel(loads[-1], heights[-1], name, COLOURS["sync"]))
    (slots,), think = settings["slots"], settings["think_s"]
    at = knee(held, slots, think)
    least = [(load, curve["least_mean_ms"][n]) for load, n in zip(loads, shown, strict=True)]
    bound = sorted([*least, (at, curve["demand_ms"]["submit"])])  # it bends at the knee, between two loads
    axes.plot(*zip(*bound, strict=True), color=GREY, ls=":", lw=1.6)
    labels.append(EndLabel(*bound[-1], "the mean is at least this", GREY))
    mark_load(axes, at, f"knee N*: {at:.1f} visitors", GREY)
    label_ends(axes, labels)


def _range(limits: tuple[float, float]) -> range:
    return range(int(limits[0]), int(limits[1]) + 1)


def _measured(results: ResultsJson, key: str) -> dict[float, float]:
    """By number of visitors."""
    at = prediction_of(results)["at"]
    return {each["load"]: each["measured"][key]["value"] for each in at if each["measured"]}


def _residuals(axes: Axes, results: ResultsJson, limits: LowHigh) -> None:
    curve = prediction_of(results)
    _visitors_axis(axes, results)
    predicted = {(each["load"], key): each["predicted"][key] for each in curve["at"] for key in FIGURE_STYLES}
    labels, heights = [], [10.0]
    for key, (name, marker, _, aside) in FIGURE_STYLES.items():
        measured = _measured(results, key)
        places = [load + aside for load in measured]
        off = [100 * (value / predicted[load, key] - 1) for load, value in measured.items()]
        for place, load in zip(places, measured, strict=True):
            low, high = (100 * (end / predicted[load, key] - 1) for end in limits[int(load)][key])
            axes.vlines(place, low, high, color=GREY, lw=8, alpha=0.35)
            heights += [abs(low), abs(high)]
        axes.plot(places, off, marker, color=COLOURS["sync"], ms=8)
        labels.append(EndLabel(places[-1], off[-1], name, COLOURS["sync"]))
        heights += map(abs, off)
    axes.set_ylim(-1.1 * max(heights), 1.1 * max(heights))
    even_ticks(axes.yaxis, 5)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:+.0f} %" if y else "0 %"))
    axes.axhline(0, color="black", lw=1.2)
    label_ends(axes, labels)
