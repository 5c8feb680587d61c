"""What a run does with steps that were not fit, and with steps that are there already."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from synthetic_run import make_run

from loadtests.bench import bench
from loadtests.bench.plan import Plan, Step
from loadtests.status import Status

Measure = Callable[..., list[str]]


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Measure:
    """Let steps come out as told, "fit", "late" or "interrupted", instead of measuring; returns what was
    measured.
    """
    invented = make_run(tmp_path_factory.mktemp("invented"), users=[1])["steps"]

    def come_out(*outcomes: str) -> list[str]:
        todo, seen = list(outcomes), []

        def measure_step(_plan: Plan, step: Step, *_: Any) -> dict[str, Any]:
            seen.append(f"{step.condition.app} {step.condition.users}")
            outcome = todo.pop(0)
            if outcome == "interrupted":
                raise KeyboardInterrupt
            reasons = [] if outcome == "fit" else ["late"]
            one = next(each for each in invented if each["app"] == step.condition.app)
            about = {**step.condition.about, "repeat": step.repeat}
            return {**one, **about, "fit": not reasons, "unfit_reasons": reasons, "within_rule": True}

        monkeypatch.setattr(bench, "measure_step", measure_step)
        return seen

    return come_out


def test_an_unfit_step_is_measured_once_more(measured: Measure, tmp_path: Path) -> None:
    """The second outcome counts; why there was one is kept."""
    seen = measured("late", "fit", "fit")
    results = bench.run(Plan(users=(1,)), tmp_path)
    assert seen[0] == seen[1] != seen[2]
    assert [step["fit"] for step in results["steps"]] == [True, True]
    assert [step.get("repeated_because") for step in results["steps"]] == [["late"], None]
    assert results["verdict"]["exit_status"] != 3


def test_a_step_that_stays_unfit_is_not_measured_for_ever(measured: Measure, tmp_path: Path) -> None:
    """Once more for a step, and for no more than two steps of a run; then the run is not fit."""
    seen = measured("late", "late", "late", "fit", "late", "fit")
    results = bench.run(Plan(users=(1, 2)), tmp_path)
    assert len(seen) == 6 and len(set(seen)) == 4
    assert [step["fit"] for step in results["steps"]] == [False, True, False, True]
    assert results["verdict"]["exit_status"] == 3


def test_an_interrupted_run_is_gone_on_with(measured: Measure, tmp_path: Path) -> None:
    """Each step is in its file as soon as it is done; the next run measures only what is not there."""
    plan = Plan(users=(1, 2))
    seen = measured("fit", "fit", "interrupted")
    results = bench.run(plan, tmp_path)
    assert results["interrupted"] and len(results["steps"]) == 2 and len(seen) == 3
    again = measured("fit", "fit")
    results = bench.run(plan, tmp_path)
    assert again == [seen[2], *[f"{step.condition.app} {step.condition.users}" for step in plan.steps()][3:]]
    assert not results["interrupted"] and len(results["steps"]) == 4


@pytest.mark.slow
def test_resume_takes_the_plan_from_the_folder(
    measured: Measure, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 130 and what to type; then the rest, with the options of the first call."""
    out = tmp_path / "out"
    measured("fit", "interrupted")
    assert bench.main(["--users", "1", "--think", "0.7", "--out", str(out)]) == Status.INTERRUPTED
    assert f"bench --resume {out}" in capsys.readouterr().err
    assert json.loads((out / "results.json").read_text())["interrupted"]
    rest = measured("fit")
    assert bench.main(["--resume", str(out)]) in (0, 1)
    assert len(rest) == 1
    results = json.loads((out / "results.json").read_text())
    assert results["settings"]["think_s"] == 0.7 and not results["interrupted"]
