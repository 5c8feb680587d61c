"""A feed's small copy has all that a reader shows, and nothing that takes long to parse."""

import pytest
from hostile_documents import items
from hypothesis import given
from hypothesis import strategies as st

from feedreader.copying import MAX_ATTRIBUTES, MAX_CHARACTERS, MAX_DEPTH, small_copy
from feedreader.errors import FetchFailed
from feedreader.parsing import MAX_ENTRIES, MAX_LINK, MAX_MARKUP, Document, ParsedFeed, parse_feed
from loadtests.feedserver.documents import document

ATOM = '<feed xmlns="http://www.w3.org/2005/Atom" xml:base="http://example.org/base/"><title>Atom</title>'
MEDIA = 'xmlns:media="http://search.yahoo.com/mrss/"'
FEEDS = {
    **{f"feed {n % 3} of the feed server": document("fast", n).body.decode() for n in range(3)},
    "RSS 0.91": '<!DOCTYPE rss PUBLIC "-//Netscape Communications//DTD RSS 0.91//EN" "rss.dtd">'
    '<rss version="0.91"><channel><title>A</title><image><title>Logo</title><link>l</link></image>'
    "<item><title>One</title><link>/1</link></item>"
    "<textinput><title>Search</title><link>s</link></textinput></channel></rss>",
    "RSS 0.90": '<r:RDF xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#" '
    'xmlns="http://my.netscape.com/rdf/simple/0.9/"><channel><title>A</title></channel>'
    "<item><title>One</title><link>http://example.org/1</link></item></r:RDF>",
    "content beside and instead of descriptions": '<rss version="2.0" '
    'xmlns:content="http://purl.org/rss/1.0/modules/content/" xmlns:dc="http://purl.org/dc/elements/1.1/">'
    "<channel><title>A</title><item><guid>1</guid><description>short</description>"
    "<content:encoded><![CDATA[<p>long</p>]]></content:encoded><dc:date>2025-06-01T12:00:00Z</dc:date></item>"
    "<item><guid>2</guid><content:encoded><![CDATA[<p>a<b>b</b></p><p>c]]></content:encoded>"
    "<dc:creator>Me</dc:creator></item></channel></rss>",
    "a source of an entry": f"{ATOM}<entry><id>1</id><title>Mine</title><source><id>other</id>"
    "<title>Theirs</title><updated>2020-01-01T00:00:00Z</updated></source>"
    "<updated>2025-06-01T12:00:00Z</updated><author><name>Me</name></author>"
    '<link rel="self" href="x"/><link href="1.html"/></entry></feed>',
    "XHTML": f'{ATOM}<entry><id>1</id><title type="xhtml"><div xmlns="http://www.w3.org/1999/xhtml">a<i>b</i>'
    '</div></title><content type="xhtml"><h:div xmlns:h="http://www.w3.org/1999/xhtml"><h:p class="x">one'
    "</h:p><h:p>two</h:p></h:div></content></entry></feed>",
    "HTML in titles": f'{ATOM}<entry><id>1</id><title type="html">&lt;b>a&lt;/b> &amp;amp; b</title></entry>'
    '<entry><id>2</id><title type="text">&lt;b> is a tag</title></entry></feed>',
    "media groups": f"{ATOM}<entry><id>1</id><title>Video</title><media:group {MEDIA}><media:title>Other"
    "</media:title><media:content url='x'/><media:description>About</media:description></media:group>"
    "</entry></feed>",
    "tags within an RSS description": items(2, "<description>one<br/>two <em>three</em></description>"),
    "a title after the entries": '<rss version="2.0"><channel><item><guid>1</guid></item><title>Late</title>'
    "</channel></rss>",
    "instructions and comments": '<?xml-stylesheet href="x"?><!-- a -->'
    + items(1, "<title>a<!-- b -->c</title>"),
    "ids that are links": items(1, "<guid>http://example.org/1</guid><pubDate>1 Jun 2025 GMT</pubDate>"),
    "no entries": '<rss version="2.0"><channel><title>Soon</title></channel></rss>',
}


def as_document(text: str | bytes, content_type: str = "application/xml") -> Document:
    """A document found at http://example.org/blog/feed."""
    body = text.encode() if isinstance(text, str) else text
    return Document("http://example.org/blog/feed", content_type, body)


def found_in(document: Document) -> ParsedFeed | str:
    """What is found in a document, or why nothing is."""
    try:
        return parse_feed(document)
    except FetchFailed as failure:
        return str(failure)


