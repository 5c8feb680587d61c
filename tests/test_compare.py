"""`python -m loadtests compare` of runs: slower, not slower, not fit, or not comparable."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from compared_runs import about, answer, file_of_requests, findings, plain, refused, rows_of, run, save, step

from loadtests.__main__ import main
from loadtests.comparing.compare import main as compare
from loadtests.comparing.sides import read_side
from loadtests.records.rows import write_rows


@pytest.mark.parametrize("repeats", [1, 5])
def test_what_got_slower_fails(tmp_path: Path, repeats: int, capsys: pytest.CaptureFixture[str]) -> None:
    """By half: detected between repeats, and within a run from its rows."""
    before, after = plain(tmp_path / "a", 200, repeats), plain(tmp_path / "b", 300, repeats, seed=2)
    found = answer(before, after)
    assert found["exit_status"] == 1
    assert findings(found)["p50_ms"] == findings(found)["mean_ms"] == {"slower"}
    median = next(each for each in found["questions"] if each["figure"] == "p50_ms")
    assert median["low"] < 100 < median["high"] and median["between"] == (repeats > 1)
    assert median["repeats"] == [repeats, repeats]
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 80
    assert "SLOWER" in said and "Slower: " in found["sentence"]


@pytest.mark.parametrize("repeats", [1, 5])
def test_what_is_as_fast_as_before_passes(tmp_path: Path, repeats: int) -> None:
    """Two samples of the same latencies; every interval is narrow enough to have shown 30 %."""
    found = answer(
        plain(tmp_path / "a", 200, repeats), plain(tmp_path / "b", 200, repeats, seed=2), "--worse", "30"
    )
    assert found["exit_status"] == 0
    assert all(told == {"none seen"} for told in findings(found).values())
    assert "none is worse beyond doubt and by more than 30 %" in found["sentence"]
    assert "too wide" not in found["sentence"]


def test_what_got_faster_passes_and_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Being faster does not stop a pipeline."""
    found = answer(plain(tmp_path / "a", 300), plain(tmp_path / "b", 200))
    assert found["exit_status"] == 0 and findings(found)["p50_ms"] == {"faster"}
    assert "faster" in capsys.readouterr().out


def test_a_difference_that_is_certain_but_below_the_margin_passes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """12 % slower fails by a margin of 10 % and passes by one of 25 %, which is reported."""
    before, after = plain(tmp_path / "a", 200, 5), plain(tmp_path / "b", 224, 5, seed=2)
    assert findings(answer(before, after))["mean_ms"] == {"slower"}
    capsys.readouterr()
    found = answer(before, after, "--worse", "25")
    assert found["exit_status"] == 0 and findings(found)["mean_ms"] == {"slower within the margin"}
    assert "slower, a bit" in capsys.readouterr().out


def test_less_than_a_millisecond_stops_nobody(tmp_path: Path) -> None:
    """3.0 ms and 3.4 ms are 13 % apart, but the load generator may be the cause."""
    found = answer(plain(tmp_path / "a", 3, 5), plain(tmp_path / "b", 3.4, 5, seed=2))
    assert found["exit_status"] == 0 and findings(found)["mean_ms"] == {"slower within the margin"}


def test_more_requests_over_500_ms_fail(tmp_path: Path) -> None:
    """A tenth of them takes a second, which no median shows."""

    def sometimes(rng: Any) -> float:
        return 1.0 if rng.random() < 0.1 else about(200)(rng)

    a, b = tmp_path / "a", tmp_path / "b"
    run(a, [step(a, n, about(200), repeat=n) for n in (1, 2, 3, 4, 5)])
    run(b, [step(b, n + 5, sometimes, repeat=n) for n in (1, 2, 3, 4, 5)])
    found = answer(a, b)
    assert found["exit_status"] == 1
    assert findings(found)["share_over"] == {"slower"}
    assert findings(found)["p50_ms"] != {"slower"}


