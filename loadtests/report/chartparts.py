"""Shared by the charts: colours, axes in plain words, the 500 ms line, and labels that do not overlap."""

import math
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import fmean
from typing import Any, TypedDict

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator, PercentFormatter

from loadtests.records.recording import Model
from loadtests.wording import duration

# From Okabe and Ito's palette, darker, since texts have them too: distinct for all kinds of colour
# vision, and in greyscale. An app that was already running is measured alone.
COLOURS: dict[str, str] = {
    "sync": "#C25400",
    "queued": "#00609A",
    "host": "#00609A",
    # Engines: dark, so that labels can be read, and told apart by their labels where colours are alike.
    "jobqueue-postgresql": "#00497A",
    "celery": "#00785A",
    "celery-late": "#3F7D20",
    "celery-threads": "#006D77",
    "celery-threads-late": "#5B6C00",
    "rq": "#A3195B",
    "dramatiq": "#7B3FA0",
    "huey": "#8A5A00",
    "procrastinate": "#4A4AB8",
    "pgqueuer": "#7A4B3A",
}
GREY = "#666666"

STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 12,
    "axes.titlesize": 13,
    "axes.titlelocation": "left",
    "axes.titlepad": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.8,
    "xtick.labelsize": 11,
    "ytick.labelsize": 11,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "text.color": "#1a1a1a",
    # Letters as shapes: the same picture if this font is missing. The salt makes the ids reproducible.
    "svg.fonttype": "path",
    "svg.hashsalt": "500ms",
}


class LineStyle(TypedDict, total=False):
    """How a line and its points look, in matplotlib's short names."""

    lw: float
    ls: str | tuple[float, tuple[float, ...]]
    marker: str
    ms: float


DECADES_MS = [10.0**power for power in range(-2, 7)]
LINE_HEIGHT = 15  # points, for text of size 11


@contextmanager
def house_style() -> Iterator[None]:
    """Our settings over matplotlib's defaults within the block; the caller's are restored after it."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        yield


@contextmanager
def canvas(width: float, height: float) -> Iterator[Figure]:
    """A new figure in our style, its size in inches."""
    with house_style():
        yield Figure(figsize=(width, height))


@contextmanager
def headed(height: float, title: str, subtitle: str) -> Iterator[Figure]:
    """The same, 14 inches wide, with its heading."""
    with canvas(14, height) as figure:
        head(figure, title, subtitle)
        yield figure


def inches(figure: Figure, left: float, bottom: float, width: float, height: float, title: str = "") -> Axes:
    """New axes, positioned in inches from the lower left corner, with a bold title."""
    across, up = figure.get_size_inches()
    axes = figure.add_axes((left / across, bottom / up, width / across, height / up))
    axes.set_title(title, weight="bold")
    return axes


def head(figure: Figure, title: str, subtitle: str) -> None:
    """A title that states the finding, and a smaller line that states the conditions."""
    height = figure.get_figheight()
    lines = textwrap.wrap(title, int(7.6 * figure.get_figwidth()))
    for number, line in enumerate(lines):
        figure.text(0.02, 1 - (0.38 + 0.32 * number) / height, line, size=16, weight="bold", va="center")
    figure.text(0.02, 1 - (0.38 + 0.32 * len(lines)) / height, subtitle, size=12, color=GREY, va="center")


def described(figure: Figure, sentence: str) -> Figure:
    """The figure, with its alternative text: one sentence that says what is seen, with its data's numbers."""
    figure.set_label(sentence)
    return figure


LOAD_LABELS: dict[Model, str] = {
    "closed": "simulated users (logarithmic)",
    "open": "visits a second (logarithmic)",
}


def load_axis(axes: Axes, loads: Iterable[float], model: Model) -> None:
    """A logarithmic x axis with a tick at each load tried, and no other; at 1 if there is none."""
    number_axis(axes, loads, LOAD_LABELS[model])


def number_axis(axes: Axes, numbers: Iterable[float], label: str) -> None:
    """A logarithmic x axis with a tick at each of these numbers, and no other."""
    ticks = sorted(set(numbers)) or [1.0]
    axes.set_xscale("log")
    padding = max(1.15, (ticks[-1] / ticks[0]) ** 0.05)
    axes.set_xlim(ticks[0] / padding, ticks[-1] * padding)
    shown = legible(ticks, inches_wide=axes.bbox.width / axes.figure.dpi)
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    labels = FuncFormatter(lambda x, _: next((f"{n:g}" for n in shown if math.isclose(x, n)), ""))
    axes.xaxis.set_major_formatter(labels)
    axes.set_xlabel(label)


def legible(numbers: Sequence[float], inches_wide: float) -> list[float]:
    """Those numbers that fit on a logarithmic axis without touching, chosen from the largest down."""
    ordered = sorted(numbers, reverse=True)
    across = math.log(max(2.0, ordered[0] / ordered[-1]))
    shown = ordered[:1]
    for number in ordered[1:]:
        wide = 0.05 + 0.048 * (len(f"{number:g}") + len(f"{shown[-1]:g}"))
        if math.log(shown[-1] / number) >= wide * across / inches_wide:
            shown.append(number)
    return shown


def latency_axis(axes: Axes, axis: Axis, values: Sequence[float]) -> None:
    """A logarithmic axis that covers `values` (ms), labelled "10 ms", "100 ms", "1 s"."""
    low = min([8.0, *(value / 2 for value in values if value > 0)])
    high = max([12_000.0, *(value * 3 for value in values)])
    if axis is axes.xaxis:
        axes.set_xscale("log")
        axes.set_xlim(low, high)
    else:
        axes.set_yscale("log")
        axes.set_ylim(low, high)
    axis.set_major_locator(FixedLocator([ms for ms in DECADES_MS if low <= ms <= high]))
    axis.set_major_formatter(FuncFormatter(lambda ms, _: duration(ms).replace(".0", "")))
    axis.set_minor_locator(NullLocator())


