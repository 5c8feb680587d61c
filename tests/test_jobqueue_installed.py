"""The library alone: what its wheel and sdist hold, installed into an empty environment, or copied."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest

import jobqueue

pytestmark = pytest.mark.live

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "jobqueue"
SQLALCHEMY = ("SQLAlchemy", "typing_extensions", "greenlet")  # with its own requirements
RELEASE = f"jobqueue_500ms-{jobqueue.__version__}"
INFO = ("METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE", "top_level.txt")
RUBBISH = ("__pycache__/queue.cpython-311.pyc", "build/lib/jobqueue/deleted.py", "jobs.db")
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")
OFFLINE = ("--quiet", "--no-index", "--no-build-isolation")

# Enqueues and performs a job, and prints what this imported, and what else of ours there is to import.
PROGRAM = """
import sys
from dataclasses import dataclass
from importlib.util import find_spec
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
print([name for name in ("feedreader", "sync_app", "queued_app", "loadtests", "tests") if find_spec(name)])
"""
PRINTED = "Hello, world\n(1, 0)\n['jobqueue', 'sqlalchemy', 'typing_extensions']\n[]\n"


def run(*command: str | Path, folder: Path, status: int = 0) -> str:
    """The output of a command, which must end with this exit status and knows nothing of the checkout."""
    ran = subprocess.run(
        command,
        cwd=folder,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == status, ran.stdout
    return ran.stdout


def files_in(folder: Path) -> set[str]:
    """The files in a folder, except what Python caches."""
    files = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {str(path) for path in files if "__pycache__" not in path.parts}


def link(folder: Path, *names: str) -> None:
    """Link installed distributions into a folder of packages."""
    for name in names:
        found = distribution(name)
        for root in {
            file.parts[0] for file in found.files or () if file.parts[0] not in ("..", "__pycache__")
        }:
            (folder / root).symlink_to(Path(str(found.locate_file(root))))


def fresh_environment(folder: Path, *more: str) -> Path:
    """The Python of a new environment that has SQLAlchemy and `more`, and nothing else."""
    venv.create(folder, with_pip=False, symlinks=True)
    [packages] = folder.glob("lib/python*/site-packages")
    link(packages, *SQLALCHEMY, *more)
    return folder / "bin" / "python"


def copy_of_the_folder(folder: Path) -> Path:
    """The folder jobqueue/ alone, with what one may find in a folder that was worked in."""
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in RUBBISH:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("raise SystemExit('rubbish')")
    return folder


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a wheel and an sdist of a copy of the folder jobqueue/, built offline."""
    folder = tmp_path_factory.mktemp("built")
    source = copy_of_the_folder(folder / "source")
    before = files_in(source)
    run(*PIP, "wheel", *OFFLINE, "--no-deps", "--wheel-dir", folder, source, folder=folder)
    sdist = "import sys; sys.path.insert(0, 'building'); import backend; backend.build_sdist('..')"
    run(sys.executable, "-P", "-c", sdist, folder=source)
    assert files_in(source) == before  # a build leaves nothing behind
    return folder


@pytest.fixture(scope="module")
def python(built: Path) -> Path:
    """The Python of a fresh environment into which pip has installed the wheel."""
    python = fresh_environment(built / "environment")
    # Not --no-deps: with nowhere to look, pip fails if the wheel requires anything but SQLAlchemy.
    run(*PIP, "--python", python, "install", *OFFLINE, *built.glob("*.whl"), folder=built)
    return python


def members(wheel: Path) -> dict[str, int]:
    """A wheel's files and their checksums."""
    with zipfile.ZipFile(wheel) as archive:
        return {each.filename: each.CRC for each in archive.infolist()}


def parts_of_the_package() -> Iterator[str]:
    """What an installed jobqueue consists of: its modules, and the dashboard's templates and static files."""
    for name in files_in(FOLDER):
        if re.match(r"[a-z_]+\.py$|py\.typed$|tools/([a-z_]+\.py$|static/|templates/jobqueue/)", name):
            yield f"jobqueue/{name}"


def test_the_wheel_holds_the_package_alone(built: Path) -> None:
    """No tests, docs, caches or leftovers of earlier builds; no package but jobqueue."""
    [wheel] = built.glob("*.whl")
    assert wheel.name == f"{RELEASE}-py3-none-any.whl"
    parts = set(parts_of_the_package())
    assert {"jobqueue/py.typed", "jobqueue/tools/static/jobs.css"} < parts
    assert members(wheel).keys() == parts | {f"{RELEASE}.dist-info/{name}" for name in INFO}


