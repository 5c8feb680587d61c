"""Lease and fence: a dead worker's jobs come back, and a worker that lost its lease writes nothing."""

import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from conftest import wait_until
from jobs_for_tests import HangAtFirst, Say, WaitAtGate, call, failed, gates, lines_of, only_job, said
from sqlalchemy import Connection

from jobqueue import Queue, Worker, lease
from jobqueue.lease import Claimed, Lease
from jobqueue.schema import tables

pytest_plugins = ["queue_fixtures"]

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
LEASE = timedelta(seconds=30)
TICK = timedelta(microseconds=1)


def claim(queue: Queue, worker: str, now: datetime = NOON) -> Claimed:
    """Claim one job for this worker."""
    with queue.writer.begin() as connection:
        (job,) = Lease(queue.tables, worker).claim(connection, 1, now)
    return job


def reap(queue: Queue, now: datetime) -> int:
    with queue.writer.begin() as connection:
        return len(lease.reap(connection, queue.tables, LEASE, now))


def test_a_job_comes_back_when_its_lease_has_expired(queue: Queue) -> None:
    """It is due at once. The attempt stays counted, and last_error says what happened."""
    queue.enqueue(Say("hello"), now=NOON)
    claim(queue, "dead")
    assert reap(queue, NOON + LEASE) == 0
    assert reap(queue, NOON + LEASE + TICK) == 1
    job = only_job(queue)
    assert (job.attempts, job.locked_by, job.locked_at, job.failed_at) == (1, None, None, None)
    assert (job.run_at, job.updated_at) == (NOON, NOON + LEASE + TICK)
    assert "The worker dead was silent for longer than its lease" in (job.last_error or "")
    assert reap(queue, NOON + 2 * LEASE) == 0


def test_work_off_frees_expired_leases_too(queue: Queue) -> None:
    """A program that calls work_off() every minute, and runs no worker, still gets everything done."""
    queue.enqueue(Say("hello"), now=NOON)
    claim(queue, "dead")
    assert Worker(queue).work_off(now=NOON + LEASE * 0.8) == (0, 0)
    assert Worker(queue).work_off(now=NOON + LEASE + TICK) == (1, 0)
    assert said == ["hello"]


def test_a_job_that_kills_its_workers_runs_out_of_attempts(queue: Queue) -> None:
    """After its first attempt it is due at once; after later ones it backs off as after any failure, which
    leaves the workers time for other jobs; after the last one it is due at once, and whoever claims it gives
    it up. It is then kept as failed, like any other job.
    """
    queue.enqueue(Say("poison"), max_attempts=3, now=NOON)
    now = NOON
    for attempt in (1, 2, 3):
        assert claim(queue, f"victim {attempt}", now).attempts == attempt
        now += LEASE + TICK
        assert reap(queue, now) == 1
        assert only_job(queue).failed_at is None
        assert (only_job(queue).run_at > now) == (attempt == 2)
        now = max(now, only_job(queue).run_at)
    assert Worker(queue).work_off(now=now) == (0, 0)
    job = only_job(queue)
    assert (said, job.attempts, job.failed_at) == ([], 3, now)
    assert "The worker victim 3 was silent" in (job.last_error or "")
    assert Worker(queue).work_off(now=now + timedelta(days=1)) == (0, 0)


def test_heartbeats_renew_the_lease(queue: Queue) -> None:
    """As long as heartbeats come in time, a job may take any time."""
    queue.enqueue(Say("long"), now=NOON)
    job = claim(queue, "a")
    now = NOON
    for _ in range(5):
        now += timedelta(seconds=20)
        with queue.writer.begin() as connection:
            Lease(queue.tables, "a").renew(connection, [job], now)
        assert only_job(queue).locked_at == now
        assert reap(queue, now + LEASE) == 0
    assert reap(queue, now + LEASE + TICK) == 1


def finish(connection: Connection, job: Claimed) -> None:
    assert Lease(tables(), "stale").finish(connection, [job]) == set()


def retry(connection: Connection, job: Claimed) -> None:
    assert not Lease(tables(), "stale").put_back(connection, failed(job, "a stale error", NOON), NOON)


def bury(connection: Connection, job: Claimed) -> None:
    assert not Lease(tables(), "stale").put_back(connection, failed(job, "a stale error"), NOON)


def release(connection: Connection, job: Claimed) -> None:
    Lease(tables(), "stale").release(connection, [job], NOON)


def renew(connection: Connection, job: Claimed) -> None:
    Lease(tables(), "stale").renew(connection, [job], NOON)


