"""Each kind of figure beside the main one: it shows what was measured, predicted or sent."""

import itertools
from typing import Any

import pytest
from chart_reading import arrows, cut_off, heights, overlapping, texts
from synthetic_run import ENDED, WINDOW, make_run, make_whole

from loadtests.judging.samples import summarise
from loadtests.records.rows import DROPPED, Row, read_rows
from loadtests.report import chartparts
from loadtests.report.chart_machine import cpu_figure, cpu_of, cpu_points, floor_figure
from loadtests.report.chart_open import open_figure
from loadtests.report.chart_queue import burst_figure, queue_figure, rates
from loadtests.report.chart_rows import Series, app_series, ecdf_figure, timeline_figure
from loadtests.report.chart_sweep import common_users, sweep_figure, sweep_points, swept
from loadtests.report.chart_theory import predicted, theory_figure, throughput_figure
from loadtests.report.chartparts import COLOURS
from loadtests.report.selection import burst_step, curves, naive_figure, queue_step, usual
from loadtests.wording import percent

pytestmark = pytest.mark.slow

KEYS = ("p50_ms", "p95_ms", "p99_ms")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A complete run, with every kind of result."""
    return make_whole(tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder with the rows of a smaller run."""
    folder = tmp_path_factory.mktemp("run")
    make_run(folder, users=(50,), theory=False)
    return folder


@pytest.fixture(scope="module")
def rows(folder):
    """All rows of both apps at 50 users."""
    files = {"sync": "sync-50-s8-w1x32-1", "queued": "queued-50-s8-w1x32-1"}
    return {app: read_rows(folder / "rows" / f"{name}.csv") for app, name in files.items()}


@pytest.fixture(scope="module")
def series(rows):
    """The POST /feeds of those rows, as they are drawn."""
    return app_series(rows, {app: {"ended_s": ENDED, "window_s": WINDOW} for app in rows})


# ---- theory, open load


def test_prediction_measurement_and_simulation_are_on_one_plot(whole):
    """The line ends with the chart; the marks are the measured figures."""
    (curve,) = [c for c in curves(whole, "closed") if c["app"] == "sync"]
    axes = theory_figure(curve).axes[0]
    lines = [line for line in axes.lines if line.get_gid() == "predicted"]
    assert list(lines[0].get_ydata()) == [value for _, value in predicted(curve, "p95_ms")]
    measured = [each["measured"]["p95_ms"]["value"] for each in curve["at"]]
    assert measured in heights(theory_figure(curve), 0, COLOURS["sync"])
    diamonds = [line for line in axes.lines if line.get_gid() == "simulated"]
    assert len(diamonds) == 2  # p95 and mean
    assert list(diamonds[0].get_ydata()) == [
        each["simulated"]["p95_ms"] for each in curve["at"] if each["simulated"]
    ]


def test_residuals_are_measured_minus_predicted(whole):
    """In percent of the prediction; for a share, in percentage points."""
    (curve,) = [c for c in curves(whole, "closed") if c["app"] == "sync"]
    figure = theory_figure(curve)
    at = [(each["predicted"], each["measured"]) for each in curve["at"]]
    (latency,) = heights(figure, 2, COLOURS["sync"])
    assert latency == pytest.approx([100 * (m["p95_ms"]["value"] / p["p95_ms"] - 1) for p, m in at])
    (share,) = heights(figure, 3, COLOURS["sync"])
    expected = [100 * (m["share_over"]["value"] - p["share_over"]) for p, m in at]
    assert share == pytest.approx(expected)


def test_where_there_is_no_steady_state_nothing_is_predicted(whole):
    """Beyond saturation the curve stops and no residual is drawn."""
    (curve,) = [c for c in curves(whole, "open") if c["app"] == "sync"]
    assert curve["at"][-1]["predicted"]["p95_ms"] is None
    assert max(load for load, _ in predicted(curve, "p95_ms")) < curve["saturation_per_s"]
    assert [len(line) for line in heights(theory_figure(curve), 2, COLOURS["sync"])] == [2]


def test_throughput_has_both_asymptotic_bounds(whole):
    """A line through 0 for what the users ask for, and c/D from the knee on."""
    figure = throughput_figure(curves(whole, "closed"))
    (sync,) = [c for c in curves(whole, "closed") if c["app"] == "sync"]
    slope, level = [line for line in figure.axes[0].lines if line.get_gid() == "bound"]
    assert (slope.get_xdata()[0], slope.get_ydata()[0]) == (0, 0)
    assert slope.get_ydata()[1] / slope.get_xdata()[1] == pytest.approx(sync["per_user_per_s"])
    assert level.get_ydata() == pytest.approx([max(sync["most_per_s"])] * len(level.get_ydata()))
    assert level.get_xdata()[0] == sync["knee_users"]
    assert level.get_ydata()[0] == pytest.approx(sync["knee_users"] * sync["per_user_per_s"])


