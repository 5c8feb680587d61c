"""`import loadtests.plugin` gives any locustfile exact rows, open load, steps and a verdict."""

import re
import socket
import subprocess
from pathlib import Path

import pytest
from locust_runs import command, counted_by_locust, free_port, headless

from loadtests.__main__ import main
from loadtests.status import Status

pytest_plugins = ["locust_fixtures"]
pytestmark = pytest.mark.live

HERE = Path(__file__).parent
USERS = HERE / "plugin_locustfile.py"
TRUTH = HERE / "truth_locustfile.py"


def test_users_that_know_nothing_of_it_leave_rows_of_both_clients(null_server: str, tmp_path: Path) -> None:
    """As many rows as Locust counts, named as in Locust; grouped by name, or as the locustfile says."""
    options = ("--users", "4", "--spawn-rate", "4", "--run-time", "1s", "--stop-timeout", "30")
    run = headless(USERS, tmp_path, "Plain", "Fast", "--host", null_server, *options)
    assert run.status == 0, run.err
    rows = run.rows
    assert {(row.group, row.name) for row in rows} == {("GET /plain", "GET /plain"), ("fast", "GET /fast")}
    assert [row for row in rows if row.status != 200 or row.error] == []
    assert len(rows) == counted_by_locust(run)
    assert len({row.user for row in rows}) == 4
    assert run.recording.users() == run.recording.users_asked == 4
    assert "GET /plain" in run.out and "at most 1.0 % of any requests over 500 ms: " in run.out


@pytest.mark.parametrize(
    ("user", "status", "words"),
    [
        ("Judging", 200, "not what it should be"),
        ("JudgingPlain", 200, "not what it should be"),
        ("Nobody", 0, "Connection refused"),
        ("NobodyPlain", 0, "Connection refused"),
    ],
)
def test_failures_are_told_as_locust_tells_them(
    null_server: str, tmp_path: Path, user: str, status: int, words: str
) -> None:
    """The locustfile's judgement of an answer, and a missing answer. Locust's own exit status is unchanged,
    except for a load that found no server at all.
    """
    options = ("--users", "1", "--run-time", "1s", "--exit-code-on-error", "7", "--stop-timeout", "30")
    run = headless(USERS, tmp_path, user, "--host", null_server, *options)
    assert run.status == (7 if status else Status.USAGE)
    rows = [row for row in run.rows if not row.unfinished]
    assert rows and all(row.failed and row.status == status and words in row.error for row in rows), rows


def test_a_broken_rule_is_the_exit_status_if_asked_for(truth_server: str, tmp_path: Path) -> None:
    """Every latency is over 1 ms: status 1. Without --fail-over the status is Locust's, even if the load
    ended for that reason.
    """
    options = ("Lognormal", "--host", truth_server, "--users", "2", "--run-time", "2s", "--stop-timeout", "9")
    asked = headless(TRUTH, tmp_path, *options, "--rule", "1", "--fail-over", "50")
    assert asked.status in {1, 3, 4}, asked.out  # 3 or 4 on a busy machine
    assert (asked.status == 3) == ("proves nothing" in asked.out)
    assert (asked.status == 4) == ("upper bounds" in asked.out)
    assert re.search(r"(broken|undecided)\.\n  GET /lognormal 100 %", asked.out)
    stopped = headless(TRUTH, tmp_path, *options, "--rule", "1", "--stop-when-broken", "--run-time", "20s")
    assert stopped.status == 0 and (
        "The load ended by itself" in stopped.out or "upper bounds" in stopped.out
    )


def test_what_is_expected_beyond_the_rule_sets_the_exit_status(null_server: str, tmp_path: Path) -> None:
    """Told below the rule, and saved with the rows. The rule alone would be kept, or undecided."""
    options = ("--users", "4", "--spawn-rate", "4", "--run-time", "2s", "--stop-timeout", "5")
    more = ("--expect", "fast p50 < 9s", "--expect", "'GET /fast' p50 >= 9s")
    run = headless(USERS, tmp_path, "Fast", "--host", null_server, *options, *more)
    assert run.status in {Status.BROKEN, Status.UNFIT}, run.err  # unfit on a busy machine
    assert re.search(r"^fast p50 < 9s: kept \(.*, 95 % interval .* ms\)\.$", run.out, re.MULTILINE)
    assert "\n'GET /fast' p50 >= 9s: broken (" in run.out
    assert run.recording.expectations == (more[1], more[3])
    assert main(["report", str(run.rows_file)]) == 0
    assert "broken-word" in (tmp_path / "rows-report.html").read_text()


