"""Does each app keep the rule, and with how many users? Pure: from the steps of results.json to a sentence.

The verdict is on points: all repeats of a condition together. The rule is in loadtests/judging/rule.py.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypedDict

from loadtests.judging.points import points
from loadtests.judging.rule import RULED, Word, all_of, broken_shares, more_needed
from loadtests.records.constants import RULE_MS
from loadtests.status import Status
from loadtests.wording import (
    APPS,
    GROUPS,
    HOW,
    SHORT,
    app_name,
    counted,
    duration,
    load,
    percent,
    stated,
    user_count,
    visits,
)

Step = Mapping[str, Any]
Settings = Mapping[str, Any]

SWEPT = {"slots": "slot", "workers": "worker", "threads": "thread"}
TOLD_FIRST = ("queued", "sync", "host")


class Verdict(TypedDict):
    """The verdict on a run, as in results.json."""

    exit_status: int
    sentence: str
    most_users: dict[str, int | None]


def verdict(steps: Sequence[Step], settings: Settings | None = None) -> Verdict:
    """The exit status, the sentence, and the most users with whom each app kept the rule (None: with none).

    The status is 3 if a condition was measured and no repeat of it is fit (or nothing was measured): such a
    run proves nothing. Otherwise it is 0 if the queued app, or the only one measured, kept the rule at every
    point, 1 if it broke it at one, and 4 if there were too few requests to say. A load that kept the rule
    speaks for the smaller ones, since less load makes no request slower. `settings` are those of
    results.json: the first of its slots, workers and threads are the default, which the most users are for;
    without them the first step's are.
    """
    all_points = points(steps)
    settings = settings or {}
    apps = [app for app in TOLD_FIRST if any(point["app"] == app for point in all_points)]
    judged = [point for point in all_points if apps and point["app"] == apps[0]]
    if not all_points or not all(point["fit"] for point in all_points):
        status = Status.UNFIT
    else:
        status = _status(judged)
    usual = [point for point in all_points if is_default(point, steps, settings)]
    told = [
        _no_verdict(steps, all_points),
        _headline(usual, apps, settings),
        _worst(usual, apps, settings),
        _open_load(usual, apps, settings),
        _sweep(all_points, usual, apps, settings),
        _left_out(steps, all_points),
    ]
    named = [app for app in SHORT if app in APPS or app in apps]
    most_users = {app: held([point for point in usual if point["app"] == app], "users") for app in named}
    return Verdict(exit_status=status, sentence=" ".join(filter(None, told)), most_users=most_users)


def worth_repeating(steps: Sequence[Step], repeats: int) -> int | None:
    """The step of the judged app whose verdict a few more `repeats` would decide, as an index into `steps`.

    It is the largest load, which speaks for all others; None if all is decided, or more would hardly help.
    """
    app = next((app for app in TOLD_FIRST if any(step["app"] == app for step in steps)), None)
    for series in _series([point for point in points(steps) if point["app"] == app]):
        if _series_word(series) != "undecided" or not series[-1]["fit"]:
            continue
        largest = series[-1]
        counts = [(largest[group]["over"], largest[group]["judged"]) for group in RULED]
        needed = [
            (more_needed(over, judged) or math.inf) / (judged / largest["fit_repeats"])
            for over, judged in counts
            if judged
        ]
        if needed and max(needed) <= repeats:
            return int(largest["steps"][0])
    return None


def _status(judged: Sequence[Step]) -> Status:
    """Of points that are all fit."""
    word = all_of(_series_word(each) for each in _series(judged))
    return {"kept": Status.KEPT, "broken": Status.BROKEN, "undecided": Status.UNDECIDED}[word]


def _series(measured: Sequence[Step]) -> list[list[Step]]:
    """Points of one app that differ in their load alone, the smallest load first."""
    series: dict[tuple[Any, ...], list[Step]] = {}
    for point in sorted(measured, key=lambda point: float(point["users"] or point["rate_per_s"])):
        series.setdefault((point["model"], *(point[key] for key in SWEPT)), []).append(point)
    return list(series.values())


def _series_word(series: Sequence[Step]) -> Word:
    """What growing loads prove: the largest one speaks for those that are undecided."""
    words: list[Word] = [point["rule"] for point in series]
    return "broken" if "broken" in words else words[-1]


def is_default(point: Step, steps: Sequence[Step], settings: Settings) -> bool:
    """True if a step or a point has the first of the slots, workers and threads asked for."""
    return all(point[key] == settings.get(key, [steps[0][key]])[0] for key in SWEPT)


def held(points_of_app: Sequence[Step], key: str) -> Any:
    """The largest load that kept the rule, no smaller one having broken it; None if there is none.

    `key`: users, for closed load, or rate_per_s, for open. A larger load that keeps it again may be luck.
    What was not fit, or is undecided, neither keeps nor breaks it.
    """
    most = None
    for point in _by_load(points_of_app, key):
        if point["rule"] == "broken":
            break
        if point["rule"] == "kept":
            most = point[key]
    return most


def holds_more(points_of_app: Sequence[Step], key: str) -> bool:
    """True if the load that is `held` is a lower bound: the next larger one that can be judged did not break
    the rule, or there is none.
    """
    most, fit = held(points_of_app, key) or 0, _by_load(points_of_app, key)
    return next((point["rule"] != "broken" for point in fit if point[key] > most), True)


def _by_load(measured: Sequence[Step], key: str) -> list[Step]:
    """The fit points under closed or open load, as `key` says, smallest load first."""
    return sorted((p for p in measured if p["fit"] and p[key] is not None), key=lambda p: float(p[key]))


def _headline(usual: Sequence[Step], apps: Sequence[str], settings: Settings) -> str:
    """How many users each app holds: "The queued app kept the rule of 500 ms up to 20 users; ..."."""
    return _sentence(list(_held_by_each(usual, apps, settings, "users")))


def _open_load(usual: Sequence[Step], apps: Sequence[str], settings: Settings) -> str:
    """The same for open load, in visits a second."""
    held_by_each = list(_held_by_each(usual, apps, settings, "rate_per_s"))
    return _sentence(["in open load " + held_by_each[0], *held_by_each[1:]]) if held_by_each else ""


def _sentence(parts: Sequence[str]) -> str:
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}." if text else ""


def _held_by_each(usual: Sequence[Step], apps: Sequence[str], settings: Settings, key: str) -> Iterator[str]:
    rule = f"the rule of {duration(settings.get('rule_ms', RULE_MS))}"
    say = user_count if key == "users" else visits
    for app in apps:
        tried = [point for point in usual if point["app"] == app and point[key] is not None]
        fit = _by_load(tried, key)
        if not fit:
            continue
        name, most = app_name(app, settings.get("host")), held(tried, key)
        broke = next((point for point in fit if point["rule"] == "broken"), None)
        few = "there were too few requests to say"
        if most is not None:
            limit = "tried" if len(fit) == len(tried) else "that can be judged"
            more = f", the most {limit}" if most == fit[-1][key] else ""
            if broke is None and not more:
                more = f", and with {say(fit[-1][key])} {few}"
            yield f"{name} kept {rule} up to {say(most)}{more}"
        elif broke is None:
            yield f"{few} whether {name} kept {rule}"
        elif broke is fit[0]:
            yield f"{name} broke {rule} even with {say(broke[key])}"
        else:
            yield f"{name} broke {rule} with {say(broke[key])}, and with less {few}"
        rule = "it"


def _worst(usual: Sequence[Step], apps: Sequence[str], settings: Settings) -> str:
    """For each app that broke the rule under closed load: where, and how badly."""
    told = []
    for app in apps:
        fit = _by_load([point for point in usual if point["app"] == app], "users")
        name = app_name(app, settings.get("host"))
        broke = [point for point in fit if point["rule"] == "broken"]
        shares = [
            (share, group, point["users"]) for point in broke for group, share in broken_shares(point).items()
        ]
        if shares:
            share, group, users = max(shares)
            where = f"{percent(share)} of {GROUPS[group]} in {name} took longer or failed"
            told.append(f"At worst, with {user_count(users)}, {where}.")
    return " ".join(told)


def _sweep(all_points: Sequence[Step], usual: Sequence[Step], apps: Sequence[str], settings: Settings) -> str:
    """How many users each app held with non-default slots, workers or threads; empty if none."""
    default = usual[0] if usual else None
    others: dict[tuple[str, str], list[Step]] = {}
    for point in all_points:
        if default and point not in usual and point["users"] is not None:
            swept = [counted(point[key], what) for key, what in SWEPT.items() if point[key] != default[key]]
            others.setdefault((point["app"], " and ".join(swept)), []).append(point)
    told: list[str] = []
    for app in apps:
        parts = []
        for (of, changed), measured in others.items():
            if of == app and _by_load(measured, "users"):
                most = held(measured, "users")
                parts.append(f"{'none' if most is None else user_count(most)} with {changed}")
        if parts:
            told.append(f"{app_name(app, settings.get('host'))} held {', '.join(parts)}")
    return _sentence(told)


def _no_verdict(steps: Sequence[Step], all_points: Sequence[Step]) -> str:
    """Why there is no verdict; empty if there is one."""
    if not all_points:
        return "No step was measured."
    lost = [point for point in all_points if not point["fit"]]
    if not lost:
        return ""
    count = f"{len(lost)} of its {counted(len(all_points), 'point')}"
    example = _example(steps[lost[0]["steps"][0]])
    return f"This run is not fit for a verdict: {count} did not measure the apps alone ({example})."


def _left_out(steps: Sequence[Step], all_points: Sequence[Step]) -> str:
    """Which unfit repeats the fit points leave out; empty if none."""
    repeats = [steps[index] for point in all_points if point["fit"] for index in point["steps"]]
    unfit = [step for step in repeats if not step["fit"]]
    if not unfit:
        return ""
    return f"Left out: {len(unfit)} of {counted(len(repeats), 'measurement')} not fit ({_example(unfit[0])})."


def _example(step: Step) -> str:
    return f"{SHORT[step['app']]}, {load(step)}: {'; '.join(step['unfit_reasons'])}"


def comparable(steps: Sequence[Step], settings: Settings | None = None) -> dict[str, Step]:
    """For each app, its step with the most users at which every measured app is fit; may be empty.

    Closed load only, with the default slots, workers and threads; of several repeats, the first fit one.
    """
    return {
        app: next(steps[index] for index in point["steps"] if steps[index]["fit"])
        for app, point in _comparable_points(steps, settings or {}).items()
    }


def _comparable_points(steps: Sequence[Step], settings: Settings) -> dict[str, Step]:
    closed = [p for p in points(steps) if p["users"] is not None and is_default(p, steps, settings)]
    measured = [app for app in SHORT if any(point["app"] == app for point in closed)]
    fit = {app: {p["users"]: p for p in closed if p["app"] == app and p["fit"]} for app in measured}
    common = set.intersection(*(set(fit[app]) for app in measured)) if measured else set()
    return {app: fit[app][max(common)] for app in measured} if common else {}


def finding(steps: Sequence[Step], settings: Settings | None = None) -> str:
    """What a run shows about POST /feeds, in one line without a full stop."""
    shown = _comparable_points(steps, settings or {})
    told = [
        f"up to {stated(point['submit']['p95_ms'], 'at least ')} {HOW[app]}"
        for app, point in shown.items()
        if point["submit"]["p95_ms"] is not None
    ]
    if not told:
        return "No step of this run is fit for a comparison"
    users = next(iter(shown.values()))["users"]
    return f"With {user_count(users)}, 95 % of POST /feeds took {', '.join(told)}"
