"""The fixture for tests of the workbook.

A test module that needs it sets `pytest_plugins = ["workbook_fixtures"]`.
"""

from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import notebooks_path  # noqa: F401
import pytest


@pytest.fixture
def chapter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Begins chapter 3 live; chapter(5, "recorded") begins another. No file of a reader's is touched."""
    import workbook.experiments

    monkeypatch.setenv("WORKBOOK_PREDICTIONS", str(tmp_path / "predictions.json"))
    for name in ("WORKBOOK", "WORKBOOK_BLANKS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(workbook.experiments, "DATA", tmp_path / "data")

    def begin(number: int = 3, mode: str = "live") -> None:
        with pytest.MonkeyPatch.context() as environment, redirect_stdout(StringIO()):
            environment.setenv("WORKBOOK", mode)
            workbook.begin(number)

    begin()
    return begin
