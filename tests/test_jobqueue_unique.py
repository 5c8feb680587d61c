"""Unique jobs: while a job waits or runs, or only while it waits, no second one can have its key."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from conftest import wait_until
from jobs_for_tests import Fail, Line, Say, WaitAtGate, gates, only_job, said
from sqlalchemy import event, select
from sqlalchemy.orm import Session

from jobqueue import AlreadyQueued, Job, Queue, Worker, job

pytest_plugins = ["queue_fixtures"]

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def add(queue: Queue, text: str = "hello", key: str = "feed 8", **options: Any) -> int:
    return queue.enqueue(Say(text), unique_key=key, **options)


def test_a_second_job_with_the_key_is_refused(queue: Queue) -> None:
    """The error names the existing job. Jobs with another key, or with none, are not affected."""
    there = add(queue)
    with pytest.raises(
        AlreadyQueued, match=f"job {there} has the unique key 'feed 8', not ended yet"
    ) as error:
        add(queue, "again")
    assert error.value.id == there
    add(queue, key="feed 9")
    queue.enqueue(Say("without a key"))
    queue.enqueue(Say("without a key"))
    assert [job.unique_key for job in queue.jobs()] == ["feed 8", "feed 9", None, None]


def test_the_job_that_is_there_may_be_kept_quietly(queue: Queue) -> None:
    """enqueue() returns its id; the job is unchanged, and none is added."""
    there = add(queue, priority=5)
    assert add(queue, "again", if_queued="keep", priority=1) == there
    assert (only_job(queue).id, only_job(queue).priority) == (there, 5)
    assert add(queue, key="feed 9", if_queued="keep") != there


def test_the_key_is_free_again_when_the_job_has_succeeded(queue: Queue) -> None:
    """The key is gone with the row."""
    first = add(queue)
    assert Worker(queue).work_off() == (1, 0)
    assert add(queue) > first


def test_the_key_is_taken_while_the_job_waits_for_its_retry(queue: Queue) -> None:
    """It is free again when the job has failed for good, though its row is kept."""
    failing = queue.enqueue(Fail("always"), unique_key="feed 8", max_attempts=2, now=NOON)
    assert Worker(queue).work_off(now=NOON) == (0, 1)
    with pytest.raises(AlreadyQueued):
        add(queue)
    assert Worker(queue).work_off(now=NOON + timedelta(hours=1)) == (0, 1)
    second = add(queue)
    assert [(job.id, bool(job.failed_at)) for job in queue.jobs()] in (
        [(failing, True), (second, False)],
        [(second, False), (failing, True)],
    )


def test_a_key_may_count_only_until_the_job_begins(queue: Queue, run_worker: Callable[..., Any]) -> None:
    """What changes during a run gets a job of its own, and only one."""
    first = queue.enqueue(WaitAtGate("unique"), unique_key="feed 8", unique_until="start")
    with pytest.raises(AlreadyQueued):
        add(queue)
    run_worker(queue)
    wait_until(lambda: said == ["at unique"], "the job's beginning")
    second = add(queue, run_at=timedelta(hours=1), unique_until="start", if_queued="keep")
    assert second > first
    assert add(queue, unique_until="start", if_queued="keep") == second
    gates["unique"].set()
    wait_until(lambda: [job.id for job in queue.jobs()] == [second], "the first job's end")


def test_a_job_whose_key_counted_until_it_began_may_run_again_beside_another(queue: Queue) -> None:
    """After a failure, after a retry by hand, and when it is given back: its key has gone."""
    failing = queue.enqueue(Fail("once"), unique_key="feed 8", unique_until="start", now=NOON)
    assert Worker(queue).work_off(now=NOON) == (0, 1)
    add(queue, run_at=NOON + timedelta(days=1), unique_until="end")
    assert Worker(queue).work_off(now=NOON + timedelta(hours=1)) == (0, 1)
    assert queue.retry(failing) and queue.get(failing).unique_key is None


def test_the_key_is_taken_while_the_job_runs(queue: Queue, run_worker: Callable[..., Any]) -> None:
    """The error names the running job; when it has ended, the key is free."""
    running = queue.enqueue(WaitAtGate("unique"), unique_key="feed 8")
    run_worker(queue)
    wait_until(lambda: said == ["at unique"], "the job's beginning")
    with pytest.raises(AlreadyQueued) as error:
        add(queue)
    assert error.value.id == running
    gates["unique"].set()
    wait_until(lambda: not queue.jobs(), "the job's end")
    assert add(queue) > running


ENQUEUE_UNIQUE = """
import sys
from jobqueue import AlreadyQueued, Queue
from jobs_for_tests import Say
queue = Queue(sys.argv[1])
queue.jobs(), input(">")
for n in range(20):
    try:
        print("added", queue.enqueue(Say("hello"), unique_key=f"key {n}"))
    except AlreadyQueued as error:
        print("there", error.id)
