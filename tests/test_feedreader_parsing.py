"""Feeds of every kind become plain text, safe links and times."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedreader.errors import FetchFailed
from feedreader.parsing import (
    MAX_ENTRIES,
    MAX_ID,
    MAX_SUMMARY,
    MAX_TITLE,
    Document,
    ParsedEntry,
    ParsedFeed,
    parse_feed,
    plain_text,
)
from loadtests.feedserver.documents import document


def parse(text: str | bytes, content_type: str = "application/xml; charset=utf-8") -> ParsedFeed:
    """Parse a document found at http://example.org/blog/feed."""
    body = text.encode() if isinstance(text, str) else text
    return parse_feed(Document("http://example.org/blog/feed", content_type, body))


def rss(*items: str, title: str = "A feed") -> str:
    """An RSS document with these items."""
    content = "".join(f"<item>{item}</item>" for item in items)
    return f'<rss version="2.0"><channel><title>{title}</title>{content}</channel></rss>'


def only_entry(item: str) -> ParsedEntry:
    """The entry of an RSS document with one item."""
    (entry,) = parse(rss(item)).entries
    return entry


@pytest.mark.parametrize("n", [0, 1, 2], ids=["RSS 2.0", "Atom", "RSS 1.0"])
def test_the_formats_of_the_web_are_read(n: int) -> None:
    """Every field of every format that a reader meets."""
    sent = document("fast", n)
    feed = parse(sent.body, f"{sent.content_type}; charset=utf-8")
    assert f"(fast {n})" in feed.title
    assert 10 <= len(feed.entries) <= 30
    for entry in feed.entries:
        assert entry.guid.startswith(f"tag:example.org,2025:fast/{n}/")
        assert entry.link.startswith(f"http://example.org/fast/{n}/")
        assert entry.published_at is not None and entry.published_at.year in (2024, 2025)
        assert entry.title and entry.summary.endswith(".") and "<p>" not in entry.summary
    assert feed.entries == sorted(feed.entries, key=lambda entry: str(entry.published_at), reverse=True)


def test_an_entry_is_told_by_its_guid_or_its_link_or_its_words() -> None:
    """Whatever a feed leaves out, the same entry is recognised next time."""
    assert only_entry("<guid>g1</guid><link>http://example.org/1</link>").guid == "g1"
    assert only_entry("<link>http://example.org/1</link><title>One</title>").guid == "http://example.org/1"
    first, second = parse(rss("<title>One</title>", "<title>Two</title>")).entries
    assert first.guid != second.guid
    assert parse(rss("<title>One</title>")).entries[0].guid == first.guid


def test_a_guid_that_stands_twice_gives_one_entry() -> None:
    """The first one, which is the newest, wins."""
    entries = parse(rss("<guid>g</guid><title>new</title>", "<guid>g</guid><title>old</title>")).entries
    assert [entry.title for entry in entries] == ["new"]


def test_what_is_too_long_is_cut() -> None:
    """Pages and indexes have limits; long guids still stay distinct."""
    words = "word " * 500
    items = [
        f"<guid>{'g' * 5000}{n}</guid><title>{words}</title><description>{words}</description>"
        for n in range(2)
    ]
    first, second = parse(rss(*items)).entries
    assert len(first.title) <= MAX_TITLE and first.title.endswith("word…")
    assert len(first.summary) <= MAX_SUMMARY and first.summary.endswith("…")
    assert len(first.guid) <= MAX_ID and first.guid != second.guid


def test_a_feed_with_thousands_of_entries_gives_the_first_ones() -> None:
    """They are the newest."""
    entries = parse(rss(*(f"<guid>{n}</guid>" for n in range(MAX_ENTRIES + 10)))).entries
    assert [entry.guid for entry in entries] == [str(n) for n in range(MAX_ENTRIES)]


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("nothing to do", "nothing to do"),
        ("<p>one</p><p>two</p>", "one two"),
        ("wo<b>rd</b>s &amp; <i>more</i>", "words & more"),
        ("line<br>break\n\n and   space", "line break and space"),
        ("<script>alert('x')</script>safe<style>p {}</style>", "safe"),
        ("<img src=x onerror=alert(1)>", ""),
        ("5 < 6 &lt; 7", "5 < 6 < 7"),
        ("<p>cut of", "cut of"),
    ],
)
def test_html_becomes_its_text(html: str, text: str) -> None:
    """Words stay apart, markup is removed, and the contents of scripts are not text."""
    assert plain_text(html) == text


