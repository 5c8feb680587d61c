"""The pictures: what is drawn, what is not, and labels that keep apart. People judge how they look."""

import itertools
import xml.etree.ElementTree as ET

import matplotlib as mpl
import pytest
from chart_reading import arrows, cut_off, faint, heights, overlapping, texts
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.text import Text
from synthetic_run import make_run, make_whole

from loadtests.report import chartparts
from loadtests.report.chartparts import COLOURS, spread
from loadtests.report.charts import main_figure, save
from loadtests.report.figures import pictures
from loadtests.report.selection import curves, usual

pytestmark = pytest.mark.slow  # every figure of a complete run is drawn, in each process that tests it

KEYS = ("p50_ms", "p95_ms", "p99_ms")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder with the run's rows."""
    return tmp_path_factory.mktemp("run")


@pytest.fixture(scope="module")
def results(folder):
    """A run whose last queued point is unfit."""
    return make_run(folder, users=(1, 10, 50, 100), unfit={("queued", 100)})


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A complete run, with every kind of result."""
    return make_whole(tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def drawn(whole, tmp_path_factory):
    """Every figure of that run by name, those of single requests included."""
    folder = tmp_path_factory.mktemp("again")
    again = make_run(folder, users=(4, 12), rates=(4.0,), burst=200)
    return {**pictures(again, folder), **pictures(whole, folder)}


# ---- the main figure


def test_the_title_states_the_finding(results):
    """Computed from the points that are fit for both apps: 50 users, not 100."""
    title = " ".join(text.get_text() for text in main_figure(results).texts)
    assert title.startswith("With 50 users, 95 % of POST /feeds took up to ")


def test_the_ticks_are_the_numbers_of_users(results):
    """The measured ones, not powers of ten."""
    for axes in main_figure(results).axes:
        labels = [axes.xaxis.get_major_formatter()(x, None) for x in axes.get_xticks()]
        assert sorted(set(labels), key=int) == ["1", "10", "50", "100"]


def test_the_points_are_the_figures_of_the_points(results):
    """p50, p95 and p99 of POST /feeds, to the last digit."""
    drawn = heights(main_figure(results), panel=0, colour=COLOURS["sync"])
    mine = [point for point in results["points"] if point["app"] == "sync"]
    assert drawn == [[point["submit"][key]["value"] for point in mine] for key in KEYS]


def test_an_unfit_point_is_a_grey_cross_and_no_point(results):
    """Its figures stay in results.json; no line leads there, and no axis makes room for them."""
    figure = main_figure(results)
    for panel in range(4):
        lines = [line for line in heights(figure, panel, COLOURS["queued"]) if len(line) == 4]
        assert lines
        assert all(line[-1] != line[-1] for line in lines)
        (crosses,) = heights(figure, panel, chartparts.GREY)
        assert len(crosses) == 1
    assert texts(figure).count("queued: not fit") == 4


def test_a_slowed_point_is_hollow_and_the_heading_says_what_that_means(tmp_path):
    """In every panel, for each of its figures; its label has the mark."""
    results = make_run(tmp_path, users=(1, 10, 50), slowed={("queued", 50)})
    figure = main_figure(results)
    hollow = [
        [line.get_ydata()[0] for line in axes.lines if line.get_gid() == "upper bound"]
        for axes in figure.axes
    ]
    point = next(p for p in results["points"] if p["app"] == "queued" and p["users"] == 50)
    assert hollow[0] == [point["submit"][key]["value"] for key in KEYS]
    assert [len(each) for each in hollow] == [3, 1, 2, 2]
    assert any("hollow: upper bounds" in text for text in texts(figure))
    assert [text for text in texts(figure) if text.startswith("queued p95: ≤ ")]
    assert "not fit" not in " ".join(texts(figure))
    assert overlapping(figure) == [] and cut_off(figure) == []
    assert not any("hollow" in text for text in texts(main_figure(make_run(tmp_path / "b", users=(1, 10)))))


def test_lower_bounds_are_arrows(results):
    """One for each bound among the drawn percentiles that are fit."""
    expected = sum(
        point["submit"][key]["lower_bound"] for point in results["points"] if point["fit"] for key in KEYS
    )
    assert expected > 0
    assert arrows(main_figure(results), panel=0) == expected


def test_a_label_says_that_it_is_a_lower_bound(results):
    """It may be read without its arrow."""
    last = [point for point in results["points"] if point["app"] == "sync"][-1]["submit"]
    bounds = [key.removesuffix("_ms") for key in KEYS if last[key]["lower_bound"]]
    assert bounds
    labels = [text for text in texts(main_figure(results)) if text.startswith("sync p")]
    assert {text.split(":")[0].removeprefix("sync ") for text in labels[:3] if "≥" in text} == set(bounds)


def test_every_repeat_is_a_dot_and_every_interval_a_bar(whole):
    """All fit repeats of the default setting; a bar where the point has an interval."""
    axes = main_figure(whole).axes[0]
    shown = [point for point in usual(whole, "closed") if point["fit"]]
    dots = sum(len(line.get_ydata()) for line in axes.lines if line.get_gid() == "repeats")
    assert dots == len(shown) * 3 * len(KEYS)
    bars = [bar for bar in axes.collections if bar.get_gid() == "interval"]
    assert len(bars) == sum(point["submit"][key]["low"] is not None for point in shown for key in KEYS)


def test_the_knee_is_marked_where_the_curve_has_it(results):
    """In users, for the app whose knee is within the chart."""
    (curve,) = [curve for curve in curves(results, "closed") if curve["app"] == "sync"]
    figure = main_figure(results)
    (mark,) = [line for line in figure.axes[0].lines if line.get_gid() == "load"]
    assert set(mark.get_xdata()) == {curve["knee_users"]}
    assert f"knee N* of the synchronous app: {curve['knee_users']:.0f} users" in texts(figure)


def test_open_load_alone_is_drawn_against_visits_a_second(tmp_path):
    """If closed load was not requested."""
    figure = main_figure(make_run(tmp_path, users=(), rates=(2.0, 8.0)))
    assert figure.axes[0].get_xlabel() == "visits a second (logarithmic)"
    assert heights(figure, 0, COLOURS["sync"])


def test_a_server_that_ran_already_is_called_the_readers_own(tmp_path):
    """There is one app then, and no theory."""
    figure = main_figure(make_run(tmp_path, users=(2, 20), apps=("host",)))
    assert any(text.startswith("your app p95: ") for text in texts(figure))


# ---- what all figures share


def test_every_latency_chart_has_the_line_of_the_rule(drawn):
    """Black, at 500 ms, named."""
    with_rule = {
        "main": (0, 2, 3),
        "open": (0, 1, 2, 3),
        "queue": (3,),
        "slots": (3,),
        "threads": (2,),
        "timeline": (0, 1),
        "floor": (0,),
        **{name: (0,) for name in drawn if name.startswith("theory-")},
    }
    for name, panels in with_rule.items():
        for axes in (drawn[name].axes[panel] for panel in panels):
            lines = [line for line in axes.lines if set(line.get_ydata()) == {500.0}]
            assert any(line.get_color() == "black" for line in lines), (name, axes.get_title(loc="left"))
        assert "500 ms: the rule" in texts(drawn[name]), name
    assert any(set(line.get_xdata()) == {500.0} for line in drawn["ecdf"].axes[0].lines)
    latencies = {
        name for name, figure in drawn.items() if any("500 ms: the rule" in t for t in texts(figure))
    }
    assert latencies == {*with_rule, "ecdf", "percentiles", "spectrum"}


@pytest.mark.parametrize(
    ("users", "apps", "unfit"),
    [
        ((1, 10, 50, 100), ("sync", "queued"), {("queued", 100)}),
        ((1, 20, 100), ("sync", "queued"), ()),
        ((1, 2, 3, 5, 10, 20, 50, 100), ("sync", "queued"), {("queued", 100), ("sync", 50), ("sync", 100)}),
        ((7,), ("queued",), ()),
        ((5, 50), ("sync",), {("sync", 5), ("sync", 50)}),
        ((300, 301), ("sync", "queued"), {("sync", 300), ("queued", 301)}),
    ],
)
def test_no_two_texts_overlap_in_the_main_figure(tmp_path, users, apps, unfit):
    """With many points or one, both apps or one, some fit or none."""
    figure = main_figure(make_run(tmp_path, users, apps, unfit))
    assert overlapping(figure) == []
    assert cut_off(figure) == []


def test_no_two_texts_overlap_in_any_figure(drawn):
    """And none is cut off, in all figures of a complete run."""
    assert len(drawn) == 17
    assert {name: overlapping(figure) for name, figure in drawn.items() if overlapping(figure)} == {}
    assert {name: cut_off(figure) for name, figure in drawn.items() if cut_off(figure)} == {}


def test_all_text_can_be_read_when_projected(drawn):
    """No letter is smaller than 11 points on a page 14 inches wide."""
    for figure in drawn.values():
        least = min(text.get_size() for text in figure.findobj(Text) if text.get_text())
        assert least / figure.get_figwidth() >= 11 / 14


def test_all_text_has_contrast(drawn):
    """In each figure: 4.5 against what is behind it, as WCAG 2 asks."""
    assert {name: faint(figure) for name, figure in drawn.items() if faint(figure)} == {}


def test_drawing_leaves_matplotlib_as_it_was(results):
    """Drawing changes none of a notebook's settings, and they don't affect the picture."""
    with mpl.rc_context({"font.size": 31.0, "axes.grid": False}):
        before = dict(mpl.rcParams)
        figure = main_figure(results)
        assert dict(mpl.rcParams) == before
    assert max(text.get_size() for text in figure.findobj(Text) if text.get_text()) < 20


def test_saved_figures_are_the_same_byte_for_byte(tmp_path, results):
    """PNG and SVG without dates or random ids: committed files change only when the run does."""
    one = save(main_figure(results), tmp_path / "one", "main")
    two = save(main_figure(results), tmp_path / "two", "main")
    for left, right in zip(one, two, strict=True):
        assert left.name == right.name
        assert left.read_bytes() == right.read_bytes()
    assert one[0].read_bytes().startswith(b"\x89PNG")
    assert ET.parse(one[1]).getroot().tag.endswith("svg")


# ---- labels


@given(st.lists(st.floats(0, 1), max_size=12), st.floats(0.01, 0.08))
def test_labels_keep_apart_stay_inside_and_keep_their_order(wanted, gap):
    """Each pair at least a line apart, nothing outside, no two swapped."""
    places = spread(wanted, gap)
    ranked = sorted(places)
    assert all(b - a >= gap - 1e-9 for a, b in itertools.pairwise(ranked))
    assert all(-1e-9 <= place <= 1 + 1e-9 for place in places)
    assert all(
        place_a <= place_b
        for (want_a, place_a), (want_b, place_b) in itertools.permutations(
            zip(wanted, places, strict=True), 2
        )
        if want_a < want_b
    )


@given(st.lists(st.floats(0.1, 0.9), max_size=6, unique_by=lambda x: round(x, 1)))
def test_labels_that_are_apart_are_left_where_they_are(wanted):
    """Nothing is moved unnecessarily."""
    assert spread(wanted, 1e-6) == pytest.approx(wanted, abs=1e-5)


def test_labels_that_want_the_same_place_share_the_way():
    """They spread around it, not to one side."""
    assert spread([0.5, 0.5, 0.5], 0.1) == pytest.approx([0.4, 0.5, 0.6])
