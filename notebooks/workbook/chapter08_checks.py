"""The checks of chapter 8's exercises."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import accumulate
from random import Random
from typing import Any

from workbook.exercises import Case, computes, is_number

ATTEMPTS = 25
SHORTEST_LEASE, LONGEST_LEASE = 50, 60  # leases, in seconds: 40 + L/10 <= 0.9 L, and L <= 60


def _outages(draw: Random) -> Iterator[Case]:
    moments = list(accumulate((5 + n**4 for n in range(1, ATTEMPTS)), initial=0))
    for moment in [0, *draw.sample(moments[1:-1], 3), moments[-1]]:
        yield (moment,), moment, "When the server is back at the moment of an attempt, that one succeeds."
    for number in draw.sample(range(1, ATTEMPTS), 5):
        outage = draw.randint(moments[number - 1] + 1, moments[number] - 1)
        yield (outage,), moments[number], "Add up the waits, from the first attempt on."
    for more in (1, draw.randint(2, 10**7)):
        yield (moments[-1] + more,), None, "By then even the last attempt has failed: the answer is None."


succeeds_in_time = computes(_outages)


def good_lease(lease: Any) -> bool | str:
    """Is it long enough for the silent machine, and short enough for the dead one?"""
    if not is_number(lease):
        return "It must be a number of seconds."
    if lease < SHORTEST_LEASE:
        return (
            "Too short: it takes a silent worker for a dead one. (After which silence does a row count as"
            " abandoned, and how old may the last heartbeat be when the silence begins?)"
        )
    return lease <= LONGEST_LEASE or "Too long: when a worker dies, nobody may know it for a whole lease."


class _Dies(BaseException):
    """The end of a worker; no `except Exception` of a job sees it."""


class _Mailbox(list[tuple[str, str]]):
    """What a mail server has accepted. The worker that sends the first mail may die before, or after."""

    def __init__(self, dies: str = ""):
        super().__init__()
        self._dies = dies

    def append(self, mail: tuple[str, str]) -> None:
        dies, self._dies = self._dies, ""
        if dies == "before":
            raise _Dies
        super().append(mail)
        if dies == "after":
            raise _Dies


def sends_once(send: Callable[[list[Any], str, str], Any]) -> bool | str:
    """Does each mail arrive, and only once, however often its job runs, and wherever its worker dies?"""
    return next(_wrong_with_sending(send), True)


def _wrong_with_sending(send: Callable[[list[Any], str, str], Any]) -> Iterator[str]:
    if not callable(send):
        yield "It must be a function: only complete the one in the cell."
    one, other, third = (f"order {number}" for number in Random().sample(range(1000), 3))
    for dies, runs, said in (
        ("", [one], "The job ran once"),
        ("", [one, one], "The job ran twice"),
        ("before", [one, one], "A worker died before the mail was accepted, and the job ran again"),
        ("after", [one, one], "A worker died just after the mail was accepted, and the job ran again"),
        ("", [one, other, one, third, other, one], "Three jobs ran, the first one three times"),
    ):
        mailbox = _Mailbox(dies)
        for key in runs:
            with suppress(_Dies):
                send(mailbox, key, f"Thank you for {key}.")
        arrived = [tuple(mail) if isinstance(mail, list) else mail for mail in mailbox]
        if arrived != [(key, f"Thank you for {key}.") for key in dict.fromkeys(runs)]:
            yield f"{said}, and in the mailbox was: {', '.join(map(repr, mailbox)) or 'nothing'}."
