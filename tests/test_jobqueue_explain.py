"""`jobqueue explain` says why a job is not running: a test for each reason."""

import json
import subprocess
import sys
from datetime import datetime, timedelta

import pytest
from commands_for_tests import HOUR, MINUTE, NOON, SECOND, Command, claimed, name_of, seen
from jobs_for_tests import Fail, Say
from sqlalchemy import update

from jobqueue import Queue, Worker
from jobqueue.schema import tables
from jobqueue.tools.explaining import explain

jobs = tables().jobs

pytest_plugins = ["queue_fixtures", "command_fixtures"]

SILVER, GOLD = name_of(1), name_of(2)


def reasons(queue: Queue, id: int, now: datetime = NOON) -> dict[str, str]:
    """The reasons why the job does not run: texts by code."""
    return {reason.code: reason.text for reason in explain(queue, id, now).reasons}


def test_a_job_that_is_gone(queue: Queue, command: Command) -> None:
    """The exit status is 1; the text goes to standard error, JSON to standard output."""
    text = "there is no job 7: it has succeeded, was deleted, or never existed"
    assert command("explain", 7) == (1, "", f"jobqueue: {text}\n")
    status, out, _ = answer = command("explain", 7, "--json")
    assert status == 1 and out
    assert answer.json() == {
        "id": 7,
        "state": "gone",
        "job": "",
        "reasons": [{"code": "no_such_job", "text": text}],
    }


def test_a_job_that_failed_for_good(queue: Queue) -> None:
    """It says when and why the job failed, and how to retry it. A missing worker is not mentioned."""
    id = queue.enqueue(Fail("no such image"), max_attempts=1, now=NOON)
    Worker(queue).work_off(now=NOON)
    assert reasons(queue, id, NOON + HOUR) == {
        "failed": "it failed for good at 2025-11-24 12:00:00 UTC (60 min ago), after 1 of 1 attempt:"
        f" RuntimeError: no such image. See jobqueue show {id}; jobqueue retry {id} lets it run"
    }


def test_a_job_that_is_to_run_later(queue: Queue, command: Command) -> None:
    """It says when the job is due and, in this case, that no worker runs, within 80 columns."""
    id = queue.enqueue(Say("x"), now=NOON, run_at=timedelta(days=36500))
    assert reasons(queue, id) == {
        "not_due": "it is due at 2125-10-31 12:00:00 UTC (in 36500 days);"
        f" jobqueue retry {id} lets it run now",
        "no_worker": "no worker is running: start one with jobqueue work --import MODULE",
    }
    status, out, _ = command("explain", id)
    assert status == 0
    lines = out.splitlines()
    assert lines[0] == f"job {id}, Say(text='x'): waiting"
    assert lines[1].startswith("- it is due at") and lines[2].startswith("  ")
    assert max(map(len, lines)) <= 80


def test_a_job_that_is_retried(queue: Queue) -> None:
    """It says how many attempts were used, and the last error."""
    id = queue.enqueue(Fail("flaky"), max_attempts=3, now=NOON)
    Worker(queue).work_off(now=NOON)
    seen(queue, SILVER, NOON)
    assert reasons(queue, id, NOON) == {
        "not_due": f"it is due at 2025-11-24 12:00:06 UTC (in 6 s); jobqueue retry {id} lets it run now",
        "retry": "it has used 1 of 3 attempts, and will be retried. Last error: RuntimeError: flaky",
    }
    due = reasons(queue, id, NOON + 7 * SECOND)
    assert list(due) == ["retry", "next"]


def test_a_job_whose_queue_has_no_worker(queue: Queue) -> None:
    """There may be no worker, only silent ones, or only workers of other queues."""
    id = queue.enqueue(Say("x"), queue="mail", now=NOON)
    start = "start one with jobqueue work --queue mail --import MODULE"
    seen(queue, SILVER, NOON - MINUTE)
    of_all = "start one with jobqueue work --import MODULE"
    assert reasons(queue, id) == {"no_worker": f"no worker is running (1 worker fell silent): {of_all}"}
    seen(queue, GOLD, NOON, queues="images,maildir")
    assert reasons(queue, id) == {
        "no_worker_on_queue": f"1 worker is running, but serves queues other than mail: {start}"
    }
    seen(queue, name_of(3), NOON, queues="images")
    assert reasons(queue, id) == {
        "no_worker_on_queue": f"2 workers are running, but serve queues other than mail: {start}"
    }


def test_a_job_that_is_next(queue: Queue) -> None:
    """Nothing is wrong: a worker is about to claim it."""
    id = queue.enqueue(Say("x"), now=NOON)
    seen(queue, SILVER, NOON, threads=4)
    assert reasons(queue, id) == {
        "next": "it is next, and will be claimed at any moment, by 1 worker with 4 threads"
    }


def test_a_job_that_free_workers_leave_alone(queue: Queue) -> None:
    """The job is long due and threads are free, so the workers seem stuck."""
    id = queue.enqueue(Say("x"), now=NOON - MINUTE)
    seen(queue, SILVER, NOON, threads=2)
    assert reasons(queue, id) == {
        "stuck": "it has been due for 60 s, though 2 of 2 threads are free: its workers seem stuck, or their"
        " clocks are behind; see jobqueue doctor, and restart them"
    }


