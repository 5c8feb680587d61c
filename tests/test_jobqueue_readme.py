"""jobqueue/README.md: its code is executed, the output it shows is compared, and what it names exists.

Each section is followed as a reader would, in a folder and an empty database of its own: see
tests/readme_reader.py.
"""

import ast
import inspect
import os
import re
import tomllib
from argparse import ArgumentParser
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from ends_with_its_test import PIPE_VARIABLE
from readme_reader import Block, Reader

from jobqueue import Queue
from jobqueue.handlers import HOOKS
from jobqueue.schema import tables
from jobqueue.settling import backoff
from jobqueue.tools.cli import COMMAND_MODULES

jobs = tables().jobs
workers = tables().workers

ROOT = Path(__file__).parent.parent
README = (ROOT / "jobqueue" / "README.md").read_text()
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ELSEWHERE = {"--one-shot"}  # an option of another program


SECTIONS = {
    re.sub(r"[^a-z ]", "", title.lower()).replace(" ", "-"): [Block(*found) for found in BLOCK.findall(text)]
    for title, text in re.findall(r"^##+ (.+?)\n(.*?)(?=^##+ |\Z)", README, re.MULTILINE | re.DOTALL)
}
GREET = SECTIONS["five-minutes"][0].text  # jobs.py, unless a section has its own
ON_POSTGRESQL = {"deploying-on-several-machines"}
ON_BOTH = {"a-repeating-job", "at-most-so-many-at-a-time-for-a-key", "a-long-job-in-steps"}
RUNS = [
    (title, database)
    for title, blocks in SECTIONS.items()
    if any(block.language != "sh" for block in blocks)
    for database in ("sqlite", "postgresql")
    if title in ON_BOTH or (title in ON_POSTGRESQL) == (database == "postgresql")
]


