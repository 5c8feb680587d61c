"""Chapter 13's pictures: the knee of an app, and every request before and after the change."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from loadtests.records.constants import RULE_MS
from loadtests.records.rows import in_window
from loadtests.report.chartparts import (
    COLOURS,
    GREY,
    EndLabel,
    described,
    even_ticks,
    house_style,
    inches,
    label_ends,
    latency_axis,
)
from loadtests.theory import ClosedLoad, knee
from loadtests.wording import duration
from workbook.chapter13 import Loaded, figures, recording_of, rounds, stage_of

BEFORE, AFTER = COLOURS["sync"], COLOURS["queued"]


def knee_figure(
    slots: int, think: float, demand: float, loads: Mapping[int, Loaded], group: str, a_round: float
) -> Figure:
    """Rounds a second against users: both bounds, M/M/c//N, and what was measured, in `loads` by users.

    The times are in seconds; `group` and `a_round` are as in rounds().
    """
    measured = {users: rounds(load, users, group, a_round)[0] for users, load in loads.items()}
    most = round(1.15 * max(measured))
    at, users = knee(demand, slots, think), range(1, most + 1)
    predicted = [ClosedLoad(slots, n, think, demand).throughput for n in users]
    with house_style():
        figure = Figure(figsize=(11, 4.6))
        axes = inches(figure, 0.9, 0.75, 7.4, 3.3, "Rounds a second: asked for, and done")
        axes.set_xlim(0, most)
        axes.set_ylim(0, 1.3 * slots / demand)
        axes.set_xlabel("users")
        even_ticks(axes.xaxis, 8, integer=True)
        top = 1.2 * at
        axes.plot([0, top], [0, top / (demand + think)], color=GREY, lw=1.6, ls=":")
        axes.axhline(slots / demand, color=GREY, lw=1.6, ls=":")
        axes.plot([0, *users], [0, *predicted], color=BEFORE, lw=2, alpha=0.75)
        axes.plot(*zip(*measured.items(), strict=True), "o", color=BEFORE, ms=9)
        axes.axvline(at, color=GREY, lw=1.4, ls=(0, (5, 4)), zorder=1.4)
        axes.text(at + 0.01 * most, 0.04 * slots / demand, f"knee N*: {at:.1f} users", color=GREY, size=11)
        last = max(measured)
        labels = [
            EndLabel(top, top / (demand + think), "users: N / (D + Z)", GREY),
            EndLabel(most, slots / demand, "slots: c / D", GREY),
            EndLabel(most, predicted[-1], "predicted", BEFORE),
            EndLabel(last, measured[last], "measured", BEFORE),
        ]
        label_ends(axes, labels)
    done = " and ".join(f"{rate:.2f} with {users}" for users, rate in measured.items())
    return described(
        figure,
        f"Rounds a second rise with the users up to a knee at {at:.1f} of them, and stay at"
        f" {slots / demand:.2f} beyond it; measured: {done} users.",
    )


def change_figure(before: Loaded, after: Loaded, users: int, groups: Sequence[str]) -> Figure:
    """Each request and visit of these groups as a mark at how long it took, before above and after below."""
    shown = {
        (group, side): (_waits(load, users, group), figures(load, users, group)["p50_ms"] or 0.0)
        for group in groups
        for side, load in (("before", before), ("after", after))
    }
    with house_style():
        figure = Figure(figsize=(11, 0.9 * len(groups) + 2.2))
        title = f"{users} users: how long each took (bar: the median)"
        axes = inches(figure, 1.0, 0.75, 8.2, 0.9 * len(groups) + 0.6)
        axes.set_title(title, weight="bold", pad=26)
        latency_axis(axes, axes.xaxis, [ms for waits, _ in shown.values() for ms in waits])
        axes.set_ylim(len(groups) - 0.4, -0.6)
        axes.set_yticks(range(len(groups)), groups)
        axes.grid(axis="y", visible=False)
        axes.axvline(RULE_MS, color="black", lw=1.4)
        axes.text(RULE_MS, -0.65, f"{duration(RULE_MS)}: the rule", ha="center", va="bottom", size=11)
        right = axes.get_xlim()[1]
        labels = []
        for (group, side), (waits, middle) in shown.items():
            colour, place = (BEFORE, -0.18) if side == "before" else (AFTER, 0.18)
            at = groups.index(group) + place
            axes.plot(waits, [at] * len(waits), "o", color=colour, ms=6, alpha=0.35, mew=0)
            axes.plot([middle], [at], "|", color=colour, ms=20, mew=3)
            labels.append(EndLabel(right, at, f"{side}: {duration(middle)}", colour))
        label_ends(axes, labels)
    said = "; ".join(f"{group} {side} {duration(middle)}" for (group, side), (_, middle) in shown.items())
    return described(figure, f"With {users} users, how long each request took. Medians: {said}.")


def _waits(load: Loaded, users: int, group: str) -> list[float]:
    """Milliseconds; those still open at the end by their wait so far."""
    stage, ended = stage_of(load, users), recording_of(load).ended_s
    counted = in_window(stage.rows, stage.start, stage.end)
    return [row.waited_ms(ended) for row in counted if row.group == group]
