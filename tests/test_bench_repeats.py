"""How a run treats steps that were unfit, and steps that have been measured already."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from synthetic_run import make_run

from loadtests import __main__ as commands
from loadtests.bench import bench
from loadtests.bench.options import parse_options, plan_of
from loadtests.bench.plan import Plan, PlannedStep
from loadtests.errors import ProcessError, UsageError
from loadtests.judging.rule import rule_of
from loadtests.judging.samples import summarise
from loadtests.records.rows import Row
from loadtests.status import Status

Measure = Callable[..., list[str]]


def groups(outcome: str) -> dict[str, Any]:
    """The figures of a step with this outcome, for either group that is judged."""
    count, seconds = {"few": (150, 0.02), "slow": (400, 0.9), "full": (400, 0.9)}.get(outcome, (400, 0.02))
    rows = [Row(1, "", "", float(n), float(n), n + seconds, 200, "") for n in range(count)]
    return {group: summarise(rows, 1000.0) for group in ("submit", "browse")}


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Measure:
    """Give steps the stated outcomes instead of measuring them; returns the list of measured steps.

    "fit": 400 requests, all fast; "few": 150 of them; "slow": all 400 slow; "slowed", "full": a full machine,
    with all fast, or all slow; "late"; "interrupted"; "ended": a process ended.
    """
    invented = make_run(tmp_path_factory.mktemp("invented"), users=[1])["steps"]

    def come_out(*outcomes: str) -> list[str]:
        todo, seen = list(outcomes), []

        def measure_step(_plan: Plan, step: PlannedStep, *_: Any) -> dict[str, Any]:
            seen.append(f"{step.condition.app} {step.condition.users}")
            outcome = todo.pop(0)
            if outcome == "interrupted":
                raise KeyboardInterrupt
            if outcome == "ended":
                raise ProcessError("The web server ended.")
            reasons = ["late"] if outcome == "late" else []
            slowed = ["full"] if outcome in ("slowed", "full") else []
            one = next(each for each in invented if each["app"] == step.condition.app)
            about = {"users": step.condition.users, "repeat": step.repeat, **groups(outcome)}
            found = {**one, **about, "fit": not reasons, "unfit_reasons": reasons, "slowed_reasons": slowed}
            return {**found, "rule": rule_of(found, bool(slowed))}

        monkeypatch.setattr(bench, "measure_step", measure_step)
        return seen

    return come_out


def test_an_unfit_step_is_measured_once_more(measured: Measure, tmp_path: Path) -> None:
    """Both are reported, and the second one counts."""
    seen = measured("late", "fit", "fit")
    results = bench.run(Plan(users=(1,)), tmp_path)
    assert seen[0] == seen[2] != seen[1]
    assert [step["fit"] for step in results["steps"]] == [False, True, True]
    assert [step["repeat"] for step in results["steps"]] == [1, 1, 2]
    assert results["verdict"]["exit_status"] == 0
    assert "Left out: 1 of 3 measurements, slowed or not fit" in results["verdict"]["sentence"]


def test_so_is_a_slowed_one_that_was_over_the_limit(measured: Measure, tmp_path: Path) -> None:
    """The machine may have had a busy moment. A slowed one that kept the rule has kept it."""
    plan = Plan(users=(1,), apps=("queued",))
    for outcomes, status in ((["slowed"], 0), (["full", "fit"], 0), (["full", "full"], 4)):
        seen = measured(*outcomes)
        results = bench.run(plan, tmp_path / "-".join(outcomes))
        assert len(seen) == len(outcomes) and results["verdict"]["exit_status"] == status


def test_a_step_that_stays_unfit_is_not_measured_for_ever(measured: Measure, tmp_path: Path) -> None:
    """Each load once more; then nothing can be said."""
    seen = measured(*["late"] * 8)
    results = bench.run(Plan(users=(1, 2)), tmp_path)
    assert len(seen) == 8 and len(set(seen)) == 4
    assert results["verdict"]["exit_status"] == 3
    assert results["verdict"]["sentence"].startswith("This run is not fit for a verdict: ")


def test_a_step_that_is_not_fit_does_not_void_the_run(measured: Measure, tmp_path: Path) -> None:
    """Neither the other app's nor one with few users, for which the larger load speaks."""
    plan = Plan(users=(1, 20))
    names = [f"{step.condition.app} {step.condition.users}" for step in plan.steps()]
    measured(*("fit" if name == "queued 20" else "late" for name in names), *["late"] * 2)
    verdict = bench.run(plan, tmp_path)["verdict"]
    assert (verdict["exit_status"], verdict["most_users"]) == (0, {"sync": None, "queued": 20})


