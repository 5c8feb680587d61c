"""A small copy of a feed: plain XML, with nothing but what a reader shows.

feedparser keeps all that it meets, and searches with patterns that backtrack: 30 kB of empty lines take it
seconds, in which no other thread runs. So it gets such a copy, each part of which is bounded, if there can be
one. expat, which is C, reads the original, and no further than the last entry that is kept.
"""

import re
from collections.abc import Sequence
from xml.parsers.expat import ExpatError, ParserCreate
from xml.sax.saxutils import escape, quoteattr

from feedreader.parsing import MAX_ENTRIES, MAX_LINK, MAX_MARKUP, Document

MAX_CHARACTERS = 2 * 2**20  # of a copy, about: it ends with the last entry before
MAX_DEPTH = 50  # elements within each other
MAX_ATTRIBUTES = 30  # of one element
ENTRY = re.compile(rb"<(?:[\w.-]+:)?(?:item|entry)\b", re.IGNORECASE)
CHARSET = re.compile(r"charset=[\"']?([\w.:-]+)", re.ASCII)
# What is copied, with how many characters of text. All else is left out, with all that it contains.
COPIED = {
    **dict.fromkeys(("rss", "rdf", "feed", "channel", "item", "entry", "group"), 0),
    **dict.fromkeys(("link", "guid", "id"), MAX_LINK),
    **dict.fromkeys(("published", "issued", "pubdate", "updated", "modified", "date"), 100),
    **dict.fromkeys(("title", "description", "summary", "content", "encoded", "abstract"), MAX_MARKUP),
}


def small_copy(document: Document, elements: int = 2**31) -> Document | None:
    """A copy with the first entries, at most MAX_ENTRIES.

    None if the document is not well-formed, has entries in unusual places only, or has what no feed needs:
    entities of its own, deep nesting, dozens of attributes, endless ids, or more than this many elements.
    """
    charset = CHARSET.search(document.content_type)
    copy = _Copy(elements)
    try:
        parser = ParserCreate(charset and charset[1])
        parser.buffer_text = parser.ordered_attributes = True
        parser.StartElementHandler = copy.start
        parser.EndElementHandler = copy.end
        parser.CharacterDataHandler = copy.text
        parser.StartDoctypeDeclHandler = copy.doctype
        parser.SkippedEntityHandler = copy.entity
        try:
            parser.Parse(document.body, True)
        except _Enough:
            copy.cut()
        body = "".join(copy.pieces).encode()
        # feedparser reads undeclared prefixes, too, but with a parser of its own, which is slow.
        ParserCreate(namespace_separator=" ").Parse(body, True)
    except (ExpatError, LookupError, ValueError):
        return None
    if not copy.entries and ENTRY.search(document.body):
        return None
    return Document(document.url, f"{document.content_type.partition(';')[0]}; charset=utf-8", body)


class _Enough(Exception):
    """The rest of the document is not needed."""


class _Copy:
    """Writes the copy as the parser reads the document. Raises ValueError if there can be none."""

    def __init__(self, elements: int) -> None:
        self.pieces = ["<?xml version='1.0' encoding='utf-8'?>\n"]
        self.entries = 0
        self._elements = elements  # that may still begin
        self._size = 0  # characters
        self._open: list[str] = []
        self._whole = 0, ""  # up to the last entry: how many pieces, and the tags that close what is open
        self._left_out = 0  # how deep we are in an element that is left out
        self._prose = 0  # how deep the element is whose text may have markup, if we are in one
        self._room = 0  # characters that may still come

    def start(self, name: str, attributes: Sequence[str]) -> None:
        self._elements -= 1
        depth = len(self._open) + self._left_out
        if self._elements < 0 or depth > MAX_DEPTH or len(attributes) > 2 * MAX_ATTRIBUTES:
            raise ValueError
        if self._left_out:
            self._left_out += 1
            return
        if not self._prose:
            room = COPIED.get(name.rpartition(":")[2].lower())
            if room is None:
                self._left_out = 1
                return
            self._room = room
        tag = f"<{name}"
        for key, value in zip(attributes[::2], attributes[1::2], strict=True) if attributes else ():
            if not self._prose or key.startswith("xmlns"):  # the attributes of markup are not text
                tag += f" {key}={quoteattr(value)}"
        if len(tag) > 2 * MAX_LINK:
            raise ValueError
        self._open.append(name)
        if self._room == MAX_MARKUP and not self._prose:
            self._prose = len(self._open)
        self._write(tag + ">")

    def text(self, text: str) -> None:
        if self._left_out or not self._room:
            return
        text = text.replace("\n", " ")  # feedparser takes a microsecond for each line
        if len(text) > self._room:
            if not self._prose:
                raise ValueError  # half an id would be another's
            text = text[: self._room]
        self._room -= len(text)
        self._write(escape(text))

    def end(self, name: str) -> None:
        if self._left_out:
            self._left_out -= 1
            return
        self._write(f"</{name}>")
        if len(self._open) == self._prose:
            self._prose = 0
        if not self._prose:
            self._room = 0
        self._open.pop()
        if not self._prose and name.lower().endswith(("item", "entry")):
            self.entries += 1
            self._whole = len(self.pieces), "".join(f"</{each}>" for each in reversed(self._open))
            if self.entries == MAX_ENTRIES:
                raise _Enough

    def doctype(self, _name: str, _system: str | None, _public: str | None, has_entities: bool) -> None:
        if has_entities:
            raise ValueError

    def entity(self, _name: str, _is_parameter: bool) -> None:
        raise ValueError  # feedparser knows those of HTML

    def cut(self) -> None:
        """End the copy after the last whole entry."""
        kept, tags = self._whole
        self.pieces[kept:] = [tags]

    def _write(self, piece: str) -> None:
        self.pieces.append(piece)
        self._size += len(piece)
        if self._size > MAX_CHARACTERS:
            raise _Enough
