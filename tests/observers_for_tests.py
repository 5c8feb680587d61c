"""Observers of worker processes in the tests, which get `--import observers_for_tests`."""

import os

from jobqueue import Event, observe


@observe
def tell(event: Event) -> None:
    """Print each event of a job."""
    for job in event.jobs:
        print(f"pid:{os.getpid()} tells: job {job.id} {event.kind}", flush=True)