def test_it_says_what_it_could_not_have_seen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The repeats vary as much as they are long: that must not pass for a verdict."""
    sides = []
    for side in "ab":
        folder = tmp_path / side
        run(folder, [step(folder, (side, n), about(ms), repeat=n) for n, ms in ((1, 100), (2, 400))])
        sides.append(folder)
    found = answer(*sides)
    assert found["exit_status"] == 4
    assert found["sentence"].startswith(
        "Undecided: nothing got slower beyond doubt, but a change of POST /feeds"
    )
    assert "and of 1 other group would not have been seen." in found["sentence"]
    assert "these runs could not have seen a change of" in found["sentence"]
    assert "too wide" in capsys.readouterr().out


def test_each_condition_is_compared_with_its_like(tmp_path: Path) -> None:
    """More slots are another condition; a condition that only one side has is named."""
    a, b = tmp_path / "a", tmp_path / "b"
    run(a, [step(a, n, about(200), slots=n) for n in (4, 8)])
    run(b, [step(b, n + 9, about(ms), slots=n) for n, ms in ((8, 200), (16, 100))])
    found = answer(a, b)
    assert {each["condition"] for each in found["questions"]} == {
        "queued, 20 users, 8 slots, 1 worker, 32 threads"
    }
    assert [each.split(" (")[0] for each in found["left_out"]] == [
        "queued, 20 users, 4 slots, 1 worker, 32 threads",
        "queued, 20 users, 16 slots, 1 worker, 32 threads",
    ]


def test_only_the_groups_that_are_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By name; an unknown one is refused with a list of the known ones."""
    a, b = plain(tmp_path / "a", 200), plain(tmp_path / "b", 200)
    assert {each["group"] for each in answer(a, b, "--group", "browse")["questions"]} == {"browse"}
    capsys.readouterr()
    assert "There is no group 'checkout'" in (said := refused(capsys, a, b, "--group", "checkout"))
    assert said.count(": browse, content, submit.") == 2


def test_a_condition_without_a_fit_repeat_is_not_compared(tmp_path: Path) -> None:
    """Status 3, with the reason; a condition with one fit repeat left is compared by that."""
    reason = "the machine was 93 % busy (at most 80 %)"
    a, b, c = (tmp_path / name for name in "abc")
    plain(a, 200, 2)
    run(b, [step(b, n, about(200), repeat=n, unfit_reasons=[reason]) for n in (1, 2)])
    run(c, [step(c, n, about(200), repeat=n, unfit_reasons=[reason] if n == 1 else []) for n in (1, 2)])
    found = answer(a, b)
    assert found["exit_status"] == 3 and not found["questions"]
    assert "Not fit to compare" in found["sentence"] and reason in found["sentence"]
    found = answer(a, c)
    assert found["exit_status"] == 0 and found["questions"][0]["repeats"] == [2, 1]


def test_what_is_certainly_slower_stays_so_beside_what_is_not_fit(tmp_path: Path) -> None:
    """Status 1 takes precedence over 3: a busy machine in another step does not weaken it."""
    a, b = tmp_path / "a", tmp_path / "b"
    run(a, [step(a, n, about(200), users=n) for n in (10, 20)])
    run(b, [step(b, 7, about(400), users=10), step(b, 8, about(200), users=20, unfit_reasons=["busy"])])
    found = answer(a, b)
    assert found["exit_status"] == 1 and len(found["unfit"]) == 1 and "busy" in found["sentence"]


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("think_s", 1.0, "the think time (think_s): 2 and 1"),
        ("rule_ms", 300.0, "the rule (rule_ms): 500 and 300"),
        ("deadline_s", 9.0, "deadline_s"),
        ("submitters", 0.5, "submitters"),
        ("mix", {"hang": 100.0}, "typical=80,slow=20 and hang=100"),
    ],
)
def test_other_loads_are_not_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], setting: str, value: object, said: str
) -> None:
    """The message names the setting that differs."""
    a, b = plain(tmp_path / "a", 200), plain(tmp_path / "b", 200, **{setting: value})
    assert said in refused(capsys, a, b)


