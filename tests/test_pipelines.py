"""What pipelines are given: XML that every JUnit reader can parse, and Markdown."""

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest
from compared_runs import about, plain, run, step

from loadtests.bench.pipelines import github_summary, junit
from loadtests.comparing.comparison import compare
from loadtests.comparing.pipelines import github_comparison, junit_comparison
from loadtests.comparing.sides import read_side

BUSY = "the machine was 93 % busy (at most 80 %)"


def parsed(xml: str) -> Element:
    """The file's only suite, whose counts agree with its contents."""
    assert xml.startswith('<?xml version="1.0" encoding="UTF-8"?>\n')
    root = ElementTree.fromstring(xml.encode())
    (suite,) = root.findall("testsuite")
    for element in (root, suite):
        assert element.get("tests") == str(len(suite.findall("testcase")))
        for name, kind in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert element.get(name) == str(len(suite.findall(f"testcase/{kind}")))
    return suite


def outcomes(suite: Element) -> dict[str, str]:
    """The outcome of each test case: passed, failure, error or skipped."""
    return {
        f"{case.get('name')}": next((each.tag for each in case if each.tag != "properties"), "passed")
        for case in suite.findall("testcase")
    }


def swept(folder: Path) -> dict[str, Any]:
    """Both apps at 10 and 50 users: at 50 the synchronous one takes 800 ms."""
    return run(
        folder,
        [
            step(folder, (app, users), about(ms), app=app, users=users)
            for app, users, ms in (
                ("queued", 10, 20),
                ("queued", 50, 30),
                ("sync", 10, 100),
                ("sync", 50, 800),
            )
        ],
    )


def test_each_point_is_a_test_case_with_its_figures(tmp_path: Path) -> None:
    """Its properties are the point's figures, as plain numbers."""
    results = swept(tmp_path)
    suite = parsed(junit(results))
    assert suite.get("timestamp") == "2030-01-02T03:04:05"
    cases = suite.findall("testcase")
    assert len(cases) == 4 and {case.get("classname") for case in cases} == {
        "loadtests.queued",
        "loadtests.sync",
    }
    held = {each.get("name"): each.get("value") for each in cases[0].iter("property")}
    point = results["points"][0]
    for key in ("p50_ms", "p95_ms", "p99_ms", "share_over"):
        figure = point["submit"][key]
        for name, end in (("", "value"), (".low", "low"), (".high", "high")):
            assert float(held[f"submit.{key}{name}"] or "") == pytest.approx(figure[end], rel=1e-5)
    assert suite.findtext("system-out") == results["verdict"]["sentence"]


def test_only_what_the_verdict_judges_fails(tmp_path: Path) -> None:
    """The synchronous app may break the rule if the queued one is judged: status 0, and no failure."""
    results = swept(tmp_path / "both")
    assert results["verdict"]["exit_status"] == 0
    found = outcomes(parsed(junit(results)))
    assert sorted(found.values()) == ["passed", "passed", "passed", "skipped"]
    assert next(name for name, outcome in found.items() if outcome == "skipped").startswith("synchronous, 50")
    alone = tmp_path / "alone"
    results = run(alone, [step(alone, 1, about(800), app="sync", users=50)])
    assert results["verdict"]["exit_status"] == 1
    suite = parsed(junit(results))
    assert list(outcomes(suite).values()) == ["failure"]
    said = suite.find("testcase/failure")
    assert said is not None and "of POST /feeds took longer than 500 ms or failed" in (
        said.get("message") or ""
    )


def test_a_run_of_which_nothing_can_be_said_is_an_error_that_says_why(tmp_path: Path) -> None:
    """So is a run without a point. Beside a point that was fit, one that was not is skipped."""
    unfit = step(tmp_path, 2, about(20), users=50, unfit_reasons=[BUSY])
    results = run(tmp_path, [unfit])
    assert results["verdict"]["exit_status"] == 3
    suite = parsed(junit(results))
    assert [each.get("message") for each in suite.iter("error")] == [f"not fit: {BUSY}"]
    results = run(tmp_path, [step(tmp_path, 1, about(20)), unfit])
    assert results["verdict"]["exit_status"] == 4
    suite = parsed(junit(results))
    assert sorted(outcomes(suite).values()) == ["passed", "skipped"]
    assert [each.get("message") for each in suite.iter("skipped")] == [f"not fit: {BUSY}"]
    assert list(outcomes(parsed(junit(run(tmp_path, [])))).values()) == ["error"]


