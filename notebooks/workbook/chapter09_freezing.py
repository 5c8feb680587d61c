"""A server that answers in 5 ms, and freezes once: for chapter 9, as a process of its own.

    python chapter09_freezing.py 5 2      # 5 s after the first request it stands still for 2 s

Nothing is lost: requests that come in meanwhile wait, and are answered afterwards, as when a garbage
collector, a lock or a backup stops a real server.
"""

import asyncio
import sys
import time

from loadtests.bench.nullserver import OK, Connection, serve

ANSWER_SECONDS = 0.005


class Freeze:
    """Stands still once, for `seconds`, `after` seconds after the first request."""

    def __init__(self, after: float, seconds: float) -> None:
        self.after = after
        self.seconds = seconds
        self._planned = False

    def plan(self) -> None:
        """Schedule the freeze, at the first request."""
        if not self._planned:
            self._planned = True
            # This sleep blocks the loop on purpose: nobody is answered while it lasts.
            asyncio.get_running_loop().call_later(self.after, time.sleep, self.seconds)


class FreezingConnection(Connection):
    """A connection to the freezing server."""

    def __init__(self, freeze: Freeze) -> None:
        super().__init__()
        self._freeze = freeze

    def asked(self, path: str) -> None:
        self._freeze.plan()
        asyncio.get_running_loop().call_later(ANSWER_SECONDS, self.write, OK)


if __name__ == "__main__":
    planned = Freeze(after=float(sys.argv[1]), seconds=float(sys.argv[2]))
    asyncio.run(serve(lambda: FreezingConnection(planned), "Freezing server"))
