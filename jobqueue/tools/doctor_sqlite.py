"""What `jobqueue doctor` checks on SQLite: durability, waiting for locks, and where the file is."""

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import Connection

from jobqueue.tools.findings import Finding, judge

OLDEST_SQLITE = (3, 35, 0)  # the first with RETURNING
SHORTEST_TIMEOUT_MS = 5_000
GIB = 2**30
NETWORK = ("nfs", "cifs", "smb", "9p", "afs", "ceph", "gluster", "lustre", "beegfs", "gpfs", "fuse.", "vbox")
IN_MEMORY = ("tmpfs", "ramfs", "devtmpfs")
MOUNTS = Path("/proc/self/mountinfo")  # on Linux only


def examine(connection: Connection, path: Path | None) -> Iterator[Finding]:
    """Check SQLite and its file, on one of the queue's connections: others may have other settings."""
    yield version(sqlite3.sqlite_version_info)
    yield journal_mode(_pragma(connection, "journal_mode"))
    yield synchronous(int(_pragma(connection, "synchronous")))
    yield busy_timeout(int(_pragma(connection, "busy_timeout")))
    size = int(_pragma(connection, "page_size"))
    pages, free = int(_pragma(connection, "page_count")), int(_pragma(connection, "freelist_count"))
    yield free_pages(free * size, pages * size)
    if path:
        yield file_system(path, MOUNTS.read_text() if MOUNTS.exists() else "")
        yield free_disk(shutil.disk_usage(path.resolve().parent).free)
        log = path.with_name(path.name + "-wal")
        yield write_ahead_log(log.stat().st_size if log.exists() else 0)


def version(found: tuple[int, ...]) -> Finding:
    text = ".".join(map(str, found))
    if found < OLDEST_SQLITE:
        return Finding("fail", "SQLite's version", f"{text}: the queue needs 3.35 for RETURNING; update it")
    return Finding("ok", "SQLite's version", text)


def journal_mode(mode: str) -> Finding:
    if mode == "wal":
        return Finding("ok", "journal_mode", "WAL: readers and the writer don't wait for one another")
    text = f"{mode}: the file can't be switched to WAL, so readers block the writer; put it on a local disk"
    return Finding("fail", "journal_mode", text)


def synchronous(level: int) -> Finding:
    name = {0: "OFF", 1: "NORMAL", 2: "FULL", 3: "EXTRA"}.get(level, str(level))
    if level >= 2:
        return Finding("ok", "synchronous", f"{name}: a committed job survives a power cut")
    text = f"{name}: committed jobs may be lost in a power cut; let the queue open the file itself"
    return Finding("fail", "synchronous", text)


def busy_timeout(milliseconds: int) -> Finding:
    text = f"{milliseconds / 1000:g} s"
    if milliseconds >= SHORTEST_TIMEOUT_MS:
        return Finding("ok", "busy_timeout", text)
    return Finding("warn", "busy_timeout", f'{text}: others\' long writes end in "database is locked"')


def free_pages(free: int, size: int) -> Finding:
    """Both are in bytes."""
    mostly = size > 0.1 * GIB and free > size / 2
    text = f"{free / GIB:.1f} of {size / GIB:.1f} GiB in the file are free"
    if mostly:
        return Finding("warn", "bloat", f"{text}: execute VACUUM at a quiet time")
    return Finding("ok", "bloat", text)


def file_system(path: Path, mounts: str) -> Finding:
    """`mounts` is the text of Linux's /proc/self/mountinfo, empty elsewhere."""
    kind = _file_system_of(path.resolve(), mounts)
    if kind.startswith(NETWORK):
        text = f"{kind}: SQLite's locks fail across a network; use a local disk, or PostgreSQL"
        return Finding("fail", "file system", text)
    if kind in IN_MEMORY:
        return Finding(
            "fail", "file system", f"{kind}: in memory, so all jobs are lost at a restart; use a disk"
        )
    return Finding("ok", "file system", kind or "unknown: make sure that it is a local disk")


def free_disk(free: int) -> Finding:
    """`free` is in bytes."""
    text = f"{free / GIB:.1f} GiB are free"
    return judge("disk", -free, -GIB, -0.1 * GIB, text, "on a full disk nothing can be enqueued or finished")


def write_ahead_log(size: int) -> Finding:
    """`size` is in bytes."""
    advice = "a long read transaction keeps it from being reset, and slows all reads: end it"
    return judge("write-ahead log", size, 0.25 * GIB, float("inf"), f"{size / 2**20:.1f} MiB", advice)


def _pragma(connection: Connection, name: str) -> str:
    return str(connection.exec_driver_sql(f"PRAGMA {name}").scalar())


def _file_system_of(path: Path, mounts: str) -> str:
    """The file system type of the innermost mount point; of several mounts on one point, the last."""
    found = (0, "")
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        point = Path(before.split()[4].encode().decode("unicode_escape"))
        if path.is_relative_to(point) and len(point.parts) >= found[0]:
            found = (len(point.parts), after.split()[0])
    return found[1]
