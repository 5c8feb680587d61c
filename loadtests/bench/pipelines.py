"""A run for pipelines: JUnit-style XML, and Markdown for a summary page. Pure.

A test case is a point of a run. A pipeline never shows a failure beside a success: one fails only if the exit
status says that the rule was broken, and has an error only if it says that nothing could be judged. Otherwise
it is skipped: the load above the limit that was searched for, the synchronous app where the queued one is
judged, a load that was not fit.
"""

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from loadtests.comparing.sides import name_of
from loadtests.judging.limits import judged_app
from loadtests.judging.rule import RULED, Ruled, broken_shares, word_of
from loadtests.judging.samples import title
from loadtests.judging.verdict import unsure
from loadtests.pipelines import add_outcome, case_of, escaped, table, xml
from loadtests.records.constants import MOST_OVER, RULE_MS
from loadtests.records.figures import FIGURES, GroupFigures
from loadtests.records.results import Results
from loadtests.records.steps import Point, reasons_of, sound
from loadtests.status import Status
from loadtests.wording import app_name, duration, percent, stated, stated_share, with_interval


def junit(results: Results) -> str:
    """A test case for each point, with its figures as properties."""
    suite = Element("testsuite", name="the 500 ms rule", timestamp=results["started_at"][:19])
    judged, status = judged_app(results["points"]), results["verdict"]["exit_status"]
    for point in results["points"]:
        case = case_of(suite, f"loadtests.{point['app']}", name_of(point), dict(_properties(point)))
        measured = results["settings"]["measure_s"] * len(point["steps"])
        case.set("time", f"{measured:g}")
        if not point["fit"]:
            outcome = "error" if status == Status.UNFIT else "skipped"
            add_outcome(case, outcome, f"not fit: {'; '.join(_reasons(results, point))}")
        elif point["rule"] == "undecided":
            add_outcome(case, "skipped", f"undecided: {unsure([point])} whether the rule was kept")
        elif point["rule"] == "broken":
            rule = duration(results["settings"].get("rule_ms", RULE_MS))
            what = f"broke the rule: {_broken(point, rule)}"
            if point["app"] != judged:
                add_outcome(case, "skipped", f"{what}; the verdict is on {app_name(judged)}")
            elif status == Status.BROKEN:
                add_outcome(case, "failure", what)
            else:
                add_outcome(case, "skipped", f"{what}; its limit was searched for")
    if not results["points"]:
        add_outcome(case_of(suite, "loadtests", "the run", {}), "error", "no step was measured")
    return xml(suite, results["verdict"]["sentence"])


def github_summary(results: Results) -> str:
    """Markdown: the verdict, the rows of each point, and the slowed and unfit steps with their reasons."""
    rule = duration(results["settings"].get("rule_ms", RULE_MS))
    head = ["", "requests", "p50", "p95", "p99", f"over {rule}", "rule"]
    rows = [
        [
            name_of(point) if group == RULED[0] else "",
            title(group),
            *_figures(point[group]),
            _kept(point, group),
        ]
        for point in results["points"]
        for group in RULED
    ]
    marks = {0: "✅", 1: "❌", 3: "⚠️", 4: "❔"}
    told = [
        f"### {marks[results['verdict']['exit_status']]} The {rule} rule",
        escaped(results["verdict"]["sentence"]),
        table(head, rows),
        "In parentheses: 95 % intervals, from the repeats' spread if there are several, else within the run.",
    ]
    for fit, what in (
        (True, "Slowed, so that latencies are upper bounds (≤):"),
        (False, "Not fit, and left out:"),
    ):
        those = [
            f"- {escaped(name_of(step))}, repeat {step['repeat']}: {escaped('; '.join(reasons_of(step)))}"
            for step in results["steps"]
            if step["fit"] == fit and not sound(step)
        ]
        if those:
            told += [what, "\n".join(those)]
    return "\n\n".join(told) + "\n"


def _reasons(results: Results, point: Point) -> list[str]:
    steps = [results["steps"][index] for index in point["steps"]]
    return list(dict.fromkeys(reason for step in steps for reason in reasons_of(step)))


def _broken(point: Point, rule: str) -> str:
    over = [
        f"{percent(share)} of {title(group)} took longer than {rule} or failed"
        for group, share in broken_shares(point).items()
    ]
    return f"{', '.join(over)} (at most {percent(MOST_OVER)})"


def _kept(point: Point, group: Ruled) -> str:
    if not point["fit"]:
        return "not fit"
    over, judged = point[group]["over"], point[group]["judged"]
    word = word_of(over, judged, slowed=bool(point["slowed_reasons"]))
    return "–" if not judged else {"broken": "**broken**"}.get(word, word)


def _figures(group: GroupFigures) -> list[str]:
    latencies = [with_interval(group[key], stated) for key in ("p50_ms", "p95_ms", "p99_ms")]
    return [*latencies, with_interval(group["share_over"], stated_share)]


def _properties(point: Point) -> Iterator[tuple[str, str]]:
    """The figures as plain numbers, for programs."""
    for group in RULED:
        for key in FIGURES:
            figure = point[group][key]
            if figure is not None:
                told = {"": figure["value"], ".low": figure["low"], ".high": figure["high"]}
                for name, number in told.items():
                    if number is not None:
                        yield f"{group}.{key}{name}", f"{number:.6g}"
    yield "fit_repeats", str(point["fit_repeats"])