@pytest.mark.parametrize("text", FEEDS.values(), ids=FEEDS)
def test_the_same_is_found_in_the_copy(text: str) -> None:
    """In feeds of every kind."""
    document = as_document(text)
    copy = small_copy(document)
    assert copy is not None and copy.body != document.body
    assert parse_feed(copy) == parse_feed(document)


@pytest.mark.parametrize(
    ("encoding", "content_type"),
    [
        ("utf-8", "text/xml; charset=UTF-8"),
        ("utf-8-sig", "application/rss+xml"),
        ("utf-16", "application/xml"),
        ("iso-8859-1", "application/xml"),
        ("windows-1252", "text/xml; charset='windows-1252'"),
    ],
)
def test_the_copy_has_the_characters_of_the_original(encoding: str, content_type: str) -> None:
    """Whichever way their encoding is told."""
    name = encoding.removesuffix("-sig")
    text = f'<?xml version="1.0" encoding="{name}"?>' + items(1, "<title>Saint-Rémy</title>")
    copy = small_copy(as_document(text.encode(encoding), content_type))
    assert copy is not None and parse_feed(copy).entries[0].title == "Saint-Rémy"


@given(
    st.lists(
        st.text(max_size=3)
        | st.sampled_from(["<title>", "</title>", "<a:b>", "</a:b>", "<link href='x'>", "<b/>", "</item>"])
        | st.sampled_from(["&lt;b&gt;", "&#0;", "&nbsp;", "]]>", "&amp;", "<![CDATA[", "<description>"])
    )
)
def test_whatever_can_be_copied_reads_the_same(pieces: list[str]) -> None:
    """And the rest is left alone."""
    document = as_document(items(1, "<guid>1</guid>" + "".join(pieces)).encode("utf-8", "surrogatepass"))
    copy = small_copy(document)
    assert copy is None or found_in(copy) == found_in(document)


def test_a_copy_ends_with_the_entries_that_are_kept() -> None:
    """However many more there are, and whatever comes after them."""
    entries = "".join(f"<item><guid>{n}</guid></item>" for n in range(MAX_ENTRIES))
    copy = small_copy(as_document(f'<rss version="2.0"><channel>{entries}' + "<item>" * 1000))
    assert copy is not None
    assert [entry.guid for entry in parse_feed(copy).entries] == [str(n) for n in range(MAX_ENTRIES)]


def test_a_copy_is_small() -> None:
    """Texts are cut, and a copy ends before the entry that would make it too large."""
    text = f"<title>{'x' * 2 * MAX_MARKUP}</title>"
    copy = small_copy(as_document(items(MAX_ENTRIES, text)))
    assert copy is not None and len(copy.body) <= MAX_CHARACTERS
    assert copy.body.count(b"</item>") == MAX_CHARACTERS // MAX_MARKUP


@pytest.mark.parametrize(
    "text",
    [
        items(1, "<title>R&D</title>"),
        items(1, "<dc:title>undeclared</dc:title>"),
        items(1, "<a>" * MAX_DEPTH + "</a>" * MAX_DEPTH),
        items(1, "<a " + " ".join(f"a{n}=''" for n in range(MAX_ATTRIBUTES + 1)) + "/>"),
        items(1, f"<link href='{'x' * 3 * MAX_LINK}'/>"),
        items(1, f"<guid>{'x' * (MAX_LINK + 1)}</guid>"),
        '<rss version="2.0"><list><item/></list></rss>',
        "<!DOCTYPE rss [<!ENTITY a 'b'>]>" + items(1, "&a;"),
        "<!DOCTYPE rss SYSTEM 'rss.dtd'>" + items(1, "<title>&eacute;</title>"),
        "<!doctype html><p>Hello",
        "<html/>",
    ],
)
def test_there_is_no_copy_of_what_no_feed_needs(text: str) -> None:
    """Nor of what is no XML, or has its entries where feedparser alone would find them."""
    assert small_copy(as_document(text)) is None


def test_there_is_no_copy_of_more_elements_than_allowed() -> None:
    """Those that are left out count, too."""
    feed = as_document(items(10, "<a><b/></a>"))  # 33 with those around
    assert small_copy(feed, 33) is not None
    assert small_copy(feed, 32) is None


def test_a_copy_has_no_lines() -> None:
    """feedparser takes its time for each: 128 kB of them in ids took 150 ms."""
    copy = small_copy(as_document(items(2, "<guid>one\n\n\ntwo</guid><title>&#10;\r\n three</title>")))
    assert copy and copy.body.count(b"\n") == 1  # after the declaration
