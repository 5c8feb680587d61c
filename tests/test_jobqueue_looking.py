"""Inspecting the queue: `jobqueue stats`, `list`, `show` and `check`."""

import math
from datetime import datetime, timedelta
from types import SimpleNamespace

import pytest
from commands_for_tests import HOUR, MINUTE, NOON, SECOND, Command, claimed, name_of, seen
from jobs_for_tests import Article, Fail, Say
from sqlalchemy import update
from sqlalchemy.orm import Session

from jobqueue import NoSuchJob, Queue, Worker
from jobqueue.schema import tables
from jobqueue.tools import inspecting, looking
from jobqueue.tools.inspecting import overdue
from jobqueue.tools.presence import Presence, Tally

jobs = tables().jobs

pytest_plugins = ["queue_fixtures", "command_fixtures"]


@pytest.fixture
def noon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the commands run at noon."""
    monkeypatch.setattr(inspecting, "datetime", SimpleNamespace(now=lambda _zone: NOON))


def failed(queue: Queue, message: str, name: str = "default", now: datetime = NOON) -> int:
    """Add a job and let it fail for good; returns its id."""
    id = queue.enqueue(Fail(message), queue=name, max_attempts=1, priority=-100, now=now)
    worker = Worker(queue, queues=[name], observers=[Presence(queue)])
    assert worker.work_off(1, now=now) == (0, 1)
    return id


@pytest.mark.usefixtures("noon")
def test_stats_tell_of_queues_workers_and_what_was_done(queue: Queue, command: Command) -> None:
    """Each queue and each worker has a line; the latency is estimated from the workers' histograms."""
    failed(queue, "no", now=NOON - MINUTE)
    for n in range(3):
        queue.enqueue(Say(str(n)), queue="images", now=NOON - 5 * SECOND)
    queue.enqueue(Say("later"), now=NOON, run_at=HOUR)
    silver = name_of(4227)
    waits = Tally(succeeded=99, failed=1)
    for seconds in [0.004] * 98 + [400.0] * 2:
        waits.count_wait(seconds)
    seen(queue, silver, NOON - 2 * SECOND, waits, threads=4)
    claimed(queue, silver, NOON, limit=1)
    seen(queue, "somebody", NOON - 2 * MINUTE, queues="images,mail")
    answer = command("stats")
    assert answer.status == 0
    lines = answer.out.splitlines()
    assert lines[:4] == [
        "queue    waiting  due  running  failed  oldest due",
        "default        1    0        0       1  -",
        "images         2    2        1       0  5 s",
        "",
    ]
    workers = lines[4:7]
    assert workers[0].split()[:6] == ["host", "pid", "threads", "queues", "seen", "running"]
    assert workers[1].split()[:3] == ["silver", "4227", "4"] and "2 s ago" in workers[1]
    assert workers[2].startswith("somebody") and "2 min ago SILENT" in workers[2]
    assert answer.out.splitlines()[-2:] == [
        "attempts: 99 succeeded, 2 failed",
        "pick-up latency: p50 at most 5 ms, p95 at most 5 ms, p99 over 5 min",
    ]
    assert max(map(len, answer.out.splitlines())) <= 80


@pytest.mark.usefixtures("noon")
def test_stats_for_programs(queue: Queue, command: Command) -> None:
    """The same as JSON: times in ISO 8601, a worker's queues as a list, which is empty for all queues."""
    queue.enqueue(Say("x"), now=NOON - SECOND)
    seen(queue, name_of(1), NOON - SECOND, queues="images,mail")
    seen(queue, "somebody", NOON - MINUTE)
    said = command("stats", "--json").json()
    assert said["queues"] == [
        {
            "name": "default",
            "waiting": 1,
            "due": 1,
            "running": 0,
            "failed": 0,
            "unknown": 0,
            "oldest_due_seconds": 1.0,
            "paused": False,
        }
    ]
    first, second = sorted(said["workers"], key=lambda worker: worker["host"])
    assert first == {
        "name": "host:silver pid:1 1a2b3c4d",
        "host": "silver",
        "pid": 1,
        "threads": 1,
        "queues": ["images", "mail"],
        "lease": 30.0,
        "max_run_time": 20.0,
        "started_at": "2025-11-24T11:00:00+00:00",
        "seen_at": "2025-11-24T11:59:59+00:00",
        "seen_seconds_ago": 1.0,
        "silent": False,
        "running": 0,
        "succeeded": 0,
        "failed": 0,
    }
    assert (second["host"], second["pid"], second["queues"], second["silent"]) == ("somebody", None, [], True)
    assert (said["succeeded"], said["failed"]) == (0, 0)
    assert said["pickup_seconds_at_most"] == {"p50": None, "p95": None, "p99": None}
    waits = Tally()
    for seconds in [11.0] * 95 + [400.0] * 5:
        waits.count_wait(seconds)
    seen(queue, name_of(1), NOON, waits)
    assert command("stats", "--json").json()["pickup_seconds_at_most"] == {
        "p50": 30.0,
        "p95": 30.0,
        "p99": None,
    }


