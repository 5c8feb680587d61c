"""jobqueue/README.md and jobqueue/docs/: their code is executed, the output they show is compared, and what
they name exists.

Each page is followed as a reader would, in a folder and an empty database of its own: see
tests/readme_reader.py.
"""

import ast
import inspect
import os
import re
import subprocess
import sys
import tomllib
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from ends_with_its_test import PIPE_VARIABLE
from notebooks_path import NOTEBOOKS
from readme_reader import Block, Reader

# isort: split
import book

import jobqueue
from jobqueue import Queue
from jobqueue.handlers import HOOKS
from jobqueue.lease import backoff
from jobqueue.options import EnqueueOptions
from jobqueue.schema import tables
from jobqueue.tools.cli import COMMAND_MODULES

ROOT = NOTEBOOKS.parent
DOCS = ROOT / "jobqueue" / "docs"
README = (ROOT / "jobqueue" / "README.md").read_text()
PAGES = {"README": README} | {path.stem: path.read_text() for path in sorted(DOCS.glob("*.md"))}
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EXECUTED = {"python", "diff", "pycon", "console", "ini"}
# Options of other programs.
ELSEWHERE = {"--one-shot", "--autogenerate", "--bind", "--port", "--preload", "--workers"}
FRAMEWORKS = {"flask", "fastapi", "django", "alembic"}
ON_POSTGRESQL = {"several-machines"}
ON = {False: "SQLite", True: "PostgreSQL"}


def blocks(text: str) -> list[Block]:
    """The blocks of code that are executed."""
    return [Block(*found) for found in BLOCK.findall(text) if found[0] in EXECUTED]


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub and the site make them."""
    titles = re.findall(r"^#+ (.+)", BLOCK.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


# What is followed from beginning to end: each page, and each of the recipes.
PARTS = {page: blocks(text) for page, text in PAGES.items() if page != "recipes"}
RECIPES = {text.partition("\n")[0]: blocks(text) for text in re.split(r"(?m)^## ", PAGES["recipes"])}
WALKS = [
    (part, postgresql)
    for part, code in (PARTS | RECIPES).items()
    for postgresql in (False, True)
    if code and (part in FRAMEWORKS | set(RECIPES) or (part in ON_POSTGRESQL) == postgresql)
]


@pytest.fixture
def ends(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Environment variables that make background workers end with the test, even if it is killed."""
    pipe = tmp_path / "test_runs"
    os.mkfifo(pipe)
    ours = os.open(pipe, os.O_RDWR)
    (tmp_path / "sitecustomize.py").write_text("import ends_with_its_test\n")
    path = (str(tmp_path), str(Path(__file__).parent), os.environ.get("PYTHONPATH"))
    yield {PIPE_VARIABLE: str(pipe), "PYTHONPATH": os.pathsep.join(filter(None, path))}
    os.close(ours)


@pytest.mark.live
@pytest.mark.parametrize(
    ("part", "postgresql"), WALKS, ids=lambda value: value if isinstance(value, str) else ON[value]
)
def test_a_page_does_what_it_says(
    part: str, postgresql: bool, tmp_path: Path, request: pytest.FixtureRequest, ends: dict[str, str]
) -> None:
    """All of its blocks are executed, in order."""
    folder = tmp_path / "reader"
    folder.mkdir()
    url = request.getfixturevalue("durable_database") if postgresql else f"sqlite:///{folder}/jobs.db"
    reader = Reader(folder, url)
    reader.environment |= ends
    try:
        for block in (PARTS | RECIPES)[part]:
            reader.go_through(block)
    finally:
        reader.close()


