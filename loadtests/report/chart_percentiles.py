"""Percentiles of single requests, of named series of rows: over time, and all of them at once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from loadtests.judging.intervals import percentile_ranks
from loadtests.judging.samples import Samples, samples_of
from loadtests.records.constants import MOST_OVER, RULE_MS
from loadtests.records.rows import Row, in_window
from loadtests.report.chart_rows import Series, panels, shortened
from loadtests.report.chartparts import (
    GREY,
    EndLabel,
    LineStyle,
    described,
    headed,
    house_style,
    inches,
    label_ends,
    latency_axis,
    rule_line,
)
from loadtests.wording import duration

OVER_TIME: dict[int, LineStyle] = {  # of each percentile over time
    50: {"lw": 1.4, "ls": (0, (1, 1))},
    95: {"lw": 1.6, "ls": (0, (5, 2))},
    99: {"lw": 2.4, "ls": "-"},
}
FEWEST_FOR = {50: 5, 95: 20, 99: 100}  # requests in an interval whose percentile is drawn
WIDTHS_S = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600)  # of an interval
TOLD_LEVELS = {50: "half", 99: "99 %", 100: "all"}
MOST_POINTS = 300  # of a spectrum: ranks in between look the same


@dataclass(frozen=True)
class Stretch:
    """One percentile in one interval, in seconds and ms; `exact`: False if it is a lower bound."""

    start: float
    end: float
    ms: float
    exact: bool


def width_of(series: Series) -> int:
    """How many seconds an interval must have for as high a percentile as there are requests for.

    That is the shortest of WIDTHS_S with enough requests on average, if it leaves ten intervals.
    """
    start, end = _window(series)
    rate = len(in_window(series.rows, start, end)) / (end - start)
    for percent in sorted(FEWEST_FOR, reverse=True):
        wide = [width for width in WIDTHS_S if rate * width >= FEWEST_FOR[percent]]
        if wide and 10 * wide[0] <= end - start:
            return wide[0]
    return max(width for width in WIDTHS_S if width == 1 or 10 * width <= end - start)


def over_time(series: Series) -> dict[int, list[Stretch]]:
    """Each percentile of the requests due in each interval (`width_of`) that has enough of them."""
    width, (start, end) = width_of(series), _window(series)
    intervals: dict[int, list[Row]] = {}
    for row in in_window(series.rows, start, end):
        intervals.setdefault(int((row.intended_s - start) / width), []).append(row)
    found: dict[int, list[Stretch]] = {percent: [] for percent in FEWEST_FOR}
    for number, rows in sorted(intervals.items()):
        samples, begins = samples_of(rows, series.ended), start + number * width
        for percent, fewest in FEWEST_FOR.items():
            ms, exact = samples.percentile(percent)
            if ms is not None and samples.count >= fewest:
                found[percent].append(Stretch(begins, min(begins + width, end), ms, exact))
    return found


def _window(series: Series) -> tuple[float, float]:
    start, end = series.window
    return start, max(min(end, series.ended), start + 1e-9)


def percentiles_figure(series: Sequence[Series], title: str, rule_ms: float = RULE_MS) -> Figure:
    """p50, p95 and p99 of each interval against time, a panel for each series. Lower bounds are triangles."""
    known = [over_time(each) for each in series]
    reach = [piece.ms for lines in known for pieces in lines.values() for piece in pieces]
    with house_style():
        figure = Figure()
        of_what = "of the requests that were due in each interval; failures have no latency"
        drawn = panels(figure, title, of_what, series)
        for axes, each, lines in zip(drawn, series, known, strict=True):
            latency_axis(axes, axes.yaxis, reach)
            labels = [rule_line(axes, rule_ms)]
            for percent, pieces in lines.items():
                _steps(axes, pieces, each.colour, **OVER_TIME[percent])
                if pieces:
                    text = f"p{percent}: {duration(pieces[-1].ms)}"
                    labels.append(EndLabel(pieces[-1].end, pieces[-1].ms, text, each.colour))
            label_ends(axes, labels)
            title_of = f"{shortened(each.name, 30)}: every {width_of(each)} s"
            axes.set_title(title_of, color=each.colour, weight="bold")
    return described(figure, _told_over_time(series))


def _told_over_time(series: Sequence[Series]) -> str:
    """In words: from where to where each series' highest percentile went."""
    told = []
    for each in series:
        for percent, pieces in reversed(over_time(each).items()):
            if levels := [piece.ms for piece in pieces]:
                told.append(
                    f"{each.name}: p{percent} of every {width_of(each)} s between {duration(min(levels))} and"
                    f" {duration(max(levels))}"
                )
                break
    return f"Percentiles over time. {'; '.join(told) or 'Too few requests for any'}."


