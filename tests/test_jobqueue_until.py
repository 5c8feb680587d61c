"""A worker that ends by itself: when nothing is due (--once), or when no job waits (--exit-when-empty)."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pytest
from commands_for_tests import Command, claimed
from jobs_for_tests import Append, Fail, Say, lines_of, said
from sqlalchemy import update

from jobqueue import Queue, Retry, Worker, job

pytest_plugins = ["queue_fixtures", "command_fixtures"]

DEADLINE = 60.0
tried: list[str] = []


@job
class TryTwice:
    """Fails once, and is due again a moment later."""

    def perform(self) -> None:
        tried.append("once more")
        if len(tried) == 1:
            raise Retry(timedelta(seconds=0.3))


def run(queue: Queue, until: Literal["idle", "empty"], **options: Any) -> None:
    """Run a worker in a thread; it must end by itself."""
    worker = Worker(queue, poll_interval=0.1, **options)
    thread = threading.Thread(target=worker.run, args=(until,))
    thread.start()
    thread.join(DEADLINE)
    ended = not thread.is_alive()
    worker.stop()
    thread.join()
    assert ended


@pytest.mark.parametrize("until", ["idle", "empty"])
def test_with_nothing_to_do_it_ends_at_once(queue: Queue, until: Literal["idle", "empty"]) -> None:
    """An empty table is no reason to wait."""
    run(queue, until)


def test_once_leaves_what_is_scheduled_for_later(queue: Queue) -> None:
    """It performs all that is due, with all its threads, and no more."""
    said.clear()
    queue.enqueue_many([Say("due")] * 50)
    queue.enqueue(Fail("due, and again later"))
    queue.enqueue(Say("tomorrow"), run_at=timedelta(days=1))
    run(queue, "idle", threads=3)
    assert said == ["due"] * 50
    assert sorted(job.attempts for job in queue.jobs()) == [0, 1]


def test_until_empty_waits_for_what_is_scheduled(queue: Queue) -> None:
    """A job that is retried in a moment is still to be done."""
    said.clear()
    tried.clear()
    queue.enqueue(TryTwice())
    queue.enqueue(Say("soon"), run_at=timedelta(seconds=0.2))
    run(queue, "empty")
    assert (len(tried), said, queue.jobs()) == (2, ["soon"], [])


@pytest.mark.parametrize("until", ["idle", "empty"])
def test_a_paused_queue_keeps_no_worker(queue: Queue, until: Literal["idle", "empty"]) -> None:
    """Its jobs are due, and nobody may claim them; failed ones are nobody's work either."""
    queue.enqueue(Say("paused"))
    queue.enqueue(Fail("for good"), max_attempts=1, queue="other")
    queue.pause("default")
    run(queue, until)
    assert sorted(job.state for job in queue.jobs()) == ["failed", "waiting"]


def test_until_empty_waits_for_what_another_worker_holds(
    queue: Queue, open_queue: Callable[..., Queue]
) -> None:
    """If that worker is dead, its job comes back when its lease ends; with "idle", nobody waits for it."""
    said.clear()
    queue.enqueue(Say("held"), queue="mail")
    claimed(queue, "dead", datetime.now(UTC))
    run(queue, "idle")
    run(queue, "empty", queues=["images"])
    assert [job.locked_by for job in queue.jobs()] == ["dead"]
    run(open_queue(lease=timedelta(seconds=1)), "empty", queues=["mail"])
    assert (said, queue.jobs()) == (["held"], [])


def test_it_waits_for_nothing_else(queue: Queue) -> None:
    """A misspelt word is refused at once."""
    with pytest.raises(ValueError, match='until must be "stopped", "idle" or "empty"'):
        Worker(queue).run("done")  # type: ignore[arg-type]


