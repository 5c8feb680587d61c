"""The workers' rows and tallies: one row for each worker, and sums that never shrink."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from conftest import wait_until
from jobs_for_tests import Fail, Say, WaitAtGate, gates, only_job, said
from sqlalchemy import select
from sqlalchemy.orm import Session

from jobqueue import Queue, Worker, worker
from jobqueue.lease import Lease
from jobqueue.ledger import Ledger
from jobqueue.observing import News
from jobqueue.schema import GONE, WorkerRow
from jobqueue.slots import BatchSize
from jobqueue.tools import presence
from jobqueue.tools.presence import WAIT_BOUNDS, Presence, Self, Tally
from jobqueue.waiting import Served

pytest_plugins = ["queue_fixtures"]

RunWorker = Callable[..., Any]
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
LEASE = timedelta(seconds=30)


def workers(queue: Queue) -> dict[str, WorkerRow]:
    with Session(queue.engine) as session:
        return {row.name: row for row in session.scalars(select(WorkerRow))}


def tallies(queue: Queue) -> dict[str, Tally]:
    with queue.engine.connect() as connection:
        return presence.tallies(connection, queue.tables)


def total(queue: Queue) -> Tally:
    return sum(tallies(queue).values(), Tally())


def me(name: str) -> Self:
    return Self(name, threads=2, queues="mail,images", lease=30.0, max_run_time=60.0, started_at=NOON)


def be_seen(queue: Queue, name: str, more: Tally, now: datetime) -> None:
    with queue.writer.begin() as connection:
        presence.be_seen(connection, queue.tables, me(name), more, now)


def forget(queue: Queue, now: datetime) -> None:
    with queue.writer.begin() as connection:
        presence.forget_the_silent(connection, queue.tables, LEASE, now)


def tally(succeeded: int, failed: int, *waits: float) -> Tally:
    made = Tally(succeeded, failed)
    for seconds in waits:
        made.count_wait(seconds)
    return made


@pytest.mark.parametrize(
    ("seconds", "bucket"),
    [(0.0, 0), (0.005, 0), (0.006, 1), (0.05, 3), (300.0, len(WAIT_BOUNDS) - 1), (301.0, -1)],
)
def test_waits_are_counted_by_upper_bounds(seconds: float, bucket: int) -> None:
    """A bound belongs to its own bucket; the last bucket has no bound."""
    counted = tally(0, 0, seconds)
    assert [n for n, count in enumerate(counted.waits) if count] == [bucket % len(counted.waits)]
    assert counted.waited == seconds and counted


def test_an_empty_tally_is_nothing_to_tell() -> None:
    """An empty tally is falsy, and tallies add up."""
    assert not Tally()
    assert tally(1, 2, 0.5) + tally(3, 4, 0.5, 9.0) == tally(4, 6, 0.5, 0.5, 9.0)
    assert all([tally(1, 0), tally(0, 1), tally(0, 0, 1.0)])


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine a job may be given back before it begins; claimed again, it would wait twice."""
    monkeypatch.setattr(worker, "PATIENCE", 3600.0)


@pytest.mark.usefixtures("patient")
def test_a_worker_that_runs_has_a_row(queue: Queue, run_worker: RunWorker) -> None:
    """The row holds the worker's settings and is removed when it ends; its tally is kept."""
    queue.enqueue(WaitAtGate("seen"))
    running = run_worker(queue, threads=2, queues=["default", "mail"], max_run_time=60.0)
    wait_until(lambda: said == ["at seen"] and running.worker.name in workers(queue), "the worker's row")
    row = workers(queue)[running.worker.name]
    assert (row.threads, row.queues, row.lease, row.max_run_time) == (2, "default,mail", 30.0, 60.0)
    assert row.started_at <= row.seen_at <= datetime.now(UTC)
    gates["seen"].set()
    wait_until(lambda: not queue.jobs(), "the job's end")
    running.stop()
    running.wait()
    assert list(workers(queue)) == [GONE]
    assert (total(queue).succeeded, total(queue).failed, sum(total(queue).waits)) == (1, 0, 1)


@pytest.mark.usefixtures("patient")
def test_after_some_jobs_the_counts_are_right(queue: Queue, run_worker: RunWorker) -> None:
    """Successes, failures and one pick-up latency for each job: in run() with batches, and in work_off()."""
    now = datetime.now(UTC)
    for n in range(30):
        queue.enqueue(Say("hello"), run_at=now - timedelta(seconds=n))
        queue.enqueue(Fail("no"), run_at=now - timedelta(seconds=n), max_attempts=1)
    running = run_worker(queue, threads=2)
    wait_until(lambda: len([job for job in queue.jobs() if job.failed_at]) == 30, "the failures")
    wait_until(lambda: len(queue.jobs()) == 30, "the end of all jobs")
    running.stop()
    running.wait()
    done = tallies(queue)[GONE]
    assert (done.succeeded, done.failed, sum(done.waits)) == (30, 30, 60)
    assert done.waited > 2 * sum(range(30))
    assert sum(done.waits[: WAIT_BOUNDS.index(10.0)]) < 60  # waits over ten seconds are in other buckets
    queue.enqueue(Say("hello"), now=NOON, run_at=NOON - timedelta(seconds=4))
    queue.enqueue(Fail("no"), now=NOON, run_at=NOON - timedelta(seconds=4))
    assert Worker(queue, observers=[Presence(queue)]).work_off(now=NOON) == (1, 1)
    more = tallies(queue)[GONE]
    assert (more.succeeded, more.failed, sum(more.waits)) == (31, 31, 62)
    assert more.waits[WAIT_BOUNDS.index(5.0)] == done.waits[WAIT_BOUNDS.index(5.0)] + 2
    assert more.waited == pytest.approx(done.waited + 8)