def test_the_load_above_a_limit_that_was_searched_for_is_no_failure(tmp_path: Path) -> None:
    """Status 0, and skipped; where the same load was given, it fails."""
    steps = [step(tmp_path, 1, about(20)), step(tmp_path, 2, about(800), users=50)]
    results = run(tmp_path, steps, search=True)
    assert results["verdict"]["exit_status"] == 0
    suite = parsed(junit(results))
    assert sorted(outcomes(suite).values()) == ["passed", "skipped"]
    (skipped,) = suite.iter("skipped")
    assert (skipped.get("message") or "").endswith("(at most 1.0 %); its limit was searched for")
    assert github_summary(results).startswith("### ✅ ")
    assert sorted(outcomes(parsed(junit(run(tmp_path, steps)))).values()) == ["failure", "passed"]


def few(folder: Path, app: str = "queued", users: int = 5, **different: Any) -> dict[str, Any]:
    """A step with 40 requests of each kind, all fast: too few to decide."""
    return step(folder, (app, users), about(20), per_s=2, app=app, users=users, **different)


def test_an_undecided_point_is_skipped_and_says_so(tmp_path: Path) -> None:
    """Neither a failure nor a success; the verdict has status 4."""
    results = run(tmp_path, [few(tmp_path)])
    assert results["verdict"]["exit_status"] == 4
    suite = parsed(junit(results))
    assert set(outcomes(suite).values()) == {"skipped"}
    (skipped,) = suite.iter("skipped")
    assert skipped.get("message") == "undecided: there were too few requests to say whether the rule was kept"
    text = github_summary(results)
    assert text.startswith("### ❔ The 500 ms rule\n\nThere were too few requests to say whether")
    assert text.count("| undecided |") == 2


def test_what_a_full_machine_may_have_done_is_skipped_and_says_so(tmp_path: Path) -> None:
    """Over the limit: no failure. Within it: a success, and the summary marks its figures as upper bounds."""
    kept = step(tmp_path, 1, about(20), slowed_reasons=[BUSY])
    results = run(tmp_path, [kept, step(tmp_path, 2, about(800), users=50, slowed_reasons=[BUSY])])
    assert results["verdict"]["exit_status"] == 4
    suite = parsed(junit(results))
    assert sorted(outcomes(suite).values()) == ["passed", "skipped"]
    (skipped,) = suite.iter("skipped")
    assert "the machine or the load generator was too busy to say" in (skipped.get("message") or "")
    text = github_summary(results)
    assert "| undecided |" in text and "**broken**" not in text
    assert "≤ 20 ms (? to " in text
    assert f"upper bounds (≤):\n\n- queued, 20 users, 8 slots, 1 worker, 32 threads, repeat 1: {BUSY}" in text


def test_a_group_is_undecided_or_broken_for_itself(tmp_path: Path) -> None:
    """A row states what its own requests prove; a failure reports only what is beyond doubt."""
    broken = step(tmp_path, 1, about(800), users=20)
    other = few(tmp_path)["browse"] | {"over": 1, "share_over": 1 / 40}
    results = run(tmp_path, [broken | {"browse": other}])
    assert results["verdict"]["exit_status"] == 1
    (failure,) = parsed(junit(results)).iter("failure")
    message = failure.get("message") or ""
    assert "of POST /feeds took longer than 500 ms or failed (at most 1.0 %)" in message
    assert "browsing" not in message
    lines = [line for line in github_summary(results).splitlines() if line.startswith("|")]
    assert [line.rsplit("|", 2)[1].strip() for line in lines[2:]] == ["**broken**", "undecided"]


def test_a_larger_load_speaks_for_a_smaller_one_that_is_skipped(tmp_path: Path) -> None:
    """Status 0, and no failure in the file."""
    results = run(tmp_path, [few(tmp_path), step(tmp_path, 2, about(20), users=20)])
    assert results["verdict"]["exit_status"] == 0
    assert sorted(outcomes(parsed(junit(results))).values()) == ["passed", "skipped"]
    assert github_summary(results).startswith("### ✅ ")


