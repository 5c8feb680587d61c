"""An SQLite file that is replaced while it is open, as in a restore: the new one is used from then on."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from conftest import wait_until
from jobs_for_tests import Say, said
from sqlalchemy.exc import OperationalError

from jobqueue import Queue

pytest_plugins = ["queue_fixtures"]
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def file(tmp_path: Path, queue: Queue) -> Path:
    return tmp_path / "test.db"


@pytest.fixture
def backup(tmp_path: Path, file: Path, queue: Queue) -> Iterator[Path]:
    """A copy of the file, with one job that is scheduled. What the file has got since is in its WAL."""
    queue.enqueue(Say("of the backup"), priority=5)
    path = tmp_path / "backup.db"
    with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(path)) as target:
        source.backup(target)
    queue.enqueue_many(Say(f"lost {n}") for n in range(500))
    return path


def words(queue: Queue) -> list[str]:
    return [job.handler for job in queue.jobs(1000)]


def test_what_is_enqueued_after_a_restore_is_in_the_new_file(
    queue: Queue, file: Path, backup: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Once it went to the deleted one. One line says so; nothing of the old WAL is in the new file."""
    backup.replace(file)
    queue.enqueue(Say("new"))
    assert [text.count("of the backup") + 2 * text.count("new") for text in words(queue)] == [2, 1]
    assert caplog.messages == [f"the file {file} was replaced: opening the new one"]
    with closing(sqlite3.connect(file)) as other:
        assert other.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert other.execute("SELECT count(*) FROM jobs").fetchone() == (2,)


def test_a_worker_goes_on_with_the_new_file(
    queue: Queue, open_queue: Callable[..., Queue], file: Path, backup: Path, run_worker: Callable[..., Any]
) -> None:
    """It hears of new jobs there, without polling, and does what the backup had left to do."""
    running = run_worker(open_queue(), poll_interval=3600.0)
    wait_until(lambda: not queue.jobs(), "the jobs of the old file")
    said.clear()
    backup.replace(file)
    wait_until(lambda: said == ["of the backup"], "the job of the backup")
    queue.enqueue(Say("new"))
    wait_until(lambda: said == ["of the backup", "new"] and not queue.jobs(), "the new job")
    running.stop()
    running.wait()


def test_a_connection_that_is_opened_after_a_restore_sees_the_new_file_alone(
    queue: Queue, open_queue: Callable[..., Queue], file: Path, backup: Path
) -> None:
    """Also if all that the queue had open was closed before, while others kept the old WAL alive."""
    other = open_queue()
    other.enqueue(Say("lost"))
    queue.close()
    queue.enqueue(Say("lost"))
    other.close()
    queue.close()
    other.enqueue(Say("lost"))
    with queue.engine.connect() as reader, reader.begin():
        other.enqueue(Say("lost, and in the WAL"))
        backup.replace(file)
    queue.engine.dispose()
    assert [text.count("of the backup") for text in words(queue)] == [1]


def test_what_would_go_to_a_file_that_is_gone_is_refused(queue: Queue, file: Path, backup: Path) -> None:
    """Nobody would find it there. No empty file takes its place."""
    file.unlink()
    for _ in range(2):
        with pytest.raises(OperationalError, match=f"the file {file} is gone"):
            queue.enqueue(Say("new"))
    assert not file.exists()
    backup.replace(file)
    queue.enqueue(Say("new"))
    assert len(words(queue)) == 2


def test_a_wal_that_has_grown_is_cut(queue: Queue, file: Path) -> None:
    """A reader that stays lets it grow."""
    wal = file.with_name("test.db-wal")
    with queue.engine.connect() as reader:
        reader.exec_driver_sql("SELECT * FROM jobs").all()
        queue.enqueue_many([Say("x" * 30_000_000)])
    grown = wal.stat().st_size
    for _ in range(5):
        queue.enqueue(Say("more"))
    assert wal.stat().st_size <= 2**24 < grown
