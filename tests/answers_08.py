"""Right and wrong answers to chapter 8's exercises."""

from itertools import accumulate
from typing import Any

import notebooks_path  # noqa: F401
from answers import Answers

# isort: split
from workbook import chapter08_checks as checks

MOMENTS = list(accumulate((5 + n**4 for n in range(1, 25)), initial=0))


def in_a_loop(outage: float) -> float | None:
    at = 0.0
    for failures in range(1, 25):
        if at >= outage:
            return at
        at += 5 + failures**4
    return at if at >= outage else None


def looks_first(mailbox: list[Any], key: str, text: str) -> None:
    if key not in [known for known, _ in mailbox]:
        mailbox.append((key, text))


def adds_in_place(mailbox: list[Any], key: str, text: str) -> list[Any]:
    mailbox += [] if any(mail[0] == key for mail in mailbox) else [(key, text)]
    return mailbox


def puts_in_front(mailbox: list[Any], key: str, text: str) -> None:
    if key not in dict(mailbox):
        mailbox.insert(0, (key, text))


def replaces(mailbox: list[Any], key: str, text: str) -> None:
    for number, (known, _) in enumerate(mailbox):
        if known == key:
            mailbox[number] = (key, text)
            return
    mailbox.append((key, text))


def same_texts(mailbox: list[Any], key: str, text: str) -> None:
    if text not in [known for _, known in mailbox]:
        mailbox.append((key, text))


def same_pairs(mailbox: list[Any], key: str, text: str) -> None:
    if (key, text) not in mailbox:
        mailbox.append((key, text))


def in_its_text(mailbox: list[Any], key: str, text: str) -> None:
    if str(key) not in str(mailbox):
        mailbox.append((key, text))


def keeps_lists(mailbox: list[Any], key: str, text: str) -> None:
    if not any(mail[0] == key for mail in mailbox):
        mailbox.append([key, text])


def returns_another(mailbox: list[Any], key: str, text: str) -> list[Any]:
    return mailbox if key in dict(mailbox) else [*mailbox, (key, text)]


REMEMBERED = set()


def remembers_itself(mailbox: list[Any], key: str, text: str) -> None:
    if key not in REMEMBERED:
        mailbox.append((key, text))
        REMEMBERED.add(key)


def keeps_a_place(mailbox: list[Any], key: str, text: str) -> None:
    if key not in dict(mailbox):
        mailbox.append((key, None))
        mailbox[-1] = (key, text)


def one_mail_only(mailbox: list[Any], key: str, text: str) -> None:
    if not mailbox:
        mailbox.append((key, text))


def not_the_last(mailbox: list[Any], key: str, text: str) -> None:
    if not mailbox or mailbox[-1][0] != key:
        mailbox.append((key, text))


ANSWERS = {
    "1": Answers(
        checks.succeeds_in_time,
        right=[lambda outage: next((at for at in MOMENTS if at >= outage), None), in_a_loop],
        wrong=[
            lambda outage: 980.0,
            lambda outage: next((at for at in MOMENTS if at > outage), None),
            lambda outage: next((at for at in MOMENTS[1:] if at >= outage), None),
            lambda outage: next((5 + n**4 for n in range(25) if 5 + n**4 >= outage), None),
            lambda outage: next((at for at in MOMENTS if at >= outage), MOMENTS[-1]),
            lambda outage: outage,
            lambda outage: None,
            str,
            3600,
        ],
    ),
    "2": Answers(
        checks.good_lease,
        right=[50, 55.5, 60],
        wrong=[30, 40, 44.5, 49.9, 60.5, 100, "55", True, float("nan")],
    ),
    "3": Answers(
        checks.sends_once,
        right=[looks_first, adds_in_place, puts_in_front],
        wrong=[
            lambda mailbox, key, text: mailbox.append((key, text)),
            lambda mailbox, key, text: mailbox.append(text),
            lambda mailbox, key, text: {key: text},
            returns_another,
            remembers_itself,
            keeps_a_place,
            one_mail_only,
            not_the_last,
            replaces,
            same_texts,
            same_pairs,
            in_its_text,
            keeps_lists,
            "once",
        ],
    ),
}
