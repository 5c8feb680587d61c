"""The figures of a running load, and its early end: they agree with the verdict on the same requests."""

import random
from collections.abc import Iterator

import pytest

from loadtests.generator.generator import Generator
from loadtests.generator.loadoptions import Load
from loadtests.generator.recordings import with_plan
from loadtests.generator.telling import Teller, unpacked
from loadtests.judging.judge import Judgement, judge
from loadtests.judging.samples import summarise
from loadtests.live.ending import Ending
from loadtests.live.figures import Live, Quantile
from loadtests.live.livetable import live_table
from loadtests.records.recording import Stage

GROUPS = ("look", "pay")


class Played:
    """A load of random requests on a clock of its own, told, looked at and judged as a real one is."""

    def __init__(self, seed: int, load: Load, shares: dict[float, float]) -> None:
        self.now = 0.0
        self.shares = shares  # of slow requests, from when on
        self.chance = random.Random(seed)
        self.generator = Generator(load, 0, lambda: 1, clock=lambda: self.now)
        self.recorder = self.generator.recorder
        self.teller, self.ending = Teller(self.generator), Ending(load)
        self.live = Live(load.rule_ms, load.warm_up)

    def requests(self, until: float, rate: float = 40.0) -> Iterator[tuple[float, str, str, object]]:
        """What happens and when, in order: requests begin and end, and news are told."""
        happens: list[tuple[float, str, str, object]] = []
        at, number = 0.0, 0
        while (at := at + self.chance.expovariate(rate)) < until:
            number += 1
            slow = self.chance.random() < next(
                reversed([share for start, share in self.shares.items() if start <= at])
            )
            took = self.chance.uniform(0.5, 4.0) if slow else self.chance.uniform(0.001, 0.5)
            group = self.chance.choice(GROUPS)
            happens.append((at, "begin", group, number))
            if self.chance.random() > 0.002:  # the others hang
                happens.append((at + took, "end", group, number))
        happens += [(tick / 4, "tick", "", None) for tick in range(1, round(until * 4))]
        return iter(sorted(happens, key=lambda each: each[0]))

    def play(self, seconds: float) -> Judgement:
        """Let it run until it is decided, or for `seconds`; then judge it."""
        flying = {}
        for at, what, group, number in self.requests(seconds):
            self.now = at
            if what == "begin":
                flying[number] = self.recorder.begin(1, group, "GET /")
            elif what == "end":
                pending = flying.pop(number)
                pending.error = "failed" if self.chance.random() < 0.002 else ""
                self.recorder.end(pending, settled=True)
            else:
                self.live.take(unpacked(self.teller.tell().packed()))
                self.live.advance([start for start in self.shares if start <= at])
                if self.ending.decided(self.live):
                    break
        for number in list(flying)[::2]:  # some still end while the load is drained, the others never do
            self.now += 0.05
            self.recorder.end(flying[number], settled=True)
        return self.judged()

    def judged(self) -> Judgement:
        self.recorder.stop()
        recording = self.generator.close()
        load, starts = self.generator.load, list(self.shares)
        ends = [*starts[1:], recording.stopped_s]
        stages = [Stage(1, *each) for each in zip(starts, ends, strict=True)] if load.steps else []
        looks, decided_s = self.ending.looks(stages), self.ending.decided_s
        return judge(with_plan(recording, load, stages, 1, 0, looks, decided_s))


@pytest.mark.parametrize("share", [0.0, 0.08, 0.4])
@pytest.mark.parametrize("seed", range(6))
def test_the_verdict_is_what_ended_the_load(seed: int, share: float) -> None:
    """Request by request: neither warm-up nor what was in flight or came later changes what decided."""
    load = Load(until_decided=True, fail_over=8 if share == 0.08 else 3, warm_up=2.0)
    played = Played(seed, load, {0.0: share})
    judgement = played.play(120.0)
    words = {each.group: each.word for each in judgement.stages[0].groups}
    if played.ending.decided_s is None:
        assert share == 0.08
        return
    counts = played.live.counts()
    assert {
        each.group: (each.summary["over"], each.summary["judged"]) for each in judgement.stages[0].groups
    } == counts
    assert set(words) == set(GROUPS) and "undecided" not in words.values()
    if share != 0.08:
        assert set(words.values()) == {"broken" if share else "kept"}
    assert judgement.recording.looks[0] > 0 and played.ending.decided_s > load.warm_up + 5


def test_a_broken_step_ends_the_whole_load() -> None:
    """Each step has looks of its own; the requests of earlier steps do not count."""
    load = Load(stop_when_broken=True, steps=(1, 2, 3), step_seconds=10, warm_up=1.0)
    played = Played(1, load, {0.0: 0.0, 10.0: 0.0, 20.0: 0.5})
    judgement = played.play(30.0)
    assert played.ending.decided_s and 26 < played.ending.decided_s < 30
    words = [{each.word for each in stage.groups} for stage in judgement.stages]
    assert "broken" not in words[0] | words[1] and "broken" in words[2]
    assert [looks > 0 for looks in judgement.recording.looks] == [True] * 3


@pytest.mark.parametrize(
    ("load", "looks"),
    [(Load(), ()), (Load(until_decided=True, fail_over=0.01), (7,)), (Load(steps=(1,)), ())],
)
def test_a_load_that_is_not_decided_has_one_more_look_at_its_end(load: Load, looks: tuple[int, ...]) -> None:
    """Six while it ran: its verdict spends the error of a seventh. An ordinary load has a single one."""
    recording = Played(4, load, {0.0: 0.0}).play(45.0).recording
    assert recording.decided_s is None and recording.looks == looks


def test_the_share_and_the_percentiles_are_those_of_all_requests() -> None:
    """Those of the last ten seconds, and those so far without the warm-up; to a tenth of a millisecond."""
    load = Load(warm_up=5.0)
    played = Played(3, load, {0.0: 0.03})
    recording = played.play(40.0).recording
    live, until = played.live, played.live.until
    for group in live.view().groups:
        for start, shown in ((until - 10, group.recent), (load.warm_up, group.whole)):
            rows = [
                row for row in recording.rows if row.group == group.key and start <= row.intended_s < until
            ]
            exact = summarise(rows, recording.ended_s)
            assert shown.judged == pytest.approx(exact["judged"], abs=20 if start != load.warm_up else 0)
            assert start != load.warm_up or shown.over == exact["over"]
            if start == load.warm_up:
                for quantile, key in zip(shown.quantiles[:2], ("p50_ms", "p95_ms"), strict=True):
                    assert quantile.ms == pytest.approx(exact[key], abs=0.051)
