"""How long PostgreSQL may be silent: a host that has vanished refuses nothing, it only never answers.

The queue does the same; neither package imports the other.
"""

import time
from collections.abc import Generator
from typing import Any

from sqlalchemy import URL

SILENT_SECONDS = 6
CONNECT_SECONDS = 4
KEEPALIVES = {"idle": SILENT_SECONDS // 2, "interval": 1, "count": SILENT_SECONDS // 2}


def patience(url: URL) -> dict[str, int]:
    """The driver's arguments that bound how long it waits for a network, except for what the URL says."""
    if url.get_driver_name() not in ("psycopg", "psycopg2"):
        return {}
    ours = {"connect_timeout": CONNECT_SECONDS, "tcp_user_timeout": round(SILENT_SECONDS * 1000)}
    ours |= {f"keepalives_{name}": value for name, value in KEEPALIVES.items()}
    return {name: value for name, value in ours.items() if name not in url.query}


def limit_silence(driver: Any, _record: object) -> None:
    """Have whatever is executed on a connection of psycopg 3 fail once the server has said nothing for
    SILENT_SECONDS: TCP's own limits don't notice a proxy or a server that is frozen, for its kernel answers.
    """
    if wait := getattr(driver, "wait", None):
        driver.wait = lambda steps, *more, **options: wait(_heard(driver, steps), *more, **options)


def _heard(driver: Any, steps: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
    """The steps of an execution, between which psycopg waits, and sends what the socket is ready for."""
    heard_at = time.monotonic()
    try:
        wanted = next(steps)
        while True:
            if ready := (yield wanted):
                heard_at = time.monotonic()
            elif time.monotonic() - heard_at > SILENT_SECONDS:
                driver.close()
                raise driver.OperationalError(f"the server has said nothing for {SILENT_SECONDS} seconds")
            wanted = steps.send(ready)
    except StopIteration as end:
        return end.value
