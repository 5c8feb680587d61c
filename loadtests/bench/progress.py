"""A bench's progress: a line for each step, and in a terminal a bar with the time left. 80 columns."""

import time
from functools import partial
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar

from loadtests.bench.plan import Condition
from loadtests.bench.search import Left, Next
from loadtests.records.steps import Step
from loadtests.wording import LABELS, counted, figure, percent


class Progress:
    """A context manager. The time left is corrected by how long earlier steps took."""

    def __init__(self) -> None:
        self._left = Left(0, 0.0, at_most=False)
        self._expected = 0.0  # seconds that the steps done should have taken
        self._current = 0.0  # seconds that the current step should take
        self._taken = 0.0  # seconds that the steps done took
        self._ended = 0
        self._began = time.monotonic()
        console = Console(highlight=False)
        self._terminal = console.is_terminal
        # Lines are flushed into a pipe or a file: somebody may be watching.
        self.say = console.print if self._terminal else partial(print, flush=True)
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(bar_width=12),
            TextColumn("{task.fields[left]}"),
            console=console,
            disable=not self._terminal,
        )

    def __enter__(self) -> Self:
        self._bar.start()
        self._task = self._bar.add_task("", total=None, left="")
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def begin(self, following: Next, expected: float, ended: int, left: Left) -> None:
        """A step begins that should take `expected` seconds, after `ended` others; `left` includes it."""
        self._began, self._current, self._ended, self._left = time.monotonic(), expected, ended, left
        if not self._terminal:
            self.say(announcement(following, ended + 1, self._what_is_left()))
        name = name_of(following.step.condition)
        self._bar.update(self._task, description=name, total=ended + left.steps)
        self.tick()

    def tick(self) -> None:
        """Show the time left. Cheap; called several times a second."""
        done = min((time.monotonic() - self._began) / (self._current * self._pace()), 0.98)
        self._bar.update(self._task, completed=self._ended + done, left=self._what_is_left())

    def done(self, condition: Condition, step: Step) -> None:
        """A step has ended: print its result on one line."""
        self._taken += time.monotonic() - self._began
        self._expected += self._current
        self.say(result_line(condition, step))

    def _pace(self) -> float:
        """How much longer steps take than expected."""
        return self._taken / self._expected if self._taken else 1.0

    def _what_is_left(self) -> str:
        passed = min(time.monotonic() - self._began, 0.98 * self._current * self._pace())
        return in_words(self._left._replace(seconds=self._left.seconds * self._pace() - passed))


def name_of(condition: Condition) -> str:
    """ "queued, 20 users"."""
    return f"{LABELS[condition.app]}, {condition.load}"


def announcement(following: Next, number: int, left: str) -> str:
    """The line for a step that begins, where there is no bar: what, why, and what is left."""
    why = f" ({following.why})" if following.why else ""
    return f"Step {number}: {name_of(following.step.condition)}{why}; {left}"


def in_words(left: Left) -> str:
    """ "at most 9 steps, 4 min left"."""
    most = "at most " if left.at_most else ""
    return f"{most}{counted(left.steps, 'step')}, {about(left.seconds)} left"


def about(seconds: float) -> str:
    """ "40 s", "6 min"."""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def result_line(condition: Condition, step: Step) -> str:
    """What a step has measured of POST /feeds, and whether the rule was kept."""
    submit = step["submit"]
    over = submit["share_over"]
    word = "not fit" if not step["fit"] else "" if condition.burst else step["rule"]
    return (
        f"{f'{LABELS[condition.app]} {condition.load:>13}':>22}"
        f" p50 {figure(submit, 'p50_ms'):>8} p95 {figure(submit, 'p95_ms'):>8}"
        f" over {'–' if over is None else percent(over):>7} {word}{'' if step['steady'] else ' unsteady'}"
    ).rstrip()
