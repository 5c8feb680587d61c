"""Batches: short jobs are claimed many at a time, and none suffers from what another one does."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import chain
from math import inf
from typing import Any

import pytest
from conftest import wait_until
from jobs_for_tests import (
    GATE_SECONDS,
    Article,
    Fail,
    Line,
    Say,
    WaitAtGate,
    WriteLine,
    article,
    call,
    call_with_session,
    failed,
    gates,
    only_job,
    said,
)
from sqlalchemy import select, update
from sqlalchemy.orm import Session
from worker_at_a_point import always_batches_of

from jobqueue import Job, Queue, Worker, lease, slots, worker
from jobqueue.lease import Claimed, Lease, Outcome, backoff
from jobqueue.slots import BATCH_SECONDS, BatchSize, Slot, deal

pytest_plugins = ["queue_fixtures"]

RunWorker = Callable[..., Any]
BatchesOf = Callable[[int], None]

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
LEASE = timedelta(seconds=30)


@pytest.fixture
def batches_of(monkeypatch: pytest.MonkeyPatch) -> BatchesOf:
    """batches_of(5): this test's workers claim five jobs at a time from the start, instead of one."""
    return lambda size: always_batches_of(size, monkeypatch.setattr)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers release no job because the one before it takes long."""
    monkeypatch.setattr(worker, "PATIENCE", 3600.0)


def add_all(queue: Queue, *texts: str, **options: Any) -> list[int]:
    return [queue.enqueue(Say(text), **options) for text in texts]


def by_id(queue: Queue) -> dict[int, Job]:
    return {job.id: job for job in sorted(queue.jobs(), key=lambda job: job.id)}


def claim(
    queue: Queue, name: str, limit: int = 10, now: datetime = NOON, slots: int | None = None
) -> list[Claimed]:
    with queue.writer.begin() as connection:
        own = Lease(queue.tables, name)
        if slots is None:
            return own.claim(connection, limit, now)
        hands = deal(own.due(connection, limit, now), slots)
        return own.take(connection, sorted(chain(*hands), key=lambda job: job.id), now)


# -- batch sizes, and dealing jobs to slots


@pytest.mark.parametrize(
    ("size", "jobs", "seconds", "learned"),
    [
        (1, 1, 0.000_001, 4),  # it grows at most fourfold per step
        (4, 4, 0.000_1, 16),
        (16, 16, BATCH_SECONDS, 16),  # just right
        (16, 16, BATCH_SECONDS / 2, 32),
        (16, 16, 2 * BATCH_SECONDS, 8),  # it shrinks at once
        (400, 400, 400.0, 1),
        (1, 1, 3600.0, 1),  # never less than one
        (400, 400, 0.001, 500),  # never more than the maximum
        (16, 3, 0.000_001, 16),  # a batch that was not full does not show that more would fit
        (16, 3, 1.0, 1),
        (1, 1, 0.0, 4),  # a clock may stand still
    ],
)
def test_a_batch_is_what_takes_a_fiftieth_of_a_second(
    size: int, jobs: int, seconds: float, learned: int
) -> None:
    """`jobs` jobs took `seconds`, with a batch size of `size`; the next size is `learned`."""
    batch = BatchSize()
    batch.size = size
    batch.learn(jobs, seconds)
    assert batch.size == learned
    batch.reset()
    assert batch.size == 1


def test_a_worker_may_be_told_the_largest_batch(queue: Queue) -> None:
    """With a maximum of one, each job is claimed and finished alone."""
    batch = BatchSize(most=1)
    batch.learn(1, 0.0)
    assert batch.size == 1
    with pytest.raises(ValueError, match="max_batch must be"):
        Worker(queue, max_batch=0)


def some(kinds: str) -> list[Claimed]:
    """Claimed jobs, one per letter; a capital letter marks a retry, which shares no slot."""
    return [Claimed(ord(k), 1 + k.isupper(), k, 25, None, 0, NOON, "default") for k in kinds]


@pytest.mark.parametrize(
    ("due", "slots", "hands"),
    [
        ("", 2, []),
        ("abcd", 1, ["abcd"]),
        ("abcd", 2, ["ac", "bd"]),
        ("ab", 3, ["a", "b"]),
        ("ABC", 2, ["A", "B"]),
        ("A", 3, ["A"]),
        ("Abc", 1, ["A"]),  # the most urgent comes first
        ("abCd", 1, ["ab"]),  # and is not overtaken
        ("abCde", 2, ["C", "abde"]),
        ("ABcde", 2, ["A", "B"]),
        ("ABcDef", 3, ["A", "B", "c"]),
        ("aBcDe", 3, ["B", "D", "ace"]),
        ("aBc", 3, ["B", "a", "c"]),
    ],
)
def test_jobs_are_dealt_to_slots(queue: Queue, due: str, slots: int, hands: list[str]) -> None:
    """A retry gets a slot to itself; the others share the rest. The claim takes no job for which there is no
    slot.
    """
    for text in due:
        add_all(queue, text, now=NOON)
    with queue.writer.begin() as connection:
        for id, text in enumerate(due, start=1):
            connection.execute(update(Job).where(Job.id == id).values(attempts=int(text.isupper())))
    claimed = claim(queue, "a", now=NOON, slots=slots)
    dealt = deal(claimed, slots)
    assert [[due[job.id - 1] for job in hand] for hand in dealt] == [list(hand) for hand in hands]
    assert sorted(job.id for job in claimed) == sorted(job.id for hand in dealt for job in hand)
    assert [job.id for job in queue.jobs() if job.locked_by] == sorted(job.id for job in claimed)


def test_only_first_attempts_of_jobs_with_more_than_one_share_a_slot(queue: Queue) -> None:
    """The claim counts every attempt, so a crash costs a job one attempt that it did not begin: at most once,
    and never its last one.
    """
    for attempts, max_attempts in ((0, 25), (0, 2), (0, 1), (3, 25)):
        (id,) = add_all(queue, "job", now=NOON, max_attempts=max_attempts)
        with queue.writer.begin() as connection:
            connection.execute(update(Job).where(Job.id == id).values(attempts=attempts))
    claimed = claim(queue, "a")
    assert [(job.attempts, job.shares) for job in claimed] == [
        (1, True),
        (1, True),
        (1, False),
        (4, False),
    ]
    assert [job.attempts for job in by_id(queue).values()] == [job.attempts for job in claimed]
    with queue.writer.begin() as connection:
        Lease(queue.tables, "a").release(connection, claimed, NOON)
    assert [job.attempts for job in by_id(queue).values()] == [0, 0, 0, 3]


# -- performing a batch


def test_urgent_jobs_of_a_batch_run_first(queue: Queue, run_worker: RunWorker, batches_of: BatchesOf) -> None:
    """Lowest priority, then earliest run_at, then enqueued first: within a batch and across batches."""
    batches_of(3)
    now = datetime.now(UTC)
    for text, priority, seconds in (
        ("f", 1, 9),
        ("d", 0, 1),
        ("b", -1, 1),
        ("e", 0, 1),
        ("c", 0, 2),
        ("a", -2, 0),
    ):
        add_all(queue, text, priority=priority, run_at=now - timedelta(seconds=seconds))
    run_worker(queue)
    wait_until(lambda: not queue.jobs(), "the end of all jobs")
    assert said == ["a", "b", "c", "d", "e", "f"]


@pytest.mark.usefixtures("patient")
def test_each_failure_in_a_batch_counts_one_attempt(
    queue: Queue, run_worker: RunWorker, batches_of: BatchesOf
) -> None:
    """Each failed job has its own error and its own backoff; the jobs around it are done."""
    batches_of(5)
    queue.enqueue(Say("one"))
    first = queue.enqueue(Fail("first"))
    queue.enqueue(Say("two"))
    second = queue.enqueue(Fail("second"))
    queue.enqueue(Say("three"))
    before = datetime.now(UTC)
    run_worker(queue)
    wait_until(lambda: len(queue.jobs()) == 2 and not only_locked(queue), "the end of the batch")
    for id, message in ((first, "first"), (second, "second")):
        job = by_id(queue)[id]
        assert (job.attempts, job.failed_at) == (1, None)
        assert f"RuntimeError: {message}\n" in (job.last_error or "")
        wait = backoff(1, lambda: 0.0)
        assert before + wait < job.run_at < datetime.now(UTC) + wait * 1.1
    assert said == ["one", "two", "three"]


def only_locked(queue: Queue) -> list[int]:
    return [job.id for job in queue.jobs() if job.locked_by]


@pytest.mark.usefixtures("patient")
def test_in_a_batch_effects_are_exactly_once_too(
    queue: Queue, run_worker: RunWorker, batches_of: BatchesOf
) -> None:
    """A job with a session, and a mapped object, are finished in their own transactions, next to plain jobs;
    a job that fails rolls back nothing of the others.
    """
    batches_of(6)

    def write_and_fail(session: Session) -> None:
        session.add(Line(text="half"))
        session.flush()
        raise RuntimeError("the other half failed")

    def change(self: Article) -> None:
        self.body += "changed"

    with Session(queue.writer) as session:
        new = article(change)
        session.add(new)
        queue.enqueue(WriteLine("one"), session=session)
        queue.enqueue(Say("plain"), session=session)
        failing = queue.enqueue(call_with_session(write_and_fail), session=session)
        queue.enqueue(new, session=session)
        queue.enqueue(WriteLine("two"), session=session)
        session.commit()
    run_worker(queue)
    wait_until(
        lambda: [(job.id, job.locked_by) for job in queue.jobs()] == [(failing, None)], "the batch's end"
    )
    with Session(queue.engine) as session:
        assert session.scalars(select(Line.text).order_by(Line.id)).all() == ["one", "two"]
        assert session.scalars(select(Article.body)).all() == ["changed"]
    assert (said, only_job(queue).attempts) == (["plain"], 1)


@pytest.mark.usefixtures("patient")
def test_a_hung_job_in_the_middle_of_a_batch_is_ended(
    queue: Queue, run_worker: RunWorker, batches_of: BatchesOf
) -> None:
    """Jobs before it are finished, jobs behind it run, and its own late result is ignored."""
    batches_of(5)
    add_all(queue, "before")
    queue.enqueue(WaitAtGate("hung"), max_run_time=0.1)
    add_all(queue, "behind", "last")
    run_worker(queue)
    wait_until(lambda: len(queue.jobs()) == 1 and not only_locked(queue), "the end of the others")
    job = only_job(queue)
    assert said == ["before", "at hung", "behind", "last"]
    assert "RunTimeExceeded: The job ran longer than its max_run_time. (0.1 seconds)" in (
        job.last_error or ""
    )
    assert job.attempts == 1
    gates["hung"].set()
    wait_until(lambda: "through hung" in said, "the hung job's end")
    add_all(queue, "next")
    wait_until(lambda: said[-1] == "next" and len(queue.jobs()) == 1, "the next job's end")
    assert only_job(queue).last_error == job.last_error


def test_only_the_job_that_hangs_is_ended() -> None:
    """Another job may begin after the deadline was checked and before the slot is abandoned: it is spared."""

    def wait(job: Claimed) -> Outcome:
        gates[job.handler].wait(GATE_SECONDS)
        return Outcome(job)

    slot = Slot(wait, lambda: None, 3600.0, [0, 0])
    hung, innocent = some("hi")
    slot.start([hung._replace(max_run_time=0.001), innocent._replace(max_run_time=20.0)])
    wait_until(lambda: slot.deadline() <= time.monotonic(), "the first job's limit")
    gates["h"].set()
    wait_until(lambda: slot.held()[0].handler == "i", "the beginning of the second")
    assert slot.abandon() is None
    gates["i"].set()
    slot.end()
    wait_until(lambda: not any(t.name == "jobqueue" for t in threading.enumerate()), "the end of both")
    assert [outcome.job.handler for outcome in slot.take_outcomes(BatchSize())] == ["h", "i"]
    gates.clear()


def test_that_a_job_hangs_can_be_seen_until_its_end_is_settled() -> None:
    """Then another thread performs the jobs behind it."""

    def wait(job: Claimed) -> Outcome:
        gates[job.handler].wait(GATE_SECONDS)
        return Outcome(job)

    notice = [0.0, 0.0]
    slot = Slot(wait, lambda: None, 3600.0, notice)
    hung, behind = some("hb")
    slot.start([hung._replace(max_run_time=0.001), behind])
    wait_until(slot.abandon, "the first job's limit")
    assert notice[0] == hung.id and notice[1] < time.monotonic()
    gates["h"].set()
    assert not slot.free and slot.held() == [behind]
    slot.go_on()
    gates["b"].set()
    wait_until(lambda: slot.take_outcomes(BatchSize()), "the end of the job behind it")
    wait_until(lambda: slot.free and notice[1] == inf, "the end of all")
    slot.end()
    gates.clear()


# -- jobs that are slow


def test_a_slow_job_holds_none_back_while_another_worker_idles(
    queue: Queue, run_worker: RunWorker, batches_of: BatchesOf
) -> None:
    """The jobs queued behind it go to the idle worker."""
    batches_of(5)
    queue.enqueue(WaitAtGate("slow"))
    slow = run_worker(queue)
    wait_until(lambda: said == ["at slow"], "the slow job's beginning")
    add_all(queue, "one", "two")
    run_worker(queue)
    wait_until(lambda: len(queue.jobs()) == 1, "the other jobs' end")
    assert only_job(queue).locked_by == slow.worker.name
    gates["slow"].set()
    wait_until(lambda: not queue.jobs(), "the slow job's end")


def test_what_was_claimed_behind_a_slow_job_is_given_back(
    queue: Queue, run_worker: RunWorker, batches_of: BatchesOf
) -> None:
    """It looks as if it had never been claimed, and any worker can take it."""
    batches_of(5)
    queue.enqueue(WaitAtGate("slow"))
    behind = add_all(queue, "one", "two", "three")
    run_worker(queue)
    wait_until(lambda: said == ["at slow"] and len(only_locked(queue)) == 1, "the others' return")
    assert [(job.attempts, job.last_error) for job in by_id(queue).values()] == [(1, None), *[(0, None)] * 3]
    assert Worker(queue).work_off() == (3, 0)
    assert said == ["at slow", "one", "two", "three"] and len(behind) == 3
    gates["slow"].set()
    wait_until(lambda: not queue.jobs(), "the slow job's end")


def test_a_slow_job_holds_none_back_while_another_thread_idles(
    queue: Queue, run_worker: RunWorker, batches_of: BatchesOf
) -> None:
    """The worker's other thread performs its own share, then the jobs behind the slow one."""
    batches_of(4)
    queue.enqueue(WaitAtGate("slow"))
    add_all(queue, *"abcdefg")
    run_worker(queue, threads=2)
    wait_until(lambda: len(queue.jobs()) == 1, "the end of all but the slow one")
    assert sorted(said) == sorted(["at slow", *"abcdefg"])
    gates["slow"].set()
    wait_until(lambda: not queue.jobs(), "the slow job's end")


