"""Whatever two workers do, in whatever order, the table agrees with a model of a few lines of Python.

Hypothesis chooses the order of enqueueing, claims one by one and in batches, ends of every kind, heartbeats,
leases that expire while their worker goes on, and the passing of time.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from jobs_for_tests import Say, failed
from sqlalchemy import Connection, select

from jobqueue import Queue, lease
from jobqueue.lease import Claimed, Lease, backoff
from jobqueue.schema import tables
from jobqueue.slots import deal
from jobqueue.waiting import next_run_at

jobs = tables().jobs

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
LEASE = timedelta(seconds=30)
FEW = settings(
    max_examples=40,
    stateful_step_count=40,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
workers = st.sampled_from(["a", "b"])
seconds = st.integers(0, 40)


@dataclass
class Model:
    """What a row should be. `claim` is the claim that holds, if any."""

    id: int
    priority: int
    run_at: datetime
    max_attempts: int
    attempts: int = 0
    erred: bool = False
    failed: bool = False
    holder: str | None = None
    locked_at: datetime | None = None
    claim: Claimed | None = None

    def let_go(self) -> None:
        self.holder = self.locked_at = self.claim = None

    def shares(self) -> bool:
        return self.attempts == 0 and self.max_attempts > 1

    def row(self) -> tuple[object, ...]:
        return (self.attempts, self.erred, self.failed, self.holder, self.locked_at, self.run_at)


class TwoWorkers(RuleBasedStateMachine):
    """`table` is the model, by id; `hands` is what each worker believes it holds: its lease may be lost."""

    def __init__(self, queue: Queue):
        super().__init__()
        queue.clear()
        self.queue = queue
        self.now = NOON
        self.table: dict[int, Model] = {}
        self.hands: dict[str, list[Claimed]] = {"a": [], "b": []}
        self.enqueued = self.finished = 0

    def busy(self) -> bool:
        """Whether a worker has something in its hands."""
        return any(self.hands.values())

    def do(self, function: Callable[..., Any], *arguments: Any) -> Any:
        with self.queue.writer.begin() as connection:
            return function(connection, self.queue.tables, *arguments)

    def settle(self, worker: str, how: Callable[..., Any], *arguments: Any) -> Any:
        with self.queue.writer.begin() as connection:
            return how(Lease(self.queue.tables, worker), connection, *arguments)

    def has(self, worker: str, claim: Claimed) -> bool:
        """Whether this claim still holds."""
        row = self.table.get(claim.id)
        return row is not None and row.claim is claim and row.holder == worker

    def take(self, worker: str, count: int = 1) -> tuple[str, list[Claimed]]:
        """The worker that settles, this one or else the other, and the jobs taken from its hands."""
        if not self.hands[worker]:
            worker = "b" if worker == "a" else "a"
        taken, self.hands[worker] = self.hands[worker][:count], self.hands[worker][count:]
        return worker, taken

    def due(self) -> list[Model]:
        """The jobs that can be claimed, in the order in which they should be."""
        rows = [
            row for row in self.table.values() if not (row.holder or row.failed) and row.run_at <= self.now
        ]
        return sorted(rows, key=lambda row: (row.priority, row.run_at, row.id))

    @rule(priority=st.integers(-1, 1), delay=seconds, max_attempts=st.integers(1, 3), count=st.integers(1, 4))
    def enqueue(self, priority: int, delay: int, max_attempts: int, count: int) -> None:
        run_at = self.now + timedelta(seconds=delay // 10)
        for _ in range(count):
            id = self.queue.enqueue(
                Say("hello"), priority=priority, run_at=run_at, max_attempts=max_attempts, now=self.now
            )
            assert id not in self.table
            self.table[id] = Model(id, priority, run_at, max_attempts)
            self.enqueued += 1

    @precondition(due)
    @rule(worker=workers, limit=st.integers(1, 4), slots=st.integers(1, 3))
    def claim(self, worker: str, limit: int, slots: int) -> None:
        due: list[Model] = []
        for row in self.due()[:limit]:
            due.append(row)
            alone = [job for job in due if not job.shares()]
            if len(alone) + (len(alone) < len(due)) > slots:
                due.pop()
                break
        with self.queue.writer.begin() as connection:
            own = Lease(self.queue.tables, worker)
            hands = deal(own.due(connection, limit, self.now), slots)
            claimed = own.take(connection, [job for hand in hands for job in hand], self.now)
        assert len(hands) <= slots and {job.id for job in claimed} == {row.id for row in due}
        for job in claimed:
            row = self.table[job.id]
            assert row.holder is None and job.shares == row.shares()
            row.attempts += 1
            row.holder, row.locked_at, row.claim = worker, self.now, job
            assert 1 <= job.attempts == row.attempts
        self.hands[worker] += claimed

    @precondition(busy)
    @rule(worker=workers, count=st.integers(1, 4))
    def finish(self, worker: str, count: int) -> None:
        worker, done = self.take(worker, count)
        ours = {job.id for job in done if self.has(worker, job)}
        assert self.settle(worker, Lease.finish, done) == ours
        for id in ours:
            del self.table[id]
            self.finished += 1

    @precondition(busy)
    @rule(worker=workers, delay=seconds)
    def retry(self, worker: str, delay: int) -> None:
        worker, (job,) = self.take(worker)
        ours = self.has(worker, job)
        last = job.attempts >= job.max_attempts
        outcome = failed(job, "failed", None if last else self.now + timedelta(seconds=delay))
        assert self.settle(worker, Lease.put_back, outcome, self.now) == ours
        if ours:
            row = self.table[job.id]
            row.erred, row.run_at, row.failed = True, outcome.run_at or row.run_at, last
            row.let_go()

    @precondition(busy)
    @rule(worker=workers, delay=seconds)
    def snooze(self, worker: str, delay: int) -> None:
        worker, (job,) = self.take(worker)
        ours = self.has(worker, job)
        again = failed(job, "not yet", self.now + timedelta(seconds=delay))
        again = again._replace(attempts=job.attempts - 1, text=None)
        assert self.settle(worker, Lease.put_back, again, self.now) == ours
        if ours:
            row = self.table[job.id]
            row.attempts, row.run_at = row.attempts - 1, cast(datetime, again.run_at)
            row.let_go()

    @precondition(busy)
    @rule(worker=workers, count=st.integers(1, 4))
    def release(self, worker: str, count: int) -> None:
        worker, some = self.take(worker, count)
        ours = [job for job in some if self.has(worker, job)]
        self.settle(worker, Lease.release, some, self.now)
        for job in ours:
            self.table[job.id].attempts -= 1
            self.table[job.id].let_go()

    @precondition(busy)
    @rule(worker=workers)
    def renew(self, worker: str) -> None:
        self.settle(worker, Lease.renew, self.hands[worker], self.now)
        for job in self.hands[worker]:
            if self.has(worker, job):
                self.table[job.id].locked_at = self.now

    def free(self, dead: list[Model]) -> None:
        for row in dead:
            row.let_go()
            row.erred = True
            if 2 <= row.attempts < row.max_attempts:
                with self.queue.engine.connect() as connection:
                    row.run_at = cast(datetime, self.rows(connection)[row.id][-1])
                least = backoff(row.attempts, lambda: 0.0)
                assert least <= row.run_at - self.now <= 1.1 * least

    @precondition(busy)
    @rule()
    def reap(self) -> None:
        silent = [row for row in self.table.values() if row.locked_at and row.locked_at < self.now - LEASE]
        assert len(self.do(lease.reap, LEASE, self.now)) == len(silent)
        self.free(silent)

    @precondition(busy)
    @rule(worker=workers)
    def take_for_dead(self, worker: str) -> None:
        """Free a live worker's jobs by mistake: it goes on with what it has in its hands."""
        held = [row for row in self.table.values() if row.holder == worker]
        assert len(self.do(lease.free, worker, "was taken for dead.", self.now)) == len(held)
        self.free(held)

    @precondition(lambda self: self.table)
    @rule(passed=seconds)
    def let_time_pass(self, passed: int) -> None:
        self.now += timedelta(seconds=passed)

    @invariant()
    def the_table_is_as_the_model_says(self) -> None:
        with self.queue.engine.connect() as connection:
            rows = self.rows(connection)
        assert rows == {id: row.row() for id, row in self.table.items()}
        assert self.enqueued == self.finished + len(rows)  # no job is lost or finished twice

    @invariant()
    def the_next_job_is_due_when_the_model_says(self) -> None:
        waiting = [row.run_at for row in self.table.values() if not (row.holder or row.failed)]
        with self.queue.engine.connect() as connection:
            assert next_run_at(connection, self.queue.tables) == min(waiting, default=None)

    @staticmethod
    def rows(connection: Connection) -> dict[int, tuple[object, ...]]:
        c = jobs.c
        columns = (c.attempts, c.last_error, c.failed_at, c.locked_by, c.locked_at, c.run_at)
        return {
            id: (attempts, error is not None, failed is not None, holder, locked_at, run_at)
            for id, attempts, error, failed, holder, locked_at, run_at in connection.execute(
                select(c.id, *columns)
            )
        }


def test_the_table_is_as_a_model_says_whatever_two_workers_do(tmp_path: Path) -> None:
    """No job is lost or has two holders, each claim counts one attempt, the order is kept, and a worker that
    has lost its lease writes nothing.
    """
    queue = Queue(f"sqlite:///{tmp_path / 'test.db'}")
    queue.create_tables()
    try:
        run_state_machine_as_test(lambda: TwoWorkers(queue), settings=FEW)
    finally:
        queue.close()
