"""The recordings of several processes, merged into one."""

import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from loadtests.errors import UsageError, WriteError
from loadtests.generator.recordings import ROWS_A_MESSAGE, Collector, merged, pack
from loadtests.records.recording import (
    Arrivals,
    Lag,
    Recording,
    Stage,
    Vital,
    read_recording,
    write_recording,
)
from loadtests.records.rows import Row


def row(user: int, intended: float, done: float | None = None) -> Row:
    """A request that was sent when it was due."""
    return Row(user, "browse", "GET /", intended, intended, done, 200 if done else 0, "")


def recording(started_at: float, rows: list[Row], users: int = 3) -> Recording:
    """A process's recording that starts at this time and lasts ten seconds."""
    return Recording(
        started_at=started_at,
        stopped_s=10.0,
        ended_s=12.0,
        rows=tuple(rows),
        lag=(Lag(1.0, 0.5), Lag(2.0, 4.0)),
        vitals=((Vital(0.0, 1.0, 10.0, 100.0, 0), Vital(10.0, 3.0, 50.0, 120.0, users)),),
        arrivals=Arrivals(planned=4, sent=2, dropped=1, never_sent=1),
        visits=("content",),
        left_out=1,
        faults=("out of file descriptors",),
    )


def test_rows_of_another_clock_are_moved_to_the_common_one() -> None:
    """A process that began 0.25 s later has all its rows moved by 0.25 s."""
    whole = merged([recording(100.25, [row(1, 1.0, 2.0)]), recording(100.0, [row(2, 1.1)])], 100.0)
    assert [(each.user, each.intended_s, each.done_s) for each in whole.rows] == [
        (2, 1.1, None),
        (1, 1.25, 2.25),
    ]
    assert [each.sent_s for each in whole.rows] == [1.1, 1.25]
    assert (whole.stopped_s, whole.ended_s) == (10.25, 12.25)
    assert whole.lag == ((1.0, 0.5), (1.25, 0.5), (2.0, 4.0), (2.25, 4.0))


def test_counts_are_summed() -> None:
    """Users, arrivals, omissions; a fault of several processes is reported once."""
    whole = merged([recording(100.0, [], users=3), recording(100.0, [], users=4)], 100.0)
    assert whole.arrivals == Arrivals(8, 4, 2, 2)
    assert whole.users() == whole.users_at(10.0) == 7
    assert whole.users_at(9.0) == 0
    assert whole.left_out == 2 and whole.visits == ("content",)
    assert whole.faults == ("out of file descriptors",)


def test_a_process_that_was_ended_early_is_a_fault_and_its_users_are_gone() -> None:
    """The others have taken them over. Ending a moment earlier or later is no fault."""
    left = replace(recording(100.0, [], users=3), stopped_s=4.0)
    left = replace(left, vitals=((Vital(4.0, 1.0, 10.0, 100.0, 3),),), faults=())
    stayed = replace(recording(100.0, [], users=6), faults=())
    whole = merged([left, stayed], 100.0)
    assert whole.users_at(10.0) == 6
    assert whole.faults == ("a load generator was ended 6.0 s before the others",)
    assert merged([replace(left, stopped_s=9.5), stayed], 100.0).faults == ()


def test_cpu_is_that_of_the_busiest_process() -> None:
    """2 s of 10 s are 20 % of a core; two cores that were busy for 10 of 20 s are half of the machine."""
    whole = Recording(started_at=100.0, stopped_s=10.0, ended_s=10.0)
    idle = replace(whole, vitals=((Vital(0, 0, 0, 0, 1), Vital(10, 0.5, 5, 20, 1)),))
    busy = replace(whole, vitals=((Vital(0, 0, 0, 0, 1), Vital(10, 2, 10, 20, 1)),))
    assert merged([idle, busy], 100.0).cpu(0.0, 10.0) == (20.0, 50.0)
    assert merged([idle, busy], 100.0).cpu(0.0, 1.0) is None  # too short to tell


def test_nothing_at_all_is_an_empty_recording() -> None:
    """A master that has lost all its workers has one; it is not an error."""
    assert merged([], 100.0) == Recording(started_at=100.0, stopped_s=0.0, ended_s=0.0)


@pytest.mark.parametrize("count", [0, 3, 2 * ROWS_A_MESSAGE + 1])
def test_what_a_worker_sends_is_put_together_again(count: int) -> None:
    """In as many messages of plain values as needed; only the last one completes it."""
    sent = recording(100.0, [row(number, float(number), number + 0.5) for number in range(count)])
    collector = Collector()
    messages = [json.loads(json.dumps(message)) for message in pack(sent)]
    assert len(messages) == -(-count // ROWS_A_MESSAGE) + 1
    for message in messages:
        assert collector.recording is None
        collector.add(message)
    assert collector.recording == sent


# ---- its files


def test_a_recording_can_be_read_again(tmp_path: Path) -> None:
    """Rows as CSV, to the microsecond, and the rest as JSON beside them; folders are created."""
    rows = [row(1, 0.25, 0.5), row(2, 1.5)]
    known = replace(recording(1000.0, rows), stages=(Stage(2, 0.0, 4.0), Stage(5, 4.0, 10.0)), most_over=0.05)
    path = tmp_path / "rows" / "x.csv"
    write_recording(path, known)
    assert read_recording(path) == known
    about = json.loads(path.with_suffix(".json").read_text())
    assert (about["schema"], about["version"], about["stages"][1]) == ("500ms/recording", 1, [5, 4.0, 10.0])
    assert "rows" not in about


@pytest.mark.parametrize(
    ("beside", "said"),
    [
        (None, "copy both"),
        ("{", "is not a recording"),
        ("[]", "is not a recording"),
        ('{"ended_s": 3.0, "users": 5}', "measure again"),
        ('{"schema": "500ms/recording", "version": 99}', "measure again"),
        ('{"schema": "500ms/recording", "version": 1, "ended_s": 3}', "started_at"),
        ('{"schema": "500ms/recording", "version": 1, "started_at": "noon"}', "started_at"),
    ],
)
def test_what_is_no_recording_is_refused_in_a_sentence(beside: str | None, said: str, tmp_path: Path) -> None:
    """An older version's, too: it lacks what a verdict needs."""
    path = tmp_path / "x.csv"
    write_recording(path, recording(1000.0, [row(1, 0.25, 0.5)]))
    path.with_suffix(".json").unlink() if beside is None else path.with_suffix(".json").write_text(beside)
    with pytest.raises(UsageError, match=said):
        read_recording(path)


def test_a_disk_that_is_full_is_named(tmp_path: Path) -> None:
    """With the file that could not be written. (/dev/full exists only on Linux.)"""
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("there is no /dev/full here")
    (tmp_path / "x.csv").symlink_to(full)
    with pytest.raises(WriteError, match=r"x\.csv can't be written: No space left on device"):
        write_recording(tmp_path / "x.csv", recording(1000.0, [row(1, 0.25, 0.5)]))
