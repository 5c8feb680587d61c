"""Answers to chapter 13's exercises."""

from decimal import Decimal
from fractions import Fraction

import notebooks_path  # noqa: F401
from answers import Answers
from workbook.chapter13_checks import knows_the_busy_share, moves_the_most


def _movable(calls):
    return [call for call in calls if not call[3]]


def _load(call):
    return call[1] * call[2]


def _nth(calls, key, place):
    """The name of the call at this place, the first one being 0."""
    return sorted(calls, key=key, reverse=True)[min(place, len(calls) - 1)][0] if calls else None


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
            lambda calls: _nth(calls, _load, 1) if _movable(calls) else None,
            lambda calls: _nth(_movable(calls), lambda call: call[1], 1),
            lambda calls: _nth(calls, lambda call: call[1], 2) if _movable(calls) else None,
            lambda calls: (
                _nth([each for each in calls if each[2] < 1], _load, 0) if _movable(calls) else None
            ),
            lambda calls: _nth(_movable(calls), lambda call: call[1] * call[2] ** 0.9, 0),
            lambda calls: next(iter(calls), (None,))[0],
            3,
            lambda calls: max(_movable(calls) or [(0,)], key=lambda call: call[-1])[0],
            lambda calls: "none" if not _movable(calls) else _loop(calls),
        ],
    ),
    "2": Answers(
        knows_the_busy_share,
        right=[
            lambda log, seconds, slots: sum(min(ended, took) for ended, took in log) / (slots * seconds),
            _merged,
            lambda log, seconds, slots: Fraction(_merged(log, seconds, slots)),
            lambda log, seconds, slots: Decimal(_merged(log, seconds, slots)),
        ],
        wrong=[
            lambda log, seconds, slots: 0.5,
            lambda log, seconds, slots: log,
            None,
            lambda log, seconds, slots: sum(took for _, took in log) / (slots * seconds),  # all
            lambda log, seconds, slots: sum(min(each) for each in log) / seconds,
            lambda log, seconds, slots: 100 * sum(min(each) for each in log) / (slots * seconds),
            lambda log, seconds, slots: len(log) / (slots * seconds),
            lambda log, seconds, slots: sum(min(each) for each in log) / max(1, len(log)) / seconds,
            lambda log, seconds, slots: f"{sum(min(each) for each in log) / (slots * seconds):.0%}",
        ],
    ),
}
