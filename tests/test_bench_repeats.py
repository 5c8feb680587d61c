"""A step that was not fit is measured once more, and the results say so."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from loadtests import bench
from loadtests.sweep import Plan


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Let steps come out as told, "fit" or "late", instead of measuring; returns what was measured."""

    def come_out(*outcomes: str) -> list[str]:
        todo, seen = list(outcomes), []

        def measure_step(_plan: Plan, app: str, users: int, *_: Any) -> dict[str, Any]:
            seen.append(f"{app} {users}")
            reasons = [] if todo.pop(0) == "fit" else ["late"]
            group = {"share_over_500ms": 0.0, "p50_ms": 1.0, "p95_ms": 1.0, "p99_ms": 1.0, "lower_bounds": []}
            step = {
                "app": app,
                "users": users,
                "fit": not reasons,
                "unfit_reasons": reasons,
                "within_rule": True,
            }
            return step | {"submit": group, "browse": group}

        monkeypatch.setattr(bench, "measure_step", measure_step)
        return seen

    return come_out


def test_an_unfit_step_is_measured_once_more(measured: Callable[..., list[str]], tmp_path: Path) -> None:
    """The second outcome counts; why there was one is kept."""
    seen = measured("late", "fit", "fit")
    results = bench.run(Plan(users=(1,)), tmp_path)
    assert seen == ["sync 1", "sync 1", "queued 1"]
    assert [step["fit"] for step in results["steps"]] == [True, True]
    assert [step.get("repeated_because") for step in results["steps"]] == [["late"], None]
    assert results["verdict"]["exit_status"] == 0


def test_a_step_that_stays_unfit_is_not_measured_for_ever(
    measured: Callable[..., list[str]], tmp_path: Path
) -> None:
    """Once more for a step, and for no more than two steps of a run; then the run is not fit."""
    seen = measured("late", "late", "late", "fit", "late", "fit")
    results = bench.run(Plan(users=(1, 2)), tmp_path)
    assert seen == ["sync 1", "sync 1", "queued 1", "queued 1", "sync 2", "queued 2"]
    assert [step["fit"] for step in results["steps"]] == [False, True, False, True]
    assert results["verdict"]["exit_status"] == 3