def test_many_jobs_that_are_a_little_slow_are_not_held_back_either(
    queue: Queue, run_worker: RunWorker, batches_of: BatchesOf
) -> None:
    """Each takes less than the worker's patience, but all together much more: the rest is released."""
    batches_of(200)
    slow = threading.Event()

    def take_a_moment() -> None:
        slow.wait(worker.PATIENCE / 3)
        said.append("done")

    queue.enqueue_many([call(take_a_moment)] * 200)
    run_worker(queue)
    wait_until(lambda: said, "the first job")
    wait_until(lambda: len(only_locked(queue)) < 100, "the others' return")
    assert len(said) < 100
    slow.set()
    wait_until(lambda: not queue.jobs(), "the end of all")
    assert len(said) == 200


# -- jobs that have failed before


def test_a_retry_shares_no_slot_and_the_others_go_on(
    queue: Queue, run_worker: RunWorker, batches_of: BatchesOf
) -> None:
    """Retries at the start, in the middle and at the end all run, none of them in a batch."""
    batches_of(5)
    begun: list[tuple[str, bool]] = []
    perform = slots.Slot.start

    def note(slot: Slot, jobs: list[Claimed]) -> None:
        begun.extend((job.handler, len(jobs) == 1) for job in jobs)
        perform(slot, jobs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slots.Slot, "start", note)
        ids = add_all(queue, *"AbcDefghijK")
        with queue.writer.begin() as connection:
            for n in (0, 3, 10):
                update = Job.__table__.update().where(Job.id == ids[n])  # type: ignore[attr-defined]
                connection.execute(update.values(last_error="failed", attempts=1))
        run_worker(queue)
        wait_until(lambda: not queue.jobs(), "the end of all jobs")
    assert sorted(said) == sorted("AbcDefghijK")
    assert len(begun) == 11
    for handler, alone in begun:
        assert alone or not any(f'"text":"{text}"' in handler for text in "ADK")


