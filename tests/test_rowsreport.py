"""The report of any file of requests: from other people's locustfiles, with groups of any names."""

import json
import random
import re
from dataclasses import replace
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from page_reading import accessible

from loadtests.__main__ import main as command
from loadtests.judging.intervals import clopper_pearson
from loadtests.records.recording import Arrivals, Lag, Recording, Stage, Vital, write_recording
from loadtests.records.rows import DROPPED, Row
from loadtests.report.rowsreport import write_rows_report

ENDED = 30.0


def row(group: str, start: float, ms: float | None, waited: float = 0.0, **changed) -> Row:
    """One request with this intended start, sent `waited` seconds later, and its total latency."""
    done = None if ms is None else start + ms / 1000
    given = {"status": 200 if done else 0, "error": "", "sent_s": start + waited} | changed
    return Row(1, group, f"GET /{group}", start, given["sent_s"], done, given["status"], given["error"])


def make_file(folder: Path, rows: list[Row], users: int = 5, late_ms: float = 1.0, **about) -> Path:
    """A file of requests with the plugin's .json beside it, from an unburdened generator."""
    path = folder / "rows.csv"
    known = {
        "users_asked": users,
        "lag": tuple(Lag(second, late_ms) for second in range(30)),
        "vitals": (tuple(Vital(at, 0.1 * at, 0.5 * at, 2.0 * at, users) for at in range(30)),),
        **about,
    }
    started = 1893553445.0
    write_recording(
        path, Recording(started_at=started, ended_s=ENDED, stopped_s=28.0, rows=tuple(rows), **known)
    )
    return path


@pytest.fixture
def rows() -> list[Row]:
    """400 searches, 16 of them slow; 400 checkouts, all fast."""
    rng = random.Random(4)
    search = [row("search", n * 0.06, 800 if n % 25 == 12 else rng.uniform(20, 90)) for n in range(400)]
    return search + [row("checkout", n * 0.06, rng.uniform(10, 30)) for n in range(400)]


def read(path: Path) -> BeautifulSoup:
    """A page as a browser parses it."""
    return BeautifulSoup(path.read_text(), "html.parser")


def words(page: BeautifulSoup) -> str:
    """The text of a page with single, plain spaces."""
    return " ".join(page.get_text(" ").split())


def test_the_verdict_is_first_and_exact(tmp_path, rows):
    """The group that broke the rule, its share, and the exact interval."""
    page = read(write_rows_report(make_file(tmp_path, rows), tmp_path))
    assert page.h1.get_text() == "search broke the rule of 500 ms: 4.0 % took longer or failed"
    low, high = clopper_pearson(16, 400)
    told = words(page)
    interval = f"{100 * low:.1f} to {100 * high:.1f} %"
    assert f"search : broken , 4.00 % over (95 % interval {interval}, all of it above 1.0 %)" in told
    assert "checkout : kept , 0.00 % over (95 % interval 0 to 0.9 %, all of it within 1.0 %)" in told


def test_the_interval_says_when_more_requests_would_tell(tmp_path):
    """0 of 1,000 over the rule is surely below 1 %; 0 of 100 is not, and is undecided."""
    surely = [row("a", n * 0.02, 20) for n in range(1000)]
    perhaps = [row("b", n * 0.2, 20) for n in range(100)]
    page = read(write_rows_report(make_file(tmp_path, surely + perhaps), tmp_path))
    assert page.h1.get_text() == "Too few requests to say whether b kept the rule of 500 ms"
    told = words(page)
    assert page.select_one(".verdict strong").get_text() == "Undecided"
    assert re.search(r"a : kept , 0.00 % over \([^)]*, all of it within 1.0 %\)", told)
    unsure = re.search(r"b : undecided , 0.00 % over \([^)]*, on both sides of 1.0 %: ([^)]*)\)", told)
    assert unsure
    more = re.fullmatch(r"about (\d+) more requests would decide", unsure[1])
    assert more and 368 <= 100 + int(more[1]) <= 380


def test_how_much_may_be_over_is_the_recordings(tmp_path, rows):
    """With --fail-over 10, 4 % over is no breach: the report agrees with the terminal."""
    told = words(read(write_rows_report(make_file(tmp_path, rows, most_over=0.1), tmp_path)))
    assert "All groups of requests kept the rule of 500 ms" in told
    assert "all of it within 10.0 %" in told


