"""The pictures of chapter 8."""

import signal
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from loadtests.report.chartparts import (
    COLOURS,
    GREY,
    EndLabel,
    described,
    even_ticks,
    house_style,
    inches,
    label_ends,
)
from workbook.chapter08_lab import BEFORE_THE_KILL
from workbook.words import in_words

ONCE, TWICE = COLOURS["queued"], COLOURS["sync"]


def kill_figure(story: Mapping[str, Any]) -> Figure:
    """Two workers before and after one gets a signal: attempts, heartbeats, and the silence between."""
    lease, number = story["lease"], signal.Signals[story["signal"]]
    silent = number in (signal.SIGKILL, signal.SIGSTOP)  # the worker can't give its job back
    first, again = story["attempts"][0], story["attempts"][1]
    end = max(again["ended"], 1.05 * lease) + 0.25
    last_beat = max(at for letter, at in story["beats"] if at <= 0)
    with house_style():
        figure = Figure(figsize=(11, 3.9))
        axes = inches(figure, 1.2, 0.7, 9.4, 2.6)
        axes.set_title(f"One worker gets {number.name}, and another one takes over its job", weight="bold")
        axes.set_xlim(-BEFORE_THE_KILL, end)
        even_ticks(axes.xaxis, 7)
        axes.set_ylim(-0.75, 1.75)
        if silent:
            _silence(axes, last_beat, lease)
        start = max(-BEFORE_THE_KILL, first["begun"])
        axes.barh(1, -start, left=start, height=0.5, color=TWICE, alpha=0.45)
        axes.barh(0, again["ended"] - again["begun"], left=again["begun"], height=0.5, color=ONCE, alpha=0.45)
        for letter, at in story["beats"]:
            if at >= -BEFORE_THE_KILL:
                row = 1 if letter == first["worker"] else 0
                axes.plot([at, at], [row - 0.25, row + 0.25], color=(ONCE, TWICE)[row], lw=1.8)
        marker = r"$\mathbf{\parallel}$" if number == signal.SIGSTOP else "X"
        axes.plot([0], [1], marker=marker, ms=15, color="black", zorder=3)
        axes.text(0.02 * end, 1.38, f"kill -{number:d}", size=11, weight="bold", va="center")
        axes.text(start, 0.62, " attempt 1", color=TWICE, size=11, va="center")
        said = "attempt 2: a second mail" if silent else "attempt 1 again: a second mail"
        axes.text(again["ended"], -0.42, said, color=ONCE, size=11, ha="right", va="center")
        axes.set_yticks((1, 0), [f"worker {first['worker']}", f"worker {again['worker']}"])
        axes.grid(axis="y", visible=False)
        axes.set_xlabel("seconds since the signal (each vertical line: a heartbeat)")
    return described(
        figure,
        f"Worker {first['worker']} gets {number.name} during its job; {again['begun']:.1f} s later worker"
        f" {again['worker']} begins that job again, with a lease of {lease:g} s.",
    )


