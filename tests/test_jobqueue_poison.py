"""Poison: a job that kills its worker runs out of attempts, and costs its neighbours one at most."""

import re
import signal
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from jobs_for_tests import Append, KillItsWorker, lines_of
from worker_at_a_point import BATCHES, IN_A_CONTEXT, POINT, WHILE_LOADING, AppendAt

from jobqueue import Job, Queue, Worker, lease

pytestmark = pytest.mark.live

pytest_plugins = ["queue_fixtures"]

StartWorker = Callable[..., Any]


@pytest.fixture
def die_of_poison(
    queue: Queue, start_lone_worker: StartWorker, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], dict[int, Job]]:
    """A function that lets a worker process claim up to ten jobs at once and die, frees the jobs it held, as
    its supervisor would, and returns the jobs that are left.
    """
    monkeypatch.setenv(BATCHES, "10")

    def die() -> dict[int, Job]:
        worker = start_lone_worker("--import", "worker_at_a_point")
        assert worker.exit_status() == 128 + signal.SIGKILL
        (name,) = {job.locked_by for job in queue.jobs() if job.locked_by}
        assert re.search(rf"pid:{worker.pid()} ", name)
        with queue.writer.begin() as connection:
            lease.free(connection, queue.tables, name, "was killed.", datetime.now(UTC))
        return {job.id: job for job in sorted(queue.jobs(), key=lambda job: job.id)}

    return die


def test_a_poison_job_runs_exactly_as_often_as_it_may(
    queue: Queue, die_of_poison: Callable[[], dict[int, Job]], tmp_path: Path
) -> None:
    """It was claimed in a batch, and its death cost the others one attempt; they share no slot any more, so
    its second death costs them nothing, though they may have only two. The next worker gives the poison job
    up without running it, and calls its failure().
    """
    done, poison = tmp_path / "done.txt", tmp_path / "poison.txt"
    queue.enqueue(Append(str(done), "before"), max_attempts=2)
    killer = queue.enqueue(KillItsWorker(str(poison)), max_attempts=2)
    behind = [queue.enqueue(Append(str(done), f"behind {n}"), max_attempts=2) for n in (1, 2)]
    jobs = die_of_poison()
    assert len(jobs) == 4  # one batch, and none of its jobs was finished
    assert {(job.attempts, job.failed_at) for job in jobs.values()} == {(1, None)}
    assert all(re.fullmatch("The worker host:.* was killed.", job.last_error or "") for job in jobs.values())
    jobs = die_of_poison()
    assert {id: job.attempts for id, job in jobs.items()} == {killer: 2, **dict.fromkeys(behind, 1)}
    assert Worker(queue).work_off() == (2, 0)
    (job,) = queue.jobs()
    assert (job.id, job.attempts, bool(job.failed_at)) == (killer, 2, True)
    assert re.fullmatch("The worker host:.* was killed.", job.last_error or "")
    assert lines_of(poison) == ["begun"] * 2 + ["failure"]
    assert Counter(lines_of(done)) == {"before": 2, "behind 1": 1, "behind 2": 1}


def test_a_poison_job_with_one_attempt_runs_once(
    queue: Queue, die_of_poison: Callable[[], dict[int, Job]], tmp_path: Path
) -> None:
    """Such a job shares no slot: jobs claimed before it are performed and finished first."""
    done, poison = tmp_path / "done.txt", tmp_path / "poison.txt"
    queue.enqueue(Append(str(done), "before"))
    killer = queue.enqueue(KillItsWorker(str(poison)), max_attempts=1)
    queue.enqueue(Append(str(done), "behind"))
    jobs = die_of_poison()
    assert [(job.id, job.attempts, job.failed_at) for job in jobs.values()] == [
        (killer, 1, None),
        (killer + 1, 0, None),
    ]
    assert Worker(queue).work_off() == (1, 0)
    assert queue.jobs()[0].failed_at and queue.jobs()[0].attempts == 1
    assert lines_of(poison) == ["begun", "failure"]
    assert lines_of(done) == ["before", "behind"]


def test_poison_in_the_failure_hook_kills_one_worker_at_most(
    queue: Queue,
    die_of_poison: Callable[[], dict[int, Job]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The hook is not called again for a job that has already been given up once."""
    poison = tmp_path / "poison.txt"
    monkeypatch.setenv("TEST_KILLS_IN_FAILURE", "yes")
    killer = queue.enqueue(KillItsWorker(str(poison)), max_attempts=1)
    die_of_poison()
    assert die_of_poison()[killer].failed_at is None
    assert lines_of(poison) == ["begun", "failure"]
    monkeypatch.delenv("TEST_KILLS_IN_FAILURE")
    assert Worker(queue).work_off() == (0, 0)
    job = queue.jobs()[0]
    assert job.failed_at and job.attempts == 1
    assert lines_of(poison) == ["begun", "failure"]


@pytest.mark.parametrize("point", [WHILE_LOADING, IN_A_CONTEXT])
def test_poison_before_the_job_begins_runs_out_of_attempts_too(
    queue: Queue,
    start_worker: StartWorker,
    die_of_poison: Callable[[], dict[int, Job]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    point: str,
) -> None:
    """It kills one more worker, which would call its failure(). Then it is given up without being loaded."""
    id = queue.enqueue(AppendAt(str(tmp_path / "done.txt"), "never"), max_attempts=1)
    monkeypatch.setenv(POINT, point)
    for _ in range(2):
        assert die_of_poison()[id].failed_at is None
    worker = start_worker("--import", "worker_at_a_point", "--exit-when-empty")
    assert worker.exit_status() == 0
    (job,) = queue.jobs()
    assert (job.id, job.attempts, bool(job.failed_at)) == (id, 1, True)
    assert re.fullmatch("The worker host:.* was killed.", job.last_error or "")