def test_what_may_be_the_reason_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Another machine, another database, another Flask."""
    a, b = plain(tmp_path / "a", 200), plain(tmp_path / "b", 200, database="postgresql")
    results = json.loads((b / "results.json").read_text())
    results["machine"]["cores"] = 64
    results["packages"]["Flask"] = "9.9"
    save(b, results)
    compare([str(a), str(b)])
    said = " ".join(capsys.readouterr().out.split())
    for what in ("machines differ", "cores 2 / 64", "Flask 3.1.3 / 9.9", "database sqlite / postgresql"):
        assert what in said
    compare([str(a), str(a)])
    assert "differ" not in capsys.readouterr().out.replace("difference", "")


def test_what_is_no_run_gets_a_plain_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Status 2 and what to do next, without a traceback."""
    good = plain(tmp_path / "good", 200)
    assert "There is no" in refused(capsys, good, tmp_path / "nowhere")
    (empty := tmp_path / "empty").mkdir()
    assert "neither a results.json nor files of requests" in refused(capsys, empty, good)
    for name, text, said in (
        ("broken.json", "{", "is not JSON"),
        ("list.json", "[]", "is not a load test's results of version 4, but something else"),
        ("other.json", "{}", "is not a load test's results of version 4, but something else"),
        ("old.json", '{"schema": "500ms/results", "version": 2}', "of version 2. Measure again"),
        (
            "cut.json",
            '{"schema": "500ms/results", "version": 4, "steps": [{}]}',
            "does not match results.schema.json: Object missing required field",
        ),
        ("words.csv", "one,two\n", "is not a file of requests"),
    ):
        (file := tmp_path / name).write_text(text)
        if name == "words.csv":
            file.with_suffix(".json").write_text('{"ended_s": 9}')
        assert said in refused(capsys, good, file)
    for about_it in ('{"ended_s": 9}', '{"schema": "500ms/recording", "version": 0}'):
        older = file_of_requests(tmp_path / "older.csv")
        older.with_suffix(".json").write_text(about_it)
        said = refused(capsys, older, older)
        assert "older.json is not of this version of loadtests.plugin" in said and "measure again" in said
    write_rows(tmp_path / "alone.csv", rows_of(about(200), 1))
    assert "alone.json" in refused(capsys, tmp_path / "alone.csv", tmp_path / "alone.csv")
    assert "name two of the same kind" in refused(capsys, good, file_of_requests(tmp_path / "rows.csv"))
    assert "Try a shorter --warm-up" in refused(
        capsys, tmp_path / "rows.csv", tmp_path / "rows.csv", "--warm-up", "900"
    )
    assert "name " + str(good) in refused(capsys, good / "rows", good / "rows")
    assert "is not a percentage" in refused(capsys, good, good, "--worse", "lots")


def test_nothing_in_common_is_said_with_what_each_has(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The conditions of each side, by name."""
    a, b = plain(tmp_path / "a", 200), tmp_path / "b"
    run(b, [step(b, 1, about(200), users=50)])
    said = refused(capsys, a, b)
    assert "no condition in common" in said and "20 users" in said and "50 users" in said


def test_a_run_measured_once_needs_its_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The message says so; a run with repeats doesn't need them."""
    a, b = plain(tmp_path / "a", 200), plain(tmp_path / "b", 200, 2)
    for folder in (a, b):
        for file in (folder / "rows").iterdir():
            file.unlink()
    assert "keep the whole folder of a run" in refused(capsys, a, a)
    assert answer(b, b)["exit_status"] == 0


def test_a_folder_and_its_results_json_are_the_same(tmp_path: Path) -> None:
    """Either names the run. A burst is not a condition."""
    folder = tmp_path / "a"
    run(folder, [step(folder, 1, about(200)), step(folder, 2, about(200), users=30) | {"burst": 100}])
    assert read_side(folder).names == read_side(folder / "results.json").names
    assert len(read_side(folder).repeats) == 1


def test_it_writes_for_pipelines(tmp_path: Path) -> None:
    """Valid XML with the failure in it, and Markdown appended to an existing file."""
    a, b = plain(tmp_path / "a", 200), plain(tmp_path / "b", 300)
    xml, markdown = tmp_path / "compare.xml", tmp_path / "summary.md"
    markdown.write_text("before\n")
    assert compare([str(a), str(b), "--junit", str(xml), "--github", str(markdown)]) == 1
    assert ElementTree.parse(xml).getroot().findall(".//failure")
    assert markdown.read_text().startswith("before\n### ❌ Slower\n")


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a traceback."""
    a = plain(tmp_path / "a", 200)
    assert main(["compare", str(a), str(a), "--json", str(tmp_path / "no" / "file")]) == 2
    told = capsys.readouterr()
    assert "no/file can't be written: No such file or directory" in told.err
    assert "Not slower" in told.out


@pytest.mark.live
def test_the_command_ends_with_the_status_and_help_fits_a_terminal(tmp_path: Path) -> None:
    """Called as a pipeline calls it."""
    a, b = plain(tmp_path / "a", 200), plain(tmp_path / "b", 400)
    command = [sys.executable, "-m", "loadtests", "compare"]
    done = subprocess.run([*command, str(a), str(b)], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and not done.stderr
    helped = subprocess.run(
        [*command, "--help"], capture_output=True, text=True, check=True, env=os.environ | {"COLUMNS": "80"}
    )
    assert max(map(len, helped.stdout.splitlines())) <= 80 and "%%" not in helped.stdout
