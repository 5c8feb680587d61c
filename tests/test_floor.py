"""The generator's own floor: a null server, and rising rates until the generator is no longer fit."""

import json
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

from loadtests.bench import floor
from loadtests.errors import ProcessError, UsageError
from loadtests.records.recording import Arrivals, Lag, Recording, Vital
from loadtests.records.results import FloorRate
from loadtests.records.rows import DROPPED, Row
from loadtests.servers.processes import Process


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a null server."""
    log = tmp_path_factory.mktemp("null") / "log"
    with Process("null server", [sys.executable, "-m", "loadtests.bench.nullserver"], log) as process:
        yield process.wait_for_address()


@pytest.mark.live
def test_the_null_server_answers_every_request_of_a_connection(server: str) -> None:
    """Connections are kept alive."""
    with requests.Session() as session:
        assert [session.get(f"{server}/{n}", timeout=60).text for n in range(3)] == ["ok\n"] * 3


@pytest.mark.live
def test_the_null_server_waits_for_the_rest_of_a_request(server: str) -> None:
    """A request in pieces is one request; two in one piece are two."""
    host, port = server.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as client, client.makefile("rb") as answers:
        client.sendall(b"GET / HT")
        client.sendall(b"TP/1.1\r\nHost: x\r\n\r")
        client.sendall(b"\nGET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n")
        for _ in range(3):
            head = [answers.readline() for _ in range(4)]
            assert (head[0], head[-1], answers.readline()) == (b"HTTP/1.1 200 OK\r\n", b"\r\n", b"ok\n")


def rows(per_s: int, seconds: float = 3, latency: float = 0.002, **different: Any) -> list[Row]:
    """Requests at an even rate, each answered after `latency` seconds."""
    times = [n / per_s for n in range(int(per_s * seconds))]
    what: dict[str, Any] = {"user": 0, "group": "GET /", "name": "GET /", "status": 200, "error": ""}
    return [
        Row(**{**what, "intended_s": at, "sent_s": at, "done_s": at + latency, **different}) for at in times
    ]


def recorded(
    seen: list[Row], late_ms: float = 1, generator: float = 0.3, host: float = 0.5, **about: Any
) -> Recording:
    """Three seconds of open load; CPU as shares of a core, and of all."""
    vitals = tuple(
        Vital(at=at, generator=at * generator, host_busy=2 * at * host, host_total=2 * at, users=0)
        for at in (0.5, 1.0, 1.5, 2.0, 2.5, 3.0)
    )
    known: dict[str, Any] = {
        "model": "open",
        "lag": tuple(Lag(n / 50, late_ms) for n in range(150)),
        "vitals": (vitals,),
        **about,
    }
    return Recording(started_at=1000.0, stopped_s=3.0, ended_s=3.0, rows=tuple(seen), **known)


def judged(seen: list[Row], **about: Any) -> FloorRate:
    """The judgement of the two seconds after the warm-up."""
    return floor.result_of(100, 2, recorded(seen, **about))


def test_a_rate_is_described_without_its_warm_up() -> None:
    """Latency, lateness and CPU cover the seconds after it."""
    slow = rows(100, seconds=1, latency=0.02)
    seen = judged(slow + rows(100)[100:])
    assert seen["fit"] and not seen["unfit_reasons"]
    assert (seen["p50_ms"], seen["p99_ms"]) == (2.0, 2.0)
    assert seen["planned_per_s"] == 100 and seen["lag_p99_ms"] == 1
    assert seen["cpu_percent"] == pytest.approx(30) and seen["host_cpu_percent"] == pytest.approx(50)


LOST = rows(100, sent_s=None, done_s=None, error=DROPPED, status=0)


@pytest.mark.parametrize(
    ("why", "seen"),
    [
        ("late by 11.0 ms (p99, at most 10 ms)", judged(rows(100), late_ms=11)),
        ("the load generator used 81 % of its core", judged(rows(100), generator=0.81)),
        ("the machine was 85 % busy", judged(rows(100), host=0.85)),
        ("95/s of 100/s", judged(rows(95) + rows(5, done_s=None))),
        ("200 of 300 visits were dropped", judged(LOST, arrivals=Arrivals(300, 100, 200))),
        ("0/s of 100/s", judged(LOST)),
        ("200 failed", judged(rows(100, status=503))),
        ("1 load generator did not report", judged(rows(100), processes_lost=1)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_rate_is_unfit_for_each_of_the_limits(why: str, seen: FloorRate) -> None:
    """The reason names the limit."""
    assert not seen["fit"]
    assert any(why in reason for reason in seen["unfit_reasons"])


def test_a_generator_that_nobody_could_look_at_is_no_result() -> None:
    """The reason says so plainly."""
    with pytest.raises(ProcessError, match="too busy"):
        judged(rows(100), vitals=())


@pytest.mark.live
def test_it_stops_at_the_first_rate_that_is_unfit_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Being unfit once may have been a disturbance."""
    fit, unfit = judged(rows(100)), judged(rows(100), late_ms=50)
    answers = iter([fit, unfit, fit, unfit, unfit])
    asked: list[float] = []

    def measure(_host: str, rate: float, *_: Any) -> FloorRate:
        asked.append(rate)
        return {**next(answers), "rate_per_s": rate}

    monkeypatch.setattr(floor, "measure_rate", measure)
    found = floor.measure_floor([400, 100, 200, 300])
    assert asked == [100, 200, 200, 300, 300]
    assert [seen["fit"] for seen in found["rates"]] == [True, True, False]
    assert found["highest_fit_per_s"] == 200


