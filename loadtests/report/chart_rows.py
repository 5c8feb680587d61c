"""Figures of single requests: each as a mark against time, and the share still waiting after a given time.

They know nothing of feed readers: they compare named series of rows, the apps of a bench or the groups of any
locustfile.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from loadtests.judging.rule import Ruled
from loadtests.judging.samples import summarise
from loadtests.records.constants import MOST_OVER, RULE_MS
from loadtests.records.rows import Row, in_window
from loadtests.records.steps import App, Step
from loadtests.report.chartparts import (
    COLOURS,
    GREY,
    EndLabel,
    described,
    head,
    headed,
    house_style,
    inches,
    label_ends,
    latency_axis,
    rule_line,
    seconds_axis,
)
from loadtests.wording import SHORT, duration, percent

# For groups that are not apps: as dark, and without yellow, which is invisible on a projector.
MORE_COLOURS = (COLOURS["queued"], COLOURS["sync"], "#007A5A", "#A3478A", "#8A5A00", "#4D4D4D")

PANEL_INCHES, LETTERS_PER_INCH = 3.35, 9  # of a panel over time and its title

# Text in the key, marker, its size, and which rows it marks.
MARKS: tuple[tuple[str, str, int, Callable[[Row], bool]], ...] = (
    ("dot: answered", ".", 40, lambda row: not row.failed and not row.unfinished and not row.dropped),
    ("cross: failed", "x", 40, lambda row: row.failed or row.dropped),
    ("triangle: unanswered at the end, so at least that long", "^", 50, lambda row: row.unfinished),
)


@dataclass(frozen=True)
class Series:
    """Rows drawn in one colour, under one name; `ended` is when their recording ended (seconds)."""

    name: str
    colour: str
    rows: Sequence[Row]
    ended: float
    window: tuple[float, float] = field(default=(0.0, float("inf")))


def app_series(
    rows: Mapping[App, Iterable[Row]], steps: Mapping[App, Step], group: Ruled = "submit"
) -> list[Series]:
    """One group of requests of each app, in one of its steps, as series."""
    return [
        Series(
            SHORT[app],
            COLOURS[app],
            [row for row in each if row.group == group],
            steps[app]["ended_s"],
            (steps[app]["window_s"][0], steps[app]["window_s"][1]),
        )
        for app, each in rows.items()
    ]


def timeline_figure(series: Sequence[Series], title: str, rule_ms: float = RULE_MS) -> Figure:
    """Every request as a mark: when it was meant to begin, how long it took. A panel for each series.

    A triangle was unanswered at the end: it took at least that long. The axis ends with the last request or
    the end of the counted window, whichever is later.
    """
    shown = [row for each in series for row in each.rows]
    key = "    ".join(said for said, _, _, chosen in MARKS if any(map(chosen, shown)))
    waits = [[row.waited_ms(each.ended) for row in each.rows] for each in series]
    with house_style():
        figure = Figure()
        for axes, each, mine in zip(panels(figure, title, key, series), series, waits, strict=True):
            axes.set_xlabel("sent, in seconds since the start (grey: not counted)")
            latency_axis(axes, axes.yaxis, [ms for one in waits for ms in one])
            _marks(axes, each.rows, mine, each.colour)
            label_ends(axes, [rule_line(axes, rule_ms)])
            rest = f": {_counted(each, rule_ms)}"
            most = int(LETTERS_PER_INCH * axes.bbox.width / figure.dpi) - len(rest)
            axes.set_title(shortened(each.name, most) + rest, color=each.colour, weight="bold")
    told = "; ".join(_told(each, rule_ms) for each in series)
    return described(figure, f"A mark for each request. {told}.")


def panels(figure: Figure, title: str, subtitle: str, series: Sequence[Series]) -> Iterator[Axes]:
    """Size and head the figure, and yield a panel over time for each series, one below the other.

    It is narrow, so that its words can be read on a page of text.
    """
    end = max((_last_s(each) for each in series), default=1.0)
    figure.set_size_inches(10, 1.15 + PANEL_INCHES * (len(series) or 1))
    head(figure, title, subtitle)
    for place, each in enumerate(series, 1):
        axes = inches(figure, 0.95, 0.75 + PANEL_INCHES * (len(series) - place), 7.45, PANEL_INCHES - 1.1)
        seconds_axis(axes, end, each.window)
        yield axes


def _counted(series: Series, rule_ms: float) -> str:
    counted = summarise(in_window(series.rows, *series.window), series.ended, rule_ms)
    over = counted["share_over"]
    said = "" if over is None else f", {percent(over)} over {duration(rule_ms)}"
    return f"{counted['count']} counted{said}"


def _told(series: Series, rule_ms: float) -> str:
    """A panel in words."""
    waits = [row.waited_ms(series.ended) for row in in_window(series.rows, *series.window)]
    reach = f", from {duration(min(waits))} to {duration(max(waits))}" if waits else ""
    return f"{series.name}: {_counted(series, rule_ms)}{reach}"


def shortened(name: str, most: int) -> str:
    """`name`, cut to at most `most` letters."""
    return name if len(name) <= most else name[: most - 1] + "…"


def _last_s(series: Series) -> float:
    """When a panel ends: no request was due, and nothing counted, after that."""
    last = max((row.intended_s for row in series.rows), default=0.0)
    counted = min(series.window[1], series.ended)
    return max(last, counted) or 1.0


def _marks(axes: Axes, rows: Sequence[Row], waits: Sequence[float], colour: str) -> None:
    for _, marker, size, chosen in MARKS:
        points = [(row.intended_s, ms) for row, ms in zip(rows, waits, strict=True) if chosen(row)]
        xs, ys = [x for x, _ in points], [y for _, y in points]
        # Rasterized even in an SVG file, which thousands of marks would make too large to send.
        axes.scatter(xs, ys, s=size, c=colour, marker=marker, alpha=0.7, rasterized=True)


def ecdf_figure(
    series: Sequence[Series], title: str, rule_ms: float = RULE_MS, what: str = "POST /feeds"
) -> Figure:
    """The share of requests not yet answered after a time, on two logarithmic axes, which show the tail.

    Only requests in a series' window count. Requests that failed, were dropped, or were unfinished at the end
    count as never answered, so that the tail agrees with the share over the rule.
    """
    subtitle = f"share of {what} not yet answered; what stays level failed, or was unanswered at the end"
    with headed(6, title, subtitle) as figure:
        axes = inches(figure, 0.95, 0.75, 9.3, 4.0)
        found = [not_yet_answered(_decided(each, rule_ms)) for each in series]
        latency_axis(axes, axes.xaxis, [ms for times, _ in found for ms in times])
        axes.set_xlabel("time since the request was meant to begin (logarithmic)")
        least = min([MOST_OVER, *(share for _, shares in found for share in shares if share > 0)])
        axes.set_yscale("log")
        axes.set_ylim(least / 2, 1.2)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{share * 100:g} %"))
        axes.yaxis.set_major_locator(FixedLocator([10.0**-n for n in range(9) if 10.0**-n > least / 2]))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.axvline(rule_ms, color="black", lw=1.4)
        axes.text(rule_ms, 1.3, f"{duration(rule_ms)}: the rule", ha="center", size=11)
        axes.axhline(MOST_OVER, color=GREY, lw=1.4, ls=":")
        left, right = axes.get_xlim()
        labels = [EndLabel(right, MOST_OVER, f"the rule: at most {MOST_OVER * 100:g} %", GREY)]
        for each, (times, shares) in zip(series, found, strict=True):
            axes.step([left, *times, right], [*shares, shares[-1]], where="post", color=each.colour, lw=3)
            over = shares[bisect_right(times, rule_ms)]
            text = f"{shortened(each.name, 16)}: {percent(over)} after {duration(rule_ms)}"
            labels.append(EndLabel(rule_ms, max(over, least / 2), text, each.colour))
        label_ends(axes, labels)
    told = "; ".join(label.text for label in labels[1:])
    return described(figure, f"The share of {what} not yet answered, against time. {told}.")


def _decided(series: Series, rule_ms: float) -> list[Row]:
    """Requests that count, but for those cut off at the end before they had waited as long as the rule."""
    counted = in_window(series.rows, *series.window)
    return [row for row in counted if not row.unfinished or row.waited_ms(series.ended) >= rule_ms]


def not_yet_answered(rows: Sequence[Row]) -> tuple[list[float], list[float]]:
    """Latencies in ms, ascending; and the shares unanswered before the first and after each of them. Failures
    are never answered.
    """
    times = sorted(row.waited_ms(row.done_s) for row in rows if row.done_s is not None and not row.failed)
    return times, [1 - count / max(1, len(rows)) for count in range(len(times) + 1)]
