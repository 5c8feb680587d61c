"""The checks of chapter 12's exercises."""

from collections.abc import Iterator
from random import Random
from typing import Any

from workbook.exercises import Case, computes

FLEETS = 8


def _feeds(draw: Random) -> Iterator[Case]:
    """Feeds that keep some machines exactly busy, or not quite; in binary fractions, so all is exact."""
    for number in range(FLEETS):
        threads, machines = draw.randint(2, 32), draw.randint(1, 12)
        demand = draw.choice((0.125, 0.25, 0.5))
        busy = threads * machines - (draw.choice((0.5, 1, 1.5)) if number % 2 else 0)
        wrong = "So many must keep up, which threads without a pause do not; and one machine fewer must not."
        yield (busy / demand, demand, threads), machines + 1 - number % 2, wrong


keep_up = computes(_feeds)


def _servers(draw: Random) -> Iterator[Case]:
    """Connections for exactly so many threads, nearly for one more, and for none."""
    for few in range(4):
        machines, processes, threads = draw.randint(2, 8), draw.randint(2, 4), draw.randint(1, 40)
        every = machines * processes
        for left in (0, every - 1):
            limit = every * (threads + 3) + left
            yield (machines, processes, limit), threads, "So many must fit, and one more must not."
        yield (machines, processes, every * few), 0, "If not even one thread fits, the answer is 0."


fit = computes(_servers)


def measured_by_itself(both: Any) -> bool | str:
    """Is it the engine that fetched the feed by itself in the experiment, and the only one?"""
    killed, by_itself = both
    if not isinstance(killed, dict) or not all(isinstance(each, dict) for each in killed.values()):
        return 'killed must be what experiment("worker-killed", ...) returns.'
    found = [engine for engine, times in killed.items() if times.get("by itself")]
    if set(killed) != {"jobqueue", "procrastinate"}:
        return "Measure both engines."
    if not isinstance(by_itself, str):
        return "by_itself must be the name of an engine, as a string."
    return found == [by_itself.strip().lower()] or (
        "Not with that one: killed tells after how many seconds the feed was there by itself, or None."
    )
