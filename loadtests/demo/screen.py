"""The demo as lines of text, at most 80 columns wide: pure functions of what is to be seen."""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from rich.text import Text

from loadtests.demo.controls import CONTROLS, Wanted
from loadtests.demo.running import Dot, Now
from loadtests.demo.tour import TourStep
from loadtests.demo.words import TITLES_OF, WHO, clock, content, level, machine, whole_percent
from loadtests.judging.rule import RULED
from loadtests.records.constants import RULE_MS

SCREEN_COLUMNS, HALF, LABEL = 80, 39, 7
CHART = HALF - LABEL  # columns, a second each
FLOORS_MS = (10_000, 4_000, 2_000, 1_000, RULE_MS, 200, 50, 10, 0)  # the rows of the chart, from the top
LABELS_MS = ("10 s", "4 s", "2 s", "1 s", "500 ms", "200 ms", "50 ms", "10 ms", "")
SHADES = ((8, "█"), (3, "▪"), (1, "·"))  # from so many requests on
WAITS = "○"
KEYS: Mapping[str, tuple[str, int]] = {  # lower case: less; upper case: more, by this step
    "v": ("visitors", 10),
    "s": ("slow", 5),
    "h": ("hanging", 5),
    "d": ("deadline", 1),
    "t": ("threads", 8),
}
MORE_KEYS = "x hang ten feeds  k kill/start the worker  1-5 steps  0 tour  q quit"
COLOUR = {"good": "green", "bad": "red", "none": ""}


class Glimpse(NamedTuple):
    """All that the screen shows. `at`: Unix time."""

    at: float
    apps: Sequence[str]
    now: Sequence[Now]
    dots: Sequence[Iterable[Dot]]
    wanted: Wanted
    step: TourStep | None
    seconds_left: float


def screen(seen: Glimpse) -> list[Text]:
    """The whole screen, 24 lines."""
    step, wanted = seen.step, seen.wanted
    columns = [
        _column(app, now, chart(dots, now.waiting, seen.at), wanted.threads)
        for app, now, dots in zip(seen.apps, seen.now, seen.dots, strict=True)
    ]
    fields = (f"{key}{key.upper()} {_field(name, wanted)}" for key, (name, _) in KEYS.items())
    said, full = machine(seen.now)
    left = clock(seen.seconds_left)
    return [
        Text(step.title if step else "Two readers, the same visitors", "bold"),
        *_wrapped(step.says if step else "", 2),
        *(_beside(*pair) for pair in zip(*columns, strict=True)),
        Text(_cut("  ".join(fields))),
        Text(f"{MORE_KEYS:{SCREEN_COLUMNS - len(left)}}{left}", "dim"),
        Text(_cut(said), "yellow" if full else "dim"),
    ]


def _column(app: str, now: Now, drawn: list[Text], threads: int) -> list[Text]:
    colour = COLOUR[level(now.share)]
    slots = " ".join("··" if held is None else f"{held:2.0f}" for held in now.slots)
    jobs, worker = "No queue: the slot waits for the feed", ""
    if now.jobs:
        waiting, performed = now.jobs
        jobs = f"jobs    {waiting:4} {'■' * waiting}"
        worker = f"worker  {performed} of {threads} threads busy" if now.worker else "no worker"
    return [
        Text(TITLES_OF[app], "bold underline"),
        Text.assemble(
            (f"{whole_percent(now.share):>5}", f"bold {colour}"), f" over {RULE_MS:g} ms, last 10 s"
        ),
        Text(", ".join(f"{whole_percent(now.shares.get(group))} {who}" for group, who in WHO.items()), "dim"),
        *drawn,
        Text(f"slots   {slots}", "bold" if now.held == len(now.slots) else ""),
        Text(f"in line {now.in_line:4} {'●' * now.in_line}"),
        Text(jobs, "" if now.jobs else "dim"),
        Text(worker, "" if now.worker else "bold red"),
        Text(f"{content(now.content)} until it can be read"),
    ]


def chart(dots: Iterable[Dot], waiting: Iterable[Dot], at: float) -> list[Text]:
    """Requests by when they were due and how long they took; the newest on the right."""
    counts = [[0] * CHART for _ in FLOORS_MS]
    waits: set[tuple[int, int]] = set()
    for dot in dots:
        column = CHART - 1 - int(at - dot.at)
        if dot.group in RULED and 0 <= column < CHART:
            counts[_row(dot.ms)][column] += 1
    for dot in waiting:
        waits.add((_row((at - dot.at) * 1000), max(0, CHART - 1 - int(at - dot.at))))
    lines = []
    for row, (floor, label) in enumerate(zip(FLOORS_MS, LABELS_MS, strict=True)):
        cells = (
            WAITS if (row, column) in waits else _shade(count) for column, count in enumerate(counts[row])
        )
        style = "red" if floor >= RULE_MS else ""
        if floor == RULE_MS:
            lines.append(Text.assemble(" " * LABEL, ("".join(cells), style)))
            lines.append(Text(f"{label:>6} {'─' * CHART}", "red"))
        else:
            lines.append(Text.assemble((f"{label:>6} ", "dim"), ("".join(cells), style)))
    return lines


def _row(ms: float | None) -> int:
    """The row of a latency; a failure is in the topmost."""
    if ms is None:
        return 0
    return next((row for row, floor in enumerate(FLOORS_MS) if ms > floor), len(FLOORS_MS) - 1)


def _shade(count: int) -> str:
    return next((shade for least, shade in SHADES if count >= least), " ")


def _field(name: str, wanted: Wanted) -> str:
    label, _, _, unit, _ = CONTROLS[name]
    short = label.lower().removesuffix(" feeds").removeprefix("worker ")
    return f"{short} {getattr(wanted, name)} {unit}".rstrip()


def _wrapped(text: str, lines: int) -> list[Text]:
    said = textwrap.wrap(text, SCREEN_COLUMNS, break_on_hyphens=False)
    return [Text(line) for line in [*said, *[""] * lines][:lines]]


def _beside(left: Text, right: Text) -> Text:
    left, right = left.copy(), right.copy()
    left.truncate(HALF, pad=True)
    right.truncate(HALF)
    return Text.assemble(left, "  ", right)


def _cut(text: str) -> str:
    return text if len(text) <= SCREEN_COLUMNS else text[: SCREEN_COLUMNS - 1] + "…"


def line(app: str, now: Now) -> str:
    """A reader's state in a line, where nothing can be drawn."""
    jobs = f", {now.jobs[0]} jobs wait" if now.jobs else ""
    return (
        f"{app:6} {whole_percent(now.share):>5} over {RULE_MS:g} ms, {now.held} of {len(now.slots)} slots,"
        f" {now.in_line} in line{jobs}"
    )