def test_whatever_stands_in_a_reason_the_xml_can_be_read(tmp_path: Path) -> None:
    """Brackets, quotes, ampersands, and characters that XML does not allow."""
    reason = '<b> & "it\'s" \x00\x1b[31m ]]> \ud800 é'
    results = run(tmp_path, [step(tmp_path, 1, about(20), unfit_reasons=[reason])])
    (error,) = parsed(junit(results)).iter("error")
    assert error.text == 'not fit: <b> & "it\'s" \ufffd\ufffd[31m ]]> \ufffd é'


def test_the_summary_has_the_verdict_and_a_row_for_each_point(tmp_path: Path) -> None:
    """Every row has as many cells as the head."""
    results = swept(tmp_path)
    text = github_summary(results)
    lines = text.splitlines()
    assert lines[0] == "### ✅ The 500 ms rule"
    assert lines[2] == results["verdict"]["sentence"]
    table = [line for line in lines if line.startswith("|")]
    assert len(table) == 2 + 2 * 4
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in table} == {8}
    assert ["**broken**" in line for line in table[2:]] == [False] * 2 + [True] * 2 + [False] * 4
    assert re.search(r"^\| queued, 10 users, .* \| POST /feeds \| 20 ms \(\d+ ms to \d+ ms\) \|", table[6])
    assert "Not fit" not in text


def test_the_summary_lists_what_is_not_fit_and_why(tmp_path: Path) -> None:
    """Each repeat, with its reasons escaped."""
    steps = [
        step(tmp_path, 1, about(20)),
        step(tmp_path, 2, about(20), users=50, repeat=2, unfit_reasons=["<x> | *y*", BUSY]),
    ]
    text = github_summary(run(tmp_path, steps))
    assert text.startswith("### ❔ ")
    assert f"50 users, 8 slots, 1 worker, 32 threads, repeat 2: &lt;x> \\| \\*y\\*; {BUSY}" in text
    assert "| not fit |" in text


def comparison(tmp_path: Path, before: float, after: float) -> Any:
    a, b = plain(tmp_path / "a", before, 3), plain(tmp_path / "b", after, 3, seed=2)
    return compare(read_side(a), read_side(b))


def test_a_comparison_has_a_test_case_for_each_group(tmp_path: Path) -> None:
    """A group that got slower fails, with the figures."""
    found = comparison(tmp_path / "slower", 200, 300)
    suite = parsed(junit_comparison(found))
    assert list(outcomes(suite)) == [
        "POST /feeds (queued, 20 users, 8 slots, 1 worker, 32 threads)",
        "browsing (queued, 20 users, 8 slots, 1 worker, 32 threads)",
    ]
    assert set(outcomes(suite).values()) == {"failure"}
    (first, _) = suite.iter("failure")
    assert re.match(r"slower: p50: 1\d\d|20\d ms to \d+ ms", first.get("message") or "")
    same = parsed(junit_comparison(comparison(tmp_path / "same", 200, 200)))
    assert set(outcomes(same).values()) == {"passed"}


def test_a_comparison_that_is_not_fit_is_an_error(tmp_path: Path) -> None:
    """Exit status 3, and an error in it."""
    a, b = plain(tmp_path / "a", 200), tmp_path / "b"
    run(b, [step(b, 1, about(200), unfit_reasons=[BUSY])])
    found = compare(read_side(a), read_side(b))
    assert found["exit_status"] == 3
    suite = parsed(junit_comparison(found))
    assert set(outcomes(suite).values()) == {"error"}
    assert BUSY in github_comparison(found)


def test_a_comparison_as_markdown(tmp_path: Path) -> None:
    """The verdict, and each figure with its interval; a group's first row alone names its condition."""
    text = github_comparison(comparison(tmp_path, 200, 300))
    assert text.startswith("### ❌ Slower\n\nSlower: ")
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len(table) == 2 + 2 * 5
    assert {line.count("|") for line in table} == {8}
    assert sum("20 users" in line for line in table) == 2
    assert re.search(r"\| p50 \| \d+ ms \| \d+ ms \| \+\d+ ms \| \+\d+ ms to \+\d+ ms \| SLOWER \|", table[2])
