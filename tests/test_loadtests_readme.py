"""Every command and line of code in loadtests/README.md is run, against a server that answers at once."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest
from readme_reader import Block, Reader, alike

from loadtests.servers.processes import Process
from loadtests.servers.stack import Stack, StackSettings
from loadtests.status import MEANING

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "loadtests"
README = (FOLDER / "README.md").read_text()
BLOCKS = [Block(*found) for found in re.findall(r"^```(\w+)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)]
EXAMPLE = "http://127.0.0.1:8000"  # stands for the test's own server
# What varies between runs: lines of figures, their order, and remarks about wide intervals.
FIGURES = re.compile(r"(?m)^ *(look|pay|p50|p95|p99|mean|over 500 ms) +[\d.].*$")
# Why a machine that other tests keep busy is not fit to measure.
BUSY = re.compile(r"the\s+machine\s+was\s+\d+\s+%\s+busy|the\s+load\s+generator\s+was\s+late")
INTERVAL = re.compile(r"\([^()]*, 95 % interval [^()]*\)")
DOUBT = re.compile(r"(?s)For \d+ figures? .* see more\.")


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """A reader of the guide, in a folder of their own."""
    reader = Reader(tmp_path_factory.mktemp("readme"), "")
    yield reader
    reader.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    log = tmp_path_factory.mktemp("server") / "log"
    with Process("null server", [sys.executable, "-m", "loadtests.bench.nullserver"], log) as process:
        yield process.wait_for_address()


def run(reader: Reader, command: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        shlex.split(command),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
        check=False,
        cwd=reader.folder,
        env=reader.environment,
    )


def in_order(expected: str, printed: str) -> bool:
    """Whether all parts between "..." were printed, one after the other."""
    at, text = 0, alike(printed)
    for part in filter(None, (alike(part) for part in expected.split("..."))):
        at = text.find(part, at)
        if at < 0:
            return False
        at += len(part)
    return True


def typed(reader: Reader, command: str, expected: str) -> None:
    """A command prints what the guide shows, unless it says that the machine was too busy.

    Its status is 0, or 4 where the guide shows an undecided verdict.
    """
    done = run(reader, command)
    if "Not fit to compare." in done.stdout:
        assert done.returncode == 3 and BUSY.search(done.stdout), done.stdout
        return
    if "Undecided:" in done.stdout:  # too few requests on a machine that is too slow
        assert done.returncode == 4, done.stdout
        return
    printed = re.sub(r"(?m)^Its latencies are upper bounds: .*\n", "", done.stdout)
    fit = "But this proves nothing: " not in printed
    printed = re.sub(r"(?m)^But this proves nothing: .*\n", "", printed)
    expected = INTERVAL.sub("...", DOUBT.sub("...", FIGURES.sub("...", expected)))
    assert in_order(expected, printed), f"{command}\nprinted\n{printed}\nand not\n{expected}"
    usual = 4 if ": undecided." in expected else 0
    asked = "--fail-over" in command or "--expect" in command
    assert done.returncode == (usual if fit or not asked else 3), done.stdout


def pipeline(reader: Reader, text: str) -> None:
    """The workflow's line writes both files, from the two files of requests made earlier in the guide."""
    (line,) = re.findall(r"^- run: (.*)$", text, re.MULTILINE)
    done = run(reader, line.replace('"$GITHUB_STEP_SUMMARY"', "summary.md"))
    assert done.returncode in (0, 3, 4), done.stdout  # 3, 4: on a busy machine
    assert (reader.folder / "compare.xml").read_text().startswith("<?xml")
    assert (reader.folder / "summary.md").read_text().startswith("### ")


@pytest.mark.live
def test_the_guide_from_the_locustfile_to_the_rows(reader: Reader, server: str) -> None:
    """In order: files are written, commands typed, and the console reads the resulting rows."""
    kinds = [block.language for block in BLOCKS]
    assert kinds == ["sh", "python", *["console"] * 6, "yaml", "pycon"]
    for language, text in BLOCKS:
        if language == "console":
            for part in re.split(r"(?m)^\$ ", text.replace(EXAMPLE, server))[1:]:
                command, _, expected = part.partition("\n")
                typed(reader, command, expected)
        elif language == "yaml":
            pipeline(reader, text)
        elif language in ("python", "pycon"):
            reader.go_through(Block(language, text))


@pytest.mark.live
def test_a_reader_that_runs_is_measured(reader: Reader, tmp_path: Path) -> None:
    """Both commands of the guide, shortened, on a reader started by the test."""
    (text,) = (text for language, text in BLOCKS if language == "sh")
    locust, bench = text.splitlines()
    settings = StackSettings(app="queued", slots=2, mix="fast=100", folder=tmp_path / "stack")
    (tmp_path / "stack").mkdir()
    reader.environment["PYTHONPATH"] = str(ROOT)
    with Stack(settings) as stack:
        addresses = {"http://127.0.0.1:8002": stack.url, "http://127.0.0.1:9002": stack.feeds_url}
        for example, real in addresses.items():
            locust, bench = locust.replace(example, real), bench.replace(example, real)
        locust = locust.replace("loadtests/feeds.py", str(FOLDER / "feeds.py"))
        done = run(reader, f"{locust} --headless --users 2 --spawn-rate 2 --run-time 3s")
        assert "From every request, unrounded" in done.stdout
        bench = bench.replace("--users 1,20", "--users 2 --seconds 2 --warm-up 1")
        done = run(reader, f"{bench} --out {tmp_path / 'out'}")
    assert "The report: " in done.stdout, done.stdout
    assert (tmp_path / "out" / "report.html").exists()


def test_the_exit_statuses_are_those_of_the_commands() -> None:
    """The guide's table matches the code."""
    section = README.partition("## Exit statuses")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    assert lines == [f"| {status.value} | {meaning} |" for status, meaning in MEANING.items()]


def test_every_link_leads_somewhere() -> None:
    """Relative to the file."""
    links = re.findall(r"\]\((?!https?://)([^)#]+)\)", README)
    assert links and [link for link in links if not (FOLDER / link).exists()] == []


def test_the_map_names_every_file_and_no_other() -> None:
    """A new file fails here until it is on the map."""
    table = README.partition("## What is where in this folder")[2]
    named = {name.rstrip("/") for name in re.findall(r"`([\w.*]+(?:\.py|\.json|/))`", table)}
    there = {path.name for path in FOLDER.iterdir()} - {"README.md", "__init__.py", "__pycache__"}
    assert [name for name in sorted(there) if not any(fnmatch(name, each) for each in named)] == []
    assert [each for each in sorted(named) if not any(fnmatch(name, each) for name in there)] == []


def test_no_line_of_prose_is_wider_than_120_columns() -> None:
    """Tables and commands may be."""
    prose = re.sub(r"(?ms)^```.*?^```", "", README)
    assert [line for line in prose.splitlines() if len(line) > 120 and not line.startswith("|")] == []