def test_an_expectation_that_can_not_be_read_stops_all_before_the_load(tmp_path: Path) -> None:
    """At its place, with an example; status 2, though no server is there to ask."""
    run = headless(USERS, tmp_path, "Nobody", "--run-time", "9s", "--expect", "pay p95 < 300")
    assert run.status == Status.USAGE
    assert "--expect: in 'pay p95 < 300', '300' should be a number with its unit, ms or s." in run.err
    assert "For example: pay p95 < 300ms" in run.err and not run.rows_file.exists()


def test_a_load_that_measured_nothing_is_unfit(null_server: str, tmp_path: Path) -> None:
    """All of it was warm-up: status 3, with the reason."""
    run = headless(
        *(USERS, tmp_path, "Fast", "--host", null_server, "--users", "1", "--run-time", "1s"),
        *("--warm-up", "60", "--fail-over", "1"),
    )
    assert run.status == 3
    assert "nothing was measured" in run.out


def test_requests_whose_users_are_killed_at_the_end_are_rows(truth_server: str, tmp_path: Path) -> None:
    """Locust kills users by default, and loses their hanging requests. Closed load, no drain."""
    options = ("--users", "5", "--spawn-rate", "5", "--run-time", "5s", "--stop-timeout", "0")
    run = headless(TRUTH, tmp_path, "Hanging", "--host", truth_server, *options)
    hung = [row for row in run.rows if row.unfinished]
    assert len(hung) == len({row.user for row in hung}) == 5
    assert re.search(r"^GET /hanging +\d+ +5 ", run.out, re.MULTILINE)


def test_each_step_is_reported_apart(null_server: str, tmp_path: Path) -> None:
    """In the table and in the .json, with its users; the rows of the steps can be told apart."""
    steps = ("--steps", "1,4", "--step-seconds", "2", "--warm-up", "0.5", "--stop-timeout", "30")
    run = headless(USERS, tmp_path, "Fast", "--host", null_server, *steps)
    assert run.status == 0, run.err
    first, second = run.recording.stages
    assert (first.load, second.load) == (1, 4)
    assert first.start_s == 0 and first.end_s == second.start_s
    assert (
        first.end_s < second.end_s == run.recording.stopped_s
    )  # about 2 s and 4 s, if the machine is not busy
    assert {row.user for row in run.rows if row.intended_s < first.end_s} == {0}
    assert {row.user for row in run.rows if row.intended_s > second.start_s + 0.5} == {0, 1, 2, 3}
    assert "1 user, from 0.0 to" in run.out and "4 users, from" in run.out
    assert run.out.count("The rule, ") == 2
    assert "have no impact" not in run.err  # Locust's message about --users, which a shape ignores


def test_open_load_has_steps_too(null_server: str, tmp_path: Path) -> None:
    """Rates, by the schedule: each stage has as many rows as its seed planned, about 20 and 80."""
    steps = ("--model", "open", "--steps", "20,80", "--step-seconds", "1", "--seed", "3")
    run = headless(USERS, tmp_path, "Fast", "--host", null_server, *steps, "--stop-timeout", "30")
    assert run.recording.stages == ((20, 0, 1), (80, 1, 2))
    early = sum(row.intended_s < 1 for row in run.rows)
    assert 8 <= early <= 35 and 50 <= len(run.rows) - early <= 115
    arrivals = run.recording.arrivals
    assert arrivals and len(run.rows) == arrivals.planned == arrivals.sent
    again = headless(USERS, tmp_path, "Fast", "--host", null_server, *steps, "--stop-timeout", "30")
    assert [row.intended_s for row in again.rows] == [row.intended_s for row in run.rows]


def test_a_burst_comes_at_once_on_top(null_server: str, tmp_path: Path) -> None:
    """Forty at the first second, on top of five a second."""
    options = ("--model", "open", "--rate", "5", "--burst", "40", "--burst-at", "1", "--run-time", "2s")
    run = headless(USERS, tmp_path, "Plain", "--host", null_server, *options, "--stop-timeout", "30")
    assert sum(row.intended_s == 1 for row in run.rows) == 40
    assert all(row.sent_s is not None and row.sent_s >= row.intended_s for row in run.rows)


