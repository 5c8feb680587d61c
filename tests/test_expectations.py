"""What is expected beyond the rule, such as "pay p95 < 300ms": read, judged with its interval, and told."""

import random
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from msgspec.structs import replace

from loadtests.__main__ import main as command
from loadtests.errors import UsageError
from loadtests.judging.bootstrap import mean_reach, rate_reach
from loadtests.judging.expectations import ExpectationVerdict, judge_expectation
from loadtests.judging.intervals import clopper_pearson, percentile_ranks
from loadtests.judging.judge import judge
from loadtests.judging.rule import word_for
from loadtests.judging.terminal import verdict_text
from loadtests.records.expectations import expectation
from loadtests.records.recording import Lag, Recording, Vital, write_recording
from loadtests.records.rows import DROPPED, Row
from loadtests.report.rowsreport import headline
from loadtests.status import Status

SECONDS, ENDED = 20.0, 22.0


def rows(group: str, latencies_ms: list[float], name: str = "", **changed: Any) -> list[Row]:
    """Requests at an even rate over the load, with these latencies."""
    about = {"status": 200, "error": ""} | changed
    starts = [number * SECONDS / len(latencies_ms) for number in range(len(latencies_ms))]
    return [
        Row(number % 5, group, name or group, at, at, at + ms / 1000, about["status"], about["error"])
        for number, (at, ms) in enumerate(zip(starts, latencies_ms, strict=True))
    ]


def recording(all_rows: list[Row], *expectations: str, **about: Any) -> Recording:
    """Twenty seconds of a generator at its ease."""
    vitals = tuple(Vital(at, 0.1 * at, 0.5 * at, 2.0 * at, 5) for at in range(21))
    given = {
        "users_asked": 5,
        "lag": tuple(Lag(at / 10, 1.0) for at in range(200)),
        "vitals": (vitals,),
        "expectations": expectations,
        **about,
    }
    return Recording(started_at=1000.0, stopped_s=SECONDS, ended_s=ENDED, rows=tuple(all_rows), **given)


def judged(text: str, all_rows: list[Row], **about: Any) -> ExpectationVerdict:
    """The verdict on one expectation."""
    return judge_expectation(text, recording(all_rows, **about), all_rows, (0.0, SECONDS))


EVEN = [float(ms) for ms in range(1, 1001)]  # 1 to 1,000 ms
SHUFFLED = random.Random(3).sample(EVEN, len(EVEN))


# ---- in words


@pytest.mark.parametrize(
    ("text", "group", "name", "metric", "comparison", "limit"),
    [
        ("pay p95 < 300ms", "pay", None, "percentile", "<", 300.0),
        ("  pay   p99.9<=1.5 s ", "pay", None, "percentile", "<=", 1500.0),
        ("POST /feeds p50 > 2ms", "POST /feeds", None, "percentile", ">", 2.0),
        ('"GET /items/<id>" mean < 0.2s', None, "GET /items/<id>", "mean", "<", 200.0),
        ("'it took over' over >= 5%", None, "it took over", "over", ">=", 0.05),
        ("all failed < 1 %", None, None, "failed", "<", 0.01),
        ("all rate > 50/s", None, None, "rate", ">", 50.0),
    ],
)
def test_an_expectation_is_read(text, group, name, metric, comparison, limit):
    """A group, a name in quotes, or all; any metric; with or without spaces."""
    found = expectation(text)
    assert (found.group, found.name, found.metric) == (group, name, metric)
    assert (found.comparison, found.limit) == (comparison, limit)
    assert expectation(found.text) == found


