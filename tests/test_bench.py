"""`python -m loadtests bench` from end to end, with steps of a second or two."""

import contextlib
import json
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import psutil
import pytest
from conftest import still_running, wait_until
from locust_runs import free_port

from loadtests.__main__ import COMMANDS, main
from loadtests.bench.bench import run
from loadtests.bench.plan import EverybodySubmits
from loadtests.feedserver.server import running_feedserver
from loadtests.records.rows import read_rows
from loadtests.servers.feedstate import feed_state
from loadtests.servers.stack import Stack, StackSettings

ROOT = Path(__file__).parent.parent
BENCH = [sys.executable, "-m", "loadtests", "bench"]
SHORT = ["--seconds", "2", "--warm-up", "0.5", "--think", "0.2", "--slots", "2", "--mix", "fast=100"]


def bench(*options: str) -> subprocess.CompletedProcess[str]:
    """Run a bench to completion."""
    return subprocess.run(
        [*BENCH, *options], capture_output=True, text=True, timeout=300, check=False, cwd=ROOT
    )


@pytest.mark.live
def test_a_bench_measures_both_readers_and_writes_it_all_down(tmp_path: Path) -> None:
    """Rows, a results.json that meets its schema, figures, a report; the exit status is the verdict's."""
    done = bench("--users", "3", *SHORT, "--out", str(tmp_path / "out"))
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert done.returncode == results["verdict"]["exit_status"], done.stderr
    jsonschema.validate(results, json.loads((ROOT / "loadtests" / "results.schema.json").read_text()))
    assert {(step["app"], step["users"]) for step in results["steps"]} == {("sync", 3), ("queued", 3)}
    for step in results["steps"]:
        rows = read_rows(tmp_path / "out" / step["rows"])
        start, end = step["window_s"]
        submits = [row for row in rows if row.group == "submit" and start <= row.intended_s < end]
        assert step["submit"]["count"] == len(submits) > 0
        assert step["failures"] == 0
        assert set(step["processes"]) >= {"feed server", "web server", "load generator"}
        if step["app"] == "queued":
            assert step["queue"]["out_per_s"] > 0
            assert step["queue"]["drain_s"] is not None
    for picture in ("main.png", "main.svg"):
        assert (tmp_path / "out" / "figures" / picture).stat().st_size > 10_000
    ElementTree.parse(tmp_path / "out" / "figures" / "main.svg")
    assert "data:image/svg+xml;base64," in (tmp_path / "out" / "report.html").read_text()
    assert str(tmp_path / "out" / "report.html") in done.stdout
    assert max(len(line) for line in done.stdout.splitlines() if "/" not in line) <= 80
    assert not list((tmp_path / "out").rglob("*.db*"))


@pytest.mark.live
def test_visitors_who_only_browse_can_be_left_out(tmp_path: Path) -> None:
    """The results say so."""
    few = {"users": (3,), "apps": ("sync",), "slots": (2,), "warmup": 0.5, "measure": 2.0, "think": 0.2}
    results = run(EverybodySubmits(**few, mix={"fast": 100.0}), tmp_path)
    (step,) = results["steps"]
    assert {row.group for row in read_rows(tmp_path / step["rows"])} == {"submit", "page", "content"}
    assert results["settings"]["submitters"] == 1


@pytest.mark.live
def test_a_bench_on_postgresql_starts_one_for_itself(tmp_path: Path) -> None:
    """`--database postgresql` needs no PostgreSQL to be running."""
    done = bench(
        "--users", "2", "--app", "queued", *SHORT, "--database", "postgresql", "--out", str(tmp_path / "out")
    )
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert done.returncode == results["verdict"]["exit_status"], done.stderr
    assert results["settings"]["database"] == "postgresql"
    assert results["steps"][0]["submit"]["count"] > 0


