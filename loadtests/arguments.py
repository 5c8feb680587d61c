"""What the option parsers share."""

import math


def number(text: str) -> float:
    """`text` as a number; if it is not one, nan, which fails every comparison."""
    try:
        return float(text)
    except ValueError:
        return math.nan
