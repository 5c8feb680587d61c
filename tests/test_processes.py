"""Processes that can't outlive the process that started them."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from conftest import still_running, wait_until

from loadtests.errors import ProcessError
from loadtests.servers.processes import GUARD, Process

pytestmark = pytest.mark.live

# A command with a child of its own that ignores TERM; both print their pids.
STUBBORN = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if len(sys.argv) < 2:
    subprocess.Popen([sys.executable, __file__, "child"])
print("pid", os.getpid(), flush=True)
time.sleep(600)
"""
# A parent that starts it under guard, and is then killed.
ASKER = """
import sys, time
from pathlib import Path
from loadtests.servers.processes import Process
Process("stubborn", [sys.executable, sys.argv[1]], Path(sys.argv[2]))
print("started", flush=True)
time.sleep(600)
"""


@pytest.fixture
def stubborn(tmp_path: Path) -> Path:
    """The stubborn command as a file."""
    script = tmp_path / "stubborn.py"
    script.write_text(STUBBORN)
    return script


def pids(log: Path) -> list[int]:
    """The pids printed by the command and its child."""
    return [int(line.split()[1]) for line in log.read_text().splitlines() if line.startswith("pid ")]


def alive(pids: list[int]) -> list[psutil.Process]:
    """Those of the processes that are still running."""
    processes = []
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            processes.append(psutil.Process(pid))
    return still_running(processes)


def test_stopping_ends_the_command_and_its_children_even_when_they_ignore_term(
    tmp_path: Path, stubborn: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """stop() returns once the command and its descendants are gone."""
    log = tmp_path / "log"
    with Process("stubborn", [sys.executable, str(stubborn)], log) as process:
        wait_until(lambda: len(pids(log)) == 2, "both pids")
        assert len(alive(pids(log))) == 2
        assert len(process.tree()) == 2
    assert not alive(pids(log))


def test_nothing_outlives_an_asker_who_is_killed(tmp_path: Path, stubborn: Path) -> None:
    """After kill -9 of their parent, the command and its child are ended."""
    log = tmp_path / "log"
    asker = subprocess.Popen(
        [sys.executable, "-c", ASKER, str(stubborn), str(log)], stdout=subprocess.PIPE, text=True
    )
    assert asker.stdout
    try:
        assert asker.stdout.readline() == "started\n"
        wait_until(lambda: len(pids(log)) == 2, "both pids")
        asker.kill()
        wait_until(lambda: not alive(pids(log)), "the end of both")
    finally:
        asker.kill()
        asker.wait()
        asker.stdout.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_guard_that_is_told_to_stop_ends_its_command(number: signal.Signals) -> None:
    """TERM and INT to the guard itself end the command; the guard reports its status."""
    guard = subprocess.Popen(
        [sys.executable, str(GUARD), sys.executable, "-c", "print('up', flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert guard.stdin and guard.stdout
    with guard:
        guard.stdout.readline()
        os.kill(guard.pid, number)
        assert guard.wait(60) != 0


def test_the_exit_status_of_the_command_comes_through(tmp_path: Path) -> None:
    """wait_with() returns what the command returned."""
    with Process("short", [sys.executable, "-c", "raise SystemExit(7)"], tmp_path / "log") as process:
        assert process.wait_with(lambda: None, timeout=60) == 7


def test_a_process_that_fails_to_start_says_what_its_log_said(tmp_path: Path) -> None:
    """The error message includes the last lines of the command's output."""
    command = [sys.executable, "-c", "raise SystemExit('no such port')"]
    with (
        Process("web server", command, tmp_path / "log") as process,
        pytest.raises(ProcessError, match=r"The web server ended at once .*\n.*no such port"),
    ):
        process.wait_for("ready")


def test_a_process_that_is_silent_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    """wait_for() gives up after its timeout, with an error that says so."""
    command = [sys.executable, "-c", "import time; time.sleep(600)"]
    with (
        Process("web server", command, tmp_path / "log") as process,
        pytest.raises(
            ProcessError, match=r"The web server was not ready after 0\.2 seconds\. It said nothing"
        ),
    ):
        process.wait_for("ready", timeout=0.2)
