"""A paused queue takes jobs, and its jobs wait until it is resumed."""

from collections.abc import Callable
from datetime import UTC, datetime

from commands_for_tests import Command
from conftest import wait_until
from jobs_for_tests import Say, said

from jobqueue import Queue, Worker, waiting

pytest_plugins = ["queue_fixtures", "command_fixtures"]

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def test_jobs_of_a_paused_queue_wait(queue: Queue) -> None:
    """Those of others run, also when they come after it in line; to pause twice changes nothing."""
    said.clear()
    queue.enqueue(Say("mail"), queue="mail", priority=-1)
    queue.enqueue(Say("default"))
    queue.pause("mail")
    queue.pause("mail")
    queue.enqueue(Say("more mail"), queue="mail")
    assert Worker(queue).work_off() == (1, 0)
    assert Worker(queue, queues=["mail"]).work_off() == (0, 0)
    queue.resume("mail")
    queue.resume("never paused")
    assert Worker(queue).work_off() == (2, 0)
    assert said == ["default", "mail", "more mail"]


def test_an_idle_worker_hears_that_a_queue_is_resumed(
    queue: Queue, run_worker: Callable[..., object]
) -> None:
    """It need not wait for its next poll, here in an hour."""
    said.clear()
    queue.pause("default")
    run_worker(queue, poll_interval=3600.0)
    queue.enqueue(Say("at last"))
    queue.enqueue(Say("another queue"), queue="other")
    wait_until(lambda: said == ["another queue"], "the job of the other queue")
    queue.resume("default")
    wait_until(lambda: said == ["another queue", "at last"], "the job of the resumed queue")


def test_a_worker_that_keeps_to_a_paused_queue_sees_nothing_due(queue: Queue) -> None:
    """So it neither claims nor takes SQLite's write lock again and again."""
    worker = Worker(queue, queues=["default"])
    queue.enqueue(Say("hello"), now=NOON)
    queue.pause("default")
    assert worker.work_off() == (0, 0)


def test_pausing_from_the_command_line(queue: Queue, command: Command) -> None:
    """The commands say how to go on, stats shows the pause, and explain gives it as the reason."""
    queue.enqueue(Say("hello"), queue="mail")
    said_when_paused = "the queue mail is paused; resume it with jobqueue resume mail\n"
    assert command("pause", "mail") == (0, said_when_paused, "")
    assert "mail (paused)" in command("stats").out
    (figures,) = command("stats", "--json").json()["queues"]
    assert figures["paused"] is True
    assert "its queue is paused; jobqueue resume mail lets its jobs run" in command("explain", "1").out
    assert command("resume", "mail") == (0, "the queue mail is resumed\n", "")
    assert command("resume", "mail") == (0, "the queue mail was not paused\n", "")
    assert "paused" not in command("stats").out + command("explain", "1").out
    assert command("pause").status == 2


def test_a_paused_queue_is_never_late_and_always_shown(queue: Queue, command: Command) -> None:
    """check leaves its jobs out, with --queue and without; stats shows it even without jobs."""
    queue.pause("empty")
    assert "empty (paused)" in command("stats").out
    queue.enqueue(Say("late"), queue="mail", now=NOON)
    assert command("check", "--max-age", 60).status == 1
    queue.pause("mail")
    for which in ((), ("--queue", "mail")):
        assert command("check", "--max-age", 60, *which).status == 0
    assert nothing_to_claim(queue)


def nothing_to_claim(queue: Queue) -> bool:
    """Whether an idle worker's look finds nothing that it could claim."""
    with queue.engine.connect() as connection:
        return waiting.next_run_at(connection, queue.tables) is None


def test_what_no_queue_or_priority_can_be_is_refused_at_the_command_line(
    queue: Queue, command: Command
) -> None:
    """The message says which values fit, and the status is 2."""
    for line in (
        "work --import jobs_for_tests --max-priority 2147483648",
        "work --import jobs_for_tests --min-priority high",
        "pause \udcff",
        "list --queue \udcff",
    ):
        answer = command(*line.split(" "))
        assert answer.status == 2 and "jobqueue " in answer.err and "Traceback" not in answer.err, line
