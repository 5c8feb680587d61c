"""What samples of CPU, memory and backlog say of a stretch of time."""

import pytest

from loadtests.errors import ProcessError
from loadtests.sampler import Sample, window


def sample(at: float, backlog: int | None = None) -> Sample:
    """At second `at`: the host half busy, a process using a quarter of a core, ten feeds a second."""
    return Sample(
        at=1000 + at,
        host_busy=at,
        host_total=2 * at,
        cpu={"web server": at / 4},
        memory={"web server": int(at) * 2**20},
        fetched=int(10 * at),
        backlog=backlog,
    )


SAMPLES = [sample(at, backlog) for at, backlog in [(0, 9), (1, 2), (2, 5), (3, 1), (4, 8)]]


def test_only_samples_inside_the_window_count() -> None:
    """CPU of all cores and of one, memory at most, fetches a second, the largest backlog."""
    seen = window(SAMPLES, 1001, 1003, origin=1000)
    assert seen.host_cpu_percent == pytest.approx(50)
    assert seen.cpu_percent == {"web server": pytest.approx(25)}
    assert seen.memory_mib == {"web server": 3}
    assert seen.fetched_per_s == pytest.approx(10)
    assert seen.backlog_max == 5


def test_the_timeline_has_the_whole_run() -> None:
    """From the first sample to the last, counted from the load's start."""
    seen = window(SAMPLES, 1001, 1003, origin=1001)
    assert [point["t_s"] for point in seen.timeline] == [0, 1, 2, 3]
    assert [point["backlog"] for point in seen.timeline] == [2, 5, 1, 8]


def test_a_window_too_short_for_two_samples_takes_them_all() -> None:
    """On a busy machine a look may take a second."""
    assert window(SAMPLES, 1001, 1001.5, origin=1000).backlog_max == 9


def test_without_two_samples_nothing_can_be_said() -> None:
    """The message is for the user of a bench."""
    with pytest.raises(ProcessError, match="before its processes could be looked at twice"):
        window(SAMPLES[:1], 1000, 1001, origin=1000)


def test_without_a_queue_there_is_no_backlog() -> None:
    """The synchronous app has none."""
    assert window([sample(0), sample(1)], 1000, 1001, origin=1000).backlog_max is None
