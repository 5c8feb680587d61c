"""Which module may import which: dependencies run one way. Nor does a test read private names."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OURS = {"jobqueue", "feedreader", "sync_app", "queued_app", "loadtests"}
MAY_IMPORT = {
    "jobqueue": {"sqlalchemy", "psycopg", "flask", "prometheus_client", "setuptools"},
    "feedreader": {"sqlalchemy", "requests", "urllib3", "feedparser", "flask", "werkzeug"},
    "sync_app": {"feedreader", "flask", "werkzeug", "sqlalchemy"},
    "queued_app": {"feedreader", "jobqueue", "flask", "werkzeug", "sqlalchemy"},
}
ONLY_IN = {  # (package, library): the only files of the package that may import it
    ("jobqueue", "flask"): {"dashboard.py"},
    ("jobqueue", "prometheus_client"): {"metrics.py"},
    ("jobqueue", "setuptools"): {"backend.py"},  # which builds the wheel, and is not in it
    ("feedreader", "flask"): {"web.py"},
    ("loadtests", "prometheus_client"): {"metrics.py"},
    ("loadtests", "locust"): {
        "feeds.py",
        "nullvisits.py",
        "plugin.py",
        "process.py",
        "visiting.py",
        "visitors.py",
        "watching.py",
    },
}
ROOMS = (  # of loadtests: each may import those before it
    *("status", "errors", "files", "folders", "records", "wording", "arguments", "pipelines", "ports"),
    *("feedserver", "engines", "servers", "generator", "judging", "live", "plugin", "feeds"),
    *(
        "numerics",
        "theory",
        "predicting",
        "comparing",
        "report",
        "bench",
        "queuebench",
        "enginebench",
        "torture",
        "demo",
        "__main__",
    ),
)
WRITTEN_TWICE = {  # public names that several files define, and why that misleads nobody
    **dict.fromkeys(
        (
            *(
                "ASK_SECONDS",
                "BUSY_TIMEOUT_MS",
                "WAL_BYTES",
                "CONNECT_SECONDS",
                "KEEPALIVES",
                "SILENT_SECONDS",
            ),
            *("UTCDateTime", "OpenFile"),
        ),
        "the same: feedreader and jobqueue may not import each other",
    ),
    "Base": "SQLAlchemy's declarative base, one for each set of tables",
    "Event": "the queue's, which observers get, and the simulation's, which never meet",
    "HERE": "the folder of that very file",
    "ONCE": "the same: the colour of what ran once",
    "Queue": "jobqueue's, and what takes its place on each other engine",
    "Settings": "the reader's and the bench's, which never meet: neither imports the other",
    "Status": "a feed's and a command's, which never meet: neither imports the other",
    "T": "a type variable",
    "TWICE": "the same: the colour of what ran twice",
}
# Except a namedtuple's methods, whose underscore only avoids clashes with fields.
PRIVATE = re.compile(r"(^|\.)(_(?!replace$|asdict$|fields$)[a-z]\w*|registry)(\.|$)")


def modules(path: Path) -> set[str]:
    """The full names of all modules that a file imports, at any level."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: imports are absolute here"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def imports(path: Path) -> set[str]:
    """The top-level names of a file's imports outside the standard library."""
    return {name.partition(".")[0] for name in modules(path)} - set(sys.stdlib_module_names)


def rooms(path: Path) -> set[str]:
    """The rooms of loadtests that a file imports."""
    return {name.split(".")[1] for name in modules(path) if name.startswith("loadtests.")}


@pytest.mark.parametrize("package", sorted(MAY_IMPORT))
def test_a_package_imports_only_what_it_may(package: str) -> None:
    """Neither packages of ours that it must not know, nor libraries it does not depend on."""
    for path in (ROOT / package).rglob("*.py"):
        assert imports(path) <= MAY_IMPORT[package] | {package}, path


def test_the_queue_stands_without_its_tools() -> None:
    """The library can be lifted out without them."""
    for path in (ROOT / "jobqueue").glob("*.py"):
        assert "jobqueue.tools" not in path.read_text() or path.name == "__main__.py", path


