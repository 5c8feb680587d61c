"""Right and wrong answers to chapter 12's exercises."""

import math
from collections.abc import Sequence

import notebooks_path  # noqa: F401
from answers import Answers

from loadtests.theory import workers_needed

# isort: split
from workbook import chapter12_checks as checks

Feeds = Sequence[tuple[int, str, float]]


def forgotten(feeds: Feeds, held: set[int], now: float, patience: float) -> list[int]:
    return [
        number
        for number, status, added in feeds
        if status == "pending" and now - added > patience and number not in held
    ]


def one_by_one(feeds: Feeds, held: set[int], now: float, patience: float) -> list[int]:
    """The same, with the oldest first."""
    found = []
    for number, status, added in sorted(feeds, key=lambda feed: feed[2]):
        if number not in held and added < now - patience and status not in ("ready", "failed"):
            found.append(number)
    return found


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
        checks.finds_the_forgotten,
        right=[forgotten, one_by_one],
        wrong=[
            lambda feeds, held, now, patience: [],
            lambda feeds, held, now, patience: [7],
            lambda feeds, held, now, patience: len(forgotten(feeds, held, now, patience)),
            lambda feeds, held, now, patience: [each for each in feeds if each[0] not in held],
            lambda feeds, held, now, patience: 2 * forgotten(feeds, held, now, patience),
            lambda feeds, held, now, patience: forgotten(feeds, set(), now, patience),
            lambda feeds, held, now, patience: forgotten(feeds, held, now, patience - 1),
            lambda feeds, held, now, patience: forgotten(feeds, held, 2 * now, patience),
            lambda feeds, held, now, patience: forgotten(feeds, held, now, patience)[:1],
            lambda feeds, held, now, patience: forgotten(
                [(number, "pending", added) for number, _, added in feeds], held, now, patience
            ),
            lambda feeds, held, now, patience: forgotten(
                [(number, status.replace("failed", "pending"), added) for number, status, added in feeds],
                held,
                now,
                patience,
            ),
            lambda feeds, held, now, patience: [
                number for number, status, added in feeds if status == "pending" and added > patience
            ],
            lambda feeds, held, now, patience: [
                number for number, status, _ in feeds if status == "pending" and number in held
            ],
            [7],
        ],
    ),
}
