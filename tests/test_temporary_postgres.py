"""A temporary PostgreSQL server ends with whoever started it, also in the midst of a crash."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from conftest import wait_until
from sqlalchemy import make_url

from loadtests.servers.postgres import started
from loadtests.servers.processes import stop_signals


@pytest.mark.live
def test_a_server_that_was_told_to_crash_ends_when_nobody_hears_that_it_is_up_again() -> None:
    """Its owner can't say so: that is the end, too."""
    command = [sys.executable, "-W", "ignore", "-m", "loadtests.servers.postgres", "--until-eof"]
    owner = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert owner.stdin and owner.stdout
    folder = str(make_url(owner.stdout.readline().strip()).query["host"])
    assert _those_in(folder)
    owner.stdout.close()
    print("crash", file=owner.stdin, flush=True)
    wait_until(lambda: owner.poll() is not None, "the owner's end")
    owner.stdin.close()
    assert not _those_in(folder) and not Path(folder).exists()


def _those_in(folder: str) -> list[psutil.Process]:
    """The processes of the server in this folder."""
    return [each for each in psutil.process_iter(["cmdline"]) if folder in (each.info["cmdline"] or ())]


def test_a_server_that_is_slow_to_start_is_waited_for() -> None:
    """The library gives it ten seconds, on any machine, and then does not know that it is there."""
    tries = iter([subprocess.TimeoutExpired("pg_ctl", 10), AssertionError("still starting"), None])

    def start() -> None:
        if error := next(tries):
            raise error

    started(start)
    assert next(tries, "tried thrice") == "tried thrice"


def test_signals_to_stop_are_noted(signals_as_before: None) -> None:
    asked = stop_signals()
    for number in (signal.SIGHUP, signal.SIGTERM):
        os.kill(os.getpid(), number)
    wait_until(lambda: len(asked) == 2, "both")
    assert {*asked} == {signal.SIGHUP, signal.SIGTERM}