def test_the_load_tests_import_none_of_the_apps() -> None:
    """They start the apps as commands, as a user would. Only the queue's benchmark and its torture import
    the library under test, for the jobs, and to enqueue them; and the engines the reader, to serve it.
    """
    under_test = {
        "queuebench": {"jobqueue"},
        "torture": {"jobqueue"},
        "engines": {"feedreader", "queued_app"},
    }
    for path in (ROOT / "loadtests").rglob("*.py"):
        measured = under_test.get(path.parent.name, set())
        assert not imports(path) & (OURS - {"loadtests"} - measured), path


def test_the_rooms_of_the_load_tests_stand_in_an_order() -> None:
    """So there are no cycles: to read a room you need to know only the earlier ones."""
    folder = ROOT / "loadtests"
    places = {room: place for place, room in enumerate(ROOMS)}
    for path in folder.rglob("*.py"):
        own = path.relative_to(folder).with_suffix("").parts[0]
        if own != "__init__":
            assert own in places, f"{path} is in no room: add it to ROOMS"
            late = {room for room in rooms(path) - {own} if places[room] >= places[own]}
            assert not late, f"{path} imports {late}"


def test_the_notebooks_are_imported_by_nobody() -> None:
    """They come last."""
    for path in (each for package in OURS for each in (ROOT / package).rglob("*.py")):
        assert not imports(path) & {"notebooks", "workbook"}, path


@pytest.mark.parametrize(("package", "module"), sorted(ONLY_IN))
def test_some_libraries_are_imported_in_few_files_only(package: str, module: str) -> None:
    """Importing Locust monkey-patches the process; Flask belongs to the web."""
    files = {path.name for path in (ROOT / package).rglob("*.py") if module in imports(path)}
    assert files == ONLY_IN[package, module]


def test_the_notebooks_never_import_locust_or_the_apps() -> None:
    """Locust would monkey-patch the kernel."""
    sources = [*(ROOT / "notebooks").glob("*.py"), *(ROOT / "notebooks" / "source").glob("*.py")]
    assert sources
    for path in sources:
        assert not imports(path) & {"locust", "gevent", "sync_app", "queued_app", "feedreader"}, path


def defined(path: Path) -> Iterator[str]:
    """The public classes, types and constants that a module defines."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            stored = (each for target in targets for each in ast.walk(target) if isinstance(each, ast.Name))
            yield from (each.id for each in stored if each.id[0].isupper())


def test_a_name_has_one_meaning() -> None:
    """No class, type or constant of one module has another's name: who looks for a name finds one thing."""
    modules = [path for package in OURS | {"notebooks"} for path in (ROOT / package).rglob("*.py")]
    places: dict[str, set[str]] = {}
    # Chapters, and the apps that one of them is about, are whole programs each.
    for path in (each for each in modules if each.parent.name not in ("source", "apps")):
        for name in defined(path):
            places.setdefault(name, set()).add(str(path.relative_to(ROOT)))
    repeated = {name: where for name, where in places.items() if len(where) > 1}
    assert {name: where for name, where in repeated.items() if name not in WRITTEN_TWICE} == {}
    assert repeated.keys() == WRITTEN_TWICE.keys(), "WRITTEN_TWICE names one that is unique"


def names(path: Path) -> Iterator[str]:
    """The attributes a file reads of other objects, what it imports, and the names it passes as text to
    setattr() and the like.
    """
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) not in ("self", "cls"):
            if ast.unparse(node) != "os._exit":
                yield node.attr
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from (alias.name for alias in node.names)
            yield getattr(node, "module", None) or ""
        elif isinstance(node, ast.Call) and re.search(r"\b(get|set|del|has)attr$", ast.unparse(node.func)):
            yield from (str(ast.literal_eval(each)) for each in node.args if isinstance(each, ast.Constant))


def test_no_test_reads_a_private_name_or_patches_the_registry_of_jobs() -> None:
    """A test looks at what a user can see: `_name` is read only from `self`."""
    found = {path.name: [*filter(PRIVATE.search, names(path))] for path in (ROOT / "tests").glob("*.py")}
    assert {name: private for name, private in found.items() if private} == {}
