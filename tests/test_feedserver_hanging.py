"""The fake feed server under hanging requests: it counts them, holds thousands, and still stops."""

import asyncio
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

import psutil
import pytest
import requests
from conftest import wait_until

from loadtests.feedserver.kinds import KINDS
from loadtests.feedserver.server import FeedServer, running_feedserver

MANY = 5000


@contextmanager
def running_command(*options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The feed server as a command on a free port: the process, and the URL from the line it prints."""
    command = [sys.executable, "-m", "loadtests", "feedserver", "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            said, _, url = process.stdout.readline().strip().rpartition(" ")
            assert said == "Feed server listening at:"
            yield process, url
        finally:
            process.kill()


@contextmanager
def hanging_clients(url: str, count: int) -> Iterator[list[socket.socket]]:
    """Clients that have asked for a feed that hangs; entered once the server has accepted all requests."""
    address = urlsplit(url)
    before = in_flight(url, "hang")
    with ExitStack() as closing:
        clients = []
        for n in range(count):
            client = closing.enter_context(
                socket.create_connection((address.hostname, address.port), timeout=60)
            )
            client.sendall(f"GET /feeds/hang/{n}.xml HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n".encode())
            clients.append(client)
        wait_until(lambda: in_flight(url, "hang") == before + count, f"{count} requests in flight")
        yield clients


def in_flight(url: str, kind: str) -> int:
    """How many requests of a kind the server is handling."""
    count: int = requests.get(f"{url}/stats", timeout=60).json()["in_flight"][kind]
    return count


def test_stats_count_what_was_asked_answered_and_is_still_in_flight() -> None:
    """Every request is in exactly one count, and a client that disconnects is no longer in flight."""
    with running_feedserver(mix={"error": 100}) as server:
        for n in range(3):
            requests.get(server.feed_url("mix", n), timeout=60)
        with hanging_clients(server.url, 4) as clients:
            clients.pop().close()
            wait_until(lambda: in_flight(server.url, "hang") == 3, "the end of the request whose client left")
            stats = requests.get(f"{server.url}/stats", timeout=60).json()
            assert {name: counts["error"] for name, counts in stats.items()} == {
                "requested": 3, "answered": 3, "in_flight": 0, "cut_short": 0,
            }  # fmt: skip
            assert {name: counts["hang"] for name, counts in stats.items()} == {
                "requested": 4, "answered": 0, "in_flight": 3, "cut_short": 1,
            }  # fmt: skip
            assert all(set(counts) == set(KINDS) for counts in stats.values())


def test_leaving_the_context_manager_stops_the_server_under_hanging_clients() -> None:
    """Their connections close, and the thread ends."""
    with ExitStack() as clients_leave:
        with running_feedserver() as server:
            clients = clients_leave.enter_context(hanging_clients(server.url, 3))
        assert all(client.recv(1) == b"" for client in clients)
        assert "feedserver" not in {thread.name for thread in threading.enumerate()}
        with pytest.raises(requests.ConnectionError):
            requests.get(f"{server.url}/healthz", timeout=60)


def test_connections_queue_until_the_server_gets_to_them() -> None:
    """A burst is neither refused nor forced to retry after a second, which would distort latencies."""
    server = FeedServer()
    address = urlsplit(server.url)
    stop = asyncio.Event()
    stop.set()
    with ExitStack() as closing:
        for _ in range(100):
            closing.enter_context(socket.create_connection((address.hostname, address.port), timeout=0.5))
        asyncio.run(server.serve(stop))


@pytest.fixture
def many_open_files() -> Iterator[None]:
    """Room for MANY connections in this process; skips where the system does not allow it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MANY + 200
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"a process may open {hard} files here (ulimit -Hn), and this test needs {wanted}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.live
@pytest.mark.usefixtures("many_open_files")
def test_five_thousand_requests_hang_without_slowing_the_fast_ones() -> None:
    """The server stays under 250 MB, serves fast feeds as before, and stops at once."""

    def fast_ms() -> float:
        """The minimum time for a fast feed, in ms: other load on the machine can only add to it."""
        times = []
        for n in range(100):
            started = time.perf_counter()
            assert session.get(f"{url}/feeds/fast/{n}.xml", timeout=60).ok
            times.append(time.perf_counter() - started)
        return 1000 * min(times)

    with running_command() as (process, url), requests.Session() as session:
        alone_ms = fast_ms()
        with hanging_clients(url, MANY):
            crowded_ms = fast_ms()
            rss_mb = psutil.Process(process.pid).memory_info().rss / 1e6
            process.terminate()
            assert process.wait(timeout=60) == 0
    print(
        f"{MANY} hang in {rss_mb:.0f} MB; a fast feed takes {alone_ms:.1f}, beside them {crowded_ms:.1f} ms"
    )
    assert rss_mb < 250
    assert crowded_ms < 3 * alone_ms + 5


@pytest.mark.live
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_the_command_stops_at_a_signal_with_clients_hanging(signum: signal.Signals) -> None:
    """It exits with 0 and logs nothing, not even the connections that ended before."""
    with running_command() as (process, url), hanging_clients(url, 10):
        with pytest.raises(requests.RequestException):
            requests.get(f"{url}/feeds/reset/1.xml", timeout=60)
        process.send_signal(signum)
        assert process.communicate(timeout=60) == ("", "")
        assert process.returncode == 0
