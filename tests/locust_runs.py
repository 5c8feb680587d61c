"""Running Locust in tests: a command that runs to its end, its output, and the files it left."""

import re
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from loadtests.records.recording import Recording, read_recording
from loadtests.records.rows import Row, read_rows

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Run:
    """A finished run of Locust."""

    status: int
    out: str
    err: str
    rows_file: Path

    @property
    def rows(self) -> list[Row]:
        return read_rows(self.rows_file)

    @property
    def recording(self) -> Recording:
        return read_recording(self.rows_file)


def command(locustfile: Path | str, *options: str) -> list[str]:
    """Locust's command line."""
    return [sys.executable, "-m", "locust", "-f", str(locustfile), *options]


def headless(locustfile: Path | str, folder: Path, *options: str, files: int | None = None) -> Run:
    """Run Locust headless to its end; it writes its rows to `folder`.

    `files`: its limit of file descriptors.
    """
    rows = folder / "rows.csv"
    started = command(locustfile, "--headless", "--only-summary", "--rows", str(rows), *options)
    if files:
        started = ["sh", "-c", f'ulimit -n {files}; exec "$@"', "sh", *started]
    done = subprocess.run(started, capture_output=True, text=True, timeout=300, check=False, cwd=ROOT)
    return Run(done.returncode, done.stdout, done.stderr, rows)


def free_port() -> str:
    """A port that was free a moment ago."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


# What Locust says when it has started all users; the second if the report of a process took over a second.
SPAWNED = r"All users spawned|Spawning is complete"


def two_processes() -> list[str]:
    """Options for two processes, on a port of their own: other tests may run Locust at the same time."""
    port = free_port()
    return ["--processes", "2", "--master-port", port, "--master-bind-port", port]


def counted_by_locust(run: Run) -> int:
    """The number of requests in Locust's own final table."""
    return int(re.findall(r"^ +Aggregated +(\d+) +\d+\(", run.err, re.MULTILINE)[-1])
