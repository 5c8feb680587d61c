"""The figures behind the verdict, against brute force, published values and invariants."""

import math
import time
from pathlib import Path

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from loadtests.errors import LoadTestError
from loadtests.judging.intervals import clopper_pearson, percentile_ranks
from loadtests.judging.samples import PERCENTILES, Samples, nearest_rank, summarise
from loadtests.records.rows import Row, in_window, read_rows, write_rows

ENDED = 100.0
waits = st.lists(st.integers(0, 50).map(float), max_size=30)  # few distinct values, so that ties are common
lines = st.text().map(lambda text: " ".join(text.split()))
percents = st.sampled_from(sorted(PERCENTILES.values()))


def request(start: float = 0.0, ms: float | None = 10.0, status: int = 200, error: str = "") -> Row:
    """A POST /feeds that took `ms` milliseconds; None: never answered."""
    done = None if ms is None else round(start + ms / 1000, 6)
    return Row(1, "submit", "POST /feeds", start, start, done, status, error)


# ---- rows as a file ----------------------------------------------------------------------------------------


@given(
    st.lists(
        st.builds(
            Row,
            user=st.integers(0, 1000),
            group=st.sampled_from(["submit", "page", "poll", "browse", "content"]),
            name=lines,
            intended_s=st.integers(0, 10**10).map(lambda us: us / 1e6),
            sent_s=st.none() | st.integers(0, 10**10).map(lambda us: us / 1e6),
            done_s=st.none() | st.integers(0, 10**10).map(lambda us: us / 1e6),
            status=st.sampled_from([0, 200, 503]),
            error=lines,
        ),
        max_size=5,
    )
)
@example([Row(1, "submit", "POST /feeds", 1.0, 1.5, None, 0, 'said "5 s", then gave up')])
@settings(max_examples=50)
def test_rows_come_back_from_a_file_as_they_were_written(tmp_path_factory, rows):
    """Whatever an error text contains, reading undoes writing, to the microsecond."""
    path = tmp_path_factory.mktemp("rows") / "rows.csv"
    write_rows(path, rows)
    assert read_rows(path) == rows


def test_the_file_is_plain_csv_that_anyone_can_read(tmp_path):
    """Others rely on the format: a header, six decimals and one line per request."""
    path = tmp_path / "rows.csv"
    dropped = Row(2, "browse", "GET /feeds", 3.0, None, None, 0, "dropped")
    write_rows(path, [request(1.5, 20), request(2.0, None, 0, "timed out,\r\n  gave up"), dropped])
    assert path.read_text() == (
        "user,group,name,intended_s,sent_s,done_s,status,error\n"
        "1,submit,POST /feeds,1.500000,1.500000,1.520000,200,\n"
        '1,submit,POST /feeds,2.000000,2.000000,,0,"timed out, gave up"\n'
        "2,browse,GET /feeds,3.000000,,,0,dropped\n"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not a file of requests"),
        ("user,name\n1,a\n", "is not a file of requests"),
        ("user,group,name,intended_s,sent_s,done_s,status,error\n1,submit,POST /feeds,1.0\n", "line 2"),
        ("user,group,name,intended_s,sent_s,done_s,status,error\n1,a,b,soon,1,1,200,\n", "line 2"),
    ],
)
def test_a_file_that_is_not_rows_is_refused_with_its_line(tmp_path: Path, text: str, message: str):
    """A run cut off in mid-line must not silently become figures."""
    path = tmp_path / "rows.csv"
    path.write_text(text)
    with pytest.raises(LoadTestError, match=message):
        read_rows(path)


def test_a_window_takes_rows_by_their_intended_start():
    """From its start up to but excluding its end; a late answer does not matter."""
    rows = [request(start, 60_000) for start in (0.0, 9.999999, 10.0, 19.999999, 20.0)]
    assert [row.intended_s for row in in_window(rows, 10, 20)] == [10.0, 19.999999]


# ---- percentiles -------------------------------------------------------------------------------------------