def test_too_many_in_flight_are_dropped_and_counted(truth_server: str, tmp_path: Path) -> None:
    """The server has stopped answering, and at most ten may be in flight: all others are dropped rows."""
    options = ("--model", "open", "--rate", "60", "--in-flight", "10", "--run-time", "5s")
    run = headless(TRUTH, tmp_path, "Hanging", "--host", truth_server, *options, "--fail-over", "1")
    dropped = [row for row in run.rows if row.dropped]
    arrivals = run.recording.arrivals
    assert arrivals and len(dropped) == arrivals.dropped > 20
    assert {row.name for row in dropped} == {"GET /hanging"}
    assert len(run.rows) == arrivals.planned
    assert sum(row.unfinished and row.sent_s is not None for row in run.rows) <= 10
    assert run.status == 3 and "were dropped: too many were in flight" in run.out


def test_a_visit_of_a_sequence_goes_through_it_once(null_server: str, tmp_path: Path) -> None:
    """Its first request counts from the visit's intended start, the second from its own sending."""
    options = ("--model", "open", "--rate", "20", "--run-time", "1s", "--stop-timeout", "30")
    run = headless(USERS, tmp_path, "Sequence", "--host", null_server, *options)
    first, second = (
        [row.user for row in run.rows if row.name == name] for name in ("GET /first", "GET /second")
    )
    assert len(second) == len(set(second)) > 5
    assert set(second) <= set(first) and len(first) == len(set(first))  # the end may cut a visit short
    assert all(row.sent_s == row.intended_s for row in run.rows if row.name == "GET /second")
    sent = [row for row in run.rows if row.name == "GET /first" and row.sent_s is not None]
    assert sent and all((row.sent_s or 0) > row.intended_s for row in sent)


def test_a_visit_that_fails_before_it_sends_is_a_failure(null_server: str, tmp_path: Path) -> None:
    """It is a row among the visits, with the error's message, and Locust is informed."""
    options = ("--model", "open", "--rate", "30", "--run-time", "1s", "--stop-timeout", "30")
    run = headless(USERS, tmp_path, "Broken", "--host", null_server, *options)
    failed = [row for row in run.rows if row.error == "the locustfile is broken"]
    sent = [row for row in run.rows if row.sent_s is not None]  # a busy machine may start some too late
    assert run.recording.arrivals and len(sent) == run.recording.arrivals.sent
    assert len(failed) == len(sent) // 2 > 3
    assert {row.name for row in run.rows} == {"GET /sometimes"}
    assert run.status == 1


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        ("--model open", "such as --rate 10"),
        ("--rate 10", "Add --model open"),
        ("--steps 1,x", "is not a list such as 10,20,50"),
        ("--in-flight -1", "is not a whole number"),
    ],
)
def test_bad_values_are_refused_with_advice(
    null_server: str, tmp_path: Path, options: str, advice: str
) -> None:
    """Status 2, plain words, no traceback."""
    run = headless(USERS, tmp_path, "Fast", "--host", null_server, *options.split())
    assert run.status == 2
    assert advice in run.err and "Traceback" not in run.err
    assert not run.rows_file.exists()


def test_the_options_are_explained(tmp_path: Path) -> None:
    """All of them, beside Locust's own. (Locust's --help comes before the locustfile is read.)"""
    run = headless(USERS, tmp_path, "--help-load")
    assert run.status == 0
    load = "model rate in-flight connections burst burst-at steps step-seconds"
    verdict = "rows warm-up seed rule fail-over"
    for option in f"{load} {verdict} users run-time".split():
        assert re.search(rf"^ +(-\w .*)?--{option}[ ,]", run.out, re.MULTILINE), option


@pytest.mark.parametrize("user", ["Plain", "Fast"])
def test_a_server_that_is_not_there_breaks_no_rule(user: str, tmp_path: Path) -> None:
    """Status 2 and one sentence, with or without --fail-over."""
    host = f"http://127.0.0.1:{free_port()}"
    for options in ((), ("--fail-over", "1")):
        run = headless(USERS, tmp_path, user, "--host", host, "--users", "2", "--run-time", "1s", *options)
        assert run.status == 2, run.err
        assert "Nothing was tested: nothing answers at that address" in run.out


def test_a_port_of_the_page_that_is_in_use_is_said_in_a_line() -> None:
    """Before anything is started, without Locust's traceback; status 2."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        page = command(USERS, "--web-port", port)
        done = subprocess.run(page, capture_output=True, text=True, timeout=90, check=False, cwd=HERE.parent)
    assert done.returncode == Status.USAGE
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"loadtests: Port {port} is in use on 127.0.0.1")
    assert last.endswith(": take another with --web-port") and "Traceback" not in done.stderr
