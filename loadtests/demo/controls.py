"""What can be changed while the demo runs, and within which limits. Pure."""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from loadtests.errors import UsageError


class Control(NamedTuple):
    """A number that can be changed, in whole steps."""

    label: str
    least: int
    most: int
    unit: str
    about: str


CONTROLS: Mapping[str, Control] = {
    "visitors": Control("Visitors", 0, 200, "", "on each reader, the same on both"),
    "slow": Control("Slow feeds", 0, 50, "%", "of the feeds that visitors submit take 2 to 6 s"),
    "hanging": Control("Hanging feeds", 0, 50, "%", "of them are never answered"),
    "deadline": Control("Deadline", 1, 20, "s", "that a reader waits for a feed"),
    "threads": Control("Worker threads", 1, 64, "", "jobs that the queue's worker performs at a time"),
}


class Wanted(msgspec.Struct, frozen=True):
    """What the demo should run. Shares are in percent, times in seconds."""

    visitors: int = 20
    slow: int = 15
    hanging: int = 5
    deadline: int = 10
    threads: int = 32

    def changed(self, **changes: float) -> "Wanted":
        """The same with these changes. Raises UsageError if a figure is beyond its limits."""
        for name, value in changes.items():
            label, least, most, unit, _ = CONTROLS[name]
            if not least <= value <= most:
                raise UsageError(f"{label}: {value:g} is not from {least} to {most} {unit}".rstrip())
        wanted = msgspec.structs.replace(self, **{name: round(value) for name, value in changes.items()})
        if wanted.slow + wanted.hanging > 100:
            raise UsageError(f"{wanted.slow} % slow and {wanted.hanging} % hanging feeds are more than all")
        return wanted

    @property
    def mix(self) -> dict[str, float]:
        """The kinds of feeds that visitors submit, in percent."""
        return {"typical": 100.0 - self.slow - self.hanging, "slow": self.slow, "hang": self.hanging}


class Order(msgspec.Struct, frozen=True):
    """What the demo tells a load generator: a line of JSON."""

    visitors: int
    mix: dict[str, float]
    deadline: float
    hang: int = 0  # extra visitors, who submit a feed that hangs, now
