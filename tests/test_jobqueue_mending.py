"""Repairing the queue: `jobqueue retry`, `delete` and `clear`."""

from commands_for_tests import NOON, Command, claimed, name_of
from jobs_for_tests import Fail, Say

from jobqueue import Queue, Worker

pytest_plugins = ["queue_fixtures", "command_fixtures"]


def failed(in_queue: Queue, message: str, **options: object) -> int:
    """Add a job and let it fail for good; returns its id."""
    id = in_queue.enqueue(Fail(message), max_attempts=1, priority=-100, now=NOON, **options)  # type: ignore[arg-type]
    assert Worker(in_queue).work_off(1, now=NOON) == (0, 1)
    return id


def test_jobs_are_retried_by_id(queue: Queue, command: Command) -> None:
    """A failed job gets all its attempts back, a running one is left alone, a missing one is reported."""
    bad = failed(queue, "no")
    runs = queue.enqueue(Say("x"), now=NOON)
    claimed(queue, name_of(1), NOON)
    answer = command("retry", bad, 99, runs)
    assert answer == (
        1,
        f"job {bad} is due now\njob {runs} is already running\n",
        "jobqueue: there is no job 99: it has succeeded, was deleted, or never existed\n",
    )
    job = queue.jobs()[0]
    assert (job.id, job.state, job.attempts) == (bad, "waiting", 0)
    assert command("retry", bad).status == 0


def test_a_unique_job_is_not_retried_beside_another_one(queue: Queue, command: Command) -> None:
    """The exit status is 1, by id and with --failed; the other failed jobs are retried."""
    bad = failed(queue, "no", unique_key="feed 3")
    queue.enqueue(Say("x"), unique_key="feed 3")
    line = f"jobqueue: job {bad} can't be retried: another job with its key 'feed 3' is queued\n"
    assert command("retry", bad) == (1, "", line)
    other = failed(queue, "no")
    status, out, err = command("retry", "--failed")
    assert (status, out) == (1, "retried 1 failed job\n")
    some = "some were not retried: other jobs have their unique keys; see list --state failed"
    assert err == f"jobqueue: {some}\n"
    assert {job.id: job.state for job in queue.jobs()}[other] == "waiting"


def test_all_that_failed_are_retried_or_deleted_at_once(queue: Queue, command: Command) -> None:
    """--queue limits this to the failed jobs of one queue."""
    for name in ("images", "images", "mail"):
        failed(queue, "no", queue=name)
    kept = queue.enqueue(Say("x"))
    assert command("retry", "--failed", "--queue", "images") == (0, "retried 2 failed jobs\n", "")
    assert command("delete", "--failed", "--queue", "images") == (0, "deleted 0 failed jobs\n", "")
    assert command("delete", "--failed") == (0, "deleted 1 failed job\n", "")
    assert command("retry", "--failed") == (0, "retried 0 failed jobs\n", "")
    assert sorted(job.queue for job in queue.jobs() if job.id != kept) == ["images", "images"]


def test_old_failures_are_deleted(queue: Queue, command: Command) -> None:
    """For a cron job that keeps the latest ones."""
    failed(queue, "long ago")
    kept = queue.enqueue(Fail("just now"), max_attempts=1)
    assert Worker(queue).work_off() == (0, 1)
    assert command("delete", "--failed", "--older-than", 3600) == (0, "deleted 1 failed job\n", "")
    assert [job.id for job in queue.jobs()] == [kept]
    line = "jobqueue: --older-than goes with --failed, not with job ids\n"
    assert command("delete", kept, "--older-than", 3600) == (2, "", line)


def test_jobs_are_deleted_by_id(queue: Queue, command: Command) -> None:
    """A running job is deleted too; the message says that its attempt goes on."""
    first = queue.enqueue(Say("x"), now=NOON)
    claimed(queue, name_of(1), NOON)
    second = queue.enqueue(Say("x"))
    assert command("delete", first, second, second) == (
        1,
        f"deleted job {first}; its running attempt goes on to its end\ndeleted job {second}\n",
        f"jobqueue: there is no job {second}: it has succeeded, was deleted, or never existed\n",
    )
    assert queue.jobs() == []


def test_which_jobs_are_meant_must_be_clear(queue: Queue, command: Command) -> None:
    """Otherwise the exit status is 2 and nothing is done."""
    id = failed(queue, "no")
    either = "jobqueue: give either job ids, or --failed for all jobs that failed for good\n"
    for name in ("retry", "delete"):
        assert command(name) == (2, "", either)
        assert command(name, id, "--failed") == (2, "", either)
        line = "jobqueue: --queue goes with --failed, not with job ids\n"
        assert command(name, id, "--queue", "default") == (2, "", line)
    assert [job.state for job in queue.jobs()] == ["failed"]


def test_clear_asks_before_it_deletes_all(queue: Queue, command: Command) -> None:
    """Without --yes it says how many it would delete, and exits with 2."""
    failed(queue, "no", queue="images")
    queue.enqueue(Say("x"))
    assert command("clear") == (2, "", "jobqueue: this would delete 2 jobs: add --yes to do it\n")
    line = "jobqueue: this would delete 1 job of the queue images: add --yes to do it\n"
    assert command("clear", "--queue", "images") == (2, "", line)
    assert len(queue.jobs()) == 2
    assert command("clear", "--queue", "images", "--yes") == (0, "deleted 1 job of the queue images\n", "")
    assert command("clear", "--yes") == (0, "deleted 1 job\n", "")
    assert queue.jobs() == []
