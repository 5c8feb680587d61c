"""The teacher's page follows the chapters: their exercises, their minutes, and the tour's steps."""

import re
from datetime import datetime, timedelta
from itertools import accumulate, pairwise

from notebooks_path import NOTEBOOKS

# isort: split
import chapters

from loadtests.demo.tour import TOUR

PAGE = (NOTEBOOKS / "teachers.md").read_text()
CHAPTERS = chapters.all_chapters()


def table(first: str) -> list[list[str]]:
    """The cells of each row of the table whose first column has this name."""
    rows = PAGE.partition(f"\n| {first} |")[2].partition("\n\n")[0].splitlines()[2:]
    assert rows, f"no table begins with {first}"
    return [[cell.strip() for cell in row.strip("| ").split(" | ")] for row in rows]


def test_every_exercise_has_its_wrong_answers() -> None:
    """And nothing stands there about one that is gone."""
    asked = {
        found
        for chapter in CHAPTERS
        for cell in chapters.solution(chapter).cells
        for found in re.findall(r"\*\*Exercise (\d+\.\d)\.\*\*", cell.source)
    }
    assert {row[0] for row in table("exercise")} == asked


def test_every_chapter_has_its_aim() -> None:
    """One line each, in order."""
    assert [int(row[0]) for row in table("chapter")] == [chapter.number for chapter in CHAPTERS]


def test_the_day_takes_the_chapters_minutes() -> None:
    """By the chapters' own headers; and each line begins when the one before it ends."""
    day = table("time")
    minutes = {chapter.title: chapter.minutes for chapter in CHAPTERS}
    planned = {what: int(took) for _, what, took in day if what[0].isdigit()}
    assert planned.items() <= minutes.items()
    for (begins, _, took), (ends, *_) in pairwise(day):
        assert datetime.strptime(begins, "%H:%M") + timedelta(minutes=int(took)) == datetime.strptime(
            ends, "%H:%M"
        )


def test_the_tour_is_as_the_page_says() -> None:
    """The steps' names, and when each begins."""
    begins = accumulate((step.seconds for step in TOUR[:-1]), initial=0)
    steps = [[f"{at // 60:.0f}:{at % 60:02.0f}", step.title] for at, step in zip(begins, TOUR, strict=True)]
    assert [row[:2] for row in table("the tour, at")] == steps
