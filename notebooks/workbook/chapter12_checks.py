"""The checks of chapter 12's exercises."""

from collections.abc import Callable, Iterator
from itertools import product
from random import Random
from typing import Any

from workbook.exercises import NOT_A_FUNCTION, Case, computes, shown

SPARE = (0, 0.5, 0, 1, 0, 1.5, 0, 0.5)  # threads that each fleet has to spare
SEARCHES = 3
STATUSES = ("pending", "ready", "failed")  # of a feed; the last two are done with


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


def finds_the_forgotten(forgotten: Any) -> bool | str:
    """Does forgotten(feeds, held, now, patience) find the feeds that wait for ever, and no others?"""
    if not callable(forgotten):
        return NOT_A_FUNCTION
    draw = Random()
    problems = (_searched(forgotten, draw) for _ in range(SEARCHES))
    return next((problem for problem in problems if problem), True)


def _searched(forgotten: Callable[..., Any], draw: Random) -> str | None:
    """What is wrong with the answer's search of new feeds: some of each status, age, and held or not."""
    now, patience = draw.randint(5_000, 9_000), draw.randint(20, 600)
    ages = {"old": patience + draw.randint(1, 4_000), "young": draw.randint(0, patience), "edge": patience}
    kinds = [*product(STATUSES, ages.values(), (True, False)), ("pending", ages["old"], False)]
    numbers = draw.sample(range(1, 1_000), len(kinds))
    draw.shuffle(kinds)
    feeds = [(number, status, now - age) for number, (status, age, _) in zip(numbers, kinds, strict=True)]
    held = {number for number, (*_, is_held) in zip(numbers, kinds, strict=True) if is_held}
    found = forgotten(list(feeds), set(held), now, patience)
    if not isinstance(found, list) or not all(isinstance(each, int) for each in found):
        return f"It returned {shown(found)}, and not a list of the feeds' numbers."
    if len(set(found)) < len(found):
        return "It returned a feed twice: each is to be enqueued once."
    if unknown := set(found) - set(numbers):
        return f"It returned {min(unknown)}, which is the number of none of the feeds."
    for number, (status, age, is_held) in zip(numbers, kinds, strict=True):
        wanted = status == "pending" and age > patience and not is_held
        if wanted != (number in found):
            job = "the engine holds a job for it" if is_held else "the engine holds no job for it"
            erred = "is not in the list" if wanted else "is in the list"
            return f"A feed that {erred}: {status}, added {age} s ago; {job}; the patience is {patience} s."
    return None
