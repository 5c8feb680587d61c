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


def page(url: str, **form: object) -> str:
    """What a page says, after a form was posted if one is given; empty if nothing answers."""
    try:
        answer = requests.post(url, data=form, timeout=10) if form else requests.get(url, timeout=10)
    except requests.ConnectionError:
        return ""
    return answer.text if answer.ok else ""


def test_a_load_of_two_processes_goes_on_until_it_is_decided(null_server: str, tmp_path: Path) -> None:
    """Started on Locust's page, which shows its figures meanwhile; its metrics can be scraped. The verdict
    rests on the requests that decided.
    """
    rows, web, port = tmp_path / "rows.csv", free_port(), free_port()
    rule = ("--rule", "2000", "--fail-over", "5", "--until-decided", "--rows", str(rows))
    ports = ("--web-port", web, "--prometheus", port, *two_processes())
    url, form = f"http://127.0.0.1:{web}", {"user_count": 20, "spawn_rate": 100, "host": null_server}

    def shown() -> bool:
        """Some of the same requests on the page and in the metrics."""
        metrics = page(f"http://127.0.0.1:{port}/metrics")
        wanted = ('loadtests_requests_total{group="fast",name="GET /fast",outcome="in_time"}', 'le="2.0"')
        wanted = (*wanted, "loadtests_users 20.0")
        return all(each in metrics for each in wanted) and ">fast</th>" in page(f"{url}/verdict")

    with Process("locust", command(USERS, "Fast", *rule, *ports), tmp_path / "log") as process:
        process.wait_for(r"2 workers connected", timeout=60)
        wait_until(lambda: "true" in page(f"{url}/swarm", **form), "Locust's page", timeout=60)
        wait_until(shown, "figures", timeout=60)
        process.wait_for(r"The rule, at most 5.0 % of any requests over 2000 ms: kept", timeout=60)
        wait_until(lambda: "The load ended by itself" in page(f"{url}/verdict"), "the verdict")
    recording = read_recording(rows)
    assert recording.decided_s and 5 < recording.decided_s < recording.stopped_s
    (stage,) = judge(recording).stages
    assert [group.word for group in stage.groups] == ["kept"] and recording.looks[0] > 0


def test_a_broken_rule_stops_all_steps(truth_server: str, tmp_path: Path) -> None:
    """Later steps are larger, so they would break it, too. (On a busy machine it takes several looks.)"""
    steps = ("--steps", "4,8", "--step-seconds", "20", "--stop-timeout", "5")
    users = ("Lognormal", "--host", truth_server)
    run = headless(TRUTH, tmp_path, *users, *steps, "--stop-when-broken", "--rule", "10", "--fail-over", "1")
    stages = run.recording.stages
    if "The load ended by itself" not in run.out:  # on a busy machine nothing is broken beyond doubt
        assert run.status in {3, 4} and len(stages) == 2, run.out
        return
    assert run.status in {1, 3} and "broken" in run.out, run.out
    assert stages[-1].end_s - stages[-1].start_s < 20


def test_a_port_that_is_taken_is_refused(null_server: str, tmp_path: Path) -> None:
    """Status 2, and what to do."""
    taken = null_server.rpartition(":")[2]
    run = headless(USERS, tmp_path, "Fast", "--host", null_server, "--prometheus", taken)
    assert run.status == 2
    assert f"Port {taken} is in use" in run.err and "take another with --prometheus" in run.err
