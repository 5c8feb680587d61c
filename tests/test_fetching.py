"""Downloads end in time, stay small, and never go where they must not."""

import gzip
import socket
import socketserver
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from typing import Any
from urllib.parse import urlsplit

import pytest
from conftest import wait_until

from feedreader.addresses import is_public
from feedreader.errors import FetchFailed
from feedreader.fetching import MAX_BYTES, MAX_REDIRECTS, Fetcher
from loadtests.feedserver.server import running_feedserver

DEADLINE = 0.5  # seconds
SLACK = 20  # seconds of delay allowed on a busy machine; without its deadline none of these would ever end
OK = b"HTTP/1.1 200 OK\r\nConnection: close\r\n"
TOO_LATE = "The server did not answer within 0.5 seconds."

Answer = Callable[[socket.socket, str], None]


def private(url: str) -> str:
    """Why `url` is not fetched, and the setting that allows it: that host and port, and no others."""
    refused = (
        "This address is on a private network, and is not fetched. Whoever runs this reader can allow it:"
    )
    return f"{refused} FEEDREADER_ALLOW={urlsplit(url).netloc}"


class Server:
    """Another site's server: `answer(connection, path)` handles each request's connection as it likes."""

    def __init__(self, answer: Answer) -> None:
        self.connections = 0
        self.heads: list[str] = []
        server = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                server.connections += 1
                head = b""
                while b"\r\n\r\n" not in head:
                    received = self.request.recv(65536)
                    if not received:
                        return
                    head += received
                server.heads.append(head.decode())
                with suppress(OSError):  # the client has disconnected, as it should
                    answer(self.request, head.decode().split()[1])

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self.host, self.port = self._server.server_address[:2]
        self.url = f"http://{self.host}:{self.port}"

    @contextmanager
    def running(self) -> Iterator["Server"]:
        """Serve until the end of the block, then wait for the last handler."""
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()


Serve = Callable[[Answer], Server]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts servers that stop at the end of the test."""
    with ExitStack() as stack:
        yield lambda answer: stack.enter_context(Server(answer).running())


def fetcher_for(*servers: Server, deadline: float = 10) -> Fetcher:
    """A fetcher that may fetch from these servers, which are all on loopback."""
    return Fetcher(deadline, frozenset((server.host, server.port) for server in servers))


def sends(*pieces: bytes) -> Answer:
    """An answer that is sent unchanged."""
    return lambda connection, _: connection.sendall(b"".join(pieces))


def hangs(connection: socket.socket, _: str) -> None:
    """Send nothing until the client disconnects."""
    connection.recv(1)


def drips(beginning: bytes, drop: bytes) -> Answer:
    """An answer that starts well and never ends, a few bytes every 20 ms."""

    def answer(connection: socket.socket, _: str) -> None:
        connection.sendall(beginning)
        connection.settimeout(0.02)
        while True:
            connection.sendall(drop)
            with suppress(TimeoutError):
                if not connection.recv(1):
                    return

    return answer


def redirects_to(address: str | Callable[[str], str]) -> Answer:
    """A redirect to an address, or to what a function makes of the path."""

    def answer(connection: socket.socket, path: str) -> None:
        target = address if isinstance(address, str) else address(path)
        head = f"HTTP/1.1 302 Found\r\nLocation: {target}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode())

    return answer


def fails(fetcher: Fetcher, url: str) -> str:
    """Fetch, expecting a failure; returns the reason."""
    with pytest.raises(FetchFailed) as failure:
        fetcher.get(url)
    return str(failure.value)


def fails_in_time(fetcher: Fetcher, url: str) -> str:
    """Fetch, expecting a failure no earlier than the deadline and soon after it; returns the reason."""
    start = time.monotonic()
    reason = fails(fetcher, url)
    assert DEADLINE <= time.monotonic() - start < DEADLINE + SLACK
    return reason


def name_leads_to(monkeypatch: pytest.MonkeyPatch, *addresses: tuple[str, int]) -> None:
    """Make every name look-up return these addresses."""
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in addresses]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)


def test_a_document_comes_with_its_address_and_type(serve: Serve) -> None:
    """The document is returned as sent; the request says who is asking, and for which types."""
    server = serve(sends(OK, b"Content-Type: text/xml; charset=utf-8\r\n\r\n<rss/>"))
    document = fetcher_for(server).get(server.url + "/feed")
    assert (document.url, document.content_type, document.body) == (
        server.url + "/feed",
        "text/xml; charset=utf-8",
        b"<rss/>",
    )
    assert "User-Agent: feedreader/" in server.heads[0]
    assert "application/atom+xml" in server.heads[0]


def test_compressed_documents_are_decompressed(serve: Serve) -> None:
    """Most servers compress."""
    server = serve(sends(OK, b"Content-Encoding: gzip\r\n\r\n", gzip.compress(b"<rss/>")))
    assert fetcher_for(server).get(server.url).body == b"<rss/>"


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(hangs, id="no answer"),
        pytest.param(drips(b"HTTP/1.1 200 OK\r\n", b"X-Drop: 1\r\n"), id="headers drip"),
        pytest.param(drips(OK + b"\r\n", b"."), id="body drips"),
        pytest.param(drips(OK + b"Content-Length: 1000000\r\n\r\n", b"."), id="body with a length drips"),
        pytest.param(drips(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n.\r\n"), id="chunks drip"),
        pytest.param(drips(OK + b"Content-Encoding: gzip\r\n\r\n", b"\x1f"), id="compressed body drips"),
    ],
)
def test_a_server_that_takes_its_time_is_left_at_the_deadline(serve: Serve, answer: Answer) -> None:
    """However the server spends the time: a read timeout would start anew with every byte."""
    server = serve(answer)
    assert fails_in_time(fetcher_for(server, deadline=DEADLINE), server.url) == TOO_LATE


def test_a_body_that_is_cut_at_the_deadline_is_not_taken_for_a_whole_one(serve: Serve) -> None:
    """Without a length, the document ends with the connection, but not if the deadline closed it."""
    server = serve(drips(OK + b"\r\n<rss/>", b" "))
    assert fails_in_time(fetcher_for(server, deadline=DEADLINE), server.url) == TOO_LATE


def test_redirects_share_one_deadline() -> None:
    """Five hops of just under the deadline each don't take five deadlines."""
    hops = count(1)

    def answer(connection: socket.socket, path: str) -> None:
        connection.settimeout(DEADLINE * 0.6)
        with suppress(TimeoutError):
            if not connection.recv(1):
                return
        redirects_to(f"/{next(hops)}")(connection, path)

    with Server(answer).running() as server:
        assert fails_in_time(fetcher_for(server, deadline=DEADLINE), server.url) == TOO_LATE


