"""Open load: visits begin when they are due, on users that are reused, within the limits."""

import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import gevent
import gevent.event
import pytest

from loadtests.generator.arrivals import Arrival
from loadtests.generator.openload import Choice, OpenSender, Users, choices_of
from loadtests.generator.recorder import Recorder
from loadtests.records.recording import Arrivals
from loadtests.records.rows import DROPPED


class Made:
    """A user class that counts its instances."""

    weight = 1
    made = 0

    def __init__(self) -> None:
        Made.made += 1


@pytest.fixture(autouse=True)
def none_made() -> None:
    """Each test counts from zero."""
    Made.made = 0


def opened(
    arrivals: Iterator[Arrival],
    perform: Callable[[Any, Arrival], None],
    in_flight: int = 100,
    connections: int | None = None,
    clock: Callable[[], float] = time.perf_counter,
    make: Callable[[type[Made]], Made] = lambda made: made(),
    failed: Callable[[Arrival, Exception], None] = lambda *_: None,
) -> tuple[Recorder, OpenSender]:
    """An open load that has begun."""
    recorder = Recorder(clock)
    users = Users([Choice(Made, perform, 1.0, True)], make)
    limits: dict[str, Any] = {"in_flight": in_flight, "connections": connections}
    return recorder, OpenSender(recorder, arrivals, users, perform, failed, **limits)


def never(_made: type[Made]) -> Made:
    """A user whose on_start never ends."""
    gevent.event.Event().wait()
    raise AssertionError


def in_vain(_made: type[Made]) -> Made:
    """A user whose on_start fails."""
    raise RuntimeError("no login")


def at(*times: float) -> Iterator[Arrival]:
    """Arrivals at these times, in seconds, and then none for an hour."""
    return (Arrival(number, time, 0) for number, time in enumerate([*times, 3600.0]))


def wait_for(condition: Callable[[], object]) -> None:
    """Let the greenlets run until the condition holds."""
    with gevent.Timeout(20):
        while not condition():
            gevent.sleep(0.001)


def test_a_visit_begins_when_it_is_due_and_not_before() -> None:
    """It does not wait for the previous one."""
    begun: list[tuple[int, float]] = []
    never = gevent.event.Event()

    def perform(_user: Made, arrival: Arrival) -> None:
        begun.append((arrival.number, recorder.now()))
        never.wait()

    recorder, load = opened(at(0.0, 0.05, 0.1), perform)
    wait_for(lambda: len(begun) == 3)
    load.stop(drain=0)
    assert [number for number, _ in begun] == [0, 1, 2]
    assert all(when >= due for (_, when), due in zip(begun, (0.0, 0.05, 0.1), strict=True))
    assert load.close(lambda _: ("", ""), DROPPED) == Arrivals(3, 3, 0, 0)


def test_a_user_whose_visit_has_ended_makes_the_next_one() -> None:
    """Visits one after the other share a user; simultaneous ones need one each."""
    done: list[Made] = []
    _, load = opened(at(0.0, 0.02, 0.04), lambda user, _: done.append(user))
    wait_for(lambda: len(done) == 3)
    load.stop(drain=0)
    assert Made.made == len(set(done)) == 1


def test_what_comes_when_too_many_are_in_flight_is_dropped() -> None:
    """It is counted, and recorded under the name of what it would have sent; it is not sent later."""
    go_on = gevent.event.Event()
    recorder, load = opened(at(0.0, 0.0, 0.0), lambda *_: go_on.wait(), in_flight=2)
    wait_for(lambda: load.dropped)
    go_on.set()
    load.stop(drain=20)
    assert load.close(lambda _: ("submit", "POST /feeds"), DROPPED) == Arrivals(3, 2, 1, 0)
    (row,) = recorder.close()
    assert row.dropped and (row.group, row.name, row.user) == ("submit", "POST /feeds", 2)


def test_visits_wait_for_a_connection_and_keep_their_order() -> None:
    """At most two at a time, eventually all of them, and no more users than connections."""
    at_a_time: list[int] = []
    order: list[int] = []
    there = 0

    def perform(_user: Made, arrival: Arrival) -> None:
        nonlocal there
        there += 1
        at_a_time.append(there)
        order.append(arrival.number)
        gevent.sleep(0.005)
        there -= 1

    _, load = opened(at(*[0.0] * 7), perform, connections=2)
    wait_for(lambda: len(order) == 7)
    load.stop(drain=20)
    assert max(at_a_time) == 2 and Made.made == 2
    assert order == list(range(7))


def test_visits_that_still_wait_at_the_end_were_never_sent() -> None:
    """They are unfinished rows: how long they would have waited is unknown."""
    recorder, load = opened(at(0.0, 0.0, 0.0), lambda *_: gevent.event.Event().wait(), connections=1)
    wait_for(lambda: load.in_flight == 3)
    load.stop(drain=0)
    assert load.close(lambda _: ("", ""), DROPPED) == Arrivals(3, 1, 0, 2)
    rows = recorder.close()
    assert len(rows) == 2 and all(row.unfinished and row.sent_s is None for row in rows)