def test_throughput_of_a_run_that_does_not_say_what_users_ask_for_has_both_bounds_too(whole):
    """Older runs did not record it."""
    (sync,) = [c for c in curves(whole, "closed") if c["app"] == "sync"]
    older = {key: value for key, value in sync.items() if key != "per_user_per_s"}
    slope, _ = [line for line in throughput_figure([older]).axes[0].lines if line.get_gid() == "bound"]
    asked = slope.get_ydata()[1] / slope.get_xdata()[1]
    assert asked == pytest.approx(sync["per_user_per_s"], rel=0.01)


def test_throughput_promises_intervals_only_where_some_are_drawn(whole):
    """Steps that were measured once have none."""
    (sync,) = [c for c in curves(whole, "closed") if c["app"] == "sync"]
    once = [
        each
        | {"measured": {key: value | {"low": None, "high": None} for key, value in each["measured"].items()}}
        for each in sync["at"]
    ]
    assert not [text for text in texts(throughput_figure([sync | {"at": once}])) if "interval" in text]


def test_open_load_shows_corrected_and_naive_side_by_side(whole):
    """On axes of the same height, for comparison; the naive latency is never longer."""
    figure = open_figure(whole)
    corrected, naive = (heights(figure, panel, COLOURS["queued"]) for panel in (0, 1))
    assert figure.axes[0].get_ylim() == figure.axes[1].get_ylim()
    mine = [point for point in usual(whole, "open") if point["app"] == "queued"]
    assert corrected == [[point["submit"][key]["value"] for point in mine] for key in KEYS]
    assert naive == [[naive_figure(whole, point, "submit", key)["value"] for point in mine] for key in KEYS]
    for one, other in zip(corrected, naive, strict=True):
        assert all(a >= b for a, b in zip(one, other, strict=True))


def test_a_rate_that_is_not_fit_is_a_cross_on_every_panel(whole):
    """Here the synchronous app at 19 visits a second."""
    figure = open_figure(whole)
    for panel in (0, 1, 2):
        crosses = [
            line
            for line in figure.axes[panel].lines
            if line.get_marker() == "x" and line.get_color() == chartparts.GREY
        ]
        assert [list(line.get_xdata()) for line in crosses] == [[19.0]]


# ---- queue, sweep, machine


def test_the_queue_over_time_is_the_timeline_of_the_step(whole):
    """Backlog and busy threads at each sample."""
    step = queue_step(whole)
    figure = queue_figure(whole, step)
    assert heights(figure, 0, COLOURS["queued"]) == [[look["backlog"] for look in step["timeline"]]]
    busy = [look["running"] / 32 for look in step["timeline"]]
    assert heights(figure, 2, COLOURS["queued"]) == [busy]


def test_rates_are_counted_over_two_seconds_or_more():
    """Samples come twice a second, so that single jobs would show as jumps."""
    seen = [{"t_s": half / 2, "fetched": 3 * half} for half in range(20)]
    pairs = rates(seen, "fetched")
    assert [rate for _, rate in pairs] == pytest.approx([6.0] * len(pairs))
    assert [at for at, _ in pairs] == [1.0, 3.0, 5.0, 7.0]


def test_a_burst_and_its_drain_are_shown(whole):
    """The samples, and the fluid limit beside them."""
    step = burst_step(whole)
    figure = burst_figure(whole, step)
    left = [look["backlog"] + look["running"] for look in step["timeline"]]
    assert heights(figure, 0, COLOURS["queued"]) == [left]
    (fluid,) = heights(figure, 0, chartparts.GREY)
    assert fluid[0] > 200 and fluid[1] >= step["workers"] * step["threads"]  # which all still have a job
    assert any(
        "200 feeds added at once; 3.6 s later no more of them waited" in text for text in texts(figure)
    )


def test_a_sweep_changes_one_thing_at_a_time(whole):
    """Slots at the default threads, threads at the default slots; the load is one at which all are fit."""
    assert swept(whole) == ["slots", "threads"]
    assert {point["threads"] for point in sweep_points(whole, "slots")} == {32}
    assert {point["slots"] for point in sweep_points(whole, "threads")} == {8}
    assert common_users(sweep_points(whole, "slots"), "slots") == [4, 30]
    figure = sweep_figure(whole, "slots")
    mine = [p for p in sweep_points(whole, "slots") if p["app"] == "sync" and p["users"] == 30]
    shares = [point["submit"]["share_over"]["value"] for point in mine]
    assert heights(figure, 2, COLOURS["sync"]) == [shares]


def test_users_held_are_a_lower_bound_where_the_most_tried_was_held(whole):
    """At 30 users, the most that are fit, the queued app keeps the rule with any number of slots."""
    assert arrows(sweep_figure(whole, "slots"), panel=0) == 2
    assert "queued: ≥ 30" in texts(sweep_figure(whole, "slots"))


def test_cpu_bars_add_up_to_the_processes(whole):
    """Workers are summed, in the order of the legend; each app's largest fit load comes first."""
    shown = cpu_points(whole)
    assert {point["app"] for point in shown} == {"sync", "queued"}
    queued = next(point for point in shown if point["app"] == "queued")
    step = whole["steps"][queued["steps"][0]]
    used = cpu_of(whole, queued)
    assert list(used) == ["web server", "worker", "feed server", "load generator"]
    widths = [patch.get_width() for patch in cpu_figure(whole).axes[0].patches]
    assert sum(widths) == pytest.approx(sum(sum(cpu_of(whole, point).values()) for point in shown))
    assert set(step["processes"]) == {"load generator", "feed server", "web server", "worker 1"}


