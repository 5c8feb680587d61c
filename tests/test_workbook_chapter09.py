"""Chapter 9 claims no more of a verdict than its interval allows."""

import notebooks_path  # noqa: F401
import pytest
from workbook.chapter09 import verdict

from loadtests.judging.samples import summarise
from loadtests.records.rows import Row


@pytest.mark.parametrize(
    ("status", "over", "count", "said"),
    [
        (0, 0, 400, "kept"),
        (4, 1, 237, "undecided: the interval reaches across 1 %"),
        (4, 4, 240, "undecided: the interval reaches across 1 %"),
        (1, 42, 240, "broken"),
        (3, 0, 400, "not to be judged: the run was not fit"),
    ],
)
def test_a_verdict_says_where_its_interval_reaches_over_the_limit(
    status: int, over: int, count: int, said: str
) -> None:
    """Like the exit status, on whichever side of the limit the share itself is."""
    rows = [Row(1, "look", "/", n, n, n + (0.9 if n < over else 0.1), 200, "") for n in range(count)]
    assert verdict(status, summarise(rows, ended=1000.0)) == said
