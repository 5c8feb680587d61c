"""Right and wrong answers to chapter 6's exercises."""

import re
from datetime import timedelta
from typing import Any

import notebooks_path  # noqa: F401
from answers import Answers
from sqlalchemy import select
from sqlalchemy.orm import Session

# isort: split
from workbook import chapter06_checks as checks

from jobqueue import Job


def in_sql(queue: Any, now: Any, seconds: float) -> set[int]:
    """With the mapped class, as for any other table."""
    late = Job.run_at < now - timedelta(seconds=seconds), Job.locked_by.is_(None), Job.failed_at.is_(None)
    with Session(queue.engine) as session:
        return set(session.scalars(select(Job.id).where(*late)))


def jobs(queue: Any, *states: str) -> list[Any]:
    """All jobs, or those in some states."""
    return [each for each in queue.jobs(limit=10**6) if not states or each.state in states]


def overdue(keep: Any = lambda job: True, limit: int = 10**6, clock: Any = lambda now: now) -> Any:
    """An answer to the first that keeps only some jobs, looks at so many, or reads another clock."""
    return lambda queue, now, seconds: [
        each.id
        for each in queue.jobs(limit=limit)
        if each.state == "waiting" and (clock(now) - each.run_at).total_seconds() > seconds and keep(each)
    ]


def first_line(queue: Any, name: str) -> list[int]:
    """By the first line after a frame: of a chain, the first error."""
    lines = {
        each.id: [line for line in each.last_error.splitlines()[1:] if line[:1] != " "]
        for each in jobs(queue, "failed")
    }
    return [id for id, rest in lines.items() if re.match(rf"([\w.]+\.)?{name}(:|$)", rest[0])]


def ages(queue: Any, now: Any, *states: str) -> list[tuple[int, float]]:
    """The jobs' ids and how long each has been due, in seconds."""
    return [(each.id, (now - each.run_at).total_seconds()) for each in jobs(queue, *states)]


def errors(queue: Any, *states: str) -> list[tuple[int, str]]:
    """The jobs' ids and the last lines of their errors."""
    return [(each.id, each.last_error.splitlines()[-1]) for each in jobs(queue, *states) if each.last_error]


ANSWERS = {
    "1": Answers(
        checks.finds_the_late,
        right=[
            in_sql,
            lambda queue, now, seconds: (id for id, age in ages(queue, now, "waiting") if age > seconds),
            overdue(),
        ],
        wrong=[
            [1, 2, 3],
            lambda queue, now, seconds: [],
            lambda queue, now, seconds: [each.id for each in jobs(queue)],
            lambda queue, now, seconds: [id for id, age in ages(queue, now, "waiting") if age >= seconds],
            lambda queue, now, seconds: [id for id, age in ages(queue, now, "waiting") if age > seconds / 60],
            lambda queue, now, seconds: [id for id, age in ages(queue, now, "waiting") if age > seconds * 60],
            lambda queue, now, seconds: [id for id, age in ages(queue, now, "waiting") if age < seconds],
            lambda queue, now, seconds: [id for id, age in ages(queue, now, "waiting") if age > 300],
            overdue(lambda job: job.attempts == 0),
            overdue(lambda job: job.queue == "default"),
            overdue(lambda job: job.queue != "partners"),
            overdue(limit=100),
            overdue(limit=1000),
            overdue(clock=lambda now: now - timedelta(days=1)),
            lambda queue, now, seconds: 7,
            lambda queue, now, seconds: [id for id, age in ages(queue, now, "waiting") if abs(age) > seconds],
            lambda queue, now, seconds: [id for id, age in ages(queue, now) if age > seconds],
            lambda queue, now, seconds: [
                id for id, age in ages(queue, now, "waiting", "running") if age > seconds
            ],
            lambda queue, now, seconds: [id for id, age in ages(queue, now, "waiting") if age > seconds][
                :100
            ],
            lambda queue, now, seconds: [str(id) for id, age in ages(queue, now, "waiting") if age > seconds],
            lambda queue, now, seconds: None,
        ],
    ),
    "2": Answers(
        checks.finds_the_failed,
        right=[
            lambda queue, name: [
                id for id, line in errors(queue, "failed") if re.match(rf"([\w.]+\.)?{name}(:|$)", line)
            ],
            lambda queue, name: {
                id for id, line in errors(queue, "failed") if line.split(":")[0].split(".")[-1] == name
            },
        ],
        wrong=[
            7,
            lambda queue, name: [],
            lambda queue, name: [id for id, line in errors(queue, "failed") if name in line],
            lambda queue, name: [id for id, line in errors(queue, "failed") if line.startswith(name)],
            lambda queue, name: [
                id for id, line in errors(queue, "failed") if line.split(":")[0].endswith(name)
            ],
            lambda queue, name: [id for id, line in errors(queue, "failed") if f"{name}:" in line],
            lambda queue, name: [
                id for id, line in errors(queue, "failed") if re.search(rf"\b{name}\b", line)
            ],
            lambda queue, name: [
                id for id, line in errors(queue) if line.split(":")[0].split(".")[-1] == name
            ],
            lambda queue, name: [each.id for each in jobs(queue, "failed") if name in each.last_error],
            lambda queue, name: [
                each.id
                for each in jobs(queue, "failed")
                if re.search(rf"^([\w.]+\.)?{name}\b", each.last_error, re.M)
            ],
            first_line,
            lambda queue, name: [id for id, line in errors(queue, "failed") if line.split(":")[0] == name],
            lambda queue, name: None,
        ],
    ),
}
