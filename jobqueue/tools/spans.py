"""Durations and ages, for people."""

from datetime import datetime


def span(seconds: float) -> str:
    """A duration in the largest unit of which there are at least two, rounded down; in ms below a second.

    >>> [span(seconds) for seconds in (0, 0.025, 119.9, 120, 7_200, 200_000)]
    ['0 s', '25 ms', '119 s', '2 min', '2 h', '2 days']
    """
    if 0 < seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    for unit, size in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size:.0f} {unit}"
    return f"{int(seconds)} s"


def ago(moment: datetime, now: datetime) -> str:
    """Such as "5 min ago" or "in 5 min"."""
    seconds = int((now - moment).total_seconds())
    return f"{span(seconds)} ago" if seconds >= 0 else f"in {span(-seconds)}"
