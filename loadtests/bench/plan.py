"""What a run measures, and in which order. Pure; `loadtests.bench.step` measures one step of it."""

import random
from collections.abc import Iterator
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, ClassVar, Self, get_args, get_type_hints

import msgspec

from loadtests.errors import UsageError
from loadtests.feedserver.kinds import DEFAULT_MIX
from loadtests.records.constants import OVERRUN_SECONDS, SUBMITTERS, ramp_per_s
from loadtests.records.recording import Model
from loadtests.records.results import SlotKind
from loadtests.records.steps import App, has_workers
from loadtests.wording import user_count

SETUP_SECONDS = 5.0  # roughly what starting and stopping add to the load itself


@dataclass(frozen=True)
class Condition:
    """One app under one load, with the capacity to serve it. Closed load has `users`, open load `rate`."""

    app: App
    users: int | None = None
    rate: float | None = None  # visits a second
    slots: int = 8
    workers: int = 1
    threads: int = 32
    burst: int | None = None  # feeds added at once, on top of an open load

    @property
    def model(self) -> Model:
        return "open" if self.users is None else "closed"

    @property
    def load(self) -> str:
        """The load in words: "20 users", "5.5 visits/s"."""
        if self.users is not None:
            return user_count(self.users)
        return f"{self.rate:.3g}/s + {self.burst} at once" if self.burst else f"{self.rate:.3g} visits/s"


@dataclass(frozen=True)
class PlannedStep:
    """One measurement: a condition, for the `repeat`th time."""

    condition: Condition
    repeat: int = 1

    @property
    def name(self) -> str:
        """The name of its files."""
        of = self.condition
        load = f"{of.users:04}" if of.users is not None else f"open-{of.rate:.3g}"
        burst = f"-burst-{of.burst}" if of.burst else ""
        return f"{of.app}-{load}{burst}-s{of.slots}-w{of.workers}x{of.threads}-{self.repeat}"


@dataclass(frozen=True)
class Plan:
    """What to measure, and how. Times in seconds.

    Each of `users` (closed load) and of `rates` (open load, visits a second) is measured with each app and
    number of slots, the queued app also with each number of workers and threads; all of it `repeats` times.
    `extra` comes last. With `search`, more users follow, until it is known how many each app holds
    (loadtests/bench/search.py). Raises UsageError for a setting that can't be measured.
    """

    submitters: ClassVar[float] = SUBMITTERS  # the share; the others only browse
    users: tuple[int, ...] = (1, 10, 30, 100)
    search: bool = False
    rates: tuple[float, ...] = ()
    apps: tuple[App, ...] = ("sync", "queued")
    repeats: int = 1
    warmup: float = 2.5
    measure: float = 14.0  # at some 30 POSTs a second, enough of them to prove that the rule was kept
    drain: float = 4.0  # for what is in flight at the end
    think: float = 2.0
    slots: tuple[int, ...] = (8,)
    slot_kind: SlotKind = "processes"
    workers: tuple[int, ...] = (1,)
    threads: tuple[int, ...] = (32,)
    # Of one fetch. The readers' own default, 10, would double the length of a step.
    deadline: float = 5.0
    database: str = "sqlite"
    mix: dict[str, float] = field(default_factory=lambda: dict(DEFAULT_MIX))
    connections: int | None = None
    in_flight: int = 1000
    host: str | None = None  # a server already running: it alone is measured, and nothing is started
    feeds: str | None = None  # its feed server
    extra: tuple[Condition, ...] = ()
    seed: int = 1

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for each in fields(self):
            value, usual = getattr(self, each.name), each.default
            if each.name != "extra" and (wrong := _problem(value, hints[each.name])):  # has conditions
                such = "" if usual is MISSING else f", such as {each.name}={usual!r}"
                raise UsageError(f"{each.name}={value!r} is no setting of a plan: {wrong}{such}.")

    def window(self, condition: Condition) -> tuple[float, float]:
        """The seconds of a step that are measured: after a warm-up, which begins once all users run."""
        users = condition.users or 0
        start = round(self.warmup + users / ramp_per_s(users), 3)
        return start, start + self.measure

    def seconds(self, condition: Condition) -> float:
        """About how long a step takes."""
        return self.window(condition)[1] + OVERRUN_SECONDS + self.drain + SETUP_SECONDS

    def steps(self) -> list[PlannedStep]:
        """All steps in measuring order: loads shuffled, apps alternated, repeat by repeat.

        So slow changes on the machine (its heat, its neighbours) affect all conditions alike.
        """
        shuffled = random.Random(self.seed)
        steps = []
        for repeat in range(1, self.repeats + 1):
            groups = list(self._alternatives())
            shuffled.shuffle(groups)
            for turn, group in enumerate(groups):
                first = (turn + repeat) % len(group)  # the first app changes from group to group
                steps += [PlannedStep(condition, repeat) for condition in group[first:] + group[:first]]
        return steps + [PlannedStep(condition) for condition in self.extra]

    def _alternatives(self) -> Iterator[list[Condition]]:
        """Groups of conditions that differ in the app alone, or in what only one app has."""
        for slots in self.slots:
            for load in [*({"users": n} for n in self.users), *({"rate": rate} for rate in self.rates)]:
                group = []
                for app in self.apps:
                    workers = self.workers if has_workers(app) else self.workers[:1]
                    threads = self.threads if has_workers(app) else self.threads[:1]
                    group += [
                        Condition(app, slots=slots, workers=number, threads=each, **load)  # type: ignore[arg-type]
                        for number in workers
                        for each in threads
                    ]
                yield group

    def to_json(self) -> object:
        """What `from_json` reads."""
        return msgspec.to_builtins(self)

    @classmethod
    def from_json(cls, data: object) -> Self:
        """The plan that `to_json` wrote. Raises msgspec.ValidationError if that is not one."""
        return msgspec.convert(data, cls)


def _problem(value: Any, wanted: Any) -> str:
    """Why a plan can't have this value; "" if it can."""
    try:
        msgspec.convert(value, wanted)
    except msgspec.ValidationError:
        words = [
            word for each in (wanted, *get_args(wanted)) for word in get_args(each) if isinstance(word, str)
        ]
        return f"it takes {', '.join(words)}" if words else "it takes another kind of value"
    numbers = value if isinstance(value, list | tuple) else (value,)
    few = 1 if wanted == tuple[int, ...] else 0
    if any(isinstance(each, int | float) and each < few for each in numbers):
        return f"it must not be below {few}"
    return ""


@dataclass(frozen=True)
class EverybodySubmits(Plan):
    """A plan whose visitors all submit feeds."""

    submitters: ClassVar[float] = 1.0