def test_a_tls_handshake_that_never_ends_is_left_at_the_deadline() -> None:
    """The server accepts the connection and stays silent before any HTTP."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host, port = listener.getsockname()
        fetcher = Fetcher(DEADLINE, frozenset({(host, port)}))
        assert fails_in_time(fetcher, f"https://{host}:{port}/") == TOO_LATE


def test_a_name_look_up_that_never_ends_is_left_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's resolver does not know our deadline."""
    end = threading.Event()

    def look_up(*_: Any, **__: Any) -> Any:
        end.wait()
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    try:
        assert fails_in_time(Fetcher(DEADLINE), "http://feeds.example/") == TOO_LATE
    finally:
        end.set()


def test_a_document_may_be_as_large_as_the_limit_and_no_larger(serve: Serve) -> None:
    """Exactly the limit is allowed; one byte more is not."""
    server = serve(lambda c, path: c.sendall(OK + b"\r\n" + bytes(MAX_BYTES + int(path[1:]))))
    fetcher = fetcher_for(server, deadline=10)
    assert len(fetcher.get(server.url + "/0").body) == MAX_BYTES
    assert fails(fetcher, server.url + "/1") == "The document is larger than 10 MiB."


def test_a_compressed_bomb_is_left_before_it_fills_the_memory(serve: Serve) -> None:
    """100 KB that decompress to 100 MiB: the decompressed bytes count."""
    packer = zlib.compressobj(wbits=31)
    bomb = b"".join([*(packer.compress(bytes(2**20)) for _ in range(100)), packer.flush()])
    server = serve(sends(OK, b"Content-Encoding: gzip\r\n\r\n", bomb))
    tracemalloc.start()
    try:
        assert "larger than 10 MiB" in fails(fetcher_for(server, deadline=10), server.url)
        assert tracemalloc.get_traced_memory()[1] < 3 * MAX_BYTES
    finally:
        tracemalloc.stop()


