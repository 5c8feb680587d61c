"""Stands in for HAProxy where there is none: each connection goes to the next server of its configuration.

python balancer.py haproxy.cfg
"""

import asyncio
import itertools
import re
import sys
from pathlib import Path


async def forward(source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
    """Pass on everything, then the end of it."""
    try:
        while data := await source.read(65_536):
            to.write(data)
            await to.drain()
        to.write_eof()
    except OSError:  # one side hung up: so does the other, below
        to.close()


async def main(configuration: str) -> None:
    """Balance until killed."""
    host, port = re.findall(r"bind (\S+\.example):(\d+)", configuration)[0]
    servers = itertools.cycle(re.findall(r"server \S+ (\S+):(\d+)", configuration))

    async def balance(visitor: asyncio.StreamReader, answer: asyncio.StreamWriter) -> None:
        reply, request = await asyncio.open_connection(*next(servers))
        await asyncio.gather(forward(visitor, request), forward(reply, answer))
        for each in (request, answer):
            each.close()

    async with await asyncio.start_server(balance, host, int(port)) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]).read_text()))