# -- stopping, and dying


@pytest.mark.usefixtures("patient")
def test_stopped_in_mid_batch_a_worker_gives_back_the_rest(
    queue: Queue, run_worker: RunWorker, batches_of: BatchesOf, caplog: pytest.LogCaptureFixture
) -> None:
    """Jobs that have ended are finished; running and waiting ones look as if never claimed."""
    caplog.set_level("INFO", "jobqueue")
    batches_of(5)
    add_all(queue, "before")
    rest = [queue.enqueue(WaitAtGate("stop")), *add_all(queue, "one", "two")]
    running = run_worker(queue, stop_timeout=0.1)
    wait_until(lambda: said == ["before", "at stop"], "the batch's middle")
    assert set(rest) <= set(only_locked(queue))
    running.stop()
    running.wait()
    assert "gave back 3 jobs: not finished when the worker was stopped" in caplog.messages
    left = by_id(queue)
    assert list(left) == rest
    assert {(job.attempts, job.locked_by, job.last_error) for job in left.values()} == {(0, None, None)}
    gates["stop"].set()
    assert Worker(queue).work_off() == (3, 0)


def test_work_off_claims_one_by_one_whatever_its_worker_has_learned(
    queue: Queue, run_worker: RunWorker, batches_of: BatchesOf
) -> None:
    """This holds whatever size its batches begin with."""
    batches_of(50)
    running = run_worker(queue)
    running.stop()
    running.wait()
    add_all(queue, "one", "two", "three")
    assert Worker(queue).work_off() == (3, 0)
    assert queue.jobs() == []


