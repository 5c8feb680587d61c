"""The 500 ms rule, as it is judged here. Pure.

The rule: "avoid web requests which run longer than 500ms" (Heroku's documentation on background jobs). An app
keeps it at a step if at most 1 % of its POST /feeds and at most 1 % of its browsing requests took longer.
"""

from collections.abc import Mapping
from typing import Any

RULED = ("submit", "browse")  # the groups that the rule is for: content is no request
MOST_OVER = 0.01  # share of the requests of such a group that may take longer than the rule says


def within_rule(step: Mapping[str, Any]) -> bool:
    """True if every group of a step, or of a point, kept the rule; False also if nothing was measured."""
    shares = shares_over(step)
    return bool(shares) and max(shares.values()) <= MOST_OVER


def shares_over(step: Mapping[str, Any]) -> dict[str, float]:
    """The share over the rule in each group of a step, or of a point, that has one."""
    shares = {group: step[group]["share_over_500ms"] for group in RULED}
    return {
        group: share["value"] if isinstance(share, Mapping) else share  # of a point: with its interval
        for group, share in shares.items()
        if share is not None
    }