def test_a_rate_at_which_the_generator_is_not_fit_has_no_point(whole):
    """1,000 requests a second are shown as a cross."""
    figure = floor_figure(whole["floor"])
    for axes in figure.axes:
        lines = [line for line in axes.lines if line.get_marker() == "o"]
        assert lines
        assert all(max(line.get_xdata()) == 750 for line in lines)
        assert [list(line.get_xdata()) for line in axes.lines if line.get_marker() == "x"] == [[1000.0]]


# ---- single requests


def test_the_timeline_shows_every_submit_once(rows, series):
    """As dots, crosses and triangles, for both apps, warm-up included."""
    figure = timeline_figure(series, "all")
    for axes, each in zip(figure.axes, rows.values(), strict=True):
        marks = [len(marks.get_offsets()) for marks in axes.collections]
        submits = [row for row in each if row.group == "submit"]
        unfinished = sum(row.unfinished for row in submits)
        failed = sum(row.failed for row in submits)
        assert marks == [len(submits) - unfinished - failed, failed, unfinished]


def test_a_timeline_ends_with_the_last_request_and_explains_only_the_marks_it_has():
    """The drain at the end would be an empty half."""
    answered = Row(1, "submit", "POST /feeds", 7.5, 7.5, 7.6, 201, "")
    figure = timeline_figure([Series("queued", COLOURS["queued"], [answered], 16.0, (1.0, 6.0))], "one")
    assert figure.axes[0].get_xlim() == (0, 7.5)
    assert "dot: answered" in texts(figure)
    waiting = Row(1, "submit", "POST /feeds", 2.0, 2.0, None, 0, "")
    figure = timeline_figure([Series("queued", COLOURS["queued"], [waiting], 16.0, (1.0, 6.0))], "one")
    assert figure.axes[0].get_xlim() == (0, 6)
    assert "triangle: unanswered at the end, so at least that long" in texts(figure)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 6])
def test_any_number_of_groups_makes_a_timeline_and_a_tail(series, count):
    """As from other people's locustfiles, with longer names than ours."""
    many = [
        Series(f"POST /a/rather/long/address/{n}", color, series[0].rows, ENDED, WINDOW)
        for n, color in enumerate(itertools.islice(itertools.cycle(("#0072B2", "#D55E00")), count))
    ]
    for figure in (timeline_figure(many, "Every request"), ecdf_figure(many, "The tail")):
        assert overlapping(figure) == []
        assert cut_off(figure) == []
    assert len(timeline_figure(many, "Every request").axes) == count


def test_the_curve_of_those_who_still_wait_agrees_with_the_rows():
    """Three answers, one hang, one fast failure: 100, 80, 60, 40 %, where it stays."""

    def submit(done: float | None, status: int = 201) -> Row:
        return Row(1, "submit", "POST /feeds", 0.0, 0.0, done, status, "")

    rows = [submit(done) for done in (0.1, 0.2, 1.0, None)] + [submit(0.05, 503)]
    axes = ecdf_figure([Series("synchronous", COLOURS["sync"], rows, 5.0)], "tail").axes[0]
    curve = next(line for line in axes.lines if line.get_color() == COLOURS["sync"])
    assert list(curve.get_xdata())[1:-1] == [100.0, 200.0, 1000.0]
    assert list(curve.get_ydata()) == pytest.approx([1.0, 0.8, 0.6, 0.4, 0.4])
    assert "synchronous: 60.0 % after 500 ms" in texts(axes.figure)


@pytest.mark.parametrize("late", [5.0, 5.2, 5.6])
def test_the_tail_says_what_the_verdict_says(late: float) -> None:
    """A rule broken by failures alone is broken in the tail, too. Requests cut off by the end before they
    could be over the rule are in neither.
    """

    def browse(at: float, done: float | None, status: int = 200, error: str = "") -> Row:
        return Row(1, "browse", "GET /", at, None if error == DROPPED else at, done, status, error)

    rows = [browse(n / 10, n / 10 + 0.02) for n in range(40)]
    rows += [
        browse(1.0, 1.01, 503),
        browse(2.0, 2.01, 0, "Connection refused"),
        browse(3.0, None, 0, DROPPED),
    ]
    rows += [browse(late, None), browse(0.5, 0.5 + 0.9)]
    share = summarise(rows, 6.0)["share_over"]
    assert share is not None
    figure = ecdf_figure([Series("browsing", COLOURS["sync"], rows, 6.0)], "tail")
    assert f"browsing: {percent(share)} after 500 ms" in texts(figure)


def test_a_group_without_a_single_answer_can_be_drawn():
    """No rows at all make a picture, too, with nobody answered."""
    nothing: list[Any] = []
    figure = ecdf_figure([Series("queued", COLOURS["queued"], nothing, 1.0)], "tail")
    assert "queued: 100 % after 500 ms" in texts(figure)