def reap(queue: Queue, now: datetime) -> int:
    with queue.writer.begin() as connection:
        return len(lease.reap(connection, queue.tables, LEASE, now))


def test_a_crash_costs_the_jobs_of_a_batch_one_attempt_once(queue: Queue) -> None:
    """After reap() and free(), each job's last_error says what happened. It shares no slot from then on, so
    the next crash costs an attempt only if it was the job's own.
    """
    ids = add_all(queue, "one", "two", now=NOON, max_attempts=2)
    assert len(claim(queue, "dead", slots=1)) == 2
    now = NOON + LEASE + timedelta(seconds=1)
    assert reap(queue, now) == 2
    jobs = by_id(queue)
    assert {(job.attempts, job.locked_by, job.failed_at) for job in jobs.values()} == {(1, None, None)}
    assert all("The worker dead was silent" in (job.last_error or "") for job in jobs.values())
    assert [(job.id, job.attempts) for job in claim(queue, "b", now=now, slots=1)] == [(ids[0], 2)]
    with queue.writer.begin() as connection:
        assert len(lease.free(connection, queue.tables, "b", "was killed.", now)) == 1
        assert lease.free(connection, queue.tables, "b", "was killed.", now) == []
    jobs = by_id(queue)
    assert [(job.attempts, job.failed_at) for job in jobs.values()] == [(2, None), (1, None)]
    assert jobs[ids[0]].last_error == "The worker b was killed."
    assert Worker(queue).work_off(now=now) == (1, 0)
    assert (only_job(queue).id, only_job(queue).failed_at) == (ids[0], now)


