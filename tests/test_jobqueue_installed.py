"""The library alone: installed with pip into an empty environment, or copied without its tools."""

import shutil
import subprocess
import sys
import venv
from importlib.metadata import distribution
from pathlib import Path

import pytest
from setuptools.config.pyprojecttoml import read_configuration

pytestmark = pytest.mark.live

ROOT = Path(__file__).parent.parent
SQLALCHEMY = ("SQLAlchemy", "typing_extensions", "greenlet")  # with its own requirements

# Enqueues and performs a job, and prints the libraries this imported.
PROGRAM = """
import sys
from dataclasses import dataclass
from jobqueue import Queue, Worker, job

@job
@dataclass
class Greet:
    name: str

    def perform(self):
        print("Hello,", self.name)

queue = Queue("sqlite:///jobs.db")
queue.create_tables()
queue.enqueue(Greet("world"))
print(Worker(queue).work_off())
files = {name.partition(".")[0] for name, module in sys.modules.items() if getattr(module, "__file__", None)}
print(sorted(name for name in files - sys.stdlib_module_names if not name.startswith("_")))
"""
PRINTED = "Hello, world\n(1, 0)\n['jobqueue', 'sqlalchemy', 'typing_extensions']\n"


def run(*command: str | Path, folder: Path) -> str:
    """The output of a command, which must succeed."""
    ran = subprocess.run(
        command,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout
    return ran.stdout


def link_sqlalchemy(folder: Path) -> None:
    """Link SQLAlchemy and its requirements into a folder of packages."""
    for name in SQLALCHEMY:
        found = distribution(name)
        for root in {
            file.parts[0] for file in found.files or () if file.parts[0] not in ("..", "__pycache__")
        }:
            (folder / root).symlink_to(Path(str(found.locate_file(root))))


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with SQLAlchemy, into which pip has installed the project offline."""
    folder = tmp_path_factory.mktemp("install")
    source, environment = folder / "source", folder / "environment"
    source.mkdir()  # a copy: setuptools leaves files beside what it builds
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in read_configuration(ROOT / "pyproject.toml")["tool"]["setuptools"]["packages"]:
        if "." not in name:
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    venv.create(environment, with_pip=False, symlinks=True)
    [packages] = environment.glob("lib/python*/site-packages")
    link_sqlalchemy(packages)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    run(*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, source, folder=folder)
    [wheel] = folder.glob("*.whl")
    # Not --no-deps: with nowhere to look, pip fails if the project requires anything but SQLAlchemy.
    run(*pip, "--python", environment / "bin" / "python", "install", "--no-index", wheel, folder=folder)
    return environment


def test_installed_it_works_from_an_empty_folder(environment: Path, tmp_path: Path) -> None:
    """SQLAlchemy is its only requirement, and nothing else is imported."""
    assert run(environment / "bin" / "python", "-c", PROGRAM, folder=tmp_path) == PRINTED


def test_installed_it_has_a_command(environment: Path, tmp_path: Path) -> None:
    """`jobqueue` prints its version, creates the tables and lists the jobs."""
    command = environment / "bin" / "jobqueue"
    assert run(command, "--version", folder=tmp_path).startswith("jobqueue: jobqueue-500ms ")
    database = ("--database", "sqlite:///jobs.db")
    assert "executed 5 statements" in run(command, "migrate", *database, folder=tmp_path)
    assert run(command, "list", *database, folder=tmp_path) == "no jobs\n"


def test_installed_it_has_all_its_files(environment: Path) -> None:
    """That includes py.typed and the dashboard's pages, style and script."""
    [installed] = environment.glob("lib/python*/site-packages/jobqueue")
    wanted = {
        path.relative_to(ROOT / "jobqueue")
        for path in (ROOT / "jobqueue").rglob("*")
        if path.is_file() and path.suffix not in (".pyc", ".md")
    }
    assert {Path("py.typed"), Path("tools/static/jobs.css")} < wanted
    assert {path for path in wanted if not (installed / path).exists()} == set()


def test_the_core_works_without_its_tools(tmp_path: Path) -> None:
    """A copy of the folder may leave out jobqueue/tools and __main__.py."""
    libraries = tmp_path / "libraries"
    leave_out = shutil.ignore_patterns("tools", "__main__.py", "__pycache__", "*.md")
    shutil.copytree(ROOT / "jobqueue", libraries / "jobqueue", ignore=leave_out)
    link_sqlalchemy(libraries)
    (tmp_path / "empty").mkdir()
    program = f"import sys; sys.path.append({str(libraries)!r})\n{PROGRAM}"
    assert run(sys.executable, "-I", "-S", "-c", program, folder=tmp_path / "empty") == PRINTED
