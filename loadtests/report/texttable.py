"""A run as plain text: the final table in the terminal."""

import textwrap
from collections.abc import Sequence

from loadtests.judging.limits import SWEPT
from loadtests.records.results import Results
from loadtests.records.steps import APPS, Point, Step, load_of, sound
from loadtests.wording import LABELS, SHORT, all_settings, duration, load, stated, stated_share

LINE = "{:>7} {:14} {:>6} {:>8} {:>8} {:>8} {:>8} {:>8} {:>3}"


def text_table(results: Results) -> str:
    """A line for each point over all repeats, at most 80 columns wide; then what was slowed or not fit."""
    rule = duration(results["settings"]["rule_ms"])
    heads = ("load", "app", "POSTs", "p50", "p95", "p99", f"> {rule}", "content", "fit")
    lines = [f"p50 to p99, > {rule}: of POST /feeds. Content: p50 until the feed can be read."]
    points = sorted(results["points"], key=_order)
    if any(point["model"] == "open" for point in points):
        lines.append("Load: users; with /s, visits a second.")
    if results["settings"]["repeats"] > 1:
        lines.append("Figures: means of the repeats that count. Fit: how many those are.")
    if any(point["fit"] and not sound(point) for point in points):
        lines.append("≤: an upper bound: the machine or the generator was too busy. ~: no bound.")
    lines.append(LINE.format(*heads))
    settings = {tuple(point[key] for key in SWEPT) for point in points}
    before = None
    for point in points:
        if len(settings) > 1 and (now := all_settings(point)) != before:
            lines.append(f"{now}:")
            before = now
        lines.append(LINE.format(*_cells(point)))
    for step in results["steps"]:
        if "burst" in step:
            lines.append(_burst(results, step))
        for reasons, what in ((step["unfit_reasons"], "Not fit"), (step["slowed_reasons"], "Slowed")):
            for reason in reasons:
                lines += textwrap.wrap(f"{what}: {SHORT[step['app']]}, {load(step)}: {reason}", 80)
    return "\n".join(lines)


def _order(point: Point) -> tuple[object, ...]:
    return (*(point[key] for key in SWEPT), point["model"], load_of(point), APPS.index(point["app"]))


def _cells(point: Point) -> Sequence[str]:
    submit = point["submit"]
    repeats = len(point["steps"])
    fit = f"{point['fit_repeats']}/{repeats}" if repeats > 1 else "yes" if point["fit"] else "no"
    return (
        f"{load_of(point):g}" + ("/s" if point["model"] == "open" else ""),
        LABELS[point["app"]],
        str(submit["count"]),
        *(stated(submit[key]) for key in ("p50_ms", "p95_ms", "p99_ms")),
        stated_share(submit["share_over"]),
        stated(point["content"]["p50_ms"]),
        fit,
    )


def _burst(results: Results, step: Step) -> str:
    burst = results["theory"]["burst"] if results["theory"] else None
    drained = burst["measured_s"] if burst else None
    said = "" if drained is None else f": no more of them waited {drained:.1f} s later"
    return f"Burst of {step.get('burst')} jobs at once{said}."
