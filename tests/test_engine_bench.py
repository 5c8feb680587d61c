"""`make engines`: its plan, what a trial has shown, the tables and the page; and one trial of each sort."""

import fcntl
import json
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec
import pytest

from loadtests.__main__ import main
from loadtests.bench.folder import write_part
from loadtests.enginebench import bench, harm
from loadtests.enginebench.bench import progress_line, shown
from loadtests.enginebench.plan import (
    EnginePlan,
    Key,
    TrialResult,
    begin,
    done_before,
    figures_of,
    file_of,
    resumed,
    status,
)
from loadtests.enginebench.report import markdown, text, write_report
from loadtests.enginebench.scene import kill_tree
from loadtests.enginebench.tables import engine_label
from loadtests.enginebench.trials import ENGINE_TRIALS, HARMS, TRIAL_KINDS, is_possible, trial_command
from loadtests.engines.engines import ENGINES
from loadtests.errors import UsageError
from loadtests.servers.processes import Process
from loadtests.status import Status

ROOT = Path(__file__).parent.parent
PLAN = EnginePlan(tuple(ENGINES), TRIAL_KINDS, seed=1, started_at="2030-01-31T12:00:00+00:00")
SUMMARY = {
    **{f"{key}_ms": 12_345.6 for key in ("p50", "p95", "p99")},
    **{f"{key}_ci": [9_999.9, 12_999.9] for key in ("p50", "p95", "p99")},
    "lower_bounds": ["p95_ms"],
}
LOAD = {"submit": SUMMARY, "content": SUMMARY, "reasons": []}
WORK = {
    "backlog": {
        key: {"value": value, "low": 0.75 * value, "high": 1.25 * value, "lower_bound": False}
        for key, value in (
            ("per_s", 1234.5),
            ("memory_mib", 2345.6),
            ("web_ms", 123.4),
            ("worker_ms", 123.4),
            ("broker_ms", 0.123),
            ("post_ms", 123.4),
            ("durable_ms", 123.4),
        )
    },
    "pick-up": {"p50": 1234.5, "p50_ci": [999.9, 1300.1], "most": 12_345.6},
}
HARMED = dict(
    harm.Aftermath(
        stored=20,
        by_itself=10,
        after_s=123.4,
        restarted=2,
        by_hand=2,
        held=2,
        lost=4,
        again=10,
        refused=4,
        unsaid=2,
        watched_s=150.0,
    )
)
FIGURES: dict[str, dict[str, dict[str, Any]]] = {
    "load": {"load-30": LOAD, "load-300": LOAD},
    "work": WORK,
    **{name: {name: HARMED} for name in HARMS},
}


def everything() -> list[TrialResult]:
    """A run in which every trial was measured, with figures as wide as they come."""
    return [TrialResult(*key, 12.0, FIGURES[key.trial]) for key in PLAN.speed() + PLAN.harms()]


def test_a_run_takes_each_trial_of_each_engine_once_in_mixed_order() -> None:
    """Except those that kill what an engine does not have."""
    keys = PLAN.speed() + PLAN.harms()
    possible = {
        Key(engine, trial) for engine in ENGINES for trial in ENGINE_TRIALS if is_possible(engine, trial)
    }
    assert len(keys) == len(set(keys)) and set(keys) == possible
    assert not {Key("huey", "broker-killed"), Key("jobqueue", "broker-killed")} & possible
    again, other = msgspec.structs.replace(PLAN), msgspec.structs.replace(PLAN, seed=2)
    assert again.speed() == PLAN.speed() != other.speed()
    assert [key.engine for key in PLAN.speed()] != sorted(key.engine for key in PLAN.speed())


def test_a_run_is_planned_for_15_minutes_at_most_and_nothing_is_left_at_its_end() -> None:
    number, seconds = PLAN.left(())
    assert number == len(everything()) and 12 * 60 < seconds < 15 * 60
    assert PLAN.left({Key(each.engine, each.trial) for each in everything()}) == (0, 0)


def test_the_longest_harms_come_first() -> None:
    """So that none is left alone at the end."""
    seconds = [ENGINE_TRIALS[key.trial].seconds for key in PLAN.harms()]
    assert seconds == sorted(seconds, reverse=True)


