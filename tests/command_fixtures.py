"""The fixture for tests of commands.

A test module that needs it sets `pytest_plugins = ["queue_fixtures", "command_fixtures"]`.
"""

import sys
from pathlib import Path

import pytest
from commands_for_tests import Answer, Command

from jobqueue.tools.cli import main
from jobqueue.tools.options import DATABASE_VARIABLE


@pytest.fixture
def command(
    database_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Command:
    """command("list", "--json") runs a command on the test's database, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(DATABASE_VARIABLE, database_url)
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.setenv("COLUMNS", "80")

    def run(*arguments: object) -> Answer:
        capsys.readouterr()
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as error:  # raised by argparse
            assert isinstance(error.code, int)
            status = error.code
        return Answer(status, *capsys.readouterr())

    return run
