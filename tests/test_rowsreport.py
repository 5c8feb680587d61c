"""The report of any file of requests: of somebody else's locustfile, with groups of any names."""

import json
import random
import re
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

from loadtests.__main__ import main as command
from loadtests.judging.intervals import clopper_pearson
from loadtests.records.rows import DROPPED, Row, write_rows
from loadtests.report.rowsreport import write_rows_report

ENDED = 30.0


def row(group: str, start: float, ms: float | None, waited: float = 0.0, **changed) -> Row:
    """One request that was meant to begin then, was sent `waited` seconds later, and took so long in all."""
    done = None if ms is None else start + ms / 1000
    given = {"status": 200 if done else 0, "error": "", "sent_s": start + waited} | changed
    return Row(1, group, f"GET /{group}", start, given["sent_s"], done, given["status"], given["error"])


def make_file(folder: Path, rows: list[Row], **about) -> Path:
    """A file of requests and what the plugin writes beside it."""
    path = folder / "rows.csv"
    write_rows(path, rows)
    lag = [[second, 1.0] for second in range(30)]
    meta = {"started_at": 1893553445.0, "ended_s": ENDED, "stopped_s": 28.0, "users": 5, "lag": lag, **about}
    path.with_suffix(".json").write_text(json.dumps(meta))
    return path


@pytest.fixture
def rows() -> list[Row]:
    """400 searches, 8 of them slow; 300 checkouts, all fast."""
    rng = random.Random(4)
    search = [row("search", n * 0.06, 800 if n % 50 == 25 else rng.uniform(20, 90)) for n in range(400)]
    return search + [row("checkout", n * 0.08, rng.uniform(10, 30)) for n in range(300)]


def read(path: Path) -> BeautifulSoup:
    """A page as its reader's browser has it."""
    return BeautifulSoup(path.read_text(), "html.parser")


def words(page: BeautifulSoup) -> str:
    """The text of a page with single, plain spaces."""
    return " ".join(page.get_text(" ").split())


def test_the_verdict_is_first_and_exact(tmp_path, rows):
    """Which group broke the rule, its share, and the exact interval."""
    page = read(write_rows_report(make_file(tmp_path, rows), tmp_path))
    assert page.h1.get_text() == "search broke the rule of 500 ms: 2.0 % took longer or failed"
    low, high = clopper_pearson(8, 400)
    told = words(page)
    assert f"search : broken , 2.00 % over (95 % interval {100 * low:.2f} to {100 * high:.2f} %)" in told
    assert "but its interval reaches below 1.0 %: more requests would tell" in told
    assert "checkout : kept" in told


def test_the_interval_says_when_more_requests_would_tell(tmp_path):
    """None of 1,000 over the rule is surely below 1 %; none of 100 is not."""
    surely = [row("a", n * 0.02, 20) for n in range(1000)]
    perhaps = [row("b", n * 0.2, 20) for n in range(100)]
    told = words(read(write_rows_report(make_file(tmp_path, surely + perhaps), tmp_path)))
    assert "All groups of requests kept the rule of 500 ms" in told
    sure, unsure = re.findall(r"kept , 0.00 % over \([^)]*\); ([^.]*\.\d %[^.]*)\.", told)
    assert sure == "its whole interval is within 1.0 %"
    assert unsure == "but its interval reaches over 1.0 %: more requests would tell"


def test_rule_and_warm_up_can_be_chosen(tmp_path, rows, capsys):
    """At the command line; without, they are those of the recording."""
    path = make_file(tmp_path, rows, rule_ms=900.0, warm_up_s=6.0)
    assert command(["report", str(path)]) == 0
    recorded = words(read(tmp_path / "rows-report.html"))
    assert "All groups of requests kept the rule of 900 ms" in recorded
    assert "counted 6.0 to 28.0 s" in recorded
    out = tmp_path / "out"
    assert command(["report", str(path), "--rule", "50", "--warm-up", "0", "--out", str(out)]) == 0
    assert "broke the rule of 50 ms" in words(read(out / "rows-report.html"))
    assert str(out / "rows-report.html") in capsys.readouterr().out