def _steps(axes: Axes, pieces: Sequence[Stretch], colour: str, **style: Any) -> None:
    """A level for each interval; a gap where there are too few requests."""
    xs: list[float] = []
    ys: list[float] = []
    for piece in pieces:
        if xs and piece.start > xs[-1] + 1e-6:
            xs.append(piece.start)
            ys.append(float("nan"))
        xs += [piece.start, piece.end]
        ys += [piece.ms, piece.ms]
    axes.plot(xs, ys, color=colour, **style)
    bounds = [((piece.start + piece.end) / 2, piece.ms) for piece in pieces if not piece.exact]
    axes.plot([x for x, _ in bounds], [y for _, y in bounds], "^", color=colour, ms=6)


def spectrum(samples: Samples) -> Iterator[tuple[float, float, bool]]:
    """Every latency that some share of the requests does not exceed: `(1 / share above, ms, exact)`."""
    count = samples.count
    # Evenly along the axis, if there are too many.
    above = (max(1, count) ** (point / MOST_POINTS) for point in range(MOST_POINTS + 1))
    even = {max(1, round(count * (1 - 1 / each))) for each in above} | {count}
    for rank in sorted(even) if count > MOST_POINTS else range(1, count + 1):
        ms, exact = samples.percentile(Fraction(100 * rank, count))
        if ms is not None:
            yield count / (count - rank + 0.5), ms, exact


def spectrum_figure(
    series: Sequence[Series], title: str, rule_ms: float = RULE_MS, naive: bool = False
) -> Figure:
    """Every percentile of each series, to the largest latency; with its 95 % interval. Both axes logarithmic.

    A line is dotted where it is a lower bound. `naive` adds dashed lines of the latencies from sending.
    """
    known = [samples_of(in_window(each.rows, *each.window), each.ended) for each in series]
    lines = [list(spectrum(samples)) for samples in known]
    most = max([1000.0, *(samples.count for samples in known)])
    dashed = "; dashed: from sending (naive)" if naive else ""
    subtitle = f"of answered requests; shaded: 95 % interval; dotted: at least{dashed}"
    with headed(6.2, title, subtitle) as figure:
        axes = inches(figure, 0.95, 0.75, 9.3, 4.2)
        latency_axis(axes, axes.yaxis, [ms for line in lines for _, ms, _ in line])
        axes.set_xscale("log")
        axes.set_xlim(1, 2.5 * most)
        axes.set_xlabel("percentile (logarithmic towards 100 %)")
        ticks = {1: "0 %", 2: "50 %", **{10**n: f"{100 - 10.0 ** (2 - n):.10g} %" for n in range(1, 8)}}
        axes.xaxis.set_major_locator(FixedLocator([tick for tick in ticks if tick <= 2.5 * most]))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: ticks.get(round(x), "")))
        axes.axvline(1 / MOST_OVER, color=GREY, lw=1.4, ls=":")
        labels = [rule_line(axes, rule_ms)]
        for each, samples, line in zip(series, known, lines, strict=True):
            if not line:
                continue
            _band(axes, samples, each.colour)
            for exact, style in ((True, "-"), (False, ":")):
                points = [(x, ms) for x, ms, is_exact in line if is_exact is exact]
                axes.plot([x for x, _ in points], [y for _, y in points], color=each.colour, lw=2.6, ls=style)
            text = f"{shortened(each.name, 16)}: {duration(line[-1][1])}"
            labels.append(EndLabel(line[-1][0], line[-1][1], text, each.colour))
            if naive:
                short = list(spectrum(samples_of(in_window(each.rows, *each.window), each.ended, naive=True)))
                xs, ys = [x for x, _, _ in short], [ms for _, ms, _ in short]
                axes.plot(xs, ys, color=each.colour, lw=1.6, ls=(0, (5, 2)))
                if ys:
                    labels.append(EndLabel(xs[-1], ys[-1], f"naive: {duration(ys[-1])}", each.colour))
        label_ends(axes, labels)
    return described(figure, _told_levels(series))


def _told_levels(series: Sequence[Series]) -> str:
    """In words: some percentiles of each series."""
    told = []
    for each in series:
        samples = samples_of(in_window(each.rows, *each.window), each.ended)
        levels = [(samples.percentile(percent), said) for percent, said in TOLD_LEVELS.items()]
        said = [
            f"{said} within {'' if exact else 'at least '}{duration(ms)}"
            for (ms, exact), said in levels
            if ms
        ]
        told.append(f"{each.name}: {', '.join(said) or 'none was answered'}")
    return f"Every percentile. {'; '.join(told)}."


def _band(axes: Axes, samples: Samples, colour: str) -> None:
    """The 95 % interval of every percentile that has one."""
    points, count = [], samples.count
    for place in range(1, 61):
        above = (count / 3) ** (place / 60) if count > 3 else 1.0
        percent = Fraction(1 - 1 / above).limit_denominator(100_000) * 100
        if percent and percentile_ranks(count, percent):
            low, high = samples.interval(percent) or (None, None)
            if low is not None:
                points.append((above, low, axes.get_ylim()[1] if high is None else high))
    if points:
        xs, lows, highs = zip(*points, strict=True)
        axes.fill_between(xs, lows, highs, color=colour, alpha=0.18, lw=0)
