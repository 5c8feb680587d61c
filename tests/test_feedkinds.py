"""The fake feed server is predictable: an address's behaviour follows from its URL alone."""

import math
import os
import statistics
import subprocess
import sys
from collections import Counter

import feedparser
import pytest

from loadtests.errors import UsageError
from loadtests.feedserver.documents import document
from loadtests.feedserver.kinds import DEFAULT_MIX, KINDS, delay_of, kind_of

FATES = """
import hashlib
from loadtests.feedserver.documents import document
from loadtests.feedserver.kinds import delay_of, kind_of
print([kind_of(n) for n in range(50)], [delay_of(kind, n) for kind in ("typical", "slow") for n in range(50)])
print(hashlib.sha256(b"".join(document("fast", n).body for n in range(6))).hexdigest())
"""


@pytest.mark.live
def test_an_address_behaves_the_same_in_every_process() -> None:
    """Two processes with different `hash` seeds agree on kinds, delays and documents, so predictions hold."""
    fates = {
        subprocess.check_output(
            [sys.executable, "-c", FATES], env={**os.environ, "PYTHONHASHSEED": hash_seed}
        )
        for hash_seed in ("1", "2")
    }
    assert len(fates) == 1


def test_the_figures_of_an_address_never_change() -> None:
    """So that results from other machines, Python versions and releases are comparable."""
    assert [kind_of(n) for n in range(9, 14)] == ["typical", "slow", "slow", "typical", "typical"]
    assert delay_of("typical", 1) == pytest.approx(0.171578044678)
    assert delay_of("slow", 1) == pytest.approx(2.491140112227)


def test_another_seed_gives_other_kinds_delays_and_words() -> None:
    """So that a second run of an experiment can meet other servers."""
    assert [kind_of(n) for n in range(100)] != [kind_of(n, seed=1) for n in range(100)]
    assert delay_of("typical", 1) != delay_of("typical", 1, seed=1)
    assert document("fast", 1).body != document("fast", 1, seed=1).body


@pytest.mark.parametrize("mix", [DEFAULT_MIX, {"error": 33.3, "fast": 66.7}, {"hang": 100, "slow": 0}])
def test_the_mix_comes_out_in_its_proportions(mix: dict[str, float]) -> None:
    """Over many feeds each kind gets its percentage, and kinds at 0 % do not occur."""
    counts = Counter(kind_of(n, mix) for n in range(1, 20_001))
    assert {kind: counts[kind] / 200 for kind in KINDS} == pytest.approx(
        {kind: mix.get(kind, 0) for kind in KINDS}, abs=1
    )


def test_the_order_in_which_a_mix_is_written_does_not_matter() -> None:
    """The same percentages in any order choose the same kinds."""
    reordered = dict(reversed(list(DEFAULT_MIX.items())))
    assert [kind_of(n, reordered) for n in range(200)] == [kind_of(n) for n in range(200)]


def test_delays_have_the_distributions_that_their_kinds_state() -> None:
    """Typical is lognormal (0.3 s, sigma 0.5) up to 2 s, slow is uniform from 2 to 6 s, a hang never ends."""
    typical = [delay_of("typical", n) for n in range(1, 20_001)]
    assert statistics.median(typical) == pytest.approx(0.3, rel=0.02)
    assert statistics.stdev(math.log(delay) for delay in typical) == pytest.approx(0.5, rel=0.02)
    assert max(typical) <= 2
    slow = [delay_of("slow", n) for n in range(1, 20_001)]
    assert statistics.quantiles(slow, n=4) == pytest.approx([3, 4, 5], rel=0.02)
    assert 2 <= min(slow) <= max(slow) <= 6
    assert delay_of("hang", 1) == math.inf
    with pytest.raises(UsageError, match="no feeds of the kind 'quick'"):
        delay_of("quick", 1)


def test_feeds_differ() -> None:
    """No two feeds share words or guids, so that a reader that mixes them up is caught."""
    feeds = [feedparser.parse(document(kind, n).body) for kind in ("fast", "slow") for n in range(9)]
    guids = [entry.id for feed in feeds for entry in feed.entries]
    assert len(set(guids)) == len(guids)
    assert len({tuple(entry.title for entry in feed.entries) for feed in feeds}) == len(feeds)
