"""Queue.get(), retry() and delete(): one job by its id, also in a transaction of the caller's."""

from datetime import UTC, datetime, timedelta

import pytest
from jobs_for_tests import Fail, Say, said
from sqlalchemy.orm import Session

from jobqueue import AlreadyQueued, NoSuchJob, Queue, Worker

pytest_plugins = ["queue_fixtures"]

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def test_a_job_is_there_until_it_has_succeeded_or_is_deleted(queue: Queue) -> None:
    """get() returns its row; afterwards all three raise NoSuchJob."""
    first, second = queue.enqueue(Say("one"), now=NOON), queue.enqueue(Say("two"))
    assert (queue.get(first).run_at, queue.get(first).state) == (NOON, "waiting")
    queue.delete(first)
    assert Worker(queue).work_off() == (1, 0)
    for id in (first, second, 2**62):
        for act in (queue.get, queue.retry, queue.delete):
            with pytest.raises(NoSuchJob, match=f"there is no job {id}"):
                act(id)


def test_a_failed_job_gets_all_its_attempts_again(queue: Queue) -> None:
    """Its state is waiting, and it is due now; its last error stays."""
    id = queue.enqueue(Fail("broken"), max_attempts=1)
    assert Worker(queue).work_off() == (0, 1)
    assert queue.get(id).state == "failed"
    assert queue.retry(id, now=NOON) is True
    job = queue.get(id)
    assert (job.state, job.attempts, job.run_at) == ("waiting", 0, NOON)
    assert "broken" in str(job.last_error)


def test_a_job_scheduled_for_later_runs_now(queue: Queue) -> None:
    """retry() makes a waiting job due."""
    said.clear()
    id = queue.enqueue(Say("early"), run_at=timedelta(days=1))
    assert Worker(queue).work_off() == (0, 0)
    assert queue.retry(id)
    assert Worker(queue).work_off() == (1, 0)
    assert said == ["early"]


@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_in_the_callers_transaction(queue: Queue, end: str) -> None:
    """What is done with a session is done when that commits, and undone when it is rolled back."""
    kept, late = queue.enqueue(Say("kept")), queue.enqueue(Say("late"), run_at=timedelta(days=1))
    with Session(queue.writer) as session:
        new = queue.enqueue(Say("new"), session=session)
        assert queue.get(new, session=session).id == new
        queue.delete(kept, session=session)
        queue.retry(late, session=session, now=NOON)
        with pytest.raises(NoSuchJob):
            queue.get(kept, session=session)
        getattr(session, end)()
    left = {job.id: job.run_at == NOON for job in queue.jobs()}
    assert left == ({new: False, late: True} if end == "commit" else {kept: False, late: False})


def test_a_key_that_is_taken_leaves_the_callers_transaction_as_it_was(queue: Queue) -> None:
    """retry() of a failed job whose unique key another job has: AlreadyQueued, and the session goes on."""
    failed = queue.enqueue(Fail("broken"), max_attempts=1, unique_key="feed 3")
    Worker(queue).work_off()
    queue.enqueue(Say("another"), unique_key="feed 3")
    with Session(queue.writer) as session:
        with pytest.raises(AlreadyQueued, match="its key 'feed 3' is queued"):
            queue.retry(failed, session=session)
        queue.enqueue(Say("goes on"), session=session)
        session.commit()
    assert len(queue.jobs()) == 3 and queue.get(failed).state == "failed"
