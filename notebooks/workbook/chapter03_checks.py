"""The checks of chapter 3's exercises."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from random import Random
from typing import Any

from workbook.chapter03_tails import with_deadline
from workbook.exercises import Case, computes, is_number

WAIT, QUARTER = 1.0, 0.25  # of exercise 3.3, in seconds


def _held(source: Random) -> Iterator[Case]:
    said = "How many of them come in a second, and how long does each stay?"
    for _ in range(10):
        rate, deadline = source.randint(1, 50), source.randint(1, 30)
        share = source.randint(1, 100) / 100
        yield (rate, share, deadline), rate * share * deadline, said
    yield (10, 0.0, 5), 0.0, "If none of them hangs, none holds a slot."


held_by_hanging = computes(_held)


def _pieces(source: Random) -> list[float]:
    """Seconds before each piece, in quarters, so that sums are exact."""
    return [source.randint(0, 8) / 4 for _ in range(source.randint(1, 6))]


def _with_timeout(source: Random) -> Iterator[Case]:
    for _ in range(10):
        timeout, gaps = source.randint(9, 20) / 4, _pieces(source)
        yield (gaps, timeout), sum(gaps), "Each piece came in time, so it has them all."
        late = source.randint(0, len(gaps))
        before, after = gaps[:late], [timeout + source.randint(0, 3), *gaps[late:]]
        said = "It gives up while it waits for the first piece that is late."
        yield ([*before, timeout + source.randint(1, 9), *after], timeout), sum(before) + timeout, said


def _bounded(source: Random) -> Iterator[Case]:
    for _ in range(10):
        gaps = _pieces(source)
        whole, spare = sum(gaps), source.randint(1, 8) / 4
        yield (gaps, whole + spare), whole, "All pieces were there before the deadline, the last at its end."
        deadline = whole + spare
        yield ([*gaps, 2 * spare, *gaps], deadline), deadline, partial(_misses_deadline, deadline)


def _misses_deadline(deadline: float, waited: float) -> str:
    if waited < deadline:
        return "It gave up too early: there were pieces to come, and time was left."
    return "It gave up too late: when the deadline has passed, it does not wait for one more piece."


_timeout_is_right, _deadline_is_right = computes(_with_timeout), computes(_bounded)


def waits_for_pieces(both: tuple[Callable[[Sequence[float], float], float], ...]) -> bool | str:
    """Do the two functions say how long a client with a timeout waits, and one with a deadline?"""
    if not isinstance(both, tuple) or len(both) != 2:
        return "It must be two functions: only complete those in the cell."
    for name, each, right in zip(
        ("with_timeout", "bounded"), both, (_timeout_is_right, _deadline_is_right), strict=True
    ):
        if (found := right(each)) is not True:
            return f"{name}: {found}"
    return True


def longest_deadline(seconds: Any) -> bool | str:
    """Is it the longest deadline with which so few of exercise 3.3's visitors wait for so long?"""
    if not is_number(seconds) or seconds <= 0 or float(seconds) % QUARTER:
        return "It must be a deadline in seconds: 0.25, 0.5, 0.75, ..."
    seconds = float(seconds)
    if (wait := with_deadline(seconds)["wait_p95"]) > WAIT:
        return f"With a deadline of {seconds:g} s the 95th percentile of their wait is {wait:.4g} s."
    return with_deadline(seconds + QUARTER)["wait_p95"] > WAIT or "A longer deadline keeps it, too."
