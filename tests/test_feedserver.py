"""The fake feed server behaves as each kind states, and explains itself when misused."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from urllib.parse import urlsplit

import feedparser
import pytest
import requests
from conftest import wait_until

from loadtests.__main__ import main
from loadtests.feedserver.kinds import KINDS, delay_of, kind_of
from loadtests.feedserver.server import FeedServer, running_feedserver

FORMATS = {
    0: ("rss20", "rss"),
    1: ("atom10", "atom"),
    2: ("rss10", "rdf"),
}  # n % 3: feedparser's name, MIME's


@pytest.fixture(scope="module")
def server() -> Iterator[FeedServer]:
    """A feed server with the default mix, for tests that do not look at its counts."""
    with running_feedserver() as server:
        yield server


@pytest.mark.parametrize("n", range(9))
def test_feeds_are_valid_in_three_formats(server: FeedServer, n: int) -> None:
    """A strict parser accepts them, and each entry has all that a reader shows."""
    response = requests.get(server.feed_url("fast", n), timeout=60)
    version, subtype = FORMATS[n % 3]
    assert response.headers["Content-Type"] == f"application/{subtype}+xml; charset=utf-8"
    feed = feedparser.parse(
        response.content, response_headers={"content-type": response.headers["Content-Type"]}
    )
    assert (feed.bozo, feed.version) == (False, version)
    assert feed.feed.title.endswith(f"(fast {n})")
    assert 10 <= len(feed.entries) <= 30
    assert len({entry.id for entry in feed.entries}) == len(feed.entries)
    dates = [entry.get("published_parsed") or entry.updated_parsed for entry in feed.entries]
    assert dates == sorted(dates, reverse=True)
    for entry in feed.entries:
        assert entry.link.startswith("http://example.org/")
        assert entry.title[0].isupper() and not {"&amp;", "&lt;"} & set(entry.title.split())
        assert entry.summary.startswith("<p>") and entry.summary.endswith(".</p>")


def test_a_typical_feed_takes_the_delay_that_was_predicted(server: FeedServer) -> None:
    """The server waits for delay_of(), which the theory uses as the service demand; a busy machine adds to
    it.
    """
    n = min(range(1, 500), key=lambda n: delay_of("typical", n))

    def is_prompt() -> bool:
        started = time.perf_counter()
        assert requests.get(server.feed_url("typical", n), timeout=60).ok
        took = time.perf_counter() - started
        assert took >= delay_of("typical", n)
        return took < delay_of("typical", n) + 0.5

    wait_until(is_prompt, "an answer as soon as the delay is over")


@pytest.mark.parametrize("kind", ["slow", "hang"])
def test_slow_and_hanging_feeds_say_nothing_for_a_while(server: FeedServer, kind: str) -> None:
    """The request is accepted, and a client with a timeout runs into it."""
    with pytest.raises(requests.ReadTimeout):
        requests.get(server.feed_url(kind, 1), timeout=0.2)


def test_a_dripping_feed_sends_a_byte_and_then_pauses(server: FeedServer) -> None:
    """A read timeout of over a second never fires here: only a limit on the whole answer helps."""
    address = urlsplit(server.feed_url("drip", 1))
    with closing(HTTPConnection(address.netloc, timeout=60)) as connection:
        connection.request("GET", address.path)
        response = connection.getresponse()
        assert int(response.headers["Content-Length"]) > 1000
        assert response.read(1) == b"<"
        connection.sock.settimeout(0.3)
        with pytest.raises(TimeoutError):
            response.read(1000)


@pytest.mark.parametrize(("kind", "status"), [("error", 500), ("missing", 404)])
def test_broken_servers_answer_with_their_status(server: FeedServer, kind: str, status: int) -> None:
    """The error comes at once, and says that it is intended."""
    response = requests.get(server.feed_url(kind, 1), timeout=60)
    assert (response.status_code, "on purpose" in response.text) == (status, True)


def test_a_reset_comes_in_the_middle_of_the_body(server: FeedServer) -> None:
    """The client has headers and half of the body when the connection breaks."""
    with requests.get(server.feed_url("reset", 1), stream=True, timeout=60) as response:
        assert response.status_code == 200
        with pytest.raises(requests.exceptions.ChunkedEncodingError, match="Connection reset by peer"):
            _ = response.content


def test_a_malformed_feed_yields_no_entries(server: FeedServer) -> None:
    """Even a lenient parser finds nothing to show, in any format."""
    for n in range(3):
        feed = feedparser.parse(requests.get(server.feed_url("malformed", n), timeout=60).content)
        assert feed.bozo and not feed.entries


def test_a_huge_feed_comes_without_a_length_and_has_an_end(server: FeedServer) -> None:
    """No header lets a client refuse it, but a client that reads on does finish."""
    with requests.get(server.feed_url("huge", 1), stream=True, timeout=60) as response:
        assert "Content-Length" not in response.headers
        size = sum(len(chunk) for chunk in response.iter_content(2**16))
    assert 64 * 2**20 <= size < 65 * 2**20


def test_a_client_that_turns_away_from_a_huge_feed_leaves_no_trace(
    server: FeedServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Its request ends, counted as cut short, and nothing is logged: clients disconnect all the time."""
    before = server.stats()["cut_short"]["huge"]
    with requests.get(server.feed_url("huge", 2), stream=True, timeout=60) as response:
        assert next(response.iter_content(2**16))
    wait_until(lambda: server.stats()["cut_short"]["huge"] == before + 1, "the request to end")
    assert not caplog.records


