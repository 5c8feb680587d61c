"""Did it get slower? All questions that two sides allow, answered together; pure except for reading rows.

Each figure of each group of requests under each condition that both sides measured is a question. Judged one
by one, that many would give false alarms, so their p-values are adjusted (Holm). A figure is called slower if
the difference is both significant (adjusted p-value under 5 %) and above the margin: a certain but tiny one
should stop nobody. A group of requests of which no figure could have shown a difference as large as its
margin is undecided.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

from loadtests.comparing.answers import Comparison, Lost, Question, SideName
from loadtests.comparing.comparisontext import sentence, unseen
from loadtests.comparing.differences import between_runs, difference, within_runs
from loadtests.comparing.sides import Repeat, Side
from loadtests.errors import UsageError
from loadtests.judging.intervals import CONFIDENCE, holm
from loadtests.records.constants import MOST_OVER
from loadtests.records.figures import FIGURES
from loadtests.status import Status

WORSE_PERCENT = 10.0  # of a latency: a smaller increase stops nobody
LEAST_MS = 1.0  # a smaller increase may be the load generator's
LoadSetting = Literal["rule_ms", "think_s", "submitters", "mix", "deadline_s", "connections", "in_flight"]
MOST_ALIKE: dict[
    LoadSetting, str
] = {  # settings that define the load: figures under different ones say nothing about the app
    "rule_ms": "the rule (rule_ms)",
    "think_s": "the think time (think_s)",
    "submitters": "the share of users who add feeds (submitters)",
    "mix": "the mix of feeds (mix)",
    "deadline_s": "the deadline of a fetch (deadline_s)",
    "connections": "the connections of open load (connections)",
    "in_flight": "the cap on what is in flight (in_flight)",
}
TOLD: tuple[Literal["database", "slot_kind", "pinning"], ...] = (
    "database",
    "slot_kind",
    "pinning",
)  # settings that may be what is compared


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
        fit: dict[SideName, list[Repeat]] = {"before": _fit(a.repeats[each]), "after": _fit(b.repeats[each])}
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
    doubt = Status.UNFIT if unfit else Status.UNDECIDED if unseen(questions) or not questions else Status.KEPT
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
        exit_status=Status.BROKEN if slower else doubt,
        sentence="",
    )
    found["sentence"] = sentence(found)
    return found


def _fit(repeats: Sequence[Repeat]) -> list[Repeat]:
    return [repeat for repeat in repeats if not repeat.unfit]


def _groups(a: Side, b: Side, groups: Sequence[str] | None) -> list[str]:
    common = [group for group in a.groups if group in b.groups]
    usual = [group for group in ("submit", "browse") if group in common] if a.run else common
    asked = list(usual if groups is None else groups)
    missing = [repr(group) for group in asked if group not in common]
    if missing or not asked:
        what = f"group {missing[0]}" if missing else "group of requests"
        has = ". ".join(f"{side.path}: {', '.join(side.groups) or 'none'}" for side in (a, b))
        raise UsageError(f"There is no {what} throughout both sides. Groups in {has}.")
    return asked


def _refuse_different_loads(a: Side, b: Side) -> None:
    if (a.run is None) != (b.run is None):
        raise UsageError(
            "One side is a run of the bench, and the other a file of requests: name two of the same kind."
        )
    if a.run is None or b.run is None:
        rules = {repeat.rule_ms for side in (a, b) for each in side.repeats.values() for repeat in each}
        if len(rules) > 1:
            raise UsageError("They were judged by different rules (--rule): measure one of them again.")
        return
    before, after = a.run["settings"], b.run["settings"]
    both = (repeat for each, repeats in a.repeats.items() if each in b.repeats for repeat in repeats)
    opened = any(repeat.model == "open" for repeat in both)
    keys = [key for key in MOST_ALIKE if opened or key not in ("connections", "in_flight")]
    told = [
        f"{MOST_ALIKE[key]}: {_told(before[key])} and {_told(after[key])}"
        for key in keys
        if before[key] != after[key]
    ]
    if told:
        raise UsageError(
            f"The two runs put different loads on the app, so their figures can't be compared."
            f" Different: {'; '.join(told)}. Measure one of them again with the other's settings."
        )


def _told(value: object) -> str:
    if isinstance(value, Mapping):
        return ",".join(f"{key}={each:g}" for key, each in value.items())
    return f"{value:g}" if isinstance(value, float) else str(value)


def _warnings(a: Side, b: Side) -> list[str]:
    """What else differs, and may be the reason."""
    if a.run is None or b.run is None:
        return []
    machines: tuple[Mapping[str, object], ...] = (a.run["machine"], b.run["machine"])
    packages = a.run["packages"], b.run["packages"]
    told = []
    for (before, after), start in (
        (machines, "The machines differ, which may be the whole reason"),
        (packages, "Packages"),
    ):
        different = [
            f"{key} {before.get(key, 'none')} / {after.get(key, 'none')}"
            for key in sorted({*before, *after})
            if before.get(key) != after.get(key)
        ]
        if different:
            told.append(f"{start}: {', '.join(different)}")
    mine, yours = a.run["settings"], b.run["settings"]
    different = [f"{key} {mine[key]} / {yours[key]}" for key in TOLD if mine[key] != yours[key]]
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
        estimates = [{key: between_runs(summaries, key) for key in FIGURES} for summaries, _ in sides]
    else:
        estimates = []
        for summaries, repeats in sides:
            errors = [repeat.errors(group) for repeat in repeats]
            estimates.append({key: within_runs(summaries, errors, key) for key in FIGURES})
    asked = []
    for key in FIGURES:
        a, b = (each[key] for each in estimates)
        if a is None or b is None:
            continue
        found = difference(a, b)
        asked.append(
            Question(
                condition=condition,
                group=group,
                figure=key,
                repeats=(len(before), len(after)),
                between=between,
                before=a.value,
                after=b.value,
                lower_bounds=(a.lower_bound, b.lower_bound),
                difference=found.value,
                low=found.low,
                high=found.high,
                chance=found.chance,
                adjusted=None,
                margin=MOST_OVER if key == "share_over" else max(LEAST_MS, a.value * worse_percent / 100),
                finding="not judged",
            )
        )
    return asked


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
