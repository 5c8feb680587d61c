"""Chapter 5: what short steps can show, and what its pictures say about a poll that came too early."""

import notebooks_path  # noqa: F401

# isort: split
from workbook import last_steps
from workbook.chapter05 import seen_at, short_steps
from workbook.chapter05_pictures import answer_and_content_figure, staircase_figure

from loadtests.bench.plan import Plan


def test_a_feed_is_seen_at_the_first_poll_from_then_on() -> None:
    """A feed that arrives exactly at a poll is seen by it."""
    assert [round(seen_at(done), 3) for done in (0.1, 0.5, 0.51, 1.6)] == [0.5, 0.5, 1.5, 3.5]


def test_short_steps_lie_about_what_the_formula_says() -> None:
    """60 users, 42 of whom submit, 2 s of think time, 1 s for a feed: 14 a second."""
    (low, high), (least, most) = (
        short_steps(Plan(users=(60,), warmup=5, measure=measure), [1.0], slots=60) for measure in (5, 20)
    )
    assert low < least < 14 < most < high


def test_short_steps_know_the_slots() -> None:
    """8 slots and 1.5 s for a feed serve at most 5.3 a second, so no more arrive in the long run."""
    _, most = short_steps(Plan(users=(60,), warmup=10, measure=30), [1.5], slots=8)
    assert 5 < most < 6


def test_a_content_that_missed_a_poll_is_said() -> None:
    """It came at 0.45 s, but the worker's overhead made it miss the poll at 0.5 s."""
    on_time, late = ({"delay": 0.45, "answer": 0.01, "content": content} for content in (0.53, 1.52))
    texts = [
        [text.get_text() for text in staircase_figure({"sync": [on_time], "queued": [visit]}).axes[0].texts]
        for visit in (on_time, late)
    ]
    assert not [text for text in texts[0] if "missed" in text]
    assert "missed the poll at 0.5 s" in texts[1]


def test_an_arrow_is_explained_where_there_is_one() -> None:
    """Some contents had not arrived at the end of the measurement: their p95 is at least what is shown."""

    def said(*bounds: str) -> list[str]:
        latency = {"p50_ms": 300.0, "p95_ms": 900.0, "lower_bounds": []}
        content = latency | {"lower_bounds": list(bounds)}
        steps = [{"app": app, "submit": latency, "content": content} for app in ("sync", "queued")]
        figure = answer_and_content_figure({"steps": steps, "settings": {"users": [60]}})
        return [text.get_text() for text in figure.axes[0].texts if "at least" in text.get_text()]

    assert said() == []
    assert len(said("p95_ms")) == 1


def test_a_step_that_was_measured_again_replaces_the_first() -> None:
    """On a busy machine the bench repeats a step: the chapter goes on with one of each reader."""
    measured = [{"app": app, "run": run} for app, run in (("queued", 1), ("sync", 1), ("sync", 2))]
    assert list(last_steps({"steps": measured}).values()) == [measured[2], measured[0]]
