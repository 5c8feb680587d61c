"""`locust -f loadtests/feeds.py` is an ordinary locustfile: headless, in Locust's page, with processes."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from conftest import wait_until
from locust_runs import command, counted_by_locust, free_port, headless, two_processes

from loadtests.feedserver.server import running_feedserver
from loadtests.judging.fitness import little
from loadtests.records.rows import Row, read_rows
from loadtests.servers.processes import Process
from loadtests.servers.stack import Stack, StackSettings

pytestmark = pytest.mark.live

FEEDS = "loadtests/feeds.py"
QUICK = ("--kind", "fast", "--think", "0.1", "--run-time", "2s")
SIX = ("--users", "6", "--spawn-rate", "6")


@pytest.fixture(scope="module")
def reader() -> Iterator[tuple[str, ...]]:
    """The options that name a running queued reader and its feed server."""
    with Stack(StackSettings(app="queued")) as stack:
        yield ("--host", stack.url, "--feeds", stack.feeds_url)


def requests_of(rows: list[Row]) -> list[Row]:
    """The rows that are requests rather than whole visits."""
    return [row for row in rows if row.group != "content"]


@pytest.mark.parametrize("app", ["sync", "queued"])
def test_it_starts_the_reader_it_is_told_to_and_prints_a_verdict(app: str, tmp_path: Path) -> None:
    """`--app` starts a stack; every request is a row; the final table counts the rows."""
    run = headless(FEEDS, tmp_path, "--app", app, *QUICK, *SIX)
    assert run.status == 0, run.err
    assert f"Started the {app} reader at http://127.0.0.1:" in run.out
    groups = {row.group for row in run.rows}
    assert groups >= {"submit", "page", "browse", "content"}
    assert ("poll" in groups) == (app == "queued")  # only a page whose feed is still being fetched polls
    assert not [row for row in run.rows if row.failed]
    assert len(requests_of(run.rows)) == counted_by_locust(run)
    known = run.recording
    # The table leaves out requests of visits still under way when the load ended.
    submits = sum(row.group == "submit" and row.intended_s < known.stopped_s for row in run.rows)
    assert re.search(rf"^POST /feeds +{submits} ", run.out, re.MULTILINE)
    assert known.users_asked == 6 and known.visits == ("content",)
    assert len(known.lag) > 10


def test_users_are_always_visiting_or_thinking(reader: tuple[str, ...], tmp_path: Path) -> None:
    """Little's law over the rows gives the number of users, including their random first delay."""
    run = headless(
        FEEDS, tmp_path, *reader, *QUICK, "--users", "30", "--spawn-rate", "30", "--run-time", "4s"
    )
    law = little(run.rows, 0.5, run.recording.stopped_s, 30)
    assert law.holds, law
    first = [min(row.intended_s for row in run.rows if row.user == user) for user in range(30)]
    assert max(first) - min(first) > 0.05  # they don't march in step
    submitters = {row.user for row in run.rows if row.group == "submit"}
    assert len(submitters) == 21  # seven of ten


def test_open_load_is_seven_submitters_of_ten_and_counts_from_the_intended_start(
    reader: tuple[str, ...], tmp_path: Path
) -> None:
    """A visit's content and first request both count from its intended start; polls from their own."""
    run = headless(FEEDS, tmp_path, *reader, *QUICK, "--model", "open", "--rate", "20", "--burst", "10")
    arrivals = run.recording.arrivals
    # On a busy machine the last visits may come too late to begin.
    assert arrivals and arrivals.planned == arrivals.sent + arrivals.never_sent and arrivals.sent > 20
    rows = [row for row in run.rows if row.sent_s is not None]
    submits = {row.user: row for row in rows if row.group == "submit"}
    content = {row.user: row for row in rows if row.group == "content"}
    assert submits.keys() == content.keys()
    assert all(submits[user].intended_s == content[user].intended_s for user in submits)
    assert sum(row.intended_s == 0 for row in submits.values()) == 10  # the burst, all of them submitting
    visitors = {row.user for row in rows}
    assert 0.5 < (len(submits) - 10) / (len(visitors) - 10) < 0.9
    assert all(row.sent_s == row.intended_s for row in rows if row.group == "poll")


