"""A visit in open load is one task, performed once; Locust's task sets are used by their methods alone."""

from typing import Any

from loadtests.generator.tasks import perform_once

said: list[str] = []


class TaskSet:
    """Like Locust's: created for its parent, chooses its tasks, and may itself be a task."""

    tasks: list[Any] = []  # noqa: RUF012 - as in Locust

    def __init__(self, parent: Any) -> None:
        self.parent = parent

    def on_start(self) -> None:
        said.append("start")

    def on_stop(self) -> None:
        said.append("stop")

    def wait(self) -> None:
        said.append("think")

    def get_next_task(self) -> Any:
        return self.tasks[0]


class Sequence(TaskSet):
    """Like Locust's SequentialTaskSet."""

    def __init__(self, parent: Any) -> None:
        super().__init__(parent)
        self._task_cycle = iter(self.tasks)

    def get_next_task(self) -> Any:
        return next(self._task_cycle)


def look(_self: Any) -> None:
    said.append("look")


def read(_self: Any) -> None:
    said.append("read")


def performed(task: Any) -> list[str]:
    """What was logged while a visit was performed."""
    said.clear()
    perform_once(object(), task)
    return said


def test_a_function_is_called_with_its_user() -> None:
    """The usual case."""
    assert performed(look) == ["look"]


def test_of_a_task_set_one_task_is_performed() -> None:
    """Between its on_start and on_stop."""
    assert performed(type("Set", (TaskSet,), {"tasks": [read, look]})) == ["start", "read", "stop"]


def test_a_sequence_is_gone_through_once() -> None:
    """With think time in between."""
    sequence = type("Set", (Sequence,), {"tasks": [look, read]})
    assert performed(sequence) == ["start", "look", "think", "read", "stop"]


def test_task_sets_may_be_in_task_sets() -> None:
    """Locust's own run() of them would never end."""
    inner = type("Inner", (TaskSet,), {"tasks": [look]})
    outer = type("Outer", (TaskSet,), {"tasks": [inner]})
    assert performed(outer) == ["start", "start", "look", "stop", "stop"]
