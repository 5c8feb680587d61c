"""What one process does while a load runs: it records, watches itself, and sends open load."""

import gc
import itertools
import math
import random
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import gevent

from loadtests.generator.arrivals import Arrival, Burst, Share, part_of, schedule, share_of
from loadtests.generator.faults import SpareFiles
from loadtests.generator.loadoptions import Load
from loadtests.generator.openload import Choice, OpenSender, Users
from loadtests.generator.quota import Quota
from loadtests.generator.recorder import LagMeter, Pending, Recorder
from loadtests.generator.recordings import look
from loadtests.records.recording import Lag, Recording, Vital
from loadtests.records.rows import DROPPED
from loadtests.wording import counted

VITALS_SECONDS = 0.5
USERS_A_PROCESS = 1_000_000  # user numbers reserved for each process
ON_USER = "_loadtests_sender"


class Sender:
    """The sender of a request: in closed load a user, in open load a visit due to begin at `intended`."""

    __slots__ = ("_key", "_random", "begun", "choice", "entered", "intended", "number")

    def __init__(self, number: int, key: str, intended: float | None = None, choice: int = 0) -> None:
        self.number = number
        self.intended = intended
        self.choice = choice
        # Whether its first request was sent, and its first `visit` begun: both count from `intended`.
        self.begun = self.entered = intended is None
        self._key = key
        self._random: random.Random | None = None

    @property
    def random(self) -> random.Random:
        """Its own random numbers, which depend on the seed, its number and (in closed load) its class."""
        if self._random is None:
            self._random = random.Random(self._key)
        return self._random