def test_its_output_fits_a_terminal_whatever_is_wrong(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All reasons are named, in lines of 80 columns."""
    everything = judged(
        LOST, late_ms=50, generator=0.9, host=1.0, processes_lost=1, arrivals=Arrivals(300, 100, 200)
    )
    shown = {"rates": [everything], "highest_fit_per_s": None}
    monkeypatch.setattr(floor, "measure_floor", lambda _rates, _seconds, done: done(everything) or shown)
    assert floor.main([]) == 3
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 80
    assert all(reason in " ".join(said.split()) for reason in everything["unfit_reasons"])
    assert len(everything["unfit_reasons"]) > 4


@pytest.mark.live
def test_the_command_measures_and_leaves_nothing_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A table of 80 columns, the same data in JSON, and no process left."""
    before = {process.pid for process in psutil.Process().children(recursive=True)}
    file = tmp_path / "floor.json"
    status = floor.main(["--rates", "40", "--seconds", "1.5", "--json", str(file)])
    found = json.loads(file.read_text())
    [seen] = found["rates"]
    assert seen["rate_per_s"] == 40 and seen["planned_per_s"] > 20 and seen["p50_ms"] > 0
    assert seen["failures"] == 0
    assert (status, found["highest_fit_per_s"]) in ((0, 40), (3, None))  # a busy machine is not fit
    said = capsys.readouterr().out
    assert "40/s" in said and max(map(len, said.splitlines())) <= 80
    assert {process.pid for process in psutil.Process().children(recursive=True)} <= before


@pytest.mark.parametrize("rates", ["", "fast", "100,-1", "0", "nan", "1e9"])
def test_rates_that_are_none_are_refused(rates: str, capsys: pytest.CaptureFixture[str]) -> None:
    """In plain words, with status 2."""
    with pytest.raises(SystemExit) as refused:
        floor.main(["--rates", rates])
    assert refused.value.code == 2
    assert "is not a list of rates such as 100,500,1000" in capsys.readouterr().err


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "soon", "1e9"])
def test_a_time_that_is_none_is_refused(seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    """In plain words, with status 2."""
    with pytest.raises(SystemExit) as refused:
        floor.main(["--seconds", seconds])
    assert refused.value.code == 2
    assert "is not a number of seconds from 1 to 600" in capsys.readouterr().err


def test_a_file_without_a_folder_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    """Not after a minute of measuring."""
    with pytest.raises(UsageError, match="Make it first"):
        floor.main(["--json", str(tmp_path / "nowhere" / "floor.json")])


def test_help_fits_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as done:
        floor.main(["--help"])
    assert done.value.code == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80
