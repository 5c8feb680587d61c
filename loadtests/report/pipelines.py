"""The verdict on a file of requests for pipelines: JUnit-style XML. Pure.

A test case is a group of requests, or an expectation, in one stage. It fails, errs or passes as the verdict
does.
"""

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from loadtests.judging.judge import Judgement, StageVerdict
from loadtests.judging.samples import title
from loadtests.pipelines import add_outcome, case_of, xml
from loadtests.report.rowsreport import headline, reason_of, stage_load

OUTCOMES = {"broken": "failure", "undecided": "skipped"}


def junit_judgement(judgement: Judgement) -> str:
    """A test case for each verdict: a failure where it is broken, an error where the load was not fit."""
    suite = Element("testsuite", name="the rule and the expectations")
    for stage in judgement.stages:
        where = stage_load(stage, judgement.recording)
        for name, word, reason in _verdicts(stage, judgement):
            case = case_of(
                suite, "loadtests.report", f"{name} ({where})" if where else name, {"figure": reason}
            )
            if stage.doubts:
                add_outcome(case, "error", f"not fit: {'; '.join(stage.doubts)}")
            elif word in OUTCOMES:
                add_outcome(case, OUTCOMES[word], f"{word}: {reason}")
    if not len(suite):
        add_outcome(case_of(suite, "loadtests.report", "the load", {}), "error", "no request was measured")
    return xml(suite, headline(judgement))


def _verdicts(stage: StageVerdict, judgement: Judgement) -> Iterator[tuple[str, str, str]]:
    """What was judged, the word, and why."""
    for group in stage.groups:
        if group.word != "visit":
            yield title(group.group), group.word, reason_of(group, judgement.recording)
    for each in stage.expectations:
        yield each.text, each.word, each.reason
