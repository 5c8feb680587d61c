"""Looking at a load while it runs: all looks together are wrong no more often than a single one would be."""

import functools
import random

import pytest

from loadtests.judging import rule
from loadtests.judging.intervals import CONFIDENCE, clopper_pearson
from loadtests.judging.looks import FIRST_LOOK_REQUESTS, LOOK_GROWTH, GroupCount, Looks, confidence_at
from loadtests.judging.rule import word_of

LOADS, REQUESTS, BATCH = 400, 3000, 30


def test_the_error_of_all_looks_adds_up_to_five_percent() -> None:
    """However many there are; the only look has it all."""
    assert sum(1 - confidence_at(look) for look in range(1, 10_000)) == pytest.approx(0.05, rel=1e-3)
    assert confidence_at(0) == CONFIDENCE
    assert confidence_at(1) < confidence_at(2) < confidence_at(100) < 1


def ended(looks: Looks, share: float, chance: random.Random) -> tuple[str, set[str]]:
    """The word with which a load with this true share ended, and all that looks at 95 % would have said."""
    over, said = 0, set()
    for judged in range(BATCH, REQUESTS + 1, BATCH):
        over += sum(chance.random() < share for _ in range(BATCH))
        if looks.due(count := {"pay": GroupCount(over, judged)}):
            words = looks.look(count)
            said.add(word_of(over, judged, 0.05))
            if words["pay"] != "undecided":
                return words["pay"], said
    return "undecided", said


@pytest.mark.parametrize(
    ("share", "false"), [(0.05, "broken"), (0.0501, "kept"), (0.045, "broken"), (0.055, "kept")]
)
def test_a_server_near_the_limit_is_rarely_judged_falsely(
    share: float, false: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exactly at the limit, and on either side of it: in at most 5 % of loads, with room for chance."""
    monkeypatch.setattr(rule, "clopper_pearson", functools.cache(clopper_pearson))
    chance = random.Random(f"looks {share}")
    words = [ended(Looks(0.05), share, chance)[0] for _ in range(LOADS)]
    assert words.count(false) <= 0.05 * LOADS


def test_at_plain_95_percent_the_looks_would_be_wrong_too_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the spending is for: the same loads, the same looks."""
    monkeypatch.setattr(rule, "clopper_pearson", functools.cache(clopper_pearson))
    chance = random.Random("plain")
    said = [ended(Looks(0.05), 0.05, chance)[1] for _ in range(LOADS)]
    assert sum("broken" in words or "kept" in words for words in said) > 0.08 * LOADS


def counts(**groups: tuple[int, int]) -> dict[str, GroupCount]:
    """Over the rule, and judged, by group."""
    return {group: GroupCount(*count) for group, count in groups.items()}


def test_a_clear_case_is_decided_soon() -> None:
    """A server far from the limit: few looks, and of every group."""
    looks = Looks(0.01)
    assert not looks.due(counts(pay=(0, FIRST_LOOK_REQUESTS - 1))) and looks.due(
        counts(pay=(0, FIRST_LOOK_REQUESTS))
    )
    assert looks.look(counts(pay=(25, 50), look=(0, 900))) == {"pay": "broken", "look": "kept"}
    assert looks.taken == 1


def test_on_a_full_machine_nothing_is_broken_beyond_doubt() -> None:
    """Upper bounds prove only that the rule was kept."""
    words = Looks(0.01).look(counts(pay=(25, 50), look=(0, 900)), slowed=True)
    assert words == {"pay": "undecided", "look": "kept"}


def test_a_look_is_due_when_the_requests_have_grown_by_half() -> None:
    """More often would cost confidence; the groups are counted together."""
    looks, due = Looks(0.01), round(100 * LOOK_GROWTH)
    assert looks.look(counts(pay=(0, 100))) == {"pay": "undecided"}
    assert not looks.due(counts(pay=(0, 120), look=(0, due - 121)))
    assert looks.due(counts(pay=(0, 120), look=(0, due - 120)))
