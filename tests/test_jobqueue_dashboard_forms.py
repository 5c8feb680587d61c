"""The dashboard retries and deletes one job, or all failed jobs, and says why when it can't."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from conftest import wait_until
from dashboard_visitor import NOW, Visitor, change, enqueue
from jobs_for_tests import Say
from sqlalchemy import text

from jobqueue import AlreadyQueued, Queue
from jobqueue.tools import failures, looking

pytest_plugins = ["queue_fixtures"]

# In this test's database: others share the server.
WAITING_HERE = (
    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
)


@pytest.fixture
def visitor(queue: Queue) -> Visitor:
    """A visitor of a dashboard that is open to all."""
    return Visitor(queue)


def states(queue: Queue) -> dict[int, str]:
    """The state of each job, by id."""
    return {job.id: job.state for job in looking.find(queue)}


def test_a_failed_job_can_be_retried(queue: Queue, visitor: Visitor) -> None:
    """It gets all its attempts again, and the visitor returns to the list."""
    id = enqueue(queue, "failed")
    said = f"Job {id} is now waiting for a worker."
    assert visitor.do("/failed", f"Retry job {id}") == ("/jobs/failed", said)
    job = queue.get(id)
    assert (job.state, job.attempts, job.run_at >= NOW) == ("waiting", 0, True)


def test_a_job_that_is_scheduled_can_run_now(queue: Queue, visitor: Visitor) -> None:
    """The button is on the job's own page."""
    id = enqueue(queue, "scheduled")
    said = f"Job {id} is now waiting for a worker."
    assert visitor.do(f"/{id}", f"Run now job {id}") == ("/jobs/waiting", said)
    assert looking.stats(queue).total("due") == 1


@pytest.mark.parametrize("state", ["due", "running", "failed"])
def test_a_job_can_be_deleted_after_a_second_thought(queue: Queue, visitor: Visitor, state: str) -> None:
    """The delete button is hidden behind another control, without any script."""
    id = enqueue(queue, state)
    assert visitor.show(f"/{id}").select_one("details:not([open]) button")
    where, said = visitor.do(f"/{id}", f"Yes, delete job {id}")
    assert (where, said) == (f"/jobs/{'waiting' if state == 'due' else state}", f"Job {id} was deleted.")
    assert states(queue) == {}


def test_one_comes_back_to_the_place_one_was_at(queue: Queue, visitor: Visitor) -> None:
    """The redirect leads to the same queue and the same page of its list."""
    for _ in range(52):
        id = enqueue(queue, "failed", queue="a&b")
    answer = visitor.press("/failed?queue=a%26b&page=2", f"Retry job {id}")
    assert answer.location == f"/jobs/failed?said=retry&count={id}&queue=a%26b&page=2"


@pytest.mark.parametrize("said", ["nonsense", "__class__", "<script>"])
def test_nobody_can_put_words_into_its_mouth(visitor: Visitor, said: str) -> None:
    """A link to the dashboard can't make it show any message but its own."""
    assert not visitor.show(f"/failed?said={said}&count=<b>").select(".said")
    assert "Job 0 was deleted." in visitor.get("/failed?said=delete&count=x").text


@pytest.mark.parametrize("button", ["Retry job {}", "Yes, delete job {}"])
def test_a_job_that_has_gone_in_the_meantime_is_said_to_be(
    queue: Queue, visitor: Visitor, button: str
) -> None:
    """Another visitor deleted it first."""
    id = enqueue(queue, "failed")
    action, fields = visitor.form("/failed", button.format(id))
    queue.delete(id)
    answer = visitor.browser.post(action, data=fields)
    assert answer.status_code == 404 and f"There is no job {id}" in answer.text


def test_a_job_that_runs_in_the_meantime_is_left_alone(queue: Queue, visitor: Visitor) -> None:
    """A running job can't be made to run now; the page says that it is running."""
    id = enqueue(queue, "due")
    action, fields = visitor.form("/due", f"Run now job {id}")
    change(queue, id, locked_by="host:silver pid:8", locked_at=NOW)
    answer = visitor.browser.post(action, data=fields)
    assert answer.status_code == 409 and f"Job {id} is running" in answer.text


