"""kill -9 at every point: what a real worker process leaves behind, and how the next one recovers it."""

import signal
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from jobs_for_tests import Line, lines_of, only_job
from sqlalchemy import select
from sqlalchemy.orm import Session
from worker_at_a_point import (
    AFTER,
    AFTER_THE_CLAIM,
    AFTER_THE_EFFECT,
    AFTER_THE_FINISH,
    BATCHES,
    BEFORE_THE_CLAIM_COMMITS,
    BEFORE_THE_EFFECT,
    BEFORE_THE_FINISH_COMMITS,
    POINT,
    POINTS,
    AppendAt,
    WriteLineAt,
)

from jobqueue import Queue, Worker

pytestmark = pytest.mark.live

pytest_plugins = ["queue_fixtures"]

StartWorker = Callable[..., Any]

# How often a plain job takes effect in the end. A job whose finish was not committed runs again.
EFFECTS = {
    BEFORE_THE_CLAIM_COMMITS: 1,
    AFTER_THE_CLAIM: 1,
    BEFORE_THE_EFFECT: 1,
    AFTER_THE_EFFECT: 2,
    BEFORE_THE_FINISH_COMMITS: 2,
    AFTER_THE_FINISH: 1,
}


def die(start_lone_worker: StartWorker, monkeypatch: pytest.MonkeyPatch, point: str, **settings: str) -> None:
    """Start a worker process, and wait until it has been killed at this point."""
    for name, value in {POINT: point, **settings}.items():
        monkeypatch.setenv(name, value)
    assert start_lone_worker("--import", "worker_at_a_point").exit_status() == 128 + signal.SIGKILL


def recover(queue: Queue) -> tuple[int, int]:
    """Let another worker, an hour later, free and perform what is left; returns its counts."""
    return Worker(queue).work_off(now=datetime.now(UTC) + timedelta(hours=1))


def lines(queue: Queue) -> list[str]:
    with Session(queue.engine) as session:
        return list(session.scalars(select(Line.text).order_by(Line.id)))


def state(queue: Queue, point: str) -> None:
    """Check what the killed worker has left behind: a waiting job, a job that it holds, or none."""
    if point == AFTER_THE_FINISH:
        assert queue.jobs() == []
    else:
        held = point != BEFORE_THE_CLAIM_COMMITS
        assert (only_job(queue).attempts, bool(only_job(queue).locked_by)) == (int(held), held)


@pytest.mark.parametrize("point", POINTS)
def test_a_job_of_a_killed_worker_is_done_at_least_once(
    queue: Queue, start_lone_worker: StartWorker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, point: str
) -> None:
    """No job is lost; only a job that had taken effect and was not yet finished is done twice."""
    effects = tmp_path / "effects.txt"
    queue.enqueue(AppendAt(str(effects), "done"))
    die(start_lone_worker, monkeypatch, point)
    state(queue, point)
    assert recover(queue) == (int(point != AFTER_THE_FINISH), 0)
    assert lines_of(effects) == ["done"] * EFFECTS[point]
    assert queue.jobs() == []


@pytest.mark.parametrize("point", POINTS)
def test_what_a_job_of_a_killed_worker_writes_is_there_exactly_once(
    queue: Queue, start_lone_worker: StartWorker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, point: str
) -> None:
    """This holds for perform(self, session), even if the job has run twice."""
    attempts = tmp_path / "attempts.txt"
    queue.enqueue(WriteLineAt(str(attempts), "done"))
    die(start_lone_worker, monkeypatch, point)
    state(queue, point)
    assert lines(queue) == ["done"] * (point == AFTER_THE_FINISH)
    assert recover(queue) == (int(point != AFTER_THE_FINISH), 0)
    assert lines(queue) == ["done"]
    begun_and_killed = point in (BEFORE_THE_EFFECT, AFTER_THE_EFFECT, BEFORE_THE_FINISH_COMMITS)
    assert len(lines_of(attempts)) == 1 + begun_and_killed
    assert queue.jobs() == []


def test_a_kill_runs_no_more_again_than_one_batch(
    queue: Queue, start_lone_worker: StartWorker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Batches of five, killed after the eighth job's effect: the first batch was finished, and three jobs of
    the second had been done.
    """
    effects = tmp_path / "effects.txt"
    for n in range(1, 13):
        queue.enqueue(AppendAt(str(effects), f"job {n}"))
    die(start_lone_worker, monkeypatch, AFTER_THE_EFFECT, **{BATCHES: "5", AFTER: "7"})
    left = {job.id: job for job in queue.jobs()}
    assert list(left) == list(range(6, 13))
    assert [id for id, job in left.items() if job.locked_by] == [6, 7, 8, 9, 10]
    assert [job.attempts for job in left.values()] == [1] * 5 + [0] * 2
    assert recover(queue) == (7, 0)
    counts = Counter(lines_of(effects))
    assert {f"job {n}": 2 if n in (6, 7, 8) else 1 for n in range(1, 13)} == counts


def test_a_killed_batch_writes_exactly_once(
    queue: Queue, start_lone_worker: StartWorker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In a batch, too, each job with a session is finished in the transaction of its own effect."""
    attempts = tmp_path / "attempts.txt"
    for n in range(1, 7):
        queue.enqueue(WriteLineAt(str(attempts), f"job {n}"))
    die(start_lone_worker, monkeypatch, AFTER_THE_EFFECT, **{BATCHES: "6", AFTER: "3"})
    assert lines(queue) == ["job 1", "job 2", "job 3"]
    assert recover(queue) == (3, 0)
    assert lines(queue) == [f"job {n}" for n in range(1, 7)]
    assert len(lines_of(attempts)) == 7