def test_the_page_needs_nothing_but_itself(tmp_path, rows):
    """No script, no address; its only link is to the rows beside it."""
    page = read(write_rows_report(make_file(tmp_path, rows), tmp_path))
    assert page.find_all(["script", "link", "iframe"]) == []
    assert all(image["src"].startswith("data:image/svg+xml;base64,") for image in page.find_all("img"))
    assert [link["href"] for link in page.find_all("a")] == ["rows.csv"]
    assert {path.name for path in (tmp_path / "rows-figures").iterdir()} == {
        f"{name}.{kind}" for name in ("ecdf", "timeline") for kind in ("png", "svg")
    }


def test_open_load_is_told_corrected_and_naive(tmp_path):
    """Visits that had to wait two seconds before they could be sent, and then were answered at once."""
    rows = [row("visit", n * 0.1, 2010, waited=2.0) for n in range(200)]
    arrivals = {"planned": 200, "sent": 200, "dropped": 0, "never_sent": 0}
    page = read(write_rows_report(make_file(tmp_path, rows, model="open", arrivals=arrivals), tmp_path))
    table = page.find(attrs={"aria-label": "Table of corrected and naive latency"})
    cells = [" ".join(cell.get_text().split()) for cell in table.find_all("td")]
    assert cells == ["visit", *["2.0 s", "10 ms"] * 3]


def test_a_generator_that_was_late_or_dropped_visits_proves_nothing(tmp_path):
    """That comes before any verdict."""
    lag = [[second, 40.0] for second in range(30)]
    arrivals = {"planned": 100, "sent": 90, "dropped": 3, "never_sent": 7}
    late = [row("a", n * 0.2, 20) for n in range(97)]
    dropped = [row("a", n, None, sent_s=None, error=DROPPED) for n in range(3)]
    page = read(write_rows_report(make_file(tmp_path, late + dropped, lag=lag, arrivals=arrivals), tmp_path))
    assert page.h1.get_text() == "Not fit for a verdict"
    told = words(page)
    assert "late by 40.0 ms (p99, at most 10 ms)" in told
    assert "3 of 100 visits were dropped" in told
    assert "7 of 100 visits were never sent" in told


def test_every_stage_is_told_apart(tmp_path):
    """A load in steps: fast with 10 users, slow with 20; each without its own warm-up."""
    rows = [row("a", n * 0.1, 20 if n < 100 else 700) for n in range(200)]
    stages = [
        {"users": 10, "start_s": 0.0, "end_s": 10.0},
        {"users": 20, "start_s": 10.0, "end_s": 20.0},
    ]
    page = read(write_rows_report(make_file(tmp_path, rows, stages=stages, warm_up_s=2.0), tmp_path))
    headings = [heading.get_text() for heading in page.find_all("h3")]
    assert headings == ["10 users, 0.0 to 10.0 s", "20 users, 10.0 to 20.0 s"]
    counts = [heading.find_next("td").find_next("td").get_text() for heading in page.find_all("h3")]
    assert counts == ["80", "80"]


def test_a_row_that_is_a_whole_visit_is_not_judged(tmp_path):
    """Time to content is no request."""
    rows = [row("submit", n * 0.1, 20) for n in range(100)] + [
        row("content", n * 0.1, 3000) for n in range(100)
    ]
    told = words(read(write_rows_report(make_file(tmp_path, rows), tmp_path)))
    assert "All groups of requests kept the rule" in told
    assert "submit to content : no request" in told


def test_names_from_outside_are_escaped(tmp_path):
    """The path of a request is no markup."""
    text = write_rows_report(make_file(tmp_path, [row("<script>", 1, 20)]), tmp_path).read_text()
    assert "<script>" not in text


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (lambda path: path.write_text("a,b\n1,2\n"), "is not a file of requests"),
        (lambda path: path.with_suffix(".json").unlink(), "copy both"),
        (lambda path: path.with_suffix(".json").write_text("{"), "is not JSON"),
        (lambda path: path.with_suffix(".json").write_text("[]"), "ended_s"),
        (lambda path: path.with_suffix(".json").write_text('{"ended_s": 9, "rule_ms": "x"}'), "plugin's"),
        (lambda path: path.with_suffix(".json").write_text('{"ended_s": 9, "lag": [3]}'), "plugin's"),
        (lambda path: path.with_suffix(".json").write_text('{"ended_s": 9, "stages": [{}]}'), "plugin's"),
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
    """As any option is."""
    with pytest.raises(SystemExit) as stopped:
        command(["report", str(make_file(tmp_path, rows)), *options])
    assert stopped.value.code == 2
    assert "is not a number" in capsys.readouterr().err
