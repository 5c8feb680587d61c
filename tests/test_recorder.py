"""Rows of requests: unrounded, from the intended start, and with what never came back."""

import threading

import pytest

from loadtests.generator.recorder import CUT_OFF, LagMeter, Recorder
from loadtests.records.rows import DROPPED


class Clock:
    """A clock that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    """A clock at a hundred seconds."""
    return Clock()


@pytest.fixture
def recorder(clock: Clock) -> Recorder:
    """A recorder that was started at a hundred seconds."""
    return Recorder(clock)


def test_a_request_is_recorded_unrounded_from_its_intended_start(recorder: Recorder, clock: Clock) -> None:
    """Times are seconds since start(); the intended start may lie before the sending."""
    clock.seconds += 1.5
    with recorder.request(3, "submit", "POST /feeds", intended=1.25) as pending:
        clock.seconds += 0.495_123
        pending.status = 303
    (row,) = recorder.close()
    assert (row.user, row.group, row.name, row.status, row.error) == (3, "submit", "POST /feeds", 303, "")
    assert (row.intended_s, row.sent_s) == (1.25, 1.5)
    assert row.done_s == pytest.approx(1.995_123, abs=1e-9)


def test_what_is_in_flight_at_the_end_is_recorded_as_unfinished(recorder: Recorder, clock: Clock) -> None:
    """close() turns open requests into rows without an end."""
    recorder.begin(1, "submit", "POST /feeds")
    clock.seconds += 7
    (row,) = recorder.close()
    assert row.unfinished
    assert row.waited_ms(recorder.ended or 0) == 7000


class Killed(BaseException):
    """As gevent.GreenletExit."""


def test_a_request_whose_user_is_killed_at_the_end_is_unfinished(recorder: Recorder) -> None:
    """A block that is left by a BaseException, such as a greenlet's end, was not answered."""
    recorder.stop()
    with pytest.raises(Killed), recorder.request(1, "submit", "POST /feeds"):
        raise Killed
    assert [row.unfinished for row in recorder.close()] == [True]


def test_a_request_that_was_over_the_rule_when_its_user_was_stopped_is_a_failure(
    recorder: Recorder, clock: Clock
) -> None:
    """While the load goes on, nobody waits for its answer any more; but it was slow already."""
    with pytest.raises(Killed), recorder.request(1, "submit", "POST /feeds"):
        clock.seconds += 0.6
        raise Killed
    clock.seconds += 5
    (row,) = recorder.close()
    assert row.failed and row.error == CUT_OFF
    assert row.waited_ms(recorder.ended or 0) == 600


def test_a_request_whose_user_was_stopped_too_soon_to_say_is_left_out(
    recorder: Recorder, clock: Clock
) -> None:
    """It says nothing for or against the server; how many there are of them is known."""
    with pytest.raises(Killed), recorder.request(1, "submit", "POST /feeds"):
        clock.seconds += 0.1
        raise Killed
    assert recorder.close() == []
    assert recorder.left_out == 1


def test_an_exception_in_the_block_makes_it_a_failure(recorder: Recorder) -> None:
    """With the exception's words, unless something was said already."""
    with pytest.raises(ValueError), recorder.request(1, "browse", "GET /"):
        raise ValueError("no such page")
    with pytest.raises(ValueError), recorder.request(1, "browse", "GET /") as pending:
        pending.error = "answered 404, not 200"
        raise ValueError
    assert [row.error for row in recorder.close()] == ["no such page", "answered 404, not 200"]


def test_a_new_start_forgets_all_and_late_ends_of_before(recorder: Recorder) -> None:
    """A request begun before start() leaves no row in the new recording."""
    pending = recorder.begin(1, "submit", "POST /feeds")
    recorder.start()
    recorder.end(pending)
    assert recorder.close() == []


def test_what_was_never_sent_is_a_row_without_a_start(recorder: Recorder) -> None:
    """Dropped, or still waiting for a connection at the end."""
    recorder.never_sent(1, "submit", "POST /feeds", 2.0, DROPPED)
    recorder.never_sent(2, "submit", "POST /feeds", 1.0)
    waiting, dropped = recorder.close()
    assert dropped.dropped and not dropped.unfinished
    assert waiting.unfinished and not waiting.dropped and waiting.sent_s is None


def test_the_end_that_is_known_first_counts(recorder: Recorder, clock: Clock) -> None:
    """Whoever comes later says how it went, not when it ended."""
    pending = recorder.begin(1, "browse", "GET /")
    clock.seconds += 1
    recorder.end(pending)
    clock.seconds += 1
    recorder.end(pending)
    assert recorder.close()[0].done_s == 1


def test_the_lag_meter_notes_how_late_it_was_woken(recorder: Recorder, clock: Clock) -> None:
    """Asked for 20 ms and woken after 50: 30 ms late."""
    naps = iter([0.02, 0.05])
    ended = threading.Event()

    def sleep(_seconds: float) -> None:
        nap = next(naps, None)
        if nap is None:
            ended.set()
            raise SystemExit
        clock.seconds += nap

    meter = LagMeter(recorder, sleep)
    with pytest.raises(SystemExit):
        meter.run()
    assert [round(late, 6) for _, late in meter.samples] == [0, 30]
