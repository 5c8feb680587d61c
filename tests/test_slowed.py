"""Servers of known latency on a machine that other programs keep busy: a verdict never blames the server.

How busy the machine is depends on what else runs. So each test asks the recording, and expects what follows.
"""

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from locust_runs import Run, headless

from loadtests.judging.fitness import MOST_GENERATOR_CPU, MOST_HOST_CPU, MOST_LAG_MS
from loadtests.judging.judge import judge
from loadtests.servers.processes import Process
from loadtests.status import Status

pytest_plugins = ["locust_fixtures"]
pytestmark = pytest.mark.live

TRUTH = Path(__file__).with_name("truth_locustfile.py")
HOGS = 3


@pytest.fixture
def hogs(tmp_path: Path) -> Iterator[None]:
    """Programs that do nothing but use a core each."""
    with ExitStack() as exits:
        for number in range(HOGS):
            command = [sys.executable, "-c", "while True: pass"]
            exits.enter_context(Process(f"hog {number}", command, tmp_path / f"hog-{number}.log"))
        yield


def loaded(user: str, server: str, folder: Path) -> tuple[Run, bool]:
    """A load of forty such users, and whether the machine was too busy for it, or its generator late."""
    options = ("--users", "40", "--spawn-rate", "40", "--run-time", "8s", "--warm-up", "2")
    run = headless(TRUTH, folder, user, "--host", server, *options, "--stop-timeout", "5", "--fail-over", "1")
    (whole,) = judge(run.recording).stages
    assert run.status == whole.status, run.out
    if whole.health is None:
        return run, True
    lag, generator, host = whole.health
    return run, lag > MOST_LAG_MS or generator > MOST_GENERATOR_CPU or host > MOST_HOST_CPU


def test_a_quick_server_beside_hogs_has_kept_the_rule(truth_server: str, tmp_path: Path, hogs: None) -> None:
    """50 ms, always. If the hogs made it slower than the rule allows, nobody can say; if they kept the load
    from being sent, nothing is proved; but it is never said to have broken the rule.
    """
    run, full = loaded("Quick", truth_server, tmp_path)
    assert run.status in ({Status.KEPT, Status.UNDECIDED, Status.UNFIT} if full else {Status.KEPT}), run.out
    assert ("Its latencies are upper bounds: " in run.out) == (full and run.status != Status.UNFIT)
    assert "broken" not in run.out


def test_a_slow_server_has_broken_the_rule(truth_server: str, tmp_path: Path) -> None:
    """700 ms, always: but where the machine happens to be busy, that is not proved."""
    run, full = loaded("Slow", truth_server, tmp_path)
    assert run.status in ({Status.UNDECIDED, Status.UNFIT} if full else {Status.BROKEN}), run.out


def test_a_slow_server_beside_hogs_is_undecided(truth_server: str, tmp_path: Path, hogs: None) -> None:
    """It may have been the hogs, as the output says; no number of requests would decide."""
    run, full = loaded("Slow", truth_server, tmp_path)
    assert run.status in ({Status.UNDECIDED, Status.UNFIT} if full else {Status.BROKEN}), run.out
    assert ("not the app's" in run.out) == full and "more requests" not in run.out
