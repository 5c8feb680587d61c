"""`locust -f loadtests/feeds.py` is an ordinary locustfile."""

import json
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from conftest import wait_until

from loadtests.processes import Process
from loadtests.samples import read_rows

ROOT = Path(__file__).parent.parent
LOCUST = [sys.executable, "-m", "locust", "-f", "loadtests/feeds.py"]


def headless(*options: str) -> subprocess.CompletedProcess[str]:
    """Run Locust without its page, to its end."""
    command = [*LOCUST, "--headless", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=90, check=False, cwd=ROOT)


@pytest.mark.parametrize("app", ["sync", "queued"])
def test_it_starts_the_reader_it_is_told_to_and_prints_a_verdict(app: str, tmp_path: Path) -> None:
    """`--app` brings up a stack; every request is a row; the table at the end counts the rows."""
    rows_file = tmp_path / "rows.csv"
    options = ("--kind", "fast", "--think", "0.1", "--users", "6", "--spawn-rate", "6", "--run-time", "2s")
    done = headless("--app", app, *options, "--rows", str(rows_file))
    assert done.returncode == 0, done.stderr
    assert f"Started the {app} reader at http://127.0.0.1:" in done.stdout
    rows = read_rows(rows_file)
    groups = {row.group for row in rows}
    assert groups >= {"submit", "page", "browse", "content"}
    assert ("poll" in groups) == (app == "queued")  # only a page whose feed is still being fetched asks
    assert not [row for row in rows if row.failed]
    submits = sum(row.group == "submit" for row in rows)
    assert re.search(rf"^POST /feeds +{submits} ", done.stdout, re.MULTILINE)
    about = json.loads(rows_file.with_suffix(".json").read_text())
    assert about["users"] == 6
    assert len(about["lag"]) > 10


def test_what_is_in_flight_at_the_end_is_a_row(tmp_path: Path) -> None:
    """With feeds that hang and no drain, submits are unfinished rows instead of nothing."""
    rows_file = tmp_path / "rows.csv"
    options = ("--kind", "hang", "--think", "0.1", "--users", "6", "--spawn-rate", "6", "--run-time", "2s")
    headless("--app", "sync", *options, "--stop-timeout", "0", "--rows", str(rows_file))
    rows = read_rows(rows_file)
    assert [row for row in rows if row.group == "submit" and row.unfinished]
    assert [row for row in rows if row.group == "content" and row.unfinished]


def test_the_same_seed_sends_the_same_feeds() -> None:
    """The visitors' random numbers depend on the seed and on nothing else."""
    code = """
import sys
from types import SimpleNamespace
import locust
from loadtests.feeds import Submitter
Submitter.host = "http://127.0.0.1:1"
options = SimpleNamespace(seed=int(sys.argv[1]), think=1.0)
user = Submitter(SimpleNamespace(parsed_options=options, events=locust.events))
print([user.random.randrange(10**9) for _ in range(3)], user.wait_time())
"""

    def said(seed: str) -> str:
        command = [sys.executable, "-W", "ignore", "-c", code, seed]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=60, check=True, cwd=ROOT
        ).stdout

    assert said("1") == said("1") != said("2")


def test_without_a_host_it_says_what_to_start() -> None:
    """Plain words and status 2, no traceback."""
    done = headless("--users", "1", "--run-time", "1s")
    assert done.returncode == 2
    assert "make sync" in done.stderr
    assert "--app queued" in done.stderr
    assert "Traceback" not in done.stderr


def text_of(page: str) -> str:
    """What a page says; nothing when it can't be had."""
    try:
        return requests.get(page, timeout=20).text
    except requests.ConnectionError:
        return ""


def test_it_works_in_locusts_own_page(tmp_path: Path) -> None:
    """The page is served, its form starts a test, and the test's figures come back."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [*LOCUST, "--app", "queued", "--kind", "fast", "--web-host", "127.0.0.1", "--web-port", port]
    log = tmp_path / "log"
    code = f"import os, sys; os.chdir({str(ROOT)!r}); os.execv(sys.executable, {command!r})"
    with Process("locust", [sys.executable, "-c", code], log) as process:
        page = f"http://127.0.0.1:{port}"
        process.wait_for(r"Starting web interface", timeout=60)
        wait_until(lambda: "Locust" in text_of(page), "the page")
        form = {"user_count": 3, "spawn_rate": 3, "run_time": "2s", "think": "0.1"}
        assert requests.post(f"{page}/swarm", data=form, timeout=20).json()["success"]
        process.wait_for(r"From every request, unrounded", timeout=60)
        figures = requests.get(f"{page}/stats/requests", timeout=20).json()
        assert {"POST", "GET"} <= {line["method"] for line in figures["stats"]}