@pytest.mark.live
@pytest.mark.parametrize("flag", ["--once", "--exit-when-empty"])
@pytest.mark.parametrize("count", [1, 2])
def test_from_the_command_line(
    queue: Queue, start_worker: Callable[..., Any], tmp_path: Path, flag: str, count: int
) -> None:
    """The status is 0, once all processes have ended by themselves."""
    queue.enqueue(Append(str(tmp_path / "done"), "done"))
    worker = start_worker(flag, "--processes", str(count))
    assert worker.exit_status() == 0
    assert lines_of(tmp_path / "done") == ["done"]
    assert "1 job processed" in worker.output()


def test_it_ends_in_one_way(command: Command) -> None:
    """Two are refused."""
    assert command("work", "--once", "--exit-when-empty").status == 2


@pytest.mark.live
def test_a_worker_says_where_it_works(queue: Queue, start_worker: Callable[..., Any]) -> None:
    """So that a mistyped name of a table or a queue is seen at once."""
    where = f"table jobs in {queue.engine.url!r}:"
    queue.enqueue(Say("due"), queue="mail")
    queue.enqueue(Say("later"), queue="mail", run_at=timedelta(days=1))

    def said_first(*options: str) -> str:
        worker = start_worker("--once", *options)
        assert worker.exit_status() == 0
        return worker.output().splitlines()[0]

    assert said_first("--queue", "mail") == f"{where} 2 jobs waiting in mail"
    assert said_first("--queue", "mial", "--queue", "images") == f"{where} 0 jobs waiting in mial, images"
    assert said_first() == f"{where} 1 job waiting"
    created = f"table mail_jobs in {queue.engine.url!r}: created just now"
    assert said_first("--table", "mail_jobs") == created
    queue.enqueue_many([Say("many")] * 1000, run_at=timedelta(days=1))
    assert said_first() == f"{where} 1,000 jobs or more waiting"


@pytest.mark.live
def test_a_range_of_priorities_from_the_command_line(
    queue: Queue, start_worker: Callable[..., Any], command: Command, tmp_path: Path
) -> None:
    """--min-priority and --max-priority, as Delayed Job's."""
    for priority in (-1, 0, 1):
        queue.enqueue(Append(str(tmp_path / "done"), str(priority)), priority=priority)
    assert start_worker("--once", "--min-priority", "1").exit_status() == 0
    assert start_worker("--once", "--max-priority", "-1").exit_status() == 0
    assert lines_of(tmp_path / "done") == ["1", "-1"]
    assert command("work", "--once", "--min-priority", "high").status == 2


def test_until_empty_waits_for_what_is_scheduled_beside_a_paused_queue(queue: Queue) -> None:
    """The paused queue's due job hides it neither from the end nor from the clock."""
    said.clear()
    queue.enqueue(Say("paused"))
    queue.pause("default")
    queue.enqueue(Say("soon"), queue="other", run_at=timedelta(seconds=0.3))
    run(queue, "empty")
    assert said == ["soon"]


def test_a_job_of_an_unknown_class_keeps_no_worker(queue: Queue) -> None:
    """It waits for a worker that knows its class."""
    queue.enqueue(Say("unknown"))
    with queue.writer.begin() as connection:
        connection.execute(update(queue.tables.jobs).values(handler='{"job":"nobody\'s","arguments":{}}'))
    queue.enqueue(Say("known"), run_at=timedelta(seconds=0.2))
    run(queue, "empty")
    assert [(job.state, job.attempts) for job in queue.jobs()] == [("waiting", 0)]


def test_a_worker_runs_once(queue: Queue) -> None:
    """It says so, instead of doing nothing; work_off() may be called before."""
    worker = Worker(queue)
    assert worker.work_off() == worker.work_off() == (0, 0)
    worker.run("idle")
    for again in (worker.run, worker.work_off):
        with pytest.raises(RuntimeError, match="make another Worker"):
            again()


def test_a_limit_below_zero_is_refused(queue: Queue) -> None:
    """To SQLite it would mean no limit."""
    queue.enqueue(Say("due"))
    with pytest.raises(ValueError, match="limit must be at least 0, not -1"):
        Worker(queue).work_off(limit=-1)
    assert [job.attempts for job in queue.jobs()] == [0]
