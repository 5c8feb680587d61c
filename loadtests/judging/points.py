"""From steps to points: what all repeats of a condition say together. Pure.

A condition is an app under one load with one number of slots, workers and threads. Measured once, a figure
gets its interval from the run's own requests; they share a queue, so the interval is somewhat too narrow.
Measured repeatedly, the figure is the mean of the repeats, with Student's interval from their spread, which
includes whatever made one run unlike another.
"""

import math
import statistics
from collections.abc import Sequence

from loadtests.judging.intervals import student_t
from loadtests.judging.rule import rule_of
from loadtests.records.figures import Figure, FigureKey, GroupFigures, Summary, without_interval
from loadtests.records.recording import Model
from loadtests.records.steps import APPS, About, App, Point, Step, counting

ConditionKey = tuple[App, Model, int | None, float | None, int, int, int]


def condition_key(about: About) -> ConditionKey:
    """What was measured, without which repeat it was."""
    return (
        *(about["app"], about["model"], about["users"], about["rate_per_s"]),
        *(about["slots"], about["workers"], about["threads"]),
    )


def points(steps: Sequence[Step]) -> list[Point]:
    """A point for each condition, as results.json holds them: by app, slots, workers, threads, then by load.

    Unfit repeats are left out, and so are slowed ones beside sound ones; a point without a fit one has no
    figures. If all fit ones were slowed, its figures are upper bounds. A burst is not a sustained load, and
    has no point.
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
    fit, first = counting([steps[index] for index in indices]), steps[indices[0]]
    slowed = list(dict.fromkeys(reason for step in fit for reason in step["slowed_reasons"]))
    submit, browse, content = (
        _group([step[group] for step in fit], bool(slowed)) for group in ("submit", "browse", "content")
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
        slowed_reasons=slowed,
        steady=all(step["steady"] for step in fit),
        submit=submit,
        browse=browse,
        content=content,
        achieved_per_s=together([without_interval(step["achieved_per_s"]) for step in fit]),
        rule=rule_of({"submit": submit, "browse": browse}, bool(slowed)),
    )


def _group(summaries: Sequence[Summary], slowed: bool) -> GroupFigures:
    """The figures of one group of requests, over all repeats."""

    def figure(key: FigureKey, most: float = math.inf) -> Figure | None:
        found = together([found for summary in summaries if (found := figure_of(summary, key))], most)
        return upper_bound(found) if found and slowed else found

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


def upper_bound(figure: Figure) -> Figure:
    """A figure of slowed requests: the app's own may be anything below."""
    return {**figure, "low": None, "upper_bound": True}


def together(repeats: Sequence[Figure], most: float = math.inf) -> Figure | None:
    """The mean of the repeats with Student's t interval; a single repeat unchanged; None if there are none.

    If a repeat is a lower bound, so is the mean, which then has no interval: the spread of the true figures
    is unknown. An interval is clipped to the range from 0 to `most`.
    """
    if len(repeats) < 2:
        return repeats[0] if repeats else None
    values = [repeat["value"] for repeat in repeats]
    mean = math.fsum(values) / len(values)
    if any(repeat["lower_bound"] for repeat in repeats):
        return without_interval(mean, lower_bound=True)
    reach = student_t(len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    return Figure(value=mean, low=max(0.0, mean - reach), high=min(most, mean + reach), lower_bound=False)
