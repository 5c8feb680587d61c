"""Poison: a job that kills its worker runs out of attempts, and spends no other job's attempts."""

import re
import signal
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from jobs_for_tests import Append, KillItsWorker, lines_of
from worker_at_a_point import BATCHES

from jobqueue import Job, Queue, Worker, settling

pytestmark = pytest.mark.live

pytest_plugins = ["queue_fixtures"]

StartWorker = Callable[..., Any]


@pytest.fixture
def die_of_poison(
    queue: Queue, start_worker: StartWorker, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], dict[int, Job]]:
    """A function that lets a worker process claim up to ten jobs at once and die, frees the jobs it held, as
    its supervisor would, and returns the jobs that are left.
    """
    monkeypatch.setenv(BATCHES, "10")

    def die() -> dict[int, Job]:
        worker = start_worker("--import", "worker_at_a_point")
        assert worker.exit_status() == 128 + signal.SIGKILL
        (name,) = {job.locked_by for job in queue.jobs() if job.locked_by}
        assert re.search(rf"pid:{worker.pid()} ", name)
        with queue.writer.begin() as connection:
            settling.free(connection, queue.tables, name, "was killed.", datetime.now(UTC))
        return {job.id: job for job in sorted(queue.jobs(), key=lambda job: job.id)}

    return die


def test_a_poison_job_spends_only_its_own_attempts(
    queue: Queue, die_of_poison: Callable[[], dict[int, Job]], tmp_path: Path
) -> None:
    """It was claimed in a batch. The other jobs of the batch note the death in last_error, are claimed alone
    from then on, and succeed; the poison job runs exactly once more than it has attempts.
    """
    done, poison = tmp_path / "done.txt", tmp_path / "poison.txt"
    queue.enqueue(Append(str(done), "before"))
    killer = queue.enqueue(KillItsWorker(str(poison)), max_attempts=2)
    behind = [queue.enqueue(Append(str(done), f"behind {n}")) for n in (1, 2)]
    jobs = die_of_poison()
    assert len(jobs) == 4  # one batch, and none of its jobs was finished
    assert {(job.attempts, job.failed_at) for job in jobs.values()} == {(0, None)}
    assert all(re.fullmatch("The worker host:.* was killed.", job.last_error or "") for job in jobs.values())
    jobs = die_of_poison()
    assert {id: job.attempts for id, job in jobs.items()} == {killer: 1, **dict.fromkeys(behind, 0)}
    jobs = die_of_poison()
    assert {id: job.attempts for id, job in jobs.items()} == {killer: 2, **dict.fromkeys(behind, 0)}
    assert jobs[killer].failed_at
    assert Worker(queue).work_off() == (2, 0)
    assert lines_of(poison) == ["begun"] * 3
    assert Counter(lines_of(done)) == {"before": 2, "behind 1": 1, "behind 2": 1}


def test_a_poison_job_with_one_attempt_runs_once(
    queue: Queue, die_of_poison: Callable[[], dict[int, Job]], tmp_path: Path
) -> None:
    """Such a job never runs in a batch: jobs claimed with it are performed and finished first."""
    done, poison = tmp_path / "done.txt", tmp_path / "poison.txt"
    queue.enqueue(Append(str(done), "before"))
    killer = queue.enqueue(KillItsWorker(str(poison)), max_attempts=1)
    queue.enqueue(Append(str(done), "behind"))
    jobs = die_of_poison()
    assert list(jobs) == [killer]
    assert jobs[killer].failed_at and jobs[killer].attempts == 1
    assert lines_of(poison) == ["begun"]
    assert lines_of(done) == ["before", "behind"]