def test_five_redirects_are_followed_and_six_are_not(serve: Serve) -> None:
    """A site may have moved, but loops must end."""

    def answer(connection: socket.socket, path: str) -> None:
        left = int(path[1:])
        if left:
            redirects_to(str(left - 1))(connection, path)
        else:
            sends(OK, b"\r\n<rss/>")(connection, path)

    server = serve(answer)
    assert fetcher_for(server).get(f"{server.url}/{MAX_REDIRECTS}").url == server.url + "/0"
    reason = fails(fetcher_for(server), f"{server.url}/{MAX_REDIRECTS + 1}")
    assert reason == "The server redirects more than 5 times."


def test_the_body_of_a_redirect_is_not_read(serve: Serve) -> None:
    """It may be endless; the fetch goes on without it."""

    def answer(connection: socket.socket, path: str) -> None:
        if path == "/":
            drips(b"HTTP/1.1 302 Found\r\nLocation: /feed\r\nConnection: close\r\n\r\n", b".")(
                connection, path
            )
        else:
            sends(OK, b"\r\n<rss/>")(connection, path)

    server = serve(answer)
    assert fetcher_for(server, deadline=10).get(server.url).body == b"<rss/>"


def test_private_networks_are_not_called(serve: Serve) -> None:
    """Not even a connection is opened."""
    server = serve(hangs)
    assert fails(Fetcher(DEADLINE), server.url) == private(server.url)
    assert server.connections == 0


def test_an_allowed_address_is_allowed_with_its_port_only(serve: Serve) -> None:
    """An exception for one server does not cover its neighbours."""
    allowed, neighbour = serve(sends(OK, b"\r\n<rss/>")), serve(hangs)
    fetcher = fetcher_for(allowed)
    assert fetcher.get(allowed.url).body == b"<rss/>"
    assert fails(fetcher, neighbour.url) == private(neighbour.url)
    assert neighbour.connections == 0


def test_a_redirect_into_a_private_network_is_refused(serve: Serve) -> None:
    """Each hop is checked: a public server must not send us where only we can reach."""
    secret = serve(hangs)
    server = serve(redirects_to(secret.url))
    assert fails(fetcher_for(server), server.url) == private(secret.url)
    assert secret.connections == 0