@pytest.mark.parametrize(
    "said", ["", "Traceback ...\nValueError: no figures", "The worker did not begin within 60 seconds", "7"]
)
def test_a_trial_that_fails_has_a_reason_and_no_figures(said: str) -> None:
    """It is never counted as lost or kept; dashes stand for its figures, and its reason below the table."""
    found = shown(Key("celery", "worker-killed"), said, 3.0)
    assert found.figures is None and found.reason
    assert status([found], interrupted=False) == Status.UNFIT
    told = text(PLAN, [found])
    assert f"Not measured: Celery, worker: kill -9: {found.reason}" in " ".join(told.split())
    line = next(line for line in told.splitlines() if line.startswith("Celery "))
    assert set(line.split()[1:]) == {"–"}


def test_a_trial_shows_what_its_last_line_says() -> None:
    found = shown(Key("celery", "web-killed"), 'a warning\n{"web-killed": {"lost": 1}}\n', 3.0)
    assert found.figures == {"web-killed": {"lost": 1}} and not found.reason


def test_the_status_says_how_much_was_measured() -> None:
    """A load that was not what was asked for leaves its figures in doubt."""
    measured = everything()
    assert status(measured, interrupted=False) == Status.KEPT
    assert status(measured, interrupted=True) == Status.INTERRUPTED
    doubtful = TrialResult(
        "celery", "load", 1.0, {"load-30": LOAD | {"reasons": ["the machine was busy"]}, "load-300": LOAD}
    )
    assert status([*measured, doubtful], interrupted=False) == Status.UNDECIDED
    told = text(PLAN, [doubtful])
    assert "Celery *" in told and "* Celery, 30 users: the machine was busy" in told


def test_everything_is_told_in_80_columns() -> None:
    """The tables, with figures as wide as they come, and the lines of progress."""
    measured = everything()
    lines = [*text(PLAN, measured).splitlines(), *(progress_line(each, 99, 899.0) for each in measured)]
    assert max(map(len, lines)) <= 80, max(lines, key=len)
    assert all(engine_label(engine) in "\n".join(lines) for engine in ENGINES)


def test_the_page_the_figure_and_the_markdown_hold_the_run(tmp_path: Path) -> None:
    """The figure is described with its own numbers."""
    measured = everything()
    page = write_report(results_of_pure(measured), PLAN, measured, tmp_path).read_text()
    assert "engines lose feeds when a worker is killed" in page
    assert "Jobs a second: jobqueue 1,234, " in page and "Lost, web: kill -9: jobqueue 4 of 20" in page
    markdown = (tmp_path / "report.md").read_text()
    assert "| worker: kill -9 | PgQueuer | 20 | 10 | 123 |" in markdown
    assert (tmp_path / "figures" / "engines.png").exists()


def results_of_pure(measured: list[TrialResult]) -> dict[str, Any]:
    """What the page needs of results.json, without asking the servers for their versions."""
    machine = {"cpu": "a processor", "cores": 2, "memory_gib": 8.0, "system": "Linux", "python": "3.13.1"}
    ran = {"packages": {"celery": "5"}, "servers": {"Valkey": "9"}, "started_at": PLAN.started_at, "seed": 1}
    return {"machine": machine, **ran}


def test_the_room_shows_the_run_that_is_kept() -> None:
    """loadtests/engines/README.md ends with the Markdown of loadtests/example/engines.json."""
    results = json.loads((ROOT / "loadtests" / "example" / "engines.json").read_text())
    settings = results["settings"]
    plan = EnginePlan(
        tuple(settings["engines"]), tuple(settings["kinds"]), results["seed"], results["started_at"]
    )
    measured = msgspec.convert(results["trials"], list[TrialResult])
    kept = markdown(results, plan, measured)
    assert (ROOT / "loadtests" / "engines" / "README.md").read_text().endswith(f"{kept}\n")
    assert all(each.figures for each in measured)


@pytest.mark.parametrize("kind", TRIAL_KINDS)
def test_a_run_of_one_kind_has_its_figure_too(kind: str, tmp_path: Path) -> None:
    """Also when it was interrupted after its first trial."""
    one = [each for each in everything() if ENGINE_TRIALS[each.trial].kind == kind][:1]
    write_report(results_of_pure(one), PLAN, one, tmp_path)
    assert (tmp_path / "figures" / "engines.svg").exists()


def test_a_resumed_run_does_the_rest(tmp_path: Path) -> None:
    """What failed is taken again, too."""
    plan = begin(tmp_path / "run", ("jobqueue", "celery"), ("work",), seed=3)
    assert resumed(tmp_path / "run") == plan
    good = TrialResult("jobqueue", "work", 1.0, WORK)
    for each in (good, TrialResult("celery", "work", 1.0, reason="it failed")):
        write_part(file_of(tmp_path / "run", Key(each.engine, each.trial)), msgspec.to_builtins(each))
    assert done_before(tmp_path / "run", plan) == [good]
    assert plan.left({Key("jobqueue", "work")})[0] == 1


