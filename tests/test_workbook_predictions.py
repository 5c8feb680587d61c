"""Predictions are noted, scored in their unit, and summed up on the last page."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import notebooks_path  # noqa: F401
import pytest
import workbook.predictions
from workbook import WorkbookError, in_words, predict, score, summary
from workbook.scoring import Prediction

pytest_plugins = ["workbook_fixtures"]
pytestmark = pytest.mark.usefixtures("chapter")

Captured = pytest.CaptureFixture[str]
Chapter = Callable[..., None]


def test_a_prediction_is_kept_and_scored(capsys: Captured) -> None:
    """The score names both figures, in their unit, and the factor between them."""
    score("submit", seconds=2.0)
    predict("submit", seconds=4)
    predict("browse", seconds=0.02)
    predict("over the rule", percent=30)
    score("submit", seconds=11.0)
    score("submit", seconds=11.0, at_least=True)
    score("browse", seconds=0.018)
    score("browse", seconds=None)
    score("over the rule", percent=28)
    assert capsys.readouterr().out.splitlines() == [
        "submit: it was 2.0 s. (You noted no prediction of that name.)",
        "Noted: submit, 4.0 s.",
        "Noted: browse, 20 ms.",
        "Noted: over the rule, 30 %.",
        "submit: you said 4.0 s, it was 11.0 s: off by a factor of 2.8.",
        "submit: you said 4.0 s, it was at least 11.0 s: off by a factor of at least 2.8.",
        "browse: you said 20 ms, it was 18 ms: well said.",
        "browse: you said 20 ms; nothing was measured.",
        "over the rule: you said 30 %, it was 28 %: well said.",
    ]


@pytest.mark.parametrize(
    "said",
    [
        {"seconds": 0},
        {"per_second": 0},
        {"seconds": -1},
        {"jobs": float("nan")},
        {"jobs": "many"},
        {"jobs": 10**400},
        {"percent": 150},
    ],
)
def test_a_prediction_that_is_none_is_refused(said: dict[str, Any]) -> None:
    """The message says what to write."""
    with pytest.raises(WorkbookError, match="write a number"):
        predict("submit", **said)


@pytest.mark.parametrize(
    ("unit", "meant"),
    [("second", "seconds"), ("secnds", "seconds"), ("milliseconds", "seconds"), ("percents", "percent")],
)
def test_a_unit_that_is_misspelt_is_refused(unit: str, meant: str) -> None:
    """It would count something of that name. Words of the chapters, such as users, are no misspelt units."""
    with pytest.raises(WorkbookError, match=f"There is no unit '{unit}'. Did you mean {meant}\\?"):
        predict("submit", **{unit: 5})
    for word in ("users", "visitors", "jobs", "runs", "feeds", "requests", "slots", "times"):
        predict("submit", **{word: 5})


def test_a_blank_stops_the_notebook_and_is_no_prediction(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    """The message says what to do. Only the build, which reads no minds, passes over it."""
    with pytest.raises(WorkbookError, match=r"in place of the dots in predict\(\"submit\", seconds=\.\.\.\)"):
        predict("submit", seconds=...)
    monkeypatch.setenv("WORKBOOK_BLANKS", "pass")
    predict("submit", seconds=...)
    score("submit", seconds=2)
    assert capsys.readouterr().out.splitlines() == [
        "submit: not predicted yet.",
        "submit: it was 2.0 s. (You noted no prediction of that name.)",
    ]
    assert workbook.predictions.read() == []


def test_predictions_are_kept_beside_the_notebook(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chapter: Chapter
) -> None:
    """So those of a solution, which is in a folder of its own, are not taken for the reader's."""
    monkeypatch.delenv("WORKBOOK_PREDICTIONS")
    for folder in (tmp_path, tmp_path / "solutions"):
        folder.mkdir(exist_ok=True)
        monkeypatch.chdir(folder)
        chapter(3)
        monkeypatch.chdir("/")
        predict(f"in {folder.name}", seconds=1)
        assert [each.name for each in workbook.predictions.read()] == [f"in {folder.name}"]
        assert (folder / "predictions.json").exists()


@pytest.mark.parametrize("said", [{}, {"seconds": 1, "percent": 2}])
def test_a_prediction_is_one_figure(said: dict[str, float]) -> None:
    """With one unit."""
    with pytest.raises(WorkbookError, match="one figure with its unit"):
        predict("submit", **said)


@pytest.mark.parametrize("call", [predict, score])
def test_a_figure_without_a_unit_is_refused(call: Callable[..., None]) -> None:
    """A likely first attempt: predict("submit", 4)."""
    with pytest.raises(WorkbookError, match=r'with its unit, for instance \w+\("submit", seconds='):
        call("submit", 4)


