"""What the fast reader takes for plain, feedparser reads in the same way."""

from contextlib import suppress
from io import BytesIO
from typing import Any

import feedparser
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedreader.plain import NotPlain, read_plain
from loadtests.feedserver.documents import document

HEAD = '<?xml version="1.0" encoding="utf-8"?>'
SPACES = (
    'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:content="http://purl.org/rss/1.0/modules/content/"'
    ' xmlns:media="http://search.yahoo.com/mrss/" xmlns:itunes="http://www.itunes.com/dtds/podcast-1.0.dtd"'
    ' xmlns:atom="http://www.w3.org/2005/Atom" xmlns:slash="http://purl.org/rss/1.0/modules/slash/"'
)
RSS = HEAD + f'<rss version="2.0" {SPACES}><channel>{{}}</channel></rss>'
RDF = (
    HEAD
    + '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://purl.org/rss/1.0/"'
    + f" {SPACES}>{{}}</rdf:RDF>"
)
ATOM = HEAD + f'<feed xmlns="http://www.w3.org/2005/Atom" {SPACES}>{{}}</feed>'


def mostly(usual: list[str], odd: list[str]) -> st.SearchStrategy[str]:
    """One of the usual values, and now and then an odd one."""
    return st.integers(0, 15).flatmap(lambda n: st.sampled_from(usual if n else odd))


TEXTS = mostly(
    ["One", " Two\n", "", "R&amp;D", "5 &lt; 6", "<![CDATA[a & b]]>", "it&#8217;s", "Zoë", "a<!-- no -->b"],
    [
        "&lt;b>x&lt;/b>",
        "&amp;amp;",
        "<![CDATA[<p>x</p>]]>",
        "ZoÃ«",
        "&#x92;",
        "<b>x</b>",
        "&nbsp;",
        "\u2028x",
    ],
)
HTML = mostly(
    ["One", "", "<![CDATA[<p>a &amp; b</p>]]>", "&lt;p>Zoë", "it&amp;#8217;s"], ["<p>x</p>", "ZoÃ«"]
)
LINKS = mostly(
    [
        "http://e.org/1",
        "https://e.org/a?b=1&amp;c=2",
        " http://e.org/2 ",
        "urn:uuid:1",
        "tag:e.org,2025:1",
        "",
        "/p/1",
    ],
    ["http:///x", "javascript:alert(1)", "http://e.org/?a&amp;b;", "http://[x", "feed:http://e.org", "ZoÃ«"],
)
TIMES = mostly(
    [
        *(
            "Mon, 02 Jun 2025 01:30:00 +0200",
            "Mon, 02 Jun 2025 01:30:00 GMT",
            "Sun, 02 Jun 2025 01:30:00 -0330",
        ),
        *("2025-06-02T01:30:00Z", "2025-06-02T01:30:00-05:30"),
    ],
    [
        *("", "yesterday", "2025-06-02", "Mon, 31 Jun 2025 01:30:00 GMT", "Mon, 2 Jun 25 1:30 EST"),
        *("2025-02-30T00:00:00Z", "Mon, 02 Jun 2025 23:59:60 GMT", "Abc, 02 Xyz 2025 01:30:00 GMT"),
        *("Mon, 02 Jun 2025 01:30:00 +9900", "2025-06-02T24:00:00Z", "0001-01-01T00:00:00+10:00"),
    ],
)


def elements(*forms: tuple[str, st.SearchStrategy[str]]) -> st.SearchStrategy[str]:
    """Some elements in any order; each form has a place for a value."""
    chosen = st.lists(st.sampled_from(forms), max_size=6, unique_by=lambda form: form[0][:4])
    return chosen.flatmap(
        lambda some: st.tuples(*(values.map(form.format) for form, values in some)).map("".join)
    )


BESIDE = (
    ("<dc:creator>{}</dc:creator>", TEXTS),
    ("<slash:comments>{}</slash:comments>", TEXTS),
    ("<content:encoded>{}</content:encoded>", HTML),
)
RARE = (
    ("<dc:title>{}</dc:title>", TEXTS),
    ("<media:title>{}</media:title>", TEXTS),
    ("<itunes:summary>{}</itunes:summary>", TEXTS),
    ("<source url='http://e.org/'>{}</source>", TEXTS),
    ("<source><title>{}</title></source>", TEXTS),
    ("<atom:link href='{}'/>", LINKS),
    ("<title type='xhtml'><div xmlns='http://www.w3.org/1999/xhtml'>{}</div></title>", TEXTS),
)
RSS1_FORMS = (
    ("<title>{}</title>", TEXTS),
    ("<link>{}</link>", LINKS),
    ("<description>{}</description>", HTML),
    ("<dc:date>{}</dc:date>", TIMES),
)
RSS_FORMS = (
    *RSS1_FORMS,
    ("<guid>{}</guid>", LINKS),
    ("<guid isPermaLink='false'>{}</guid>", LINKS),
    ("<pubDate>{}</pubDate>", TIMES),
    ("<enclosure url='{}' type='audio/mpeg'/>", LINKS),
    ("<author>{}</author>", TEXTS),
    ("<category>{}</category>", TEXTS),
)
ATOM_FORMS = (
    ("<title>{}</title>", TEXTS),
    ("<title type='html'>{}</title>", HTML),
    ("<link href='{}'/>", LINKS),
    ("<link rel='alternate' type='text/html' href='{}'/>", LINKS),
    ("<link rel='enclosure' href='{}'/>", LINKS),
    ("<id>{}</id>", LINKS),
    ("<summary>{}</summary>", TEXTS),
    ("<summary type='html'>{}</summary>", HTML),
    ("<content type='html'>{}</content>", HTML),
    ("<published>{}</published>", TIMES),
    ("<updated>{}</updated>", TIMES),
    ("<author><name>{}</name></author>", TEXTS),
)
ABOUT = elements(("<title>{}</title>", TEXTS), ("<link>{}</link>", LINKS), ("<ttl>{}</ttl>", TEXTS))
ABOUT_MORE = elements(
    ("<title>{}</title>", TEXTS),
    ("<image><title>{}</title></image>", TEXTS),
    ("<dc:title>{}</dc:title>", TEXTS),
)


