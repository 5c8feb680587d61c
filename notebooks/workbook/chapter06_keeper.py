"""Ends what chapter 6 has put into the background, and removes its folder, once the kernel is gone.

`jobqueue start` makes workers that outlive whoever started them. This process runs under a guard, which
sends it TERM when the kernel has ended, for whatever reason.
"""

import shutil
import signal
import sys
from pathlib import Path

from jobqueue.tools.statefile import StateFile
from workbook.readers import comes_true

# Both together are less than the guard's patience.
MAY_START = 2.0  # seconds until a `start` that the kernel has just begun makes itself known
MAY_STOP = 2.0


def end(folder: Path, starting: float = 0.0) -> None:
    """End this folder's workers, waiting `starting` seconds for some to start; then remove the folder."""
    supervisor = StateFile(folder / "jobqueue.state")
    if comes_true(lambda: supervisor.order("stop now") or not folder.exists(), starting):
        comes_true(lambda: supervisor.read() is None, MAY_STOP)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    signal.sigwait([signal.SIGTERM])
    end(Path(sys.argv[1]), MAY_START)
