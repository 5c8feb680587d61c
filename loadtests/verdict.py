"""Does each app keep the rule, and with how many users? Pure: from the steps of results.json to a sentence.

The rule: "avoid web requests which run longer than 500ms" (Heroku's documentation on background jobs). An app
keeps it at a step if at most 1 % of its POST /feeds and at most 1 % of its browsing requests took longer.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from loadtests.samples import RULE_MS
from loadtests.wording import APPS, GROUPS, HOW, duration, figure, percent, user_count

Step = Mapping[str, Any]

MOST_OVER = 0.01  # share of the requests of a group that may take longer than the rule says

KEPT, BROKEN, UNFIT = 0, 1, 3  # exit statuses; 2 is for wrong usage


class Verdict(TypedDict):
    """What a run comes to, as results.json holds it."""

    exit_status: int
    sentence: str
    most_users: dict[str, int | None]


def within_rule(step: Step) -> bool:
    """True if every group that was measured kept the rule; False also if nothing was measured."""
    shares = _shares(step)
    return bool(shares) and max(shares.values()) <= MOST_OVER


def _shares(step: Step) -> dict[str, float]:
    shares = {group: step[group]["share_over_500ms"] for group in GROUPS}
    return {group: share for group, share in shares.items() if share is not None}


def verdict(steps: Sequence[Step], rule_ms: float = RULE_MS) -> Verdict:
    """The exit status, the sentence, and the most users with whom each app kept the rule (None: with none).

    The status is 3 if a step is unfit (or there is none): such a run proves nothing. Otherwise it is 0 if the
    queued app, or the only one measured, kept the rule at every step, and 1 if not.
    """
    fit = {app: fit_steps(steps, app) for app in APPS}
    judged = fit["queued"] or fit["sync"]
    if not steps or not all(step["fit"] for step in steps):
        status = UNFIT
    else:
        status = KEPT if all(step["within_rule"] for step in judged) else BROKEN
    most_users = {app: _most_users(fit[app]) for app in APPS}
    sentences = [_unfit(steps)] if status == UNFIT else []
    sentences += [_kept(app, steps, rule_ms) for app in reversed(APPS) if fit[app]]
    return Verdict(exit_status=status, sentence=" ".join(sentences), most_users=most_users)


def fit_steps(steps: Sequence[Step], app: str) -> list[Step]:
    """The steps of one app whose figures may be used, by number of users."""
    return sorted((s for s in steps if s["app"] == app and s["fit"]), key=lambda step: int(step["users"]))


def _most_users(fit: Sequence[Step]) -> int | None:
    """The users of the last step before the first that broke the rule; a later step may have been luck."""
    most = None
    for step in fit:
        if not step["within_rule"]:
            break
        most = int(step["users"])
    return most


def _kept(app: str, steps: Sequence[Step], rule_ms: float) -> str:
    fit = fit_steps(steps, app)
    most = _most_users(fit)
    name, rule = f"The {APPS[app]} app", f"the rule of {duration(rule_ms)}"
    if most is not None and most == fit[-1]["users"]:
        limit = "tried" if len(fit) == sum(step["app"] == app for step in steps) else "that can be judged"
        return f"{name} kept {rule} up to {user_count(most)}, the most {limit}."
    if most is not None:
        told = f"{name} kept {rule} up to {user_count(most)}"
    else:
        told = f"{name} broke {rule} even with {user_count(fit[0]['users'])}"
    shares = [(share, group, step["users"]) for step in fit for group, share in _shares(step).items()]
    if not shares:
        return f"{told}: nothing was answered."
    share, group, users = max(shares)
    worst = f"with {user_count(users)}, {percent(share)} of {GROUPS[group]} took longer or failed"
    return f"{told}; at worst, {worst}."


def _unfit(steps: Sequence[Step]) -> str:
    unfit = [step for step in steps if not step["fit"]]
    if not unfit:
        return "No step was measured."
    first = unfit[0]
    example = f"{APPS[first['app']]}, {user_count(first['users'])}: {'; '.join(first['unfit_reasons'])}"
    count = f"{len(unfit)} of its {len(steps)} steps"
    return f"This run is not fit for a verdict: {count} did not measure the apps alone ({example})."


def comparable(steps: Sequence[Step]) -> dict[str, Step]:
    """For each app its step with the most users at which every app that was measured is fit; may be empty."""
    fit = {app: {step["users"]: step for step in fit_steps(steps, app)} for app in APPS}
    measured = [app for app in APPS if any(step["app"] == app for step in steps)]
    common = set.intersection(*(set(fit[app]) for app in measured)) if measured else set()
    return {app: fit[app][max(common)] for app in measured} if common else {}


def finding(steps: Sequence[Step]) -> str:
    """What a run shows about POST /feeds, in one line without a full stop."""
    shown = comparable(steps)
    told = [
        f"up to {figure(step['submit'], 'p95_ms', 'at least ')} {HOW[app]}"
        for app, step in shown.items()
        if step["submit"]["p95_ms"] is not None
    ]
    if not told:
        return "No step of this run is fit for a comparison"
    users = next(iter(shown.values()))["users"]
    return f"With {user_count(users)}, 95 % of POST /feeds took {', '.join(told)}"
