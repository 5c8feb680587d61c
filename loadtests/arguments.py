"""What the option parsers share."""

import argparse
import math
import sys
from collections.abc import Callable, Collection

LARGEST = sys.float_info.max


def number(text: str) -> float:
    """`text` as a number; if it is not one, nan, which fails every comparison."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def count(text: str) -> int:
    """An option's whole number above 0."""
    if not text.strip().isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def chosen(known: Collection[str]) -> Callable[[str], tuple[str, ...]]:
    """The type of an option's comma-separated names, in the order of those that are known."""

    def parse(text: str) -> tuple[str, ...]:
        names = text.split(",")
        for name in names:
            if name not in known:
                raise argparse.ArgumentTypeError(f"there is no {name!r}; there are {', '.join(known)}")
        return tuple(name for name in known if name in names)

    return parse


def seconds(text: str) -> float:
    """An option's time of up to an hour."""
    return above_zero(text, 3600, "a number of seconds")


def minutes(text: str) -> float:
    """An option's time of up to a day."""
    return above_zero(text, 1440, "a number of minutes")


def above_zero(text: str, most: float = LARGEST, what: str = "a number") -> float:
    """An option's number above 0, up to `most`; `what` names it in the message."""
    value = number(text)
    if not 0 < value <= most:
        limit = "" if most == LARGEST else f" and at most {most:g}"
        raise argparse.ArgumentTypeError(f"{text!r} is not {what} above 0{limit}")
    return value


def numbers(text: str, what: str, most: float = LARGEST) -> tuple[float, ...]:
    """An option's numbers above 0, up to `most`, with commas between; `what` names them in the message."""
    values = tuple(number(part) for part in text.split(","))
    if not all(0 < value <= most for value in values):
        raise argparse.ArgumentTypeError(f"{text!r} is not {what}")
    return values
