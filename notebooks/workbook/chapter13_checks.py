"""The checks of chapter 13's exercises."""

import random
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Any

from workbook.exercises import NO_ANSWER, NOT_A_FUNCTION, is_number, shown

Call = tuple[str, float, float, bool]  # name, seconds, how often a round has it, whether the answer needs it
Logged = tuple[float, float]  # when a request ended, seconds since the log began; and how long it took
NAMES = ("mail", "thumbnails", "report", "log entry", "search index", "invoice")


def moves_the_most(to_move: Callable[[Sequence[Call]], Any]) -> bool | str:
    """Does it name the call that takes most of the slots' time, of those the answer does not need?"""
    return next(_wrong_with_moves(to_move), True)


def _wrong_with_moves(to_move: Callable[[Sequence[Call]], Any]) -> Iterator[str]:
    if not callable(to_move):
        yield NOT_A_FUNCTION
    for number in range(24):
        right, calls = _calls(heavier=number % 3, rare=number % 2 == 0)
        yield from _wrong_with_move(to_move(list(calls)), calls, right)
        none = [(name, seconds, often, True) for name, seconds, often, _ in calls]
        yield from _wrong_with_move(to_move(list(none)), none, None)
    yield from _wrong_with_move(to_move([]), [], None)


def _calls(heavier: int, rare: bool) -> tuple[str, list[Call]]:
    """Calls in any order, and which to move, a rare one or a frequent one.

    Another one comes close to it, so many needed ones are heavier, and perhaps one is lighter.
    """
    seldom, often = random.uniform(0.08, 0.12), random.choice([1.0, random.uniform(0.7, 0.9)])
    ranked = [
        (1.0, seldom if rare else often, False),
        (random.uniform(0.9, 0.95), often if rare else seldom, False),
        (random.uniform(0.2, 0.8), random.choice([seldom, often]), False),
        *((random.uniform(1.1, 4), random.uniform(0.1, 1), True) for _ in range(heavier)),
        *((random.uniform(0.2, 0.9), random.uniform(0.1, 1), True) for _ in range(random.randint(0, 1))),
    ]
    names, unit = random.sample(NAMES, len(ranked)), random.uniform(0.1, 0.5)
    calls = [
        (name, unit * load / times, times, needed)
        for name, (load, times, needed) in zip(names, ranked, strict=True)
    ]
    return names[0], random.sample(calls, len(calls))


def _wrong_with_move(found: Any, calls: Sequence[Call], right: str | None) -> Iterator[str]:
    needed = {name for name, _, _, needed in calls if needed}
    said = "; ".join(
        f"{name}: {seconds:.2f} s, {often:.2f} a round{', needed' * needed}"
        for name, seconds, often, needed in calls
    )
    if found is ...:
        yield NO_ANSWER
    elif not isinstance(found, str | None):
        yield f"Return the name of a call, or None; this was {shown(found)}."
    elif found in needed:
        yield f"It chose {shown(found)}, whose result is in the answer: it can't be made after the answer."
    elif found != right and right is None:
        yield f"No call could be moved, and it said {shown(found)}."
    elif found != right and found is None:
        yield f"It said None, but a call could be moved. ({said}.)"
    elif found != right:
        yield f"It said {shown(found)}, and moving another one would leave the slots more time. ({said}.)"


def knows_the_busy_share(busy: Callable[[Sequence[Logged], float, int], Any]) -> bool | str:
    """Is it the share of the slots' time, from 0 to 1, for which the log's requests held a slot?"""
    return next(_wrong_with_busy(busy), True)


def _wrong_with_busy(busy: Callable[[Sequence[Logged], float, int], Any]) -> Iterator[str]:
    if not callable(busy):
        yield NOT_A_FUNCTION
    for earliest, hint in ((0.0, ""), (-3.0, " Some of its requests began before the log.")):
        for _ in range(5):
            seconds, slots = random.uniform(20, 90), random.randint(2, 9)
            log = _log(earliest, seconds, slots)
            yield from _wrong_share(busy(list(log), seconds, slots), log, seconds, slots, hint)
    yield from _wrong_share(busy([], 60.0, 4), [], 60.0, 4, " Nobody came.")


def _log(earliest: float, seconds: float, slots: int) -> list[Logged]:
    """Requests that ended within `seconds`, one after the other in each slot, from `earliest` on."""
    log: list[Logged] = []
    for _ in range(slots):
        ended = earliest
        for _ in count():
            took = random.uniform(3.5, 5) if ended < 0 else random.uniform(0.1, 4)
            ended += (0.0 if ended < 0 else random.uniform(0.1, 3)) + took
            if ended > seconds:
                break
            log.append((ended, took))
    return sorted(log)


def _wrong_share(found: Any, log: Sequence[Logged], seconds: float, slots: int, hint: str) -> Iterator[str]:
    held = sum(min(ended, took) for ended, took in log)
    if found is ...:
        yield NO_ANSWER
    elif not is_number(found):
        yield f"Return a number; this was {shown(found)}."
    elif not 0 <= found <= 1:
        yield f"A share is from 0 to 1; this was {found:.4g}."
    elif abs(float(found) - held / seconds / slots) > 1e-6:
        yield f"{found:.4g} is not the share of {slots} slots, over {seconds:.1f} s.{hint}"