def test_the_sdist_holds_the_folder_and_makes_the_same_wheel(built: Path, tmp_path: Path) -> None:
    """Every file that the project keeps in jobqueue/ is in it: readme, licence, changelog, docs."""
    with tarfile.open(built / f"{RELEASE}.tar.gz") as archive:
        names = {member.name for member in archive if member.isfile()}
    kept = files_in(FOLDER) | {"PKG-INFO", "setup.cfg"}
    assert {"README.md", "LICENSE", "CHANGELOG.md", "pyproject.toml"} < kept
    assert names == {f"{RELEASE}/{name}" for name in kept}
    sdist = built / f"{RELEASE}.tar.gz"
    run(*PIP, "wheel", *OFFLINE, "--no-deps", "--wheel-dir", tmp_path, sdist, folder=tmp_path)
    [wheel], [same] = built.glob("*.whl"), tmp_path.glob("*.whl")
    assert members(same) == members(wheel)


def test_the_distribution_describes_itself(python: Path) -> None:
    """Version, licence, requirements and extras, and the readme."""
    [packages] = python.parent.parent.glob("lib/python*/site-packages")
    [installed] = Distribution.discover(name="jobqueue-500ms", path=[str(packages)])
    assert installed.version == jobqueue.__version__
    assert installed.metadata["License-Expression"] == "MIT"
    assert installed.metadata.get_payload() == (FOLDER / "README.md").read_text()
    assert installed.requires == [
        "SQLAlchemy>=2.0.30",
        'psycopg[binary]>=3.2; extra == "postgresql"',
        'Flask>=3.1; extra == "dashboard"',
        'prometheus-client>=0.22; extra == "dashboard"',
    ]


def test_installed_it_works_from_an_empty_folder(python: Path, tmp_path: Path) -> None:
    """SQLAlchemy is its only requirement, nothing else is imported, and nothing else of ours is there."""
    assert run(python, "-c", PROGRAM, folder=tmp_path) == PRINTED


def test_installed_it_has_a_command(python: Path, tmp_path: Path) -> None:
    """`jobqueue` prints its version, creates the tables and lists the jobs."""
    command = python.parent / "jobqueue"
    assert run(command, "--version", folder=tmp_path) == f"jobqueue {jobqueue.__version__}\n"
    database = ("--database", "sqlite:///jobs.db")
    run(command, "migrate", *database, folder=tmp_path)
    assert run(command, "list", *database, folder=tmp_path) == "no jobs\n"


def test_an_editable_install_follows_its_folder(tmp_path: Path) -> None:
    """A change is seen at once. Whatever the folder is called, the package is jobqueue."""
    source = copy_of_the_folder(tmp_path / "source")
    before = files_in(source)
    python = fresh_environment(tmp_path / "environment", "setuptools")
    run(*PIP, "--python", python, "install", *OFFLINE, "--editable", source, folder=tmp_path)
    assert files_in(source) == before
    assert run(python, "-c", PROGRAM, folder=tmp_path) == PRINTED
    changed = source / "__init__.py"
    changed.write_text(changed.read_text().replace(f'"{jobqueue.__version__}"', '"9.8.7"'))
    assert run(python.parent / "jobqueue", "--version", folder=tmp_path) == "jobqueue 9.8.7\n"


def test_the_core_works_without_its_tools(tmp_path: Path) -> None:
    """A copy of the folder may leave out all but its modules, and of these __main__.py."""
    libraries, empty = tmp_path / "libraries", tmp_path / "empty"
    (libraries / "jobqueue").mkdir(parents=True)
    empty.mkdir()
    for path in FOLDER.glob("*.py"):
        if path.name != "__main__.py":
            shutil.copy(path, libraries / "jobqueue")
    link(libraries, *SQLALCHEMY)
    program = f"import sys; sys.path.append({str(libraries)!r})\n{PROGRAM}"
    assert run(sys.executable, "-I", "-S", "-c", program, folder=empty) == PRINTED


@pytest.mark.parametrize("options", [[], ["--editable"]])
def test_the_workbook_is_not_installed_by_accident(options: list[str], tmp_path: Path) -> None:
    """pip says in a sentence what to do instead."""
    python = fresh_environment(tmp_path / "environment")
    said = run(*PIP, "--python", python, "install", *OFFLINE, *options, ROOT, folder=tmp_path, status=1)
    assert "The workbook is not a package: it runs from this folder, and make" in said
    assert "pip install ./jobqueue" in said and "Traceback" not in said


def test_a_release_is_described_once() -> None:
    """The newest release in the changelog is the version, and the licence is the project's."""
    releases = re.findall(
        r"^## \[(\d.*)\] - \d{4}-\d\d-\d\d$", (FOLDER / "CHANGELOG.md").read_text(), re.MULTILINE
    )
    assert releases[0] == jobqueue.__version__
    assert (FOLDER / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