WRONG_PLAN = '{"schema": "500ms/engines-run", "version": 2, "plan": {"engines": 7}}'


@pytest.mark.parametrize(
    "held", ["", "{}", '{"schema": "500ms/run", "version": 3}', '{"schema": 1', WRONG_PLAN]
)
def test_what_is_no_run_is_not_resumed(held: str, tmp_path: Path) -> None:
    """In a sentence."""
    if held:
        (tmp_path / "run.json").write_text(held)
    with pytest.raises(UsageError, match="no run that can be resumed"):
        bench.main(["--resume", str(tmp_path)])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--engine", "sidekiq"], "there is no 'sidekiq'; there are jobqueue, "),
        (["--only", "speed"], "there is no 'speed'; there are load, work, harm"),
        (["--engine", "jobqueue", "--out", "FULL"], "is not an empty folder: name another with --out"),
    ],
)
def test_wrong_options_are_refused_in_a_sentence(
    options: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is measured."""
    (tmp_path / "file").touch()
    assert (
        main_status(["engines", *(each.replace("FULL", str(tmp_path)) for each in options)]) == Status.USAGE
    )
    assert said in capsys.readouterr().err


def main_status(arguments: list[str]) -> int:
    """The exit status, also of what argparse ends."""
    try:
        return main(arguments)
    except SystemExit as ended:
        return int(ended.code or 0)


@pytest.mark.live  # it asks the servers for their versions
def test_ctrl_c_keeps_what_is_done_and_says_how_to_go_on(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    signals_as_before: None,
) -> None:
    def interrupted(_plan: EnginePlan, _folder: Path, measured: list[TrialResult]) -> None:
        measured.append(TrialResult("jobqueue", "work", 1.0, WORK))
        raise KeyboardInterrupt

    monkeypatch.setattr(bench, "run", interrupted)
    out = tmp_path / "out"
    assert main(["engines", "--engine", "jobqueue", "--out", str(out)]) == Status.INTERRUPTED
    assert f"--resume {out}" in capsys.readouterr().err
    assert (out / "results.json").exists() and (out / "report.html").exists()


@pytest.mark.live
def test_a_run_measures_and_harms_jobqueue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, signals_as_before: None
) -> None:
    """One trial of each sort: it is picked up, and nothing is lost when the web process is killed."""
    for name in set(ENGINE_TRIALS) - {"load", "work", "web-killed"}:
        monkeypatch.setitem(ENGINE_TRIALS, name, replace(ENGINE_TRIALS[name], kind="left out"))
    out = tmp_path / "out"
    fine = (Status.KEPT, Status.UNDECIDED)  # on a busy machine the load is in doubt, and says so
    assert main(["engines", "--engine", "jobqueue", "--out", str(out)]) in fine
    found = figures_of(done_before(out, resumed(out)))
    picked, killed = found["jobqueue", "pick-up"], found["jobqueue", "web-killed"]
    assert picked and picked["p50"] > 0
    for users in (30, 300):
        assert (load := found["jobqueue", f"load-{users}"]) and load["submit"]["count"] > 5
    assert killed
    assert killed["stored"] == killed["by_itself"] == killed["refused"] == harm.HARMED
    assert main(["engines", "--resume", str(out)]) in fine  # and there is nothing left to do


LARGE_CHILD = """
import fcntl, os, time
if os.fork() == 0:
    held = open({file!r}, "w")
    fcntl.flock(held, fcntl.LOCK_EX)
    filled = b"x" * 600_000_000
    print("it is there", flush=True)
time.sleep(600)
"""


@pytest.mark.live
def test_killed_processes_are_gone_with_all_they_held(tmp_path: Path) -> None:
    """A large one takes long to die; until then, a broker may give a job to its connection."""
    command = [sys.executable, "-c", LARGE_CHILD.format(file=str(tmp_path / "held"))]
    with Process("parent", command, tmp_path / "log") as process:
        process.wait_for("it is there")
        kill_tree(process)
        with (tmp_path / "held").open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.live
def test_what_an_engine_forgets_is_lost(tmp_path: Path) -> None:
    """Huey forgets a task as it takes it, and TERM ends it at once."""
    if not find_spec("huey"):
        pytest.skip("requirements/engines.txt is not installed")
    command = trial_command("huey", "worker-stopped", tmp_path)
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    outcome = json.loads(done.stdout.splitlines()[-1])["worker-stopped"]
    assert outcome["stored"] == outcome["lost"] == outcome["unsaid"] == harm.HARMED
