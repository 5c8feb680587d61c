"""Right and wrong answers to chapter 7's exercises."""

from itertools import count
from math import ceil

import notebooks_path  # noqa: F401
from answers import Answers

from loadtests.theory import drain_time, workers_needed

# isort: split
from workbook import chapter07_checks as checks
from workbook.chapter07 import DoneJob, Planned, of_queue, poisson_jobs, simulated

URGENT, ORDINARY = poisson_jobs(120, 0.05, 3, seed=1), poisson_jobs(12, 0.05, 3, seed=2)


def jobs(planned: list[Planned], queue: str) -> list[DoneJob]:
    return [{"queue": queue, "due": each.due, "seconds": each.seconds} for each in planned]


SHARED = sorted(jobs(URGENT, "urgent") + jobs(ORDINARY, "ordinary"), key=lambda each: each["due"])


def apart(urgent: int, ordinary: int) -> list[DoneJob]:
    """These jobs if each kind has so many threads of its own, and a queue takes no time."""
    done = simulated(of_queue(SHARED, "urgent"), urgent) + simulated(of_queue(SHARED, "ordinary"), ordinary)
    return sorted(done, key=lambda each: each["due"])


def by_trying(backlog: int, rate: float, demand: float, within: float) -> int:
    return next(many for many in count(1) if drain_time(backlog, many, demand, rate) <= within)


ANSWERS = {
    "1": Answers(
        checks.enough_threads,
        right=[workers_needed(86, 0.345), ceil(86 * (0.95 * 0.1 + 0.05 * 5)), 30.0],
        wrong=[
            29,
            86 * 0.345,
            9,
            workers_needed(86, 5),
            ceil(86 * (0.1 + 0.05 * 5)),
            10**400,
            "30",
            True,
            None,
        ],
    ),
    "2": Answers(
        checks.drains_in_time,
        right=[
            lambda backlog, rate, demand, within: ceil(demand * (rate + backlog / within)),
            lambda backlog, rate, demand, within: -int(-(rate * demand + backlog * demand / within) // 1),
            by_trying,
        ],
        wrong=[
            lambda backlog, rate, demand, within: 6,
            lambda backlog, rate, demand, within: ceil(0.125 * (rate + backlog / within)),
            lambda backlog, rate, demand, within: int(demand * (rate + backlog / within)) + 1,
            lambda backlog, rate, demand, within: int(demand * (rate + backlog / within)),
            lambda backlog, rate, demand, within: round(demand * (rate + backlog / within)),
            lambda backlog, rate, demand, within: demand * (rate + backlog / within),
            lambda backlog, rate, demand, within: ceil(demand * backlog / within),
            lambda backlog, rate, demand, within: workers_needed(rate, demand),
            lambda backlog, rate, demand, within: print(end=""),
            lambda backlog, rate, demand, within: "6",
            6,
        ],
    ),
    "3": Answers(
        checks.keeps_them_apart(SHARED),
        right=[apart(3, 1), apart(3, 1)[::-1]],
        wrong=[
            apart(4, 1),
            apart(1, 3),
            apart(2, 2),
            apart(3, 2),
            simulated(SHARED, 4),
            apart(3, 1)[1:],
            {"jobs": apart(3, 1)},
            4,
        ],
    ),
}
