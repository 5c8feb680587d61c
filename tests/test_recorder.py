"""Rows of requests: unrounded, from the intended start, and with the requests that were never answered."""

import errno

import pytest

from loadtests.generator.recorder import CUT_OFF, LagMeter, Recorder
from loadtests.judging.samples import nearest_rank
from loadtests.records.rows import DROPPED


class Clock:
    """A clock that stands still until it is advanced."""

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
    """Times are seconds since start(); the intended start may precede the sending."""
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
    """Like gevent.GreenletExit."""


def test_a_request_whose_user_is_killed_at_the_end_is_unfinished(recorder: Recorder) -> None:
    """A block left by a BaseException, such as a greenlet's end, got no answer."""
    recorder.stop()
    with pytest.raises(Killed), recorder.request(1, "submit", "POST /feeds"):
        raise Killed
    assert [row.unfinished for row in recorder.close()] == [True]


def test_a_request_that_was_over_the_rule_when_its_user_was_stopped_is_a_failure(
    recorder: Recorder, clock: Clock
) -> None:
    """Its user stops waiting in mid-load, but it was too slow already."""
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
    """It says nothing for or against the server; the number of such requests is known."""
    with pytest.raises(Killed), recorder.request(1, "submit", "POST /feeds"):
        clock.seconds += 0.1
        raise Killed
    assert recorder.close() == []
    assert recorder.left_out == 1


def test_what_is_too_slow_when_it_is_cut_off_depends_on_the_rule(clock: Clock) -> None:
    """0.3 s is over a rule of 200 ms."""
    recorder = Recorder(clock, rule_ms=200)
    with pytest.raises(Killed), recorder.request(1, "submit", "POST /feeds"):
        clock.seconds += 0.3
        raise Killed
    (row,) = recorder.close()
    assert row.failed and row.error == CUT_OFF


def test_an_exception_in_the_block_makes_it_a_failure(recorder: Recorder) -> None:
    """With the exception's message, unless an error was set already."""
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
    """Later calls say how it went, not when it ended."""
    pending = recorder.begin(1, "browse", "GET /")
    clock.seconds += 1
    recorder.end(pending)
    clock.seconds += 1
    recorder.end(pending)
    assert recorder.close()[0].done_s == 1


class Naps:
    """A `sleep` that takes the given times, and finally ends. `wall` is the wall clock."""

    def __init__(self, clock: Clock, *naps: tuple[float, float]) -> None:
        self._clock, self._naps = clock, iter(naps)
        self._ahead = 0.0

    def sleep(self, _seconds: float) -> None:
        nap, jump = next(self._naps, (None, 0.0))
        if nap is None:
            raise SystemExit
        self._clock.seconds += nap
        self._ahead += jump

    def wall(self) -> float:
        return 1_000_000 + self._clock.seconds + self._ahead


def metered(recorder: Recorder, naps: Naps) -> list[float]:
    """How late it was, in ms, given these naps."""
    meter = LagMeter(recorder, naps.sleep, wall=naps.wall)
    with pytest.raises(SystemExit):
        meter.run()
    return [round(late, 6) for _, late in meter.samples]


def test_the_lag_meter_notes_how_late_it_was_woken(recorder: Recorder, clock: Clock) -> None:
    """Asked for 20 ms and woken after 35: 15 ms late. A slightly short nap is a sample, too."""
    assert metered(recorder, Naps(clock, (0.02, 0), (0.035, 0), (0.01999, 0))) == [0, 15, 0]


def test_every_wake_up_that_a_standstill_missed_counts(recorder: Recorder, clock: Clock) -> None:
    """Two seconds are a hundred samples, from 1.98 s down to 0: 1 % of 28 s, or more, can't hide it."""
    lags = metered(recorder, Naps(clock, *[(0.02, 0)] * 1400, (2.0, 0)))
    assert len(lags) == 1500
    assert sorted(lags)[-100:] == pytest.approx([20.0 * n for n in range(100)])
    assert nearest_rank(lags, 99) > 1000
    assert recorder.faults.in_words() == ()


@pytest.mark.parametrize(("jump", "words"), [(7.0, "suspended"), (-3.0, "set back by 3.0 s")])
def test_a_machine_that_was_suspended_is_a_fault(
    recorder: Recorder, clock: Clock, jump: float, words: str
) -> None:
    """Our clock stood still meanwhile, so the lag does not show it; the wall clock does."""
    assert metered(recorder, Naps(clock, (0.02, 0), (0.02, jump), (0.02, 0.001))) == [0, 0, 0]
    (fault,) = recorder.faults.in_words()
    assert words in fault


def test_each_attempt_of_a_request_is_a_row(recorder: Recorder, clock: Clock) -> None:
    """The first counts from its intended start, the second from its resending."""
    pending = recorder.begin(1, "browse", "GET /", intended=-1.0)
    clock.seconds += 2
    recorder.again(pending, "dropped")
    clock.seconds += 3
    recorder.end(pending)
    first, second = recorder.close()
    assert (first.intended_s, first.sent_s, first.done_s, first.error) == (-1, 0, 2, "dropped")
    assert (second.intended_s, second.sent_s, second.done_s, second.error) == (2, 2, 5, "")


def test_a_request_for_which_there_was_no_file_descriptor_is_no_row(recorder: Recorder) -> None:
    """It says nothing about the server. The number of such requests is known."""
    with pytest.raises(OSError), recorder.request(1, "browse", "GET /"):
        raise OSError(errno.EMFILE, "Too many open files")
    assert recorder.close() == []
    (fault,) = recorder.faults.in_words()
    assert "1 request" in fault
