"""PostgreSQL: what connections are set to, how statements are planned, and how long a server may be silent.
One that has vanished refuses nothing: it only never answers.
"""

import time
from collections.abc import Callable, Generator
from typing import Any

import sqlalchemy as sa
from sqlalchemy import URL, Connection, Engine, event

SILENT_SECONDS = 6  # with a heartbeat before it, noticed within ten
CONNECT_SECONDS = 4
KEEPALIVES = {"idle": SILENT_SECONDS // 2, "interval": 1, "count": SILENT_SECONDS // 2}
# Always use the indexes, which hold the jobs in claiming order, and plan each statement once. A table that
# was never analysed misleads the planner. A statement that waits for a lock ends before the client takes the
# server for silent: or the server would go on with it, beside the next one.
STEADY_PLANS = {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_sort": "off",
    "TimeZone": "UTC",
    "statement_timeout": f"{SILENT_SECONDS - 1}s",
}
PLAN_ALWAYS, PLAN_STEADILY = (
    sa.select(*(sa.func.set_config(name, value, is_local) for name, value in STEADY_PLANS.items()))
    for is_local in (False, True)
)


def patience(url: URL) -> dict[str, int]:
    """The driver's arguments that bound how long it waits for a network, except for what the URL says."""
    if url.get_driver_name() not in ("psycopg", "psycopg2"):
        return {}
    ours = {"connect_timeout": CONNECT_SECONDS, "tcp_user_timeout": round(SILENT_SECONDS * 1000)}
    ours |= {f"keepalives_{name}": value for name, value in KEEPALIVES.items()}
    return {name: value for name, value in ours.items() if name not in url.query}


def set_up(engine: Engine) -> None:
    """Set up the connections of the engine's pool. A statement of whoever takes one may take its time."""
    event.listen(engine, "connect", _configure)
    event.listen(engine, "checkout", _allow_silence)  # the pool has just asked whether it still lives
    event.listen(engine, "checkin", limit_silence)


def _configure(driver: Any, _record: object) -> None:
    limit_silence(driver)
    # A pooler gives each transaction another server connection, which lacks what psycopg has prepared; there,
    # only transactions have settings: see STEADY_PLANS.
    if hasattr(driver, "prepare_threshold") and is_pooled(driver):
        driver.prepare_threshold = None
    else:  # the locks of a client that has vanished are released, too
        settings = {"TimeZone": "UTC", **{f"tcp_keepalives_{name}": n for name, n in KEEPALIVES.items()}}
        calls = (f"set_config('{name}', '{value}', false)" for name, value in settings.items())
        driver.cursor().execute(f"SELECT {', '.join(calls)}")
    driver.commit()


def plan_steadily(connection: Connection) -> None:
    """Have PostgreSQL plan the queue's statements well, until the end of this transaction of its own."""
    if connection.dialect.name == "postgresql" and not connection.info.get("steady"):
        connection.execute(PLAN_STEADILY)


def greeted_by(driver: Any) -> int | None:
    """The process id with which PostgreSQL or a pooler greeted; None from pg8000, which does not tell."""
    pid: int | None = getattr(getattr(driver, "info", None), "backend_pid", None)
    return pid


def is_pooled(driver: Any) -> bool:
    """Whether a pooler such as PgBouncer stands before PostgreSQL: it greets with a process id of its own."""
    cursor = driver.cursor()
    cursor.execute("SELECT pg_backend_pid()")
    [pid] = cursor.fetchone()
    return greeted_by(driver) not in (None, pid)


def limit_silence(driver: Any, *_: object) -> None:
    """Have whatever is executed on a connection of psycopg 3 fail once the server has said nothing for
    SILENT_SECONDS: TCP's own limits don't notice a proxy or a server that is frozen, for its kernel answers.
    """
    wait: Callable[..., Any] | None = getattr(driver, "wait", None)
    if wait and "wait" not in vars(driver):
        driver.wait = lambda steps, *more, **options: wait(_heard(driver, steps), *more, **options)


def _allow_silence(driver: Any, *_: object) -> None:
    """Undo limit_silence(): a statement of the user's may take its time."""
    getattr(driver, "__dict__", {}).pop("wait", None)


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
