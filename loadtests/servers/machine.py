"""The machine of a run, for results.json: a figure without its machine means nothing."""

import os
import platform
from dataclasses import dataclass
from pathlib import Path

import psutil

from loadtests.records.results import Machine

ENOUGH_TO_PIN = 4  # processors; with fewer, one that only the generator may use is one too few for the rest


def describe_machine() -> Machine:
    """The `machine` of results.json: processor, cores, memory in GiB, system, Python."""
    return Machine(
        cpu=_cpu(),
        cores=psutil.cpu_count() or 1,
        memory_gib=round(psutil.virtual_memory().total / 2**30, 1),
        system=platform.platform(),
        python=platform.python_version(),
    )


def _cpu() -> str:
    """The processor's name, if the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def host_seconds() -> tuple[float, float]:
    """The CPU time that all cores together were busy, and all of it, since the machine started."""
    times = psutil.cpu_times()
    # Guest time is already part of user time.
    total = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
    return total - times.idle - getattr(times, "iowait", 0.0), total


@dataclass(frozen=True)
class Pinning:
    """The processors for the load generator and for everything else (empty: any), and the same in words."""

    generator: tuple[int, ...]
    others: tuple[int, ...]
    sentence: str


def pinning() -> Pinning:
    """One processor for the load generator alone, if the system can pin processes and has enough of them."""
    if not hasattr(os, "sched_getaffinity"):
        return Pinning((), (), "Not pinned: this system can't bind a process to processors.")
    *others, last = sorted(os.sched_getaffinity(0))
    if len(others) + 1 < ENOUGH_TO_PIN:
        return Pinning(
            (), (), f"Not pinned: with {len(others) + 1} processors the load generator gets none of its own."
        )
    sentence = f"The load generator had processor {last} to itself, everything else the other {len(others)}."
    return Pinning((last,), tuple(others), sentence)