def test_an_interrupted_run_is_gone_on_with(measured: Measure, tmp_path: Path) -> None:
    """Each step is written as soon as it is done; the next run measures only the missing ones."""
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
    measured: Measure,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Exit status 130 and the command to type; resuming then uses the options of the first call."""
    monkeypatch.delenv("MAKELEVEL", raising=False)  # make runs the tests, but not this bench
    out = tmp_path / "out"
    measured("fit", "interrupted")
    assert bench.main(["--users", "1", "--think", "0.7", "--out", str(out)]) == Status.INTERRUPTED
    told = capsys.readouterr()
    assert f"{sys.executable} -m loadtests bench --resume {out}" in told.err
    assert json.loads((out / "results.json").read_text())["interrupted"]
    rest = measured("fit")
    assert bench.main(["--resume", str(out)]) in (0, 1)
    assert len(rest) == 1
    results = json.loads((out / "results.json").read_text())
    assert results["settings"]["think_s"] == 0.7 and not results["interrupted"]


def test_a_run_that_another_version_began_is_not_gone_on_with(tmp_path: Path) -> None:
    """Its steps lack figures that are judged now: one sentence, and no traceback."""
    old = {"schema": "500ms/run", "version": 1, "plan": Plan().to_json(), "floor": False, "full": False}
    (tmp_path / "run.json").write_text(json.dumps(old))
    with pytest.raises(UsageError, match=r"begun by another version.* Measure it again\."):
        bench.main(["--resume", str(tmp_path)])


def test_a_step_with_too_few_requests_is_measured_until_it_is_decided(
    measured: Measure, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The queued reader's largest load gets two more repeats, since it is judged: 3 x 150 are enough."""
    seen = measured("few", "few", "few", "few", "few", "few")
    results = bench.run(Plan(users=(1, 20)), tmp_path)
    assert seen[4:] == ["queued 20"] * 2 and len(seen) == 6
    assert [step["repeat"] for step in results["steps"]] == [1, 1, 1, 1, 2, 3]
    (point,) = [each for each in results["points"] if (each["app"], each["users"]) == ("queued", 20)]
    assert (point["rule"], point["fit_repeats"], point["submit"]["judged"]) == ("kept", 3, 450)
    assert (results["verdict"]["exit_status"], results["verdict"]["most_users"]["queued"]) == (0, 20)
    assert "\nStep 5: queued, 20 users (more requests); 1 step, " in capsys.readouterr().out


def test_what_is_decided_is_not_measured_again(measured: Measure, tmp_path: Path) -> None:
    """Nor are the synchronous reader's steps, nor smaller loads, which the larger one covers."""
    plan = Plan(users=(1, 20))
    names = [f"{step.condition.app} {step.condition.users}" for step in plan.steps()]
    kept = measured(*("fit" if name == "queued 20" else "few" for name in names))
    assert bench.run(plan, tmp_path / "kept")["verdict"]["exit_status"] == 0 and kept == names
    broken = measured(*("slow" if name == "queued 1" else "few" for name in names))
    assert bench.run(plan, tmp_path / "broken")["verdict"]["exit_status"] == 1 and broken == names


def test_a_step_is_not_measured_for_ever_until_it_is_decided(measured: Measure, tmp_path: Path) -> None:
    """Unfit repeats don't help: at most three steps are added, and none that could not decide."""
    plan = Plan(users=(20,), apps=("queued",))
    seen = measured("few", "late", "few", "late")
    results = bench.run(plan, tmp_path / "three")
    assert results["verdict"]["exit_status"] == 4 and len(seen) == 4
    assert [step["repeat"] for step in results["steps"]] == [1, 2, 3, 4]
    seen = measured("few", "late", "late")
    results = bench.run(plan, tmp_path / "two")
    assert results["verdict"]["exit_status"] == 4 and len(seen) == 3


def test_an_interrupted_run_goes_on_with_the_repeats_that_were_added(
    measured: Measure, tmp_path: Path
) -> None:
    """The added repeat that exists is not measured again, and is in the results."""
    plan = Plan(users=(20,), apps=("queued",))
    measured("few", "few", "interrupted")
    results = bench.run(plan, tmp_path)
    assert results["interrupted"] and len(results["steps"]) == 2
    assert results["verdict"]["exit_status"] == 4
    rest = measured("few")
    results = bench.run(plan, tmp_path)
    assert rest == ["queued 20"] and results["verdict"]["exit_status"] == 0
    assert [step["repeat"] for step in results["steps"]] == [1, 2, 3]


