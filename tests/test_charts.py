"""The pictures: what is drawn, what is not, and labels that keep apart. Looking stays a person's job."""

import itertools
import xml.etree.ElementTree as ET
from typing import Any

import matplotlib as mpl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from synthetic_run import ENDED, SETTINGS, make_run

from loadtests import chartparts
from loadtests.chartparts import COLOURS, spread
from loadtests.charts import ecdf_figure, main_figure, save, timeline_figure
from loadtests.samples import Row, in_window, read_rows

WINDOW = (SETTINGS["warmup_s"], SETTINGS["warmup_s"] + SETTINGS["measure_s"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the rows of the run are."""
    return tmp_path_factory.mktemp("run")


@pytest.fixture(scope="module")
def results(folder):
    """A run whose last queued step is unfit."""
    return make_run(folder, users=(1, 10, 50, 100), unfit={("queued", 100)})


@pytest.fixture(scope="module")
def rows(folder, results):
    """All rows of both apps with 50 users."""
    return {app: read_rows(folder / "rows" / f"{app}-50.csv") for app in ("sync", "queued")}


def texts(figure: Figure) -> list[str]:
    """Every text that can be seen in a figure."""
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def heights(figure: Figure, panel: int, colour: str) -> list[list[float]]:
    """The y values of the lines of one colour in one panel, without the leaders of its labels."""
    axes = figure.axes[panel]
    return [
        list(line.get_ydata()) for line in axes.lines if line.get_color() == colour and line.get_clip_on()
    ]


def overlapping(figure: Figure) -> list[tuple[str, str]]:
    """Pairs of texts that cover each other, as they come out when the figure is drawn."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    boxes = [
        (text.get_text(), text.get_window_extent(canvas.get_renderer()))
        for text in figure.findobj(Text)
        if text.get_text().strip() and text.get_visible()
    ]
    return [(a, b) for (a, one), (b, other) in itertools.combinations(boxes, 2) if one.overlaps(other)]


def cut_off(figure: Figure) -> list[str]:
    """Texts that reach over the edge of the figure."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    found = []
    for text in figure.findobj(Text):
        box = text.get_window_extent(canvas.get_renderer())
        if text.get_text().strip() and (min(box.x0, box.y0) < 0 or box.x1 > canvas.get_width_height()[0]):
            found.append(text.get_text())
    return found


def all_figures(results: dict[str, Any], rows: dict[str, list[Row]]) -> list[Figure]:
    """Each kind of figure once."""
    ended = dict.fromkeys(rows, ENDED)
    measured = {app: in_window(each, *WINDOW) for app, each in rows.items()}
    return [main_figure(results), timeline_figure(rows, ended, WINDOW, 50), ecdf_figure(measured, 50)]


def test_the_title_states_the_finding(results):
    """Computed from the steps that are fit for both apps: 50 users, not 100."""
    title = " ".join(text.get_text() for text in main_figure(results).texts)
    assert title.startswith("With 50 users, 95 % of POST /feeds took up to ")


def test_every_latency_chart_has_the_line_of_the_rule(results, rows):
    """Black, at 500 ms, named."""
    main, timeline, ecdf = all_figures(results, rows)
    for axes in [main.axes[0], *main.axes[2:], *timeline.axes]:
        assert any(set(line.get_ydata()) == {500.0} and line.get_color() == "black" for line in axes.lines)
    assert any(set(line.get_xdata()) == {500.0} for line in ecdf.axes[0].lines)
    for figure in (main, timeline, ecdf):
        assert "500 ms: the rule" in texts(figure)


def test_the_ticks_are_the_numbers_of_users(results):
    """What was measured, not 10 to the power of 2."""
    for axes in main_figure(results).axes:
        labels = [axes.xaxis.get_major_formatter()(x, None) for x in axes.get_xticks()]
        assert sorted(set(labels), key=int) == ["1", "10", "50", "100"]


def test_the_points_are_the_figures_of_the_steps(results):
    """p50, p95 and p99 of POST /feeds, to the last digit."""
    drawn = heights(main_figure(results), panel=0, colour=COLOURS["sync"])
    expected = [
        [step["submit"][key] for step in results["steps"] if step["app"] == "sync"]
        for key in ("p50_ms", "p95_ms", "p99_ms")
    ]
    assert drawn == expected


def test_an_unfit_step_is_a_grey_cross_and_no_point(results):
    """Its figures are in results.json; no line goes there, and no axis makes room for them."""
    figure = main_figure(results)
    for panel in range(4):
        assert all(
            line[-1] != line[-1] for line in heights(figure, panel, COLOURS["queued"]) if len(line) == 4
        )
        (crosses,) = heights(figure, panel, chartparts.GREY)
        assert len(crosses) == 1
    assert texts(figure).count("queued: not fit") == 4


def test_lower_bounds_are_arrows_and_say_so_in_their_label(folder, results):
    """As many arrows as there are bounds among the percentiles that are drawn and fit."""
    figure = main_figure(results)
    keys = ("p50_ms", "p95_ms", "p99_ms")
    expected = sum(
        key in step["submit"]["lower_bounds"] for step in results["steps"] if step["fit"] for key in keys
    )
    assert expected > 0
    assert len(figure.axes[0].texts) - len(figure.axes[0].findobj(mpl.text.Annotation)) == 8  # labels
    assert len(figure.axes[0].findobj(mpl.text.Annotation)) == expected
    assert any("p99: ≥ " in text for text in texts(figure))


@pytest.mark.parametrize(
    ("users", "apps", "unfit"),
    [
        ((1, 5, 10, 20, 50, 100), ("sync", "queued"), set()),
        ((1, 5, 10, 20, 50, 100), ("sync", "queued"), {("sync", 100), ("queued", 100), ("queued", 50)}),
        ((20,), ("queued",), set()),
        ((10, 11, 12, 13, 14, 60), ("sync",), set()),
        ((1, 2), ("sync", "queued"), {(app, n) for app in ("sync", "queued") for n in (1, 2)}),
    ],
)
def test_no_two_texts_overlap_and_none_is_cut_off(tmp_path, users, apps, unfit):
    """Whatever was measured: many users or one, close together or far apart, fit or not."""
    figure = main_figure(make_run(tmp_path, users, apps, unfit))
    assert overlapping(figure) == []
    assert cut_off(figure) == []


def test_no_two_texts_overlap_in_the_other_figures(results, rows):
    """The same of the figures of single requests."""
    for figure in all_figures(results, rows)[1:]:
        assert overlapping(figure) == []
        assert cut_off(figure) == []


def test_all_text_can_be_read_when_projected(results, rows):
    """No letter smaller than 11 points on a page 14 inches wide."""
    for figure in all_figures(results, rows):
        assert min(text.get_size() for text in figure.findobj(Text) if text.get_text()) >= 11


def test_the_timeline_shows_every_submit_once(rows):
    """Dots, crosses and triangles together, of both apps, warm-up and all."""
    figure = timeline_figure(rows, dict.fromkeys(rows, ENDED), WINDOW, 50)
    for axes, each in zip(figure.axes, rows.values(), strict=True):
        marks = [len(marks.get_offsets()) for marks in axes.collections]
        submits = [row for row in each if row.group == "submit"]
        unfinished = sum(row.unfinished for row in submits)
        failed = sum(row.failed for row in submits)
        assert marks == [len(submits) - unfinished - failed, failed, unfinished]


def test_the_curve_of_those_who_still_wait_agrees_with_the_rows():
    """Four answers, one never: 100, 80, 60, 40, 20 %, and there it stays; a failure is not among them."""

    def submit(done: float | None, status: int = 201) -> Row:
        return Row(1, "submit", "POST /feeds", 0.0, 0.0, done, status, "")

    rows = [submit(done) for done in (0.1, 0.2, 0.4, 1.0, None)] + [submit(0.05, 503)]
    axes = ecdf_figure({"sync": rows}, users=1).axes[0]
    curve = next(line for line in axes.lines if line.get_color() == COLOURS["sync"])
    assert list(curve.get_xdata())[1:-1] == [100.0, 200.0, 400.0, 1000.0]
    assert list(curve.get_ydata()) == pytest.approx([1.0, 0.8, 0.6, 0.4, 0.2, 0.2])
    assert "synchronous: 40.0 % after 500 ms" in texts(axes.figure)


def test_a_group_without_a_single_answer_can_be_drawn():
    """No rows at all is a picture too, with nobody answered."""
    assert "queued: 100 % after 500 ms" in texts(ecdf_figure({"queued": []}, users=1))


def test_drawing_leaves_matplotlib_as_it_was(results):
    """No setting of a notebook is changed, and none of its settings changes the picture."""
    with mpl.rc_context({"font.size": 31.0, "axes.grid": False}):
        before = dict(mpl.rcParams)
        figure = main_figure(results)
        assert dict(mpl.rcParams) == before
    assert max(text.get_size() for text in figure.findobj(Text) if text.get_text()) < 20


def test_saved_figures_are_the_same_byte_for_byte(tmp_path, results):
    """PNG and SVG without dates and random ids: what is committed changes only when the run does."""
    one = save(main_figure(results), tmp_path / "one", "main")
    two = save(main_figure(results), tmp_path / "two", "main")
    for left, right in zip(one, two, strict=True):
        assert left.name == right.name
        assert left.read_bytes() == right.read_bytes()
    assert one[0].read_bytes().startswith(b"\x89PNG")
    assert ET.parse(one[1]).getroot().tag.endswith("svg")


@given(st.lists(st.floats(0, 1), max_size=12), st.floats(0.01, 0.08))
def test_labels_keep_apart_stay_inside_and_keep_their_order(wanted, gap):
    """Every pair at least a line apart, nothing outside, no two swapped."""
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
    """Nothing is moved without need."""
    assert spread(wanted, 1e-6) == pytest.approx(wanted, abs=1e-5)


def test_labels_that_want_the_same_place_share_the_way():
    """Around it, not to one side of it."""
    assert spread([0.5, 0.5, 0.5], 0.1) == pytest.approx([0.4, 0.5, 0.6])