@given(waits.filter(bool), st.integers(1, 100))
def test_nearest_rank_is_the_smallest_sample_that_enough_samples_do_not_exceed(samples, percent):
    """The definition, by brute force in integers."""
    enough = [x for x in samples if 100 * sum(y <= x for y in samples) >= percent * len(samples)]
    assert nearest_rank(samples, percent) == min(enough)


@pytest.mark.parametrize(
    ("percent", "expected"), [(5, 15), (30, 20), (40, 20), (50, 35), (95, 50), (99, 50), (100, 50)]
)
def test_nearest_rank_agrees_with_the_textbook_example(percent, expected):
    """The worked example of most descriptions of the method: 15, 20, 35, 40, 50."""
    assert nearest_rank([50, 15, 40, 20, 35], percent) == expected


@given(answered=waits, waiting=waits, later=st.lists(st.floats(0, 1e6), min_size=30, max_size=30), p=percents)
def test_a_percentile_is_never_above_what_waiting_longer_would_have_shown(answered, waiting, later, p):
    """However long the unfinished requests take, the bound holds, and exact values stay exact."""
    assume(answered or waiting)
    value, exact = Samples(answered, waiting).percentile(p)
    truth = nearest_rank(answered + [w + more for w, more in zip(waiting, later, strict=False)], p)
    assert truth == value if exact else truth >= value


@given(answered=waits, waiting=waits, p=percents)
def test_a_lower_bound_is_the_largest_that_is_true_and_is_called_so_only_if_needed(answered, waiting, p):
    """It is reached if all are answered at once, and exceeded if they never are."""
    assume(answered or waiting)
    value, exact = Samples(answered, waiting).percentile(p)
    assert value == nearest_rank(answered + waiting, p)
    if not exact:
        assert nearest_rank(answered + [math.inf] * len(waiting), p) > value


@pytest.mark.parametrize(
    ("answered", "waiting", "expected"),
    [
        ([10] * 99, [5000], {"max_ms"}),  # one hang among a hundred: only the maximum rests on it
        ([10] * 97, [5000] * 3, {"p99_ms", "max_ms"}),
        ([10] * 90, [5000] * 10, {"p95_ms", "p99_ms", "max_ms"}),
        ([], [5000], {"p50_ms", "p95_ms", "p99_ms", "max_ms"}),
        (
            [10, 10, 20],
            [10],
            {"p95_ms", "p99_ms", "max_ms"},
        ),  # the median is 10 all the same
        ([10, 20, 30], [1], {"p50_ms", "p95_ms", "p99_ms", "max_ms"}),  # began late: it may have any rank
        ([10, 20, 30], [], set()),
    ],
)
def test_only_percentiles_that_rest_on_unfinished_requests_are_lower_bounds(answered, waiting, expected):
    """A hang affects the ranks that it could take and those above, none below."""
    rows = [request(0, ms) for ms in answered] + [request(ENDED - ms / 1000, None) for ms in waiting]
    assert set(summarise(rows, ENDED)["lower_bounds"]) == expected | ({"mean_ms"} if waiting else set())


# ---- summaries ---------------------------------------------------------------------------------------------


def test_a_summary_of_nothing_states_nothing():
    """No requests: counts are zero, and figures None rather than invented."""
    assert summarise([], ENDED) == {
        "count": 0,
        "failures": 0,
        "unfinished": 0,
        "dropped": 0,
        "p50_ms": None,
        "p95_ms": None,
        "p99_ms": None,
        "max_ms": None,
        "mean_ms": None,
        "p50_ci": None,
        "p95_ci": None,
        "p99_ci": None,
        "over": 0,
        "judged": 0,
        "share_over": None,
        "share_ci": None,
        "lower_bounds": [],
    }


def test_latency_counts_from_the_intended_start():
    """A request that the generator sent two seconds late was two seconds late for its user."""
    row = Row(1, "submit", "POST /feeds", intended_s=1.0, sent_s=3.0, done_s=3.1, status=200, error="")
    assert summarise([row], ENDED)["p50_ms"] == 2100.0
    assert summarise([row], ENDED, naive=True)["p50_ms"] == 100.0