def test_to_give_back_nothing_wakes_nobody(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """Idle workers are notified only when a job is released."""
    told: list[object] = []
    monkeypatch.setattr(lease, "notify", lambda connection, _: told.append(connection))
    add_all(queue, "one", now=NOON)
    claimed = claim(queue, "a")
    with queue.writer.begin() as connection:
        Lease(queue.tables, "a").release(connection, [], NOON)
        assert told == []
        Lease(queue.tables, "a").release(connection, claimed, NOON)
        assert told == [connection]


@pytest.mark.parametrize("next_worker", [None, "other", "stale"])
def test_a_stale_workers_batch_settles_nothing(queue: Queue, next_worker: str | None) -> None:
    """Whether the jobs are waiting, held by another worker, or claimed again by the same one, the fence
    holds.
    """
    add_all(queue, "one", "two", "three", now=NOON)
    lost = claim(queue, "stale")
    now = NOON + LEASE + timedelta(seconds=1)
    assert reap(queue, now) == 3
    if next_worker:
        assert len(claim(queue, next_worker, now=now)) == 3
    before = [vars(job) | {"_sa_instance_state": None} for job in queue.jobs()]
    with queue.writer.begin() as connection:
        assert Lease(queue.tables, "stale").finish(connection, lost) == set()
        assert not Lease(queue.tables, "stale").put_back(
            connection, failed(lost[0], "a stale error", now), now
        )
        assert not Lease(queue.tables, "stale").put_back(connection, failed(lost[1], "a stale error"), now)
        Lease(queue.tables, "stale").release(connection, lost, now)
        Lease(queue.tables, "stale").renew(connection, lost, now + LEASE)
    assert [vars(job) | {"_sa_instance_state": None} for job in queue.jobs()] == before