@pytest.mark.parametrize(
    ("text", "place", "why"),
    [
        ("pay p95 300ms", "", "has no comparison"),
        ("", "", "has no comparison"),
        ("p95 < 300ms", "", "does not say which requests"),
        ("pay < 300ms", "pay", "should be a metric"),
        ("pay p95 latency < 300ms", "latency", "should be a metric"),
        ("pay max < 3s", "max", "should be a metric"),
        ("pay p100 < 3s", "p100", "not a percentile"),
        ("pay p0.5 < 3s", "p0.5", "not a percentile"),
        ("pay p95 < 300", "300", "ms or s"),
        ("pay p95 < 300%", "300%", "ms or s"),
        ("pay p95 < -3ms", "-3ms", "ms or s"),
        ("pay p95 <", "", "ms or s"),
        ("all failed < 0.01", "0.01", "its unit, %"),
        ("all failed < 101%", "101%", "more than 100 %"),
        ("all rate > 50", "50", "its unit, /s"),
        ("'pay p95 < 3s", "'pay", "between two quotes"),
    ],
)
def test_one_that_can_not_be_read_is_refused_at_its_place_with_an_example(text, place, why):
    """The example is of the same metric, where that is known."""
    with pytest.raises(UsageError) as refused:
        expectation(text)
    said = str(refused.value)
    assert why in said and (not place or repr(place) in said)
    expectation(said.partition("For example: ")[2])


# ---- judged


@pytest.mark.parametrize(
    ("comparison", "below", "across", "above"),
    [
        ("<", "kept", "undecided", "broken"),
        ("<=", "kept", "undecided", "broken"),
        (">", "broken", "undecided", "kept"),
        (">=", "broken", "undecided", "kept"),
    ],
)
def test_only_an_interval_on_one_side_of_the_value_decides(comparison, below, across, above):
    """An end that is not bounded decides nothing on its side."""
    intervals = [(1.0, 2.0), (1.0, 4.0), (4.0, 5.0)]
    assert [word_for(comparison, *each, 3.0) for each in intervals] == [below, across, above]
    assert word_for(comparison, None, 2.0, 3.0) == below
    assert word_for(comparison, 1.0, None, 3.0) == across
    assert word_for(comparison, 4.0, None, 3.0) == above


def test_an_interval_that_touches_the_value():
    """The value itself is no less than itself, but at most itself."""
    assert [word_for(each, 1.0, 3.0, 3.0) for each in ("<", "<=")] == ["undecided", "kept"]
    assert [word_for(each, 3.0, 5.0, 3.0) for each in ("<", "<=")] == ["broken", "undecided"]
    assert [word_for(each, 3.0, 5.0, 3.0) for each in (">", ">=")] == ["undecided", "kept"]
    assert [word_for(each, 1.0, 3.0, 3.0) for each in (">", ">=")] == ["broken", "undecided"]


@pytest.mark.parametrize("percent", ["1", "50", "95", "99.5"])
def test_a_percentile_has_the_interval_of_its_order_statistics(percent):
    """The n-th of these latencies is n ms."""
    ranks = percentile_ranks(1000, float(percent))
    assert ranks
    found = judged(f"pay p{percent} < {ranks[1] + 0.5}ms", rows("pay", SHUFFLED))
    assert found.measured and found.word == "kept"
    assert (found.measured.low, found.measured.high) == ranks
    assert found.measured.value == float(percent) * 10
    assert judged(f"pay p{percent} < {ranks[1]}ms", rows("pay", SHUFFLED)).word == "undecided"
    assert judged(f"pay p{percent} < {ranks[0]}ms", rows("pay", SHUFFLED)).word == "broken"


def test_a_percentile_that_the_sample_can_not_bound_is_undecided():
    """p99 needs 368 requests, p99.99 needs 36,887; however fast they were."""
    for text, count in (("pay p99 < 9s", 367), ("pay p99.99 < 9s", 1000)):
        found = judged(text, rows("pay", EVEN[:count]))
        assert found.word == "undecided" and "too few requests for an interval" in found.reason
    assert judged("pay p99 < 9s", rows("pay", EVEN[:368])).word == "kept"


