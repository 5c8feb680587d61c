"""Chapter 6: what the weekend leaves in the queue, and how fast it is worked off."""

from contextlib import closing
from pathlib import Path

import notebooks_path  # noqa: F401
import pytest

# isort: split
from workbook import chapter06, chapter06_weekend
from workbook.chapter06 import WRONG_DEADLINE, Monday, rate
from workbook.chapter06_pictures import pending_figure
from workbook.session import WorkbookError

from jobqueue import Queue
from jobqueue.tools import looking

START = "start --threads 12 --import queued_app.jobs"
STARTED = {
    "before": 8,
    "steps": [
        {"command": "start", "given": 0.0, "ended": 1.0},
        {"command": "scale 2", "given": 4.0, "ended": 5.0},
    ],
    "came": [2.0, 3.0, 4.5, 6.0, 6.0, 7.0, 7.0],
    "seconds": 7.0,
    "left": 1,
}
MENDED = {
    "before": 1,
    "steps": [{"command": "retry --failed", "given": 0.0, "ended": 0.5}],
    "came": [1.5],
    "seconds": 1.5,
    "left": 0,
}


def test_the_weekend_leaves_the_queue_that_the_chapter_describes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """48 jobs wait for a worker, 14 for the end of a pause, 8 for their next attempt, 30 for nothing."""
    monkeypatch.setenv("FEEDREADER_DEADLINE", WRONG_DEADLINE)
    database = f"sqlite:///{tmp_path / 'reader.db'}"
    chapter06_weekend.main(database, "http://127.0.0.1:1")
    with closing(Queue(database)) as queue:
        found = {each.name: each for each in looking.stats(queue).queues}
        assert {name: (each.waiting, each.due, each.failed) for name, each in found.items()} == {
            "default": (56, 48, 0),
            "partners": (14, 14, 0),
            "refresh": (0, 0, 30),
        }
        assert [name for name, each in found.items() if each.paused] == ["partners"]
        tried = [queue.get(id) for id in range(1, 9)]
        assert {each.attempts for each in tried} == {15}
        assert all("FEEDREADER_DEADLINE is '10s'" in str(each.last_error) for each in tried)


def test_a_terminal_without_a_reader_says_what_to_run() -> None:
    """As when the chapter shows recordings."""
    with pytest.raises(WorkbookError, match=r"run the cell with monday\.begin"):
        Monday().terminal(["list"])


def test_a_worker_that_would_not_end_is_refused_at_once() -> None:
    """In the foreground it would keep the cell for ever."""
    with pytest.raises(WorkbookError, match="Add --once"):
        Monday().terminal("work --import queued_app.jobs")


@pytest.mark.live
def test_a_session_of_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A text is a command; one that does not end is stopped; a cell that is run again says that it was."""
    monday = Monday()
    try:
        monday.begin()
        with pytest.raises(WorkbookError, match="No job is due any more"):
            monday.act({START: 49})
        capsys.readouterr()
        monday.terminal("list --queue partners --limit 1")
        assert capsys.readouterr().out.count("$ jobqueue") == 1
        monkeypatch.setattr(chapter06, "PATIENCE_SECONDS", 2.0)
        with pytest.raises(WorkbookError, match="did not end within 2 s"):
            monday.console("import time; time.sleep(60)")
    finally:
        monday.close()


def test_the_first_wave_is_not_counted() -> None:
    """One thread brings a feed a second; two threads bring two at a time, so two a second."""
    assert rate(STARTED, step=0, threads=1) == 1
    assert rate(STARTED, step=1, threads=2) == 2


def test_the_picture_tells_of_each_command() -> None:
    """In its alternative text, too."""
    figure = pending_figure([STARTED, MENDED], {"1 worker": 1.0, "2 workers": 2.0})
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts == [
        "start",
        "scale 2",
        "retry --failed",
        "1 worker:\n1.0 a second",
        "2 workers:\n2.0 a second",
    ]
    assert figure.get_label() == (
        "The number of feeds being fetched falls from 8 to 1, by 1.0 a second with 1 worker and 2.0 a second"
        " with 2 workers; then to 0 in 1.5 seconds, after retry --failed."
    )
