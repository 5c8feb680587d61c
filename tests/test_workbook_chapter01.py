"""Chapter 1: which visitors count as kept waiting."""

from pathlib import Path

import notebooks_path  # noqa: F401

from loadtests.records.rows import Row, write_rows

# isort: split
from workbook.chapter01 import kept_waiting


def row(user: int, intended: float, took: float | None, group: str = "submit") -> Row:
    """A request; `took`: seconds, or None if it was never answered."""
    done = None if took is None else intended + took
    return Row(user, group, "/feeds", intended, intended, done, 303 if done else 0, "")


def test_visitors_are_counted_once_and_only_in_the_seconds_that_count(tmp_path: Path) -> None:
    """One who waits twice, and one who waits for ever; not the rule itself, the warm-up, another group."""
    rows = [
        *(row(1, at, 0.6) for at in (3.0, 5.0)),
        row(2, 10.9, None),
        row(3, 4.0, 0.5),
        row(4, 2.9, 9.0),
        row(5, 11.0, 9.0),
        row(6, 4.0, 9.0, "browse"),
    ]
    write_rows(tmp_path / "rows.csv", rows)
    results = {"csv": {"rows.csv": (tmp_path / "rows.csv").read_text()}}
    step = {"rows": "rows.csv", "window_s": [3.0, 11.0], "ended_s": 15.5}
    assert kept_waiting(results, step, "submit") == 2
    assert kept_waiting(results, step, "browse") == 1