@pytest.mark.live
@pytest.mark.slow
def test_the_site_is_whole(tmp_path: Path) -> None:
    """It is built without a warning, has every page and public name, and can be read offline."""
    pytest.importorskip("furo", reason="make docs installs what builds the site")
    site = tmp_path / "site"
    command = [sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "--keep-going"]
    built = subprocess.run(
        [*command, "-d", tmp_path / "trees", DOCS, site], capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    assert book.problems(site) == []
    pages = {path.stem for path in DOCS.iterdir() if path.suffix in (".md", ".rst")}
    assert pages <= {path.stem for path in site.glob("*.html")}
    index = (site / "index.html").read_text()
    assert all(f'href="{page}.html"' in index for page in pages - {"index"})
    reference = (site / "api.html").read_text()
    assert all(f'id="jobqueue.{name}"' in reference for name in jobqueue.__all__)


def test_the_reference_has_every_public_name() -> None:
    """And no other."""
    named = re.findall(r"^\.\. auto\w+:: (\w+)", (DOCS / "api.rst").read_text(), re.MULTILINE)
    assert sorted(named) == sorted(jobqueue.__all__)


@pytest.mark.parametrize("page", PAGES)
def test_every_block_is_executed(page: str) -> None:
    """Only two kinds are not: install commands, which are tested elsewhere, and another library's Ruby."""
    fences = re.findall(r"^ *```(.*)$", PAGES[page], re.MULTILINE)
    also = {"delayed-job": {"ruby"}, "index": {"{include} ../README.md", "{toctree}"}}
    installing = {"sh"} if page in FRAMEWORKS | {"README"} else set()
    assert set(fences[::2]) <= EXECUTED | installing | also.get(page, set())
    assert set(fences[1::2]) <= {""}


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_short(page: str) -> None:
    """Nobody reads 300 lines to the end, and a guide for a framework is followed within minutes."""
    assert PAGES[page].count("\n") <= (160 if page == "README" else 150 if page in FRAMEWORKS else 300)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    """Each leads to a file, or to a heading of a page."""
    folder = DOCS.parent if page == "README" else DOCS
    for link in re.findall(r"\]\((?!https?://)([^)]+)\)", PAGES[page]):
        target, _, heading = link.partition("#")
        file = folder / target if target else folder / f"{page}.md"
        assert file.exists(), link
        assert not heading or heading in anchors(file.read_text()), link


def test_the_extras_are_those_of_the_project() -> None:
    """What is installed is tested in tests/test_jobqueue_installed.py."""
    [block] = [Block(*found) for found in BLOCK.findall(README) if found[0] == "sh"]
    commands = [line.partition("  #")[0].strip() for line in block.text.splitlines()]
    assert commands[0] == "pip install ./jobqueue"
    extras = {
        name for command in commands[1:] for name in command.strip("'").rpartition("[")[2][:-1].split(",")
    }
    project = tomllib.loads((ROOT / "jobqueue" / "pyproject.toml").read_text())["project"]
    assert extras == {"postgresql", "dashboard"} <= set(project["optional-dependencies"])
    assert project["dependencies"] == ["SQLAlchemy>=2.0.30"] and "SQLAlchemy 2.0.30 or newer" in README


def test_every_promise_is_held_by_tests_that_exist() -> None:
    """Each of the README's promises has a section, which names tests, in the files that contain them."""
    promised = re.findall(r"^\| \*\*(.*?)\*\* \| .+ \|$", README, re.MULTILINE)
    parts = re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", PAGES["promises"], re.MULTILINE | re.DOTALL)
    assert [title for title, _ in parts] == promised
    for title, text in parts:
        there: set[str] = set()
        named = re.findall(r"`(test_\w+\.py)`|`(test_\w+)`", text)
        assert any(test for _, test in named), title
        for file, test in named:
            if file:
                tree = ast.parse((ROOT / "tests" / file).read_text())
                there = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
            else:
                assert test in there, f"{title}: {test}"


def test_the_waits_between_attempts_are_those_of_the_code() -> None:
    """The table's running sums are checked too."""
    found = rows(
        PAGES["failures"], "| after attempt | it waits at least |", r"^\| (\d+) \| (.*?) \| (.*?) \|$"
    )
    assert found
    least = partial(backoff, chance=lambda: 0.0)
    for attempt, waits, since in found:
        assert waits == str(least(int(attempt)))
        assert since == str(sum(map(least, range(1, int(attempt) + 1)), timedelta()))


@pytest.mark.parametrize("table", tables().metadata.sorted_tables, ids=lambda table: table.name)
def test_every_column_is_described(table: Any) -> None:
    """The columns come in the order of the table."""
    found = rows(PAGES["table"], f"| column of `{table.name}` | meaning |", r"^\| `(\w+)` \| .+ \|$")
    assert found == [column.name for column in table.columns]


def test_every_option_of_enqueue_is_described() -> None:
    """The session has a section, and `now` is for tests."""
    named = inspect.signature(Queue.enqueue).parameters.keys() - {"self", "job", "session", "now", "options"}
    found = rows(PAGES["enqueueing"], "| option |", r"^\| `(\w+)=")
    assert sorted(found) == sorted(named | EnqueueOptions.__optional_keys__)
    assert all(f"`{name}" in (Queue.enqueue.__doc__ or "") for name in EnqueueOptions.__optional_keys__)


def test_every_hook_is_described() -> None:
    """Each is described with its arguments."""
    found = dict(rows(PAGES["performing"], "| hook |", r"^\| `(\w+)\(self, (.*?)\)` \|"))
    assert found == {name: ", ".join(arguments) for name, arguments in HOOKS.items()}


def test_every_option_that_is_named_exists() -> None:
    """This notices a renamed option or command."""
    parser = ArgumentParser()
    commands = parser.add_subparsers()
    for module in COMMAND_MODULES:
        module.add_commands(commands)
    options = re.compile(r"(?<![\w-])--[a-z][\w-]*")
    usages = "".join(command.format_usage() for command in commands.choices.values())
    there = {"--help", *options.findall(usages)} | ELSEWHERE
    for page, text in PAGES.items():
        ours = re.sub(r"(?m)^\$ (?!jobqueue ).*|^pip install .*", "", text)
        if page == "delayed-job":  # the first column has Delayed Job's
            ours = re.sub(r"(?m)^\| [^|]* \|", "", ours)
        assert set(options.findall(ours)) <= there, page
        assert set(re.findall(r"`jobqueue ([a-z]+)", ours)) <= set(commands.choices), page


def rows(text: str, header: str, pattern: str) -> Sequence[Any]:
    """What a pattern finds in the table under this header."""
    _, _, rest = text.partition(header)
    return re.findall(pattern, rest.partition("\n\n")[0], re.MULTILINE)
