"""The figures of a running load, and its early end: they agree with the verdict on the same requests."""

import random
from collections.abc import Iterator

import msgspec
import pytest
from bs4 import BeautifulSoup

from loadtests.generator.generator import Generator
from loadtests.generator.loadoptions import Load
from loadtests.generator.recordings import with_plan
from loadtests.generator.telling import Request, Teller, unpacked
from loadtests.judging.judge import Judgement, judge
from loadtests.judging.samples import summarise
from loadtests.live.ending import Ending
from loadtests.live.figures import Figures, Live, LiveGroup, Quantile, View
from loadtests.live.livetable import live_table
from loadtests.records.recording import Lag, Stage, Vital
from loadtests.status import Status

GROUPS = ("look", "pay")


class Played:
    """A load of random requests on a clock of its own, told, looked at and judged as a real one is."""

    def __init__(self, seed: int, load: Load, shares: dict[float, float]) -> None:
        self.now = 0.0
        self.shares = shares  # of slow requests, from when on
        self.stages = list(shares) if load.steps else [0.0]
        self.chance = random.Random(seed)
        self.generator = Generator(load, 0, lambda: 1, clock=lambda: self.now)
        self.recorder = self.generator.recorder
        self.teller, self.ending = Teller(self.generator), Ending(load)
        self.live = Live(load.warm_up)
        self.told: list[Request] = []
        self.lag_ms = 1.0  # of the generator
        self.lag: list[Lag] = []
        self.vitals: list[Vital] = []

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
                lag, vital = Lag(at, self.lag_ms), Vital(at, 0.1 * at, 0.3 * at, 2.0 * at, 1)
                self.lag, self.vitals = [*self.lag, lag], [*self.vitals, vital]
                news = unpacked([*self.teller.tell()._replace(lag=[lag], vitals=[vital])])
                self.told += news.ended
                self.live.take(news)
                self.live.advance([start for start in self.stages if start <= at])
                if self.ending.look(self.live) == "load":
                    break
        for number in list(flying)[::2]:  # some still end while the load is drained, the others never do
            self.now += 0.05
            self.recorder.end(flying[number], settled=True)
        return self.judged()

    def judged(self) -> Judgement:
        self.recorder.stop()
        recording = msgspec.structs.replace(
            self.generator.close(), lag=tuple(self.lag), vitals=(tuple(self.vitals),)
        )
        load, starts = self.generator.load, self.stages
        ends = [*starts[1:], recording.stopped_s]
        stages = [Stage(1, *each) for each in zip(starts, ends, strict=True)] if load.steps else []
        looks, decided_s = self.ending.looks(stages), self.ending.decided_s
        return judge(with_plan(recording, load, self.ending.stages(stages), 1, 0, looks, decided_s))


@pytest.mark.parametrize("share", [0.0, 0.08, 0.4])
@pytest.mark.parametrize("seed", range(4))
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


def test_a_late_generator_breaks_no_rule_and_ends_no_load() -> None:
    """Its latencies are upper bounds: the look agrees with the verdict, which is undecided."""
    played = Played(2, Load(stop_when_broken=True), {0.0: 0.5})
    played.lag_ms = 20.0
    judgement = played.play(20.0)
    assert played.ending.decided_s is None and judgement.status == Status.UNDECIDED
    assert all(group.excused for group in judgement.stages[0].groups)


def test_a_broken_step_ends_the_whole_load() -> None:
    """Each step has looks of its own; the requests of earlier steps do not count."""
    load = Load(stop_when_broken=True, steps=(1, 2, 3), step_seconds=10, warm_up=1.0)
    played = Played(1, load, {0.0: 0.0, 10.0: 0.0, 20.0: 0.5})
    judgement = played.play(30.0)
    assert played.ending.decided_s and 26 < played.ending.decided_s < 30
    words = [{each.word for each in stage.groups} for stage in judgement.stages]
    assert "broken" not in words[0] | words[1] and "broken" in words[2]
    assert [looks > 0 for looks in judgement.recording.looks] == [True] * 3


def test_a_step_is_judged_by_the_requests_that_decided_it() -> None:
    """--until-decided with --steps: each has looks of its own, and ends early or by --step-seconds."""
    load = Load(until_decided=True, steps=(1, 2, 3), step_seconds=25, fail_over=5)
    played = Played(6, load, {0.0: 0.0, 25.0: 0.06, 50.0: 0.6})
    judgement = played.play(75.0)
    words = [{each.word for each in stage.groups} for stage in judgement.stages]
    assert words[0] == {"kept"} and "undecided" in words[1] and words[2] == {"broken"}
    ends = [stage.end_s for stage in judgement.recording.stages]
    assert 5 < ends[0] < 20 and ends[1] == 50.0 and 55 < ends[2] < 65
    assert played.ending.decided_s is None


@pytest.mark.parametrize(
    ("load", "looks"),
    [(Load(), ()), (Load(until_decided=True, fail_over=0.01), (7,)), (Load(steps=(1,)), ())],
)
def test_a_load_that_is_not_decided_has_one_more_look_at_its_end(load: Load, looks: tuple[int, ...]) -> None:
    """Six while it ran: its verdict spends the error of a seventh. An ordinary load has a single one."""
    recording = Played(4, load, {0.0: 0.0}).play(45.0).recording
    assert recording.decided_s is None and recording.looks == looks


