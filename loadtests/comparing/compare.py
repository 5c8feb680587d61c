"""`python -m loadtests compare A B`: did it get slower? For pipelines, and for people.

    python -m loadtests compare reports/before reports/after
    python -m loadtests compare before.csv after.csv --warm-up 5

Something is slower if it is so beyond doubt and by more than the margin. Sides that have nothing in common,
or different loads, are wrong usage; a condition without a fit repeat is not fit; a group of requests of which
no figure could have shown a difference that matters is undecided. The exit statuses are in
loadtests/status.py.
"""

import argparse
import textwrap
from collections.abc import Sequence
from pathlib import Path

from loadtests.comparing.comparison import WORSE_PERCENT, compare
from loadtests.comparing.comparisontext import comparison_table
from loadtests.comparing.pipelines import github_comparison, junit_comparison
from loadtests.comparing.sides import read_side
from loadtests.files import json_text, put, write_all
from loadtests.generator.loadoptions import not_negative
from loadtests.status import EXIT_STATUSES


def main(argv: Sequence[str] | None = None) -> int:
    """Compare, print a table and the verdict, write the files asked for; returns the exit status.

    Raises LoadTestError if the two can't be compared.
    """
    options = _parser().parse_args(argv)
    before, after = (read_side(path, options.warm_up) for path in (options.before, options.after))
    groups = options.group.split(",") if options.group else None
    found = compare(before, after, groups, options.worse)
    print(comparison_table(found))
    print(f"\n{textwrap.fill(found['sentence'], 80)}")
    write_all(
        (options.json, put(json_text(found))),
        (options.junit, put(junit_comparison(found))),
        (options.github, put(github_comparison(found), "a")),
    )
    return found["exit_status"]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m loadtests compare",
        description="The difference between two runs, before and after, with its 95 % interval: from\n"
        "the spread of the repeats if both sides have two or more fit ones, else from\n"
        "requests within the run.",
        epilog="Slower: significantly (at 5 %, for all figures together) and by more than\n"
        "--worse. Not fit: a condition had no repeat fit to compare (slowed ones are\n"
        "not). Undecided: of some group of requests no figure could have shown a change\n"
        "as large as --worse.\n\n" + EXIT_STATUSES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    option = parser.add_argument
    what = "folder of a run, its results.json, a file of requests (.csv, .parquet), or a folder of such"
    option("before", metavar="A", type=Path, help=what)
    option("after", metavar="B", type=Path, help="the same, after the change")
    group = "which requests (default: submit,browse; for files all that both have)"
    option("--group", metavar="G,G", help=group)
    worse = (
        "how much slower a latency may become, at least 1 ms; for a share over 500 ms always one"
        f" percentage point (default: {WORSE_PERCENT:g})"
    )
    option("--worse", type=_percent, default=WORSE_PERCENT, metavar="PERCENT", help=worse)
    warm_up = "for files: leave out the first S seconds (default: what Locust's --warm-up was)"
    option("--warm-up", type=not_negative, metavar="S", help=warm_up)
    option("--json", type=Path, metavar="FILE", help="also write every figure as JSON")
    option("--junit", type=Path, metavar="FILE", help="also write JUnit-style XML")
    summary = "also append a Markdown summary: $GITHUB_STEP_SUMMARY"
    option("--github", type=Path, metavar="FILE", help=summary)
    return parser


def _percent(text: str) -> float:
    return not_negative(text, "a percentage")