def test_a_job_whose_key_is_taken_can_not_be_retried(queue: Queue, visitor: Visitor) -> None:
    """It stays failed, and the page says why."""
    id = enqueue(queue, "failed", unique_key="report")
    enqueue(queue, "due", unique_key="report")
    answer = visitor.press("/failed", f"Retry job {id}")
    assert answer.status_code == 409 and "another job with its key" in answer.text
    assert states(queue) == {1: "failed", 2: "waiting"}


def test_all_failed_jobs_can_be_retried(queue: Queue, visitor: Visitor) -> None:
    """Jobs that have not failed are left alone."""
    for state in ("failed", "failed", "scheduled", "running"):
        enqueue(queue, state)
    said = "Failed jobs now waiting for a worker: 2."
    assert visitor.do("/failed", "Retry all failed jobs") == ("/jobs/failed", said)
    assert states(queue) == {1: "waiting", 2: "waiting", 3: "waiting", 4: "running"}
    assert looking.stats(queue).total("due") == 2 and queue.get(1).attempts == 0


def test_all_failed_jobs_can_be_deleted(queue: Queue, visitor: Visitor) -> None:
    """The visitor must confirm it."""
    for state in ("failed", "failed", "due"):
        enqueue(queue, state)
    assert visitor.show("/failed").select_one(".actions details:not([open]) button")
    said = "Failed jobs deleted: 2."
    assert visitor.do("/failed", "Yes, delete all failed jobs") == ("/jobs/failed", said)
    assert states(queue) == {3: "waiting"}


@pytest.mark.parametrize("button", ["Retry all failed jobs", "Yes, delete all failed jobs"])
def test_all_means_those_of_the_queue_on_the_page(queue: Queue, visitor: Visitor, button: str) -> None:
    """Jobs that have failed since the page was made are left alone too."""
    enqueue(queue, "failed", queue="mail")
    enqueue(queue, "failed", queue="images")
    later = enqueue(queue, "failed", queue="mail")
    change(queue, later, failed_at=NOW + timedelta(days=1))
    visitor.press("/failed?queue=mail", button)
    left = states(queue)
    assert left.pop(1, None) in ("waiting", None)
    assert left == {2: "failed", later: "failed"}


def test_there_is_no_button_for_all_when_there_is_none(queue: Queue, visitor: Visitor) -> None:
    """Lists of jobs that have not failed never have one."""
    enqueue(queue, "due")
    assert not visitor.show("/failed").select("form") and len(visitor.show("/due").select("form")) == 2


@pytest.mark.parametrize("seen", [None, "", "yesterday", "2025-01-01T00:00:00", "1e400"])
def test_a_form_for_all_must_say_what_was_seen(queue: Queue, visitor: Visitor, seen: str | None) -> None:
    """A program that leaves it out, or leaves out the time zone, deletes nothing."""
    id = enqueue(queue, "failed")
    action, fields = visitor.form("/failed", "Yes, delete all failed jobs")
    del fields["seen"]
    answer = visitor.browser.post(action, data=fields if seen is None else {**fields, "seen": seen})
    assert answer.status_code == 400 and "does not say when its page was made" in answer.text
    assert states(queue) == {id: "failed"}


def test_of_failed_jobs_with_one_key_the_newest_is_retried(queue: Queue) -> None:
    """None is retried while a job with its key is queued; jobs without a key are all retried."""
    for key in ("report", "report", "mail", None, None):
        enqueue(queue, "failed", unique_key=key)
    enqueue(queue, "due", unique_key="mail")
    assert failures.retry_all(queue, until=NOW) == 3
    assert [id for id, state in states(queue).items() if state == "failed"] == [1, 3]


def test_a_key_that_is_taken_at_the_very_moment_stops_them_all(postgres_database: str) -> None:
    """On PostgreSQL, which allows concurrent writers, nothing is changed, and the error says to try again."""
    queue = Queue(postgres_database)
    queue.create_tables()
    id = enqueue(queue, "failed", unique_key="report")

    def somebody_waits() -> object:
        with queue.engine.connect() as other:
            return other.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted"))

    with ThreadPoolExecutor() as threads:
        with queue.writer.begin() as connection:
            queue.enqueue(Say("new"), unique_key="report", session=connection)
            retried = threads.submit(failures.retry_all, queue, until=NOW)
            wait_until(somebody_waits, "the retry to wait for the new job's transaction")
        with pytest.raises(AlreadyQueued, match="try again"):
            retried.result(20)
    assert states(queue)[id] == "failed"
    queue.close()
