"""How figures are put into words: the same in the terminal, on the charts and in the report."""

from collections.abc import Mapping
from typing import Any

APPS = {"sync": "synchronous", "queued": "queued"}
HOW = {"sync": "synchronously", "queued": "with the queue"}
GROUPS = {"submit": "POST /feeds", "browse": "browsing"}


def duration(ms: float) -> str:
    """Milliseconds as a person says them: "3.2 ms", "18 ms", "7.9 s", "124 s"."""
    if ms < 9.95:
        return f"{ms:.1f} ms"
    if ms < 999.5:
        return f"{ms:.0f} ms"
    return f"{ms / 1000:.1f} s" if ms < 99_950 else f"{ms / 1000:.0f} s"


def percent(share: float) -> str:
    """A share from 0 to 1 in percent. Not quite nothing, or not quite all, never reads as if it were."""
    if 0 < share < 0.001:
        return "<0.1 %"
    if 0.999 < share < 1:
        return ">99.9 %"
    return f"{share:.0%}".replace("%", " %") if share in {0, 1} else f"{share * 100:.1f} %"


def figure(summary: Mapping[str, Any], key: str, at_least: str = "≥ ") -> str:
    """One latency of a summary, marked with `at_least` if it is a lower bound; a dash if there is none."""
    if summary[key] is None:
        return "–"
    return (at_least if key in summary["lower_bounds"] else "") + duration(summary[key])


def user_count(users: int) -> str:
    """ "1 user", "20 users"."""
    return "1 user" if users == 1 else f"{users} users"
