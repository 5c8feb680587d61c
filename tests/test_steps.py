"""A stepped load, which Locust polls once a second."""

import pytest

from loadtests.generator.loadoptions import Load
from loadtests.generator.steps import Steps
from loadtests.records.recording import Stage


class Clock:
    """A clock that is advanced by hand, in Unix time."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def test_each_step_lasts_its_time_and_then_it_is_over() -> None:
    """Even if each poll is a little late, as Locust's are."""
    clock = Clock()
    steps = Steps(Load(steps=(10, 25), step_seconds=2.0), clock)
    asked = []
    for _ in range(5):
        asked.append(steps.tick())
        clock.seconds += 1.01
    assert asked == [(10, 10.0), (10, 10.0), (25, 25.0), (25, 25.0), None]
    first, second = steps.stages(started_at=1000.0, stopped=4.05)
    assert first == pytest.approx(Stage(10, 0.0, 2.02))
    assert second == pytest.approx(Stage(25, 2.02, 4.05))


def test_a_load_that_was_stopped_early_has_no_stages_that_never_came() -> None:
    """Only those that began."""
    steps = Steps(Load(steps=(10, 25), step_seconds=2.0), Clock())
    steps.tick()
    assert steps.stages(started_at=1000.0, stopped=1.5) == [Stage(10, 0.0, 1.5)]


def test_a_second_test_begins_with_the_first_step() -> None:
    """Wherever the first test stopped."""
    clock = Clock()
    steps = Steps(Load(steps=(10, 25), step_seconds=2.0), clock)
    clock.seconds += 3
    assert steps.tick() == (25, 25.0)
    steps.reset_time()
    assert steps.tick() == (10, 10.0)


def test_open_load_is_stepped_by_its_schedule() -> None:
    """Locust has one user, which does nothing; the stages are exact."""
    clock = Clock()
    steps = Steps(Load(model="open", steps=(10.5, 25), step_seconds=2.0), clock)
    assert steps.tick() == (1, 1.0)
    assert steps.stages(1000.0, 3.0) == [Stage(10.5, 0.0, 2.0), Stage(25, 2.0, 3.0)]
    assert steps.stages(1000.0, 1.0) == [Stage(10.5, 0.0, 1.0)]
    clock.seconds += 4
    assert steps.tick() == (1, 1.0)  # the schedule began a moment later: its last step is not cut short
    clock.seconds += 1
    assert steps.tick() is None


def test_a_step_that_is_decided_is_skipped() -> None:
    """The next one begins at once, and lasts its time. What was decided of an earlier step skips nothing."""
    clock = Clock()
    steps = Steps(Load(steps=(10, 25), step_seconds=20.0), clock)
    assert steps.tick() == (10, 10.0)
    clock.seconds += 7
    steps.skip(0)
    assert steps.tick() == (25, 25.0)
    steps.skip(0)
    clock.seconds += 19
    assert steps.tick() == (25, 25.0)
    clock.seconds += 1
    assert steps.tick() is None
    assert steps.stages(1000.0, 27.0) == [Stage(10, 0.0, 7.0), Stage(25, 7.0, 27.0)]


def test_a_load_can_be_ended_within_a_step() -> None:
    """A second test is not concerned."""
    steps = Steps(Load(steps=(10, 25), step_seconds=2.0), Clock())
    steps.end()
    assert steps.tick() is None
    steps.reset_time()
    assert steps.tick() == (10, 10.0)
