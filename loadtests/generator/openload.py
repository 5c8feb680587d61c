"""Open load: begins visits on schedule, whether or not earlier ones were answered.

Users are created on demand and reused: one that has finished its visit takes the next, like a returning
visitor. Creating one for every visit would cost more than sending its requests.
"""

import itertools
import math
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import gevent
from gevent.pool import Group

from loadtests.generator.arrivals import Arrival
from loadtests.generator.recorder import Recorder
from loadtests.records.recording import Arrivals

USER_READY_SECONDS = 5.0  # to wait for one more user to be ready, before the load begins
LATE_SECONDS = 0.1  # Locust blocks everything else for some 20 ms when it begins to stop


class Choice(NamedTuple):
    """A kind of visit: one task of one user class, chosen in proportion to its weight."""

    user_class: Any
    task: Any
    weight: float
    bursts: bool  # whether bursts include such visits


def choices_of(user_classes: Sequence[Any]) -> list[Choice]:
    """Every task of every class, each class with its weight. If no class sets `bursts`, all of them burst."""
    marked = any(getattr(user_class, "bursts", False) for user_class in user_classes)
    return [
        Choice(
            user_class,
            task,
            weight=user_class.weight / len(user_class.tasks),
            bursts=getattr(user_class, "bursts", False) or not marked,
        )
        for user_class in user_classes
        for task in user_class.tasks
    ]


class OpenSender:
    """Sends `arrivals` by calling `perform(user, arrival)` in greenlets, with at most `in_flight` at a time.

    With `connections`, at most that many are performed at a time, and the others wait their turn. `failed` is
    called with a visit whose user could not start, and why.
    """

    def __init__(
        self,
        recorder: Recorder,
        arrivals: Iterator[Arrival],
        users: "Users",
        perform: Callable[[Any, Arrival], None],
        failed: Callable[[Arrival, Exception], None],
        *,
        in_flight: int,
        connections: int | None,
    ) -> None:
        self.in_flight = 0
        self.not_ready = 0  # visits whose users did not get ready before the end
        self.dropped: list[Arrival] = []
        self._never: list[Arrival] = []
        self._sent = 0
        self._recorder = recorder
        self._arrivals = arrivals
        self._users = users
        self._perform = perform
        self._failed = failed
        self._most_in_flight = in_flight
        self._connections = connections
        self._performing = 0
        self._waiting: deque[Arrival] = deque()
        self._next: Arrival | None = None
        self._unbegun: dict[int, float] = {}  # when each visit was due that was admitted and sent nothing yet
        self._visits = Group()
        self._driver = gevent.spawn(self._drive)

    def _drive(self) -> None:
        for arrival in self._arrivals:
            self._next = arrival
            # Yields even when late, so that the visits under way get their turns.
            gevent.sleep(max(0.0, arrival.at - self._recorder.now()))
            self._next = None
            self._admit(arrival)

    def _admit(self, arrival: Arrival) -> None:
        if self.in_flight >= self._most_in_flight:
            self.dropped.append(arrival)
            return
        self.in_flight += 1
        self._unbegun[arrival.number] = arrival.at
        if self._connections is not None and self._performing >= self._connections:
            self._waiting.append(arrival)
        else:
            self._performing += 1
            self._visits.spawn(self._serve, arrival)

    def _serve(self, arrival: Arrival | None) -> None:
        """Perform a visit, then those waiting for the connection that it frees."""
        try:
            while arrival is not None:
                self._visit(arrival)
                self.in_flight -= 1
                self.begun(arrival.number)  # if it sent nothing
                arrival = self._waiting.popleft() if self._waiting else None
        finally:
            self._performing -= 1

    def _visit(self, arrival: Arrival) -> None:
        try:
            user = self._users.take(arrival.choice)
        except Exception as error:
            self._sent += 1
            self._failed(arrival, error)
            return
        except BaseException:  # killed at the end, before its user was ready
            self.not_ready += 1
            self._never.append(arrival)
            raise
        self._sent += 1
        self._perform(user, arrival)
        self._users.give_back(arrival.choice, user)

    def begun(self, number: int) -> None:
        """A visit sent its first request."""
        self._unbegun.pop(number, None)

    def oldest_due(self) -> float:
        """When the oldest visit was due that has not sent anything yet; infinite if there is none."""
        waiting = next(iter(self._unbegun.values()), math.inf)  # in the order of arrival
        return min(waiting, self._next.at if self._next else math.inf)

    def stop(self, drain: float) -> None:
        """Begin no more visits; give those that have arrived `drain` seconds to finish, then kill them."""
        self._driver.kill()
        now = self._recorder.now()
        for arrival in itertools.chain([self._next] if self._next else [], self._arrivals):
            if arrival.at > now:
                break
            if arrival.at > now - LATE_SECONDS:
                self._admit(arrival)
            else:
                self._never.append(arrival)
        self._visits.join(timeout=drain)
        self._never += self._waiting
        self._waiting.clear()
        self._visits.kill()
        self._users.stop()

    def close(self, label: Callable[[int], tuple[str, str]], dropped: str) -> Arrivals:
        """Record the visits never sent, under the group and name that `label` gives. Returns all counts."""
        for arrivals, error in ((self.dropped, dropped), (self._never, "")):
            for arrival in arrivals:
                group, name = label(arrival.choice)
                self._recorder.never_sent(arrival.number, group, name, arrival.at, error)
        never, refused = len(self._never), len(self.dropped)
        return Arrivals(self._sent + refused + never, self._sent, refused, never)


class Users:
    """Idle users of each class; the last to finish a visit is the first to take another."""

    def __init__(self, choices: Sequence[Choice], make: Callable[[Any], Any]) -> None:
        self._choices = choices
        self._make = make
        self._idle: dict[Any, list[Any]] = defaultdict(list)
        self._starting = Group()

    def take(self, choice: int) -> Any:
        user_class = self._choices[choice].user_class
        idle = self._idle[user_class]
        return idle.pop() if idle else self._make(user_class)

    def give_back(self, choice: int, user: Any) -> None:
        self._idle[self._choices[choice].user_class].append(user)

    def prepare(self, count: int, bursting: bool, patience: float = USER_READY_SECONDS) -> None:
        """Have `count` users of each class idle; with `bursting`, of each class that bursts.

        Returns when all are ready or have failed, or when no further one was ready for `patience` seconds.
        The rest get ready in the background, and visits don't wait for them.
        """
        for user_class in {each.user_class for each in self._choices if each.bursts or not bursting}:
            self._starting.spawn(self._start, user_class, count - len(self._idle[user_class]))
        before = -1
        while self._starting and (ready := sum(map(len, self._idle.values()))) > before:
            before = ready
            self._starting.join(timeout=patience)

    def _start(self, user_class: Any, count: int) -> None:
        for _ in range(count):
            try:
                self._idle[user_class].append(self._make(user_class))
            except Exception:
                return  # logged by `make`; a visit tries again, and is a failure if that fails

    def stop(self) -> None:
        """Give up on users that are not ready yet."""
        self._starting.kill()
