"""Chapter 3's simulations and their pictures: one mean with different tails, and different deadlines."""

import math
from collections.abc import Mapping, Sequence
from functools import cache
from statistics import fmean

from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator, PercentFormatter

from loadtests.feedserver.kinds import DEFAULT_MIX, delay_of, kind_of
from loadtests.judging.samples import nearest_rank
from loadtests.predicting.simulation import (
    Draw,
    Period,
    Simulated,
    exponential,
    feed_service,
    simulate_closed,
)
from loadtests.predicting.workload import Workload, submitters_among
from loadtests.records.constants import RULE_MS, SUBMITTERS
from loadtests.report.chart_rows import MORE_COLOURS
from loadtests.report.chartparts import (
    COLOURS,
    GREY,
    EndLabel,
    canvas,
    described,
    inches,
    label_ends,
    latency_axis,
    number_axis,
    rule_line,
    share_axis,
)
from loadtests.theory import ClosedLoad
from loadtests.wording import duration, percent
from workbook.exercises import is_number
from workbook.session import WorkbookError
from workbook.words import in_words

OWN = 0.02  # seconds that the reader's own code takes for POST /feeds
TINY = 1e-4  # seconds that a page holds a slot in the simulations, which are about waiting for one
LONG = Period(warmup=30, measure=300, requests=40_000)

# ---- the same mean, and other tails


def same_mean(share: float, deadline: float, slots: int, users: int, think: float) -> dict[str, Simulated]:
    """Simulate three distributions of feed times with the same mean; in the last, `share` of them hang.

    The rest of the last ones come at once, and take only the reader's own time.
    """
    mean = OWN + share * deadline
    ways: dict[str, Draw] = {
        "all alike": lambda source: mean,
        "exponential": exponential(mean),
        "a few hang": lambda source: OWN + (deadline if source.random() < share else 0.0),
    }
    return {name: waits_of(post, mean, slots, users, think) for name, post in ways.items()}


def waits_of(post: Draw, mean: float, slots: int, users: int, think: float) -> Simulated:
    """Simulate visitors whose POST /feeds holds a slot for a time drawn by `post`, of mean `mean`."""
    work = Workload(think=think, submitters=SUBMITTERS, submit=mean, page=TINY, browse=TINY)
    return simulate_closed(work, slots, users, LONG, {"submit": post})


def formula_for(mean: float, slots: int, users: int, think: float) -> ClosedLoad:
    """M/M/c//N for the visitors who submit.

    The page after each POST waits in the same line, so that wait is added to the think time.
    """
    submitters = submitters_among(users, SUBMITTERS)
    load = ClosedLoad(slots, submitters, think, mean)
    for _ in range(20):  # it hardly changes after three rounds
        load = ClosedLoad(slots, submitters, think + load.wait, mean)
    return load


def waits_figure(
    simulated: Mapping[str, Simulated], demand: float, slots: int, users: int, think: float
) -> Figure:
    """The share of submits still waiting for a slot, against time, for each distribution; and the formula."""
    formula = formula_for(demand, slots, users, think)
    colours = dict(zip(simulated, (MORE_COLOURS[2], COLOURS["queued"], COLOURS["sync"]), strict=True))
    with canvas(11, 5.6) as figure:
        axes = inches(figure, 0.9, 0.75, 7.1, 3.9)
        latency_axis(axes, axes.xaxis, [1000 * max(max(each.waits) for each in simulated.values())])
        axes.set_xlabel("time since they came")
        axes.set_ylabel("still waiting for a slot")
        axes.set_yscale("log")
        axes.set_ylim(0.001, 1.3)
        axes.set_yticks([0.001, 0.01, 0.1, 1], ["0.1 %", "1 %", "10 %", "100 %"])
        axes.yaxis.set_minor_locator(NullLocator())
        axes.axvline(RULE_MS, color="black", lw=1.4)
        axes.text(RULE_MS, 1.4, "500 ms: the rule", ha="center", va="bottom", size=11)
        labels = []
        for name, each in simulated.items():
            waits = sorted(1000 * wait for wait in each.waits)
            shares = [1 - place / len(waits) for place in range(len(waits))]
            axes.plot(waits, shares, color=colours[name], lw=2.6)
            over = sum(wait > RULE_MS for wait in waits) / len(waits)
            labels.append(
                EndLabel(RULE_MS, max(over, 0.001), f"{name}: {percent(over)} over 500 ms", colours[name])
            )
        left, right = axes.get_xlim()
        times = [left * (right / left) ** (step / 60) for step in range(61)]
        axes.plot(times, [formula.share_waiting_over(ms / 1000) for ms in times], ls=":", lw=3, color="black")
        over = formula.share_waiting_over(RULE_MS / 1000)
        said = f"M/M/c//N: {percent(over)} over 500 ms"
        labels.append(EndLabel(RULE_MS, max(over, 0.001), said, "black"))
        label_ends(axes, labels)
        axes.set_title(
            "Share of submits that still wait for a slot (simulated; both axes logarithmic)",
            weight="bold",
            pad=26,
        )
    told = "; ".join(label.text for label in labels)
    return described(figure, f"The share of submits that still wait for a slot, against time. {told}.")


