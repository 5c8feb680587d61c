"""Chapter 8's lab: a worker that is paused for longer than its lease, then resumes; and one that dies."""

import os
import signal

import notebooks_path  # noqa: F401
import pytest
from conftest import wait_until

# isort: split
from workbook.chapter08_jobs import Poison, SendMail
from workbook.chapter08_lab import Lab
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


@pytest.mark.live
def test_a_worker_that_dies_costs_no_other_job_an_attempt() -> None:
    """Or those behind would wait as after a failure when their own workers die, and the chapter with them."""
    with Lab(lease=0.5) as lab:
        lab.queue.enqueue_many(SendMail(lab.folder, f"reader {n}") for n in range(5))  # quick: batches grow
        lab.queue.enqueue(Poison(lab.folder, "poison"))
        lab.queue.enqueue(SendMail(lab.folder, "ada"))
        (worker,) = lab.hire(1)
        wait_until(lambda: not worker.is_running(), "the worker to die")
        assert [job.attempts for job in lab.queue.jobs()] == [1, 0]
