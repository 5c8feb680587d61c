"""Whether a CPU quota stopped this process: Linux counts that for each control group (version 2)."""

from pathlib import Path

from loadtests.wording import counted

CGROUPS, OWN_CGROUP = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
MOST_STOPPED = 0.01  # of the load's time


class Quota:
    """What the quotas of this process's control group, and of those around it, do from now on."""

    def __init__(self) -> None:
        self._times, self._seconds = _throttled()

    def fault(self, lasted: float) -> str | None:
        """In words, that they stopped it for more than MOST_STOPPED of the `lasted` seconds; None if not."""
        times, seconds = _throttled()
        times, seconds = times - self._times, seconds - self._seconds
        if seconds <= MOST_STOPPED * lasted:
            return None
        return (
            f"a CPU quota (cpu.max) stopped the load generator's control group {counted(times, 'time')},"
            f" for {seconds:.2f} s in all"
        )


def _throttled() -> tuple[int, float]:
    """How often, and for how many seconds, quotas have stopped this process's control groups so far."""
    times, seconds = 0, 0.0
    for folder in _folders():
        try:
            stat = dict(line.split() for line in (folder / "cpu.stat").read_text().splitlines())
        except (OSError, ValueError):  # not of version 2
            continue
        times += int(stat.get("nr_throttled", 0))
        seconds += int(stat.get("throttled_usec", 0)) / 1e6
    return times, seconds


def _folders() -> list[Path]:
    """This process's control group and those around it; empty where there are none of version 2."""
    try:
        lines = OWN_CGROUP.read_text().splitlines()
    except OSError:
        return []
    own = next((line.removeprefix("0::/") for line in lines if line.startswith("0::/")), None)
    if own is None:
        return []
    inside = Path(own)
    return [CGROUPS / inside, *(CGROUPS / around for around in inside.parents)]
