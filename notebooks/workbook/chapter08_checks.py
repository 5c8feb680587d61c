"""The checks of chapter 8's exercises."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from itertools import accumulate, cycle
from random import Random
from typing import Any, Self, SupportsIndex

from workbook.exercises import NOT_A_FUNCTION, Case, computes, is_number, shown

ATTEMPTS = 25
SHORTEST_LEASE, LONGEST_LEASE = 50, 60  # leases, in seconds: 40 + L/10 <= 0.9 L, and L <= 60


def _outages(draw: Random) -> Iterator[Case]:
    moments = list(accumulate((5 + n**4 for n in range(1, ATTEMPTS)), initial=0))
    for moment in [0, *draw.sample(moments[1:-1], 3), moments[-1]]:
        yield (moment,), moment, partial(_not_then, moments, moment)
    for number in draw.sample(range(1, ATTEMPTS), 5):
        outage = draw.randint(moments[number - 1] + 1, moments[number] - 1)
        yield (outage,), moments[number], partial(_not_then, moments, outage)
    for more in (1, draw.randint(2, 10**7)):
        yield (moments[-1] + more,), None, "By then even the last attempt has failed: the answer is None."


def _not_then(moments: list[int], outage: float, found: float | None) -> str:
    if found is None:
        return "One of the 25 attempts comes late enough. (Or is a `return` missing?)"
    if found < outage:
        return "By then the server is not back."
    if found not in moments:
        return "No attempt is made then: add up the waits, from the first attempt on."
    if outage in moments:
        return "The server is back at the very moment of an attempt, so that one succeeds."
    return "An earlier attempt has succeeded."


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

    def insert(self, index: SupportsIndex, mail: tuple[str, str]) -> None:
        dies, self._dies = self._dies, ""
        if dies == "before":
            raise _Dies
        super().insert(index, mail)
        if dies == "after":
            raise _Dies

    def append(self, mail: tuple[str, str]) -> None:
        self.insert(len(self), mail)

    def extend(self, mails: Iterable[tuple[str, str]]) -> None:
        for mail in mails:
            self.append(mail)

    def __iadd__(self, mails: Iterable[tuple[str, str]]) -> Self:  # type: ignore[override,misc]
        self.extend(mails)
        return self


def sends_once(send: Callable[[list[Any], str, str], Any]) -> bool | str:
    """Does each mail arrive, and only once, however often its job runs, and wherever its worker dies?"""
    return next(_wrong_with_sending(send), True)


def _wrong_with_sending(send: Callable[[list[Any], str, str], Any]) -> Iterator[str]:
    if not callable(send):
        yield NOT_A_FUNCTION
    digit = Random().randint(1, 9)
    one, other, third = f"order {digit}", f"order {digit}0", f"order {digit + 10}"
    for dies, runs, said in (
        ("", [one], "The job ran once"),
        ("", [one, one], "The job ran twice"),
        ("before", [one, one], "A worker died before the mail was accepted, and the job ran again"),
        ("after", [one, one], "A worker died just after the mail was accepted, and the job ran again"),
        ("", [one, other, one, third, other, one], "Three jobs ran, the first one three times"),
        ("", [other, one, third], "Three jobs ran, each once"),
    ):
        for texts in (["Thank you."], ["Thank you!", "Many thanks!"]):
            mailbox, sent = _Mailbox(dies), dict[str, str]()
            for key, text in zip(runs, cycle(texts), strict=False):
                with suppress(_Dies):
                    send(mailbox, key, text)
                accepted = text if dies != "before" or mailbox else None
                if accepted:
                    sent.setdefault(key, accepted)
            if wrong := _wrong_in(list(mailbox), sent):
                yield f"{said}. {wrong}"


def _wrong_in(mailbox: list[Any], sent: dict[str, str]) -> str:
    """What is wrong with the mails that were accepted, in any order, or an empty string."""
    for mail in mailbox:
        if not isinstance(mail, tuple) or len(mail) != 2 or mail[0] not in sent:
            return f"In the mailbox is {shown(mail)}, which is not one of the pairs (key, text)."
    for key, text in sent.items():
        texts = [found for known, found in mailbox if known == key]
        if not texts:
            return f"No mail of {key!r} arrived."
        if len(texts) > 1:
            return f"The mail of {key!r} arrived {len(texts)} times."
        if texts != [text]:
            return f"The mail of {key!r} says {shown(texts[0])}; the first one accepted had to say {text!r}."
    return ""