def test_what_was_dropped_is_over_the_rule_and_in_no_percentile():
    """A visitor who was turned away got no answer, and had no measurable wait."""
    dropped = Row(1, "submit", "POST /feeds", 5.0, None, None, 0, "dropped")
    assert (dropped.dropped, dropped.unfinished, dropped.failed) == (True, False, False)
    summary = summarise([request(ms=100), dropped], ENDED)
    assert (summary["count"], summary["dropped"], summary["unfinished"], summary["failures"]) == (2, 1, 0, 0)
    assert (summary["share_over"], summary["max_ms"], summary["lower_bounds"]) == (0.5, 100.0, [])
    assert summarise([request(ms=100), dropped], ENDED, naive=True) == summarise([request(ms=100)], ENDED)


def test_what_waited_for_a_connection_until_the_end_is_unfinished_and_not_in_naive_latency():
    """Due five seconds before the end: right-censored there, and unknown to other tools."""
    never_sent = Row(1, "submit", "POST /feeds", ENDED - 5, None, None, 0, "")
    assert (never_sent.dropped, never_sent.unfinished) == (False, True)
    summary = summarise([request(ms=100), never_sent], ENDED)
    assert (summary["unfinished"], summary["max_ms"], summary["share_over"]) == (1, 5000.0, 0.5)
    assert summarise([never_sent], ENDED, naive=True)["count"] == 0
    with pytest.raises(ValueError, match="never sent"):
        never_sent.waited_ms(ENDED, naive=True)


def test_the_mean_counts_unfinished_requests_as_long_as_they_had_waited_and_says_so():
    """As a lower bound. Without them, the more requests hang, the smaller the mean would be."""
    summary = summarise([request(ms=100), request(ms=1, status=503), request(ENDED - 3, None)], ENDED)
    assert summary["mean_ms"] == (100 + 3000) / 2
    assert "mean_ms" in summary["lower_bounds"]


@pytest.mark.parametrize(("ms", "share"), [(499.999, 0.0), (500.0, 0.0), (500.001, 1.0)])
@pytest.mark.parametrize("start", [0.0, 0.8, 1.1, 1e4 + 0.1])
def test_the_rule_is_exact_to_the_microsecond(start, ms, share):
    """Exactly 500 ms is within the rule at any clock reading, without rounding errors."""
    assert summarise([request(start, ms)], ENDED)["share_over"] == share


def test_failures_count_as_over_and_stay_out_of_the_percentiles():
    """A fast 503 or a refused connection improves nothing."""
    rows = [request(ms=100), request(ms=1, status=503), request(ms=2, status=0, error="refused")]
    summary = summarise(rows, ENDED)
    assert (summary["count"], summary["failures"], summary["unfinished"]) == (3, 2, 0)
    assert summary["p50_ms"] == summary["max_ms"] == 100.0
    assert (summary["over"], summary["judged"]) == (2, 3)
    assert summary["share_over"] == pytest.approx(2 / 3)


def test_a_group_of_failures_alone_has_a_share_but_no_percentiles():
    """Nothing was answered, so there is no latency, and everything is over the rule."""
    summary = summarise([request(status=500)] * 3, ENDED)
    assert (summary["p50_ms"], summary["share_over"], summary["lower_bounds"]) == (None, 1.0, [])


@pytest.mark.parametrize(("waited_ms", "over", "of"), [(499.999, 0, 1), (500.0, 1, 2), (9000.0, 1, 2)])
def test_an_unfinished_request_is_over_once_it_has_waited_for_the_rule(waited_ms, over, of):
    """Until then it is undecided: counted as unfinished, left out of the share."""
    summary = summarise([request(ms=10), request(ENDED - waited_ms / 1000, None)], ENDED)
    assert (summary["count"], summary["unfinished"]) == (2, 1)
    assert (summary["over"], summary["judged"], summary["share_over"]) == (over, of, over / of)
    assert summary["share_ci"] == list(clopper_pearson(over, of))


