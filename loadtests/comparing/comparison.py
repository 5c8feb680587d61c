"""Did it get slower? All questions that two sides allow, answered together; pure except for reading rows.

Each figure of each group of requests under each condition that both sides measured is a question. Judged one
by one, that many would give false alarms, so their p-values are adjusted (Holm). A figure is called slower if
the difference is both significant (adjusted p-value under 5 %) and above the margin: a certain but tiny one
should stop nobody.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from loadtests.comparing.comparisontext import sentence
from loadtests.comparing.differences import (
    COMPARED,
    Difference,
    Estimate,
    between_runs,
    difference,
    within_runs,
)
from loadtests.comparing.sides import Repeat, Side
from loadtests.errors import UsageError
from loadtests.judging.intervals import CONFIDENCE, holm
from loadtests.records.constants import MOST_OVER
from loadtests.status import Status

WORSE_PERCENT = 10.0  # of a latency: a smaller increase stops nobody
LEAST_MS = 1.0  # a smaller increase may be the load generator's
MOST_ALIKE = {  # settings that define the load: figures under different ones say nothing about the app
    "rule_ms": "the rule (rule_ms)",
    "think_s": "the think time (think_s)",
    "submitters": "the share of users who add feeds (submitters)",
    "mix": "the mix of feeds (mix)",
    "deadline_s": "the deadline of a fetch (deadline_s)",
    "connections": "the connections of open load (connections)",
    "in_flight": "the cap on what is in flight (in_flight)",
}
TOLD = ("database", "slot_kind", "pinning")  # settings that may be the very thing compared


class Question(TypedDict):
    """One figure on both sides. Latencies in ms, shares from 0 to 1; None: not known."""

    condition: str
    group: str
    figure: str  # one of COMPARED
    repeats: tuple[int, int]  # fit ones, before and after
    between: bool  # the interval is from the spread of repeats; False: from the rows of single runs
    before: float
    after: float
    lower_bounds: tuple[bool, bool]
    difference: float  # after minus before
    low: float | None  # of its 95 % interval, for this question alone
    high: float | None
    chance: float | None  # p-value: of a difference at least as large if there were none
    adjusted: float | None  # the same, adjusted for how many questions are asked
    margin: float  # how much worse the figure may become
    finding: str  # slower, slower within the margin, faster, none seen, not judged


class Lost(TypedDict):
    """A condition that can't be compared, since one side has no fit repeat of it."""

    condition: str
    side: str  # before, after
    reasons: list[str]


class Comparison(TypedDict):
    """What `compare --json` writes."""

    schema: str
    version: int
    before: str
    after: str
    worse_percent: float
    questions: list[Question]
    unfit: list[Lost]
    left_out: list[str]  # conditions that only one side has
    warnings: list[str]
    exit_status: int
    sentence: str


def compare(
    a: Side, b: Side, groups: Sequence[str] | None = None, worse_percent: float = WORSE_PERCENT
) -> Comparison:
    """The answers to all questions; `a` is before, `b` is after.

    `groups`: which requests; None: submit and browse for runs, all that both have for files. Raises
    UsageError if the two have nothing in common, or different loads.
    """
    _refuse_different_loads(a, b)
    common = [each for each in a.repeats if each in b.repeats]
    if not common:
        mine, yours = ("; ".join(side.names.values()) or "nothing" for side in (a, b))
        raise UsageError(f"They have no condition in common. {a.path}: {mine}. {b.path}: {yours}.")
    asked = _groups(a, b, groups)
    questions: list[Question] = []
    unfit: list[Lost] = []
    for each in common:
        fit = {"before": _fit(a.repeats[each]), "after": _fit(b.repeats[each])}
        lost = [which for which, repeats in fit.items() if not repeats]
        for which in lost:
            repeats = (a if which == "before" else b).repeats[each]
            reasons = list(dict.fromkeys(reason for repeat in repeats for reason in repeat.unfit))
            unfit.append(Lost(condition=a.names[each], side=which, reasons=reasons))
        if not lost:
            for group in asked:
                questions += _questions(a.names[each], group, fit["before"], fit["after"], worse_percent)
    _judge(questions)
    slower = any(question["finding"] == "slower" for question in questions)
    judged = any(question["chance"] is not None for question in questions)
    status = Status.BROKEN if slower else Status.UNFIT if unfit or not judged else Status.KEPT
    only = [
        f"{side.names[each]} ({side.path})" for side in (a, b) for each in side.repeats if each not in common
    ]
    found = Comparison(
        schema="500ms/comparison",
        version=1,
        before=str(a.path),
        after=str(b.path),
        worse_percent=worse_percent,
        questions=questions,
        unfit=unfit,
        left_out=only,
        warnings=_warnings(a, b),
        exit_status=status,
        sentence="",
    )
    return {**found, "sentence": sentence(found)}


