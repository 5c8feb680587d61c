"""What samples of CPU, slots and backlog give for a stretch of time."""

from dataclasses import replace

import pytest

from loadtests.errors import ProcessError
from loadtests.servers.sampler import Sample, drain_seconds, timeline, window
from loadtests.servers.slotmeter import SlotCounts


def sample(at: float, backlog: int | None = None) -> Sample:
    """At second `at`: the host half busy, a process using a quarter of a core, ten feeds fetched a second and
    twelve added, three slots of the web server busy with submits of half a second on average: half of them
    take no time, the others a second. An occasional poll.
    """
    return Sample(
        at=1000 + at,
        host_busy=at,
        host_total=2 * at,
        cpu={"web server": at / 4},
        enqueued=int(12 * at),
        fetched=int(10 * at),
        backlog=backlog,
        running=None if backlog is None else 4,
        slots=SlotCounts(
            8,
            {"submit": int(6 * at), "poll": int(at / 2), "list": 5, "other": int(at)},
            {"submit": 3 * at - 0.5, "poll": 0.01 * int(at / 2), "list": 0.1, "other": 0.0},
            1,
            0.5,
            {"submit": 3 * at, "poll": 0.0001 * int(at / 2), "list": 0.01, "other": 0.0},
        ),
    )


SAMPLES = [sample(at, backlog) for at, backlog in [(0, 9), (1, 2), (2, 5), (3, 1), (4, 8)]]


def test_only_samples_inside_the_window_count() -> None:
    """CPU of all cores and of one, feeds a second, waiting and running jobs, the slots' work."""
    seen = window(SAMPLES, 1001, 1003)
    assert seen.host_cpu_percent == pytest.approx(50)
    assert seen.cpu_percent == {"web server": pytest.approx(25)}
    assert (seen.in_per_s, seen.out_per_s) == (pytest.approx(12), pytest.approx(10))
    assert seen.backlogs == [2, 5, 1]
    assert seen.running == 4
    assert seen.slots_busy == pytest.approx(3.005)  # 0.01 s of the two are a poll
    assert seen.requests == {"submit": 12, "poll": 1, "list": 0, "other": 2}
    assert seen.busy_s["submit"] == pytest.approx(6)


def test_the_demand_of_each_kind_is_told_with_its_spread() -> None:
    """Six of twelve requests took a second: mean 0.5, variance 0.25. A single request has no spread; probes,
    and kinds that did not occur in the window, are left out.
    """
    seen = window(SAMPLES, 1001, 1003)
    assert seen.served == {"submit": 12, "poll": 1}
    assert seen.demand_scv == {"submit": pytest.approx(1)}


def test_the_timeline_has_the_whole_run() -> None:
    """From the first sample to the last, relative to the load's start."""
    points = timeline(SAMPLES, origin=1001)
    assert [point["t_s"] for point in points] == [0, 1, 2, 3]
    assert [point["backlog"] for point in points] == [2, 5, 1, 8]


def test_a_window_too_short_for_two_samples_takes_them_all() -> None:
    """On a busy machine a sample may take a second."""
    assert window(SAMPLES, 1001, 1001.5).backlogs == [9, 2, 5, 1, 8]


def test_without_two_samples_nothing_can_be_said() -> None:
    """The message is for the bench's user."""
    with pytest.raises(ProcessError, match="before its processes could be sampled twice"):
        window(SAMPLES[:1], 1000, 1001)


def test_without_a_queue_there_is_no_backlog() -> None:
    """As with the synchronous app."""
    seen = window([sample(0), sample(1)], 1000, 1001)
    assert (seen.backlogs, seen.running) == ([], 0)


def test_the_queue_has_drained_at_the_first_look_that_finds_no_job() -> None:
    """Counted from the end of the load, ignoring earlier empty samples. Without an empty sample the time is
    unknown.
    """
    looks = [
        replace(sample(at), backlog=backlog, running=running)
        for at, backlog, running in [(0, 0, 0), (2, 9, 4), (3, 0, 2), (4, 0, 0), (5, 0, 0)]
    ]
    assert drain_seconds(looks, 1001.5) == pytest.approx(2.5)
    assert drain_seconds(looks[:3], 1001.5) is None
    assert drain_seconds(SAMPLES, 1000) is None  # a job runs at each sample
    assert drain_seconds([sample(9)], 1000) is None  # no queue
