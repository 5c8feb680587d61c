"""How the fake feed server answers over HTTP: one small function for each way to answer.

The kinds that are merely slow, `hang` included, need none: they send a whole feed after a delay.
"""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable

from aiohttp import web

from loadtests.feedserver.documents import FeedDocument, document
from loadtests.feedserver.kinds import delay_of

HUGE_BYTES = 64 * 2**20
HUGE_WRITE_BYTES = 64 * 2**10
DRIP_SECONDS = 1.0  # between bytes
# SO_LINGER of 0 s: closing sends a reset (RST), like a server that dies.
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


async def answer(request: web.BaseRequest, kind: str, n: int, seed: int) -> web.StreamResponse:
    """The answer to `/feeds/<kind>/<n>.xml`, after its delay. A streamed body is already written.

    Raises CancelledError if the connection ends before the answer does.
    """
    await asyncio.sleep(delay_of(kind, n, seed))
    try:
        return await ANSWERS.get(kind, _whole)(request, document(kind, n, seed))
    except ConnectionError:
        # Clients often disconnect here. During a sleep that is a cancellation already; make it one between
        # two writes as well, where aiohttp would log a traceback.
        raise asyncio.CancelledError from None


async def _whole(request: web.BaseRequest, feed: FeedDocument) -> web.StreamResponse:
    return web.Response(body=feed.body, content_type=feed.content_type, charset="utf-8")


async def _malformed(request: web.BaseRequest, feed: FeedDocument) -> web.StreamResponse:
    body = feed.head + b"<title>Half a hea"
    return web.Response(body=body, content_type=feed.content_type, charset="utf-8")


async def _error(request: web.BaseRequest, feed: FeedDocument) -> web.StreamResponse:
    return web.Response(status=500, text="This feed's server has an error, on purpose.\n")


async def _missing(request: web.BaseRequest, feed: FeedDocument) -> web.StreamResponse:
    return web.Response(status=404, text="This feed does not exist, on purpose.\n")


async def _redirect_loop(request: web.BaseRequest, feed: FeedDocument) -> web.StreamResponse:
    return web.Response(status=302, headers={"Location": request.path})


async def _drip(request: web.BaseRequest, feed: FeedDocument) -> web.StreamResponse:
    response = await _begin(request, feed, length=len(feed.body))
    for position in range(len(feed.body)):
        await response.write(feed.body[position : position + 1])
        await asyncio.sleep(DRIP_SECONDS)
    return response


async def _reset(request: web.BaseRequest, feed: FeedDocument) -> web.StreamResponse:
    response = await _begin(request, feed, length=len(feed.body))
    await response.write(feed.body[: len(feed.body) // 2])
    if request.transport is not None:
        connection: socket.socket = request.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        request.transport.abort()
    raise ConnectionResetError("on purpose")


async def _huge(request: web.BaseRequest, feed: FeedDocument) -> web.StreamResponse:
    """Without a Content-Length, so that a client can't refuse in advance: it has to stop reading."""
    response = await _begin(request, feed, length=None)
    await response.write(feed.head)
    block = feed.entries * (HUGE_WRITE_BYTES // len(feed.entries))
    for _ in range(HUGE_BYTES // len(block) + 1):
        await response.write(block)
        await asyncio.sleep(0)  # or a client that keeps up would monopolise the server
    await response.write(feed.tail)
    return response


async def _begin(request: web.BaseRequest, feed: FeedDocument, length: int | None) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": f"{feed.content_type}; charset=utf-8"})
    response.content_length = length
    await response.prepare(request)
    return response


ANSWERS: dict[str, Callable[[web.BaseRequest, FeedDocument], Awaitable[web.StreamResponse]]] = {
    "drip": _drip,
    "error": _error,
    "missing": _missing,
    "reset": _reset,
    "malformed": _malformed,
    "huge": _huge,
    "redirect-loop": _redirect_loop,
}