@pytest.mark.live
def test_a_bench_with_open_load_and_more_slots_repeats_it_all(tmp_path: Path) -> None:
    """A step for each rate, number of slots and repeat; the files for pipelines are written, too.

    Visits start whether or not earlier ones have been answered.
    """
    options = ["--model", "open", "--rate", "5", "--repeats", "2", "--app", "queued", *SHORT]
    options += ["--slots", "2,3", "--slot-kind", "threads", "--out", str(tmp_path / "out")]
    done = bench(*options, "--junit", str(tmp_path / "junit.xml"), "--github", str(tmp_path / "summary.md"))
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert done.returncode == results["verdict"]["exit_status"], done.stderr
    jsonschema.validate(results, json.loads((ROOT / "loadtests" / "results.schema.json").read_text()))
    assert sorted((step["slots"], step["repeat"]) for step in results["steps"]) == [
        (2, 1),
        (2, 2),
        (3, 1),
        (3, 2),
    ]
    assert [len(point["steps"]) for point in results["points"]] == [2, 2]
    for step in results["steps"]:
        assert step["model"] == "open" and step["naive"]["submit"]["count"] == step["submit"]["count"] > 0
        assert step["little"] is None
    assert len(ElementTree.parse(tmp_path / "junit.xml").findall(".//testcase")) == 2
    assert "5 visits a second" in (tmp_path / "summary.md").read_text()


@pytest.mark.live
def test_a_bench_measures_a_server_that_is_running_already(tmp_path: Path) -> None:
    """Only the load is started, and the report is about that server."""
    with Stack(StackSettings(app="queued", slots=2, mix="fast=100")) as stack:
        done = bench(
            "--host",
            stack.url,
            "--feeds",
            stack.feeds_url,
            "--users",
            "3",
            *SHORT,
            "--out",
            str(tmp_path / "o"),
        )
    results = json.loads((tmp_path / "o" / "results.json").read_text())
    assert done.returncode == results["verdict"]["exit_status"], done.stderr
    (step,) = results["steps"]
    assert (step["app"], step["server"], step["queue"]) == ("host", None, None)
    assert step["submit"]["count"] > 0 and step["failures"] == 0
    assert results["settings"]["host"] == stack.url
    assert stack.url in (tmp_path / "o" / "report.html").read_text()


