"""A comparison for pipelines: JUnit-style XML, and Markdown for a summary page. Pure.

A test case is a group of requests under one condition. It fails, errs or passes as the exit status does.
"""

from xml.etree.ElementTree import Element

from loadtests.comparing.answers import Comparison, Question
from loadtests.comparing.comparisontext import FIGURE_NAMES, change, interval, mark, unseen, value, where
from loadtests.pipelines import add_outcome, case_of, escaped, table, xml


def junit_comparison(comparison: Comparison) -> str:
    """A test case for each group of requests under each condition: a failure where it got slower."""
    suite = Element("testsuite", name="not slower than before")
    asked: dict[str, list[Question]] = {}
    for question in comparison["questions"]:
        asked.setdefault(where(question), []).append(question)
    for name, questions in asked.items():
        figures = {FIGURE_NAMES[each["figure"]]: _told(each) for each in questions}
        case = case_of(suite, "loadtests.compare", name, figures)
        slower = [
            f"{FIGURE_NAMES[each['figure']]}: {_told(each)}"
            for each in questions
            if each["finding"] == "slower"
        ]
        if slower:
            add_outcome(case, "failure", f"slower: {'; '.join(slower)}")
        elif unseen(questions):
            add_outcome(case, "skipped", "undecided: no figure could have shown a difference that matters")
    for lost in comparison["unfit"]:
        case = case_of(suite, "loadtests.compare", lost["condition"] or "the file", {"side": lost["side"]})
        add_outcome(case, "error", f"not fit {lost['side']}: {'; '.join(lost['reasons'])}")
    if not comparison["questions"] and not comparison["unfit"]:
        add_outcome(
            case_of(suite, "loadtests.compare", "the comparison", {}), "skipped", comparison["sentence"]
        )
    return xml(suite, comparison["sentence"])


def github_comparison(comparison: Comparison) -> str:
    """Markdown: the verdict, and a row for each figure."""
    head = ["requests", "figure", "before", "after", "change", "95 % interval", ""]
    shown = [""] + [where(each) for each in comparison["questions"]]
    rows = [
        [
            where(each) if where(each) != before else "",
            FIGURE_NAMES[each["figure"]],
            value(each, "before"),
            value(each, "after"),
            change(each),
            interval(each),
            mark(each),
        ]
        for before, each in zip(shown, comparison["questions"], strict=False)
    ]
    titles = {0: "✅ Not slower", 1: "❌ Slower", 3: "⚠️ Not fit to compare", 4: "❔ Undecided"}
    title = titles[comparison["exit_status"]]
    told = [f"### {title}", escaped(comparison["sentence"]), *([table(head, rows)] if rows else [])]
    told += [escaped(warning) for warning in comparison["warnings"]]
    told += [
        f"- Not fit {lost['side']}: {escaped(lost['condition'])}: {escaped('; '.join(lost['reasons']))}"
        for lost in comparison["unfit"]
    ]
    return "\n\n".join(told) + "\n"


def _told(question: Question) -> str:
    both = f"{value(question, 'before')} to {value(question, 'after')}"
    return f"{both} ({change(question)}; 95 % interval {interval(question)})"