def test_two_processes_submit_different_feeds(reader: tuple[str, ...], tmp_path: Path) -> None:
    """Their rows are in one file, and every request is counted once."""
    # Seconds may pass until the users of a worker begin.
    run = headless(FEEDS, tmp_path, *reader, *QUICK, *SIX, *two_processes(), "--run-time", "8s")
    assert run.status == 0, run.err
    assert len(requests_of(run.rows)) == counted_by_locust(run)
    assert {row.user // 1_000_000 for row in run.rows} == {0, 1}
    assert "Started the" not in run.out
    assert run.out.count("The rule, ") == 1


def test_what_is_in_flight_at_the_end_is_a_row(tmp_path: Path) -> None:
    """With hanging feeds and no drain, submits are unfinished rows rather than missing."""
    run = headless(FEEDS, tmp_path, "--app", "sync", *QUICK, *SIX, "--kind", "hang", "--stop-timeout", "0")
    rows = run.rows
    assert [row for row in rows if row.group == "submit" and row.unfinished]
    assert [row for row in rows if row.group == "content" and row.unfinished]


def test_the_same_seed_submits_the_same_feeds(tmp_path: Path) -> None:
    """Which feeds are requested, and in which order, depends on the seed alone."""

    def asked(seed: str) -> list[str]:
        script = f"""
import sys
from types import SimpleNamespace
import locust
from loadtests.feeds import Submitter
Submitter.host = "http://127.0.0.1:1"
options = SimpleNamespace(seed={seed}, think=1.0, feeds="http://feeds", kind="fast")
user = Submitter(SimpleNamespace(parsed_options=options, events=locust.events))
user.ask = lambda *said, data, **more: print(data["url"]) or SimpleNamespace(status_code=500)
for _ in range(3):
    user.submit_and_read()
print(user.wait_time())
"""
        path = tmp_path / "script.py"
        path.write_text(script)
        with Process("script", [sys.executable, "-W", "ignore", str(path)], tmp_path / "log") as process:
            assert process.wait_with(lambda: None, timeout=60) == 0, process.output()
            return process.output().splitlines()

    assert asked("1") == asked("1") != asked("2")


def test_without_a_host_it_says_what_to_start(tmp_path: Path) -> None:
    """In plain words, with status 2 and no traceback."""
    run = headless(FEEDS, tmp_path, "--users", "1", "--run-time", "1s")
    assert run.status == 2
    assert "make sync" in run.err
    assert "--app queued" in run.err
    assert "Traceback" not in run.err


@pytest.mark.parametrize(
    ("host", "feeds", "nobody"),
    [
        ("http://127.0.0.1:9", "", "Nothing answers at http://127.0.0.1:9"),
        ("", "http://127.0.0.1:9", "No feed"),
    ],
)
def test_where_nothing_answers_nothing_is_tested(
    reader: tuple[str, ...], tmp_path: Path, host: str, feeds: str, nobody: str
) -> None:
    """Status 2 before the first request, and no verdict: a reader without feeds would be a fast one."""
    given = ("--host", host or reader[1], "--feeds", feeds or reader[3])
    run = headless(FEEDS, tmp_path, *given, *QUICK, *SIX)
    assert run.status == 2 and nobody in run.err
    assert "The rule" not in run.out and not run.rows_file.exists()


def test_a_load_whose_feeds_nobody_fetched_proves_nothing(reader: tuple[str, ...], tmp_path: Path) -> None:
    """The reader is fast because it may not use this feed server: unfit, and the counts say why."""
    with running_feedserver() as unknown:
        other = ("--host", reader[1], "--feeds", unknown.url, "--fail-over", "1")
        run = headless(FEEDS, tmp_path, *other, *QUICK, *SIX, *two_processes(), "--run-time", "8s")
        assert sum(unknown.stats()["requested"].values()) == 0
    assert run.status == 3, run.out
    content = [row for row in run.rows if row.group == "content" and row.done_s is not None]
    assert content and all(row.error for row in content)
    said = re.search(
        r"(\d+) feeds were submitted and \d+ of their pages done, but .* was asked for 0", run.out
    )
    assert said and int(said[1]) == sum(row.group == "submit" and row.status == 303 for row in run.rows)


# ---- Locust's own page


def text_of(page: str) -> str:
    """The text of a page; empty if it can't be loaded."""
    try:
        return requests.get(page, timeout=60).text
    except requests.ConnectionError:
        return ""


@pytest.fixture
def page(reader: tuple[str, ...], tmp_path: Path) -> Iterator[str]:
    """The address of Locust's page."""
    port = free_port()
    options = ("--web-port", port, "--rows", str(tmp_path / "rows.csv"))
    with Process("locust", command(FEEDS, *reader, *options), tmp_path / "log") as process:
        process.wait_for(
            r"Starting web interface at http://127\.0\.0\.1:", timeout=60
        )  # not on every network interface
        wait_until(lambda: "Locust" in text_of(f"http://127.0.0.1:{port}"), "the page")
        yield f"http://127.0.0.1:{port}"


def start(page: str, **form: Any) -> str:
    """Press the page's button; returns the form's answer if it refuses the test."""
    sent = {"user_count": 3, "spawn_rate": 3, "kind": "fast", "think": "0.1", **form}
    answer: dict[str, Any] = requests.post(f"{page}/swarm", data=sent, timeout=60).json()
    return "" if answer["success"] else str(answer["message"])


def state(page: str) -> str:
    """Locust's state, as its page reports it."""
    answer: dict[str, Any] = requests.get(f"{page}/stats/requests", timeout=60).json()
    return str(answer["state"])


def has_rows(page: str) -> bool:
    """Whether some requests were answered."""
    return len(requests.get(f"{page}/stats/requests", timeout=60).json()["stats"]) > 3


def test_the_page_starts_stops_and_starts_again(page: str, tmp_path: Path) -> None:
    """A test in closed load, then one in open load, chosen in the form; each has its own rows and verdict."""
    assert "No test has ended yet" in text_of(f"{page}/verdict")
    assert not start(page)
    wait_until(lambda: has_rows(page), "answers")
    assert "A test is running" in text_of(f"{page}/verdict")
    requests.post(f"{page}/stop", timeout=60)
    closed = text_of(f"{page}/verdict")
    assert "browsing" in closed and "The rule, " in closed
    assert {row.user for row in read_rows(tmp_path / "rows.csv")} == {0, 1, 2}

    assert not start(page, model="open", rate="30", run_time="2s")
    wait_until(lambda: state(page) == "running", "the second test")
    wait_until(lambda: state(page) == "stopped", "its end by --run-time")
    opened = text_of(f"{page}/verdict")
    assert opened != closed and "The rule, " in opened
    second = read_rows(tmp_path / "rows-2.csv")
    assert len({row.user for row in second}) > 20  # visits, not three users
    assert len(read_rows(tmp_path / "rows.csv")) > 0  # as it was


def test_the_page_shows_the_options(page: str) -> None:
    """In its form, with current values and short labels, except those of files and exit statuses."""
    written = re.search(r"window\.templateArgs = (.*)", text_of(page))
    assert written
    fields = json.loads(written[1])["extra_options"]
    assert fields.keys() >= {"model", "rate", "in_flight", "connections", "burst", "warm_up", "think", "kind"}
    assert not fields.keys() & {"fail_over", "steps", "rows", "deadline"}
    labels = [field["help_text"] for field in fields.values()]
    assert max(map(len, labels)) < 60 and not [label for label in labels if "--" in label]


def test_a_load_that_the_form_gets_wrong_does_not_begin(page: str) -> None:
    """The form says why; so does the verdict's tab, which must not show the previous test's verdict."""
    assert not start(page)
    wait_until(lambda: has_rows(page), "answers")
    requests.post(f"{page}/stop", timeout=60)
    assert "The rule, " in text_of(f"{page}/verdict")
    wrong = [
        ({"model": "open", "rate": "0"}, "such as --rate 10"),
        ({"think": "-1"}, "Think: '-1' is not a number, 0 or above"),
        ({"kind": "nice"}, "Kind: 'nice' is not one of mix, fast"),
        ({"host": "http://127.0.0.1:9"}, "Nothing answers at http://127.0.0.1:9"),
        ({"feeds": "http://127.0.0.1:9"}, "No feed server answers at http://127.0.0.1:9"),
    ]
    for form, why in wrong:
        assert why in start(page, **form)
        assert "The test was refused. " in text_of(f"{page}/verdict")
    wait_until(lambda: state(page) == "stopped", "the state that it has now")
    assert not start(page)  # refused values are not remembered
    wait_until(lambda: state(page) == "running", "the second test")