def test_a_redirect_loop_has_no_end(server: FeedServer) -> None:
    """A client has to count its redirects."""
    with pytest.raises(requests.TooManyRedirects):
        requests.get(server.feed_url("redirect-loop", 1), timeout=60)


def test_a_mixed_feed_is_of_the_kind_that_was_predicted() -> None:
    """`/feeds/mix/<n>.xml` follows kind_of(), with the server's own mix and seed."""
    mix = {"error": 40, "missing": 30, "fast": 30}
    statuses = {"error": 500, "missing": 404, "fast": 200}
    with running_feedserver(mix=mix, seed=7) as server:
        for n in range(20):
            response = requests.get(server.feed_url("mix", n), timeout=60)
            assert response.status_code == statuses[kind_of(n, mix, seed=7)]


@pytest.mark.parametrize(
    "path",
    ["/feeds/quick/1.xml", "/feeds/fast/one.xml", "/feeds/fast/-1.xml", "/feeds/fast/1", "/favicon.ico"],
)
def test_an_unknown_address_is_told_which_kinds_there_are(server: FeedServer, path: str) -> None:
    """A mistyped address is answered with the valid ones."""
    response = requests.get(server.url + path, timeout=60)
    assert response.status_code == 404
    assert response.headers["Content-Type"].startswith("text/plain")
    assert all(kind in response.text for kind in [*KINDS, "mix"])


def test_the_front_page_links_to_one_feed_of_each_kind(server: FeedServer) -> None:
    """It explains every kind, and the mix."""
    page = requests.get(server.url, timeout=60).text
    assert all(f'href="/feeds/{kind}/1.xml"' in page for kind in [*KINDS, "mix"])
    assert all(what in page for what in KINDS.values())
    assert "typical=80,slow=15,hang=5" in page
    assert requests.get(f"{server.url}/healthz", timeout=60).text == "ok\n"


def test_a_port_in_use_is_answered_with_advice(
    capsys: pytest.CaptureFixture[str], server: FeedServer
) -> None:
    """One line, exit status 2, no traceback."""
    port = urlsplit(server.url).port
    assert main(["feedserver", "--port", str(port)]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith(f"loadtests feedserver: Port {port} is in use on 127.0.0.1")
    assert err.endswith(": take another with --port\n") and err.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--mix", "typical:80"], "Can't read 'typical:80' in a mix of feeds. Write kind=percent"),
        (["--mix", "quick=100"], "There are no feeds of the kind 'quick'. The kinds are fast, typical,"),
        (["--mix", "typical=80,slow=15"], "The mix of feeds adds up to 95 percent. Make it 100."),
        (["--mix", "typical=80,slow=15,typical=5"], "The mix of feeds names 'typical' twice."),
        (["--mix", "fast=120,slow=-20"], "fast=120 in a mix of feeds: a percentage is between 0 and 100."),
        (["--mix", "fast=nan"], "fast=nan in a mix of feeds: a percentage is between 0 and 100."),
        (["--port", "70000"], "Can't listen at 127.0.0.1:70000: a port is a number from 0 to 65535"),
        (["--host", "not an address"], "Can't listen at not an address:9000: "),
    ],
)
def test_options_that_cannot_be_used_are_explained(
    capsys: pytest.CaptureFixture[str], options: list[str], complaint: str
) -> None:
    """The message says what is wrong and what to write; the exit status is 2."""
    assert main(["feedserver", *options]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"loadtests feedserver: {complaint}") and err.count("\n") == 1


@pytest.mark.live
def test_a_low_limit_of_open_files_is_told() -> None:
    """The server still starts, and says how many connections it can hold."""
    command = f"ulimit -n 256 && exec {sys.executable} -m loadtests feedserver --port 0"
    with subprocess.Popen(
        ["sh", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout and process.stdout.readline().startswith("Feed server listening at: ")
            process.terminate()
            assert "Only 256 files may be open here" in process.communicate(timeout=60)[1]
        finally:
            process.kill()
