"""The file by which a supervisor is found: its lock counts, not what was left in it."""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url

from jobqueue import JobQueueError
from jobqueue.tools import supervising
from jobqueue.tools.statefile import AlreadySupervised, StateFile, SupervisorState, without_password

pytest_plugins = ["queue_fixtures", "supervisor_fixtures"]

Command = Callable[..., tuple[int, str]]


def a_state(**changes: Any) -> SupervisorState:
    """A state that a supervisor could write."""
    return SupervisorState(
        **{
            "supervisor": os.getpid(),
            "started_at": "2026-11-24T12:00:00+00:00",
            "wanted": 1,
            "stop_timeout": 10.0,
            "database": None,
            "table": "jobs",
            "schema": None,
            "workers": (),
            **changes,
        }
    )


def test_a_second_supervisor_with_the_same_file_is_refused(tmp_path: Path) -> None:
    """The first supervisor's file is left unchanged."""
    path = tmp_path / "jobqueue.state"
    first = StateFile(path)
    first.hold()
    first.write(a_state())
    with pytest.raises(AlreadySupervised, match="a supervisor is already running"):
        StateFile(path).hold()
    assert StateFile(path).read() == a_state()
    first.release()
    assert StateFile(path).read() is None and list(tmp_path.iterdir()) == []


def test_a_file_left_behind_deceives_nobody(tmp_path: Path, order: Command) -> None:
    """Its process id is now that of another program, this test; but no process holds the lock."""
    path = tmp_path / "jobqueue.state"
    dead = StateFile(path)
    dead.hold()
    dead.write(a_state(wanted=3))
    dead.close()
    assert path.exists()
    assert order("status")[0] == order("stop")[0] == order("scale", "2")[0] == 1
    successor = StateFile(path)
    successor.hold()
    successor.write(a_state(wanted=1))
    state = StateFile(path).read()
    assert state and state.wanted == 1
    successor.release()


def test_a_file_of_another_kind_is_not_overwritten(tmp_path: Path) -> None:
    """A mistyped --state destroys nothing."""
    path = tmp_path / "notes.txt"
    path.write_text("dear diary")
    with pytest.raises(JobQueueError, match="is not a state file of jobqueue; name another with --state"):
        StateFile(path).hold()
    assert path.read_text() == "dear diary"


def test_the_state_file_holds_no_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It names an SQLite file by its full path, so that it is found from other folders."""
    monkeypatch.chdir(tmp_path)
    assert without_password(make_url("postgresql://ada:secret@h/jobs")) is None
    assert without_password(make_url("postgresql://ada@h/jobs")) == "postgresql://ada@h/jobs"
    assert without_password(make_url("sqlite:///jobs.db")) == f"sqlite:///{tmp_path / 'jobs.db'}"


def test_what_can_not_be_read_or_written_is_explained(tmp_path: Path) -> None:
    """The error is a JobQueueError with a sentence, which commands show without a traceback."""
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    with pytest.raises(JobQueueError, match="loop can't be written: "):
        StateFile(loop).hold()
    with pytest.raises(JobQueueError, match="loop can't be read: "):
        StateFile(loop).read()
    path = tmp_path / "jobqueue.state"
    (tmp_path / "jobqueue.state.orders").mkdir()
    with pytest.raises(JobQueueError, match=r"orders can't be made: "):
        StateFile(path).hold()
    with pytest.raises(JobQueueError, match=r"the supervisor can't be reached \("):
        StateFile(path).order("stop")


def test_a_locked_file_that_says_nothing_known_is_explained(tmp_path: Path) -> None:
    """Another program may lock the file, or another version of jobqueue may be running."""
    path = tmp_path / "jobqueue.state"
    path.write_text('{"supervisor": 1, "since": "yesterday"}')
    with path.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(JobQueueError, match="is not a state file of this version of jobqueue"):
            StateFile(path).read()


def test_a_full_disk_is_no_reason_to_leave_the_workers_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The supervisor logs it and goes on. (A closed file stands for one that can't be written.)"""
    file = StateFile(tmp_path / "jobqueue.state")
    file.hold()
    file.close()
    file.write(a_state())
    assert "jobqueue.state can't be written: Bad file descriptor" in caplog.text


@pytest.mark.parametrize("another_is_made", [False, True])
def test_a_file_that_its_supervisor_has_just_deleted_is_not_taken_for_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, another_is_made: bool
) -> None:
    """The file is deleted between opening and locking it. That lock would be worthless: the next supervisor
    would lock another file of that name.
    """
    predecessor, successor = (StateFile(tmp_path / "jobqueue.state") for _ in range(2))
    predecessor.hold()
    flock = fcntl.flock

    def lock_too_late(file: int, how: int) -> None:
        monkeypatch.undo()
        predecessor.release()
        if another_is_made:
            predecessor.path.touch()
        flock(file, how)

    monkeypatch.setattr(fcntl, "flock", lock_too_late)
    successor.hold()
    successor.write(a_state())
    assert StateFile(successor.path).read() == a_state()
    successor.release()


def test_a_supervisor_that_does_not_obey_is_waited_for_only_so_long(
    tmp_path: Path, order: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """stop and scale then say what to do. (Here this test holds the file, and does nothing.)"""
    monkeypatch.setattr(supervising, "KILL_MARGIN", 0.02)
    monkeypatch.setattr(supervising, "START_SECONDS", 0.02)
    deaf = StateFile(tmp_path / "jobqueue.state")
    deaf.hold()
    deaf.write(a_state(stop_timeout=0.02))
    status, text = order("stop")
    assert status == 1 and f"has not stopped; see its log, or: kill -9 {os.getpid()}" in text
    status, text = order("scale", "2")
    assert status == 1 and "the number of workers is not 2: see jobqueue status, and the log" in text
    assert deaf.read_orders() == ["stop", "2"]
    deaf.release()


def test_status_goes_without_the_database(tmp_path: Path, order: Command) -> None:
    """It says that it can't read what the workers have done, and reports the rest."""
    running = StateFile(tmp_path / "jobqueue.state")
    running.hold()
    running.write(a_state(database=f"sqlite:///{tmp_path}/gone.db"))
    status, text = order("status")
    assert status == 1
    assert f"can't read what the workers have done: there is no file {tmp_path}/gone.db" in text
    assert not (tmp_path / "gone.db").exists()
    assert "with workers: 0 of 1" in text
    running.write(a_state(database="postgresql://127.0.0.1:1/jobs"))
    assert "can't read what the workers have done: connection failed" in order("status")[1]
    running.release()


def test_a_folder_is_no_state_file(order: Command) -> None:
    """Nor is nothing."""
    for name in ("", "/"):
        status, text = order("status", "--state", name)
        assert status == 2 and "is no file: name another state file with --state" in text
