"""The protocol between the queue's benchmark and its workers, and the gate at which the workers wait.

If QUEUE_BENCH_GATE names a file, importing this module, as jobs.py does, waits for that file: workers started
one after another begin together, and the cost of their start is not measured.
"""

import os
import time
from pathlib import Path

GATE = "QUEUE_BENCH_GATE"
READY = "queue bench: ready"
PICKED = "queue bench: picked up after"


def _wait_at(gate: Path) -> None:
    print(READY, flush=True)
    while not gate.exists():
        time.sleep(0.001)


if GATE in os.environ:
    _wait_at(Path(os.environ[GATE]))