def test_the_share_and_the_percentiles_are_those_of_all_requests() -> None:
    """So far, without the warm-up; percentiles are exact to a tenth of a millisecond, or lower bounds."""
    load = Load(warm_up=5.0)
    played = Played(3, load, {0.0: 0.03})
    ended = played.play(40.0).recording
    until = played.live.until
    assert 39 < until < 40
    for group in played.live.view().groups:
        rows = [row for row in ended.rows if row.group == group.key and 5 <= row.intended_s < until]
        exact = summarise(rows, ended.ended_s)
        assert (group.whole.over, group.whole.judged) == (exact["over"], exact["judged"])
        for quantile, key in zip(group.whole.quantiles, ("p50_ms", "p95_ms", "p99_ms"), strict=True):
            value = exact[key]
            assert quantile.ms is not None and value is not None
            assert quantile.ms == pytest.approx(value, abs=0.051) or not quantile.exact
            assert quantile.ms <= value + 0.051


def test_the_last_ten_seconds_forget_what_was_before() -> None:
    """A server that was slow for twenty seconds, and is fast now."""
    played = Played(5, Load(), {0.0: 1.0, 20.0: 0.0})
    played.play(40.0)
    for group in played.live.view().groups:
        assert group.whole.over > 300 and group.recent.over <= 5  # some hang
        assert 100 < group.recent.judged < 300 and (group.recent.quantiles[1].ms or 0) <= 500


def told(teller: Teller) -> tuple[float, list[str], list[str]]:
    """What a teller tells: until when, the requests that ended, and those that are late."""
    news = teller.tell()
    return news.until, [each.name for each in news.ended], [each.name for each in news.late]


def test_a_request_is_told_when_its_outcome_is_certain() -> None:
    """An answer that its user may still call a failure holds the news back, unless it was too late anyway."""
    played = Played(1, Load(), {0.0: 0.0})
    recorder, teller = played.recorder, played.teller
    hanging, judged, answered = (
        recorder.begin(1, "look", name) for name in ("hanging", "judged", "answered")
    )
    played.now = 0.1
    recorder.end(answered, settled=True)
    recorder.end(judged)
    assert told(teller)[1:] == ([], [])
    played.now = 2.0
    assert told(teller) == (0.0, [], [])
    judged.settled = True
    assert told(teller) == (pytest.approx(1.499), ["judged", "answered"], ["hanging"])
    recorder.end(hanging, settled=True)
    played.now = 2.2
    assert told(teller)[1:] == (["hanging"], [])
    late = recorder.begin(1, "look", "late")
    played.now = 3.0
    recorder.end(late)
    assert told(teller)[1:] == ([], ["late"])
    late.settled = True
    assert told(teller)[1:] == (["late"], [])


def test_at_the_end_the_rest_is_told() -> None:
    """Each request once, also those never answered."""
    played = Played(2, Load(), {0.0: 0.1})
    played.play(20.0)
    rows = played.judged().recording.rows
    assert len(played.told) + len(played.teller.rest().ended) == len(rows)


def test_the_news_wait_for_every_process() -> None:
    """Two processes, one of which started a second later: what both have told counts, on one clock."""
    first, second = (Played(seed, Load(), {0.0: 0.0}) for seed in (1, 2))
    for played in (first, second):
        played.now = 0.5
        played.recorder.end(played.recorder.begin(1, "look", "GET /"), settled=True)
        played.now = 4.0
    live = Live(0.0, ("a", "b"))
    live.take(first.teller.tell(), "a")
    live.advance()
    assert live.until == 0.0 and live.counts() == {}
    second.now = 1.5
    live.take(second.teller.tell(), "b", later=1.0)
    live.advance()
    assert live.until == pytest.approx(1.999, abs=1e-5)
    assert live.counts() == {"look": (0, 2)} and live.view().silent == 0
    first.now = 40.0
    live.take(first.teller.tell(), "a")
    assert live.view().silent == 1


def test_the_table_shows_what_is_over_the_rule() -> None:
    """Marked cells, lower bounds, names that are no HTML; whole visits break no rule."""
    slow = Figures(200, 50, (Quantile(40.0, True), Quantile(812.0, True), Quantile(3000.0, False)))
    fast = Figures(100, 0, (Quantile(3.0, True),) * 3)
    empty = Figures(0, 0, (Quantile(None, True),) * 3)
    groups = LiveGroup("<pay>", True, slow, fast), LiveGroup("content", False, slow, empty)
    page = BeautifulSoup(live_table(View(12.0, 20, 1.5, groups, silent=2), 500.0, 0.01), "html.parser")
    pay, content = page.select("tbody tr")
    assert [cell.text for cell in pay.select("th, td")] == [
        *("<pay>", "200", "40 ms", "812 ms", "≥ 3.0 s", "25.0 %", ""),
        *("100", "3.0 ms", "3.0 ms", "3.0 ms", "0 %"),
    ]
    assert [cell.text for cell in pay.select(".over")] == ["812 ms", "≥ 3.0 s", "25.0 %"]
    assert content.th and content.th.text == "submit to content" and not content.select(".over")
    assert "at most 1.0 % of any requests over 500 ms" in page.text and "20 users" in page.text
    assert "No news from 2 load generators" in page.text
    places = [float(str(dot["cx"])) for dot in pay.select("circle")]
    rule = float(str(pay.select_one(".rule")["d"]).removeprefix("M").split()[0])  # type: ignore[index]
    assert places[0] < rule < places[1] < places[2]
