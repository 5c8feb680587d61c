"""From steps to points: what all repeats of a condition say together. Pure.

A condition is an app under one load with one number of slots, workers and threads. Measured once, a figure
gets its interval from the run's own requests; they share a queue, so the interval is somewhat too narrow.
Measured repeatedly, the figure is the mean of the repeats, with Student's interval from their spread, which
includes whatever made one run unlike another.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from loadtests.judging.intervals import student_t
from loadtests.judging.rule import rule_of

Step = Mapping[str, Any]
Condition = tuple[Any, ...]

CONDITION = ("app", "model", "users", "rate_per_s", "slots", "workers", "threads")
GROUPS = ("submit", "browse", "content")
FIGURES = {  # each with the key of its interval within a run; a mean has none
    "p50_ms": "p50_ci",
    "p95_ms": "p95_ci",
    "p99_ms": "p99_ci",
    "mean_ms": None,
    "share_over": "share_ci",
}


class Figure(TypedDict):
    """A figure with its 95 % interval; an end is None if unknown."""

    value: float
    low: float | None
    high: float | None
    lower_bound: bool


def condition(step: Step) -> Condition:
    """What was measured, regardless of the repeat: the values of CONDITION."""
    return tuple(step[key] for key in CONDITION)


def points(steps: Sequence[Step]) -> list[dict[str, Any]]:
    """A point for each condition, as in results.json: by app, slots, workers, threads, then by load.

    Unfit repeats are left out; a point without a fit one has no figures. A burst is not a sustained load, and
    has no point.
    """
    conditions: dict[Condition, list[int]] = {}
    for index, step in enumerate(steps):
        if "burst" not in step:
            conditions.setdefault(condition(step), []).append(index)
    found = [_point(steps, indices) for indices in conditions.values()]
    return sorted(found, key=_order)


def _order(point: Step) -> tuple[Any, ...]:
    rest = (point[key] or 0 for key in ("slots", "workers", "threads", "model", "users", "rate_per_s"))
    return ("sync", "queued", "host").index(point["app"]), *rest


def _point(steps: Sequence[Step], indices: list[int]) -> dict[str, Any]:
    fit = [steps[index] for index in indices if steps[index]["fit"]]
    point: dict[str, Any] = {
        **dict(zip(CONDITION, condition(steps[indices[0]]), strict=True)),
        "steps": indices,
        "fit_repeats": len(fit),
        "fit": bool(fit),
        "steady": all(step["steady"] for step in fit),
        **{group: _group([step[group] for step in fit]) for group in GROUPS},
        "achieved_per_s": together(
            [Figure(value=step["achieved_per_s"], low=None, high=None, lower_bound=False) for step in fit]
        ),
    }
    return {**point, "rule": rule_of(point)}


def _group(summaries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The figures of one group of requests, over all repeats."""
    figures = {}
    for key in FIGURES:
        repeats = [figure for summary in summaries if (figure := figure_of(summary, key)) is not None]
        figures[key] = together(repeats, most=1.0 if key == "share_over" else math.inf)
    counts = {key: sum(summary[key] for summary in summaries) for key in ("count", "over", "judged")}
    return {**figures, **counts}


def figure_of(summary: Mapping[str, Any], key: str) -> Figure | None:
    """One figure of a summary, with its interval within the run; None if the summary lacks it."""
    if summary[key] is None:
        return None
    interval = FIGURES[key]
    low, high = (summary[interval] if interval else None) or (None, None)
    return Figure(value=summary[key], low=low, high=high, lower_bound=key in summary["lower_bounds"])


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
        return Figure(value=mean, low=None, high=None, lower_bound=True)
    reach = student_t(len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    return Figure(value=mean, low=max(0.0, mean - reach), high=min(most, mean + reach), lower_bound=False)
