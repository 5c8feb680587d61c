"""The fake feed server: other people's servers, slow and broken in every way, in one asyncio process.

`/feeds/<kind>/<n>.xml` behaves as kinds.py says, always the same way at the same address. A request that
hangs costs a few kilobytes and no CPU time: thousands of them fit beside the fast ones. `/` explains the
kinds, `/mix` gives the mix and the seed, `/stats` counts requests and answers, `/healthz` says that it is up.

    python -m loadtests feedserver --port 9000

    with running_feedserver(mix={"fast": 90, "hang": 10}) as server:  # for tests: in a thread, on a free port
        requests.get(server.feed_url("fast", 3), timeout=1)
"""

import argparse
import asyncio
import re
import resource
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager

from aiohttp import web

from loadtests.feedserver.answers import answer
from loadtests.feedserver.kinds import DEFAULT_MIX, KINDS, check_mix, kind_of, parse_mix, written_mix
from loadtests.ports import listen
from loadtests.records.constants import BACKLOG

OPEN_FILES_WANTED = 5_200  # 5,000 hanging connections, and room for the others
FEED_PATH = re.compile(r"/feeds/([a-z-]+)/([0-9]{1,18})\.xml")
INDEX = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Fake feed server</title>
<h1>Fake feed server</h1>
<p>Feeds are at <code>/feeds/&lt;kind&gt;/&lt;n&gt;.xml</code>, where n is any whole number. The same address
always behaves the same way; another n gives other words and another delay. The format depends on n: RSS 2.0,
Atom or RSS 1.0.</p>
<table>
{rows}
</table>
<p>The seed is {seed}. <a href="/stats">/stats</a> counts the requests by kind, <a href="/mix">/mix</a>
has the mix and the seed for programs, <a href="/healthz">/healthz</a> answers "ok".</p>
</html>
"""


class FeedServer:
    """A server that binds its port at once, and answers while `serve` runs. `url` is its address.

    `port` 0 takes a free one. Raises UsageError for an invalid mix, or if it can't listen there.
    """

    def __init__(
        self, host: str = "127.0.0.1", port: int = 0, mix: Mapping[str, float] = DEFAULT_MIX, seed: int = 0
    ) -> None:
        check_mix(mix)
        self.mix = dict(mix)
        self.seed = seed
        self._requested = dict.fromkeys(KINDS, 0)
        self._answered = dict.fromkeys(KINDS, 0)
        self._in_flight = dict.fromkeys(KINDS, 0)
        self._socket = listen(host, port, backlog=BACKLOG)
        address, port = self._socket.getsockname()[:2]
        self.url = f"http://[{address}]:{port}" if ":" in address else f"http://{address}:{port}"

    def feed_url(self, kind: str, n: int) -> str:
        """The address of feed `n` of a kind, or of `mix`."""
        return f"{self.url}/feeds/{kind}/{n}.xml"

    def stats(self) -> dict[str, dict[str, int]]:
        """Counts by kind since the start: `requested`, which is `answered` + `in_flight` + `cut_short`.

        A feed requested as `mix` counts as the kind it behaves as. Cut short: the client disconnected, or the
        kind is `reset`.
        """
        requested, answered, in_flight = dict(self._requested), dict(self._answered), dict(self._in_flight)
        cut_short = {kind: requested[kind] - answered[kind] - in_flight[kind] for kind in KINDS}
        return {"requested": requested, "answered": answered, "in_flight": in_flight, "cut_short": cut_short}

    async def serve(self, stop: asyncio.Event) -> None:
        """Answer until `stop` is set, then drop every connection and close the port."""
        # Without handler_cancellation a hanging request would outlive its client, for ever.
        server = web.Server(self._handle, handler_cancellation=True, access_log=None)
        # Nothing here is worth waiting for at the end, but to aiohttp a timeout of 0 means "no limit".
        runner = web.ServerRunner(server, shutdown_timeout=0.01)
        await runner.setup()
        await web.SockSite(runner, self._socket, backlog=BACKLOG).start()
        try:
            await stop.wait()
        finally:
            for connection in server.connections:
                connection.force_close()
            await runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        match request.path:
            case "/":
                return web.Response(text=self._index(), content_type="text/html")
            case "/stats":
                return web.json_response(self.stats())
            case "/mix":
                return web.json_response({"mix": self.mix, "seed": self.seed})
            case "/healthz":
                return web.Response(text="ok\n")
        if address := FEED_PATH.fullmatch(request.path):
            kind, n = address[1], int(address[2])
            if kind == "mix":
                kind = kind_of(n, self.mix, self.seed)
            if kind in KINDS:
                return await self._counted(request, kind, n)
        where = "Nothing here. Feeds are at /feeds/<kind>/<n>.xml, where n is a whole number and kind one of"
        return web.Response(status=404, text=f"{where} {', '.join([*KINDS, 'mix'])}.\n")

    async def _counted(self, request: web.BaseRequest, kind: str, n: int) -> web.StreamResponse:
        self._requested[kind] += 1
        self._in_flight[kind] += 1
        try:
            response = await answer(request, kind, n, self.seed)
            self._answered[kind] += 1
            return response
        finally:
            self._in_flight[kind] -= 1

    def _index(self) -> str:
        kinds = {**KINDS, "mix": f"one of the above, chosen by n: {written_mix(self.mix)} (percent)"}
        rows = (
            f'<tr><td><a href="/feeds/{kind}/1.xml">/feeds/{kind}/1.xml</a></td><td>{what}</td></tr>'
            for kind, what in kinds.items()
        )
        return INDEX.format(rows="\n".join(rows), seed=self.seed)


@contextmanager
def running_feedserver(mix: Mapping[str, float] = DEFAULT_MIX, seed: int = 0) -> Iterator[FeedServer]:
    """A FeedServer on a free loopback port, in its own thread; leaving stops it and cuts its connections."""
    server = FeedServer(mix=mix, seed=seed)
    started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def serve() -> None:
        stop = asyncio.Event()
        started.set_result((asyncio.get_running_loop(), stop))
        await server.serve(stop)

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="feedserver", daemon=True)
    thread.start()
    loop, stop = started.result()
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()


async def _serve_until_signalled(server: FeedServer) -> None:
    stop = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    print(f"Feed server listening at: {server.url}", flush=True)
    await server.serve(stop)


def _allow_many_connections() -> None:
    """Raise the soft limit on open files to the hard one, and warn if even that is too low."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = 2**16 if hard == resource.RLIM_INFINITY else hard  # macOS refuses "infinity" as a soft limit
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < OPEN_FILES_WANTED:
        print(
            f"Only {allowed} files may be open here at a time (ulimit -Hn), so fewer connections can hang. "
            f"For 5,000 of them, raise the limit to {OPEN_FILES_WANTED}.",
            file=sys.stderr,
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until TERM or Ctrl-C; returns 0. Raises UsageError if it can't with these options."""
    parser = argparse.ArgumentParser(
        prog="python -m loadtests feedserver",
        description="Serve fake feeds, fast, slow and broken: /feeds/<kind>/<n>.xml, explained at /.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (default: %(default)s)")
    parser.add_argument("--port", type=int, default=9000, help="0 takes a free one (default: %(default)s)")
    parser.add_argument(
        "--mix",
        default=written_mix(DEFAULT_MIX),
        help="percent of each kind at /feeds/mix/<n>.xml (default: %(default)s)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="another seed gives other words and delays (default: 0)"
    )
    options = parser.parse_args(argv)
    server = FeedServer(options.host, options.port, parse_mix(options.mix), options.seed)
    _allow_many_connections()
    asyncio.run(_serve_until_signalled(server))
    return 0