@pytest.mark.parametrize(
    ("most_over", "lag", "verdict"),
    [(0.1, 1.0, "kept"), (0.01, 1.0, "broken"), (0.04, 1.0, "undecided"), (0.1, 50.0, "unfit")],
)
def test_the_command_only_shows_the_verdict(tmp_path, rows, capsys, most_over, lag, verdict):
    """Its exit status is 0 whatever the verdict, as its help says."""
    path = make_file(tmp_path, rows, late_ms=lag, most_over=most_over)
    assert command(["report", str(path)]) == 0
    assert read(tmp_path / "rows-report.html").find(class_=f"verdict {verdict}")
    with pytest.raises(SystemExit):
        command(["report", "--help"])
    assert "the exit status is 0 whatever the verdict" in " ".join(capsys.readouterr().out.split())


def test_rule_and_warm_up_can_be_chosen(tmp_path, rows, capsys):
    """On the command line; the recording's are the defaults."""
    more = [replace(each, intended_s=each.intended_s + 0.03) for each in rows]
    path = make_file(tmp_path, [*rows, *more], rule_ms=900.0, warm_up_s=6.0)
    assert command(["report", str(path)]) == 0
    recorded = words(read(tmp_path / "rows-report.html"))
    assert "All groups of requests kept the rule of 900 ms" in recorded
    assert "counted 6.0 to 28.0 s" in recorded
    out = tmp_path / "out"
    assert command(["report", str(path), "--rule", "50", "--warm-up", "0", "--out", str(out)]) == 0
    assert "broke the rule of 50 ms" in words(read(out / "rows-report.html"))
    assert str(out / "rows-report.html") in capsys.readouterr().out


def test_the_page_needs_nothing_but_itself(tmp_path, rows):
    """No scripts or remote addresses; its only link is to the rows beside it."""
    page = read(write_rows_report(make_file(tmp_path, rows), tmp_path))
    assert page.find_all(["script", "link", "iframe"]) == []
    assert all(image["src"].startswith("data:image/svg+xml;base64,") for image in page.find_all("img"))
    assert [link["href"] for link in page.find_all("a")] == ["rows.csv"]
    assert {path.name for path in (tmp_path / "rows-figures").iterdir()} == {
        f"{name}.{kind}"
        for name in ("ecdf", "percentiles", "spectrum", "timeline")
        for kind in ("png", "svg")
    }


def test_its_parts_are_found_without_seeing_it(tmp_path, rows):
    """A `main` landmark, headings in order, no empty header of a column."""
    accessible(read(write_rows_report(make_file(tmp_path, rows), tmp_path)))


def test_open_load_is_told_corrected_and_naive(tmp_path):
    """Visits that waited two seconds before they could be sent, and were then answered at once."""
    rows = [row("visit", n * 0.1, 2010, waited=2.0) for n in range(200)]
    opened = {"model": "open", "users_asked": None, "rate_per_s": 10.0, "arrivals": Arrivals(200, 200)}
    page = read(write_rows_report(make_file(tmp_path, rows, **opened), tmp_path))
    table = page.find(attrs={"aria-label": "Table of corrected and naive latency"})
    cells = [" ".join(cell.get_text().split()) for cell in table.select("tbody td")]
    assert cells == ["visit", *["2.0 s", "10 ms"] * 3]


def test_a_generator_that_was_late_or_dropped_visits_proves_nothing(tmp_path):
    """This is stated before any verdict."""
    arrivals = Arrivals(planned=100, sent=90, dropped=3, never_sent=7)
    late = [row("a", n * 0.2, 20) for n in range(97)]
    dropped = [row("a", n, None, sent_s=None, error=DROPPED) for n in range(3)]
    page = read(
        write_rows_report(make_file(tmp_path, late + dropped, late_ms=40.0, arrivals=arrivals), tmp_path)
    )
    assert page.h1.get_text() == "Not fit for a verdict"
    told = words(page)
    assert "late by 40.0 ms (p99, at most 10 ms)" in told
    assert "3 of 100 visits were dropped" in told
    assert "90 of 100 visits were sent (at least 98%)" in told
    assert "visits planned, sent, dropped, never sent 100, 90, 3, 7" in told


