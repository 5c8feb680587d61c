"""Helpers for chapter 1."""

from collections.abc import Mapping, Sequence
from typing import Any

import requests
from matplotlib.figure import Figure

from loadtests.records.constants import RULE_MS
from loadtests.records.rows import in_window
from loadtests.report.chartparts import (
    COLOURS,
    EndLabel,
    canvas,
    described,
    inches,
    label_ends,
    latency_axis,
    rule_line,
)
from loadtests.servers.stack import Stack, StackSettings
from loadtests.wording import SHORT
from loadtests.wording import figure as stated
from workbook.readers import PATIENCE_SECONDS, rows_of, submit
from workbook.words import in_words

Waits = Mapping[str, Mapping[str, float]]
StepJson = Mapping[str, Any]

DEADLINE = 5.0  # seconds; not in the chapter's cell, which is on the page when the reader has to predict it
FIRST_REQUESTS = 3  # requests that don't count: a fresh process answers them more slowly


def one_visitor(apps: Sequence[str], kinds: Sequence[str]) -> dict[str, dict[str, float]]:
    """Submit one feed of each kind to each reader, with nobody else there; seconds by app and kind."""
    waits = {}
    for app in apps:
        with Stack(StackSettings(app=app, slots=1, deadline=DEADLINE)) as stack:
            for n in range(FIRST_REQUESTS):
                feed = {"url": f"{stack.feeds_url}/feeds/fast/{1000 + n}.xml"}
                requests.post(f"{stack.url}/feeds", feed, timeout=PATIENCE_SECONDS).raise_for_status()
            print(f"The {SHORT[app]} reader:")
            waits[app] = {kind: submit(stack.url, f"{stack.feeds_url}/feeds/{kind}/1.xml") for kind in kinds}
    return waits


def one_visitor_figure(waits: Waits) -> Figure:
    """How long each answer took: a mark for each kind of feed and reader."""
    with canvas(10, 4.4) as figure:
        axes = inches(figure, 0.9, 0.75, 7.0, 3.1)
        latency_axis(axes, axes.yaxis, [1000 * wait for of in waits.values() for wait in of.values()])
        kinds = list(waits["sync"])
        axes.set_xlim(-0.3, len(kinds) - 0.7)
        axes.set_xticks(range(len(kinds)), kinds)
        labels = [rule_line(axes, RULE_MS)]
        for app, of in waits.items():
            heights = [1000 * of[kind] for kind in kinds]
            axes.plot(range(len(kinds)), heights, "o", color=COLOURS[app], ms=11)
            said = f"{SHORT[app]}: {in_words(of[kinds[-1]])}"
            labels.append(EndLabel(len(kinds) - 1, heights[-1], said, COLOURS[app]))
        axes.set_xlabel("what the feed's server does")
        axes.set_title("One visitor adds four feeds: time to each answer", weight="bold")
        label_ends(axes, labels)
    told = [
        f"{SHORT[app]}: {', '.join(f'{kind} {in_words(took)}' for kind, took in of.items())}"
        for app, of in waits.items()
    ]
    return described(figure, f"The time to each answer, by what the feed's server does. {'; '.join(told)}.")


def kept_waiting(results: Mapping[str, Any], step: StepJson, group: str) -> int:
    """How many visitors waited over 500 ms, at least once, in the seconds of a step that count.

    `group`: submit or browse. Raises WorkbookError if the bench kept no rows.
    """
    counted = in_window(rows_of(results, step), *step["window_s"])
    mine = (row for row in counted if row.group == group)
    return len({row.user for row in mine if row.waited_ms(step["ended_s"]) > RULE_MS})


def print_content(steps: Sequence[StepJson]) -> None:
    """Print the time from a submit until the entries were on the page, a line for each reader."""
    for step in steps:
        p50, p95 = (stated(step["content"], key, at_least="at least ") for key in ("p50_ms", "p95_ms"))
        print(f"{SHORT[step['app']]:12} p50 {p50}   p95 {p95}")


def print_fetches(steps: Sequence[StepJson], demand: float, seconds: float) -> None:
    """Print fetches in flight by Little's law, and the slots or threads that were busy, for each reader.

    The law is given the `demand` of all feeds, and then that of the feeds in the measured seconds.
    """
    for step in steps:
        rate, queue, server = step["submit"]["count"] / seconds, step["queue"], step["server"]
        if queue:
            own, used = queue["demand_s"], queue["utilisation"] * step["workers"] * step["threads"]
        else:
            own, used = server["demand_ms"]["submit"] / 1000, server["utilisation"] * step["slots"]
        means = f"{rate * demand:.1f} with D, {rate * own:.1f} with the {own:.2f} s that these feeds took"
        print(f"{SHORT[step['app']]:12} {rate:.1f} a second; fetches at a time: {means}; seen: {used:.1f}")