def _fit(repeats: Sequence[Repeat]) -> list[Repeat]:
    return [repeat for repeat in repeats if not repeat.unfit]


def _groups(a: Side, b: Side, groups: Sequence[str] | None) -> list[str]:
    common = [group for group in a.groups if group in b.groups]
    usual = [group for group in ("submit", "browse") if group in common] if a.about else common
    asked = list(usual if groups is None else groups)
    missing = [group for group in asked if group not in common]
    if missing or not asked:
        has = ", ".join(common) or "none"
        raise UsageError(f"No group {missing[0] if missing else ''!r} on both sides. In common: {has}.")
    return asked


def _refuse_different_loads(a: Side, b: Side) -> None:
    if bool(a.about) != bool(b.about):
        raise UsageError(
            "One side is a run of the bench, and the other a file of requests: name two of the same kind."
        )
    if not a.about:
        rules = {repeat.rule_ms for side in (a, b) for each in side.repeats.values() for repeat in each}
        if len(rules) > 1:
            raise UsageError("They were judged by different rules (--rule): measure one of them again.")
        return
    before, after = a.about["settings"], b.about["settings"]
    opened = any(each[1] == "open" for each in a.repeats if each in b.repeats)
    keys = [key for key in MOST_ALIKE if opened or key not in ("connections", "in_flight")]
    told = [
        f"{MOST_ALIKE[key]}: {_told(before.get(key))} and {_told(after.get(key))}"
        for key in keys
        if before.get(key) != after.get(key)
    ]
    if told:
        raise UsageError(
            f"The two runs put different loads on the app, so their figures can't be compared."
            f" Different: {'; '.join(told)}. Measure one of them again with the other's settings."
        )


def _told(value: Any) -> str:
    if isinstance(value, Mapping):
        return ",".join(f"{key}={each:g}" for key, each in value.items())
    return f"{value:g}" if isinstance(value, float) else str(value)


def _warnings(a: Side, b: Side) -> list[str]:
    """What else differs, and may be the reason."""
    told = []
    for what, start in (
        ("machine", "The machines differ, which may be the whole reason"),
        ("packages", "Packages"),
    ):
        before, after = a.about.get(what, {}), b.about.get(what, {})
        different = [
            f"{key} {before.get(key, 'none')} / {after.get(key, 'none')}"
            for key in sorted({*before, *after})
            if before.get(key) != after.get(key)
        ]
        if different:
            told.append(f"{start}: {', '.join(different)}")
    if a.about:
        before, after = a.about["settings"], b.about["settings"]
        different = [
            f"{key} {before[key]} / {after[key]}" for key in TOLD if before.get(key) != after.get(key)
        ]
        if different:
            told.append(f"Settings: {', '.join(different)}")
    return told


def _questions(
    condition: str, group: str, before: Sequence[Repeat], after: Sequence[Repeat], worse_percent: float
) -> list[Question]:
    """The questions of one group of requests under one condition, not yet adjusted."""
    between = len(before) > 1 and len(after) > 1
    sides = [([repeat.summaries[group] for repeat in side], side) for side in (before, after)]
    if between:
        estimates = [{key: between_runs(summaries, key) for key in COMPARED} for summaries, _ in sides]
    else:
        estimates = []
        for summaries, repeats in sides:
            errors = [repeat.errors(group) for repeat in repeats]
            estimates.append({key: within_runs(summaries, errors, key) for key in COMPARED})
    asked = []
    for key in COMPARED:
        a, b = (each[key] for each in estimates)
        if a is None or b is None:
            continue
        margin = MOST_OVER if key == "share_over" else max(LEAST_MS, a.value * worse_percent / 100)
        asked.append(
            _question(a, b, difference(a, b), margin)
            | {
                "condition": condition,
                "group": group,
                "figure": key,
                "repeats": (len(before), len(after)),
                "between": between,
            }
        )
    return asked  # type: ignore[return-value]


def _question(a: Estimate, b: Estimate, found: Difference, margin: float) -> dict[str, Any]:
    return {
        "before": a.value,
        "after": b.value,
        "lower_bounds": (a.lower_bound, b.lower_bound),
        "difference": found.value,
        "low": found.low,
        "high": found.high,
        "chance": found.chance,
        "adjusted": None,
        "margin": margin,
        "finding": "not judged",
    }


def _judge(questions: Sequence[Question]) -> None:
    """Fill in what depends on all questions: the adjusted p-values, and the findings."""
    judged = [question for question in questions if question["chance"] is not None]
    for question, adjusted in zip(judged, holm([q["chance"] or 0.0 for q in judged]), strict=True):
        question["adjusted"] = adjusted
        if adjusted >= 1 - CONFIDENCE:
            question["finding"] = "none seen"
        elif question["difference"] < 0:
            question["finding"] = "faster"
        else:
            large = question["difference"] > question["margin"]
            question["finding"] = "slower" if large else "slower within the margin"