def share_axis(axes: Axes) -> None:
    """A y axis for a share, from 0 to 100 %."""
    axes.set_ylim(-0.03, 1.03)
    axes.yaxis.set_major_locator(FixedLocator([fifths / 5 for fifths in range(6)]))
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, symbol=" %"))


def seconds_axis(axes: Axes, end: float, window: tuple[float, float]) -> None:
    """An x axis for the time within a step; uncounted time is grey."""
    axes.set_xlim(0, end)
    even_ticks(axes.xaxis, 6)
    axes.set_xlabel("seconds since the start (grey: not counted)")
    for start, stop in ((0.0, window[0]), (window[1], end)):
        if stop > start:
            axes.axvspan(start, stop, color="#f0f0f0", lw=0, zorder=0)


def even_ticks(axis: Axis, most: int = 5, integer: bool = False) -> None:
    """About `most` round ticks on a linear axis whose limits are set, all within the limits."""
    low, high = sorted(axis.get_view_interval())
    ticks = MaxNLocator(most, integer=integer).tick_values(low, high)
    axis.set_major_locator(FixedLocator([tick for tick in ticks if low <= tick <= high]))


def room_below(axes: Axes, share: float) -> None:
    """Extend the y axis downwards so that `share` of its height is free at the bottom."""
    scale = axes.yaxis.get_transform()
    low, high = scale.transform(axes.get_ylim())
    axes.set_ylim(*scale.inverted().transform([high - (high - low) / (1 - share), high]))


def rule_line(axes: Axes, rule_ms: float) -> "EndLabel":
    """Draw the line of the rule, and return the label for its end."""
    axes.axhline(rule_ms, color="black", lw=1.4, zorder=1.5)
    return EndLabel(axes.get_xlim()[1], rule_ms, f"{duration(rule_ms)}: the rule", "black")


def mark_load(axes: Axes, x: float, text: str, colour: str, place: int = 0) -> None:
    """A dashed vertical line at a load, its text at the top beside it, `place` text lines down."""
    axes.axvline(x, color=colour, lw=1.4, ls=(0, (5, 4)), zorder=1.4, gid="load")
    across, _ = (axes.transData - axes.transAxes).transform((x, axes.get_ylim()[1]))
    side, shift = ("left", 6) if across < 0.5 else ("right", -6)
    down = 4 + LINE_HEIGHT * place
    style: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points", "size": 11}
    axes.annotate(text, (across, 1), xytext=(shift, -down), ha=side, va="top", color=colour, **style)


def arrow_up(axes: Axes, x: float, y: float, colour: str) -> None:
    """Mark a point as a lower bound: the true value is there or above."""
    arrow = {"arrowstyle": "<|-", "shrinkA": 0, "shrinkB": 0, "mutation_scale": 14, "lw": 1.6}
    axes.annotate(
        "", xy=(x, y), xytext=(0, 19), textcoords="offset points", arrowprops={**arrow, "color": colour}
    )


@dataclass(frozen=True)
class EndLabel:
    """A text to the right of the axes, for a line that ends at (x, y) in data coordinates."""

    x: float
    y: float
    text: str
    colour: str


def label_ends(axes: Axes, labels: Sequence[EndLabel]) -> None:
    """Write labels to the right of the axes, as close to their line ends as possible without overlap."""
    to_fraction = axes.transData - axes.transAxes
    ends = [to_fraction.transform((label.x, label.y)) for label in labels]
    inch_x, inch_y = axes.figure.dpi / axes.bbox.width, axes.figure.dpi / axes.bbox.height
    places = spread([y for _, y in ends], LINE_HEIGHT / 72 * inch_y)
    for label, (x, y), place in zip(labels, ends, places, strict=True):
        leader: dict[str, Any] = {"color": label.colour, "lw": 0.8, "alpha": 0.6, "clip_on": False}
        axes.plot([x, 1, 1 + 0.14 * inch_x], [y, y, place], transform=axes.transAxes, **leader)
        style: dict[str, Any] = {"color": label.colour, "size": 11, "va": "center_baseline"}
        axes.text(1 + 0.19 * inch_x, place, label.text, transform=axes.transAxes, **style)


def spread(wanted: Sequence[float], gap: float, low: float = 0.0, high: float = 1.0) -> list[float]:
    """The places nearest to `wanted` (least squares), at least `gap` apart, in [low, high] if they fit.

    With `gap` subtracted for each label below it, no place may lie below its lower neighbour's: isotonic
    regression, solved by pooling adjacent violators.
    """
    order = sorted(range(len(wanted)), key=wanted.__getitem__)
    blocks: list[list[float]] = []
    for below, index in enumerate(order):
        blocks.append([wanted[index] - below * gap])
        while len(blocks) > 1 and fmean(blocks[-2]) >= fmean(blocks[-1]):
            blocks[-2:] = [blocks[-2] + blocks[-1]]
    bases = [fmean(block) for block in blocks for _ in block]
    top = max(low, high - (len(wanted) - 1) * gap)
    places = [0.0] * len(wanted)
    for below, (index, base) in enumerate(zip(order, bases, strict=True)):
        places[index] = min(max(base, low), top) + below * gap
    return places
