"""Does each app keep the rule, and with how many users? Pure: from the steps of results.json to a sentence.

The verdict is on points: all repeats of a condition together. The rule is in loadtests/judging/rule.py.
"""

from collections.abc import Iterable, Sequence

from loadtests.judging.limits import (
    SWEPT,
    TOLD_FIRST,
    by_load,
    held,
    held_users,
    is_default,
    is_doubtful,
    judged_app,
    status_of,
)
from loadtests.judging.points import points
from loadtests.judging.rule import broken_shares, is_excused
from loadtests.judging.samples import title
from loadtests.records.constants import RULE_MS
from loadtests.records.results import RunVerdict, Settings
from loadtests.records.steps import (
    APPS,
    READERS,
    App,
    LoadKey,
    Point,
    Step,
    counting,
    load_of,
    reasons_of,
    sound,
)
from loadtests.status import Status
from loadtests.wording import (
    HOW,
    SHORT,
    app_name,
    capitalised,
    counted,
    duration,
    load,
    percent,
    said_load,
    stated,
    user_count,
)


def verdict(steps: Sequence[Step], settings: Settings | None = None) -> RunVerdict:
    """The exit status, the sentence, and the most users with whom each app kept the rule (None: with none).

    The status is about the queued app, or the only one measured. Where its loads were given, it is 0 if it
    kept the rule at every point, and 1 if it broke it at one. Where its limit was searched for, it is 0 if it
    kept the rule at one, and 1 if it broke it with the smallest load: that it breaks it somewhere is no
    failure. It is 4 where neither is proved, and 3 if no point can be judged. A load that kept the rule
    speaks for the smaller ones, since less load makes no request slower. `settings` are those of
    results.json: the first of its slots, workers and threads is the default, for which the most users are
    given; without settings, the first step's.
    """
    all_points = points(steps)
    apps = [app for app in TOLD_FIRST if any(point["app"] == app for point in all_points)]
    judged = [point for point in all_points if point["app"] == judged_app(all_points)]
    status = status_of(judged, bool(settings and settings.get("search")))
    usual = [point for point in all_points if is_default(point, steps, settings)]
    told = [
        _no_verdict(steps, judged) if status == Status.UNFIT else "",
        _held(steps, usual, apps, settings, "users"),
        _worst(usual, apps, settings),
        _held(steps, usual, apps, settings, "rate_per_s"),
        _sweep(all_points, usual, apps, settings),
        _upper_bounds(steps, all_points),
        _left_out(steps, all_points) if status != Status.UNFIT else "",
    ]
    named = [app for app in APPS if app in READERS or app in apps]
    most_users: dict[str, int | None] = {
        app: held_users([point for point in usual if point["app"] == app]) for app in named
    }
    return RunVerdict(exit_status=status, sentence=" ".join(filter(None, told)), most_users=most_users)


def _sentence(parts: Sequence[str]) -> str:
    return f"{capitalised('; '.join(parts))}." if parts else ""


def _held(
    steps: Sequence[Step],
    usual: Sequence[Point],
    apps: Sequence[App],
    settings: Settings | None,
    key: LoadKey,
) -> str:
    """How much load each app holds: "The queued app kept the rule of 500 ms up to 20 users; ..."."""
    told = []
    rule = f"the rule of {duration(settings.get('rule_ms', RULE_MS) if settings else RULE_MS)}"
    for app in apps:
        tried = [point for point in usual if point["app"] == app and point[key] is not None]
        fit = by_load(tried, key)
        if not fit:
            continue
        name, most = app_name(app, _host(settings)), held(tried, key)
        broke = next((point for point in fit if point["rule"] == "broken"), None)
        if most is not None:
            more = [point for point in sorted(tried, key=load_of) if load_of(point) > most]
            if broke:
                end = f"up to {said_load(most, key)}, and broke it with {load(broke)}"
            elif not more:
                end = f"up to {said_load(most, key)}, the most tried"
            elif any(_was_full(steps, point) for point in more):
                end = f"with at least {said_load(most, key)}: this machine can do no more"
            elif more[-1]["fit"]:
                end = f"up to {said_load(most, key)}, and with {load(more[-1])} {unsure(more[-1:])}"
            else:
                end = f"up to {said_load(most, key)}, the most that can be judged"
            told.append(f"{name} kept {rule} {end}")
        elif broke is None:
            told.append(f"{unsure(fit)} whether {name} kept {rule}")
        elif broke is fit[0]:
            told.append(f"{name} broke {rule} even with {load(broke)}")
        else:
            told.append(
                f"{name} broke {rule} with {load(broke)}, and with less {unsure(fit[: fit.index(broke)])}"
            )
        rule = "it"
    if told and key == "rate_per_s":
        told[0] = f"in open load {told[0]}"
    return _sentence(told)


def _was_full(steps: Sequence[Step], point: Point) -> bool:
    """Whether a load could not be judged because the machine, or the load generator, could do no more."""
    return is_doubtful(point) and any(steps[index]["slowed_reasons"] for index in point["steps"])


