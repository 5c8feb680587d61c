"""The output of the queue's benchmark: a table for the terminal, and a chart."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from loadtests.queuebench.stats import COMPARE, Answer, Other, Result, Spread, answers
from loadtests.report.chartparts import COLOURS, GREY, head, house_style, inches
from loadtests.servers.databases import DATABASE_NAMES

DATABASES = {**DATABASE_NAMES, "": "Either database"}
SYSTEM_NAMES = {
    "plain": "plain driver",
    "plain-autocommit": "plain driver, autocommit",
    "plain-50": "plain driver, 50 at a time",
    "plain-500": "plain driver, 500 at a time",
    "imports": "SQLAlchemy and the driver",
    "pool": "a pool of threads",
    "huey": "Huey, fsync",
    "huey-nofsync": "Huey, no fsync",
    "procrastinate": "Procrastinate",
    "pgqueuer": "PgQueuer",
}
TARGET_LINE = "{:29} {:>9} {:>9} {:>6} {:>12} {:>6} {:>3}"
MET: dict[Answer | None, str] = {None: "", "met": "yes", "missed": "NO", "undecided": "?"}
JOBS_PER_S = "jobs/s"
# The palette's two that are safe for colour-blind readers.
OUR_COLOUR, PEER_COLOUR = COLOURS["queued"], COLOURS["sync"]


def target_table(results: Sequence[Result]) -> str:
    """All lines as text, by database, 80 columns wide."""
    lines = [
        "Medians of rounds, in jobs a second unless a unit is given. Ratio: jobqueue's",
        "figure over the other's. Its 95 % interval decides; ?: the target lies within.",
    ]
    for database, name in DATABASES.items():
        mine = [each for each in results if each.database == database]
        if not mine:
            continue
        lines += ["", TARGET_LINE.format(name, "jobqueue", "other", "ratio", "interval", "target", "met")]
        lines.append("-" * 80)
        for each in mine:
            lines += _rows(each)
    return "\n".join(line.rstrip() for line in lines)


def _rows(line: Result) -> list[str]:
    unit = "" if line.unit == JOBS_PER_S else f", {line.unit}"
    return [
        TARGET_LINE.format(line.title + unit, number(line.figure.value), "", "", "", "", ""),
        *(
            TARGET_LINE.format(
                f"  {SYSTEM_NAMES.get(other.name, other.name)}",
                *("", number(other.figure.value), f"{other.ratio.value:.2f}", _interval(other.ratio)),
                *(_target(other), MET[other.answer]),
            )
            for other in line.others
        ),
    ]


def _interval(ratio: Spread) -> str:
    return "" if ratio.interval is None else "{:.2f} to {:.2f}".format(*ratio.interval)


def _target(other: Other) -> str:
    return "" if other.target is None else f"{COMPARE[other.target.rule]} {other.target.limit:g}"


def number(value: float) -> str:
    """Three digits or more: "81,200", "450", "3.21", "0.184"."""
    if value >= 100:
        return f"{value:,.0f}"
    if value >= 10:
        return f"{value:.1f}".removesuffix(".0")
    return f"{value:.2f}" if value >= 1 else f"{value:.3f}".rstrip("0").rstrip(".")


def chart(results: Sequence[Result], subtitle: str) -> Figure | None:
    """Every line that is a rate, as bars: jobqueue, the plain drivers, the peers. None if there is none.

    A column for each database, a row for each kind of work. Each panel has its own scale, so each bar is
    labelled with its value. The thin line runs from the lowest round to the highest; the dashed one is the
    target.
    """
    panels = _panels([each for each in results if each.unit == JOBS_PER_S])
    if not panels:
        return None
    databases = [name for name in DATABASES if any(name in row for row in panels.values())]
    heights = {title: max(map(_height, row.values())) for title, row in panels.items()}
    full = sum(heights.values()) + 0.75 * len(heights) + 1.0
    with house_style():
        figure = Figure(figsize=(max(7.2 * len(databases), 10), full))
        head(figure, f"jobqueue beside plain drivers and other queues: {finding(results)}", subtitle)
        top = full - 1.0
        for title, row in panels.items():
            for column, database in enumerate(databases):
                if line := row.get(database):
                    left, bottom = 2.6 + 7.2 * column, top - 0.4 - _height(line)
                    axes = inches(figure, left, bottom, 4.2, _height(line))
                    axes.set_title(f"{DATABASES[database]}: {title}", weight="bold")
                    _bars(axes, line)
            top -= heights[title] + 0.75
    return figure


def _height(line: Result) -> float:
    """The height of a panel, in inches."""
    return 0.28 * (1 + len(line.others))


def _panels(results: Sequence[Result]) -> dict[str, dict[str, Result]]:
    """The lines by title, and then by database."""
    panels: dict[str, dict[str, Result]] = {}
    for line in results:
        panels.setdefault(line.title, {})[line.database] = line
    return panels


def finding(results: Sequence[Result]) -> str:
    """How many targets are met, missed and undecided, in a sentence without its full stop."""
    given = answers(results)
    counts = [f"{given.count(kind)} {kind}" for kind in ("missed", "undecided") if kind in given]
    return ", ".join([f"{given.count('met')} of {len(given)} targets met", *counts])


def _bars(axes: Axes, line: Result) -> None:
    figures = {"jobqueue": line.figure} | {other.name: other.figure for other in line.others}
    places = range(len(figures))
    values = [figure.value for figure in figures.values()]
    axes.barh(places, values, height=0.72, color=[_colour(name) for name in figures])
    for place, figure in zip(places, figures.values(), strict=True):
        axes.plot([figure.low, figure.high], [place, place], color="black", lw=1.2)
        end = max(figure.value, figure.high)
        style: dict[str, Any] = {
            "va": "center",
            "size": 11,
            "bbox": {"color": "white", "pad": 1, "alpha": 0.8},
        }
        axes.annotate(number(figure.value), (end, place), (5, 0), textcoords="offset points", **style)
    most = max(figure.high for figure in figures.values())
    for limit in _limits(line).values():
        axes.axvline(limit, color="black", lw=1.4, ls=(0, (3, 2)))
        most = max(most, limit)
    axes.set_xlim(0, most * 1.2)
    axes.set_ylim(len(figures) - 0.5, -0.5)
    axes.set_yticks(places, [SYSTEM_NAMES.get(name, name) for name in figures])
    axes.set_xticks([])
    axes.grid(visible=False)
    axes.spines["bottom"].set_visible(False)


def _limits(line: Result) -> Mapping[str, float]:
    """The targets for jobqueue's bar, in jobs a second. Being ahead of a peer needs no line."""
    return {
        other.name: other.target.limit * other.figure.value
        for other in line.others
        if other.target and other.target.rule == "at least"
    }


def _colour(name: str) -> str:
    if name in ("jobqueue", "two workers", "one worker", "run(), one at a time") or name.endswith("waiting"):
        return OUR_COLOUR
    return GREY if name.startswith("plain") else PEER_COLOUR
