"""The servers of the tests that run Locust.

A test module that needs them says `pytest_plugins = ["locust_fixtures"]`.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from loadtests.servers.processes import Process


@pytest.fixture(scope="module")
def null_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server that answers at once."""
    log = tmp_path_factory.mktemp("null") / "log"
    with Process("null server", [sys.executable, "-m", "loadtests.bench.nullserver"], log) as process:
        yield process.wait_for_address()


@pytest.fixture(scope="module")
def truth_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server that takes known times."""
    log = tmp_path_factory.mktemp("truth") / "log"
    server = Path(__file__).with_name("truth_server.py")
    with Process("truth server", [sys.executable, str(server)], log) as process:
        yield process.wait_for_address()
