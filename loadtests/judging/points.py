"""From steps to points: what all repeats of a condition say together. Pure.

A condition is an app under one load with one number of slots, workers and threads. Measured once, its figures
have the interval that its own requests give. Those share a queue, and so the interval is rather too narrow.
Measured more often, the figure is the mean of the repeats and its interval is Student's, from how much the
repeats differ: that includes whatever made one run unlike the next.
"""

import math
import statistics
from collections.abc import Sequence

from loadtests.judging.intervals import student_t
from loadtests.judging.rule import rule_of
from loadtests.records.figures import Figure, FigureKey, GroupFigures, Summary
from loadtests.records.recording import Model
from loadtests.records.steps import APPS, About, App, Point, Step

ConditionKey = tuple[App, Model, int | None, float | None, int, int, int]


def condition_key(about: About) -> ConditionKey:
    """What was measured, without which repeat it was."""
    return (
        *(about["app"], about["model"], about["users"], about["rate_per_s"]),
        *(about["slots"], about["workers"], about["threads"]),
    )


def points(steps: Sequence[Step]) -> list[Point]:
    """A point for each condition, as results.json holds them: by app, slots, workers, threads, then by load.

    Repeats that are not fit are left out; a point without a fit one has no figures. A burst is no load that
    goes on, and has no point.
    """
    conditions: dict[ConditionKey, list[int]] = {}
    for index, step in enumerate(steps):
        if "burst" not in step:
            conditions.setdefault(condition_key(step), []).append(index)
    found = [_point(steps, indices) for indices in conditions.values()]
    return sorted(found, key=_order)


def _order(point: Point) -> tuple[object, ...]:
    rest = (point["model"], point["users"] or 0, point["rate_per_s"] or 0)
    return APPS.index(point["app"]), point["slots"], point["workers"], point["threads"], *rest


def _point(steps: Sequence[Step], indices: list[int]) -> Point:
    fit, first = [steps[index] for index in indices if steps[index]["fit"]], steps[indices[0]]
    submit, browse, content = (
        _group([step[group] for step in fit]) for group in ("submit", "browse", "content")
    )
    return Point(
        app=first["app"],
        model=first["model"],
        users=first["users"],
        rate_per_s=first["rate_per_s"],
        slots=first["slots"],
        workers=first["workers"],
        threads=first["threads"],
        steps=indices,
        fit_repeats=len(fit),
        fit=bool(fit),
        steady=all(step["steady"] for step in fit),
        submit=submit,
        browse=browse,
        content=content,
        achieved_per_s=together(
            [Figure(value=step["achieved_per_s"], low=None, high=None, lower_bound=False) for step in fit]
        ),
        rule=rule_of({"submit": submit, "browse": browse}),
    )


def _group(summaries: Sequence[Summary]) -> GroupFigures:
    """The figures of one group of requests, of all its repeats."""

    def figure(key: FigureKey, most: float = math.inf) -> Figure | None:
        return together([found for summary in summaries if (found := figure_of(summary, key))], most)

    return GroupFigures(
        p50_ms=figure("p50_ms"),
        p95_ms=figure("p95_ms"),
        p99_ms=figure("p99_ms"),
        mean_ms=figure("mean_ms"),
        share_over=figure("share_over", most=1.0),
        over=sum(summary["over"] for summary in summaries),
        judged=sum(summary["judged"] for summary in summaries),
        count=sum(summary["count"] for summary in summaries),
    )


def figure_of(summary: Summary, key: FigureKey) -> Figure | None:
    """One figure of a summary with its interval within the run, a mean without; None if there is none."""
    value = summary[key]
    if value is None:
        return None
    intervals = {
        "p50_ms": summary["p50_ci"],
        "p95_ms": summary["p95_ci"],
        "p99_ms": summary["p99_ci"],
        "share_over": summary["share_ci"],
    }
    low, high = intervals.get(key) or (None, None)
    return Figure(value=value, low=low, high=high, lower_bound=key in summary["lower_bounds"])


def together(repeats: Sequence[Figure], most: float = math.inf) -> Figure | None:
    """The mean of the repeats with Student's t interval; one alone as it is; None without any.

    If one of them is a lower bound, so is the mean. It has no interval then: nobody knows how far apart the
    true figures are. An interval ends at 0, below which no figure here can be, and at `most`.
    """
    if len(repeats) < 2:
        return repeats[0] if repeats else None
    values = [repeat["value"] for repeat in repeats]
    mean = math.fsum(values) / len(values)
    if any(repeat["lower_bound"] for repeat in repeats):
        return Figure(value=mean, low=None, high=None, lower_bound=True)
    reach = student_t(len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    return Figure(value=mean, low=max(0.0, mean - reach), high=min(most, mean + reach), lower_bound=False)