@pytest.mark.parametrize("write", [finish, retry, bury, release, renew])
def test_a_worker_that_lost_its_lease_writes_nothing(
    queue: Queue, write: Callable[[Connection, Claimed], None]
) -> None:
    """This holds while the job waits, while another worker holds it, and while the same worker holds it
    again: a name alone is no fence.
    """
    queue.enqueue(Say("hello"), now=NOON)
    lost = claim(queue, "stale")
    now = NOON + LEASE + TICK
    assert reap(queue, now) == 1
    for next_worker in (None, "other", "stale"):
        if next_worker:
            claimed = claim(queue, next_worker, now)
        before = vars(only_job(queue)) | {"_sa_instance_state": None}
        with queue.writer.begin() as connection:
            write(connection, lost)
        assert vars(only_job(queue)) | {"_sa_instance_state": None} == before
        if next_worker:
            with queue.writer.begin() as connection:
                assert Lease(tables(), next_worker).put_back(
                    connection, failed(claimed, "given back", now), now
                )


def test_what_still_is_the_workers_is_settled_beside_what_is_not(queue: Queue) -> None:
    """One lost lease does not keep the worker from finishing its other jobs."""
    ids = [queue.enqueue(Say(text), now=NOON) for text in ("kept", "lost")]
    kept, lost = claim(queue, "a", NOON + timedelta(seconds=1)), claim(queue, "a", NOON)
    assert [kept.id, lost.id] == ids
    assert reap(queue, NOON + LEASE + TICK) == 1
    with queue.writer.begin() as connection:
        assert Lease(queue.tables, "a").finish(connection, [kept, lost]) == {kept.id}
    assert only_job(queue).id == lost.id


def test_a_running_worker_keeps_the_lease_of_a_long_job(
    queue: Queue, open_queue: Callable[..., Queue], run_worker: Callable[..., Any]
) -> None:
    """The job outlasts its lease while another worker looks for expired ones. (A much shorter lease would be
    lost whenever the machine is too busy to run the worker.)
    """
    short = open_queue(lease=timedelta(seconds=2))
    queue.enqueue(WaitAtGate("long"))
    run_worker(short)
    wait_until(lambda: said == ["at long"], "the job's beginning")
    run_worker(short, queues=["another"])
    claimed_at = only_job(queue).created_at
    wait_until(
        lambda: (only_job(queue).locked_at or claimed_at) > claimed_at + 1.2 * short.lease, "heartbeats"
    )
    assert only_job(queue).attempts == 1
    gates["long"].set()
    wait_until(lambda: not queue.jobs(), "the job's end")
    assert said == ["at long", "through long"]


def test_a_worker_that_lost_its_lease_says_so_and_goes_on(
    queue: Queue, caplog: pytest.LogCaptureFixture
) -> None:
    """The job belongs to another worker by now, which will settle it."""

    def outlive_the_lease() -> None:
        reap(queue, datetime.now(UTC) + LEASE + timedelta(minutes=1))
        claim(queue, "other", datetime.now(UTC))

    job_id = queue.enqueue(call(outlive_the_lease))
    queue.enqueue(Say("next"), priority=1)
    Worker(queue).work_off()
    job = only_job(queue)
    assert (job.locked_by, job.attempts, said) == ("other", 2, ["next"])
    assert f"job {job_id} was not settled: this worker had lost its lease" in caplog.messages


@pytest.mark.live
def test_the_job_of_a_killed_worker_runs_again(
    queue: Queue,
    open_queue: Callable[..., Queue],
    tmp_path: Path,
    start_lone_worker: Callable[..., Any],
    run_worker: Callable[..., Any],
) -> None:
    """After kill -9 in mid-job, another worker runs it when the lease has expired, as its second attempt."""
    begun = tmp_path / "begun.txt"
    queue.enqueue(HangAtFirst(str(begun)))
    killed = start_lone_worker("--lease", "0.5")
    wait_until(lambda: lines_of(begun), "the job's beginning")
    killed.signal(signal.SIGKILL)
    assert killed.exit_status() == 128 + signal.SIGKILL
    (job,) = queue.jobs()
    assert job.attempts == 1 and f"pid:{killed.pid()}" in (job.locked_by or "")
    run_worker(open_queue(lease=timedelta(seconds=0.5)))
    wait_until(lambda: only_job(queue).attempts == 2 and not only_job(queue).locked_by, "the second attempt")
    assert lines_of(begun) == ["begun", "begun"]
    assert "RuntimeError: the second attempt" in (only_job(queue).last_error or "")
