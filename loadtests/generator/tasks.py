"""One visit of an open load: one task of a Locust user, performed once. Never imports Locust."""

from typing import Any


def perform_once(parent: Any, task: Any) -> None:
    """Perform `task` once for a user, or for the task set that it is part of.

    A task set performs one of its tasks; a sequential one performs all, once, with its wait times in between.
    """
    if not hasattr(task, "tasks"):
        _call(parent, task)
        return
    task_set = task(parent)
    task_set.on_start()
    try:
        rounds = len(task.tasks) if hasattr(task_set, "_task_cycle") else 1  # Locust's SequentialTaskSet
        for number in range(rounds):
            if number:
                task_set.wait()
            perform_once(task_set, task_set.get_next_task())
    finally:
        task_set.on_stop()


def _call(parent: Any, task: Any) -> None:
    bound = getattr(task, "__self__", None) is parent
    if bound:
        task()
    else:
        task(parent)
