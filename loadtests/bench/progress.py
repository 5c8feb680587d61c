"""A bench's progress: a line for each step, and in a terminal a bar with the time left."""

import time
from functools import partial
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from loadtests.bench.plan import Condition
from loadtests.records.steps import Step, sound
from loadtests.wording import SHORT, figure, percent


class Progress:
    """A context manager. Steps take about `step_seconds` each; those done correct the time left."""

    def __init__(self, steps: int, step_seconds: float):
        self._steps = steps
        self._expected = step_seconds
        self._taken: list[float] = []
        self._ended = 0
        self._began = time.monotonic()
        console = Console(highlight=False)
        # Lines are flushed into a pipe or a file: somebody may be watching.
        self.say = console.print if console.is_terminal else partial(print, flush=True)
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            TextColumn("{task.completed:.0f} of {task.total} steps"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=console,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> Self:
        self._bar.start()
        self._task = self._bar.add_task("", total=self._steps, left="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def begin(self, condition: Condition) -> None:
        """A step begins."""
        self._began = time.monotonic()
        self._bar.update(self._task, description=f"{SHORT[condition.app]}, {condition.load}")
        self.tick()

    def tick(self) -> None:
        """Show the time left. Cheap; called several times a second."""
        each = sum(self._taken) / len(self._taken) if self._taken else self._expected
        passed = min(time.monotonic() - self._began, 0.98 * each)
        left = (self._steps - self._ended) * each - passed
        minutes, seconds = divmod(round(left), 60)
        text = f"{minutes}:{seconds:02} left" if minutes else f"{seconds} s left"
        self._bar.update(self._task, completed=self._ended + passed / each, left=text)

    def skip(self) -> None:
        """The step was measured before the run was interrupted."""
        self._ended += 1

    def more(self, condition: Condition) -> None:
        """One more step than was planned: too few requests so far."""
        self._steps += 1
        self._bar.update(self._task, total=self._steps)
        self.say(f"{self._name(condition)}   too few requests to say; more of them")

    def again(self, condition: Condition) -> None:
        """The step was slowed or not fit, and is measured once more."""
        self.say(f"{self._name(condition)}   slowed or not fit; once more")
        self._began = time.monotonic()

    def done(self, condition: Condition, step: Step) -> None:
        """A step has ended: print its result on one line."""
        self._taken.append(time.monotonic() - self._began)
        self._ended += 1
        submit = step["submit"]
        over = submit["share_over"]
        marks = ("" if sound(step) else "  slowed" if step["fit"] else "  not fit") + (
            "" if step["steady"] else "  not steady"
        )
        self.say(
            f"{self._name(condition)}"
            f"  p50 {figure(submit, 'p50_ms'):>8}  p95 {figure(submit, 'p95_ms'):>8}"
            f"  over {'–' if over is None else percent(over):>7}{marks}"
        )

    def _name(self, condition: Condition) -> str:
        return f"{SHORT[condition.app]:>11} {condition.load:>14}"
