"""The checks of `jobqueue doctor`, one by one, with settings that no test can really set up."""

from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from commands_for_tests import NOON, name_of

from jobqueue import Queue
from jobqueue.schema import WorkerRow
from jobqueue.tools import doctor_postgresql, doctor_sqlite, doctor_workers
from jobqueue.tools.findings import Finding

GIB = 2**30
MOUNTS = r"""22 27 0:21 / / rw - ext4 /dev/root rw
23 22 0:22 / /srv rw - nfs4 server:/ rw
24 23 0:23 / /srv/fast\040disk rw - ext4 /dev/sdb rw
25 22 0:24 / /run rw - ext4 /dev/sdc rw
26 22 0:25 / /run rw - tmpfs tmpfs rw
27 22 0:26 / /mnt rw shared:1 - fuse.sshfs host: rw
"""


# -- SQLite


@pytest.mark.parametrize(
    ("finding", "level", "words"),
    [
        (doctor_sqlite.version((3, 34, 1)), "fail", "3.34.1: the queue needs 3.35"),
        (doctor_sqlite.version((3, 40, 1)), "ok", "3.40.1"),
        (doctor_sqlite.journal_mode("delete"), "fail", "delete: the file can't be switched to WAL"),
        (doctor_sqlite.synchronous(3), "ok", "EXTRA"),
        (doctor_sqlite.synchronous(1), "fail", "NORMAL: committed jobs may be lost in a power cut"),
        (doctor_sqlite.busy_timeout(5_000), "ok", "5 s"),
        (doctor_sqlite.busy_timeout(100), "warn", '0.1 s: others\' long writes end in "database is locked"'),
        (
            doctor_sqlite.free_pages(2 * GIB, 3 * GIB),
            "warn",
            "2.0 of 3.0 GiB in the file are free: exec",
        ),
        (doctor_sqlite.free_pages(GIB, 3 * GIB), "ok", "1.0 of 3.0 GiB"),
        (doctor_sqlite.free_pages(10, 11), "ok", "0.0 of 0.0 GiB"),
        (doctor_sqlite.free_disk(2 * GIB), "ok", "2.0 GiB are free"),
        (
            doctor_sqlite.free_disk(GIB // 2),
            "warn",
            "0.5 GiB are free: on a full disk nothing",
        ),
        (doctor_sqlite.free_disk(1000), "fail", "0.0 GiB are free"),
        (doctor_sqlite.write_ahead_log(0), "ok", "0.0 MiB"),
        (doctor_sqlite.write_ahead_log(GIB), "warn", "1024.0 MiB: a long read transaction"),
        (doctor_sqlite.file_system(Path("/home/jobs.db"), MOUNTS), "ok", "ext4"),
        (doctor_sqlite.file_system(Path("/srv/jobs.db"), MOUNTS), "fail", "nfs4: SQLite's locks fail"),
        (doctor_sqlite.file_system(Path("/mnt/jobs.db"), MOUNTS), "fail", "fuse.sshfs"),
        (doctor_sqlite.file_system(Path("/srv/fast disk/jobs.db"), MOUNTS), "ok", "ext4"),
        (
            doctor_sqlite.file_system(Path("/run/jobs.db"), MOUNTS),
            "fail",
            "tmpfs: in memory, so all",
        ),
        (doctor_sqlite.file_system(Path("/jobs.db"), ""), "ok", "unknown: make sure that it is a local disk"),
    ],
)
def test_what_hurts_on_sqlite(finding: Finding, level: str, words: str) -> None:
    """The figure first, then what to do."""
    assert finding.level == level
    assert finding.text.startswith(words)


def test_an_sqlite_file_without_a_path_or_mounts_is_examined_as_far_as_it_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This happens on systems other than Linux, and with SQLite URIs."""
    monkeypatch.setattr(doctor_sqlite, "MOUNTS", tmp_path / "none")
    queue = Queue(f"sqlite:///{tmp_path / 'test.db'}")
    queue.create_tables()
    with queue.engine.connect() as connection:
        findings = list(doctor_sqlite.examine(connection, None))
        assert {finding.level for finding in findings} == {"ok"}
        assert "disk" not in {finding.check for finding in findings}
        queue.close()
        with_path = {f.check: f.text for f in doctor_sqlite.examine(connection, tmp_path / "no.db")}
        assert with_path["file system"].startswith("unknown")
        assert with_path["write-ahead log"] == "0.0 MiB"


# -- PostgreSQL


@pytest.mark.parametrize(
    ("finding", "level", "words"),
    [
        (doctor_postgresql.version(11_00_22), "fail", "11.22: the queue needs 12 or newer"),
        (doctor_postgresql.version(18_00_01), "ok", "18.1"),
        (doctor_postgresql.setting("fsync", "off", "it is lost"), "fail", "off: it is lost; switch it on"),
        (doctor_postgresql.setting("fsync", "on", "it is lost"), "ok", "on"),
        (doctor_postgresql.clock(0.2, 0.01, 30.0), "ok", "the server's is 0.200 s ahead, ± 0.005 s"),
        (
            doctor_postgresql.clock(-2.0, 0.0, 30.0),
            "warn",
            "the server's is 2.000 s behind, ± 0.000 s: jobs",
        ),
        (doctor_postgresql.clock(2.0, 4.0, 30.0), "ok", "the server's is 2.000 s ahead, ± 2.000 s"),
        (doctor_postgresql.clock(11.0, 0.0, 30.0), "fail", "the server's is 11.000 s ahead"),
        (doctor_postgresql.connections(10, 100), "ok", "10 of 100 are used"),
        (doctor_postgresql.connections(81, 100), "warn", "81 of 100 are used: each worker needs 3"),
        (doctor_postgresql.connections(96, 100), "fail", "96 of 100 are used"),
        (doctor_postgresql.idle_in_transaction(0, 0.0), "ok", "none"),
        (doctor_postgresql.idle_in_transaction(1, 5.0), "ok", "1, the longest for 5 s"),
        (
            doctor_postgresql.idle_in_transaction(2, 600.0),
            "warn",
            "2, the longest for 10 min: it keeps",
        ),
        (doctor_postgresql.dead_rows(10, 99_000), "ok", "99,000 dead rows, 10 live ones"),
        (doctor_postgresql.dead_rows(10, 101_000), "warn", "101,000 dead rows, 10 live ones: vacuum falls"),
        (doctor_postgresql.time_zones(0), "ok", "all columns have one"),
        (
            doctor_postgresql.time_zones(5),
            "fail",
            "5 columns of jobs without one: convert them: ALTER TABLE jobs",
        ),
    ],
)
def test_what_hurts_on_postgresql(finding: Finding, level: str, words: str) -> None:
    """The figure first, then what to do."""
    assert finding.level == level
    assert finding.text.startswith(words)


def test_a_clocks_skew_is_measured_with_the_quickest_question() -> None:
    """The server's time is taken to be that of the middle of the round trip."""
    trips = iter([0.0, 0.8, 0.0, 0.2, 0.0, 0.4, 0.0, 0.4, 0.0, 0.4])
    skew, trip = doctor_postgresql.clock_skew(
        lambda: NOON + timedelta(seconds=5.1), here=lambda: NOON, measure=lambda: next(trips)
    )
    assert (skew, trip) == (pytest.approx(5.0), pytest.approx(0.2))


# -- workers, on both databases


def test_workers_on_several_hosts_can_not_share_a_file() -> None:
    """They can share a PostgreSQL server."""
    two = [name_of(1, host="gold"), name_of(1, host="silver")]
    finding = doctor_workers.hosts(two, sqlite=True)
    assert finding.level == "fail"
    assert finding.text.endswith("use PostgreSQL (gold, silver)")
    assert doctor_workers.hosts(two, sqlite=False) == Finding("ok", "hosts", "2 hosts")
    assert doctor_workers.hosts(two[:1], sqlite=True).level == "ok"


def test_containers_that_share_a_name_are_found() -> None:
    """Their tokens tell them apart, but people can't."""
    same = [name_of(1, token="aaaa"), name_of(1, token="bbbb"), name_of(2), "somebody"]
    assert doctor_workers.names(same).level == "warn"
    assert "host:silver pid:1: give" in doctor_workers.names(same).text
    assert doctor_workers.names(same[1:]).level == "ok"


def worker(**columns: Any) -> WorkerRow:
    """A worker's row, with the columns that the checks read."""
    return SimpleNamespace(**{"name": "w", "lease": 30.0, "seen_at": NOON, **columns})  # type: ignore[return-value]


@pytest.mark.parametrize(("ahead", "level"), [(1.0, "ok"), (5.0, "warn"), (11.0, "fail")])
def test_a_worker_whose_clock_is_ahead_is_found(ahead: float, level: str) -> None:
    """Its heartbeat lies in the future. From a third of a lease on, it takes others for dead."""
    finding = doctor_workers.clocks([worker(), worker(seen_at=NOON + timedelta(seconds=ahead))], NOON)
    assert finding.level == level
    assert ("NTP" in finding.text) == (level != "ok")


@pytest.mark.parametrize(
    ("longest", "level"), [(30.0, "ok"), (60.0, "warn"), (90.0, "warn"), (269.0, "warn"), (270.0, "fail")]
)
def test_leases_that_differ_are_found(longest: float, level: str) -> None:
    """A worker that beats every 27 seconds looks dead to one whose lease is 30 seconds: it frees jobs after
    27. One that beats every 9 does not.
    """
    finding = doctor_workers.leases([worker(), worker(lease=longest)])
    assert finding.level == level
    assert ("give all workers the same --lease" in finding.text) == (level != "ok")
