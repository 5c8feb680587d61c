"""The pictures of chapter 4."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from loadtests.report.chartparts import COLOURS, GREY, EndLabel, canvas, described, inches, label_ends
from loadtests.servers.databases import DATABASE_NAMES
from workbook.chapter04 import DoneByWorker, extra, runs

ONCE, TWICE = COLOURS["queued"], COLOURS["sync"]


def runs_figure(races: Mapping[str, DoneByWorker], title: str) -> Figure:
    """How often each job ran: a lane for each way of claiming, a bar for each job."""
    counts = {name: runs(done) for name, done in races.items()}
    most = max(2, *(times for of in counts.values() for times in of.values()))
    height = 1.05 + 1.15 * len(races)
    with canvas(10.5, height) as figure:
        figure.text(0.02, 1 - 0.3 / height, title, size=13, weight="bold", va="center")
        told = []
        for lane, (name, of) in enumerate(counts.items()):
            bottom = 0.7 + 1.15 * (len(races) - 1 - lane)
            axes = inches(figure, 0.75, bottom, 6.6, 0.75)
            axes.bar(
                list(of),
                list(of.values()),
                width=1.0,
                color=[TWICE if times > 1 else ONCE for times in of.values()],
            )
            axes.set_xlim(0, len(of) + 1)
            axes.set_ylim(0, most)
            axes.set_yticks(range(most + 1) if most < 6 else (0, 1, most))
            axes.set_ylabel("runs")
            if lane < len(races) - 1:
                axes.set_xticklabels([])
            else:
                axes.set_xlabel("job, by its number")
            many = sum(times > 1 for times in of.values())
            said = (
                f"{extra(races[name])} runs too many, of {many} jobs" if many else f"all {len(of)} ran once"
            )
            style: dict[str, Any] = {
                "transform": axes.transAxes,
                "color": TWICE if many else ONCE,
                "size": 11,
            }
            axes.text(1.02, 0.62, name, va="center", **{**style, "weight": "bold"})
            axes.text(1.02, 0.25, said, va="center", **style)
            told.append(f"{name}: {said}")
    return described(figure, f"{title}. {'; '.join(told)}.")


def overlap_figure(found: Sequence[Mapping[str, Any]], hold: float) -> Figure:
    """How long B waits while A's claim is not committed, and what B gets."""
    rows = len(found)
    with canvas(11.5, 1.55 + 0.55 * rows) as figure:
        axes = inches(figure, 3.1, 0.75, 4.6, 0.55 * rows)
        axes.set_title(
            f"A has claimed job 1, and commits after {1000 * hold:.0f} ms. B asks for a job at 0 ms.",
            weight="bold",
            x=-0.62,
        )
        axes.set_xlim(0, 1000 * 1.25 * max(hold, *(each["waited"] for each in found)))
        axes.set_ylim(rows - 0.4, -0.6)
        axes.axvline(1000 * hold, color=GREY, lw=1.2, ls=(0, (5, 4)))
        axes.text(1000 * hold, -0.4, " A commits", color=GREY, size=11, va="center")
        labels = []
        for row, each in enumerate(found):
            said, colour = _outcome(each)
            wait = 1000 * each["waited"]
            axes.barh(row, wait, height=0.36, color=colour, alpha=0.35)
            axes.plot([wait], [row], marker="o", ms=9, color=colour)
            labels.append(EndLabel(wait, row, said, colour))
        axes.set_yticks(
            range(rows), [f"{DATABASE_NAMES[each['database']]}: {each['claim']}" for each in found]
        )
        axes.set_xlabel("ms that B waits for its claim")
        axes.grid(axis="y", visible=False)
        label_ends(axes, labels)
    told = [
        f"{DATABASE_NAMES[each['database']]}, {each['claim']}: after {label.x:.0f} ms {label.text}"
        for each, label in zip(found, labels, strict=True)
    ]
    return described(figure, f"A commits after {1000 * hold:.0f} ms. {'; '.join(told)}.")


def _outcome(each: Mapping[str, Any]) -> tuple[str, str]:
    if each["B"] == each["A"]:
        return f"B has job {each['B']}, too", TWICE
    if each["B"] is None:
        return "B has nothing, though two jobs wait", GREY
    return f"B has job {each['B']}", ONCE
