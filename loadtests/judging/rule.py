"""The 500 ms rule, as it is judged here. Pure.

The rule: "avoid web requests which run longer than 500ms" (Heroku's documentation on background jobs). An app
keeps it at a step if at most 1 % of its POST /feeds and at most 1 % of its browsing requests took longer or
failed.
"""

from collections.abc import Mapping
from typing import Any

RULED = ("submit", "browse")  # the groups that the rule applies to; content is not a request
MOST_OVER = 0.01  # the largest share of such a group's requests that may break the rule


def within_rule(step: Mapping[str, Any]) -> bool:
    """True if every group of a step or a point kept the rule; False if nothing was measured."""
    shares = shares_over(step)
    return bool(shares) and max(shares.values()) <= MOST_OVER


def shares_over(step: Mapping[str, Any]) -> dict[str, float]:
    """The share over the rule in each group of a step or a point that has one."""
    shares = {group: step[group]["share_over_500ms"] for group in RULED}
    return {
        group: share["value"] if isinstance(share, Mapping) else share  # a point's comes with its interval
        for group, share in shares.items()
        if share is not None
    }
