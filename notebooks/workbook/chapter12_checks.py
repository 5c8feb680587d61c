"""The checks of chapter 12's exercises."""

import math
from collections.abc import Iterator
from random import Random
from typing import Any

from workbook.exercises import Case, computes, is_number

SPARE = (0, 0.5, 0, 1, 0, 1.5, 0, 0.5)  # threads that each fleet has to spare
ASKED_AFTER = 60  # seconds after the kill, in exercise 12.3


def _feeds(draw: Random) -> Iterator[Case]:
    """Feeds that keep some machines exactly busy, or not quite; in binary fractions, so all is exact."""
    for number, spare in enumerate(SPARE):
        threads, machines = draw.randint(2, 32), 2 * draw.randint(1, 6) - number // 2 % 2  # even, odd
        demand = draw.choice((0.125, 0.25, 0.5))
        busy = threads * machines - spare
        wrong = "So many must keep up, which threads without a pause do not; and one machine fewer must not."
        yield (busy / demand, demand, threads), machines + (spare == 0), wrong


keep_up = computes(_feeds)


def _servers(draw: Random) -> Iterator[Case]:
    """Connections for exactly so many threads, nearly for one more, and for none."""
    for few in range(4):
        machines, processes = draw.randint(2, 8), draw.randint(2, 4)
        threads = draw.randint(2, 40) if few else 1
        every = machines * processes
        for left in (0, every - 1):
            limit = every * (threads + 3) + left
            yield (machines, processes, limit), threads, "So many must fit, and one more must not."
        yield (machines, processes, every * few), 0, "If not even one thread fits, the answer is 0."


fit = computes(_servers)


def waits_for_a_retry(both: Any) -> bool | str:
    """Are these the seconds until the feed, by engine, if a retry is asked for 60 s after the kill?"""
    killed, waits = both
    if not isinstance(killed, dict) or not all(isinstance(each, dict) for each in killed.values()):
        return 'killed must be what experiment("worker-killed", ...) returns.'
    if set(killed) != {"jobqueue", "procrastinate"}:
        return "Measure both engines."
    if not isinstance(waits, dict) or set(waits) != set(killed):
        return "waits must be a dictionary with the names of both engines."
    for engine, times in killed.items():
        if not is_number(waits[engine]):
            return f"{engine}: {waits[engine]!r} is not a number."
        alone = times["by itself"]
        if not math.isclose(waits[engine], ASKED_AFTER + times["after a retry"] if alone is None else alone):
            return f"{engine}: was the feed there by itself? If not, who had to do something first, and when?"
    return True