def test_nothing_decided_yet_is_no_share():
    """One request, sent just before the end: neither 0 % nor 100 %."""
    summary = summarise([request(ENDED - 0.1, None)], ENDED)
    assert (summary["share_over"], summary["share_ci"]) == (None, None)
    assert summary["p50_ms"] == 100.0
    assert "p50_ms" in summary["lower_bounds"]


def test_another_rule_moves_the_share_and_nothing_else():
    """`rule_ms` is a setting, on which percentiles do not depend."""
    rows = [request(ms=ms) for ms in (100, 300, 700)]
    assert summarise(rows, ENDED, rule_ms=200)["share_over"] == pytest.approx(2 / 3)
    assert summarise(rows, ENDED, rule_ms=200)["p95_ms"] == summarise(rows, ENDED)["p95_ms"]


@given(waits, waits, st.integers(0, 5), st.randoms(use_true_random=False))
def test_a_summary_does_not_depend_on_the_order_of_rows_and_its_figures_are_ordered(done, open_, bad, random):
    """p50 <= p95 <= p99 <= max, the share is inside its interval, and the counts add up."""
    rows = [request(ms=ms * 20) for ms in done] + [request(ENDED - ms * 0.02, None) for ms in open_]
    rows += [request(status=500)] * bad
    summary = summarise(rows, ENDED)
    random.shuffle(rows)
    assert summarise(rows, ENDED) == summary
    assert summary["count"] == len(done) + len(open_) + bad
    assert summary["over"] <= summary["judged"] <= summary["count"]
    figures = [summary[key] for key in PERCENTILES]
    assert figures == sorted(figures) if done or open_ else figures == [None] * 4
    if summary["share_ci"]:
        low, high = summary["share_ci"]
        assert 0 <= low <= summary["share_over"] <= high <= 1


# ---- the interval of a percentile --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "percent", "least"), [("p50_ci", 50, 6), ("p95_ci", 95, 72), ("p99_ci", 99, 368)]
)
def test_too_few_requests_give_a_percentile_no_interval(key, percent, least):
    """The minimum number follows from the chance p**n that all lie below."""
    for count in (least - 1, least):
        rows = [request(ms=ms) for ms in range(1, count + 1)]
        interval = summarise(rows, ENDED)[key]
        assert (interval is not None) == (count == least) == ((percent / 100) ** count <= 0.025)
    low, high = percentile_ranks(least, percent)
    assert interval == [low, high]  # the samples are 1, 2, 3 ... ms: each is its own rank


@given(answered=waits, waiting=waits, later=st.lists(st.floats(0, 1e6), min_size=30, max_size=30))
def test_the_interval_holds_the_one_that_waiting_longer_would_have_given(answered, waiting, later):
    """Unfinished requests only widen it; an end that rests on them alone is not stated."""
    interval = Samples(answered, waiting).interval(50)
    truth = answered + [w + more for w, more in zip(waiting, later, strict=False)]
    whole = Samples(truth, []).interval(50)
    assert (interval is None) == (whole is None)
    if interval and whole:
        assert interval[0] <= whole[0]
        assert interval[1] is None or interval[1] >= whole[1]


def test_the_upper_end_is_unknown_where_only_hanging_requests_stand_there():
    """Three of a hundred hang: the median is unaffected, the 95th percentile may be anything above."""
    rows = [request(ms=ms) for ms in range(1, 98)] + [request(ENDED - 5, None)] * 3
    summary = summarise(rows, ENDED)
    assert summary["p50_ci"] == [40.0, 61.0]
    assert summary["p95_ci"] == [90.0, None]


def test_a_hundred_thousand_requests_take_a_moment():
    """A step may have as many; everything is sorted once."""
    rows = [request(ms=1 + i * 7919 % 100_000 / 1000) for i in range(100_000)]
    started = time.process_time()
    assert summarise(rows, ENDED)["p50_ms"] == 50.999
    assert time.process_time() - started < 5  # it takes about a tenth of that
