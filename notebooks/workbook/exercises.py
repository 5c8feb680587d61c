"""Exercises: check the reader's answers."""

import math
import textwrap
from collections.abc import Callable, Iterable
from dataclasses import fields
from decimal import Decimal
from numbers import Real
from random import Random
from typing import TYPE_CHECKING, Any, TypeGuard

from workbook.session import session

if TYPE_CHECKING:
    from loadtests.bench.plan import Plan

Right = Callable[[Any], bool | str]
Hint = str | Callable[[Any], str]  # what is wrong with another result than the right one
Case = tuple[tuple[Any, ...], float | None, Hint]  # arguments, the right result
NO_ANSWER = "There is no answer in its cell."
NOT_A_FUNCTION = "It must be a function: only complete the one in the cell."


def check(name: str, answer: Any, right: Right, hint: str = "") -> None:
    """Print whether an answer is right, and what to think of if it is wrong. Without an answer, no hint.

    `right`, from `workbook.chapterNN_checks`, takes the answer, and returns True or what is wrong with it.
    `...`, or a tuple that contains it, counts as no answer. Never raises, so the notebook goes on.
    """
    label = f"Exercise {session().chapter}.{name}"
    problem = problem_of(answer, right, hint)
    said = f"{label}: right." if problem is None else f"{label}: not yet. {problem}"
    print(textwrap.fill(said, 96))


def problem_of(answer: Any, right: Right, hint: str = "") -> str | None:
    """What is wrong with an answer, or None."""
    if any(map(_is_missing, answer if isinstance(answer, tuple) else (answer,))):
        return NO_ANSWER
    try:
        found = right(answer)
    except Exception as error:
        return f"{hint} (Your answer raised {type(error).__name__}: {str(error).rstrip('.')}.)".strip()
    if isinstance(found, str):
        return found
    return None if found else hint


def _is_missing(answer: Any) -> bool:
    """Whether it is still `...`, or a function that returns `...`."""
    return answer is ... or ... in getattr(getattr(answer, "__code__", None), "co_consts", ())


def near(value: float, within: float = 0.1) -> Callable[[Any], bool]:
    """Whether a number differs from `value` by at most the fraction `within` of it."""
    return lambda answer: bool(abs(answer - value) <= within * abs(value))


def is_number(answer: object) -> TypeGuard[float]:
    """Whether it is a finite number that a float can hold, and neither True nor False."""
    try:
        return isinstance(answer, Real | Decimal) and not isinstance(answer, bool) and math.isfinite(answer)
    except (OverflowError, ValueError):  # 10**400; Decimal("sNaN")
        return False


def shown(answer: object) -> str:
    """An answer as it is written in Python, of at most 60 characters."""
    text = repr(answer)
    return text if len(text) <= 60 else f"{text[:57]}..."


def computes(draw: Callable[[Random], Iterable[Case]]) -> Right:
    """A check of a function that returns a number, or None: `draw` makes new cases for it each time."""

    def right(answer: Any) -> bool | str:
        if not callable(answer):
            return NOT_A_FUNCTION
        cases = list(draw(Random()))
        none_is_one = any(expected is None for _, expected, _ in cases)  # of the right results
        return next(filter(None, (_problem_with(answer, case, none_is_one) for case in cases)), True)

    return right


def _problem_with(answer: Callable[..., Any], case: Case, none_is_one: bool) -> str | None:
    """What is wrong with the number that a function returns, or None. `none_is_one`: is None a result?"""
    arguments, expected, wrong = case
    given = f"Given ({', '.join(map(str, arguments))}), it"  # before the answer can change them
    try:
        found = answer(*arguments)
    except Exception as error:
        return f"{given} raised {type(error).__name__}: {str(error).rstrip('.')}."
    given += f" returned {shown(found)}"
    if found is None and expected is not None and not none_is_one:
        return f"{given}: is a `return` missing?"
    if found is not None and not is_number(found):
        return f"{given}, which is not a number."
    if found == expected or (found and expected and math.isclose(found, expected)):
        return None
    if found and expected and _is_rounded(found, expected):
        return f"{given}, which looks rounded: return the number itself."
    return f"{given}. {wrong(found) if callable(wrong) else wrong}"


def _is_rounded(found: float, expected: float) -> bool:
    """Whether it is the expected number, rounded. (Others lie about a multiple of an eighth, too.)"""
    if float(8 * expected).is_integer():
        return False
    rounded = (math.floor(expected), math.ceil(expected), *(round(expected, n) for n in range(1, 7)))
    return any(math.isclose(found, each) for each in rounded)


def measures(plan: "Plan") -> Right:
    """A check of a bench's results: were they measured by this plan?"""

    def right(results: Any) -> bool | str:
        settings = results.get("settings") if isinstance(results, dict) else None
        if not isinstance(settings, dict):
            return 'It must be what is returned by experiment("its-name", bench, plan=replace(plan, ...)).'
        if settings.get("submitters", plan.submitters) != plan.submitters:
            return f"Of its visitors {settings['submitters']:.0%} submitted, not as many as were asked for."
        for field in fields(plan):
            wanted = getattr(plan, field.name)
            for name in {field.name, f"{field.name}_s"} & settings.keys():  # times have their unit there
                if settings[name] != (list(wanted) if isinstance(wanted, tuple) else wanted):
                    return f"It was measured with {name} = {settings[name]!r}, not what was asked for."
        return True if results.get("steps") else "It was stopped before anything was measured: run it again."

    return right
