"""The torture of the queue: what its evidence proves, and each kind of harm, done a few times."""

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from jobqueue import Queue
from loadtests.status import Status
from loadtests.torture.evidence import Fates, count
from loadtests.torture.jobs import Base, Effect, Leave, Write
from loadtests.torture.scene import Scene
from loadtests.torture.torture import TRIALS, Shown, status, table
from loadtests.torture.trials import Ground, server_for

WELL = Fates(tried=9, left=0, lost=0, doubled=0, overlapping=0, again=2, pause=0.5, struck=3)


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue]:
    """A queue with the table of the jobs' effects."""
    queue = Queue(f"sqlite:///{tmp_path}/queue.db")
    queue.create_tables()
    Base.metadata.create_all(queue.engine)
    yield queue
    queue.close()


def counted(queue: Queue, folder: Path, lines: Sequence[str], effects: Sequence[int] = ()) -> dict[str, Any]:
    """What is counted of the Leave jobs 0 and 1 and the Write job 2, as far as it is not nothing."""
    (folder / "evidence").write_text("".join(f"{line}\n" for line in lines))
    with Session(queue.writer) as session:
        session.add_all(Effect(number=number) for number in effects)
        session.commit()
    found = count(queue, folder / "evidence", (0, 1), (2,))
    return {name: value for name, value in found._asdict().items() if value}


DONE = ["0 a begin 1.0", "0 a end 1.5", "1 b begin 1.0", "1 b end 1.75", "2 c begin 1.0", "2 c end 1.75"]


def test_jobs_that_are_done_once_are_well(queue: Queue, tmp_path: Path) -> None:
    assert counted(queue, tmp_path, DONE, [2]) == {"tried": 3}


def test_a_job_without_an_end_is_lost_unless_it_waits(queue: Queue, tmp_path: Path) -> None:
    """One that writes is not done by coming to its end: its effect must be there."""
    lines = ["0 a begin 1.0", "2 c begin 1.0", "2 c end 1.5"]
    assert counted(queue, tmp_path, lines) == {"tried": 3, "lost": 3}
    queue.enqueue_many([Leave(1, 0), Write(2, 0)])
    assert counted(queue, tmp_path, lines) == {"tried": 3, "lost": 1, "left": 2}


def test_an_attempt_that_died_is_no_second_one_at_once(queue: Queue, tmp_path: Path) -> None:
    """Whose last line is older than the next one's first."""
    died = [*DONE, "0 d begin 0.5", "0 d step 0.9"]
    assert counted(queue, tmp_path, died, [2]) == {"tried": 3, "again": 1}


@pytest.mark.parametrize("between", [[], ["0 e begin 0.6"]])
def test_two_attempts_at_once_are_seen(queue: Queue, tmp_path: Path, between: list[str]) -> None:
    """Also if a third one began and died in between."""
    lines = [*DONE, "0 d begin 0.5", "0 d end 1.25", *between]
    found = counted(queue, tmp_path, lines, [2])
    assert found == {"tried": 3, "again": 1, "overlapping": 1}


def test_two_effects_in_the_database_are_seen(queue: Queue, tmp_path: Path) -> None:
    assert counted(queue, tmp_path, DONE, [2, 2]) == {"tried": 3, "doubled": 1}


@pytest.mark.parametrize(
    ("jobs_after", "slow"),
    [
        ([2.2 + n / 100 for n in range(200)], 1.2),  # at once, after a pause
        ([1.1 + n / 50 for n in range(100)] + [3.1 + n / 100 for n in range(200)], 1.9),  # half of it before
        ([1.1 + n / 50 for n in range(100)], 1.3),  # not before they run out
    ],
)
def test_the_rate_is_back_when_as_many_jobs_end_as_before(
    queue: Queue, tmp_path: Path, jobs_after: list[float], slow: float
) -> None:
    """From when a job kept the interpreter: here at 1.0, after two seconds with a hundred jobs each."""
    ends = [n / 100 - 1 for n in range(200)] + jobs_after
    lines = [f"{n} a{n} end {moment}" for n, moment in enumerate(ends)]
    found = counted(queue, tmp_path, [*lines, "-1 x hold 1.0"])
    assert found["slow"] == pytest.approx(slow, abs=0.02)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """A scene with two jobs and no worker."""
    with Scene(f"sqlite:///{tmp_path}/queue.db", tmp_path, jobs=2, seed=1) as scene:
        yield scene


