"""What chapter 1 alone needs."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from loadtests.judging.samples import RULE_MS
from loadtests.report.chartparts import (
    COLOURS,
    EndLabel,
    house_style,
    inches,
    label_ends,
    latency_axis,
    rule_line,
)
from loadtests.servers.stack import Stack, StackSettings
from loadtests.wording import SHORT
from workbook.readers import submit
from workbook.words import in_words

Waits = Mapping[str, Mapping[str, float]]


def one_visitor(apps: Sequence[str], kinds: Sequence[str], deadline: float) -> dict[str, dict[str, float]]:
    """Submit one feed of each kind to each reader, with nobody else there; seconds by app and kind."""
    waits = {}
    for app in apps:
        with Stack(StackSettings(app=app, slots=2, deadline=deadline)) as stack:
            print(f"The {SHORT[app]} reader:")
            waits[app] = {kind: submit(stack.url, f"{stack.feeds_url}/feeds/{kind}/1.xml") for kind in kinds}
    return waits


def one_visitor_figure(waits: Waits) -> Figure:
    """How long each answer took: a mark for each kind of feed and reader."""
    with house_style():
        figure = Figure(figsize=(10, 4.4))
        axes = inches(figure, 0.9, 0.75, 7.0, 3.1)
        latency_axis(axes, axes.yaxis, [1000 * wait for of in waits.values() for wait in of.values()])
        kinds = list(waits["sync"])
        axes.set_xlim(-0.3, len(kinds) - 0.7)
        axes.set_xticks(range(len(kinds)), kinds)
        labels = [rule_line(axes, RULE_MS)]
        for app, of in waits.items():
            heights = [1000 * of[kind] for kind in kinds]
            axes.plot(range(len(kinds)), heights, "o-", color=COLOURS[app], ms=9, lw=1.5)
            said = f"{SHORT[app]}: {in_words(of[kinds[-1]])}"
            labels.append(EndLabel(len(kinds) - 1, heights[-1], said, COLOURS[app]))
        axes.set_xlabel("what the feed's server does")
        axes.set_title("One visitor adds one feed: time to the answer", weight="bold")
        label_ends(axes, labels)
    return figure