class Generator:
    """One process's part of a load. `users` returns how many users Locust runs in it."""

    def __init__(
        self, load: Load, index: int, users: Callable[[], int], clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self.load = load
        self.recorder = Recorder(clock, load.rule_ms)
        self.users = users
        self._numbers = itertools.count(index * USERS_A_PROCESS)
        self._labels: dict[int, tuple[str, str]] = {}  # group and name of each choice's first request
        self._choices: Sequence[Choice] = ()
        self._open: OpenSender | None = None
        self._preparing: Users | None = None
        self._vitals: list[Vital] = []
        self._lag = LagMeter(self.recorder, gevent.sleep)
        self._greenlets: list[Any] = []
        self._spare_files = SpareFiles()
        self._quota: Quota | None = None

    def start(self) -> None:
        """Start recording, and sending the load that `send` prepared, unless stopped meanwhile."""
        if self.recorder.stopped is not None:
            return
        gc.collect()
        gc.freeze()  # exempts existing objects from later collections, which would show as latency
        self._quota = Quota()
        self._spare_files.keep()
        self.recorder.start()
        self._greenlets = [gevent.spawn(self._lag.run), gevent.spawn(self._watch)]

    def send(
        self,
        choices: Sequence[Choice],
        share: Share,
        make: Callable[[Any], Any],
        perform: Callable[[Any, Any], None],
    ) -> None:
        """Prepare to send this process's share of an open load.

        `make` creates a user of a class; `perform` has a user perform a task.
        """
        load = self.load
        self._choices, self._preparing = choices, (users := Users(choices, make))
        users.prepare(1, bursting=False)
        bursting = tuple(number for number, choice in enumerate(choices) if choice.bursts)
        burst = Burst(load.burst, load.burst_at, bursting) if load.burst else None
        if burst:
            users.prepare(min(part_of(load.burst, share), load.in_flight), bursting=True)
        arrivals = schedule(load.pieces(), [choice.weight for choice in choices], load.seed, burst)

        def visit(user: Any, arrival: Arrival) -> None:
            key = f"{load.seed} visit {arrival.number}"
            setattr(user, ON_USER, Sender(arrival.number, key, arrival.at, arrival.choice))
            perform(user, choices[arrival.choice].task)

        self._open = OpenSender(
            self.recorder,
            share_of(arrivals, share),
            users,
            visit,
            self._could_not_start,
            in_flight=max(1, part_of(load.in_flight, share)),
            connections=max(1, part_of(load.connections, share)) if load.connections else None,
        )
        self._preparing = None

    def sender(self, user: Any) -> Sender:
        """The sender that `user` stands for, numbered on first use. None is number -1."""
        if user is None:
            return Sender(-1, "nobody")
        known: Sender | None = getattr(user, ON_USER, None)
        if known is None:
            number = next(self._numbers)
            known = Sender(number, f"{self.load.seed} {type(user).__name__} {number}")
            setattr(user, ON_USER, known)
        return known

    def begin(self, user: Any, group: str, name: str) -> Pending:
        """Record that `user` sends a request now. A visit's first counts from the visit's intended start."""
        sender = self.sender(user)
        if sender.begun:
            return self.recorder.begin(sender.number, group, name)
        sender.begun = True
        if self._open:
            self._open.begun(sender.number)
        self._labels.setdefault(sender.choice, (group, name))
        return self.recorder.begin(sender.number, group, name, sender.intended)

    def visit(self, user: Any, group: str, name: str) -> AbstractContextManager[Pending]:
        """Record a block as a row, not a request. A visit's first counts from the visit's intended start."""
        sender = self.sender(user)
        self.recorder.visits.add(group)
        intended = None if sender.entered else sender.intended
        sender.entered = True
        return self.recorder.request(sender.number, group, name, intended)

    def failed_to_begin(self, user: Any, error: str) -> None:
        """Record the error that ended a visit, unless the visit had already sent a request."""
        sender = self.sender(user)
        if not sender.begun and sender.intended is not None:
            sender.begun = True
            self._failed(sender.number, sender.choice, sender.intended, error)

    def _could_not_start(self, arrival: Arrival, error: Exception) -> None:
        said = f"its user could not start: {str(error) or type(error).__name__}"
        self._failed(arrival.number, arrival.choice, arrival.at, said)

    def _failed(self, visit: int, choice: int, intended: float, error: str) -> None:
        """Record a visit that sent nothing as one request that failed."""
        pending = self.recorder.begin(visit, *self._label(choice), intended)
        pending.error = error
        self.recorder.end(pending, settled=True)

    def oldest_due(self) -> float:
        """When the oldest visit of open load was due that has not sent its first request yet."""
        return self._open.oldest_due() if self._open else math.inf

    def dropped(self, number: int) -> list[tuple[str, str, float]]:
        """The visits that open load refused, but the first `number`: group, name, and when each was due."""
        arrivals = self._open.dropped[number:] if self._open else []
        return [(*self._label(arrival.choice), arrival.at) for arrival in arrivals]

    def samples(self, lags: int, vitals: int) -> tuple[list[Lag], list[Vital]]:
        """The samples of its lag and of this process so far, but the first ones, this many."""
        return self._lag.samples[lags:], self._vitals[vitals:]

    def look(self) -> None:
        """Sample this process's CPU time and users."""
        with self._spare_files.lent():  # the machine's state is read from a file
            self._vitals.append(look(self.recorder.now(), self.users()))

    def stop(self, drain: float) -> None:
        """Stop offering load. Open-load visits have `drain` seconds to finish; Locust stops its own users."""
        self.look()
        self.recorder.stop()
        for greenlet in self._greenlets:
            greenlet.kill()
        with self._spare_files.lent():
            if self._quota and (fault := self._quota.fault(self.recorder.stopped or 0.0)):
                self.recorder.faults.add(fault)
        if self._preparing:
            self.recorder.faults.add("no visit could begin, because on_start of a user did not end")
        if self._open:
            self._open.stop(drain)

    def close(self) -> Recording:
        """End the recording."""
        recorder = self.recorder
        if self._preparing:
            self._preparing.stop()
        count = self._open.close(self._label, DROPPED) if self._open else None
        if self._open and (waited := self._open.not_ready):
            recorder.faults.add(
                f"{counted(waited, 'visit')} could not begin, because on_start of the user did not end"
            )
        rows = recorder.close()
        self._spare_files.give_up()
        gc.unfreeze()
        return Recording(
            started_at=recorder.started_at,
            stopped_s=recorder.stopped or 0.0,
            ended_s=recorder.ended or 0.0,
            rows=tuple(rows),
            lag=tuple(self._lag.samples),
            vitals=(tuple(self._vitals),),
            arrivals=count,
            visits=tuple(sorted(recorder.visits)),
            resent=recorder.resent,
            left_out=recorder.left_out,
            faults=recorder.faults.in_words(),
        )

    def _watch(self) -> None:
        while True:
            self.look()
            gevent.sleep(VITALS_SECONDS)

    def _label(self, choice: int) -> tuple[str, str]:
        """Group and name of the first request of this choice's visits; its task's name if none was sent."""
        name = self._choices[choice].task.__name__
        return self._labels.get(choice, (name, name))