def feeds(
    whole: str, channel: str, entry: str, *forms: tuple[str, st.SearchStrategy[str]]
) -> st.SearchStrategy[str]:
    """Documents of one language, most of them with the usual elements only."""
    usual, any_form = elements(*forms, *BESIDE), elements(*forms, *BESIDE, *RARE)
    entries = st.lists(st.one_of(usual, usual, usual, any_form).map(entry.format), max_size=3).map("".join)
    about = st.one_of(ABOUT, ABOUT, ABOUT_MORE).map(channel.format)
    return st.tuples(about, entries).map("".join).map(whole.format)


DOCUMENTS = st.one_of(
    feeds(RSS, "{}", "<item>{}</item>", *RSS_FORMS),
    feeds(RDF, "<channel>{}</channel>", '<item rdf:about="urn:x">{}</item>', *RSS1_FORMS),
    feeds(ATOM, "{}", "<entry>{}</entry>", *ATOM_FORMS),
)


def fields(found: Any, *names: str) -> dict[str, Any]:
    """These fields of what feedparser or the fast reader has found."""
    some = {name: dict.get(found, name) for name in names}
    times = {name: tuple(some[name] or ())[:6] for name in names if name.endswith("parsed")}
    kinds = {name: (some[name] or {}).get("type") for name in names if name.endswith("detail")}
    return some | times | kinds


def compared(body: bytes, content_type: str = "application/xml; charset=utf-8") -> None:
    """Both read the same. Raises NotPlain if the fast reader leaves it to feedparser."""
    feed, entries = read_plain(body, content_type)
    found = feedparser.parse(
        BytesIO(body),
        response_headers={"content-type": content_type},
        resolve_relative_uris=False,
        sanitize_html=False,
    )
    title = ("title", "title_detail")
    own = (*title, "id", "link", "summary", "summary_detail", "published_parsed", "updated_parsed")
    assert found.version
    assert fields(feed, *title) == fields(found.feed, *title)
    assert [fields(each, *own) for each in entries] == [fields(each, *own) for each in found.entries]


@pytest.mark.parametrize("n", range(30))
def test_the_feed_servers_documents_are_plain(n: int) -> None:
    """In all three languages."""
    sent = document("typical", n)
    compared(sent.body, f"{sent.content_type}; charset=utf-8")


def test_a_blogs_feed_is_plain() -> None:
    """With the elements that the usual programs add."""
    item = (
        "<title>It&#8217;s</title><link>http://example.org/?p=1</link><dc:creator><![CDATA[Zoë]]></dc:creator>"
        "<pubDate>Mon, 02 Jun 2025 01:30:00 +0000</pubDate><category>news</category>"
        '<guid isPermaLink="false">http://example.org/?p=1</guid>'
        "<description><![CDATA[<p>Short &#8230;</p>]]></description>"
        "<content:encoded><![CDATA[<p>Long</p>]]></content:encoded><slash:comments>3</slash:comments>"
    )
    compared(
        RSS.format(f"<title>A blog</title><image><title>logo</title></image><item>{item}</item>").encode()
    )


@given(DOCUMENTS)
def test_what_is_plain_is_read_as_feedparser_does(text: str) -> None:
    """Whatever is in it, and in whatever order; what is not plain is no concern of this test."""
    with suppress(NotPlain):
        compared(text.encode())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"hello",
        RSS.format("<item>").encode(),
        RSS.format("<title>Zo\xeb</title>").encode("latin-1"),
        RSS.format("<title>One</title>").replace("utf-8", "latin-1").encode(),
        f'{HEAD}<!DOCTYPE rss [<!ENTITY e "x">]><rss><channel><title>&e;</title></channel></rss>'.encode(),
        ATOM.format('<entry xml:base="http://b.org/"><id>1</id></entry>').encode(),
        f"{HEAD}<html><title>Blog</title></html>".encode(),
    ],
)
def test_what_is_not_plain_is_left_to_feedparser(body: bytes) -> None:
    """Damaged, in another encoding, with entities of its own, or no feed."""
    with pytest.raises(NotPlain):
        read_plain(body, "")
