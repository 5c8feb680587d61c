"""A stepped load: numbers of users, or rates, one after the other, each reported separately. Pure."""

import time
from collections.abc import Callable

from loadtests.generator.loadoptions import Load
from loadtests.records.recording import Stage

SKIPPED_SECONDS = 1e-3  # more than Unix time in a float is inexact by
LATER_SECONDS = 0.5  # an open load begins a moment after this clock, and its last step must not be cut short


class Steps:
    """Stands in for a LoadTestShape: Locust calls `tick` about once a second to ask for the load.

    Open load is stepped by its schedule; this only ends it.
    """

    use_common_options = True  # or Locust complains about --users and --run-time, which have defaults

    def __init__(self, load: Load, clock: Callable[[], float] = time.time) -> None:
        self.load = load
        self.runner: object = None  # Locust sets it
        self._clock = clock
        self.reset_time()

    def reset_time(self) -> None:
        """Restart at the first step. Locust calls this when a test starts; twice if it is distributed."""
        self._origin = self._clock()
        self._began: list[float] = []  # when each step began, Unix time
        self._ended = False

    def end(self) -> None:
        """End the load early."""
        self._ended = True

    def skip(self, step: int) -> None:
        """End this step of a closed load early, if it is still the current one."""
        now, seconds = self._clock(), self.load.step_seconds
        if step == len(self._began) - 1 == (now - self._origin) // seconds:
            self._origin = now - (step + 1) * seconds - SKIPPED_SECONDS

    def tick(self) -> tuple[int, float] | None:
        """How many users to run, and how many to start a second: all at once. None ends the load."""
        now = self._clock()
        since = now - self._origin - (self.load.open and LATER_SECONDS)
        step = max(0, int(since // self.load.step_seconds))
        if self._ended or step >= len(self.load.steps):
            return None
        while len(self._began) <= step:
            self._began.append(now)
        users = 1 if self.load.open else int(self.load.steps[step])
        return users, float(users)

    def stages(self, started_at: float, stopped: float) -> list[Stage]:
        """The steps up to `stopped` (seconds), on a clock that began at `started_at` (Unix time)."""
        if self.load.open:
            pieces = [Stage(piece.rate, piece.start, min(piece.end, stopped)) for piece in self.load.pieces()]
            return [stage for stage in pieces if stage.start_s < stopped]
        starts = [0.0, *(began - started_at for began in self._began[1:])]
        return [Stage(*each) for each in zip(self.load.steps, starts, [*starts[1:], stopped], strict=False)]