def test_a_job_that_is_given_back_unbegun_has_not_been_picked_up(queue: Queue) -> None:
    """A job that must run alone was claimed with another: its latency is counted only when it begins."""
    queue.enqueue(Say("one"), now=NOON)
    queue.enqueue(Fail("two"), now=NOON, max_attempts=1)  # such a job is claimed alone
    batch, news = BatchSize(), News(Worker(queue), [Presence(queue)])
    batch.size = 5
    ledger = Ledger(queue, Lease(queue.tables, "teller"), Served(), batch, news)
    hands = ledger.exchange([], 1, NOON)
    assert [[job.id for job in jobs] for jobs in hands] == [[1]]
    news.tell("stopped", NOON)
    ledger.close()
    assert tallies(queue) == {GONE: tally(0, 0, 0.0)}


def test_a_busy_worker_tells_how_far_it_is(
    queue: Queue, run_worker: RunWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It writes its tally within about a second, long before its next heartbeat, though it is never idle."""
    for _ in range(3):
        queue.enqueue(Say("hello"))
    queue.enqueue(WaitAtGate("busy"))
    running = run_worker(queue)
    name = running.worker.name
    wait_until(lambda: name in tallies(queue) and tallies(queue)[name].succeeded == 3, "what it has done")
    gates["busy"].set()


def test_the_row_of_a_silent_worker_is_taken_away(queue: Queue) -> None:
    """It is removed only after the lease; its tally is added to that of the workers who are gone."""
    be_seen(queue, "silent", tally(3, 1, 0.5), NOON)
    be_seen(queue, "alive", tally(1, 0), NOON)
    be_seen(queue, "alive", tally(1, 0), NOON + LEASE)
    forget(queue, NOON + LEASE)
    assert set(workers(queue)) == {"silent", "alive"}
    forget(queue, NOON + LEASE + timedelta(microseconds=1))
    assert tallies(queue) == {"alive": tally(2, 0), GONE: tally(3, 1, 0.5)}
    forget(queue, NOON + 10 * LEASE)
    assert tallies(queue) == {GONE: tally(5, 1, 0.5)}
    forget(queue, NOON + 100 * LEASE)  # the row of the workers who are gone stays
    assert tallies(queue) == {GONE: tally(5, 1, 0.5)}
    assert (workers(queue)[GONE].threads, workers(queue)[GONE].queues) == (0, "")


def test_a_worker_that_was_taken_for_dead_comes_back(queue: Queue) -> None:
    """It gets a new row; what it had reported before is not counted twice, and the sum never shrinks."""
    be_seen(queue, "slow", tally(3, 1, 0.5), NOON)
    forget(queue, NOON + 2 * LEASE)
    be_seen(queue, "slow", tally(1, 0, 0.5), NOON + 3 * LEASE)
    assert tallies(queue) == {GONE: tally(3, 1, 0.5), "slow": tally(1, 0, 0.5)}
    assert workers(queue)["slow"].seen_at == NOON + 3 * LEASE
    with queue.writer.begin() as connection:
        presence.leave(connection, queue.tables, "slow", NOON + 3 * LEASE)
        presence.leave(connection, queue.tables, "slow", NOON + 3 * LEASE)  # leaving twice changes nothing
        presence.leave(connection, queue.tables, "never there", NOON)
    assert tallies(queue) == {GONE: tally(4, 1, 0.5, 0.5)}


def test_a_running_worker_comes_back_at_its_next_heartbeat(
    queue: Queue, open_queue: Callable[..., Queue], run_worker: RunWorker
) -> None:
    """Another worker has removed its row in the meantime."""
    running = run_worker(open_queue(lease=timedelta(seconds=0.5)))
    wait_until(lambda: running.worker.name in workers(queue), "the worker's row")
    with queue.writer.begin() as connection:
        presence.leave(connection, queue.tables, running.worker.name, datetime.now(UTC))
    wait_until(lambda: running.worker.name in workers(queue), "the worker's row, once more")


@pytest.mark.usefixtures("patient")
def test_what_could_not_be_told_is_told_later(
    queue: Queue, run_worker: RunWorker, caplog: pytest.LogCaptureFixture
) -> None:
    """A failed transaction, here for lack of the workers' table, ends no worker, is tried again, and loses
    nothing from the tally.
    """
    WorkerRow.__table__.drop(queue.engine)
    running = run_worker(queue)
    queue.enqueue(Say("hello"))
    wait_until(lambda: "the worker's row was not written, trying again" in caplog.text, "the complaint")
    wait_until(lambda: not queue.jobs(), "the job's end")
    WorkerRow.__table__.create(queue.engine)
    wait_until(lambda: total(queue).succeeded == 1, "the count")
    queue.enqueue(Fail("no"), max_attempts=1)
    wait_until(lambda: only_job(queue).failed_at, "the failure")
    running.stop()
    running.wait()
    done = tallies(queue)[GONE]
    assert (done.succeeded, done.failed, sum(done.waits)) == (1, 1, 2)
