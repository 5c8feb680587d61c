"""The web server's slots keep their own counts: which requests, how many, and for how long."""

import threading
import time
from pathlib import Path

import pytest

from loadtests.servers.slotmeter import REQUEST_KINDS, SlotMeter, kind_of_request, read_slots


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        ("POST", "/feeds", "submit"),
        ("POST", "/feeds/3/refresh", "submit"),
        ("GET", "/feeds/3", "page"),
        ("GET", "/feeds/3.json", "poll"),
        ("GET", "/", "list"),
        ("GET", "/healthz", "other"),
        ("GET", "/static/style.css", "other"),
    ],
)
def test_requests_are_told_apart_by_method_and_path(method: str, path: str, kind: str) -> None:
    """Each is one of the known kinds."""
    assert kind_of_request(method, path) == kind
    assert kind in REQUEST_KINDS


def test_a_slot_counts_what_it_answers_and_how_long_it_took(tmp_path: Path) -> None:
    """It is busy from the request's start; once answered, the time belongs to the request's kind."""
    meter = SlotMeter(tmp_path)
    before = time.monotonic()
    meter.begin()
    under_way = read_slots(tmp_path)
    assert (under_way.slots, under_way.under_way, under_way.taken) == (1, 1, 1)
    assert under_way.total_busy_s == under_way.under_way_s <= time.monotonic() - before
    meter.end("POST", "/feeds")
    passed = time.monotonic() - before
    answered = read_slots(tmp_path)
    assert (answered.requests["submit"], answered.under_way, answered.taken) == (1, 0, 1)
    assert under_way.under_way_s <= answered.busy_s["submit"] == answered.total_busy_s <= passed


def test_the_squares_of_the_times_are_added_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By kind, to give the spread of the times: 1 s and 3 s, and one page of 0.5 s."""
    clock = iter([10.0, 11.0, 20.0, 23.0, 30.0, 30.5, 40.0])
    monkeypatch.setattr("loadtests.servers.slotmeter.time.monotonic", lambda: next(clock))
    meter = SlotMeter(tmp_path)
    for method, path in (("POST", "/feeds"), ("POST", "/feeds"), ("GET", "/feeds/1")):
        meter.begin()
        meter.end(method, path)
    counts = read_slots(tmp_path)
    assert (counts.requests["submit"], counts.busy_s["submit"], counts.squares_s2["submit"]) == (2, 4.0, 10.0)
    assert (counts.requests["page"], counts.busy_s["page"], counts.squares_s2["page"]) == (1, 0.5, 0.25)
    assert counts.squares_s2["poll"] == 0


def test_probes_are_no_visitors_requests(tmp_path: Path) -> None:
    """They are busy time, but not counted as requests."""
    meter = SlotMeter(tmp_path)
    meter.begin()
    meter.end("GET", "/healthz")
    counts = read_slots(tmp_path)
    assert (counts.taken, counts.requests["other"]) == (0, 1)
    assert counts.total_busy_s > 0


def test_a_slot_that_is_never_asked_counts_once_it_is_open(tmp_path: Path) -> None:
    """The kernel may give all requests to others, but it would serve if they were busy."""
    SlotMeter(tmp_path).open()
    counts = read_slots(tmp_path)
    assert (counts.slots, counts.taken, counts.total_busy_s) == (1, 0, 0)


def test_each_thread_is_a_slot_of_its_own(tmp_path: Path) -> None:
    """As in a threaded server; nothing is lost when they count at the same time."""
    meter, together = SlotMeter(tmp_path), threading.Barrier(4)

    def serve() -> None:
        together.wait()
        for _ in range(500):
            meter.begin()
            meter.end("GET", "/")
        together.wait()  # an ended thread's number may be given to the next

    threads = [threading.Thread(target=serve) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counts = read_slots(tmp_path)
    assert (counts.slots, counts.requests["list"]) == (4, 2000)


def test_a_file_that_is_no_slots_is_left_out(tmp_path: Path) -> None:
    """A newly created one is empty for a moment."""
    (tmp_path / "1-1").write_bytes(b"")
    assert read_slots(tmp_path).slots == 0
