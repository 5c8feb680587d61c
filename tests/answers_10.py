"""Right and wrong answers to chapter 10's exercises."""

import math
from itertools import count

import notebooks_path  # noqa: F401
from answers import Answers

from loadtests.judging.intervals import percentile_ranks

# isort: split
from workbook import chapter10_checks as checks

Requests = list[tuple[int, float]]
PROVED = ["undecided", "kept", "broken", "undecided", "not fit"]


def counted(requests: Requests) -> float:
    """The share over, one request at a time."""
    over = judged = 0
    for status, seconds in requests:
        if status == 0 and seconds < 0.5:
            continue
        judged += 1
        over += not (0 < status < 400 and seconds <= 0.5)
    return over / judged


ANSWERS = {
    "1": Answers(
        checks.what_they_prove,
        right=[PROVED, tuple(PROVED)],
        wrong=[
            ["kept", *PROVED[1:]],
            ["undecided", "undecided", *PROVED[2:]],
            ["undecided", "kept", "kept", *PROVED[3:]],
            ["undecided", "kept", "broken", "broken", "not fit"],
            [*PROVED[:4], "broken"],
            [*PROVED[:4], "unfit"],
            PROVED[:4],
            "undecided",
            " ".join(PROVED),
        ],
    ),
    "2": Answers(
        checks.counts_what_was_promised,
        right=[
            counted,
            lambda requests: (
                sum(s > 0.5 or not 0 < status < 400 for status, s in requests if status or s >= 0.5)
                / sum(status > 0 or s >= 0.5 for status, s in requests)
            ),
        ],
        wrong=[
            lambda requests: 0.25,
            lambda requests: 100 * counted(requests),
            lambda requests: sum(s > 0.5 for _, s in requests) / len(requests),
            lambda requests: sum(s > 0.5 or not 0 < status < 400 for status, s in requests) / len(requests),
            lambda requests: sum(s > 0.5 or status >= 400 for status, s in requests) / len(requests),
            lambda requests: sum(s >= 0.5 or status != 200 for status, s in requests) / len(requests),
            lambda requests: sum(s > 0.5 or status != 200 for status, s in requests) / len(requests),
            lambda requests: (
                sum(s > 0.5 for status, s in requests if status) / sum(status > 0 for status, s in requests)
            ),
            lambda requests: counted([(status - (status == 400), s) for status, s in requests]),
            lambda requests: counted([(status, s - 1e-9 * (status == 0)) for status, s in requests]),
            lambda requests: counted([(status or 200, s) for status, s in requests if status or s >= 0.5]),
        ],
    ),
    "3": Answers(
        checks.enough_requests,
        right=[
            lambda percent: math.ceil(math.log(0.025) / math.log(max(percent, 100 - percent) / 100)),
            lambda percent: next(n for n in count(1) if percentile_ranks(n, percent)),
        ],
        wrong=[
            lambda percent: 72,
            lambda percent: {95: 72, 99: 368, 50: 6, 90: 36, 99.9: 3688}.get(percent, 368),
            lambda percent: math.ceil(math.log(0.05) / math.log(max(percent, 100 - percent) / 100)),
            lambda percent: math.floor(math.log(0.025) / math.log(max(percent, 100 - percent) / 100)),
            lambda percent: math.log(0.025) / math.log(max(percent, 100 - percent) / 100),
            lambda percent: math.ceil(math.log(0.025) / math.log(percent / 100)),
            lambda percent: math.ceil(100 / (100 - percent)),
            lambda percent: next(
                n for n in count(1) if percentile_ranks(n, percent if percent > 99 else round(percent))
            ),
            lambda percent: next(n for n in count(1) if percentile_ranks(n, max(percent, 50))),
            3688,
        ],
    ),
}
