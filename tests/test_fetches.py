"""Were submitted feeds fetched and shown to their visitors? By the rows and the feed server's own count."""

import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
import requests

from loadtests.errors import UsageError
from loadtests.feedserver.documents import document, has_entries_of
from loadtests.feedserver.kinds import delay_of, is_good, kind_of
from loadtests.feedserver.server import running_feedserver
from loadtests.generator.fetches import NO_ENTRIES, not_fetched
from loadtests.records.recording import Recording
from loadtests.records.rows import Row
from loadtests.servers.feedstate import FeedState, check_reader, feed_state


def visits(count: int, error: str = "", *, ended: bool = True, at: float = 1.0) -> tuple[Row, ...]:
    """Visits that submitted a feed, at times in seconds: two rows each."""
    done = at + 0.5 if ended else None
    submit = Row(0, "submit", "POST /feeds", at, at, at + 0.1, 303, "")
    return count * (submit, Row(0, "content", "content on the page", at, at, done, 200, error))


@pytest.mark.parametrize(
    ("rows", "arrived", "doubts"),
    [
        (visits(100), 100, []),
        (visits(100), 95, []),  # some may have failed before they arrived
        (visits(100), 20, ["100 feeds were submitted and 100 of their pages done, but .* asked for 20"]),
        (visits(100, ended=False), 15, []),  # a long queue
        (visits(100, ended=False), 0, ["100 feeds were submitted and 0 of .* asked for 0"]),  # a dead worker
        (visits(3, ended=False, at=19.0), 0, []),  # only just submitted
        (visits(99) + visits(1, NO_ENTRIES), 100, []),
        (visits(90) + visits(10, NO_ENTRIES), 100, ["10 of 100 visits found no entries"]),
        (visits(100, "no content after 60 s"), 15, []),  # slow, but not wrong: the reader's long queue
        ((), 0, []),
    ],
)
def test_feeds_that_nobody_fetched_are_a_doubt(
    rows: tuple[Row, ...], arrived: int, doubts: list[str]
) -> None:
    """One-sided: other clients may use the feed server too, so more requests than feeds are no doubt."""
    recording = Recording(started_at=0.0, stopped_s=20.0, ended_s=20.0, rows=rows)
    found = not_fetched(recording, arrived)
    assert [bool(re.search(*each)) for each in zip(doubts, found, strict=True)] == [True] * len(doubts)


def test_good_feeds_have_to_be_shown_unless_they_take_longer_than_the_reader_waits() -> None:
    """Which are good follows from the feed server's mix and seed."""
    mix = {"typical": 50.0, "slow": 40.0, "hang": 10.0}
    for n in range(300):
        kind = kind_of(n, mix, 7)
        assert is_good("mix", n, 9.0, mix, 7) == (kind != "hang")
        assert is_good("mix", n, 4.0, mix, 7) == (kind != "hang" and delay_of(kind, n, 7) <= 4.0)
    assert (
        is_good("fast", 1, 1.0, mix)
        and not is_good("error", 1, 9.0, mix)
        and not is_good("drip", 1, 9.0, mix)
    )


def test_a_page_shows_a_feed_by_the_links_of_its_entries() -> None:
    """Links of this very feed: a reader that mixed feeds up would otherwise pass."""
    page = b"<h1>List</h1>" + document("typical", 12).entries
    assert has_entries_of(12, page)
    assert not has_entries_of(1, page) and not has_entries_of(2, page) and not has_entries_of(12, b"")


def test_a_feed_server_says_what_it_does_and_what_it_was_asked_for() -> None:
    """Its count grows with each request, answered or not."""
    with running_feedserver(mix={"fast": 75, "slow": 25}, seed=3) as server:
        assert feed_state(server.url) == FeedState(0, {"fast": 75, "slow": 25}, 3)
        requests.get(server.feed_url("fast", 1), timeout=60)
        requests.get(server.feed_url("error", 1), timeout=60)
        assert feed_state(server.url).requested == 2
    with pytest.raises(UsageError, match="No feed server answers at"):
        feed_state(server.url)
    with pytest.raises(UsageError, match="Nothing answers at"):
        check_reader(server.url)


@pytest.mark.parametrize("body", [b"ok", b"{}", b"[]", b'{"requested": 1, "mix": 2, "seed": 3}'])
def test_another_server_is_no_feed_server(body: bytes) -> None:
    """Whatever it answers; it may be a reader."""

    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Other) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        with pytest.raises(UsageError, match="is not a feed server"):
            feed_state(url)
        check_reader(url)
        server.shutdown()