def test_a_job_behind_others(queue: Queue) -> None:
    """It counts the due jobs ahead of it, by priority, run_at and id, in the queues that its workers serve.
    Scheduled jobs, and jobs that none of its workers serves, don't count.
    """
    seen(queue, SILVER, NOON, queues="mail,images", threads=2)
    for options in (
        {"priority": -1, "queue": "images"},
        {"priority": -1, "queue": "other"},
        {"now": NOON - MINUTE, "queue": "mail"},
        {"queue": "mail"},
        {"run_at": HOUR, "priority": -1, "queue": "mail"},
    ):
        queue.enqueue(Say("before"), **{"now": NOON - SECOND, **options})  # type: ignore[arg-type]
    id = queue.enqueue(Say("x"), queue="mail", now=NOON - SECOND)
    queue.enqueue(Say("after"), queue="mail", now=NOON - SECOND)
    text = "3 due jobs will be claimed before it, by 1 worker with 2 threads"
    assert reasons(queue, id) == {"behind": text}
    seen(queue, GOLD, NOON)  # serves all queues, so it may take the job in "other" first
    assert reasons(queue, id)["behind"] == "4 due jobs will be claimed before it, by 2 workers with 3 threads"


def test_a_job_whose_workers_are_busy(queue: Queue) -> None:
    """All threads of its workers are performing other jobs."""
    seen(queue, SILVER, NOON)
    queue.enqueue(Say("runs"), now=NOON)
    claimed(queue, SILVER, NOON)
    id = queue.enqueue(Say("x"), now=NOON - MINUTE)
    assert reasons(queue, id) == {
        "busy": "all threads are busy: its queue has 1 worker with 1 thread; start more, or give them"
        " more --threads"
    }


def test_a_job_that_runs(queue: Queue) -> None:
    """It names the worker, since when it has held the job, and when the lease would expire."""
    id = queue.enqueue(Say("x"), now=NOON)
    seen(queue, SILVER, NOON, lease=60.0)
    claimed(queue, SILVER, NOON)
    assert reasons(queue, id, NOON + 5 * SECOND) == {
        "running": f"it is running: {SILVER} has held it for 5 s, was last heard from 5 s ago, and renews its"
        " lease; if that worker falls silent, the job goes to others at 2025-11-24 12:01:00 UTC"
    }
    claimed(queue, GOLD, NOON)  # finds nothing
    assert explain(queue, id, NOON).state == "running"


def test_a_job_in_a_batch(queue: Queue) -> None:
    """The job may be waiting behind others claimed with it."""
    ids = [queue.enqueue(Say(str(n)), now=NOON) for n in range(3)]
    seen(queue, SILVER, NOON)
    claimed(queue, SILVER, NOON, limit=3)
    found = reasons(queue, ids[2])
    assert list(found) == ["running", "batch"]
    assert found["batch"].startswith("its worker holds 3 jobs for 1 thread: it may be waiting behind others")


@pytest.mark.parametrize("own", [20.0, None])
def test_a_job_that_its_worker_should_have_ended(queue: Queue, own: float | None) -> None:
    """The limit is the job's own max_run_time, or the worker's."""
    id = queue.enqueue(Say("x"), now=NOON, max_run_time=own)
    seen(queue, SILVER, NOON)
    claimed(queue, SILVER, NOON)
    beat = NOON + 35 * SECOND
    with queue.writer.begin() as connection:
        connection.execute(update(jobs).values(locked_at=beat))
    found = reasons(queue, id, beat)
    assert list(found) == ["running", "stuck"]
    assert found["stuck"].startswith("it has been held for longer than its max_run_time of 20 s")


def test_a_job_of_a_worker_that_fell_silent(queue: Queue) -> None:
    """Another worker frees it, if there is one. A worker without a row is judged by the queue's lease."""
    id = queue.enqueue(Say("x"), now=NOON)
    claimed(queue, SILVER, NOON)
    over = f"{SILVER}, which holds it, was last heard from 31 s ago; its lease has expired, and "
    late = NOON + 31 * SECOND
    assert list(reasons(queue, id, NOON + 30 * SECOND)) == ["running"]
    text = over + "no worker is running: start one with jobqueue work"
    assert reasons(queue, id, late) == {"lease_over": text}
    seen(queue, GOLD, late)
    assert reasons(queue, id, late) == {"lease_over": over + "another worker is about to free it"}


@pytest.mark.live
def test_a_program_that_has_registered_no_job_can_not_know_which_it_could_load(
    queue: Queue, database_url: str
) -> None:
    """The command without --import is such a program, so it gives no reason about loading."""
    command = [sys.executable, "-m", "jobqueue", "explain", str(queue.enqueue(Say("x"))), "--json"]
    out = subprocess.check_output([*command, "--database", database_url])
    assert [reason["code"] for reason in json.loads(out)["reasons"]] == ["no_worker"]


def test_a_job_that_this_program_can_not_load(queue: Queue, command: Command) -> None:
    """The program has registered other jobs, so it can tell."""
    id = queue.enqueue(Say("x"), now=NOON)
    with queue.writer.begin() as connection:
        connection.execute(update(jobs).values(handler='{"job":"Vanished","arguments":{}}'))
    assert reasons(queue, id)["handler"].startswith(
        "this program can't load it: No job is registered as 'Vanished' in this worker. Import the module"
    )
    said = command("explain", id, "--json", "--import", "jobs_for_tests").json()
    assert [reason["code"] for reason in said["reasons"]] == ["no_worker", "handler"]
