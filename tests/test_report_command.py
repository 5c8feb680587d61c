"""`python -m loadtests report`, and the table in the terminal."""

import copy
import json
import re

import pytest
from synthetic_run import make_run

from loadtests.__main__ import main as command
from loadtests.report.texttable import text_table


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder of a run, as a bench leaves it."""
    return tmp_path_factory.mktemp("run")


@pytest.fixture(scope="module")
def results(folder):
    """A run of both apps whose last queued step is unfit."""
    results = make_run(folder, users=(1, 10, 50), rates=(4.0,), unfit={("queued", 50)})
    (folder / "results.json").write_text(json.dumps(results))
    return results


# ---- the command -------------------------------------------------------------------------------------------


def test_a_report_is_written_again_after_the_folder_has_moved(tmp_path, capsys):
    """From results.json and the rows alone."""
    make = make_run(tmp_path / "old", users=(5,), theory=False, floor=False)
    (tmp_path / "old" / "results.json").write_text(json.dumps(make))
    (tmp_path / "old").rename(tmp_path / "new")
    assert command(["report", str(tmp_path / "new")]) == 0
    assert (tmp_path / "new" / "report.html").exists()
    assert "new/report.html" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "holds no run"),
        ("{", "is not JSON"),
        ("[]", "is not a load test's results of version 4"),
        ('{"schema": "500ms/results", "version": 3}', "of version 3. Measure again"),
        (
            '{"schema": "500ms/results", "version": 4}',
            "does not match results.schema.json: Object missing required field",
        ),
    ],
)
def test_what_is_no_run_gets_a_plain_answer(tmp_path, capsys, content, said):
    """Status 2, and what to do."""
    if content is not None:
        (tmp_path / "results.json").write_text(content)
    assert command(["report", str(tmp_path)]) == 2
    assert said in capsys.readouterr().err


def test_a_run_with_a_hole_in_it_gets_a_plain_answer(tmp_path, results, capsys):
    """It may have been edited, or the disk was full."""
    broken = copy.deepcopy(results)
    del broken["steps"][0]["submit"]
    (tmp_path / "results.json").write_text(json.dumps(broken))
    assert command(["report", str(tmp_path)]) == 2
    assert (
        "does not match results.schema.json: Object missing required field `submit` - at `$.steps[0]`"
        in capsys.readouterr().err
    )


def test_options_for_rows_are_refused_for_a_run(folder, results, capsys):
    """A run has its own rule: with another, the report would contradict the verdict."""
    assert command(["report", str(folder), "--rule", "300"]) == 2
    assert "are for a file of requests" in capsys.readouterr().err
    assert command(["report", str(folder / "nowhere")]) == 2
    assert "There is no" in capsys.readouterr().err


# ---- the table in the terminal -----------------------------------------------------------------------------


def lines_of(results) -> list[str]:
    """The lines of the table itself: those that name an app."""
    return [
        line for line in text_table(results).splitlines() if re.match(r" *[\d.]+(/s)? (sync|queued) ", line)
    ]


def test_the_text_table_fits_a_terminal_and_lines_up(results):
    """At most 80 columns, each aligned with the end of its heading."""
    assert all(len(line) <= 80 for line in text_table(results).splitlines())
    heads = next(line for line in text_table(results).splitlines() if "POSTs" in line)
    ends = [match.end() for match in re.finditer(r"load|POSTs|p50(?=  )|p95|p99|> 500 ms|content|fit", heads)]
    assert len(ends) == 8
    for line in lines_of(results):
        assert all(line[end - 1] != " " and (line + " ")[end] == " " for end in ends)


def test_the_text_table_shows_points_by_load_both_apps_side_by_side(results):
    """For easy comparison."""
    loads = ("1", "10", "50", "4/s")
    assert [tuple(line.split()[:2]) for line in lines_of(results)] == [
        (load, app) for load in loads for app in ("sync", "queued")
    ]


def test_the_text_table_says_why_a_step_is_not_fit(results):
    """Below the table, one line for each reason."""
    *_, reason = text_table(results).splitlines()
    assert reason == "Not fit: queued, 50 users: a tenth of the users were missing"


def test_the_text_table_has_a_line_for_all_repeats_of_each_setting(tmp_path):
    """Not one for each of a hundred steps: the last column says how many were fit."""
    results = make_run(tmp_path, users=(5,), repeats=2, slots=(8, 16), burst=50, floor=False)
    table = text_table(results)
    assert len(lines_of(results)) == 4
    assert all(line.endswith("2/2") for line in lines_of(results))
    assert "16 slots, 1 worker of 32 threads:" in table
    assert "Burst of 50 jobs at once: no more of them waited 3.6 s later." in table