def test_an_empty_queue_says_so(queue: Queue, command: Command) -> None:
    """The commands print a sentence instead of an empty table."""
    assert command("stats").out == "no jobs\n\nno workers\n\nattempts: 0 succeeded, 0 failed\n"
    assert command("list") == (0, "no jobs\n", "")
    assert command("list", "--json").json() == []


def test_a_pickup_latency_is_never_more_exact_than_what_was_measured() -> None:
    """A bucket's bound is one that its jobs kept; the highest bound is no bound for those above it."""
    done = Tally()
    assert looking.pickup_latency(done, 0.5) is None and looking.pickup(done) == ""
    done.count_wait(11.0)
    assert looking.pickup(done) == "p50 at most 30 s, p95 at most 30 s, p99 at most 30 s"
    done = Tally()
    for seconds in (0.03, 0.05, 0.2, 400.0):
        done.count_wait(seconds)
    found = [looking.pickup_latency(done, share) for share in (0.25, 0.5, 0.75, 0.99)]
    assert found == [0.05, 0.05, 0.25, math.inf]
    assert looking.pickup(done) == "p50 at most 50 ms, p95 over 5 min, p99 over 5 min"


@pytest.mark.usefixtures("noon")
def test_list_shows_a_job_on_a_line(queue: Queue, command: Command) -> None:
    """Jobs come in the order in which they would run, with the handler as Python code, cut to 80 columns."""
    queue.enqueue(Say("x" * 100), priority=-5, now=NOON - 5 * MINUTE)
    with Session(queue.writer) as session:
        session.add(article := Article(title="a"))
        queue.enqueue(article, session=session, queue="articles", now=NOON, run_at=HOUR)
        session.commit()
    running = queue.enqueue(Say("run"), priority=-9, now=NOON - MINUTE)
    claimed(queue, name_of(1), NOON - 2 * SECOND)
    with queue.writer.begin() as connection:  # a row written by hand
        id = queue.enqueue(Say("?"), session=connection, priority=99, now=NOON)
        connection.execute(update(jobs).where(jobs.c.id == id).values(handler="--- !ruby\x1b[2J"))
    assert command("list").out.splitlines() == [
        "id  state    when       queue     priority  attempts  job",
        f" {running}  running  2 s ago    default         -9  1/25      Say(text='run')",
        " 1  due      5 min ago  default         -5  0/25      Say(text='xxxxxxxxxxxxx...",
        " 2  waiting  in 60 min  articles         0  0/25      Article[1]",
        " 4  due      0 s ago    default         99  0/25      --- !ruby\\x1b[2J",
    ]


@pytest.mark.usefixtures("noon")
def test_list_can_be_narrowed(queue: Queue, command: Command) -> None:
    """It can be filtered by state and queue and limited in number, and says when there are more jobs. Those
    that failed for good, which run no more, come last.
    """
    no = failed(queue, "no")
    late = queue.enqueue(Say("late"), queue="mail", now=NOON, run_at=HOUR)
    due = queue.enqueue(Say("due"), queue="mail", now=NOON)

    def ids(*arguments: object) -> list[int]:
        return [job["id"] for job in command("list", "--json", *arguments).json()]

    assert ids() == [due, late, no]
    assert ids("--state", "failed") == [no]
    assert ids("--state", "due") == [due]
    assert ids("--state", "running") == []
    assert ids("--queue", "mail", "--state", "waiting") == [due, late]
    assert ids("--limit", 1) == [due]
    assert command("list", "--limit", 2).out.endswith("only the first 2 are shown; for more: --limit N\n")
    assert "invalid choice: 'done'" in command("list", "--state", "done").err