def test_a_name_that_leads_into_a_private_network_is_refused(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The resolved address is what is checked, and the name is resolved once."""
    server = serve(hangs)
    name_leads_to(monkeypatch, (server.host, server.port))
    url = f"http://feeds.example:{server.port}/"
    assert fails(fetcher_for(server), url) == private(url)
    assert server.connections == 0


def test_the_next_address_is_tried_when_one_is_dead(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name may have several addresses, some of which don't answer."""
    server = serve(sends(OK, b"\r\n<rss/>"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        dead = listener.getsockname()
    name_leads_to(monkeypatch, dead, (server.host, server.port))
    fetcher = Fetcher(DEADLINE, frozenset({("feeds.example", 80)}))
    assert fetcher.get("http://feeds.example/").body == b"<rss/>"


def test_an_address_that_never_answers_uses_up_its_share_of_the_time_only(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A listener with a full backlog drops new connections: connecting to it hangs."""
    server = serve(sends(OK, b"\r\n<rss/>"))
    fetcher = Fetcher(DEADLINE, frozenset({("feeds.example", 80)}))
    with ExitStack() as stack:
        full = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0)).getsockname()
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(full)
        name_leads_to(monkeypatch, full, (server.host, server.port))
        assert fetcher.get("http://feeds.example/").body == b"<rss/>"
        name_leads_to(monkeypatch, full)
        assert fails_in_time(fetcher, "http://feeds.example/") == TOO_LATE


def test_a_proxy_of_the_environment_is_not_used(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy would connect for us, to addresses that we must not reach."""
    proxy, server = serve(hangs), serve(sends(OK, b"\r\n<rss/>"))
    monkeypatch.setenv("http_proxy", proxy.url)
    assert fetcher_for(server).get(server.url).body == b"<rss/>"
    assert proxy.connections == 0


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (sends(b"HTTP/1.1 404 \xd0\x9d\xd0\xb8\r\n\r\n"), "The server answered 404 Not Found."),
        (sends(b"HTTP/1.1 500 \r\n\r\n"), "The server answered 500 Internal Server Error."),
        (sends(b"HTTP/1.1 799 <script>\r\n\r\n"), "The server answered 799."),
        (sends(b"HTTP/1.1 304 Not Modified\r\n\r\n"), "The server answered 304 Not Modified."),
        (sends(), "The server closed the connection early, or did not answer in HTTP."),
        (sends(b"SSH-2.0-OpenSSH\r\n"), "The server closed the connection early, or did not answer in HTTP."),
        (
            sends(OK, b"Content-Length: 100\r\n\r\n<rss"),
            "The server closed the connection early, or did not answer in HTTP.",
        ),
        (
            sends(OK, b"Content-Encoding: gzip\r\n\r\n<rss/>"),
            "The server sent compressed data that can't be decompressed.",
        ),
        (redirects_to("ftp://example.org/"), "The server redirects to an address that can't be fetched."),
        (redirects_to("javascript:alert(1)"), "The server redirects to an address that can't be fetched."),
        (redirects_to("http://[broken/"), "The server redirects to an address that can't be fetched."),
        (
            redirects_to("http://user:pw@example.org/"),
            "The server redirects to an address that can't be fetched.",
        ),
    ],
)
def test_the_reason_of_a_failure_can_be_read(serve: Serve, answer: Answer, reason: str) -> None:
    """A visitor learns what happened, in our words rather than the server's."""
    server = serve(answer)
    assert fails(fetcher_for(server), server.url) == reason


def test_a_server_without_tls_is_not_read_over_https(serve: Serve) -> None:
    """Plain HTTP is no substitute for https."""
    server = serve(sends(OK, b"\r\n<rss/>"))
    with socket.create_server((server.host, 0)) as listener:
        host, port = listener.getsockname()

        def speak_plainly() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(OK + b"\r\n")

        with ThreadPoolExecutor(1) as pool:
            pool.submit(speak_plainly)
            reason = fails(Fetcher(5, frozenset({(host, port)})), f"https://{host}:{port}/")
    assert reason.startswith("There is no secure connection to the server")


def test_servers_that_are_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """A port without a server and a name without an address both give a reason."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host, port = listener.getsockname()
    fetcher = Fetcher(DEADLINE, frozenset({(host, port)}))
    reason = fails(fetcher, f"http://{host}:{port}/")
    assert reason == f"Can't connect to the server {host} at port {port}."

    def no_such_name(*_: Any, **__: Any) -> Any:
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", no_such_name)
    assert fails(fetcher, "http://nowhere.example/") == "There is no server named nowhere.example."


def test_one_fetcher_serves_many_threads_and_leaves_none_behind() -> None:
    """A worker's 32 threads fetch good and hanging feeds at the same time."""
    before = threading.active_count()
    with running_feedserver() as server:
        host, _, port = server.url.removeprefix("http://").partition(":")
        fetcher = Fetcher(4.0, frozenset({(host, int(port))}))

        def fetch(n: int) -> str:
            try:
                return fetcher.get(server.feed_url("hang" if n % 4 == 0 else "fast", n)).content_type
            except FetchFailed as failure:
                return str(failure)

        with ThreadPoolExecutor(32) as pool:
            outcomes = list(pool.map(fetch, range(32)))
    assert outcomes.count("The server did not answer within 4 seconds.") == 8
    assert sum("xml" in outcome for outcome in outcomes) == 24
    wait_until(lambda: threading.active_count() <= before, "the threads that watched the deadlines")


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1::1", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("100.64.0.1", False),  # carrier-grade NAT
        ("169.254.169.254", False),  # the metadata service of clouds
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("233.252.0.1", False),  # multicast that counts as global
        ("255.255.255.255", False),
        ("::1", False),
        ("::", False),
        ("::ffff:127.0.0.1", False),  # IPv4 written as IPv6
        ("::ffff:93.184.216.34", True),
        ("fe80::1", False),
        ("fe80::1%eth0", False),
        ("fc00::1", False),
        ("fec0::1", False),  # site-local, long out of use
        ("ff02::1", False),
        ("64:ff9b::7f00:1", False),  # NAT64 to 127.0.0.1
        ("64:ff9b:1::7f00:1", False),
        ("2002:7f00:1::", False),  # 6to4 to 127.0.0.1
        ("2001:0:7f00:1::", False),  # Teredo
        ("2001:db8::1", False),
    ],
)
def test_only_the_public_internet_is_public(address: str, public: bool) -> None:
    """Private, local, shared and reserved networks are not, nor tunnels that may lead to one."""
    assert is_public(address) is public
