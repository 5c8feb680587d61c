"""A whole reader as real processes: it answers, and leaves nothing behind."""

import contextlib
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import requests
from conftest import still_running, wait_until

from loadtests.__main__ import main
from loadtests.errors import ProcessError, UsageError
from loadtests.feedserver.server import running_feedserver
from loadtests.records.steps import READERS
from loadtests.servers.databases import check_database
from loadtests.servers.slotmeter import read_slots
from loadtests.servers.stack import PORTS, Stack, StackSettings

pytestmark = pytest.mark.usefixtures("signals_as_before")


@pytest.mark.live
@pytest.mark.parametrize("database", ["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
@pytest.mark.parametrize("app", ["sync", "queued"])
def test_a_stack_serves_feeds_and_leaves_nothing_behind(
    app: str, database: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Submitted feeds get shown; afterwards no process or database is left."""
    server = request.getfixturevalue("postgres_url") if database == "postgresql" else database
    with Stack(StackSettings(app=app, slots=2, threads=2, database=server, folder=tmp_path)) as stack:
        posted = requests.post(
            f"{stack.url}/feeds", data={"url": f"{stack.feeds_url}/feeds/fast/1.xml"}, timeout=60
        )
        assert posted.status_code == 200
        wait_until(
            lambda: requests.get(f"{posted.url}.json", timeout=60).json()["status"] == "ready", "the feed"
        )
        assert "<article>" in requests.get(posted.url, timeout=60).text
        processes = [process for part in stack.processes.values() for process in part.tree()]
        assert len(processes) >= (4 if app == "sync" else 5)
    assert not still_running(processes)
    assert not list(tmp_path.glob("*.db*"))


@pytest.mark.live
@pytest.mark.parametrize("app", READERS)
def test_it_says_where_everything_is_and_stops_in_order(app: str) -> None:
    """All addresses in one column, within 80; on Ctrl-C it ends with status 0."""
    command = [sys.executable, "-m", "loadtests", "stack", app, "--port", "0", "--feeds-port", "0"]
    with subprocess.Popen([*command, "--slots", "2"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            lines = list(iter(process.stdout.readline, "Ctrl-C stops everything.\n"))
            assert lines[0].startswith(f"The {app} reader ")
            assert max(map(len, lines)) <= 80
            places = [line.index("http://") for line in lines[: lines.index("\n")]]
            assert len(places) == (5 if app == "sync" else 6) and len(set(places)) == 1
            assert requests.get(lines[0].split()[3] + "/healthz", timeout=20).status_code == 200
            children = psutil.Process(process.pid).children(recursive=True)
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0
        finally:
            process.kill()
    assert not still_running(children)


@pytest.mark.parametrize("option", ["--port", "--feeds-port"])
def test_a_port_in_use_is_said_in_a_line(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With who has it, and what to write instead; status 2. Nothing was started."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        free = {"--port": "0", "--feeds-port": "0"} | {option: str(port)}
        assert main(["stack", "sync", *(word for pair in free.items() for word in pair)]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"loadtests stack: Port {port} is in use on 127.0.0.1")
    assert said.endswith(f": take another with {option}\n") and said.count("\n") == 1


def test_both_servers_can_not_have_the_same_port(capsys: pytest.CaptureFixture[str]) -> None:
    """Which is found before either is started."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    assert main(["stack", "sync", "--port", port, "--feeds-port", port]) == 2
    assert "take another with --feeds-port" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--port", "70000"], "a port is a number from 0 to 65535"),
        (["--port", "x"], "invalid int value: 'x'"),
        (["--slots", "0"], "'0' is not a whole number above 0"),
        (["--workers", "many"], "'many' is not a whole number above 0"),
        (["--threads", "-1"], "'-1' is not a whole number above 0"),
        (["--deadline", "0"], "'0' is not a number of seconds above 0"),
        (["--database", "mysql://x/y"], "write sqlite, postgresql"),
    ],
)
def test_bad_usage_gets_a_plain_answer(
    options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 2, and one line that names the mistake."""
    try:
        status = main(["stack", "sync", "--feeds-port", "0", *options])
    except SystemExit as refused:  # how argparse exits
        status = int(refused.code or 0)
    assert status == 2
    assert said in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.live
def test_a_reader_fetches_from_this_projects_feed_servers_and_nothing_else_here(tmp_path: Path) -> None:
    """By either name of this machine, and from the other reader's: its port is one that `make` uses."""
    with (
        Stack(StackSettings(app="sync", slots=1, folder=tmp_path)) as stack,
        socket.create_server(("127.0.0.1", 0)) as private,
    ):
        by_name = stack.feeds_url.replace("127.0.0.1", "localhost")
        assert outcome(stack, f"{by_name}/feeds/fast/1.xml") == ""
        for _, port in PORTS.values():  # which may be running, or not
            assert "private network" not in outcome(stack, f"http://127.0.0.1:{port}/feeds/error/1.xml")
        assert "private network" in outcome(stack, f"http://127.0.0.1:{private.getsockname()[1]}/")


@pytest.mark.live
def test_a_feed_server_of_ones_own_is_fetched_from_once_its_address_is_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the setting that the refusal names: this host and port, not the next."""
    with running_feedserver() as own, running_feedserver() as other:
        with Stack(StackSettings(app="sync", slots=1, folder=tmp_path / "before")) as stack:
            refused = outcome(stack, own.feed_url("fast", 1))
        name, _, value = refused.split()[-1].partition("=")
        assert (name, value) == ("FEEDREADER_ALLOW", own.url.removeprefix("http://"))
        monkeypatch.setenv(name, value)
        with Stack(StackSettings(app="sync", slots=1, folder=tmp_path / "after")) as stack:
            assert outcome(stack, own.feed_url("fast", 1)) == ""
            assert outcome(stack, f"{stack.feeds_url}/feeds/fast/1.xml") == ""
            assert "private network" in outcome(stack, other.feed_url("fast", 1))


@pytest.mark.parametrize("address", ["127.0.0.1", "*:80", "127.0.0.1:0", "http://127.0.0.1:9123", ":9123"])
def test_an_allowed_address_that_is_none_is_refused_before_anything_starts(
    address: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a sentence. All ports of a machine, or all machines, can't be allowed."""
    monkeypatch.setenv("FEEDREADER_ALLOW", f"127.0.0.1:9123, {address}")
    assert main(["stack", "sync", "--port", "0", "--feeds-port", "0"]) == 2
    said = capsys.readouterr().err
    assert (
        f"FEEDREADER_ALLOW holds {address!r}: write host:port, such as" in said
        and len(said.splitlines()) == 1
    )


def outcome(stack: Stack, feed: str) -> str:
    """Why a submitted feed could not be shown; empty if it was."""
    page = requests.post(f"{stack.url}/feeds", data={"url": feed}, timeout=60).url
    state = requests.get(f"{page}.json", timeout=60).json()
    assert (state["status"] == "ready") == (not state.get("reason"))
    return str(state.get("reason") or "")


@pytest.mark.parametrize("database", ["mysql://x/y", "sqlite:///mine.db", "nonsense"])
def test_a_database_that_cannot_serve_is_refused(database: str) -> None:
    """The message says what to write instead."""
    with pytest.raises(UsageError, match="write sqlite, postgresql"):
        check_database(database)


def test_a_postgresql_server_that_is_not_there_is_said_plainly(tmp_path: Path) -> None:
    """The message hides the password."""
    url = "postgresql+psycopg://me:secret@127.0.0.1:1/none"
    with pytest.raises(UsageError, match=r"The PostgreSQL server .*\*\*\*") as error:
        Stack(StackSettings(app="sync", database=url, folder=tmp_path)).start()
    assert "secret" not in str(error.value)


@pytest.mark.live
def test_a_slot_does_not_wait_for_its_client_to_hang_up(tmp_path: Path) -> None:
    """By default gunicorn waits 2 s for each client that has its answer but does not close the connection.
    With one slot, these clients would take longer than `patience`.
    """
    patience, clients = 20, 15
    with (
        Stack(StackSettings(app="sync", slots=1, folder=tmp_path)) as stack,
        contextlib.ExitStack() as open_ones,
    ):
        host, port = stack.url.removeprefix("http://").split(":")
        deadline = time.monotonic() + patience
        for _ in range(clients):
            client = open_ones.enter_context(socket.create_connection((host, int(port)), patience))
            client.settimeout(max(0.1, deadline - time.monotonic()))
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: reader\r\n\r\n")
            answer = b"".join(iter(lambda client=client: client.recv(4096), b""))
            assert answer.startswith(b"HTTP/1.1 200 ") and b"Connection: close" in answer


@pytest.mark.live
@pytest.mark.skipif(not hasattr(select, "EPOLLEXCLUSIVE"), reason="only Linux can wake one of several")
def test_a_connection_wakes_one_of_the_free_slots(tmp_path: Path) -> None:
    """The others sleep on, and are slots all the same: they would serve if it were busy."""
    slots, asked = 8, 100
    with Stack(StackSettings(app="sync", slots=slots, folder=tmp_path)) as stack:
        processes = stack.processes["web server"].tree()
        assert read_slots(stack.slots_folder).slots == slots

        def woken() -> int:
            return sum(process.num_ctx_switches().voluntary for process in processes)

        before = woken()
        for _ in range(asked):
            assert requests.get(f"{stack.url}/healthz", timeout=20).status_code == 200
        assert woken() - before < asked * slots / 2  # all of them would be woken 8 times for each


@pytest.mark.live
def test_an_answer_arrives_whole_though_part_of_the_request_was_not_read(tmp_path: Path) -> None:
    """The reason why gunicorn waits: an upload that the app does not read."""
    with Stack(StackSettings(app="sync", slots=1, folder=tmp_path)) as stack:
        host, port = stack.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), 20) as client:
            upload = bytes(60_000)
            head = f"POST /nowhere HTTP/1.1\r\nHost: reader\r\nContent-Length: {len(upload)}\r\n\r\n"
            client.sendall(head.encode() + upload)
            answer = b"".join(iter(lambda: client.recv(4096), b""))
        assert answer.startswith(b"HTTP/1.1 404 ") and b"</html>" in answer.lower()


@pytest.mark.live
def test_a_part_that_has_ended_is_named_with_what_it_said(tmp_path: Path) -> None:
    """The bench checks for it: a dead server's behaviour says nothing about the app."""
    with Stack(StackSettings(app="sync", slots=1, folder=tmp_path)) as stack:
        stack.check()
        for process in stack.processes["web server"].tree():
            process.kill()
        wait_until(lambda: not stack.processes["web server"].is_running(), "the end of the web server")
        with pytest.raises(ProcessError, match=r"The web server ended\. It said:"):
            stack.check()
