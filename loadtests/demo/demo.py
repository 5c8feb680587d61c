"""The demo itself: both readers, what they should run, and the tour. Whoever shows it calls `tick` again and
again, and looks.
"""

import contextlib
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

from loadtests.demo.controls import Wanted
from loadtests.demo.running import RunningReader
from loadtests.demo.tour import TOUR, TourStep, step_at
from loadtests.records.steps import READERS

TICK_SECONDS = 0.25
TEN = 10


class Demo:
    """Both readers with the same visitors, for at most `minutes`. A context manager."""

    def __init__(
        self,
        wanted: Wanted,
        minutes: float,
        rows: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.wanted = wanted
        self.step: TourStep | None = None  # shown now
        self.touring = False
        self.readers = [
            RunningReader(app, wanted, minutes + 1, rows and rows / f"{app}.csv") for app in READERS
        ]
        self._clock = clock
        self._seconds = minutes * 60
        self._ends = math.inf
        self._step_began = self._tour_began = self._hung = 0.0
        self._cues: list[tuple[float, Callable[[], None]]] = []  # what the step still does, and when
        self._exits = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as exits, ThreadPoolExecutor() as threads:
            # Both at once. Each is left, whatever becomes of the other.
            for start in [threads.submit(exits.enter_context, reader) for reader in self.readers]:
                start.result()
            self._exits = exits.pop_all()
        self._ends = self._clock() + self._seconds
        return self

    def __exit__(self, *_: object) -> None:
        for reader in self.readers:
            reader.ask_to_stop()  # all at once; closing then waits for each
        self._exits.close()

    @property
    def seconds_left(self) -> float:
        """Until the demo ends by itself."""
        return max(0.0, self._ends - self._clock())

    @property
    def step_left(self) -> float:
        """Seconds until the tour's next step."""
        return max(0.0, self.step.seconds - self._clock() + self._step_began) if self.step else 0.0

    @property
    def worker(self) -> bool:
        """Whether the queue has a worker."""
        return any(reader.stack.worker for reader in self.readers)

    def tick(self) -> None:
        """Take in the news, and go on with the tour. Raises ProcessError if a process has ended."""
        now = self._clock()
        for reader in self.readers:
            reader.check()
            reader.take_news()
        if self.touring:
            number = step_at(now - self._tour_began)
            if number is None:
                self.touring = False
            elif TOUR[number] is not self.step:
                self.play(number, touring=True)
        if self.step and self.step.hang and now - self._hung >= self.wanted.deadline:
            self._hung = now
            self.hang(self.step.hang)
        while self._cues and now - self._step_began >= self._cues[0][0]:
            self._cues.pop(0)[1]()

    def start_tour(self) -> None:
        """Go through all steps, from the first on."""
        self._tour_began = self._clock()
        self.touring = True

    def play(self, number: int, touring: bool = False) -> None:
        """Show a step, and run what it is about."""
        self.touring, self.step, self._step_began = touring, TOUR[number], self._clock()
        self._hung = -math.inf
        self.replace_worker()
        cues = ((self.step.kill_s, self.kill_worker), (self.step.replace_s, self.replace_worker))
        self._cues = [(at, act) for at, act in cues if at is not None]
        self._run(self.step.wanted)

    def want(self, **changes: float) -> None:
        """Change what is run, and leave the tour. Raises UsageError if a figure is beyond its limits."""
        wanted = self.wanted.changed(**changes)
        self.touring, self._cues = False, []
        self._run(wanted)

    def hang(self, feeds: int) -> None:
        """Let so many extra visitors of each reader submit a feed that is never answered."""
        for reader in self.readers:
            reader.hang(feeds)

    def hang_ten(self) -> None:
        """What the button does."""
        self.hang(TEN)

    def kill_worker(self) -> None:
        """End the queue's worker as `kill -9` does."""
        for reader in self.readers:
            reader.stack.kill_worker()

    def replace_worker(self) -> None:
        """Start another in its place, if it was killed."""
        for reader in self.readers:
            reader.stack.replace_worker()

    def kill_or_replace_worker(self) -> None:
        """End the worker if there is one; else start one."""
        if self.worker:
            self.kill_worker()
        else:
            self.replace_worker()

    def _run(self, wanted: Wanted) -> None:
        self.wanted = wanted
        for reader in self.readers:
            reader.want(wanted)
