"""Right and wrong answers to chapter 9's exercises."""

import notebooks_path  # noqa: F401
from answers import Answers

# isort: split
from workbook import chapter09_checks as checks


def one_by_one(latencies: list[int], every: int) -> list[int]:
    """The waits of the omitted requests, counted down."""
    found = []
    for latency in latencies:
        left = latency
        while left > 0:
            found.append(left)
            left -= every
    return found


ANSWERS = {
    "1": Answers(
        checks.the_longest_freeze,
        right=[
            lambda seconds: 0.5 + 0.01 * seconds,
            lambda seconds: (seconds + 50) / 100,
        ],
        wrong=[
            lambda seconds: 1.1,
            lambda seconds: 0.01 * seconds,
            lambda seconds: 0.5,
            lambda seconds: 500 + 10 * seconds,
            lambda seconds: 0.5 + 0.05 * seconds,
            lambda seconds: 0.5 + seconds,
            lambda seconds: 1.01 * seconds - 0.5,
            lambda seconds: min(2, 0.5 + 0.01 * seconds),
            1.1,
        ],
    ),
    "2": Answers(
        checks.what_was_omitted,
        right=[
            lambda latencies, every: [each - late for each in latencies for late in range(0, each, every)],
            one_by_one,
            lambda latencies, every: tuple(reversed(one_by_one(latencies, every))),
        ],
        wrong=[
            lambda latencies, every: latencies,
            lambda latencies, every: [5, 100, 75, 50, 25, 8],
            lambda latencies, every: [
                each - late for each in latencies for late in range(0, each + 1, every)
            ],
            lambda latencies, every: [
                each - late for each in latencies for late in range(every, each, every)
            ],
            lambda latencies, every: latencies + [each - every for each in latencies if each > every],
            lambda latencies, every: (
                latencies
                + [each - late for each in latencies for late in range(every, each - every + 1, every)]
            ),
            lambda latencies, every: [each for each in latencies for _ in range(0, each, every)],
            lambda latencies, every: len(one_by_one(latencies, every)),
            lambda latencies, every: [str(each) for each in one_by_one(latencies, every)],
            lambda latencies, every: [one_by_one([each], every) for each in latencies],
            [5, 100, 75, 50, 25, 8],
        ],
    ),
}
