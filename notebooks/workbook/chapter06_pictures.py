"""The picture of chapter 6."""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from loadtests.report.chartparts import COLOURS, GREY, canvas, described, even_ticks, head, inches

TALL, STEP_DOWN = 1.2, 0.11  # of the axis, and between the commands' names, in shares of the most feeds
COMMAND_LETTERS = 20  # letters of a command

Act = Mapping[str, Any]  # what Monday.act() returns


def pending_figure(acts: Sequence[Act], rates: Mapping[str, float]) -> Figure:
    """Feeds that are being fetched, against time; without the time between acts, in which nothing happens.

    `rates`: feeds a second after each command of the first act, by who fetched them.
    """
    most, left = acts[0]["before"], acts[-1]["left"]
    starts = [0.0, *accumulate(act["seconds"] for act in acts)]
    with canvas(11, 4.6) as figure:
        waiting = f"{left} of {most} feeds wait for something else than a worker"
        head(
            figure,
            waiting if left else "All feeds are there",
            "feeds that are being fetched; dashed: a command",
        )
        axes = inches(figure, 0.7, 0.75, 9.9, 2.9)
        axes.set_xlim(0, 1.02 * starts[-1] + 2.5)
        axes.set_ylim(0, TALL * most)
        for act, start in zip(acts, starts, strict=False):
            _draw(axes, act, start, most)
        ends = [*(step["given"] for step in acts[0]["steps"][1:]), acts[0]["seconds"]]
        for step, end, (who, rate) in zip(acts[0]["steps"], ends, rates.items(), strict=True):
            middle = (step["ended"] + end) / 2
            there = most - sum(moment < middle for moment in acts[0]["came"])
            text = f"{who}:\n{rate:.1f} a second"
            axes.text(middle - 0.3, there - 3, text, color=COLOURS["queued"], size=11, ha="right", va="top")
        even_ticks(axes.yaxis, 6, integer=True)
        even_ticks(axes.xaxis, 10, integer=True)
        left_out = ", without the pause before retry" if acts[1:] else ""
        axes.set_xlabel(f"seconds since the first command{left_out}")
    return described(figure, _told(acts, rates))


def _draw(axes: Axes, act: Act, start: float, most: int) -> None:
    """An act's feeds, and its commands."""
    moments = [start, *(start + moment for moment in act["came"]), start + act["seconds"]]
    counts = [*(act["before"] - n for n in range(len(act["came"]) + 1)), act["left"]]
    axes.plot(moments, counts, color=COLOURS["queued"], lw=2.4, drawstyle="steps-post")
    for place, step in enumerate(act["steps"]):
        given, command = start + step["given"], step["command"]
        axes.axvline(given, color=GREY, lw=1.4, ls=(0, (5, 4)))
        shown = command if len(command) <= COMMAND_LETTERS else f"{command.partition(' ')[0]} ..."
        style: dict[str, Any] = {"size": 11, "va": "center", "color": GREY}
        style["bbox"] = {"facecolor": "white", "edgecolor": "none", "pad": 1}
        axes.text(given + 0.1, (TALL - 0.06 - STEP_DOWN * place) * most, shown, **style)


def _told(acts: Sequence[Act], rates: Mapping[str, float]) -> str:
    first, *then = acts
    falls = " and ".join(f"{rate:.1f} a second with {who}" for who, rate in rates.items())
    said = f"The number of feeds being fetched falls from {first['before']} to {first['left']}, by {falls}"
    for act in then:
        commands = ", ".join(step["command"] for step in act["steps"])
        said += f"; then to {act['left']} in {act['seconds']:.1f} seconds, after {commands}"
    return f"{said}."