def test_shares_have_exact_intervals():
    """20 of 1,000 failed; 500 of the others took longer than the rule."""
    failed = rows("pay", [1.0] * 20, status=503, error="answered 503")
    all_rows = failed + rows("pay", EVEN[10:990])
    low, high = clopper_pearson(20, 1000)
    found = judged("pay failed < 4%", all_rows)
    assert found.measured and (found.measured.low, found.measured.high) == pytest.approx((low, high))
    assert found.word == "kept" and found.reason == "2.0 %, 95 % interval 1.2 to 3.1 %"
    assert judged("pay failed < 3%", all_rows).word == "undecided"
    assert judged("pay failed < 1%", all_rows).word == "broken"
    assert judged("pay over > 40%", all_rows).word == "kept"
    assert judged("pay over < 40%", all_rows).word == "broken"


def test_requests_that_were_not_sent_have_failed():
    """Open load dropped them, and nobody got an answer."""
    dropped = [Row(1, "pay", "pay", at, None, None, 0, DROPPED) for at in range(20)]
    assert judged("pay failed < 1%", rows("pay", EVEN[:80]) + dropped).word == "broken"


def test_unfinished_requests_only_widen():
    """Whether they would have failed, and when they would have been answered, is not known."""
    hanging = [Row(1, "pay", "pay", 0.1 * at, 0.1 * at, None, 0, "") for at in range(100)]
    all_rows = rows("pay", [10.0] * 900) + hanging
    assert judged("pay failed < 5%", all_rows).word == "undecided"
    assert judged("pay failed < 15%", all_rows).word == "kept"
    assert judged("pay p50 < 20ms", all_rows).word == "kept"
    beyond = judged("pay p95 < 999s", all_rows)
    assert beyond.word == "undecided" and "at least" in beyond.reason
    assert judged("pay p95 < 1s", all_rows).word == "broken"
    assert judged("pay mean < 999s", all_rows).word == "undecided"
    assert judged("pay mean < 100ms", all_rows).word == "broken"


def test_failures_have_no_latency():
    """As in every table."""
    failed = rows("pay", [1.0] * 400, status=503, error="answered 503")
    assert judged("pay p50 < 100ms", failed).reason == "nothing was answered"
    assert judged("pay p50 < 100ms", failed + rows("pay", [200.0] * 100)).word == "broken"


def test_a_mean_and_a_rate_have_the_interval_of_blocks_of_time():
    """As wide to both sides."""
    all_rows = rows("pay", SHUFFLED)
    reach = mean_reach(all_rows, (0.0, SECONDS), ENDED) or 0
    found = judged("pay mean < 700ms", all_rows)
    assert found.measured and found.word == "kept"
    assert (found.measured.low, found.measured.high) == pytest.approx((500.5 - reach, 500.5 + reach))
    assert judged("pay mean < 500ms", all_rows).word == "undecided"
    assert judged("pay mean > 700ms", all_rows).word == "broken"
    assert judged("pay rate > 40/s", all_rows).word == "kept"
    assert judged("pay rate < 40/s", all_rows).word == "broken"
    assert judged("pay rate > 40/s", all_rows).reason.startswith("48.75/s")  # 25 ended after the load
    few = judged("pay mean < 9s", rows("pay", EVEN[:19]))
    assert few.word == "undecided" and "too few requests" in few.reason


def test_failures_add_nothing_to_a_rate():
    """A server that refuses quickly serves nobody."""
    failed = rows("pay", [1.0] * 2000, status=503, error="answered 503")
    assert judged("pay rate > 50/s", failed + rows("pay", [10.0] * 200)).word == "broken"


