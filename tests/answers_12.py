"""Right and wrong answers to chapter 12's exercises."""

import math

import notebooks_path  # noqa: F401
from answers import Answers

from loadtests.theory import workers_needed

# isort: split
from workbook import chapter12_checks as checks

KILLED = {"jobqueue": {"by itself": 3.9}, "procrastinate": {"by itself": None, "after a retry": 6.1}}

ANSWERS = {
    "1": Answers(
        checks.keep_up,
        right=[
            lambda rate, demand, threads: math.ceil(workers_needed(rate, demand) / threads),
            lambda rate, demand, threads: int(rate * demand // threads) + 1,
        ],
        wrong=[
            lambda rate, demand, threads: 3,
            lambda rate, demand, threads: math.ceil(rate * demand / threads),
            lambda rate, demand, threads: workers_needed(rate, demand) // threads,
            lambda rate, demand, threads: workers_needed(rate, demand) / threads,
            lambda rate, demand, threads: workers_needed(rate, demand),
            lambda rate, demand, threads: math.ceil(workers_needed(rate, 0.9) / 16),
            3,
        ],
    ),
    "2": Answers(
        checks.fit,
        right=[
            lambda machines, processes, limit: max(0, limit // (machines * processes) - 3),
            lambda machines, processes, limit: max(
                (threads for threads in range(99) if machines * processes * (threads + 3) <= limit), default=0
            ),
        ],
        wrong=[
            lambda machines, processes, limit: 5,
            lambda machines, processes, limit: limit // (machines * processes) - 3,
            lambda machines, processes, limit: max(0, limit // (machines * processes)),
            lambda machines, processes, limit: max(0, limit // machines - 3),
            lambda machines, processes, limit: max(0, limit / (machines * processes) - 3),
            lambda machines, processes, limit: max(0, round(limit / (machines * processes)) - 3),
            lambda machines, processes, limit: max(0, 2 * limit // (machines + processes) - 3),
            5,
        ],
    ),
    "3": Answers(
        checks.measured_by_itself,
        right=[(KILLED, "jobqueue"), (KILLED, " JobQueue"), (dict(reversed(KILLED.items())), "jobqueue")],
        wrong=[
            (KILLED, "procrastinate"),
            (KILLED, "both"),
            (KILLED, ["jobqueue"]),
            ({"jobqueue": {"by itself": 3.9}}, "jobqueue"),
            ("jobqueue", "jobqueue"),
        ],
    ),
}
