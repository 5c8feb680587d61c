"""Chapter 8's experiments: workers are killed in the middle of their jobs, and what came of it is counted."""

import os
import re
import signal
import time
from collections.abc import Sequence
from typing import Any

from workbook.chapter08_jobs import Pay, Poison, SendMail, noted
from workbook.chapter08_lab import Lab


def killed_at(leases: Sequence[float]) -> list[dict[str, float]]:
    """For each lease, kill a job's worker; returns seconds until the other worker begins the job again."""
    found = []
    for lease in leases:
        with Lab(lease, workers=2) as lab:
            again = _again_after_a_kill(lab)
        print(f"lease {lease:3g} s: it ran again after {again:.2f} s, {again / lease:.2f} leases")
        found.append({"lease": lease, "again": again})
    return found


def _again_after_a_kill(lab: Lab) -> float:
    lab.queue.enqueue(SendMail(lab.folder, "bob", first="takes long"))
    lab.wait(lambda: lab.happened("bob", "mail"), "a worker to begin")
    os.kill(lab.at_work(watch=0.37 * lab.lease), signal.SIGKILL)
    killed = time.time()
    lab.wait(lambda: len(lab.happened("bob", "begun")) > 1, "the job to come back")
    return float(lab.happened("bob", "begun")[1]["at"] - killed)


def die_at_points(lease: float) -> list[dict[str, Any]]:
    """Let workers die before or after sending or paying; returns how often each began and took effect."""
    found = []
    with Lab(lease) as lab:
        for first in ("dies before", "dies after"):
            lab.queue.enqueue(SendMail(lab.folder, f"mail {first}", first))
            lab.queue.enqueue(Pay(lab.folder, f"payment {first}", first))
        _work_through(lab)
        for first in ("dies before", "dies after"):
            for kind in ("mail", "payment"):
                name = f"{kind} {first}"
                effects = len(lab.happened(name, "mail")) if kind == "mail" else lab.payments(name)
                begun = len(lab.happened(name, "begun"))
                found.append({"kind": kind, "first": first, "begun": begun, "effects": effects})
    return found


def poison(lease: float, max_attempts: int, others: int) -> dict[str, Any]:
    """Run a job that kills each worker that begins it, ahead of some mails; dead workers are replaced."""
    with Lab(lease) as lab:
        lab.queue.enqueue(Poison(lab.folder, "poison"), max_attempts=max_attempts)
        lab.queue.enqueue_many(SendMail(lab.folder, f"reader {n}") for n in range(others))
        died = _work_through(lab)
        (row,) = lab.queue.jobs()
        return {
            "workers that died": died,
            "attempts": row.attempts,
            "failed for good": row.failed_at is not None,
            "last_error": re.sub(r"host:\S+ pid:\d+ \w+", "(host and process id)", row.last_error or ""),
            "mails": sum(each["what"] == "mail" for each in noted(lab.folder)),
        }


def _work_through(lab: Lab) -> int:
    """Run one worker, replaced whenever it dies, until no job waits or runs; returns how many died."""
    died = 0
    while lab.unfinished():
        (worker,) = lab.hire(1)
        is_running = worker.is_running
        lab.wait(lambda: not (is_running() and lab.unfinished()), "the jobs to be done")  # noqa: B023
        died += not worker.is_running()
    return died
