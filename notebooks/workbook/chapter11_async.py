"""The synchronous reader's endpoint with async and await, for chapter 11: a twin, and not a third reader.

    python chapter11_async.py --feeds http://127.0.0.1:9000 --deadline 5

POST /feeds waits for the feed's server as sync_app does, and parses with the readers' own parser; but one
thread waits for any number of servers at a time. What is left out favours it: feeds are kept in memory, pages
have no templates, and it fetches from one given server only.
"""

import argparse
import asyncio
import socket
from collections.abc import AsyncIterator
from html import escape

import aiohttp
from aiohttp import web

from feedreader.errors import FetchFailed
from feedreader.parsing import Document, ParsedEntry, parse_feed
from loadtests.records.constants import BACKLOG

SHOWN_FEEDS = 20
FORM = '<form method="post" action="/feeds"><input name="url"><button>Read</button></form>'


class Twin:
    """The reader: its routes, and the feeds that it knows, by number.

    `longer`: repeat each feed's entries this many times before parsing. `in_thread`: parse in a thread
    instead of the loop.
    """

    def __init__(self, feeds: str, deadline: float, longer: int = 1, in_thread: bool = False) -> None:
        self._server = feeds
        self._deadline = deadline
        self._longer = longer
        self._in_thread = in_thread
        self._feeds: dict[int, tuple[str, list[ParsedEntry]]] = {}  # title and entries

    def app(self) -> web.Application:
        app = web.Application()
        app.cleanup_ctx.append(self._with_client)
        app.add_routes(
            [
                web.get("/", self.index),
                web.post("/feeds", self.create_feed),
                web.get(r"/feeds/{number:\d+}", self.feed_page),
            ]
        )
        return app

    async def index(self, request: web.Request) -> web.Response:
        newest = sorted(self._feeds, reverse=True)[:SHOWN_FEEDS]
        items = "".join(f'<li><a href="/feeds/{n}">{escape(self._feeds[n][0])}</a>' for n in newest)
        return _page(f"{FORM}<ul>{items}</ul>")

    async def create_feed(self, request: web.Request) -> web.Response:
        """Fetch the submitted feed, and redirect the visitor to its page."""
        url = str((await request.post()).get("url", ""))
        if not url.startswith(f"{self._server}/"):
            raise web.HTTPBadRequest(text=f"This reader fetches only from {self._server}.\n")
        feed = await self._fetch(url)  # the visitor waits for somebody else's server; the thread does not
        number = len(self._feeds) + 1
        self._feeds[number] = feed
        return web.Response(status=303, headers={"Location": f"/feeds/{number}"})

    async def feed_page(self, request: web.Request) -> web.Response:
        feed = self._feeds.get(int(request.match_info["number"]))
        if feed is None:
            raise web.HTTPNotFound
        title, entries = feed
        articles = "".join(
            f'<article><h2><a href="{escape(entry.link)}">{escape(entry.title)}</a></h2></article>'
            for entry in entries
        )
        return _page(f"<h1>{escape(title)}</h1>{articles}")

    async def _fetch(self, url: str) -> tuple[str, list[ParsedEntry]]:
        try:
            async with asyncio.timeout(self._deadline), self._client.get(url) as answer:
                body = await answer.read()
        except (TimeoutError, aiohttp.ClientError):
            return f"{url} could not be fetched", []
        document = Document(url, answer.headers.get("Content-Type", ""), lengthened(body, self._longer))
        try:
            if self._in_thread:
                parsed = await asyncio.to_thread(parse_feed, document)
            else:
                parsed = parse_feed(document)  # nobody else is served meanwhile
        except FetchFailed as failure:
            return str(failure), []
        return parsed.title, list(parsed.entries[:50])

    async def _with_client(self, app: web.Application) -> AsyncIterator[None]:
        # No limit on connections: it must be able to wait for a server for every visitor.
        connector = aiohttp.TCPConnector(limit=0)
        timeout = aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as self._client:
            yield


def _page(main: str) -> web.Response:
    return web.Response(text=f"<!doctype html><title>Feed reader</title>{main}", content_type="text/html")


def lengthened(body: bytes, times: int) -> bytes:
    """An RSS 2.0 feed with its entries `times` over; any other feed unchanged."""
    start, end = body.find(b"<item>"), body.rfind(b"</item>") + len(b"</item>")
    return body if times == 1 or start < 0 else body[:start] + body[start:end] * times + body[end:]


def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(description="The asynchronous twin of the synchronous reader.")
    parser.add_argument("--feeds", required=True, help="the feed server; nothing else is fetched")
    parser.add_argument("--deadline", type=float, default=5.0, help="seconds that a fetch may take")
    parser.add_argument("--longer", type=int, default=1, help="how many times to repeat each feed's entries")
    parser.add_argument("--in-thread", action="store_true", help="parse in a thread")
    options = parser.parse_args()
    listening = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
    twin = Twin(options.feeds, options.deadline, options.longer, options.in_thread)
    print(f"Async reader listening at: http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
    web.run_app(
        twin.app(), sock=listening, print=None, access_log=None, backlog=BACKLOG, shutdown_timeout=1.0
    )


if __name__ == "__main__":
    main()
