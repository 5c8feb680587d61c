"""Experiments are run, recorded, and read from recordings; any difference is reported."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import notebooks_path  # noqa: F401
import pytest
import workbook.experiments
from workbook import WorkbookError, bench, experiment, rows_of

from loadtests.bench.plan import Plan

pytest_plugins = ["workbook_fixtures"]
pytestmark = pytest.mark.usefixtures("chapter")

Captured = pytest.CaptureFixture[str]
Chapter = Callable[..., None]


def measured(users: int, mix: tuple[str, ...] = ()) -> dict[str, Any]:
    """Stands for a long measurement."""
    print(f"measuring {users} users")
    return {"users": users, "mix": mix, 5: "five"}


def test_live_an_experiment_is_run_and_nothing_is_kept(tmp_path: Path, capsys: Captured) -> None:
    """Its result is converted as by JSON, so that no chapter works live but fails from its recording."""
    assert experiment("many-users", measured, users=4, mix=("a",)) == {"users": 4, "mix": ["a"], "5": "five"}
    assert not (tmp_path / "data").exists()
    first, second = capsys.readouterr().out.splitlines()
    assert first == "measuring 4 users"
    assert second.startswith("[many-users: measured now, in ")


@pytest.mark.parametrize("recording", ["record", "complete"])
def test_a_recording_gives_back_what_was_returned_and_printed(
    chapter: Chapter, recording: str, capsys: Captured
) -> None:
    """Without calling anything."""
    chapter(mode=recording)
    first = experiment("many-users", measured, users=4)
    chapter(mode="recorded")
    capsys.readouterr()
    assert experiment("many-users", lambda users: pytest.fail("was called"), users=4) == first
    said, mark = capsys.readouterr().out.splitlines()
    assert said == "measuring 4 users"
    assert mark.startswith("[many-users: recorded on 20")


def test_one_experiment_can_be_taken_from_its_recording_in_a_live_chapter(
    chapter: Chapter, capsys: Captured
) -> None:
    """And vice versa."""
    chapter(mode="record")
    experiment("many-users", measured, users=4)
    chapter(mode="live")
    capsys.readouterr()
    experiment("many-users", measured, users=4, recorded=True)
    assert "recorded on" in capsys.readouterr().out
    chapter(mode="recorded")
    experiment("many-users", measured, users=4, recorded=False)
    assert "measured now" in capsys.readouterr().out


def test_complete_measures_only_what_is_missing_or_differs(chapter: Chapter, capsys: Captured) -> None:
    """So a build needs a stack only after settings have changed, not after text has."""
    chapter(mode="complete")
    experiment("many-users", measured, users=4)
    experiment("many-users", measured, users=4)
    experiment("many-users", measured, users=5)
    marks = [line.split(",")[0] for line in capsys.readouterr().out.splitlines() if line.startswith("[")]
    assert [mark.split()[1] for mark in marks] == ["measured", "recorded", "measured"]


def test_a_recording_of_something_else_is_not_passed_off(chapter: Chapter) -> None:
    """The message names what differs, at any depth of the settings, and does not tell what was recorded."""
    chapter(mode="record")
    experiment("many-users", lambda plan, rows: 1, plan=Plan(users=(4,)), rows=True)
    chapter(mode="recorded")
    with pytest.raises(WorkbookError, match=r"Different here: plan\.users = \[5, 6\]\. To measure"):
        experiment("many-users", measured, plan=Plan(users=(5, 6)), rows=True)
    with pytest.raises(WorkbookError, match=r"Different here: no rows\. .*recorded=False"):
        experiment("many-users", measured, plan=Plan(users=(4,)))


def test_a_result_in_the_place_of_a_function_is_answered_with_a_sentence() -> None:
    """The slip of writing make() for make; nothing is measured or recorded."""
    with pytest.raises(WorkbookError, match=r"takes the function and its settings"):
        experiment("many-users", measured(users=4), users=4)


def test_a_missing_recording_is_said_with_those_that_are_there(chapter: Chapter) -> None:
    """The message also says how to measure instead."""
    chapter(mode="record")
    experiment("many-users", measured, users=4)
    chapter(mode="recorded")
    with pytest.raises(WorkbookError, match=r"this chapter has many-users\. .*recorded=False"):
        experiment("few-users", measured, users=4)


def test_a_plan_and_numpy_numbers_can_be_recorded(chapter: Chapter) -> None:
    """Dataclasses are settings like any other; arrays become lists."""
    import numpy as np

    chapter(mode="record")
    made = experiment("curve", lambda plan: {"n": np.int64(3), "y": np.arange(2.0)}, plan=Plan(users=(4,)))
    assert made == {"n": 3, "y": [0.0, 1.0]}
    assert not list(workbook.experiments.DATA.glob("*.part"))


def test_what_json_cannot_hold_is_refused() -> None:
    """Live, too, so that the author sees it at once."""
    with pytest.raises(WorkbookError, match="what JSON can hold"):
        experiment("set", lambda: {1, 2})


@pytest.mark.parametrize("name", ["Many Users", "../many", ""])
def test_an_experiment_is_named_like_a_file(name: str) -> None:
    """Its name is a file name."""
    with pytest.raises(WorkbookError, match="small letters, digits and hyphens"):
        experiment(name, measured, users=1)


def results(**more: Any) -> dict[str, Any]:
    """As much of a bench's results as the workbook reads."""
    step = {"rows": "rows/a.csv", "unfit_reasons": [], "slowed_reasons": []}
    return {"interrupted": False, "steps": [step | more]}


def test_a_bench_keeps_its_rows_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every request can be read back from the recording."""

    def run(plan: Plan, folder: Path) -> dict[str, Any]:
        (folder / "rows").mkdir()
        lines = ["user,group,name,intended_s,sent_s,done_s,status,error", "1,submit,POST /feeds,0.5,0.6,,0,"]
        (folder / "rows" / "a.csv").write_text("\n".join(lines) + "\n")
        return results()

    monkeypatch.setattr("loadtests.bench.bench.run", run)
    found = json.loads(json.dumps(bench(Plan(), rows=True)))
    (row,) = rows_of(found, found["steps"][0])
    assert (row.intended_s, row.sent_s, row.done_s, row.unfinished) == (0.5, 0.6, None, True)
    with pytest.raises(WorkbookError, match="rows=True"):
        rows_of(bench(Plan()), found["steps"][0])


def test_an_interrupted_bench_interrupts_its_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    """A partial result would fail later, and less clearly."""
    monkeypatch.setattr("loadtests.bench.bench.run", lambda plan, folder: results() | {"interrupted": True})
    with pytest.raises(KeyboardInterrupt):
        bench(Plan())


def test_an_unfit_bench_is_said_and_is_not_recorded(
    chapter: Chapter, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    """A reader may look at it, but the workbook does not keep it."""
    monkeypatch.setattr(
        "loadtests.bench.bench.run", lambda plan, folder: results(unfit_reasons=["it was busy"])
    )
    assert bench(Plan())["steps"]
    assert "Not fit to judge by: it was busy." in capsys.readouterr().out
    chapter(mode="record")
    with pytest.raises(WorkbookError, match="not recorded"):
        experiment("busy", bench, plan=Plan())
