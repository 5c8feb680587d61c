"""Rows of requests: unrounded, from the intended start, and with what never came back."""

import json
import threading
from pathlib import Path

import pytest

from loadtests.recorder import LagMeter, Recorder
from loadtests.samples import read_rows


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


def test_a_request_whose_user_is_killed_is_unfinished(recorder: Recorder) -> None:
    """A block that is left by a BaseException, such as a greenlet's end, was not answered."""

    class Killed(BaseException):
        """As gevent.GreenletExit."""

    with pytest.raises(Killed), recorder.request(1, "submit", "POST /feeds"):
        raise Killed
    assert [row.unfinished for row in recorder.close()] == [True]


def test_a_new_start_forgets_all_and_late_ends_of_before(recorder: Recorder) -> None:
    """A request begun before start() leaves no row in the new recording."""
    ticket, _ = recorder.begin(1, "submit", "POST /feeds")
    recorder.start()
    recorder.end(ticket)
    assert recorder.close() == []


def test_rows_and_what_is_known_of_them_can_be_read_again(
    recorder: Recorder, clock: Clock, tmp_path: Path
) -> None:
    """write() makes a CSV file that read_rows() reads, and a JSON file beside it."""
    with recorder.request(1, "browse", "GET /") as pending:
        clock.seconds += 0.25
        pending.error = "answered 500, not 200"
    recorder.begin(2, "submit", "POST /feeds")
    clock.seconds += 1
    rows = recorder.close()
    recorder.write(tmp_path / "rows" / "x.csv", users=2)
    assert read_rows(tmp_path / "rows" / "x.csv") == rows
    about = json.loads((tmp_path / "rows" / "x.json").read_text())
    assert about["users"] == 2
    assert about["ended_s"] == 1.25


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
