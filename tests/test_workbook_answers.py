"""Each exercise's check takes right answers, however they are written, and refuses wrong ones in a sentence.

The answers are in `answers_NN.py`, one file a chapter, as `ANSWERS = {"1": Answers(check, right, wrong)}`:
at least two right ones, written differently, and three wrong ones: a constant that fits the example, the
naive one, and one that is off by one or by a unit, or forgets a case.
"""

import importlib
import re
from typing import Any

import pytest
from answers import Answers
from notebooks_path import NOTEBOOKS

# isort: split
import chapters
from workbook.exercises import NO_ANSWER, problem_of

CHAPTERS = {each.number: each for each in chapters.all_chapters()}
TABLES: dict[int, dict[str, Answers]] = {
    int(path.stem[-2:]): importlib.import_module(path.stem).ANSWERS
    for path in sorted(NOTEBOOKS.parent.glob("tests/answers_[0-9][0-9].py"))
}
EXERCISES = [
    pytest.param(answers, id=f"{number}.{name}", marks=[pytest.mark.live] * answers.live)
    for number, table in TABLES.items()
    for name, answers in table.items()
]


@pytest.mark.parametrize("number", TABLES)
def test_each_exercise_of_a_chapter_is_here(number: int) -> None:
    """And no check is known that no exercise uses."""
    source = CHAPTERS[number].source.read_text()
    assert list(TABLES[number]) == re.findall(rf"\*\*Exercise {number}\.(\d+)\.", source)


@pytest.mark.parametrize("answers", EXERCISES)
def test_right_answers_are_right(answers: Answers) -> None:
    """At least two, written differently; each three times, since checks draw their examples."""
    assert len(answers.right) >= 2
    assert [problem_of(each, answers.check) for each in answers.right for _ in range(3)] == [None] * 3 * len(
        answers.right
    )


@pytest.mark.parametrize("answers", EXERCISES)
def test_wrong_answers_are_refused_with_a_sentence(answers: Answers) -> None:
    """At least three; the sentence is not the exception of an answer that does not even run."""
    assert len(answers.wrong) >= 3
    for each in answers.wrong:
        for _ in range(3):
            assert_refused(each, problem_of(each, answers.check))


def assert_refused(answer: Any, said: str | None) -> None:
    assert said, f"taken for right: {answer!r}"
    assert said != NO_ANSWER and "raised" not in said, said
    assert said.rstrip().endswith((".", "?", ")")), said
