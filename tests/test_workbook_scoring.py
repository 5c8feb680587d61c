"""How far off a prediction was is only said if the measurement can tell."""

from collections.abc import Iterator

import notebooks_path  # noqa: F401
import pytest
from IPython.core.interactiveshell import InteractiveShell
from workbook import WorkbookError, counted, experiment, predict, sampled, score, summary
from workbook.readers import say_if_disturbed
from workbook.scoring import Prediction

from loadtests.judging.samples import summarise
from loadtests.records.rows import Row

pytest_plugins = ["workbook_fixtures"]
pytestmark = pytest.mark.usefixtures("chapter")

Captured = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    ("said", "measured", "unit", "verdict"),
    [
        (3, 3, "seconds", "well said"),
        (1, 8, "seconds", "off by a factor of 8.0"),
        (8, 1, "per_second", "off by a factor of 8.0"),
        (1, 0, "seconds", "off by 1.0 s"),
        (1, None, "seconds", "not measured"),
        (0, 0, "jobs", "well said"),
        (1, 0, "jobs", "off by 1 job"),
        (0, 20, "jobs", "off by 20 jobs"),
        (2, 1, "jobs", "off by a factor of 2.0"),
        (1, 0, "percent", "well said"),
        (100, 91, "percent", "well said"),
        (60, 50, "percent", "off by 10 points"),
        (5, 61, "percent", "off by 56 points"),
    ],
)
def test_how_far_off_a_prediction_is(said: float, measured: float | None, unit: str, verdict: str) -> None:
    """A factor in either direction. 0 of what is counted is a half; a share is off by points."""
    assert Prediction(1, "x", unit, said, measured).verdict == verdict


@pytest.mark.parametrize(
    ("said", "verdict"), [(9, "well said"), (8, "well said"), (2, "off by a factor of at least 4.0")]
)
def test_a_lower_bound_is_not_held_against_anyone(said: float, verdict: str) -> None:
    """Who said more may be right."""
    assert Prediction(1, "x", "jobs", said, 8, at_least=True).verdict == verdict


@pytest.mark.parametrize(
    ("unit", "measured", "interval", "known"),
    [
        ("seconds", 2, (1.4, 2.9), True),
        ("seconds", 2, (1.3, 2.9), False),
        ("seconds", 2, (1.4, 3.1), False),
        ("seconds", 2, (1.4, None), False),
        ("seconds", 2, (None, None), False),
        ("percent", 50, (41, 59), True),
        ("percent", 50, (39, 59), False),
        ("percent", 0, (0, 9), True),
        ("percent", 0, (0, 12), False),
    ],
)
def test_a_figure_that_is_not_known_well_enough_scores_nobody(
    unit: str, measured: float, interval: tuple[float | None, float | None], known: bool
) -> None:
    """Neither end of the 95 % interval of a well-known figure would be off from it."""
    for said in (measured, 99):
        each = Prediction(1, "x", unit, said, measured, interval=interval)
        assert (each.off is not None) == known
        assert (each.verdict == "not scored") == (not known)


def test_a_score_says_why_it_is_none(capsys: Captured) -> None:
    """It shows the measured figure all the same, and how far it can be trusted."""
    predict("submit", seconds=4)
    for interval in ((1.0, 9.0), (1.0, None), (None, None), (1.9, 2.1)):
        score("submit", seconds=2, interval=interval)
    said = capsys.readouterr().out.replace("submit: you said 4.0 s, it was 2.0 s: ", "")
    assert said.splitlines()[1:] == [
        "not scored, since the true figure may be anywhere from 1.0 s to 9.0 s (its 95 % interval).",
        "not scored, since the sample is too small to say more than that the true figure is above 1.0 s.",
        "not scored, since the sample is too small.",
        "off by a factor of 2.0.",
    ]


def test_a_summary_s_figure_comes_with_its_interval(capsys: Captured) -> None:
    """And with its unit, and whether it is a lower bound: all that `score` takes."""
    rows = [Row(1, "look", "/", n, n, n + 0.1 if n < 100 else None, 200, "") for n in range(240)]
    found = summarise(rows, ended=300.0)
    assert sampled(found, "p50_ms") == {
        "seconds": pytest.approx(found["p50_ms"] / 1000),
        "interval": [pytest.approx((found["p50_ci"] or [])[0] / 1000), None],
        "at_least": True,
    }
    share = sampled(found, "share_over")
    assert share["percent"] == pytest.approx(100 * 140 / 240)
    assert share["interval"] == pytest.approx([100 * end for end in found["share_ci"] or ()])
    assert share == counted(140, of=240) | {"at_least": False}
    assert sampled(summarise(rows[:9], ended=300.0), "p99_ms")["interval"] == [None, None]
    assert sampled(summarise([], ended=300.0), "share_over")["percent"] is None
    with pytest.raises(WorkbookError, match="mean_ms has no interval"):
        sampled(found, "mean_ms")
    predict("median", ms=10)
    score("median", **sampled(found, "p50_ms"))
    assert "above 65.0 s" in capsys.readouterr().out


CELLS = (
    ("run(True); score('submit', seconds=3)", True),
    ("score('submit', seconds=3)", True),
    ("run(False); score('submit', seconds=3)", False),
    ("run(True); run(False)", None),
    ("score('submit', seconds=3)", True),
    ("run(False); score('submit', seconds=3)", False),
)


@pytest.fixture
def shell() -> Iterator[InteractiveShell]:
    """IPython, as in a kernel, which counts the cells."""
    shell = InteractiveShell.instance()
    shell.history_manager.enabled = False
    yield shell
    InteractiveShell.clear_instance()


def test_the_doubt_ends_when_the_cell_is_run_again(shell: InteractiveShell, capsys: Captured) -> None:
    """A score is about the latest cell that measured something."""

    def run(disturbed: bool) -> None:
        busy = {"the machine was 95 % busy"} if disturbed else set()
        experiment("some-run", lambda: say_if_disturbed(busy, fit=True))

    shell.push({"run": run, "score": score})
    predict("submit", seconds=1)
    for code, doubtful in CELLS:
        capsys.readouterr()
        shell.run_cell(code, store_history=True).raise_error()
        assert doubtful is None or ("Doubtful" in capsys.readouterr().out) == doubtful, code


def test_a_disturbed_run_gives_doubtful_scores(capsys: Captured) -> None:
    """On the line and on the last page."""
    predict("submit", seconds=1)
    say_if_disturbed({"the machine was 95 % busy"}, fit=True)
    score("submit", seconds=3)
    assert "off by a factor of 3.0. Doubtful: that run was disturbed." in capsys.readouterr().out
    predict("in theory", seconds=1)
    score("in theory", seconds=3, computed=True)
    assert "Doubtful" not in capsys.readouterr().out
    summary()
    said = capsys.readouterr().out
    assert "a factor of 3.0 ?" in said
    assert "\n?: " in said
