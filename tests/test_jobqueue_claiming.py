"""Claiming: which jobs a worker gets, in which order, and that no two workers get the same job."""

import re
import threading
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from jobs_for_tests import Append, Say, failed, lines_of, said
from sqlalchemy import Connection, insert

from jobqueue import Job, Queue, Worker, lease, waiting
from jobqueue.lease import Claimed, Lease
from jobqueue.slots import deal
from jobqueue.waiting import Served

pytest_plugins = ["queue_fixtures"]

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
LATER = NOON + timedelta(minutes=1)


def add(queue: Queue, /, **options: Any) -> int:
    """Enqueue a job, due at noon unless told otherwise."""
    return queue.enqueue(Say("hello"), now=NOON, **options)


def claim(
    queue: Queue, worker: str = "a", limit: int = 10, now: datetime = NOON, **served: Any
) -> list[Claimed]:
    with queue.writer.begin() as connection:
        return Lease(queue.tables, worker).claim(connection, limit, now, Served(**served))


def claimed_ids(queue: Queue, **options: Any) -> list[int]:
    return [job.id for job in claim(queue, **options)]


def test_urgent_jobs_come_first_then_old_ones(queue: Queue) -> None:
    """Lowest priority, then earliest run_at, then enqueued first, within one claim too."""
    normal, next_normal = add(queue), add(queue)
    older = add(queue, run_at=NOON - timedelta(hours=1))
    urgent = add(queue, priority=-1)
    unimportant_but_oldest = add(queue, priority=1, run_at=NOON - timedelta(days=1))
    expected = [urgent, older, normal, next_normal, unimportant_but_oldest]
    assert claimed_ids(queue, limit=2) + claimed_ids(queue, limit=3) == expected


def test_only_due_jobs_are_claimed(queue: Queue) -> None:
    """A job is due from exactly its run_at."""
    job = add(queue, run_at=LATER)
    assert claimed_ids(queue, now=LATER - timedelta(microseconds=1)) == []
    assert claimed_ids(queue, now=LATER) == [job]


def test_a_worker_may_keep_to_some_queues(queue: Queue) -> None:
    """A worker without a list of queues takes jobs from all of them."""
    default, images, mail = add(queue), add(queue, queue="images"), add(queue, queue="mail")
    assert claimed_ids(queue, queues=("nothing here",)) == []
    assert claimed_ids(queue, queues=("images", "mail"), limit=1) == [images]
    assert claimed_ids(queue, queues=("images", "mail")) == [mail]
    assert claimed_ids(queue) == [default]
    add(queue, queue="images")
    assert Worker(queue, queues=["mail"]).work_off(now=NOON) == (0, 0)
    assert Worker(queue, queues=["images"]).work_off(now=NOON) == (1, 0)


def test_a_queue_that_is_named_twice_is_served_once(queue: Queue) -> None:
    """Or both threads would have the same job."""
    add(queue, queue="mail")
    Worker(queue, queues=["mail", "mail"], threads=2).run("idle")
    assert said == ["hello"]


def test_a_worker_may_keep_to_some_priorities(queue: Queue) -> None:
    """Both bounds are part of the range, and an idle worker sleeps until the next job that it serves."""
    urgent, normal, lazy = add(queue, priority=-5), add(queue), add(queue, priority=5)
    assert claimed_ids(queue, max_priority=-6) == []
    assert claimed_ids(queue, max_priority=-5) == [urgent]
    assert claimed_ids(queue, min_priority=1) == [lazy]
    with queue.engine.connect() as connection:
        assert waiting.next_run_at(connection, queue.tables, Served(min_priority=1)) is None
        assert waiting.next_run_at(connection, queue.tables, Served(max_priority=0)) == NOON
    assert Worker(queue, min_priority=1).work_off(now=NOON) == (0, 0)
    assert Worker(queue, min_priority=0, max_priority=0).work_off(now=NOON) == (1, 0)
    assert normal not in [job.id for job in queue.jobs()]
    with pytest.raises(TypeError, match="min_priority must be a whole number"):
        Worker(queue, min_priority="1")  # type: ignore[arg-type]