@pytest.mark.slow
def test_intervals_of_mean_and_rate_hold_the_truth_though_requests_share_a_queue():
    """A queue with one slot, 60 % busy with skewed work: its mean latency, and its rate of arrivals."""
    rng = np.random.default_rng(8)
    window, rate, runs = (0.0, 200.0), 20.0, 60
    truth, held, plain = [], {"mean": 0, "rate": 0}, 0
    made = []
    for _ in range(runs):
        arrivals = np.cumsum(rng.exponential(1 / rate, int(1.4 * rate * window[1])))
        work = rng.exponential(1, len(arrivals)) ** 2 * 0.015
        free, served = 0.0, []
        for at, takes in zip(arrivals, work, strict=True):
            free = max(free, at) + takes
            served.append((at, free))
        served = [each for each in served if each[0] < window[1]]
        made.append([Row(1, "g", "g", at, at, done, 200, "") for at, done in served])
        truth += [done - at for at, done in served]
    mean = 1000 * float(np.mean(truth))
    for run in made:
        waits = [row.waited_ms(999) for row in run]
        reach = mean_reach(run, window, 999) or 0
        held["mean"] += abs(np.mean(waits) - mean) <= reach
        plain += abs(np.mean(waits) - mean) <= 1.96 * np.std(waits) / np.sqrt(len(waits))
        times = [row.intended_s for row in run]
        reach = rate_reach(times, window) or 0
        held["rate"] += abs(len(times) / window[1] - rate) <= reach
    assert all(count >= 0.85 * runs for count in held.values()), held
    assert plain < 0.7 * runs


def test_requests_that_are_not_there_keep_nothing():
    """A name that was mistyped, or requests that were never sent: undecided, and what there was instead."""
    for text in (
        "pya p95 < 9s",
        "pya failed < 9%",
        "pya rate < 9/s",
        '"GET /pay" p95 < 9s',
        "pya over <= 100%",
    ):
        found = judged(text, rows("pay", EVEN))
        assert found.word == "undecided" and "there was no such request, only pay" in found.reason


def test_a_name_and_all_concern_what_they_say():
    """A name within any group; all, but no whole visits. A group of whole visits may be named."""
    fast, slow = rows("shop", [10.0] * 400, "look"), rows("shop", [90.0] * 400, "pay")
    visits = rows("visit", [900.0] * 800)
    both = fast + slow + visits
    assert judged("'pay' p50 > 80ms", both).word == "kept"
    assert judged("'look' p50 < 20ms", both).word == "kept"
    assert judged("shop p90 > 80ms", both).word == "kept"
    assert judged("all p90 < 100ms", both, visits=("visit",)).word == "kept"
    assert judged("all p90 < 100ms", both).word == "broken"
    assert judged("visit p50 < 1s", both, visits=("visit",)).word == "kept"


# ---- told


def test_each_is_told_below_the_rule_and_the_worst_is_the_status():
    """With its figure and interval; the headline of the report says the same."""
    known = recording(rows("pay", [10.0] * 1000), "pay p95 < 300ms", "pay mean > 5ms", "all rate > 10/s")
    judgement = judge(known)
    assert judgement.status is Status.KEPT
    assert "\npay p95 < 300ms: kept (10 ms, 95 % interval 10 to 10 ms)." in verdict_text(judgement)
    assert headline(judgement) == "All groups of requests kept the rule of 500 ms and what else was expected"
    broken = judge(recording(list(known.rows), "pay p95 < 300ms", "pay p95 < 3ms"))
    assert broken.status is Status.BROKEN
    assert "kept.\n" in verdict_text(broken) and "pay p95 < 3ms: broken (10 ms" in verdict_text(broken)
    assert headline(broken) == "Not as expected: pay p95 < 3ms is broken, 10 ms, 95 % interval 10 to 10 ms"
    undecided = judge(recording(list(known.rows), "pay p99.9 < 30ms"))
    assert undecided.status is Status.UNDECIDED
    assert headline(undecided) == "Too few requests to say whether “pay p99.9 < 30ms” holds"


def test_a_load_in_doubt_proves_nothing_of_them_either():
    """They are voided as the rule is."""
    known = recording(rows("pay", [10.0] * 1000), "pay p95 < 3ms", processes_lost=1)
    assert judge(known).status is Status.UNFIT
    assert verdict_text(judge(known)).endswith("But this proves nothing: 1 load generator did not report.")


