"""Loads that must not be believed: the generator says so, whatever the figures are."""

import functools
import re
from pathlib import Path

import pytest
import requests
from conftest import wait_until
from locust_runs import command, counted_by_locust, free_port, headless

from loadtests.judging.judge import judge
from loadtests.servers.processes import Process

pytest_plugins = ["locust_fixtures"]
pytestmark = pytest.mark.live

HERE = Path(__file__).parent
USERS = HERE / "plugin_locustfile.py"
TRUTH = HERE / "truth_locustfile.py"
OPEN = ("--model", "open", "--rate", "20", "--run-time", "2s", "--stop-timeout", "1", "--fail-over", "1")


@pytest.mark.parametrize("load", ["--users 90 --spawn-rate 90", "--model open --rate 150 --in-flight 90"])
def test_a_generator_without_file_descriptors_is_not_fit(
    truth_server: str, tmp_path: Path, load: str
) -> None:
    """Unsent requests are not the server's failures. Rows are written, with advice on what to do."""
    options = ("--host", truth_server, "--run-time", "5s", "--stop-timeout", "1", "--fail-over", "1")
    run = headless(TRUTH, tmp_path, "Hanging", *load.split(), *options, files=64)
    assert run.status == 3, run.err
    assert "ran out of file descriptors (64 are allowed)" in run.out and "`ulimit -n 4096`" in run.out
    assert run.rows and not any(row.failed for row in run.rows)


def test_a_load_whose_users_never_start_sends_nothing_and_says_so(null_server: str, tmp_path: Path) -> None:
    """Even if it ends before it has stopped waiting for them."""
    run = headless(USERS, tmp_path, "NeverReady", "--host", null_server, *OPEN)
    assert run.status == 3, run.err
    assert "on_start of a user did not end" in run.out and "nothing was measured" in run.out
    longer = headless(USERS, tmp_path, "NeverReady", "--host", null_server, *OPEN, "--run-time", "7s")
    assert longer.status == 3, longer.err
    assert re.search(r"\d+ visits could not begin, because on_start of the user did not end", longer.out)
    arrivals = longer.recording.arrivals
    assert arrivals and arrivals.sent == 0 < arrivals.never_sent
    assert all(row.sent_s is None for row in longer.rows)


def test_a_visit_whose_user_can_not_start_is_a_failure(null_server: str, tmp_path: Path) -> None:
    """The visit does not continue without its login."""
    run = headless(USERS, tmp_path, "NoLogin", "--host", null_server, *OPEN)
    assert run.status in {1, 3, 4}, run.out  # 3 or 4 on a busy machine
    assert "broken" in run.out or judge(run.recording).stages[0].slowed
    assert {row.error for row in run.rows if row.sent_s} == {"its user could not start: no login"}


def test_a_failure_that_the_client_hides_is_one(truth_server: str, tmp_path: Path) -> None:
    """Every tenth request is dropped and resent: Locust counts no failure."""
    options = ("--users", "2", "--run-time", "2s", "--stop-timeout", "30")
    run = headless(TRUTH, tmp_path, "Dropping", "--host", truth_server, *options)
    failed = sum(row.failed for row in run.rows)
    assert failed == len(run.rows) // 10 > 2
    assert len(run.rows) - failed == counted_by_locust(run)
    assert "broken" in run.out or judge(run.recording).stages[0].slowed


def test_calls_of_a_custom_client_are_rows_also_if_they_hang(tmp_path: Path) -> None:
    """Locust counts each call as a request once, if it ends."""
    options = ("--users", "3", "--spawn-rate", "3", "--run-time", "4s", "--stop-timeout", "0")
    run = headless(USERS, tmp_path, "Custom", *options)
    of = {name: [row for row in run.rows if row.name == name] for name in ("call 0", "call 1", "call 2")}
    assert {row.error for row in of["call 0"]} == {""}
    assert {row.error for row in of["call 1"]} == {"failed"}
    assert {row.error for row in of["call 2"]} == {"not what it should be"}
    assert {row.group for row in run.rows} == {"call"}
    assert len({row.user for row in run.rows if row.unfinished and row.name == "call 3"}) == 3
    assert counted_by_locust(run) == sum(map(len, of.values()))


def test_users_that_are_changed_while_it_runs_are_a_doubt(null_server: str, tmp_path: Path) -> None:
    """With "Edit" in Locust's page. One verdict can't cover two loads."""
    port = free_port()
    started = command(USERS, "Fast", "--host", null_server, "--web-host", "127.0.0.1", "--web-port", port)

    def posted(path: str, **form: object) -> bool:
        try:
            return requests.post(f"http://127.0.0.1:{port}{path}", data=form, timeout=60).ok
        except requests.ConnectionError:
            return False

    with Process("locust", started, tmp_path / "log") as process:
        for users in (2, 5):
            form = {"user_count": users, "spawn_rate": 100, "host": null_server}
            wait_until(functools.partial(posted, "/swarm", **form), "Locust's page")
            process.wait_for(rf"All users spawned: .*\({users} total users\)", timeout=60)
        requests.post(f"http://127.0.0.1:{port}/stop", timeout=60)
        process.wait_for(r"The rule, ", timeout=60)
        said = requests.get(f"http://127.0.0.1:{port}/verdict", timeout=60).text
    assert "the number of users was changed from 2 to 5 while it ran" in said
