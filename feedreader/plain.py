"""Reads plain feeds: well-formed, in UTF-8, and made of the usual elements.

feedparser reads every feed, but takes ten times as long: two fifths of what a worker's job costs. Whatever is
not plain is left to it. On the rest the two agree; a test compares them.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from time import struct_time
from typing import Any
from xml.etree.ElementTree import Element, ParseError, fromstring

ATOM, RSS1 = "{http://www.w3.org/2005/Atom}", "{http://purl.org/rss/1.0/}"
DC, RDF = "{http://purl.org/dc/elements/1.1/}", "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
LONG_TEXT = {"{http://purl.org/rss/1.0/modules/content/}encoded", ATOM + "content"}
HARMLESS = {  # elements that change none of our fields
    *("author", "category", "comments", "enclosure", DC + "creator", DC + "subject"),
    *(ATOM + "author", ATOM + "category", ATOM + "contributor"),
    "{http://wellformedweb.org/CommentAPI/}commentRss",
    "{http://purl.org/rss/1.0/modules/slash/}comments",
}
MOST_BYTES = 2**20  # the whole document becomes objects, forty times its size at worst
PERSON = {ATOM + "name", ATOM + "uri", ATOM + "email"}
WITH_PARTS = {"image", ATOM + "author", RSS1 + "items"}  # what may have parts in a channel

UTF_8 = re.compile(rb"""<\?xml version=["']1\.0["'] encoding=["'](utf|UTF)-8["'] ?\?>""")
UNUSUAL = re.compile(rb"<!DOCTYPE|base\s*=")  # the first may define entities; the second changes links
MENDED = re.compile("[\x80-\x9f]|[\xc2-\xf4][\x80-\xbf]")  # by feedparser: Windows' characters, UTF-8 twice
HTML = re.compile(r"</\w+>|&#?\w+;")  # in a text that is not declared as HTML
RFC_822 = re.compile(r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d (GMT|[+-]\d{4})")
W3C = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)")

Found = dict[str, Any]  # a feed or an entry, as feedparser gives it


class NotPlain(Exception):
    """This feed is left to feedparser."""


RSS_FIELDS = {"title": "title", "link": "link", "description": "summary"}
DATE = {DC + "date": "updated"}
ATOM_FIELDS = ("title", "link", "id", "summary", "published", "updated")
# For each root: its channel, an entry's element, and our names for the elements of an entry.
LANGUAGES: dict[str, tuple[str, str, Mapping[str, str]]] = {
    "rss": ("channel", "item", {**RSS_FIELDS, "guid": "id", "pubDate": "published", **DATE}),
    RDF + "RDF": (
        RSS1 + "channel",
        RSS1 + "item",
        {RSS1 + tag: name for tag, name in RSS_FIELDS.items()} | DATE,
    ),
    ATOM + "feed": (".", ATOM + "entry", {ATOM + name: name for name in ATOM_FIELDS}),
}


def read_plain(body: bytes, content_type: str) -> tuple[Found, list[Found]]:
    """The feed and its entries as feedparser gives them, without the fields that nobody uses here.

    Raises NotPlain.
    """
    charset = content_type.lower().partition("charset=")[2]
    if (
        len(body) > MOST_BYTES
        or not UTF_8.match(body)
        or charset not in {"", "utf-8"}
        or UNUSUAL.search(body)
    ):
        raise NotPlain
    try:
        root = fromstring(body)
    except ParseError as error:
        raise NotPlain from error
    if root.tag not in LANGUAGES:
        raise NotPlain
    channel, item, fields = LANGUAGES[root.tag]
    channels = root.findall(channel)
    items = (channels if root.tag == "rss" else [root])[0].findall(item) if channels else []
    if len(channels) != 1 or len(items) != sum(1 for _ in root.iter(item)):
        raise NotPlain
    return _feed(channels[0], item, fields), [_entry(each, fields) for each in items]


def _feed(channel: Element, item: str, fields: Mapping[str, str]) -> Found:
    found: Found = {}
    for child in channel:
        if fields.get(child.tag) == "title" and not found:
            _put_text(found, "title", child)
        elif child.tag.rpartition("}")[2] == "title" or (len(child) and child.tag not in {item, *WITH_PARTS}):
            raise NotPlain
    return found


def _entry(item: Element, fields: Mapping[str, str]) -> Found:
    found: Found = {}
    page = None  # the link that a guid is, unless there is a link of its own
    if about := item.get(RDF + "about"):
        found["id"] = about
    for child in item:
        name = fields.get(child.tag)
        if name is None:
            _must_be_harmless(child, found)
        elif child.tag == ATOM + "link":
            _put_link(found, child)
        elif len(child) or name in found:
            raise NotPlain
        elif name in {"title", "summary"}:
            _put_text(found, name, child)
        elif name in {"published", "updated"}:
            found[name], found[f"{name}_parsed"] = child.text, _moment(child.text or "")
        elif child.keys() and child.keys() != ["isPermaLink"]:
            raise NotPlain
        else:
            found[name] = text = _usual(child.text or "")
            if (name == "link" and ";" in text) or ":///" in text:
                raise NotPlain
            if name == "id" and child.get("isPermaLink", "true") == "true":
                page = text
    if page is not None:
        found.setdefault("link", page)
    return found


def _must_be_harmless(child: Element, found: Found) -> None:
    """Refuse an element that may change one of our fields, as content does if there is no summary yet."""
    content = child.tag in LONG_TEXT and "summary" in found and not len(child)
    if not content and not (child.tag in HARMLESS and all(part.tag in PERSON for part in child)):
        raise NotPlain


def _put_text(found: Found, name: str, element: Element) -> None:
    found[name] = text = _usual(element.text or "")
    kind = element.get("type", "html" if name == "summary" and element.tag != ATOM + "summary" else "text")
    if len(element) or kind not in {"text", "html"} or element.keys() not in ([], ["type"]):
        raise NotPlain
    if kind == "text" and HTML.search(text):  # feedparser takes a guess
        raise NotPlain
    found[f"{name}_detail"] = {"type": "text/plain" if kind == "text" else "text/html"}


def _put_link(found: Found, element: Element) -> None:
    """An entry of Atom may have several links; the alternate one is its page."""
    href = element.get("href", "")
    if not href or ":///" in href or not set(element.keys()) <= {"rel", "type", "href", "title", "length"}:
        raise NotPlain
    if element.get("rel", "alternate") == "alternate":
        if "link" in found or element.get("type", "text/html") != "text/html":
            raise NotPlain
        found["link"] = href


def _usual(text: str) -> str:
    if MENDED.search(text):
        raise NotPlain
    return text.strip()


def _moment(text: str) -> struct_time:
    try:
        if RFC_822.fullmatch(text):
            return parsedate_to_datetime(text).utctimetuple()
        if W3C.fullmatch(text):
            return datetime.fromisoformat(text).utctimetuple()
    except (ValueError, OverflowError) as error:  # the 31st of June
        raise NotPlain from error
    raise NotPlain
