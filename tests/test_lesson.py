"""The lesson of the two readers is their diff, so it must stay small enough to read."""

import difflib
import sys
from pathlib import Path

import pytest
from flask import Flask

import queued_app.app
import sync_app.app

ROOT = Path(__file__).parent.parent
MAX_LINES = 40


def the_diff() -> list[str]:
    """What `make diff` prints."""
    sync, queued = (
        Path(str(sys.modules[name].__file__)).read_text().splitlines()
        for name in ("sync_app.app", "queued_app.app")
    )
    return list(difflib.unified_diff(sync, queued, n=1, lineterm=""))


def test_the_diff_of_the_readers_is_read_in_a_minute() -> None:
    """Docstrings, imports and the lines around the differences included."""
    assert "diff -U1 sync_app/app.py queued_app/app.py" in (ROOT / "Makefile").read_text()
    assert len(the_diff()) <= MAX_LINES


def test_the_difference_is_one_call() -> None:
    """Where a feed is fetched or queued, that line and nothing else differs."""
    code = [line for line in the_diff() if "feed.fetch()" in line or "queue.enqueue(" in line]
    assert code == 2 * [
        "-            feed.fetch()  # the visitor waits for somebody else's server",
        "+            queue.enqueue(feed, session=session)  # the visitor gets an answer now",
    ]


def test_the_readers_have_the_same_routes_in_the_same_order(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The same addresses, methods and names: only what happens behind them differs."""
    monkeypatch.setenv("FEEDREADER_DATABASE", f"sqlite:///{tmp_path}/reader.db")

    def routes(app: Flask) -> list[tuple[str, str, list[str]]]:
        return [(rule.rule, rule.endpoint, sorted(rule.methods or ())) for rule in app.url_map.iter_rules()]

    assert routes(sync_app.app.create_app()) == routes(queued_app.app.create_app())


def test_each_reader_says_where_to_begin() -> None:
    """Opening either file shows which one to read first."""
    assert "Read this one first" in (sync_app.app.__doc__ or "")
    assert "First read sync_app/app.py; this replaces one call" in (queued_app.app.__doc__ or "")