def test_a_claim_takes_the_lease_and_counts_the_attempt(queue: Queue) -> None:
    """Both happen before the job runs, so a crash counts as an attempt."""
    add(queue, max_attempts=3, max_run_time=1.5)
    (claimed,) = claim(queue, "a", now=LATER)
    (job,) = queue.jobs()
    assert (job.locked_by, job.locked_at, job.attempts, job.updated_at) == ("a", LATER, 1, LATER)
    assert claimed == Claimed(job.id, 1, job.handler, 3, 1.5, job.priority, job.run_at, job.queue)


def test_a_job_that_is_taken_or_failed_is_not_claimed(queue: Queue) -> None:
    """It stays so however long the job has been due."""
    add(queue)
    (job,) = claim(queue, "a")
    assert claim(queue, "b") == []
    with queue.writer.begin() as connection:
        assert Lease(queue.tables, "a").put_back(connection, failed(job, "for good"), NOON)
    assert claim(queue, "b", now=NOON + timedelta(days=1)) == []


def test_threads_never_get_the_same_job(queue: Queue) -> None:
    """Six workers start at the same moment and claim one by one: each job is claimed once."""
    ids = [add(queue) for _ in range(60)]
    barrier = threading.Barrier(6, timeout=60)
    claimed: list[int] = []

    def work(name: str) -> None:
        barrier.wait()
        while jobs := claim(queue, name, limit=1):
            claimed.append(jobs[0].id)

    threads = [threading.Thread(target=work, args=(f"worker {n}",)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claimed) == ids


PERFORM_ALL = """
import sys
from jobqueue import Queue, Worker
import jobs_for_tests
queue = Queue(sys.argv[1])
queue.jobs(), input(">")
succeeded, failed = Worker(queue).work_off()
print(succeeded, failed)
"""


@pytest.mark.live
def test_processes_perform_each_job_exactly_once(
    queue: Queue, database_url: str, tmp_path: Path, at_once: Callable[..., list[str]]
) -> None:
    """Two worker processes perform 60 jobs, which write 60 different lines."""
    log = tmp_path / "performed.txt"
    for n in range(60):
        queue.enqueue(Append(str(log), f"job {n}"))
    printed = at_once(2, PERFORM_ALL, database_url)
    assert Counter(lines_of(log)) == Counter(f"job {n}" for n in range(60))
    assert sum(int(line.split()[0]) for line in printed) == 60
    assert queue.jobs() == []


def test_on_postgresql_a_claim_does_not_wait_for_another(postgres_database: str) -> None:
    """It skips rows that an open transaction has locked."""
    queue = Queue(postgres_database)
    queue.create_tables()
    first, second = add(queue), add(queue)
    with queue.writer.begin() as slow:
        slow.exec_driver_sql("SET lock_timeout = '1ms'")
        assert [job.id for job in Lease(queue.tables, "slow").claim(slow, 1, NOON)] == [first]
        with queue.writer.begin() as quick:
            quick.exec_driver_sql("SET LOCAL lock_timeout = '1ms'")
            assert [job.id for job in Lease(queue.tables, "quick").claim(quick, 10, NOON)] == [second]
    queue.close()


def test_the_order_is_the_same_for_a_worker_of_several_queues(queue: Queue) -> None:
    """Most urgent first, whichever queue a job is in; a priority with nothing due is passed over."""
    first, last = add(queue, queue="a"), add(queue, queue="b", priority=5)
    second = add(queue, queue="b", run_at=NOON - timedelta(hours=1), priority=3)
    third = add(queue, queue="a", priority=3)
    add(queue, queue="a", priority=-1, run_at=LATER)
    add(queue, queue="c", priority=-1)
    for limit in (2, 10):
        with queue.writer.connect() as connection:  # rolled back
            jobs = Lease(queue.tables, "w").claim(connection, limit, NOON, Served(("a", "b")))
        assert [job.id for job in jobs] == [first, second, third, last][:limit]
    assert claimed_ids(queue, queues=("a", "b"), min_priority=3, max_priority=4) == [second, third]


def test_on_postgresql_no_claim_waits_for_more_urgent_jobs_that_are_locked(postgres_database: str) -> None:
    """Neither in their lane, nor does it end there: later priorities have their turn."""
    queue = Queue(postgres_database)
    queue.create_tables()
    urgent, normal = add(queue, priority=-1), add(queue)
    with queue.writer.begin() as other:
        queue.delete(urgent, session=other)
        for queues in ((), ("default",), ("default", "mail")):
            with queue.writer.connect() as connection:  # rolled back
                connection.exec_driver_sql("SET LOCAL lock_timeout = '1ms'")
                jobs = Lease(queue.tables, "w").claim(connection, 10, NOON, Served(queues))
            assert [job.id for job in jobs] == [normal]
    queue.close()


@pytest.mark.parametrize("served", [Served(), Served(("rare",)), Served(("rare", "seldom"), -1, 1)], ids=str)
def test_a_claim_reads_no_rows_but_its_own(
    queue: Queue, explain: Callable[[], list[str]], served: Served
) -> None:
    """It neither sorts nor reads the backlog of other queues, or of jobs that are not due yet, though these
    are more urgent: in a table just filled, and in one analysed before there was a job for this worker.
    """
    index = "jobs_waiting_by_queue" if served.queues else "jobs_waiting"
    fill(queue, 1_000, run_at=LATER, priority=-1)
    for analysed in (False, True):
        if analysed:
            with queue.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
                connection.exec_driver_sql("ANALYZE")
        fill(queue, 3, queue="rare")
        assert len(claim(queue, limit=3, **served._asdict())) == 3
        with queue.engine.connect() as connection:
            waiting.next_run_at(connection, queue.tables, served)
    plans = [plan for plan in explain() if "lanes" in plan]
    assert len(plans) == 4
    for plan in plans:
        assert set(re.findall(r"(?:using|INDEX) (jobs_\w+)", plan)) == {index}, plan
        assert re.search(r"priority=\?( AND run_at<\?)?\)|Index Cond: .*\(priority = ", plan), plan
        assert "Seq Scan on jobs" not in plan and "Sort" not in (plan.partition("Append")[2] or plan), plan


def test_a_claim_for_fewer_slots_reads_no_more(queue: Queue, explain: Callable[[], list[str]]) -> None:
    """It finds out how many can be dealt out from the jobs that it may take, not from the backlog."""
    fill(queue, 2_000)
    with queue.writer.begin() as connection:
        assert len(deal(Lease(queue.tables, "a").due(connection, 300, NOON), 2)) == 2
    plan = explain()[-1]
    assert "jobs_waiting" in plan and "Seq Scan on jobs " not in plan
    assert "Sort" not in plan.partition("Limit")[2]  # below the LIMIT


def test_settling_and_heartbeat_touch_their_own_rows_only(
    queue: Queue, explain: Callable[[], list[str]]
) -> None:
    """Their cost does not grow with the backlog: rows are found by primary key, or by index for reaping."""
    fill(queue, 2_000)
    jobs = claim(queue, limit=4)

    def settle(connection: Connection) -> None:
        Lease(queue.tables, "a").renew(connection, jobs, NOON)
        Lease(queue.tables, "a").finish(connection, jobs[:2])
        Lease(queue.tables, "a").put_back(connection, failed(jobs[2], "error", LATER), NOON)
        Lease(queue.tables, "a").release(connection, jobs[2:], NOON)
        lease.reap(connection, queue.tables, timedelta(seconds=30), NOON)

    with queue.writer.begin() as connection:
        settle(connection)
    plans = explain()[-5:]
    for plan in plans:
        assert "SCAN jobs" not in plan.replace("SCAN jobs USING INDEX jobs_running", ""), plan
        assert "Seq Scan" not in plan, plan
    assert "jobs_running" in plans[-1]  # which has the running jobs only


def fill(queue: Queue, count: int, /, **columns: Any) -> None:
    """Insert a backlog of `count` jobs."""
    row = {"handler": "{}", "run_at": NOON, "max_attempts": 25, "created_at": NOON, "updated_at": NOON}
    with queue.writer.begin() as connection:
        connection.execute(insert(Job), [row | columns] * count)
