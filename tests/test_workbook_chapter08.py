"""Chapter 8's lab: a worker that is paused for longer than its lease, then resumes."""

import os
import signal

import notebooks_path  # noqa: F401
import pytest

# isort: split
from workbook.chapter08 import Lab
from workbook.session import WorkbookError


@pytest.mark.parametrize("look", [Lab.at_work, lambda lab: lab.afterwards(signal.SIGKILL)])
def test_a_lab_without_workers_says_what_to_run(look: object) -> None:
    """If used before it was opened."""
    with pytest.raises(WorkbookError, match="run the cell that starts two workers"):
        look(Lab())  # type: ignore[operator]


@pytest.mark.live
def test_a_stopped_worker_loses_its_job_and_is_told_so_when_it_goes_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Another worker finishes the job meanwhile, and the mail is sent twice."""
    lab = Lab()
    try:
        lab.set_to_work(lease=0.5, workers=2)
        os.kill(lab.at_work(watch=0.1), signal.SIGSTOP)
        story = lab.afterwards(signal.SIGSTOP)
    finally:
        lab.close()
    assert "worker A, which goes on after SIGCONT, says: job 1 was not settled" in capsys.readouterr().out
    assert story["signal"] == "SIGSTOP"
    assert [each["worker"] for each in story["attempts"]] == ["A", "B"]
    assert len(story["mails"]) == 2