def test_text_that_looks_a_bit_like_html_stays() -> None:
    """A plain-text title may contain any character."""
    assert (
        only_entry("<title>tickets for &lt; 2 euros &amp; R&amp;D</title>").title
        == "tickets for < 2 euros & R&D"
    )


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ("https://example.com/1?a=1&amp;b=2", "https://example.com/1?a=1&b=2"),
        ("/posts/1", "http://example.org/posts/1"),
        ("posts/1", "http://example.org/blog/posts/1"),
        ("javascript:alert(1)", ""),
        ("JavaScript:alert(1)", ""),
        ("data:text/html,x", ""),
        ("mailto:a@example.org", ""),
        ("http://[broken", ""),
        ("http://example.org/" + "x" * 3000, ""),
    ],
)
def test_only_links_to_the_web_are_kept(link: str, expected: str) -> None:
    """A link in a stranger's feed must not run a script on our page."""
    assert only_entry(f"<guid>g</guid><link>{link}</link>").link == expected


def test_times_are_in_utc_whatever_the_feed_writes() -> None:
    """An invalid time becomes no time."""
    written = "<guid>g</guid><pubDate>{}</pubDate>"
    moment = only_entry(written.format("Mon, 02 Jun 2025 01:30:00 +0200")).published_at
    assert moment == datetime(2025, 6, 1, 23, 30, tzinfo=UTC)
    assert only_entry(written.format("yesterday")).published_at is None


def test_a_damaged_feed_gives_the_entries_that_can_be_read() -> None:
    """Many feeds on the web are not well-formed."""
    damaged = rss("<guid>1</guid><title>One & only</title>", "<guid>2</guid><title>Two</title>")[:-20]
    assert [entry.title for entry in parse(damaged).entries] == ["One & only", "Two"]


def test_a_feed_without_entries_is_a_feed() -> None:
    """It may be a new blog's."""
    assert parse(rss(title="Soon")) == ParsedFeed("Soon", [])


@pytest.mark.parametrize(
    ("body", "content_type", "reason"),
    [
        (b"<!doctype html><title>Blog</title><p>Hello", "text/html; charset=utf-8", "it is text/html."),
        (b"", "application/xml", "it is empty."),
        (b"hello", "", "it is of unknown type."),
        (b'{"version": "https://jsonfeed.org/version/1.1"}', "application/json", "it is application/json."),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "image/png", "it is image/png."),
        (
            document("malformed", 0).head + b"<title>Half",
            "application/xml",
            "its XML is broken before the first",
        ),
    ],
)
def test_what_is_no_feed_is_refused_with_a_reason(body: bytes, content_type: str, reason: str) -> None:
    """The visitor learns what was found instead."""
    with pytest.raises(FetchFailed, match=f"^The document is not a feed.*{reason}"):
        parse(body, content_type)


def test_a_file_is_not_read_because_a_document_names_it() -> None:
    """feedparser opens a file if the document, given as bytes, is its name."""
    with pytest.raises(FetchFailed, match="not a feed"):
        parse(b"/etc/hostname")


def test_entities_neither_blow_up_nor_read_files() -> None:
    """XML attacks: entities that expand exponentially, and entities that include a file."""
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    bomb = f'<!DOCTYPE rss [<!ENTITY l0 "ha">{laughs}]>' + rss("<title>&l9;</title>")
    thief = '<!DOCTYPE rss [<!ENTITY f SYSTEM "file:///etc/passwd">]>' + rss("<title>&f;</title>")
    for text in (bomb, thief):
        (entry,) = parse(text).entries
        assert len(entry.title) <= MAX_TITLE and "root:" not in entry.title


@given(
    st.lists(st.text() | st.sampled_from(["&#0;", "&#xD800;", "\x00", "<b>", "]]>", "&amp;", "<![CDATA["]))
)
def test_no_document_makes_the_parser_raise_or_gives_what_a_database_refuses(pieces: list[str]) -> None:
    """Any document gives either a feed with storable text or a reason."""
    text = "".join(pieces)
    body = rss(
        f"<guid>{text}</guid><title>{text}</title><link>{text}</link><description>{text}</description>"
    )
    try:
        feed = parse(body.encode("utf-8", "surrogatepass"))
    except FetchFailed:
        return
    for entry in feed.entries:
        for value in entry[:4]:
            assert isinstance(value, str) and "\x00" not in value
            value.encode()
