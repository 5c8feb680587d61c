"""The picture of chapter 10: what short runs say."""

import math
import random
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from loadtests.records.constants import RULE_MS
from loadtests.report.chartparts import (
    COLOURS,
    GREY,
    EndLabel,
    canvas,
    described,
    head,
    inches,
    label_ends,
    number_axis,
    rule_line,
)
from loadtests.wording import duration, percent
from workbook.chapter10 import TRUE_P95_MS

SHOWN_RUNS = 100  # runs of each length
WRONG_COLOUR, RIGHT_COLOUR = COLOURS["sync"], COLOURS["queued"]


def runs_figure(runs: Mapping[int, Sequence[float]]) -> Figure:
    """The p95 of runs of different lengths, a dot each, and what share of them is over the rule."""
    source = random.Random(1)
    with canvas(11, 4.9) as figure:
        head(
            figure,
            "A short run says anything: the p95 of many runs against one server",
            f"{len(next(iter(runs.values())))} simulated runs of each length, {SHOWN_RUNS} of them shown;"
            " orange: it says that the server breaks its promise, which it keeps",
        )
        axes = inches(figure, 0.95, 0.75, 7.6, 3.0)
        number_axis(
            axes, runs, "requests in a run (logarithmic); at the foot: share of the runs that is wrong"
        )
        axes.set_ylim(200, 800)
        wrong = []
        for requests, found in runs.items():
            for p95 in found[:SHOWN_RUNS]:
                colour = WRONG_COLOUR if p95 > RULE_MS else RIGHT_COLOUR
                x = requests * math.exp(source.uniform(-0.12, 0.12))
                axes.plot([x], [p95], "o", ms=4, color=colour, alpha=0.6, mew=0)
            share = percent(sum(p95 > RULE_MS for p95 in found) / len(found))
            axes.text(requests, 216, share, ha="center", size=11)
            wrong.append(f"{share} of those of {requests}")
        axes.axhline(TRUE_P95_MS, color=GREY, lw=1.4, ls=":")
        axes.set_ylabel("p95 of a run, ms")
        right = axes.get_xlim()[1]
        truth = f"{duration(TRUE_P95_MS)}: the truth"
        label_ends(axes, [rule_line(axes, RULE_MS), EndLabel(right, TRUE_P95_MS, truth, GREY)])
    truly = f"The p95 of many runs, which is truly {duration(TRUE_P95_MS)}"
    return described(figure, f"{truly}. Over 500 ms: {', '.join(wrong)} requests.")
