"""Right and wrong answers to chapter 12's exercises."""

import math

import notebooks_path  # noqa: F401
from answers import Answers

from loadtests.theory import workers_needed

# isort: split
from workbook import chapter12_checks as checks

WAITS = {"jobqueue": 3.9, "procrastinate": 66.1}
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
            lambda rate, demand, threads: round(rate * demand / threads + 0.5),
            lambda rate, demand, threads: workers_needed(rate, demand) // threads + 1,
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
            lambda machines, processes, limit: max(0, (limit - 1) // (machines * processes) - 3),
            lambda machines, processes, limit: (
                ((every := limit // (machines * processes)) > 4 and every - 3) or 0
            ),
            5,
        ],
    ),
    "3": Answers(
        checks.waits_for_a_retry,
        right=[(KILLED, WAITS), (dict(reversed(KILLED.items())), WAITS)],
        wrong=[
            (KILLED, {**WAITS, "procrastinate": 6.1}),
            (KILLED, {**WAITS, "procrastinate": 12.1}),
            (KILLED, {**WAITS, "procrastinate": None}),
            (KILLED, {engine: wait + 60 for engine, wait in WAITS.items()}),
            (KILLED, {"jobqueue": 3.9}),
            (KILLED, 66.1),
            ({"jobqueue": {"by itself": 3.9}}, WAITS),
            ("jobqueue", WAITS),
        ],
    ),
}
