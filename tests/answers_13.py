"""Answers to chapter 13's exercises."""

import notebooks_path  # noqa: F401
from answers import Answers
from workbook.chapter13_checks import knows_the_busy_share, moves_the_most


def _movable(calls):
    return [call for call in calls if not call[3]]


def _loop(calls):
    best, most = None, 0.0
    for name, seconds, often, needed in calls:
        if not needed and seconds * often > most:
            best, most = name, seconds * often
    return best


def _merged(log, seconds, slots):
    total = 0.0
    for ended, took in log:
        total += ended - max(0.0, ended - took)
    return total / seconds / slots


ANSWERS = {
    "1": Answers(
        moves_the_most,
        right=[
            _loop,
            lambda calls: max(_movable(calls), key=lambda call: call[1] * call[2], default=(None,))[0],
        ],
        wrong=[
            lambda calls: "mail",  # what it was in the chapter
            lambda calls: max(calls, key=lambda call: call[1] * call[2], default=(None,))[0],
            lambda calls: max(_movable(calls), key=lambda call: call[1], default=(None,))[0],
            lambda calls: max(_movable(calls), key=lambda call: call[2], default=(None,))[0],
            lambda calls: next(iter(calls), (None,))[0],
            lambda calls: max(_movable(calls) or [(0,)], key=lambda call: call[-1])[0],
            lambda calls: "none" if not _movable(calls) else _loop(calls),
        ],
    ),
    "2": Answers(
        knows_the_busy_share,
        right=[
            lambda log, seconds, slots: sum(min(ended, took) for ended, took in log) / (slots * seconds),
            _merged,
        ],
        wrong=[
            lambda log, seconds, slots: 0.5,
            lambda log, seconds, slots: sum(took for _, took in log) / (slots * seconds),  # all
            lambda log, seconds, slots: sum(min(each) for each in log) / seconds,
            lambda log, seconds, slots: 100 * sum(min(each) for each in log) / (slots * seconds),
            lambda log, seconds, slots: len(log) / (slots * seconds),
            lambda log, seconds, slots: sum(min(each) for each in log) / max(1, len(log)) / seconds,
            lambda log, seconds, slots: f"{sum(min(each) for each in log) / (slots * seconds):.0%}",
        ],
    ),
}