@pytest.mark.slow
def test_too_few_requests_end_the_command_with_a_status_of_their_own(
    measured: Measure, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 4, with an explanation; nothing fails in the files for pipelines."""
    measured("few", "late", "late", "late", "late", "late", "late")
    junit, out = tmp_path / "bench.xml", tmp_path / "out"
    options = ["--users", "20", "--app", "queued", "--out", str(out), "--junit", str(junit)]
    assert bench.main(options) == 4
    said = " ".join(capsys.readouterr().out.split())
    assert "There were too few requests to say whether the queued app kept the rule of 500 ms." in said
    assert 'failures="0" errors="0" skipped="1"' in junit.read_text()


@pytest.mark.slow
def test_what_was_measured_before_a_process_failed_is_told(
    measured: Measure, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With its verdict, how to resume, and the exit status of the failure."""
    out = tmp_path / "out"
    measured("fit", "ended")
    assert bench.main(["--users", "1", "--out", str(out)]) == 3
    told = capsys.readouterr()
    assert "kept the rule" in told.out or "broke the rule" in told.out
    assert "The web server ended." in told.err and f"--resume {out}" in told.err
    assert len(json.loads((out / "results.json").read_text())["steps"]) == 1


def test_a_run_under_make_is_gone_on_with_by_make(
    measured: Measure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Even if no step was done; those who type `make bench` may have no python at hand."""
    out = tmp_path / "a folder"
    monkeypatch.setenv("MAKELEVEL", "1")
    measured("interrupted")
    assert bench.main(["--users", "1", "--out", str(out)]) == Status.INTERRUPTED
    assert f"""make bench ARGS="--resume '{out}'\"""" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has /dev/full")
@pytest.mark.parametrize("full", ["results.json", "report.html", "summary"])
def test_a_full_disk_is_named_after_the_verdict(
    full: str, measured: Measure, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The files that fit are written; the status is 2, which is not a verdict."""
    out = tmp_path / "out"
    measured("fit", "interrupted")
    bench.main(["--users", "1", "--out", str(out)])
    file = {name: out / name for name in ("results.json", "report.html", "summary")}
    for path in file.values():
        path.unlink(missing_ok=True)
    file[full].symlink_to("/dev/full")
    capsys.readouterr()
    measured("fit")
    status = commands.main(["bench", "--resume", str(out), "--github", str(file["summary"])])
    told = capsys.readouterr()
    assert status == 2
    assert "the rule of 500 ms" in " ".join(told.out.split())
    assert f"{file[full]} can't be written: No space left on device" in told.err
    assert all(path.stat().st_size > 0 for name, path in file.items() if name != full)


@pytest.mark.slow
def test_a_step_that_could_not_be_written_is_still_told(
    measured: Measure, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The run ends there, since further steps could not be written either."""
    out = tmp_path / "out"
    measured("interrupted")
    bench.main(["--users", "1", "--out", str(out)])
    (out / "steps").touch()  # where the folder of the steps should be
    capsys.readouterr()
    assert len(measured("fit", "fit")) == 0
    assert bench.main(["--resume", str(out)]) == 2
    told = capsys.readouterr()
    assert "kept the rule" in told.out or "broke the rule" in told.out
    assert "steps" in told.err and "can't be written" in told.err


def test_a_search_that_was_interrupted_goes_on(measured: Measure, tmp_path: Path) -> None:
    """Nothing is measured twice, and the limit is the result: status 0."""
    plan = Plan(search=True, apps=("queued",))
    before = measured(*["fit"] * 5, "slow", "interrupted")
    results = bench.run(plan, tmp_path)
    assert before[4:] == ["queued 200", "queued 500", "queued 300"]
    assert results["interrupted"] and results["verdict"]["most_users"]["queued"] == 200
    after = measured("fit", "slow", "fit")
    results = bench.run(plan, tmp_path)
    assert after == ["queued 300", "queued 500", "queued 300"]
    assert results["settings"]["search"] and results["verdict"]["exit_status"] == 0
    assert results["verdict"]["sentence"].startswith(
        "The queued app kept the rule of 500 ms up to 300 users, and broke it with 500 users."
    )


def test_only_without_users_the_limit_is_searched_for() -> None:
    """Given loads are measured as they are; so is open load."""
    for options, search in (
        ([], True),
        (["--users", "5"], False),
        (["--model", "open", "--rate", "5"], False),
    ):
        assert plan_of(parse_options(options)).search == search
    assert plan_of(parse_options([])).users == (1, 10, 30, 100)
