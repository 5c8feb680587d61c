"""Documents made to occupy whoever reads them: each a few bytes, many times over."""

from collections.abc import Callable

from loadtests.feedserver.documents import document

MIB = 2**20
BEGINNING, END = '<rss version="2.0"><channel><title>Bait</title>', "</channel></rss>"


def feed(content: str) -> str:
    """An RSS document with this content."""
    return BEGINNING + content + END


def items(count: int, content: str) -> str:
    """An RSS document with this many items."""
    return feed(f"<item>{content}</item>" * count)


HOSTILE: dict[str, Callable[[], str]] = {
    "attributes": lambda: feed("<item " + " ".join(f"a{n}='x'" for n in range(600_000)) + "/>"),
    "namespaces": lambda: feed("<item " + " ".join(f"xmlns:a{n}='x'" for n in range(300_000)) + "/>"),
    "a long attribute": lambda: feed(f"<item a='{'x' * 9 * MIB}'/>"),
    "a long name": lambda: feed(f"<{'a' * 4 * MIB}></{'a' * 4 * MIB}>"),
    "tiny items": lambda: feed("<item/>" * 1_400_000),
    "broken tiny items": lambda: BEGINNING + "<item/>&" * 1_200_000,
    "long summaries": lambda: items(500, f"<description>{'x ' * 10_000}</description>"),
    "summaries of tags": lambda: items(500, f"<description><![CDATA[{'<b>' * 6_000}]]></description>"),
    "comments in summaries": lambda: items(500, f"<description><![CDATA[{'<!--' * 5_000}]]></description>"),
    "open tags in summaries": lambda: items(500, f"<description><![CDATA[{'<a =' * 5_000}]]></description>"),
    "a long title": lambda: items(1, f"<title>{'x' * 9 * MIB}</title>"),
    "a long guid": lambda: items(1, f"<guid>{'x' * 9 * MIB}</guid>"),
    "a long date": lambda: items(1, f"<pubDate>{'1 ' * 4 * MIB}</pubDate>"),
    "a long author": lambda: items(1, f"<author>{'x' * 200_000}</author>"),
    "nested": lambda: feed("<a>" * 500_000 + "</a>" * 500_000),
    "nested without end": lambda: BEGINNING + "<a>" * 900_000,
    "nested in a summary": lambda: feed("<item><description>" + "<b>" * 900_000),
    "less-than signs": lambda: BEGINNING + "<" * 3_000_000,
    "ampersands": lambda: BEGINNING + "&" * 3_000_000,
    "quotation marks": lambda: BEGINNING + '<a "' * 1_000_000,
    "empty lines": lambda: "\n" * 200_000 + BEGINNING + "&",
    "blanks in a tag": lambda: BEGINNING + f"<a{' ' * 9 * MIB}&",
    "comments": lambda: feed("<!---->" * 1_400_000),
    "a comment without end": lambda: BEGINNING + "<!--" * 2_000_000,
    "a CDATA section without end": lambda: BEGINNING + "<title><![CDATA[" + "]]" * 4_000_000,
    "encodings": lambda: "<?xml " + 'encoding="x" ' * 20_000 + BEGINNING,
    "entities within entities": lambda: (
        '<!DOCTYPE rss [<!ENTITY a0 "ha">'
        + "".join(f"<!ENTITY a{n} '" + f"&a{n - 1};" * 10 + "'>" for n in range(1, 10))
        + f"]>{items(1, '<title>&a9;</title>')}"
    ),
    "an entity many times": lambda: (
        f"<!DOCTYPE rss [<!ENTITY a '{'x' * 100_000}'>]>" + items(1, f"<title>{'&a;' * 100_000}</title>")
    ),
    "characters beyond Unicode's first plane": lambda: BEGINNING + "\N{OWL}" * 2_500_000,
    "much of a good feed": lambda: (
        document("fast", 0).body.decode().replace("<item>", "<x/>" * 20_000 + "<item>")
    ),
}
