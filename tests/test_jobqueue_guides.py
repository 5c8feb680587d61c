"""jobqueue/docs: the guides for web frameworks are followed as they stand, with the real ones."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from ends_with_its_test import PIPE_VARIABLE
from readme_reader import Block, Reader

DOCS = Path(__file__).parent.parent / "jobqueue" / "docs"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
GUIDES = ["flask", "fastapi", "django", "alembic"]


@pytest.fixture
def ends(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Environment variables that make background workers end with the test, even if it is killed."""
    pipe = tmp_path / "test_runs"
    os.mkfifo(pipe)
    ours = os.open(pipe, os.O_RDWR)
    (tmp_path / "sitecustomize.py").write_text("import ends_with_its_test\n")
    yield {PIPE_VARIABLE: str(pipe), "PYTHONPATH": f"{tmp_path}{os.pathsep}{Path(__file__).parent}"}
    os.close(ours)


@pytest.mark.live
@pytest.mark.parametrize("postgresql", [False, True], ids=["sqlite", "postgresql"])
@pytest.mark.parametrize("guide", GUIDES)
def test_a_guide_does_what_it_says(
    guide: str, postgresql: bool, tmp_path: Path, request: pytest.FixtureRequest, ends: dict[str, str]
) -> None:
    """All of its blocks are executed, in order; those that install something are `sh`."""
    folder = tmp_path / "reader"
    folder.mkdir()
    url = request.getfixturevalue("durable_database") if postgresql else f"sqlite:///{folder}/shop.db"
    reader = Reader(folder, url)
    reader.environment |= ends
    try:
        for language, text in BLOCK.findall((DOCS / f"{guide}.md").read_text()):
            if language != "sh":
                reader.go_through(Block(language, text))
    finally:
        reader.close()


@pytest.mark.parametrize("guide", GUIDES)
def test_a_guide_is_short(guide: str) -> None:
    """It is followed within minutes."""
    assert len((DOCS / f"{guide}.md").read_text().splitlines()) <= 150