def test_every_stage_is_told_apart(tmp_path):
    """A load in steps: fast with 10 users, slow with 20; each without its own warm-up. The last one breaks
    the rule, so the load does.
    """
    rows = [row("a", n * 0.02, 20 if n < 500 else 700) for n in range(1000)]
    stages = (Stage(10, 0.0, 10.0), Stage(20, 10.0, 20.0))
    vitals = (tuple(Vital(at, 0.1 * at, 0.5 * at, 2.0 * at, 10 if at < 11 else 20) for at in range(30)),)
    path = make_file(tmp_path, rows, stages=stages, warm_up_s=2.0, vitals=vitals)
    page = read(write_rows_report(path, tmp_path))
    assert page.h1.get_text() == "a broke the rule of 500 ms with 20 users: 100 % took longer or failed"
    accessible(page)
    for kind in (".stage", "h3"):  # verdicts, tables
        headings = [heading.get_text() for heading in page.select(kind)]
        assert headings == ["10 users, 2.0 to 10.0 s", "20 users, 12.0 to 20.0 s"]
    counts = [heading.find_next("tbody").find_all("td")[1].get_text() for heading in page.find_all("h3")]
    assert counts == ["400", "400"]
    said = re.findall(r"a : (\w+)", words(page))
    assert said == ["kept", "broken"]


def test_a_row_that_is_a_whole_visit_is_not_judged(tmp_path):
    """Time to content is not a request; the recording marks it, whatever its group is called."""
    rows = [row("submit", n * 0.06, 20) for n in range(400)] + [
        row("checkout", n * 0.06, 3000) for n in range(400)
    ]
    told = words(read(write_rows_report(make_file(tmp_path, rows, visits=("checkout",)), tmp_path)))
    assert "All groups of requests kept the rule" in told
    assert "checkout : whole visits, to which the rule does not apply" in told
    assert "checkout broke the rule" in words(read(write_rows_report(make_file(tmp_path, rows), tmp_path)))


def test_names_from_outside_are_escaped(tmp_path):
    """A request's path is not markup."""
    text = write_rows_report(make_file(tmp_path, [row("<script>", 1, 20)]), tmp_path).read_text()
    assert "<script>" not in text


def beside(path: Path) -> Path:
    """The file in which the plugin describes the load."""
    return path.with_suffix(".json")


def changed(path: Path, **keys) -> None:
    """Put other values into it, as somebody or an older version might have."""
    beside(path).write_text(json.dumps(json.loads(beside(path).read_text()) | keys))


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (lambda path: path.write_text("a,b\n1,2\n"), "is not a file of requests"),
        (lambda path: beside(path).unlink(), "copy both"),
        (lambda path: beside(path).write_text("{"), "rows.json is not a recording"),
        (lambda path: beside(path).write_text("[]"), "rows.json is not a recording"),
        (
            lambda path: beside(path).write_text('{"ended_s": 9}'),
            "is not of this version of loadtests.plugin",
        ),
        (lambda path: changed(path, version=2), "lacks what a verdict needs: measure again"),
        (lambda path: changed(path, schema="500ms/results"), "is not of this version"),
        (
            lambda path: changed(path, rule_ms="x"),
            "rows.json is not a recording: Expected `float`",
        ),
        (lambda path: changed(path, lag=[3]), "rows.json is not a recording: Expected `array`"),
        (lambda path: changed(path, stages=[{}]), "rows.json is not a recording"),
        (lambda path: changed(path, stopped_s=None), "rows.json is not a recording"),
    ],
)
def test_what_can_not_be_used_gets_a_plain_answer(tmp_path, rows, capsys, break_it, said):
    """Status 2, and what to do."""
    path = make_file(tmp_path, rows)
    break_it(path)
    assert command(["report", str(path)]) == 2
    assert said in capsys.readouterr().err


def test_a_warm_up_longer_than_the_load_is_refused(tmp_path, rows, capsys):
    """Nothing would be left."""
    assert command(["report", str(make_file(tmp_path, rows)), "--warm-up", "29"]) == 2
    assert "give a smaller --warm-up" in capsys.readouterr().err


@pytest.mark.parametrize("options", [["--rule", "0"], ["--rule", "fast"], ["--warm-up", "-1"]])
def test_numbers_that_are_none_are_refused(tmp_path, rows, options, capsys):
    """As for any option."""
    with pytest.raises(SystemExit) as stopped:
        command(["report", str(make_file(tmp_path, rows)), *options])
    assert stopped.value.code == 2
    assert "is not a number" in capsys.readouterr().err