def test_times_are_scored_in_the_unit_of_the_measurement(capsys: Captured) -> None:
    """A prediction in milliseconds or hours is not wrong for that."""
    predict("submit", ms=20)
    score("submit", seconds=0.018)
    predict("25 attempts", hours=24)
    score("25 attempts", days=20.4)
    said = capsys.readouterr().out
    assert "submit: you said 20 ms, it was 18 ms: well said." in said
    assert "25 attempts: you said 1 day, it was 20.4 days: off by a factor of 20." in said


def test_another_unit_is_not_scored() -> None:
    """The message says what to write instead, and the prediction is unchanged."""
    predict("submit", percent=5)
    with pytest.raises(WorkbookError, match=r'predict\("submit", seconds=\.\.\.\), run its cell again'):
        score("submit", seconds=1.8)
    assert workbook.predictions.read() == [Prediction(3, "submit", "percent", 5)]


def test_a_misspelt_name_is_answered_with_those_that_were_noted(capsys: Captured) -> None:
    """So that the typo is easy to see."""
    predict("submmit", seconds=4)
    score("submit", seconds=11)
    assert 'no prediction of that name. Noted in this chapter: "submmit".' in capsys.readouterr().out


def test_a_new_prediction_replaces_the_old_one_and_its_score(capsys: Captured) -> None:
    """It keeps its place on the last page; the same name in another chapter is another prediction."""
    predict("first", seconds=1)
    predict("second", users=24)
    score("first", seconds=5)
    predict("first", seconds=2)
    capsys.readouterr()
    assert summary() is None
    assert capsys.readouterr().out.splitlines() == [
        "                  you said                it was  off by",
        " 3  first            2.0 s                     -  not measured",
        " 3  second        24 users                     -  not measured",
    ]


def test_the_last_page_sums_up_all_chapters(chapter: Chapter, capsys: Captured) -> None:
    """In chapter order, with a count of the good ones, and a picture with a mark for each."""
    predict("knee", users=24)
    score("knee", users=26)
    chapter(1)
    predict("submit", seconds=1)
    score("submit", seconds=6.2)
    predict("never measured", seconds=1)
    predict("lost jobs", jobs=3)
    score("lost jobs", jobs=0)
    predict("tail", seconds=1)
    score("tail", seconds=2, interval=(1, 9))
    capsys.readouterr()
    figure = summary()
    assert capsys.readouterr().out.splitlines() == [
        "                          you said                it was  off by",
        " 1  submit                   1.0 s                 6.2 s  a factor of 6.2",
        " 1  never measured           1.0 s                     -  not measured",
        " 1  lost jobs               3 jobs                0 jobs  3 jobs",
        " 1  tail                     1.0 s                 2.0 s  not scored",
        " 3  knee                  24 users              26 users  well said",
        "",
        "1 of 3 were well said: off by less than a factor of 1.5, or by less than 10 points of a share.",
        "Not scored: the sample was too small to tell.",
    ]
    assert figure is not None
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["chapter 1", "chapter 3"]
    marks = [line for line in axes.get_lines() if line.get_marker() in {"o", ">", "<"}]
    assert [(mark.get_marker(), float(round(mark.get_xdata()[0], 2))) for mark in marks] == [
        ("o", 0.16),
        ("o", 6.0),
        ("o", 0.92),
    ]


def test_without_a_prediction_the_last_page_says_where_to_begin(capsys: Captured) -> None:
    """It shows no empty picture."""
    assert summary() is None
    assert "chapter 1" in capsys.readouterr().out


def test_notes_that_cannot_be_read_are_no_riddle(tmp_path: Path) -> None:
    """The message says which file to delete."""
    (tmp_path / "predictions.json").write_text("{")
    with pytest.raises(WorkbookError, match="Delete the file"):
        score("submit", seconds=1)


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [
        (0.0042, "seconds", "4.2 ms"),
        (0.018, "seconds", "18 ms"),
        (0.9996, "seconds", "1.0 s"),
        (2.34, "seconds", "2.3 s"),
        (124.4, "seconds", "124 s"),
        (12.5, "percent", "12.5 %"),
        (5.5, "per_second", "5.5 a second"),
        (1, "users", "1 user"),
        (1240, "jobs", "1,240 jobs"),
        (3, "busy_slots", "3 busy slots"),
    ],
)
def test_figures_are_said_in_words(value: float, unit: str, words: str) -> None:
    """Three significant digits, and the unit."""
    assert in_words(value, unit) == words