def row_of(waits: Sequence[float]) -> str:
    """The mean and the percentiles of these times, in words."""
    said = [f"mean {in_words(fmean(waits)):>7}"]
    return "   ".join(said + [f"p{n} {in_words(nearest_rank(waits, n)):>7}" for n in (50, 95, 99)])


def print_feeds(mixes: Sequence[Mapping[str, float]], deadline: float) -> None:
    """Print mean and percentiles of how long feeds take, without a wait for a slot; a line for each mix."""
    for mix in mixes:
        delays = [min(deadline, delay_of(kind_of(n, mix), n)) for n in range(10_000)]
        print(f"{mix.get('hang', 0)} of 100 hang: {row_of(delays)}")


# ---- what a deadline costs


@cache
def _delays() -> tuple[float, ...]:
    return tuple(delay_of(kind_of(n), n) for n in range(5000))


@cache
def with_deadline(seconds: float, slots: int = 8, users: int = 40, think: float = 1.0) -> dict[str, float]:
    """Simulate chapter 1's visitors and feeds with another deadline.

    `demand`: mean time in a slot; `wait_p95`: of the wait for one (both in seconds); `given_up`: the share
    of feeds that would have come, but after the deadline. Raises WorkbookError for no deadline.
    """
    if not is_number(seconds) or seconds <= 0:
        raise WorkbookError(f"A deadline is a number of seconds above 0, such as 4.0; not {seconds!r}.")
    demand = OWN + fmean(min(delay, seconds) for delay in _delays())
    post = feed_service(DEFAULT_MIX, seconds, demand)
    waits = waits_of(post, demand, slots, users, think).waits
    late = sum(seconds < delay < math.inf for delay in _delays())
    return {
        "demand": demand,
        "wait_p95": nearest_rank(waits, 95),
        "given_up": late / len(_delays()),
    }


def deadlines_figure(deadlines: Sequence[float]) -> Figure:
    """Against the deadline: how long everybody waits for a slot, and how many good feeds are given up."""
    found = [with_deadline(seconds) for seconds in deadlines]
    with canvas(12, 4.4) as figure:
        waits = inches(figure, 0.9, 0.75, 3.9, 2.95)
        waits.set_title("All visitors: wait for a slot, p95 (simulated)", weight="bold")
        heights = [1000 * each["wait_p95"] for each in found]
        latency_axis(waits, waits.yaxis, heights)
        number_axis(waits, deadlines, "deadline of a fetch, in seconds")
        waits.plot(deadlines, heights, "o-", color=COLOURS["sync"], lw=2.4, ms=7)
        said = EndLabel(deadlines[-1], heights[-1], duration(heights[-1]), COLOURS["sync"])
        label_ends(waits, [rule_line(waits, RULE_MS), said])
        lost = inches(figure, 7.3, 0.75, 3.7, 2.95)
        lost.set_title("Good feeds given up, of all feeds", weight="bold")
        share_axis(lost)
        lost.set_ylim(-0.006, 0.25)
        lost.set_yticks([0, 0.05, 0.1, 0.15, 0.2])
        lost.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0, symbol=" %"))
        number_axis(lost, deadlines, "deadline of a fetch, in seconds")
        lost.plot(deadlines, [each["given_up"] for each in found], "o-", color=GREY, lw=2.4, ms=7)
    told = [
        f"{seconds:g} s, a wait of {wait / 1000:.2f} s and {percent(each['given_up'])} given up"
        for seconds, wait, each in zip(deadlines, heights, found, strict=True)
    ]
    return described(figure, f"By deadline: the p95 of the wait, and good feeds. {'; '.join(told)}.")
