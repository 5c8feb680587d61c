"""What chapter 8 says of a verdict: no more than its interval allows."""

import notebooks_path  # noqa: F401
import pytest
from workbook.chapter08 import verdict


@pytest.mark.parametrize(
    ("status", "low", "high", "said"),
    [
        (0, 0.0, 0.008, "kept"),
        (0, 0.0001, 0.023, "kept in this sample; the interval reaches beyond 1 %"),
        (1, 0.13, 0.22, "broken"),
        (1, 0.005, 0.03, "broken in this sample; the interval reaches below 1 %"),
        (3, 0.0, 0.02, "not to be judged: the run was not fit"),
    ],
)
def test_a_verdict_says_where_its_interval_reaches_over_the_limit(
    status: int, low: float, high: float, said: str
) -> None:
    """The exit status judges the share that was found."""
    assert verdict(status, low, high) == said