def test_visits_in_flight_have_the_drain_to_end() -> None:
    """Those waiting for a connection, too; no new one begins."""
    ended: list[int] = []

    def perform(_user: Made, arrival: Arrival) -> None:
        gevent.sleep(0.05)
        ended.append(arrival.number)

    _, load = opened(at(0.0, 0.0), perform, connections=1)
    wait_for(lambda: load.in_flight == 2)
    load.stop(drain=20)
    assert ended == [0, 1]
    assert load.close(lambda _: ("", ""), DROPPED) == Arrivals(2, 2, 0, 0)


def test_a_generator_that_never_came_to_it_says_so() -> None:
    """A thousand visits long overdue: they are not sent in a rush at the end, but counted as never sent."""
    lost: list[float] = []  # seconds, as if the first visit had taken a hundred of CPU before the end came
    _, load = opened(
        at(0.0, *[50.0] * 1000), lambda *_: lost.append(100.0), clock=lambda: time.perf_counter() + sum(lost)
    )
    wait_for(lambda: lost)
    load.stop(drain=20)
    assert load.close(lambda _: ("", ""), DROPPED) == Arrivals(1001, 1, 0, 1000)


def test_a_visit_whose_user_could_not_start_is_not_performed() -> None:
    """It is a visit all the same: somebody came, and it is reported with the reason."""
    performed: list[Arrival] = []
    failed: list[tuple[int, str]] = []
    _, load = opened(
        at(0.0, 0.0),
        lambda _, arrival: performed.append(arrival),
        make=in_vain,
        failed=lambda arrival, error: failed.append((arrival.number, str(error))),
    )
    wait_for(lambda: len(failed) == 2)
    load.stop(drain=0)
    assert failed == [(0, "no login"), (1, "no login")] and not performed
    assert load.in_flight == 0
    assert load.close(lambda _: ("", ""), DROPPED) == Arrivals(2, 2, 0, 0)


def test_a_visit_whose_user_is_not_ready_in_the_end_was_never_sent() -> None:
    """It is counted separately, so that the reason can be given."""
    recorder, load = opened(at(0.0, 0.0), lambda *_: None, make=never)
    wait_for(lambda: load.in_flight == 2)
    load.stop(drain=0)
    assert load.close(lambda _: ("", ""), DROPPED) == Arrivals(2, 0, 0, 2)
    assert load.not_ready == 2
    assert all(row.unfinished and row.sent_s is None for row in recorder.close())


@pytest.mark.parametrize("make", [never, in_vain])
def test_a_load_does_not_wait_for_users_that_do_not_get_ready(make: Callable[[type[Made]], Made]) -> None:
    """Nor do they end it."""
    users = Users([Choice(Made, None, 1.0, True)], make)
    with gevent.Timeout(20):
        users.prepare(3, bursting=False, patience=0.01)
    users.stop()


def test_a_load_waits_as_long_as_more_users_get_ready() -> None:
    """Each may take almost as long as the load's patience."""

    def slowly(made: type[Made]) -> Made:
        gevent.sleep(0.005)
        return made()

    users = Users([Choice(Made, None, 1.0, True)], slowly)
    users.prepare(30, bursting=False, patience=0.1)
    assert Made.made == 30


def test_users_can_be_made_ready_for_a_burst() -> None:
    """Users of the burst's classes, so that creating them is in no one's latency."""

    class Other(Made):
        pass

    made: list[type] = []
    choices = [Choice(Made, None, 1.0, True), Choice(Other, None, 1.0, False)]
    users = Users(choices, lambda user_class: made.append(user_class) or user_class())
    users.prepare(1, bursting=False)
    assert sorted(made, key=str) == sorted([Made, Other], key=str)
    users.prepare(3, bursting=True)
    assert made.count(Made) == 3 and made.count(Other) == 1


def test_the_choices_are_tasks_weighted_over_classes() -> None:
    """Locust repeats a task in `tasks` by its weight; a class's weight is shared among its tasks."""
    look, read, submit = object(), object(), object()
    browser = SimpleNamespace(weight=3, tasks=[look, look, read])
    submitter = SimpleNamespace(weight=7, tasks=[submit], bursts=True)
    choices = choices_of([browser, submitter])
    assert sum(choice.weight for choice in choices) == pytest.approx(10)
    assert sum(choice.weight for choice in choices if choice.task is look) == pytest.approx(2)
    assert [choice.task for choice in choices if choice.bursts] == [submit]
    assert all(choice.bursts for choice in choices_of([browser]))


def test_the_oldest_visit_is_known_that_has_not_sent_anything_yet() -> None:
    """One that waits for a connection, or pauses before its first request; ended visits do not count."""
    begin, go_on = gevent.event.Event(), gevent.event.Event()
    here: list[int] = []

    def perform(_user: Made, arrival: Arrival) -> None:
        here.append(arrival.number)
        begin.wait()
        if arrival.number != 1:  # which sends nothing at all
            load.begun(arrival.number)
            go_on.wait()

    _, load = opened(at(0.0, 0.01, 0.02), perform, connections=2)
    wait_for(lambda: len(here) == 2 and load.in_flight == 3)
    assert load.oldest_due() == 0.0
    begin.set()
    wait_for(lambda: len(here) == 3)
    assert load.oldest_due() == 3600.0
    go_on.set()
    load.stop(drain=20)