def unsure(measured: Iterable[Point]) -> str:
    """Why these points, of which one at least is undecided, leave it open whether the rule was kept."""
    if any(is_excused(point, bool(point["slowed_reasons"])) for point in measured):
        return "the machine or the load generator was too busy to say"
    return "there were too few requests to say"


def _host(settings: Settings | None) -> str | None:
    return settings.get("host") if settings else None


def _worst(usual: Sequence[Point], apps: Sequence[App], settings: Settings | None) -> str:
    """For each app that broke the rule under closed load: where, and how badly."""
    told = []
    for app in apps:
        fit = by_load([point for point in usual if point["app"] == app], "users")
        name = app_name(app, _host(settings))
        broke = [point for point in fit if point["rule"] == "broken"]
        shares = [
            (share, group, load_of(point)) for point in broke for group, share in broken_shares(point).items()
        ]
        if shares:
            share, group, users = max(shares)
            where = f"{percent(share)} of {title(group)} in {name} took longer or failed"
            told.append(f"At worst, with {said_load(users, 'users')}, {where}.")
    return " ".join(told)


def _sweep(
    all_points: Sequence[Point], usual: Sequence[Point], apps: Sequence[App], settings: Settings | None
) -> str:
    """How many users each app held with non-default slots, workers or threads; empty if none."""
    default = usual[0] if usual else None
    others: dict[tuple[App, str], list[Point]] = {}
    for point in all_points:
        if default and point not in usual and point["users"] is not None:
            swept = [counted(point[key], what) for key, what in SWEPT.items() if point[key] != default[key]]
            others.setdefault((point["app"], " and ".join(swept)), []).append(point)
    told: list[str] = []
    for app in apps:
        parts = []
        for (of, changed), measured in others.items():
            if of == app and by_load(measured, "users"):
                most = held_users(measured)
                parts.append(f"{'none' if most is None else user_count(most)} with {changed}")
        if parts:
            told.append(f"{app_name(app, _host(settings))} held {', '.join(parts)}")
    return _sentence(told)


def _no_verdict(steps: Sequence[Step], judged: Sequence[Point]) -> str:
    """Why there is no verdict."""
    if not judged:
        return "No step was measured."
    example = _example(steps[judged[0]["steps"][0]])
    return f"This run is not fit for a verdict: no load was the one asked for ({example})."


def _left_out(steps: Sequence[Step], all_points: Sequence[Point]) -> str:
    """Which measurements no point is made from; empty if none."""
    repeats = [[steps[index] for index in point["steps"]] for point in all_points]
    left_out = [step for each in repeats for step in each if step not in counting(each)]
    if not left_out:
        return ""
    count = f"{len(left_out)} of {counted(sum(map(len, repeats)), 'measurement')}"
    return f"Left out: {count}, slowed or not fit ({_example(left_out[-1])})."


def _upper_bounds(steps: Sequence[Step], all_points: Sequence[Point]) -> str:
    """Which points' figures are upper bounds; empty if none."""
    slowed = [point for point in all_points if point["fit"] and not sound(point)]
    if not slowed:
        return ""
    first = next(step for index in slowed[0]["steps"] if (step := steps[index])["fit"])
    count = f"{len(slowed)} of {counted(len(all_points), 'point')}"
    return f"The latencies of {count} are upper bounds ({_example(first)})."


def _example(step: Step) -> str:
    return f"{SHORT[step['app']]}, {load(step)}: {'; '.join(reasons_of(step))}"


def comparable(steps: Sequence[Step], settings: Settings | None = None) -> dict[App, Step]:
    """For each app, its step with the most users at which every measured app is sound; may be empty.

    Closed load only, with the default slots, workers and threads; of several repeats, the first sound one.
    """
    return {
        app: next(steps[index] for index in point["steps"] if sound(steps[index]))
        for app, point in _comparable_points(steps, settings).items()
    }


def _comparable_points(steps: Sequence[Step], settings: Settings | None) -> dict[App, Point]:
    closed = [p for p in points(steps) if p["users"] is not None and is_default(p, steps, settings)]
    measured = [app for app in APPS if any(point["app"] == app for point in closed)]
    found = {app: {load_of(p): p for p in closed if p["app"] == app and sound(p)} for app in measured}
    common = set.intersection(*(set(found[app]) for app in measured)) if measured else set()
    return {app: found[app][max(common)] for app in measured} if common else {}


def finding(steps: Sequence[Step], settings: Settings | None = None) -> str:
    """What a run shows about POST /feeds, in one line without a full stop."""
    shown = _comparable_points(steps, settings)
    told = [
        f"up to {stated(point['submit']['p95_ms'], 'at least ')} {HOW[app]}"
        for app, point in shown.items()
        if point["submit"]["p95_ms"] is not None
    ]
    if not told:
        return "No step of this run is fit for a comparison"
    return f"With {load(next(iter(shown.values())))}, 95 % of POST /feeds took {', '.join(told)}"
