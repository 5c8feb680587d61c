"""The XML that the fake feed server sends: short, readable, different for each feed, and deterministic.

`n` chooses the format as well as the words: RSS 2.0, Atom and RSS 1.0 in turn, the three that a reader meets.
A document is made from (kind, n, seed) alone in about half a millisecond, and recent ones are cached.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import lru_cache
from random import Random
from xml.sax.saxutils import escape

from loadtests.feedserver.kinds import fingerprint

LINK = re.compile(rb"http://example\.org/[a-z-]+/(\d+)/")  # to an entry of a feed
NEWEST = datetime(2025, 6, 1, 12, tzinfo=UTC)  # fixed, like everything here: "now" would change the document

# With "&", "<" and non-ASCII letters, because that is where a reader's handling of text goes wrong.
SUBJECTS = (
    "the night train", "the corner bakery", "the city library", "the weather station", "the R&D garden",
    "the café by the bridge", "the town choir", "the island ferry", "the repair shop", "the observatory",
    "the school orchestra", "the harbour museum",
)  # fmt: skip
VERBS = (
    "opens its doors to", "makes room for", "says goodbye to", "is looking for", "counts", "has found",
    "photographs", "writes a song about", "is proud of", "can't explain", "prepares for", "learns from",
)  # fmt: skip
OBJECTS = (
    "forty-one swans", "a longer timetable", "its first apprentice", "the last tram", "a lost umbrella",
    "salt & pepper ice cream", "an early spring", "tickets for < 2 euros", "a piano without keys",
    "two hundred volunteers", "Zoë’s old bicycle", "a very small owl",
)  # fmt: skip
TIMES = (
    "on Sunday morning", "before the summer", "after a long winter", "for the first time", "without any fuss",
    "in spite of the rain", "for the third year running", "while nobody is watching",
    "at the very last minute", "with help from the neighbours",
)  # fmt: skip
PAPERS = ("Courier", "Gazette", "Messenger", "Observer", "Almanac", "Chronicle", "Herald", "Bulletin")
TOWNS = (
    "Northgate", "Low Harbour", "Alder & Ash", "Saint-Rémy", "Mill Lane", "Fivebridges", "Eastmoor",
    "Quince Hill",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class FeedDocument:
    """A feed ready to send, in the parts that the `malformed` and `huge` kinds need."""

    content_type: str
    head: bytes
    entries: bytes
    tail: bytes

    @property
    def body(self) -> bytes:
        """The whole document, UTF-8."""
        return self.head + self.entries + self.tail


@dataclass(frozen=True, slots=True)
class _Entry:
    """An entry's text, escaped for XML (`link` and `guid` need no escaping)."""

    title: str
    summary: str  # a paragraph of HTML, as in most feeds, and so escaped twice: as HTML, then for XML
    link: str
    guid: str
    published: datetime


@lru_cache(maxsize=1024)
def document(kind: str, n: int, seed: int = 0) -> FeedDocument:
    """The feed at `/feeds/<kind>/<n>.xml`: 10 to 30 entries, newest first; `n % 3` chooses the format."""
    rng = Random(fingerprint(seed, "document", kind, n))
    title = escape(f"The {_pick(rng, TOWNS)} {_pick(rng, PAPERS)} ({kind} {n})")
    link = f"http://example.org/{kind}/{n}/"
    published = NEWEST
    entries = []
    for number in range(10 + int(21 * rng.random()), 0, -1):
        published -= timedelta(minutes=20 + int(1420 * rng.random()))
        sentences = [f"{_headline(rng)} {_pick(rng, TIMES)}." for _ in range(1 + int(3 * rng.random()))]
        summary = escape(f"<p>{escape(' '.join(sentences))}</p>")
        guid = f"tag:example.org,2025:{kind}/{n}/{number}"
        entries.append(_Entry(escape(_headline(rng)), summary, f"{link}{number}", guid, published))
    return (_rss2, _atom, _rss1)[n % 3](title, link, entries)


def has_entries_of(n: int, page: bytes) -> bool:
    """Whether a reader's page shows entries of feed `n`, by their links: all else differs between readers."""
    return any(int(link[1]) == n for link in LINK.finditer(page))


def _pick(rng: Random, words: tuple[str, ...]) -> str:
    # Of Random's methods, only random() is guaranteed to give the same numbers in every Python version.
    return words[int(len(words) * rng.random())]


def _headline(rng: Random) -> str:
    words = f"{_pick(rng, SUBJECTS)} {_pick(rng, VERBS)} {_pick(rng, OBJECTS)}"
    return words[0].upper() + words[1:]


def _rss2(title: str, link: str, entries: list[_Entry]) -> FeedDocument:
    head = f"""<?xml version="1.0" encoding="utf-8"?>
<rss version="2.0">
<channel>
<title>{title}</title>
<link>{link}</link>
<description>{title}, in RSS 2.0</description>
"""
    items = "".join(
        f"""<item>
<title>{entry.title}</title>
<link>{entry.link}</link>
<guid isPermaLink="false">{entry.guid}</guid>
<pubDate>{format_datetime(entry.published, usegmt=True)}</pubDate>
<description>{entry.summary}</description>
</item>
"""
        for entry in entries
    )
    return _encoded("application/rss+xml", head, items, "</channel>\n</rss>\n")


def _atom(title: str, link: str, entries: list[_Entry]) -> FeedDocument:
    head = f"""<?xml version="1.0" encoding="utf-8"?>
<feed xmlns="http://www.w3.org/2005/Atom">
<title>{title}</title>
<subtitle>{title}, in Atom</subtitle>
<link href="{link}"/>
<id>{link}</id>
<updated>{entries[0].published.isoformat()}</updated>
<author><name>The editors</name></author>
"""
    items = "".join(
        f"""<entry>
<title>{entry.title}</title>
<link href="{entry.link}"/>
<id>{entry.guid}</id>
<published>{entry.published.isoformat()}</published>
<updated>{entry.published.isoformat()}</updated>
<summary type="html">{entry.summary}</summary>
</entry>
"""
        for entry in entries
    )
    return _encoded("application/atom+xml", head, items, "</feed>\n")


def _rss1(title: str, link: str, entries: list[_Entry]) -> FeedDocument:
    contents = "\n".join(f'<rdf:li rdf:resource="{entry.guid}"/>' for entry in entries)
    head = f"""<?xml version="1.0" encoding="utf-8"?>
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://purl.org/rss/1.0/"
 xmlns:dc="http://purl.org/dc/elements/1.1/">
<channel rdf:about="{link}">
<title>{title}</title>
<link>{link}</link>
<description>{title}, in RSS 1.0</description>
<items><rdf:Seq>
{contents}
</rdf:Seq></items>
</channel>
"""
    items = "".join(
        f"""<item rdf:about="{entry.guid}">
<title>{entry.title}</title>
<link>{entry.link}</link>
<dc:date>{entry.published.isoformat()}</dc:date>
<description>{entry.summary}</description>
</item>
"""
        for entry in entries
    )
    return _encoded("application/rdf+xml", head, items, "</rdf:RDF>\n")


def _encoded(content_type: str, head: str, entries: str, tail: str) -> FeedDocument:
    return FeedDocument(content_type, head.encode(), entries.encode(), tail.encode())
