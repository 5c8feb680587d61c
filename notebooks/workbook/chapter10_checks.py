"""The checks of chapter 10's exercises: what reports prove, what counts, and how many requests it takes."""

from collections.abc import Iterator, Sequence
from itertools import count
from random import Random
from typing import Any

from loadtests.judging.intervals import percentile_ranks
from loadtests.judging.samples import summarise
from loadtests.records.rows import Row
from workbook.chapter10 import FIVE_REPORTS
from workbook.exercises import NO_ANSWER, Case, computes

VERDICTS = ("kept", "broken", "undecided", "not fit")
HINTS = {
    "A": "A: after so few requests, how high may the true share be?",
    "B": "B: a busy machine makes latencies longer, and yet so few were over 500 ms.",
    "C": "C: how many of its visitors got what they came for?",
    "D": "D: who was late, the server or the load generator?",
    "E": "E: was that the load that was asked for?",
}


def what_they_prove(verdicts: Any) -> bool | str:
    """Are these the verdicts on FIVE_REPORTS, in order?"""
    if not isinstance(verdicts, list | tuple) or len(verdicts) != len(FIVE_REPORTS):
        return f"Write a list of {len(FIVE_REPORTS)} words, one for each report."
    if ... in verdicts:
        return NO_ANSWER
    if unknown := [word for word in verdicts if word not in VERDICTS]:
        return f"{unknown[0]!r} is none of {', '.join(VERDICTS)}."
    reports = zip(FIVE_REPORTS.items(), verdicts, strict=True)
    return next((HINTS[name] for (name, report), said in reports if said != report.verdict), True)


END = 100.0  # seconds; after all answers


def _tests(draw: Random) -> Iterator[Case]:
    good, slow = (200, 0.1), (200, 0.9)
    drawn = [(draw.choice((200, 303, 404, 503, 0)), round(draw.uniform(0.01, 1), 2)) for _ in range(12)]
    for requests, wrong in (
        ([good, slow, good, good], "One of four is over."),
        ([good, good, good], "If all are good, the share is 0."),
        ([(200, 0.5), slow, good], "At most 0.5 s is promised: exactly 0.5 s keeps the rule."),
        ([good, (503, 0.002), (400, 0.1), good], "A failure counts as over, however fast it was."),
        ([good, (303, 0.1)], "A status of 303 is an answer, not a failure."),
        ([good, (0, 7.0)], "One that has waited for 7 s is over, answered or not."),
        ([good, (0, 0.5)], "One without an answer after 0.5 s is over: none can come in time."),
        ([good, slow, (0, 0.2)], "One that has waited for 0.2 s is left out of both counts."),
        (drawn, "Which of these are over, and which count?"),
    ):
        yield (requests,), _share(requests), wrong


def _share(requests: Sequence[tuple[int, float]]) -> float:
    """By this project's own count; those without an answer began so many seconds before the end."""
    rows = [
        Row(0, "", "/", 0 if status else END - seconds, 0, seconds if status else None, status, "")
        for status, seconds in requests
    ]
    return summarise(rows, ended=END)["share_over"] or 0.0


counts_what_was_promised = computes(_tests)


def _percentiles(draw: Random) -> Iterator[Case]:
    halves = (draw.randint(lowest, highest) + 0.5 for lowest, highest in ((1, 8), (90, 97)))
    for percent in (95, 99.9, 50, draw.randint(60, 98), draw.randint(1, 40), *halves):
        where = "above" if percent < 50 else "below"
        yield (
            (percent,),
            next(n for n in count(1) if percentile_ranks(n, percent)),
            f"What is the smallest whole number of requests that hardly ever all lie {where} it?",
        )


enough_requests = computes(_percentiles)