"""


@pytest.mark.live
def test_of_processes_that_race_exactly_one_adds_the_job(
    queue: Queue, database_url: str, at_once: Callable[..., list[str]]
) -> None:
    """Three processes and twenty keys make twenty jobs; each refusal names the existing job."""
    printed = [
        line for lines in at_once(3, ENQUEUE_UNIQUE, database_url) for line in lines.split("\n") if line
    ]
    ids = sorted(job.id for job in queue.jobs())
    assert sorted(int(line.split()[1]) for line in printed if line.startswith("added")) == ids
    assert len(ids) == 20
    assert {int(line.split()[1]) for line in printed if line.startswith("there")} <= set(ids)
    assert len(printed) == 60


def test_a_refusal_leaves_the_callers_transaction_usable(queue: Queue) -> None:
    """This holds on PostgreSQL too, where a failed statement aborts its whole transaction."""
    add(queue)
    with Session(queue.writer) as session:
        session.add(Line(text="before"))
        with pytest.raises(AlreadyQueued):
            add(queue, session=session)
        kept = add(queue, session=session, if_queued="keep")
        session.add(Line(text="after"))
        session.commit()
        assert session.scalars(select(Line.text).order_by(Line.id)).all() == ["before", "after"]
    assert only_job(queue).id == kept


def test_a_key_is_taken_within_the_callers_transaction(queue: Queue) -> None:
    """It is free again when that is rolled back."""
    with Session(queue.writer) as session:
        add(queue, session=session)
        with pytest.raises(AlreadyQueued):
            add(queue, session=session)
        session.rollback()
    assert add(queue) == only_job(queue).id


def test_a_job_that_ends_between_two_looks_leaves_its_key_to_the_next(queue: Queue) -> None:
    """It blocked the insert, and was gone when its id was looked up: the insert is tried again."""
    first = add(queue)
    ended: list[int] = []

    with queue.writer.begin() as connection:

        @event.listens_for(connection, "before_cursor_execute")
        def end_it_before_the_look(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
            if statement.startswith("SELECT") and not ended:
                ended.append(first)
                connection.exec_driver_sql("DELETE FROM jobs")

        second = add(queue, "again", session=connection)
    assert only_job(queue).id == second > first


def test_keys_may_be_any_text(queue: Queue) -> None:
    """Quotes and emoji are allowed."""
    for key in ("0", 'it\'s "quoted"', "🌊 %s {x} \\", "x" * 1000):
        add(queue, key=key)
        with pytest.raises(AlreadyQueued):
            add(queue, key=key)
    assert len(queue.jobs()) == 4


@job
@dataclass
class Fetch:
    """Its enqueue() hook gives it a key."""

    feed_id: int

    def enqueue(self, job: Job) -> None:
        job.unique_key = f"feed {self.feed_id}"

    def perform(self) -> None: ...


def test_a_hook_may_set_the_key(queue: Queue) -> None:
    """The caller need not know the key. enqueue_many() adds all jobs or none."""
    assert queue.enqueue_many([Fetch(1), Fetch(2)]) == 2
    with pytest.raises(AlreadyQueued) as error:
        queue.enqueue_many([Fetch(3), Fetch(1)])
    assert error.value.id == queue.jobs()[0].id
    with pytest.raises(AlreadyQueued):
        queue.enqueue(Fetch(2))
    assert queue.enqueue(Fetch(2), if_queued="keep") == queue.jobs()[1].id
    assert [job.unique_key for job in queue.jobs()] == ["feed 1", "feed 2"]