def _silence(axes: Axes, last_beat: float, lease: float) -> None:
    axes.axvspan(0.8 * lease, lease, color="#e8eef3", lw=0, zorder=0)
    axes.text(0.9 * lease, 1.62, "0.8 to 1.0 leases", color=GREY, size=11, ha="center", va="center")
    abandoned = last_beat + 0.9 * lease
    arrow = {"arrowstyle": "<->", "color": GREY, "lw": 1.4, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", (abandoned, 0.55), (last_beat, 0.55), arrowprops=arrow)
    said = "silent for 0.9 leases: counts as abandoned "
    axes.text(abandoned, 0.66, said, color=GREY, size=11, ha="right", va="bottom")


def leases_figure(found: Sequence[Mapping[str, float]]) -> Figure:
    """How long a killed worker's job waits, against the lease: measured, and the range in theory."""
    with house_style():
        figure = Figure(figsize=(9.5, 4.6))
        axes = inches(figure, 0.9, 0.75, 5.6, 3.3)
        most = 1.15 * max(each["lease"] for each in found)
        axes.set_title("From kill -9 until the job runs again", weight="bold")
        axes.set_xlim(0, most)
        axes.set_ylim(0, 1.05 * most)
        axes.fill_between([0, most], [0, 0.8 * most], [0, most], color=GREY, alpha=0.2, lw=0)
        axes.plot([each["lease"] for each in found], [each["again"] for each in found], "o", color=ONCE, ms=9)
        axes.set_xlabel("the lease, in seconds")
        axes.set_ylabel("seconds until attempt 2")
        end = found[-1]
        label_ends(
            axes,
            [
                EndLabel(most, 0.9 * most, "theory: 0.8 to 1.0 leases", GREY),
                EndLabel(end["lease"], end["again"], "measured, one kill each", ONCE),
            ],
        )
    told = ", ".join(f"{each['again']:.2g} s with a lease of {each['lease']:g} s" for each in found)
    return described(figure, f"From kill -9 until the job runs again: {told}; theory: 0.8 to 1.0 leases.")


def effects_figure(found: Sequence[Mapping[str, Any]]) -> Figure:
    """How often the effect is there in the end, for each kind of job and moment of death."""
    rows = {"mail": "a mail:\nperform(self)", "payment": "a payment:\nperform(self, session)"}
    columns = {"dies before": "it died before the effect", "dies after": "it died after it"}
    with house_style():
        figure = Figure(figsize=(9, 3.3))
        axes = inches(figure, 2.4, 0.2, 5.8, 2.4)
        axes.set_xlim(-0.5, 1.5)
        axes.set_ylim(1.5, -0.5)
        for each in found:
            x, y = list(columns).index(each["first"]), list(rows).index(each["kind"])
            colour = ONCE if each["effects"] == 1 else TWICE
            axes.barh(y, 0.94, left=x - 0.47, height=0.9, color=colour, alpha=0.22)
            said = {0: "never", 1: "once", 2: "twice"}.get(each["effects"], f"{each['effects']} times")
            axes.text(x, y, said, size=17, weight="bold", ha="center", va="center")
        axes.set_yticks(range(2), list(rows.values()))
        axes.set_xticks(range(2), list(columns.values()))
        axes.xaxis.tick_top()
        axes.tick_params(length=0)
        axes.grid(visible=False)
        for side in axes.spines.values():
            side.set_visible(False)
        title = "Its first worker died; how often is the effect there in the end?"
        figure.text(0.02, 0.95, title, size=13, weight="bold", va="center")
    told = [f"a {each['kind']}, the worker {each['first']}: {each['effects']}" for each in found]
    return described(figure, f"How many times the effect is there in the end. {'; '.join(told)}.")


SPANS = {60: "a minute", 3600: "an hour", 86_400: "a day", 7 * 86_400: "a week"}


def retries_figure(moments: Sequence[float]) -> Figure:
    """When each attempt began, since the first; and with a fixed pause, as long as the first one."""
    attempts = range(2, len(moments) + 1)
    pause = moments[1]
    fixed = [pause * (attempt - 1) for attempt in attempts]
    with house_style():
        figure = Figure(figsize=(11, 4.8))
        axes = inches(figure, 1.2, 0.75, 6.4, 3.5)
        axes.set_title("A job that always fails: when each attempt begins", weight="bold")
        axes.set_yscale("log")
        axes.set_xlim(1, len(moments) + 0.5)
        axes.set_ylim(4, 5e6)
        axes.set_yticks(list(SPANS), list(SPANS.values()))
        axes.minorticks_off()
        axes.plot(attempts, moments[1:], "o", color=ONCE, ms=7)
        axes.plot(attempts, fixed, "o", color=TWICE, ms=4)
        axes.set_xlabel("attempt")
        axes.set_ylabel("since the first (logarithmic)")
        end = len(moments)
        always = f"always {in_words(pause)}, as at first: {in_words(fixed[-1])}"
        label_ends(
            axes,
            [
                EndLabel(end, moments[-1], f"jobqueue: {moments[-1] / 86_400:.0f} days", ONCE),
                EndLabel(end, fixed[-1], always, TWICE),
            ],
        )
    return described(
        figure,
        f"The second of {end} attempts begins {in_words(pause)} after the first, and the last"
        f" {moments[-1] / 86_400:.0f} days after it; with a pause that is {always}.",
    )