@pytest.mark.usefixtures("noon")
def test_show_tells_all_of_a_job(queue: Queue, command: Command) -> None:
    """It prints every column and the traceback, with control characters escaped."""
    id = failed(queue, "no such image \x1b[2J", name="images", now=NOON - MINUTE)
    answer = command("show", id)
    lines = answer.out.splitlines()
    assert answer.status == 0
    assert lines[:5] == [
        f"id            {id}",
        "state         failed",
        "priority      -100",
        "attempts      1",
        "handler       Fail(message='no such image \\x1b[2J')",
    ]
    assert "failed_at     2025-11-24 11:59:00 UTC, 60 s ago" in lines
    assert "max_run_time  -" in lines
    assert lines[lines.index("last_error") + 1] == "  Traceback (most recent call last):"
    assert lines[-1] == "  RuntimeError: no such image \\x1b[2J"
    assert {line.split()[0] for line in lines if not line.startswith(" ")} == {
        "state",
        *(column.name for column in jobs.columns),
    }
    said = command("show", "--json", id).json()
    assert (said["id"], said["state"], said["queue"]) == (id, "failed", "images")
    assert said["failed_at"] == "2025-11-24T11:59:00+00:00"
    assert command("show", queue.enqueue(Say("x"))).out.endswith("last_error\n  -\n")


def test_a_job_that_is_not_there_is_told_on_standard_error(queue: Queue, command: Command) -> None:
    """The exit status is 1; for an argument that can't be an id, which is bad usage, it is 2."""
    complaint = "jobqueue: there is no job 99: it has succeeded, was deleted, or never existed\n"
    assert command("show", 99) == (1, "", complaint)
    for nonsense in ("0", "-1", "x", "1.5", "²", str(2**63), "9" * 30):
        answer = command("show", nonsense)
        assert answer.status == 2, nonsense
        assert "is not a job's id" in answer.err or "required: ID" in answer.err
    assert command("show", 2**63 - 1).status == 1


@pytest.mark.usefixtures("noon")
def test_check_tells_monitoring_whether_a_job_is_late(queue: Queue, command: Command) -> None:
    """It exits with 0 or 1 and prints one line, or JSON, for all queues or one. Failed jobs are not late."""
    assert command("check", "--max-age", 60) == (0, "fine: no job has been due for longer than 60 s\n", "")
    for minutes in (1, 10, 20):
        queue.enqueue(Say("x"), queue="mail", now=NOON - minutes * MINUTE)
    failed(queue, "no", now=NOON - HOUR)
    late = "LATE: 2 jobs have been due for longer than 60 s, the oldest for 20 min\n"
    assert command("check", "--max-age", 60) == (1, late, "")
    one = "LATE: 1 job in the queue mail has been due for longer than 660 s, the oldest for 20 min\n"
    assert command("check", "--max-age", 660, "--queue", "mail") == (1, one, "")
    fine = "fine: no job in the queue images has been due for longer than 1 s\n"
    assert command("check", "--max-age", 1, "--queue", "images") == (0, fine, "")
    answer = command("check", "--max-age", 60, "--json")
    assert answer.status == 1
    assert answer.json() == {"ok": False, "late": 2, "oldest_due_seconds": 1200.0, "max_age": 60.0}


def test_check_needs_an_age(queue: Queue, command: Command) -> None:
    """There is no default for --max-age: what counts as late is for the user to say."""
    line = "jobqueue: say how long a job may wait after it is due: --max-age SECONDS\n"
    assert command("check") == (2, "", line)
    assert "--max-age: 0 is not above 0" in command("check", "--max-age", 0).err


def test_a_job_that_is_not_due_yet_is_not_late(queue: Queue) -> None:
    """Its age counts from its run_at, not from when it was enqueued."""
    queue.enqueue(Say("x"), now=NOON - HOUR, run_at=timedelta(hours=2))
    assert overdue(queue, SECOND, None, NOON) == (0.0, 0)


def test_the_whole_queue_is_summed_up(queue: Queue) -> None:
    """The dashboard shows sums over all named queues."""
    assert looking.stats(queue, NOON).oldest_due_seconds == 0
    queue.enqueue(Say("x"), now=NOON - MINUTE)
    queue.enqueue(Say("x"), now=NOON - SECOND, queue="mail")
    stats = looking.stats(queue, NOON)
    assert (stats.total("due"), stats.oldest_due_seconds) == (2, 60.0)


def test_deleting_what_is_gone_is_told(queue: Queue) -> None:
    """The error is the same for a job that has only just gone."""
    with pytest.raises(NoSuchJob, match="there is no job 7: it has succeeded, was deleted, or never existed"):
        queue.delete(7)
