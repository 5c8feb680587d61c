"""The checks of chapter 6's exercises: each answer is asked about new queues, filled at random."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from random import Random
from typing import Any

from sqlalchemy import bindparam, update

from jobqueue import Queue, job
from loadtests.folders import temporary_folder

QUEUES = 2
NINE = datetime(2026, 11, 30, 9, tzinfo=UTC)
MATCHES = 1_050  # more than any limit that one would guess
FEW = 6
PLAIN = {
    "run_at": NINE,
    "attempts": 0,
    "queue": "default",
    **dict.fromkeys(("failed_at", "last_error", "locked_by", "locked_at")),
}
FAILED = {"failed_at": NINE, "attempts": 25}
FRAMES = 'Traceback (most recent call last):\n  File "reader.py", line 7, in perform\n    raise {}\n'
CHAINS = (
    "\nDuring handling of the above exception, another exception occurred:\n\n",
    "\nThe above exception was the direct cause of the following exception:\n\n",
)
ERRORS = ("TimeoutError", "SettingsError", "OSError", "KeyError")
MODULES = ("", "feedreader.errors.", "requests.exceptions.")


@job(name="workbook.Nothing")
@dataclass
class Nothing:
    """A job that nobody performs."""

    def perform(self) -> None: ...


@dataclass(frozen=True)
class Made:
    """A job to be found, or not: its columns, and what is wrong with an answer that errs about it."""

    columns: Mapping[str, Any]
    wanted: bool
    wrong: str


# What the answer is given beside the queue, and the jobs in the queue.
Filled = tuple[tuple[Any, ...], list[Made]]


def finds_the_late(late: Any) -> bool | str:
    """Does late(queue, now, seconds) find the jobs that were overdue, and no others?"""
    return _finds(late, _some_late)


def finds_the_failed(failed_with: Any) -> bool | str:
    """Does failed_with(queue, name) find the jobs that failed for good with that error, and no others?"""
    return _finds(failed_with, _some_failed)


def _finds(answer: Any, fill: Callable[[Random], Filled]) -> bool | str:
    if not callable(answer):
        return "It must be a function: only complete the one in the cell."
    draw = Random()
    problems = (_searched(answer, *fill(draw), draw) for _ in range(QUEUES))
    return next((problem for problem in problems if problem), True)


def _searched(answer: Any, arguments: Sequence[Any], jobs: list[Made], draw: Random) -> str | None:
    """What is wrong with the answer's search of a queue with these jobs; of several mistakes, the one about
    the job that is first in `jobs`.
    """
    with (
        temporary_folder("workbook") as folder,
        closing(Queue(f"sqlite:///{folder}/q.db")) as queue,
    ):
        queue.create_tables()
        queue.enqueue_many([Nothing()] * len(jobs))
        made = dict(enumerate(draw.sample(jobs, len(jobs)), 1))
        rows = [
            {**PLAIN, "priority": draw.randint(-5, 5), **each.columns, "its": id} for id, each in made.items()
        ]
        with queue.writer.begin() as connection:
            its = queue.tables.jobs.c.id == bindparam("its")
            connection.execute(update(queue.tables.jobs).where(its), rows)
        queue.pause("partners")
        found = answer(queue, *arguments)
        if found is None:
            return "It returned None: is a `return` missing?"
        if not isinstance(found, Iterable):
            return "It must return ids, for instance as a list."
        ids = list(islice(found, len(jobs) + 1))  # while the queue is there: it may be a generator
        order = [each.id for each in queue.jobs(limit=len(jobs))]
    if any(type(id) is not int for id in ids):
        return "It must return ids, which are whole numbers."
    if sorted(ids) != sorted(made.keys() & set(ids)):
        return "It must return the ids of jobs in the queue, each once."
    got = set(ids)
    wanted = [id for id in order if made[id].wanted]
    if got and len(got) < len(wanted) and got == set(wanted[: len(got)]):
        return f"Of {len(wanted)} jobs, it found only the first {len(got)}: does it look at the whole queue?"
    mistakes = {each.wrong for id, each in made.items() if (id in got) != each.wanted}
    return next((each.wrong for each in jobs if each.wrong in mistakes), None)


def _some_late(draw: Random) -> Filled:
    seconds = draw.randint(20, 900)

    def due(ago: float, wanted: bool, wrong: str, **columns: Any) -> Made:
        return Made({"run_at": NINE - timedelta(seconds=ago), **columns}, wanted, wrong)

    def longer() -> float:
        return seconds + draw.uniform(0.1, 5000)

    running = {"locked_by": "host:silver pid:4227 a", "locked_at": NINE}
    jobs = [
        due(longer(), True, "It misses a job that was waiting, and had been due for longer.")
        for _ in range(MATCHES)
    ]
    for _ in range(FEW):
        jobs += [
            due(longer(), True, "It misses a job that was waiting for its second attempt.", attempts=1),
            due(longer(), True, "It misses a job in the queue mails.", queue="mails"),
            due(longer(), True, "It misses a job in the queue partners, which is paused.", queue="partners"),
            due(draw.uniform(0, seconds - 0.1), False, "It found a job that had not been due for so long."),
            due(-draw.uniform(0.1, 5000), False, "It found a job that was not due yet."),
            due(longer(), False, "It found a job that was not waiting: a worker had it.", **running),
            due(longer(), False, "It found a job that was not waiting: it had failed for good.", **FAILED),
        ]
    exactly = "It found a job that had been due for exactly so long, not longer."
    return (NINE, seconds), [*jobs, due(seconds, False, exactly)]


def _some_failed(draw: Random) -> Filled:
    name, other, another = draw.sample(ERRORS, 3)

    def raised(errors: Mapping[str, str], wanted: bool, wrong: str, **columns: Any) -> Made:
        """A job with a chain of errors, each with what it says."""
        texts = (
            f"{FRAMES.format(name)}{draw.choice(MODULES)}{kind}{says and ': '}{says}\n"
            for kind, says in errors.items()
        )
        return Made({**FAILED, "last_error": draw.choice(CHAINS).join(texts), **columns}, wanted, wrong)

    def no() -> str:
        return draw.choice(("", "no", "no: [Errno 5] a.b: c"))

    jobs = [
        raised({name: f"{other}: no. {n}"}, True, "It misses a job with that error.") for n in range(MATCHES)
    ]
    for _ in range(FEW):
        jobs += [
            raised({name: ""}, True, "It misses a job whose error has no message."),
            raised({other: no(), name: no()}, True, "It misses a job with that error after another."),
            raised(
                {name: no(), other: no()},
                False,
                "It found a job that failed of another error, which came after that one.",
            ),
            raised({other: no()}, False, "It found a job with another error."),
            raised({another: f"{name}: no"}, False, "It found a job whose error only mentions that one."),
            raised({f"Another{name}": no()}, False, f"It found an Another{name}, which is another class."),
            raised({f"{name}s": no()}, False, f"It found a {name}s, which is another class."),
            raised({name: no()}, False, "It found a job that will be tried again.", failed_at=None),
            Made({}, False, "It found a job that has not been tried."),
        ]
    return (name,), jobs
