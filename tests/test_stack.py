"""A whole reader as real processes: it answers, and leaves nothing behind."""

import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import requests
from conftest import still_running, wait_until

from loadtests.errors import UsageError
from loadtests.servers.stack import Stack, StackSettings, check_database


@pytest.mark.live
@pytest.mark.parametrize("database", ["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
@pytest.mark.parametrize("app", ["sync", "queued"])
def test_a_stack_serves_feeds_and_leaves_nothing_behind(
    app: str, database: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Submitted feeds come to be shown; afterwards no process and no database is left."""
    server = request.getfixturevalue("postgres_url") if database == "postgresql" else database
    with Stack(StackSettings(app=app, slots=2, threads=2, database=server, folder=tmp_path)) as stack:
        posted = requests.post(
            f"{stack.url}/feeds", data={"url": f"{stack.feeds_url}/feeds/fast/1.xml"}, timeout=20
        )
        assert posted.status_code == 200
        wait_until(
            lambda: requests.get(f"{posted.url}.json", timeout=20).json()["status"] == "ready", "the feed"
        )
        assert "<article>" in requests.get(posted.url, timeout=20).text
        processes = [process for part in stack.processes.values() for process in part.tree()]
        assert len(processes) >= (4 if app == "sync" else 5)
    assert not still_running(processes)
    assert not list(tmp_path.glob("*.db*"))


@pytest.mark.live
def test_make_sync_says_where_everything_is_and_stops_in_order(tmp_path: Path) -> None:
    """The command prints both addresses, and ends with status 0 on Ctrl-C."""
    command = [sys.executable, "-m", "loadtests", "stack", "sync", "--port", "0", "--feeds-port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            first = process.stdout.readline()
            assert first.startswith("The sync reader   http://127.0.0.1:")
            assert requests.get(first.split()[3] + "/healthz", timeout=20).status_code == 200
            children = psutil.Process(process.pid).children(recursive=True)
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0
        finally:
            process.kill()
    assert not still_running(children)


@pytest.mark.live
def test_a_port_in_use_is_said_plainly() -> None:
    """No traceback: the port is named, and the exit status is not zero."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        command = [
            sys.executable,
            "-m",
            "loadtests",
            "stack",
            "sync",
            "--port",
            "0",
            "--feeds-port",
            str(port),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode not in (0, -signal.SIGKILL)
    assert str(port) in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("database", ["mysql://x/y", "sqlite:///mine.db", "nonsense"])
def test_a_database_that_cannot_serve_is_refused(database: str) -> None:
    """The message says what to write instead."""
    with pytest.raises(UsageError, match="write sqlite, postgresql"):
        check_database(database)


def test_a_postgresql_server_that_is_not_there_is_said_plainly(tmp_path: Path) -> None:
    """The password is not shown."""
    url = "postgresql+psycopg://me:secret@127.0.0.1:1/none"
    with pytest.raises(UsageError, match=r"The PostgreSQL server .*\*\*\*") as error:
        Stack(StackSettings(app="sync", database=url, folder=tmp_path)).start()
    assert "secret" not in str(error.value)
