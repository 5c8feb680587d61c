"""enqueue() checks its arguments; bad values that others wrote into the table stop no worker."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from conftest import wait_until
from jobs_for_tests import Say, said
from sqlalchemy import text

from jobqueue import NotAJob, NotSerializable, Queue, Worker, job

pytest_plugins = ["queue_fixtures"]


def test_a_misspelt_if_queued_is_refused(queue: Queue) -> None:
    """It does not silently fall back to one of the valid values."""
    with pytest.raises(ValueError, match="if_queued"):
        queue.enqueue(Say("hi"), unique_key="a", if_queued="kep")  # type: ignore[arg-type]


def test_a_class_is_no_job(queue: Queue) -> None:
    """Only an instance of it is."""
    with pytest.raises(NotAJob, match="is a class: enqueue an instance of it"):
        queue.enqueue(Say)  # type: ignore[arg-type]


def test_dataclass_may_stand_above_job(queue: Queue) -> None:
    """The job's arguments are those of the finished class."""

    @dataclass
    @job(name="upside down")
    class UpsideDown:
        text: str

        def perform(self) -> None:
            said.append(self.text)

    queue.enqueue(UpsideDown("hi"))
    assert Worker(queue).work_off() == (1, 0)
    assert said == ["hi"]


def test_arguments_without_names_are_refused(queue: Queue) -> None:
    """They could not be stored, and would be missing when the job runs."""

    @job(name="nameless")
    class Nameless:
        def __init__(self, *words: str):
            self.words = words

        def perform(self) -> None:
            said.extend(self.words)

    with pytest.raises(NotSerializable, match=r"its __init__ takes \*words"):
        queue.enqueue(Nameless("hi"))


@pytest.mark.parametrize(
    "damage",
    [
        "priority = 'high'",
        "run_at = 5",
        "run_at = '2026'",
        "max_attempts = 'x'",
        "max_run_time = 'x'",
        "attempts = 1.5",
        "handler = x'00ff'",
    ],
)
def test_a_row_with_a_value_of_the_wrong_kind_fails_and_stops_no_worker(tmp_path: Path, damage: str) -> None:
    """SQLite stores any value in any column; PostgreSQL does not. The other jobs run."""
    from queue_fixtures import RunningWorker  # here: pytest rewrites it as a plugin first

    said.clear()
    queue = Queue(f"sqlite:///{tmp_path / 'test.db'}")
    queue.create_tables()
    now = datetime.now(UTC) - timedelta(minutes=1)
    bad = queue.enqueue(Say("bad"), now=now)
    queue.enqueue(Say("good"), now=now)
    with queue.writer.begin() as connection:
        connection.execute(text(f"UPDATE jobs SET {damage} WHERE id = {bad}"))
    running = RunningWorker(queue)
    try:
        wait_until(lambda: said == ["good"] and queue.jobs()[0].failed_at, "the good job's end")
        assert "wrong type for its column" in (queue.jobs()[0].last_error or "")
        assert repr(queue.jobs()[0])
    finally:
        running.stop()
        running.wait()
        queue.close()