def test_a_pipeline_is_told_the_same(tmp_path):
    """A test case for each group and each expectation: passed, failed, or skipped if undecided."""
    path = tmp_path / "rows.csv"
    expected = "pay p95 < 300ms", "pay p95 < 3ms", "pay p99.9 < 30ms"
    write_recording(path, recording(rows("pay", [10.0] * 1000), *expected))
    assert command(["report", str(path), "--junit", str(tmp_path / "a.xml")]) == 0
    cases = ElementTree.parse(tmp_path / "a.xml").findall(".//testcase")
    outcomes = {case.get("name"): [each.tag for each in case if each.tag != "properties"] for case in cases}
    assert outcomes == {"pay": [], expected[0]: [], expected[1]: ["failure"], expected[2]: ["skipped"]}
    write_recording(path, recording(rows("pay", [10.0] * 1000), *expected, processes_lost=1))
    assert command(["report", str(path), "--junit", str(tmp_path / "a.xml")]) == 0
    assert len(ElementTree.parse(tmp_path / "a.xml").findall(".//testcase/error")) == 4


@pytest.mark.parametrize(
    ("text", "alone", "slowed"),
    [
        ("pay p50 < 30ms", "kept", "kept"),
        ("pay p50 < 3ms", "broken", "undecided"),
        ("pay mean > 3ms", "kept", "undecided"),
        ("pay mean > 30ms", "broken", "broken"),
        ("pay over <= 2%", "kept", "kept"),
        ("pay failed > 2%", "broken", "broken"),
        ("pay rate > 30/s", "kept", "kept"),
        ("pay rate > 90/s", "broken", "undecided"),
        ("pay rate < 90/s", "kept", "undecided"),
        ("pay rate < 30/s", "broken", "broken"),
    ],
)
def test_a_slowed_load_proves_in_one_direction(text, alone, slowed):
    """Alone the app would have taken no longer, failed no more, and answered no fewer a second."""
    known = recording(rows("pay", [10.0] * 1000), text)
    assert [each.word for each in judge(known).stages[0].expectations] == [alone]
    vitals = tuple(vital._replace(host_busy=1.98 * vital.at) for vital in known.vitals[0])
    busy = replace(known, vitals=(vitals,))
    (found,) = judge(busy).stages[0].expectations
    assert (found.word, found.excused) == (slowed, slowed != alone)
    assert ("may be the machine's" in found.reason) == found.excused
    assert not found.excused or "too busy to say whether “" in headline(judge(busy))


def test_failures_of_a_slowed_load_leave_its_latencies_open():
    """Alone, the app might have answered them, late."""
    all_rows = rows("pay", [10.0] * 996) + rows("pay", [10.0] * 4, status=503)
    assert judge_expectation("pay p50 < 30ms", recording(all_rows), all_rows, (0, SECONDS)).word == "kept"
    found = judge_expectation("pay p50 < 30ms", recording(all_rows), all_rows, (0, SECONDS), slowed=True)
    assert found.word == "undecided" and found.excused


def test_a_load_that_was_looked_at_needs_more_to_decide():
    """It ended when it looked good, so every interval is wider; the confidence is told."""
    texts = "pay p50 < 600ms", "pay over < 51%", "pay failed < 0.5%", "pay mean < 600ms", "pay rate > 40/s"
    all_rows = rows("pay", SHUFFLED)
    for once, often in zip(
        judge(recording(all_rows, *texts)).stages[0].expectations,
        judge(recording(all_rows, *texts, looks=(9,))).stages[0].expectations,
        strict=True,
    ):
        assert once.measured and often.measured and once.measured.value == often.measured.value
        spans = [(each.measured.high or 0) - (each.measured.low or 0) for each in (once, often)]
        assert spans[0] < spans[1] and often.confidence > once.confidence
        assert "95 % interval" in once.reason and "99.94 % interval" in often.reason