@pytest.mark.live
def test_a_server_that_goes_down_in_mid_run_proves_nothing(tmp_path: Path) -> None:
    """Its last step is unfit, with the reason; the run ends there, and earlier measurements are kept."""
    out = tmp_path / "out"
    with Stack(StackSettings(app="queued", slots=2, mix="fast=100")) as stack:
        command = [*BENCH, "--host", stack.url, "--feeds", stack.feeds_url, "--users", "2,3", *SHORT]
        with subprocess.Popen(
            [*command, "--out", str(out)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=ROOT,
        ) as process:
            try:
                wait_until(lambda: feed_state(stack.feeds_url).requested, "the load")
                stack.stop()
                told, _ = process.communicate(timeout=300)
            finally:
                process.kill()
    assert process.returncode == 3, told
    assert f"Nothing answers at {stack.url} any more: Connection refused" in told
    assert "broke the rule" not in told
    (step,) = json.loads((out / "results.json").read_text())["steps"]
    assert step["unfit_reasons"][0].startswith(f"nothing answered at {stack.url} when the load had ended")


@pytest.mark.live
def test_a_disk_without_room_is_named(tmp_path: Path) -> None:
    """No file may grow beyond 64 KiB here, so nothing is measured and nothing judged."""
    command = shlex.join([*BENCH, "--users", "2", *SHORT, "--out", str(tmp_path / "out")])
    done = subprocess.run(
        ["bash", "-c", f"ulimit -f 64; exec {command}"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 2, done.stderr
    assert "can't be written: File too large" in done.stderr and "Traceback" not in done.stderr


def descendants(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """All processes the bench has started so far."""
    try:
        return psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def commands(process: subprocess.Popen[str]) -> str:
    """The command lines of all processes the bench has started."""
    lines = []
    for child in still_running(descendants(process)):
        with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            lines += child.cmdline()
    return " ".join(lines)


@pytest.mark.live
@pytest.mark.parametrize(
    "number",
    [signal.SIGKILL, signal.SIGTERM, signal.SIGINT],
)
def test_nothing_outlives_a_bench_that_is_killed(number: signal.Signals, tmp_path: Path) -> None:
    """Web server, worker, feed server and Locust all end, even after kill -9."""
    command = [*BENCH, "--users", "5", "--app", "queued", "--seconds", "60", "--out", str(tmp_path / "out")]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT, text=True
    ) as process:
        try:
            parts = ("gunicorn", "jobqueue", "feedserver", "locust")
            wait_until(lambda: all(part in commands(process) for part in parts), "all parts")
            wait_until(lambda: len(descendants(process)) > 10, "the guards and request slots")
            started = descendants(process)
            process.send_signal(number)
            wait_until(lambda: not still_running(started), "the end of all processes")
            assert process.wait(60) in (-signal.SIGKILL, 130)
        finally:
            process.kill()


@pytest.mark.live
def test_an_interrupted_bench_keeps_what_it_has_measured(tmp_path: Path) -> None:
    """After Ctrl-C during the second step the first is reported; the exit status is 130. The command that is
    printed measures the rest.
    """
    out = tmp_path / "out"
    with subprocess.Popen(
        [*BENCH, "--users", "3", *SHORT, "--out", str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
    ) as process:
        assert process.stdout
        try:
            while "p50" not in process.stdout.readline():  # the first step's line; it may be measured twice
                assert process.poll() is None
            process.send_signal(signal.SIGINT)
            rest = process.stdout.read()
            assert process.wait(60) == 130
        finally:
            process.kill()
    results = json.loads((out / "results.json").read_text())
    assert len(results["steps"]) == 1
    assert results["interrupted"]
    assert "report.html" in rest
    resume = rest.partition("To resume: ")[2].splitlines()[0]
    done = subprocess.run(
        resume, shell=True, capture_output=True, text=True, timeout=300, check=False, cwd=ROOT
    )
    results = json.loads((out / "results.json").read_text())
    assert len(results["steps"]) >= 2 and not results["interrupted"], done.stderr
    status = results["verdict"]["exit_status"]
    assert done.returncode == (2 if status and resume.startswith("make ") else status)  # make's own is 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--users", "0"], "is not a whole number above 0"),
        (["--users", "1,x"], "'x' is not a whole number above 0"),
        (["--seconds", "-1"], "is not a number of seconds above 0"),
        (["--app", "neither"], "invalid choice: 'neither'"),
        (["--mix", "quick=100"], "quick"),
        (["--mix", "fast=50"], "100"),
        (["--database", "mysql://x/y"], "write sqlite, postgresql"),
        (["--out", "."], "is not an empty folder"),
        (["--out", "Makefile"], "is not an empty folder"),
        (["--junit", "no/such/folder.xml"], "there is no folder no/such"),
        (["--slots", "many"], "is not a whole number above 0"),
        (["--rate", "5"], "--rate belongs to open load"),
        (["--model", "open"], "Open load needs rates"),
        (["--host", "http://127.0.0.1:1"], "--host and --feeds belong together"),
        (["--full", "--users", "3"], "--full chooses users and rates by itself"),
        (["--resume", "tests"], "no run that can be resumed"),
    ],
)
def test_bad_usage_gets_a_plain_answer(
    options: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 2, and a single message that names the mistake."""
    monkeypatch.chdir(ROOT)
    assert status_of("bench", *options) == 2
    assert said in capsys.readouterr().err


def test_a_server_that_is_not_there_breaks_no_rule(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The server is checked before anything is measured or written."""
    host = f"http://127.0.0.1:{free_port()}"
    assert status_of("bench", "--host", host, "--feeds", host, "--out", str(tmp_path / "out")) == 2
    assert f"Nothing answers at {host}: Connection refused" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_feed_server_that_is_not_there_is_missed_before_anything_is_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A reader without a feed server answers fast, and would be said to keep the rule."""
    feeds = f"http://127.0.0.1:{free_port()}"
    with running_feedserver() as anything:
        options = ("--host", anything.url, "--feeds", feeds, "--out", str(tmp_path / "out"))
        assert status_of("bench", *options) == 2
    assert f"No feed server answers at {feeds}: Connection refused" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def status_of(*arguments: str) -> object:
    """The exit status of `python -m loadtests`, called in this process."""
    try:
        return main(arguments)
    except SystemExit as exit:
        return exit.code


def test_help_fits_a_terminal_and_an_unknown_command_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`python -m loadtests` prints the help."""
    monkeypatch.setenv("COLUMNS", "80")
    for arguments in (["--help"], *([name, "--help"] for name in COMMANDS)):
        assert status_of(*arguments) == 0
        assert max(map(len, capsys.readouterr().out.splitlines())) <= 80
    assert status_of("run") == 2
    assert "there is no command 'run'" in capsys.readouterr().err
