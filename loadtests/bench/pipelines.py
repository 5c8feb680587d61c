"""Results for pipelines: JUnit-style XML, and Markdown for a summary page. Pure: from dictionaries to text.

A test case is a point of a run, or a condition of a comparison. Its result agrees with the exit status,
so that a pipeline never shows a failed test beside a success: an app that the verdict does not judge (the
synchronous one, if the queued one was measured too) is skipped where it breaks the rule.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from loadtests.comparing.comparisontext import FIGURES, change, interval, mark, sees_nothing, value, where
from loadtests.comparing.sides import name_of
from loadtests.judging.rule import MOST_OVER, RULED, shares_over
from loadtests.judging.samples import RULE_MS
from loadtests.judging.verdict import TOLD_FIRST
from loadtests.wording import GROUPS, app_name, duration, percent

# What XML 1.0 can't hold, escaped or not.
UNPRINTABLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
Results = Mapping[str, Any]


def junit(results: Results) -> str:
    """A test case for each point: a failure where the rule is broken, an error where no repeat was fit."""
    suite = Element("testsuite", name="the 500 ms rule", timestamp=results["started_at"][:19])
    judged = _judged(results)
    for point in results["points"]:
        case = _case(suite, f"loadtests.{point['app']}", name_of(point), dict(_properties(point)))
        measured = results["settings"]["measure_s"] * len(point["steps"])
        case.set("time", f"{measured:g}")
        if not point["fit"]:
            _outcome(case, "error", f"not fit: {'; '.join(_reasons(results, point))}")
        elif not point["within_rule"]:
            rule = duration(results["settings"].get("rule_ms", RULE_MS))
            what = f"broke the rule: {_broken(point, rule)}"
            if point["app"] == judged:
                _outcome(case, "failure", what)
            else:
                _outcome(case, "skipped", f"{what}; the verdict is on {app_name(judged)}")
    if not results["points"]:
        _outcome(_case(suite, "loadtests", "the run", {}), "error", "no step was measured")
    return _xml(suite, results["verdict"]["sentence"])


def junit_comparison(comparison: Mapping[str, Any]) -> str:
    """A test case for each group of requests under each condition: a failure where it got slower."""
    suite = Element("testsuite", name="not slower than before")
    asked: dict[str, list[Mapping[str, Any]]] = {}
    for question in comparison["questions"]:
        asked.setdefault(where(question), []).append(question)
    for name, questions in asked.items():
        figures = {FIGURES[each["figure"]]: _told(each) for each in questions}
        case = _case(suite, "loadtests.compare", name, figures)
        slower = [
            f"{FIGURES[each['figure']]}: {_told(each)}" for each in questions if each["finding"] == "slower"
        ]
        if slower:
            _outcome(case, "failure", f"slower: {'; '.join(slower)}")
        elif all(each["chance"] is None for each in questions):
            _outcome(case, "skipped", "too few requests to say anything")
    for lost in comparison["unfit"]:
        case = _case(suite, "loadtests.compare", lost["condition"] or "the file", {"side": lost["side"]})
        _outcome(case, "error", f"not fit {lost['side']}: {'; '.join(lost['reasons'])}")
    if comparison["exit_status"] == 3 and not comparison["unfit"]:
        _outcome(_case(suite, "loadtests.compare", "the comparison", {}), "error", comparison["sentence"])
    return _xml(suite, comparison["sentence"])


def github_summary(results: Results) -> str:
    """Markdown: the verdict, the rows of each point, and the unfit steps with their reasons."""
    rule = duration(results["settings"].get("rule_ms", RULE_MS))
    head = ["", "requests", "p50", "p95", "p99", f"over {rule}", "rule"]
    rows = [
        [
            name_of(point) if group == RULED[0] else "",
            GROUPS[group],
            *_figures(point[group]),
            _kept(point, group),
        ]
        for point in results["points"]
        for group in RULED
    ]
    marks = {0: "✅", 1: "❌", 3: "⚠️"}
    told = [
        f"### {marks[results['verdict']['exit_status']]} The {rule} rule",
        _escaped(results["verdict"]["sentence"]),
        _table(head, rows),
        "In brackets: 95 % intervals, from the repeats' spread if there are several, else within the run.",
    ]
    unfit = [
        f"- {_escaped(name_of(step))}, repeat {step['repeat']}: {_escaped('; '.join(step['unfit_reasons']))}"
        for step in results["steps"]
        if not step["fit"]
    ]
    if unfit:
        told += ["Not fit, and left out of the figures:", "\n".join(unfit)]
    return "\n\n".join(told) + "\n"


def github_comparison(comparison: Mapping[str, Any]) -> str:
    """Markdown: the verdict, and a row for each figure."""
    head = ["requests", "figure", "before", "after", "change", "95 % interval", ""]
    shown = [""] + [where(each) for each in comparison["questions"]]
    rows = [
        [
            where(each) if where(each) != before else "",
            FIGURES[each["figure"]],
            value(each, "before"),
            value(each, "after"),
            change(each),
            interval(each),
            mark(each),
        ]
        for before, each in zip(shown, comparison["questions"], strict=False)
    ]
    title = {0: "✅ Not slower", 1: "❌ Slower", 3: "⚠️ Not fit to compare"}[comparison["exit_status"]]
    if comparison["exit_status"] == 0 and sees_nothing(comparison):
        title = "⚠️ No difference seen, but these runs could not have shown one"
    told = [f"### {title}", _escaped(comparison["sentence"]), *([_table(head, rows)] if rows else [])]
    told += [_escaped(warning) for warning in comparison["warnings"]]
    told += [
        f"- Not fit {lost['side']}: {_escaped(lost['condition'])}: {_escaped('; '.join(lost['reasons']))}"
        for lost in comparison["unfit"]
    ]
    return "\n\n".join(told) + "\n"


# ---- words for both


def _judged(results: Results) -> str:
    """The app that the verdict is on, as in `verdict`."""
    apps = {point["app"] for point in results["points"]}
    return next((app for app in TOLD_FIRST if app in apps), "queued")


def _reasons(results: Results, point: Results) -> list[str]:
    steps = [results["steps"][index] for index in point["steps"]]
    return list(dict.fromkeys(reason for step in steps for reason in step["unfit_reasons"]))


def _broken(point: Results, rule: str) -> str:
    shares = {group: share for group, share in shares_over(point).items() if share > MOST_OVER}
    over = [
        f"{percent(share)} of {GROUPS[group]} took longer than {rule} or failed"
        for group, share in shares.items()
    ]
    return f"{', '.join(over)} (at most {percent(MOST_OVER)})" if over else "nothing was answered"


def _kept(point: Results, group: str) -> str:
    if not point["fit"]:
        return "not fit"
    share = shares_over(point).get(group)
    return "–" if share is None else "kept" if share <= MOST_OVER else "**broken**"


def _figures(group: Results) -> list[str]:
    return [_with_interval(group[key], key) for key in ("p50_ms", "p95_ms", "p99_ms", "share_over_500ms")]


def _with_interval(figure: Results | None, key: str) -> str:
    """ "120 ms [110, 131 ms]"; a dash if there is none."""
    if figure is None:
        return "–"
    say = percent if key == "share_over_500ms" else duration
    told = ("≥ " if figure["lower_bound"] else "") + say(figure["value"])
    ends = [say(end) if end is not None else "?" for end in (figure["low"], figure["high"])]
    return told if ends == ["?", "?"] else f"{told} [{' – '.join(ends)}]"


def _properties(point: Results) -> Iterator[tuple[str, str]]:
    """The figures as plain numbers, for programs."""
    for group in RULED:
        for key in FIGURES:
            figure = point[group][key]
            if figure is not None:
                for name, end in (("", "value"), (".low", "low"), (".high", "high")):
                    if figure[end] is not None:
                        yield f"{group}.{key}{name}", f"{figure[end]:.6g}"
    yield "fit_repeats", str(point["fit_repeats"])


def _told(question: Mapping[str, Any]) -> str:
    both = f"{value(question, 'before')} to {value(question, 'after')}"
    return f"{both} ({change(question)}; 95 % interval {interval(question)})"


# ---- XML and Markdown


def _case(suite: Element, classname: str, name: str, properties: Mapping[str, str]) -> Element:
    case = SubElement(suite, "testcase", classname=_printable(classname), name=_printable(name), time="0")
    held = SubElement(case, "properties")
    for key, text in properties.items():
        SubElement(held, "property", name=key, value=_printable(text))
    return case


def _outcome(case: Element, kind: str, message: str) -> None:
    SubElement(case, kind, message=_printable(message)).text = _printable(message)


def _xml(suite: Element, sentence: str) -> str:
    counts = {
        "tests": len(suite.findall("testcase")),
        "failures": len(suite.findall("testcase/failure")),
        "errors": len(suite.findall("testcase/error")),
        "skipped": len(suite.findall("testcase/skipped")),
    }
    root = Element("testsuites")
    for element in (suite, root):
        for key, count in counts.items():
            element.set(key, str(count))
    root.append(suite)
    SubElement(suite, "system-out").text = _printable(sentence)
    indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{tostring(root, encoding="unicode")}\n'


def _printable(text: str) -> str:
    return UNPRINTABLE.sub("\ufffd", text)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(_cell(each) for each in line)} |" for line in lines)


def _cell(text: str) -> str:
    return text if text in ("---", "**broken**") else _escaped(text).replace("\n", " ")


def _escaped(text: str) -> str:
    """Escape what Markdown or HTML would interpret."""
    text = text.replace("&", "&amp;").replace("<", "&lt;")
    return re.sub(r"([\\`*_\[\]|#~])", r"\\\1", text)
