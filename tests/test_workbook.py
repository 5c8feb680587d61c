"""Checks of exercises reveal no more than they should; the errors that readers meet say what to do."""

import os
import subprocess
import sys
from typing import Any

import notebooks_path
import pytest
import workbook.session
from workbook import WorkbookError, begin, check, near
from workbook.exercises import computes
from workbook.session import advice

from loadtests.errors import ProcessError

pytest_plugins = ["workbook_fixtures"]
pytestmark = pytest.mark.usefixtures("chapter")

Captured = pytest.CaptureFixture[str]
UNANSWERED = "Exercise 3.2: not yet. There is no answer in its cell."


def answer_of(right: Any, answer: Any, capsys: Captured) -> str:
    """What the check of exercise 3.2 prints."""
    check("2", answer, right, hint="Think of N*.")
    return " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("right", [lambda answer: answer == 7, near(7, 0.02)])
def test_a_check_tells_right_from_wrong_and_from_nothing(right: Any, capsys: Captured) -> None:
    """By a condition or a tolerance; an unanswered exercise is not an error."""
    assert answer_of(right, 7, capsys) == "Exercise 3.2: right."
    assert answer_of(right, 8, capsys) == "Exercise 3.2: not yet. Think of N*."
    assert answer_of(right, ..., capsys) == UNANSWERED


@pytest.mark.parametrize("answer", [..., (7, ...), lambda n: ...])
def test_an_exercise_without_an_answer_gives_no_hint(answer: Any, capsys: Captured) -> None:
    """It would appear before readers have thought about the exercise; the same if one part is missing."""
    assert answer_of(lambda answer: answer(1) + 1 == 2, answer, capsys) == UNANSWERED


def test_a_check_may_say_what_is_wrong(capsys: Captured) -> None:
    """It returns a text instead of False."""
    right = lambda answer: "That is a rate, not a number of slots." if answer < 1 else answer == 7  # noqa: E731
    assert answer_of(right, 0.5, capsys) == "Exercise 3.2: not yet. That is a rate, not a number of slots."


def test_an_answer_that_breaks_the_check_is_no_traceback(capsys: Captured) -> None:
    """The error is named after the hint."""
    right = lambda answer: answer(1) + 1 == 2  # noqa: E731
    assert answer_of(right, "x", capsys).endswith(
        "(Your answer raised TypeError: 'str' object is not callable.)"
    )


def test_a_wrong_function_is_told_what_it_was_given(capsys: Captured) -> None:
    """Also when it raised, or emptied its list; only what can be nothing else is called rounded."""

    def said(expected: float, answer: Any) -> str:
        right = computes(lambda _: [(([3, 1],), expected, "Count the polls.")])
        return answer_of(right, answer, capsys).removeprefix("Exercise 3.2: not yet. Given ([3, 1]), it ")

    assert said(2.0, lambda them: them[0] / 0) == "raised ZeroDivisionError: division by zero."
    assert said(2.0, lambda them: 10 * them.pop()) == "returned 10. Count the polls."
    assert said(2.34, lambda them: 2) == "returned 2, which looks rounded: return the number itself."
    assert said(2.5, lambda them: 2) == "returned 2. Count the polls."


# ---- beginning, and errors


def test_a_chapter_says_how_its_experiments_are_made(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    """Live, unless set otherwise in the call or the environment."""
    begin(4)
    begin(4, recorded=True)
    monkeypatch.setenv("WORKBOOK", "recorded")
    begin(4)
    live, recorded, recorded_too = capsys.readouterr().out.splitlines()
    assert live.startswith("Chapter 4, live:")
    assert recorded == recorded_too
    assert recorded.startswith("Chapter 4, recorded:")


def test_a_mode_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message lists the valid ones."""
    monkeypatch.setenv("WORKBOOK", "fast")
    with pytest.raises(WorkbookError, match="live or to recorded"):
        begin(4)


def test_the_wrong_kernel_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names what is missing, the Python in use, and `make notebooks`."""
    monkeypatch.setattr(workbook.session, "NEEDED", ("loadtests", "no_such_package"))
    with pytest.raises(WorkbookError, match=r"no no_such_package: it is .*make notebooks"):
        begin(1)


def test_a_missing_extra_is_told_how_to_install_or_to_do_without() -> None:
    """A chapter from recordings does not need it."""
    with pytest.raises(WorkbookError, match=r"pip install no_such_engine.*begin\(10, recorded=True\)"):
        begin(10, needs=["no_such_engine"])
    begin(10, needs=["no_such_engine"], recorded=True)


def test_a_port_in_use_is_told_what_to_do() -> None:
    """gunicorn's own message, and what to do about it."""
    error = ProcessError("The web server ended. It said:\nConnection in use: ('127.0.0.1', 8001)")
    assert "a free one is taken" in advice(error)
    assert advice(ProcessError("Something else.")) == "Something else."


def test_a_missing_module_is_told_how_to_install_it() -> None:
    """In the .venv, followed by a restart."""
    error = ModuleNotFoundError("No module named 'celery'", name="celery")
    assert ".venv/bin/pip install celery. Then restart the kernel." in advice(error)


BEFORE_THE_FIRST_CELL = """
import sys
import workbook
try:
    workbook.predict("submit", seconds=1)
except workbook.WorkbookError as error:
    print(error, [name for name in ("loadtests", "numpy", "requests") if name in sys.modules])
"""


@pytest.mark.live
def test_a_cell_before_the_first_one_says_so() -> None:
    """As after a restart of the kernel. Only the standard library is imported by then; otherwise a kernel
    without our packages could not say what is missing.
    """
    environment = {**os.environ, "PYTHONPATH": str(notebooks_path.NOTEBOOKS)}
    done = subprocess.run(
        [sys.executable, "-c", BEFORE_THE_FIRST_CELL],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "Run the first cell of this notebook first: it calls begin(). []\n"
