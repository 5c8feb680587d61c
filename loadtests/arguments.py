"""What the parsers of options share."""

import math


def number(text: str) -> float:
    """The number that `text` is; nan, which no comparison lets through, if it is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan
