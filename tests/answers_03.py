"""Right and wrong answers to chapter 3's exercises."""

from collections.abc import Sequence
from decimal import Decimal
from itertools import takewhile

from answers import Answers

# isort: split
from workbook import chapter03_checks as checks
from workbook.chapter03_tails import with_deadline

LONGEST = next(n / 4 for n in range(1, 99) if with_deadline((n + 1) / 4)["wait_p95"] > 1)


def with_timeout(gaps: Sequence[float], timeout: float) -> float:
    waited = 0.0
    for gap in gaps:
        if gap > timeout:
            return waited + timeout
        waited += gap
    return waited


def with_timeout_too(gaps: Sequence[float], timeout: float) -> float:
    in_time = list(takewhile(lambda gap: gap <= timeout, gaps))
    return sum(in_time) + timeout * (len(in_time) < len(gaps))


def late_is_second(gaps: Sequence[float], timeout: float) -> float:
    return gaps[0] + timeout if max(gaps) > timeout else sum(gaps)


def each_cut_short(gaps: Sequence[float], timeout: float) -> float:
    return sum(min(gap, timeout) for gap in gaps)


def waits_for_the_late_one(gaps: Sequence[float], timeout: float) -> float:
    return sum(takewhile(lambda gap: gap <= timeout, gaps))


def goes_on_after_it(gaps: Sequence[float], timeout: float) -> float:
    return sum(gap for gap in gaps if gap <= timeout) + (timeout if max(gaps) > timeout else 0)


def bounded(gaps: Sequence[float], deadline: float) -> float:
    return min(sum(gaps), deadline)


def bounded_too(gaps: Sequence[float], deadline: float) -> float:
    left = deadline
    for gap in gaps:
        left = max(0.0, left - gap)
    return deadline - left


ANSWERS = {
    "1": Answers(
        checks.held_by_hanging,
        right=(
            lambda rate, share, deadline: rate * share * deadline,
            lambda rate, share, deadline: sum([share * deadline]) * rate,
        ),
        wrong=(
            lambda rate, share, deadline: 2.5,
            lambda rate, share, deadline: rate * deadline,
            lambda rate, share, deadline: rate * share / deadline,
            lambda rate, share, deadline: rate * share / 100 * deadline,
            lambda rate, share, deadline: int(rate * share * deadline),
            lambda rate, share, deadline: round(rate * share * deadline, 1),
            2.5,
        ),
    ),
    "2": Answers(
        checks.waits_for_pieces,
        right=((with_timeout, bounded), (with_timeout_too, bounded_too)),
        wrong=(
            (late_is_second, bounded),
            (each_cut_short, bounded),
            (waits_for_the_late_one, bounded),
            (goes_on_after_it, bounded),
            (bounded, bounded),
            (lambda gaps, timeout: 3.5, bounded),
            (lambda gaps, timeout: sum(gaps), bounded),
            (with_timeout, with_timeout),
            (with_timeout, lambda gaps, deadline: deadline),
            (with_timeout, lambda gaps, deadline: sum(gaps)),
            (with_timeout, lambda gaps, deadline: 2),
            (3.5, 2),
            with_timeout,
        ),
    ),
    "3": Answers(
        checks.longest_deadline,
        right=(LONGEST, Decimal(LONGEST)),
        wrong=(LONGEST - 0.25, LONGEST + 0.25, LONGEST + 0.1, 5, 0, -1, 1000 * LONGEST, str(LONGEST), None),
    ),
}
