"""A CPU quota that stops the load generator is named, instead of showing only as lateness."""

from pathlib import Path

import pytest

from loadtests.generator import quota
from loadtests.generator.generator import Generator
from loadtests.generator.loadoptions import Load
from loadtests.generator.quota import Quota


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of this process's control group, below one that has no quota."""
    folder = tmp_path / "cgroup" / "machine" / "box"
    folder.mkdir(parents=True)
    (tmp_path / "own").write_text("4:memory:/elsewhere\n0::/machine/box\n")
    (folder.parent / "cpu.stat").write_text("usage_usec 77\n")
    monkeypatch.setattr(quota, "CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(quota, "OWN_CGROUP", tmp_path / "own")
    stopped(folder, 3, 0.5)
    return folder


def stopped(folder: Path, times: int, seconds: float) -> None:
    """Write a cpu.stat as Linux does."""
    (folder / "cpu.stat").write_text(
        f"usage_usec 12\nnr_periods 9\nnr_throttled {times}\nthrottled_usec {seconds * 1e6:.0f}\n"
    )


def test_what_a_quota_stopped_during_the_load_is_a_fault(own: Path) -> None:
    """What it stopped before is not, and neither are a few milliseconds."""
    seen = Quota()
    stopped(own, 4, 0.55)
    assert seen.fault(10.0) is None
    stopped(own, 15, 1.75)
    assert seen.fault(10.0) == (
        "a CPU quota (cpu.max) stopped the load generator's control group 12 times, for 1.25 s in all"
    )


def test_a_quota_of_a_group_around_it_counts_too(own: Path) -> None:
    """As of a service whose slice is limited."""
    seen = Quota()
    stopped(own.parent, 1, 0.7)
    assert "stopped the load generator's control group 1 time, for 0.70 s" in str(seen.fault(10.0))


@pytest.mark.parametrize("lines", ["", "2:cpu:/\n", None])
def test_without_control_groups_of_version_2_there_is_no_fault(
    own: Path, tmp_path: Path, lines: str | None
) -> None:
    """Other systems have none."""
    (tmp_path / "own").write_text(lines) if lines is not None else (tmp_path / "own").unlink()
    seen = Quota()
    stopped(own, 50, 9.0)
    assert seen.fault(10.0) is None


def test_it_makes_the_load_unfit(own: Path) -> None:
    """The recording names it."""
    generator = Generator(Load(), 0, lambda: 0)
    generator.start()
    stopped(own, 50, 9.0)
    generator.stop(drain=0.0)
    (fault,) = generator.close().faults
    assert "CPU quota" in fault
