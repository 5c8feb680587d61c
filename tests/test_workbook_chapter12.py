"""Chapter 12: what it says of the engines is what the kept run shows; its table, its figure and its trial."""

from importlib.util import find_spec
from pathlib import Path

import msgspec
import notebooks_path  # noqa: F401
import pytest

from loadtests.enginebench.harm import HARMED, Aftermath
from loadtests.enginebench.plan import TrialResult, figures_of
from loadtests.enginebench.tables import engine_label, place_of, text_tables
from loadtests.enginebench.trials import ENGINE_TRIALS, is_possible
from loadtests.engines.engines import ENGINES
from loadtests.errors import UsageError

# isort: split
from workbook.chapter12 import workers_killed
from workbook.chapter12_pictures import killed_figure
from workbook.chapter12_tables import KEPT, duties, engine_run, show_duties
from workbook.session import WorkbookError

RUN = engine_run(KEPT)
FIGURES = {key: figures or {} for key, figures in figures_of(RUN.trials).items()}
DIED = Aftermath(
    stored=10,
    by_itself=0,
    after_s=None,
    restarted=0,
    by_hand=0,
    held=0,
    lost=0,
    again=0,
    refused=0,
    unsaid=0,
    watched_s=15.0,
)
BACK, HELD, LOST = DIED | {"by_itself": 10, "after_s": 9.5}, DIED | {"held": 10}, DIED | {"lost": 10}


def those(trial: str, key: str) -> set[str]:
    """The engines of whose feeds some were, say, lost in a trial."""
    return {engine for engine in ENGINES if FIGURES.get((engine, trial), {}).get(key)}


def test_the_kept_run_measured_everything() -> None:
    """No dash in the chapter's table stands for what was not measured."""
    possible = {
        (engine, trial) for engine in ENGINES for trial in ENGINE_TRIALS if is_possible(engine, trial)
    }
    assert {(each.engine, each.trial) for each in RUN.trials if each.figures} == possible


def test_the_chapter_says_what_the_kept_run_shows() -> None:
    """If not, the text of chapter 12 is to be changed."""
    late = {engine for engine in ENGINES if "late" in ENGINES[engine].options}
    outside = {engine for engine in ENGINES if ENGINES[engine].valkey} | {"huey"}
    assert those("worker-killed", "lost") == {"celery", "celery-threads", "huey"}
    assert those("worker-killed", "held") | those("worker-killed", "by_hand") == {
        "rq",
        "dramatiq",
        "procrastinate",
    }
    assert round(max(FIGURES[engine, "worker-killed"]["after_s"] for engine in late)) == 42
    assert those("web-killed", "lost") == outside
    assert all(FIGURES[engine, "load-30"]["submit"]["p99_ms"] < 250 for engine in ENGINES)


def test_the_table_groups_engines_by_what_they_do_with_a_dead_workers_feeds() -> None:
    """Lost, held or given back; without a figure it has dashes, and a doubtful load a star."""
    load = {
        "submit": {"p50_ms": 7.5, "p99_ms": 1234.5, "lower_bounds": ["p99_ms"]},
        "reasons": ["the machine was busy"],
    }
    run = msgspec.structs.replace(
        RUN,
        trials=[
            TrialResult("procrastinate", "worker-killed", 1.0, {"worker-killed": DIED | {"by_hand": 10}}),
            TrialResult("celery-late", "worker-killed", 1.0, {"worker-killed": BACK}),
            TrialResult("huey", "worker-killed", 1.0, {"worker-killed": LOST}),
            TrialResult("huey", "worker-stopped", 1.0, {"worker-stopped": DIED | {"lost": 7}}),
            TrialResult("rq", "worker-killed", 1.0, reason="it failed"),
            TrialResult("huey", "load", 1.0, {"load-30": load, "load-300": load}),
        ],
    )
    assert [(body.title, [line.cells for line in body.lines]) for body in duties(run).bodies] == [
        (
            "What a killed worker was fetching is lost",
            [["Huey", "SQLite", "10 lost", "7 lost", "–", "–", *["8 / ≥ 1234 *"] * 2]],
        ),
        (
            "It is held until somebody does something",
            [["Procrastinate", "PostgreSQL", "10 hand", *["–"] * 5]],
        ),
        ("It is given back", [["Celery, late", "Valkey", "10 s", *["–"] * 5]]),
        ("Not measured", [["RQ", "Valkey", *["–"] * 6]]),
    ]


def test_the_table_has_every_engine_and_every_doubt(capsys: pytest.CaptureFixture[str]) -> None:
    """With the versions of what was measured."""
    show_duties()
    said = capsys.readouterr().out
    assert all(f"{engine_label(engine):14} {place_of(engine)}" in said for engine in ENGINES)
    assert all(f"{name} {version}" in said for name, version in RUN.servers.items())
    doubted = [figures for figures in FIGURES.values() if figures.get("reasons")]
    assert said.count("\n* ") == len(doubted) == text_tables([duties(RUN)]).count(" *")


@pytest.mark.parametrize("held", [None, "", "[]", '{"schema": "500ms/results"}'])
def test_a_file_that_is_no_run_of_the_engines_is_refused_in_a_sentence(
    held: str | None, tmp_path: Path
) -> None:
    if held is not None:
        (tmp_path / "results.json").write_text(held)
    with pytest.raises(WorkbookError, match=r"results\.json is no results\.json of `make engines`: "):
        show_duties(tmp_path / "results.json")


def test_the_figure_of_the_killed_workers_is_described() -> None:
    """With what became of every engine's feeds."""
    partly = DIED | {"by_itself": 7, "after_s": 14.9, "held": 3}
    told = killed_figure({"jobqueue": BACK, "celery": LOST, "rq": HELD, "huey": LOST, "pgqueuer": partly})
    assert told.get_label() == (
        "Of 5 engines, 2 lose what their worker had in hand."
        " jobqueue: 10 fetched unaided, the last after 9.5 s. Celery: 10 lost. RQ: 10 held, not fetched."
        " Huey: 10 lost. PgQueuer: 7 fetched unaided, 3 held, not fetched, the last after 14.9 s."
    )


def test_an_unknown_engine_is_refused_before_anything_starts() -> None:
    with pytest.raises(UsageError, match="--engine sidekiq: there are jobqueue, "):
        workers_killed(("jobqueue", "sidekiq"), watched=1, lease=1)


@pytest.mark.live
def test_a_dead_workers_feeds_come_back_with_jobqueue_and_are_lost_with_huey() -> None:
    """Watched until that is settled."""
    engines = ["jobqueue", *(["huey"] if find_spec("huey") else [])]
    killed = workers_killed(engines, watched=60, lease=2)
    assert killed["jobqueue"]["by_itself"] == HARMED and killed["jobqueue"]["after_s"]
    assert "huey" not in killed or killed["huey"]["lost"] == HARMED
