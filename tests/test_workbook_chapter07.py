"""Chapter 7: what its simulation and tables say about jobs with known durations."""

import time
from types import SimpleNamespace

import notebooks_path  # noqa: F401
import pytest

# isort: split
from workbook import chapter07, chapter07_tables
from workbook.chapter07_checks import keeps_them_apart

JOBS = [
    {"queue": "default", "due": due, "seconds": 2.0, "began": due + 3, "ended": due + 5}
    for due in (0.0, 1.0, 1.5)
]


def test_a_simulated_queue_takes_no_time() -> None:
    """In order of arrival, each job starts on the thread that is free first."""
    assert [each["began"] for each in chapter07.simulated(JOBS, 1)] == [0, 2, 4]
    assert [each["began"] for each in chapter07.simulated(JOBS, 2)] == [0, 1, 2]
    assert [each["ended"] for each in chapter07.simulated(JOBS, 3)] == [2, 3, 3.5]


def test_no_job_begins_before_it_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wall clock, by which it is due, may run faster than the monotonic one: here twice as fast."""
    clocks = SimpleNamespace(time=time.time, sleep=time.sleep, monotonic=lambda: time.monotonic() / 2)
    monkeypatch.setattr(chapter07, "time", clocks)
    (done,) = chapter07.work([chapter07.Planned(due=0.1, seconds=0.01)], [(1, [])])
    assert done["due"] <= done["began"] <= done["ended"]


def test_formula_simulation_and_measurement_stand_side_by_side(capsys: pytest.CaptureFixture[str]) -> None:
    """Only where the threads keep up."""
    chapter07_tables.show_pick_ups({"1": JOBS, "2": JOBS}, rate=1, demand=1)
    assert capsys.readouterr().out.splitlines() == [
        "2 threads: none free by the formula 33 %, simulated 33 %, measured 33 %",
        "2 threads: pick-up by the formula 333 ms, simulated 167 ms, measured 3.0 s",
    ]


def test_a_job_finds_no_free_thread_if_as_many_others_wait_or_run() -> None:
    """Of three overlapping jobs all but the first for one thread, the last for two, none for three."""
    assert [chapter07.none_free(JOBS, threads) for threads in (1, 2, 3)] == [2, 1, 0]


def test_waits_are_compared_once_there_is_a_right_answer(capsys: pytest.CaptureFixture[str]) -> None:
    """A starter has none yet to exercise 7.3; and what its check refuses is not shown as if it were one."""
    shared = [each | {"queue": queue} for each in JOBS for queue in ("urgent", "ordinary")]
    for own in (..., [1], shared):
        chapter07_tables.show_waits(shared, own, keeps_them_apart(shared), by=3)
    assert capsys.readouterr().out == ""
    chapter07_tables.show_waits(shared, chapter07.simulated(shared, 6), lambda own: True, by=3)
    head, *rows = (line.split() for line in capsys.readouterr().out.splitlines())
    assert head == ["workers", "picked", "up", "after", "begun", "within", "3", "s"]
    assert [row[:2] for row in rows] == [
        [kind, whose] for kind in ("urgent", "ordinary") for whose in ("shared", "own")
    ]
    assert [row[2:4] for row in rows[:2]] == [["3.0", "s"], ["0.0", "ms"]]