@pytest.fixture
def ends(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Environment variables that make background workers end with the test, even if it is killed."""
    pipe = tmp_path / "test_runs"
    os.mkfifo(pipe)
    ours = os.open(pipe, os.O_RDWR)
    yield {PIPE_VARIABLE: str(pipe), "PYTHONPATH": str(Path(__file__).parent)}
    os.close(ours)


@pytest.mark.live
@pytest.mark.parametrize(("title", "database"), RUNS)
def test_a_section_does_what_it_says(
    title: str, database: str, tmp_path: Path, request: pytest.FixtureRequest, ends: dict[str, str]
) -> None:
    """All of its blocks are executed, in order."""
    folder = tmp_path / "reader"
    folder.mkdir()
    url = f"sqlite:///{folder}/jobs.db"
    if database == "postgresql":
        url = request.getfixturevalue("durable_database")
    reader = Reader(folder, url)
    (folder / "jobs.py").write_text(GREET)
    if any("$ jobqueue start" in block.text for block in SECTIONS[title]):
        reader.environment |= ends
        (folder / "jobs.py").write_text(f"{GREET}\n\nimport ends_with_its_test  # noqa")
    try:
        for block in SECTIONS[title]:
            reader.go_through(block)
    finally:
        reader.close()


def test_every_block_is_of_a_language_that_is_executed() -> None:
    """This includes blocks above the first section. Only the install commands are checked elsewhere."""
    languages = [language for language, _ in BLOCK.findall(README)]
    assert len(languages) == sum(map(len, SECTIONS.values())) == README.count("```") / 2
    assert set(languages) == {"python", "pycon", "console", "ini", "sh"}
    commands = [
        title for title, blocks in SECTIONS.items() if any(block.language == "sh" for block in blocks)
    ]
    assert commands == ["install"]


def test_the_extras_are_those_of_the_project() -> None:
    """What is installed is tested in tests/test_jobqueue_installed.py."""
    [block] = SECTIONS["install"]
    commands = [line.partition("  #")[0].strip() for line in block.text.splitlines()]
    assert commands[0] == "pip install ./jobqueue"
    extras = {
        name for command in commands[1:] for name in command.strip("'").rpartition("[")[2][:-1].split(",")
    }
    project = tomllib.loads((ROOT / "jobqueue" / "pyproject.toml").read_text())["project"]
    assert extras == {"postgresql", "dashboard"} <= set(project["optional-dependencies"])
    assert project["dependencies"] == ["SQLAlchemy>=2.0.30"] and "SQLAlchemy 2.0.30 or newer" in README


def test_every_promise_is_held_by_tests_that_exist() -> None:
    """Each of the eight promises names at least one test, in a file that contains it."""
    rows = re.findall(r"^\| (\d) \| \*\*.*?\| (.*) \|$", README, re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, 9))
    for number, holders in rows:
        there: set[str] = set()
        named = re.findall(r"\[(test_\w+\.py)\]\(\.\./tests/\1\)|`(test_\w+)`", holders)
        assert any(test for _, test in named), f"promise {number}"
        for file, test in named:
            if file:
                tree = ast.parse((ROOT / "tests" / file).read_text())
                there = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
            else:
                assert test in there, f"promise {number}: {test}"


def test_links_lead_somewhere() -> None:
    """Each link leads to a heading of the page, or to a file beside it."""
    for target in re.findall(r"\]\((?!https?://)([^)]+)\)", README):
        if target.startswith("#"):
            assert target[1:] in SECTIONS, target
        else:
            assert (ROOT / "jobqueue" / target).exists(), target


def test_the_waits_between_attempts_are_those_of_the_code() -> None:
    """The table's running sums are checked too."""
    _, _, rest = README.partition("| after attempt |")
    rows = re.findall(r"^\| (\d+) \| (.*?) \| (.*?) \|$", rest.partition("\n\n")[0], re.MULTILINE)
    assert rows
    least = partial(backoff, chance=lambda: 0.0)
    for attempt, waits, since in rows:
        assert waits == str(least(int(attempt)))
        assert since == str(sum(map(least, range(1, int(attempt) + 1)), timedelta()))


@pytest.mark.parametrize("table", [jobs, workers], ids=["jobs", "job_workers"])
def test_every_column_is_described(table: Any) -> None:
    """The columns come in the order of the table."""
    _, _, rest = README.partition(f"| column of `{table.name}` |")
    rows = re.findall(r"^\| `(\w+)` \| .+ \|$", rest.partition("\n\n")[0], re.MULTILINE)
    assert rows == [column.name for column in table.columns]


def test_every_option_of_enqueue_is_described() -> None:
    """They come in the order of its signature. (The session has a paragraph, and `now` is for tests.)"""
    _, _, rest = README.partition("**Options**")
    rows = re.findall(r"^\| `(\w+)=", rest.partition("\n\n**")[0], re.MULTILINE)
    options = [name for name in inspect.signature(Queue.enqueue).parameters if name not in ("self", "job")]
    assert [*rows, "now"] == options[1:]


def test_every_hook_is_described() -> None:
    """Each is described with its arguments."""
    _, _, rest = README.partition("| hook |")
    rows = dict(re.findall(r"^\| `(\w+)\(self, (.*?)\)` \|", rest.partition("\n\n")[0], re.MULTILINE))
    assert rows == {name: ", ".join(arguments) for name, arguments in HOOKS.items()}


def test_every_option_that_is_named_exists() -> None:
    """This notices a renamed option or command."""
    parser = ArgumentParser()
    commands = parser.add_subparsers()
    for module in COMMAND_MODULES:
        module.add_commands(commands)
    options = re.compile(r"(?<![\w-])--[a-z][\w-]*")
    usages = "".join(command.format_usage() for command in commands.choices.values())
    there = {"--help", *options.findall(usages)}
    assert set(options.findall(README)) - ELSEWHERE <= there
    assert set(re.findall(r"`jobqueue ([a-z]+)", README)) <= set(commands.choices)
