"""What `jobqueue doctor` checks on PostgreSQL: durability, clocks, connections, and vacuum."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, cast

from sqlalchemy import Connection, text

from jobqueue.postgresql import is_pooled
from jobqueue.tools.findings import Finding, judge
from jobqueue.tools.printing import plural
from jobqueue.tools.spans import span

OLDEST_POSTGRESQL = 12_00_00  # the first with MATERIALIZED
LOOKS = 5  # readings of the server's clock, of which the quickest counts
LONG_IDLE_SECONDS = 60.0
SKEW_SECONDS = 1.0  # harmless: jobs start that much too early or too late
MANY_DEAD_ROWS = 100_000
LIMITS = ("max_connections", "superuser_reserved_connections")
CLIENTS = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
IDLE = """
SELECT count(*), coalesce(extract(epoch FROM max(clock_timestamp() - state_change)), 0)
FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'
"""
DEAD = "SELECT n_live_tup, n_dead_tup FROM pg_stat_user_tables WHERE relid = to_regclass(:jobs)"
WITHOUT_ZONE = """
SELECT count(*) FROM information_schema.columns
WHERE data_type = 'timestamp without time zone'
  AND to_regclass(quote_ident(table_schema) || '.' || quote_ident(table_name)) = to_regclass(:jobs)
"""


def examine(connection: Connection, jobs: str, lease: float) -> Iterator[Finding]:
    """Check the server. `jobs` is the name of the jobs' table; `lease` is in seconds."""
    yield version(int(_show(connection, "server_version_num")))
    for name, danger in (
        ("fsync", "a crash of the machine may corrupt the whole database"),
        ("full_page_writes", "a crash of the machine may corrupt the whole database"),
        ("synchronous_commit", "the last committed jobs may be lost when the server crashes"),
        ("autovacuum", "finished jobs are never cleaned up, and claims become slower and slower"),
    ):
        yield setting(name, _show(connection, name), danger)
    driver: Any = connection.connection.dbapi_connection
    yield pooler(is_pooled(driver), getattr(driver, "prepare_threshold", None))
    skew, trip = clock_skew(lambda: _server_clock(connection))
    yield clock(skew, trip, lease)
    most, reserved = (int(_show(connection, name)) for name in LIMITS)
    yield connections(int(connection.scalar(text(CLIENTS)) or 0), most - reserved)
    count, longest = connection.execute(text(IDLE)).one()
    yield idle_in_transaction(int(count), float(longest))
    live, dead = connection.execute(text(DEAD), {"jobs": jobs}).one_or_none() or (0, 0)
    yield dead_rows(int(live), int(dead))
    yield time_zones(int(connection.scalar(text(WITHOUT_ZONE), {"jobs": jobs}) or 0))


def version(found: int) -> Finding:
    """`found` is in the form of server_version_num."""
    figure = f"{found // 10_000}.{found % 10_000}"
    if found < OLDEST_POSTGRESQL:
        return Finding("fail", "PostgreSQL's version", f"{figure}: the queue needs 12 or newer; update it")
    return Finding("ok", "PostgreSQL's version", figure)


def setting(name: str, value: str, danger: str) -> Finding:
    """A setting that should not be off."""
    if value == "off":
        return Finding("fail", name, f"off: {danger}; switch it on")
    return Finding("ok", name, value)


def pooler(stands_between: bool, prepare_threshold: int | None) -> Finding:
    """`prepare_threshold` is psycopg's: after how many uses it prepares a statement."""
    if not stands_between:
        return Finding("ok", "pooler", "none")
    if prepare_threshold is None:
        return Finding("ok", "pooler", "one stands between: nothing is prepared, workers poll for new jobs")
    advice = 'use create_engine(..., connect_args={"prepare_threshold": None})'
    return Finding("warn", "pooler", f"one stands between, where prepared statements may fail: {advice}")


def clock_skew(
    ask: Callable[[], datetime],
    here: Callable[[], datetime] = lambda: datetime.now(UTC),
    measure: Callable[[], float] = time.monotonic,
) -> tuple[float, float]:
    """How many seconds the server's clock is ahead of this machine's, and the round-trip time of that
    reading, half of which is its uncertainty; both from the quickest of LOOKS readings.
    """
    looks = []
    for _ in range(LOOKS):
        asked, began = here(), measure()
        server = ask()
        trip = measure() - began
        looks.append((trip, (server - asked).total_seconds() - trip / 2))
    trip, skew = min(looks)
    return skew, trip


def clock(skew: float, trip: float, lease: float) -> Finding:
    """All in seconds. A worker whose clock is a lease ahead presumes the others dead, and runs their jobs."""
    figure = f"the server's is {abs(skew):.3f} s {'ahead' if skew > 0 else 'behind'}, ± {trip / 2:.3f} s"
    advice = "jobs start, and leases expire, too early or too late; use NTP on all machines"
    return judge("clock", abs(skew) - trip / 2, SKEW_SECONDS, lease / 3, figure, advice)


def connections(used: int, limit: int) -> Finding:
    advice = "each worker needs 3, plus one for each thread with a session; raise max_connections"
    figure = f"{used} of {limit} are used"
    return judge("connections", used, 0.8 * limit, 0.95 * limit, figure, advice)


def idle_in_transaction(count: int, longest: float) -> Finding:
    """`longest` is in seconds."""
    figure = f"{count}, the longest for {span(longest)}" if count else "none"
    advice = (
        "it keeps finished jobs from being cleaned up; end it, or set idle_in_transaction_session_timeout"
    )
    return judge("idle in transaction", longest, LONG_IDLE_SECONDS, float("inf"), figure, advice)


def dead_rows(live: int, dead: int) -> Finding:
    figure = f"{dead:,} dead rows, {live:,} live ones"
    advice = "vacuum falls behind; tune autovacuum, or run VACUUM jobs"
    return judge("bloat", dead, max(live, MANY_DEAD_ROWS), float("inf"), figure, advice)


def time_zones(columns: int) -> Finding:
    """`columns`: how many columns of the jobs' table, which another program may have created, lack one."""
    if columns:
        advice = (
            "convert them: ALTER TABLE jobs ALTER run_at TYPE timestamptz USING run_at AT TIME ZONE 'UTC'"
        )
        return Finding("fail", "time zones", f"{plural(columns, 'column')} of jobs without one: {advice}")
    return Finding("ok", "time zones", "all columns have one")


def _show(connection: Connection, setting: str) -> str:
    return str(connection.scalar(text("SELECT current_setting(:name)"), {"name": setting}))


def _server_clock(connection: Connection) -> datetime:
    return cast(datetime, connection.scalar(text("SELECT clock_timestamp()")))
