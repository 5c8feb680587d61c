"""Loads that end by themselves as soon as they are decided, and what can be seen of a load meanwhile."""

from pathlib import Path

import pytest
import requests
from conftest import wait_until
from locust_runs import command, free_port, headless, two_processes

from loadtests.judging.judge import judge
from loadtests.records.recording import read_recording
from loadtests.servers.processes import Process

pytest_plugins = ["locust_fixtures"]
pytestmark = pytest.mark.live

HERE = Path(__file__).parent
USERS = HERE / "plugin_locustfile.py"
TRUTH = HERE / "truth_locustfile.py"
LONG = ("--run-time", "80s", "--stop-timeout", "5")


def test_a_load_of_two_processes_goes_on_until_it_is_decided(null_server: str, tmp_path: Path) -> None:
    """Its metrics can be scraped meanwhile. The verdict rests on the requests that decided."""
    rows, port = tmp_path / "rows.csv", free_port()
    users = ("Fast", "--host", null_server, "--users", "20", "--spawn-rate", "20")
    options = (
        "--until-decided",
        "--rows",
        str(rows),
        "--prometheus",
        port,
        "--rule",
        "2000",
        "--fail-over",
        "5",
    )
    started = command(USERS, "--headless", *users, *LONG, *options, *two_processes())

    def scraped() -> bool:
        try:
            text = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text
        except requests.ConnectionError:
            return False
        wanted = ('loadtests_requests_total{group="fast",name="GET /fast",outcome="in_time"}', 'le="2.0"')
        return all(each in text for each in (*wanted, "loadtests_users 20.0"))

    with Process("locust", started, tmp_path / "log") as process:
        wait_until(scraped, "metrics", timeout=60)
        process.wait_for(r"The rule, at most 5.0 % of any requests over 2000 ms: kept", timeout=60)
    recording = read_recording(rows)
    assert recording.decided_s and 5 < recording.decided_s < recording.stopped_s < 70
    (stage,) = judge(recording).stages
    assert [group.word for group in stage.groups] == ["kept"] and recording.looks[0] > 0


def test_a_broken_rule_stops_all_steps(truth_server: str, tmp_path: Path) -> None:
    """Later steps are larger, so they would break it, too."""
    steps = ("--steps", "4,8,12", "--step-seconds", "20", "--stop-timeout", "5")
    users = ("Lognormal", "--host", truth_server)
    run = headless(TRUTH, tmp_path, *users, *steps, "--stop-when-broken", "--rule", "10", "--fail-over", "1")
    assert run.status in {1, 3}, run.out  # 3 on a busy machine
    assert "The load ended by itself" in run.out and "broken" in run.out
    (stage,) = run.recording.stages
    assert stage.load == 4 and stage.end_s < 19 and judge(run.recording).stages[0].groups[0].word == "broken"


def test_a_port_that_is_taken_is_refused(null_server: str, tmp_path: Path) -> None:
    """Status 2, and what to do."""
    taken = null_server.rpartition(":")[2]
    run = headless(USERS, tmp_path, "Fast", "--host", null_server, "--prometheus", taken)
    assert run.status == 2
    assert f"--prometheus {taken}: " in run.err and "Give another port" in run.err