@pytest.mark.parametrize(("struck", "pause"), [(0, 0.0), (1, 30.0)])
def test_a_pause_is_the_time_between_two_ends_after_a_harm(scene: Scene, struck: int, pause: float) -> None:
    begun = time.monotonic()
    scene.struck = struck
    scene.evidence.write_text(f"0 a end {begun}\n0 b end {begun + 30}\n1 c end {begun + 50}\n")
    assert scene.count().pause == pytest.approx(pause)


def test_a_job_is_due_unless_it_waits_to_be_tried_again_or_has_failed_for_good(scene: Scene) -> None:
    """One that a worker holds is due, too: the worker may be dead."""

    def change(id: int, **values: object) -> None:
        with scene.queue.writer.begin() as connection:
            jobs = scene.queue.tables.jobs
            connection.execute(sa.update(jobs).where(jobs.c.id == id).values(values))

    first, second = (job.id for job in scene.queue.jobs())
    now = datetime.now(UTC)
    change(first, run_at=now + timedelta(hours=1))
    assert scene.is_any_due()
    change(second, failed_at=now)
    assert not scene.is_any_due()
    change(first, locked_by="a worker", locked_at=now)
    assert scene.is_any_due()


@pytest.mark.parametrize(
    ("changes", "answer"),
    [
        ({}, "kept"),
        ({"struck": 0}, "undecided"),
        ({"tried": 0}, "undecided"),
        ({"left": 1}, "undecided"),
        ({"left": 1, "stalled": True}, "broken"),
        ({"lost": 1}, "broken"),
        ({"doubled": 1}, "broken"),
        ({"overlapping": 1}, "broken"),
    ],
)
def test_a_promise_is_kept_only_if_it_was_tried(changes: dict[str, int], answer: str) -> None:
    assert Shown("kill", "sqlite", WELL._replace(**changes)).answer == answer


def test_one_row_in_doubt_leaves_the_whole_in_doubt() -> None:
    well, broken = (Shown("kill", "sqlite", WELL._replace(lost=n)) for n in (0, 1))
    untried = Shown("disk", "sqlite", None, reason="needs Linux's unshare")
    assert status([]) == status([well, untried]) == Status.UNDECIDED
    assert (status([well]), status([well, broken, untried])) == (Status.KEPT, Status.BROKEN)


def test_the_table_is_80_columns_wide_and_says_what_was_not_tried() -> None:
    rows = [Shown(name, "postgresql", WELL._replace(tried=10_000, left=3)) for name in TRIALS]
    text = table([*rows, Shown("disk", "sqlite", None, reason="needs Linux's unshare")])
    assert max(map(len, text.splitlines())) <= 80
    assert "disk full for 3 s, SQLite           not tried: needs Linux's unshare" in text
    assert text.count("3 jobs were still waiting or had failed") == len(TRIALS)


@pytest.mark.live
@pytest.mark.parametrize(
    ("name", "database"),
    [(name, database) for name, trial in TRIALS.items() for database in trial.databases if name != "disk"],
)
def test_each_kind_of_harm_leaves_the_promises_kept(name: str, database: str, tmp_path: Path) -> None:
    with server_for(database) as (server, crash):
        ground = Ground(server, tmp_path, tmp_path, *TRIALS[name].quick, seed=1, crash=crash)
        found = Shown(name, database, TRIALS[name].run(ground))
    assert found.answer == "kept", found
