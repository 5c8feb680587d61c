"""The checks of chapter 11's exercises."""

from workbook.exercises import sealed

the_better_way = sealed(
    "3", "80ff3dc6", hint="They need the answer itself, so no queue; and how many wait at a time?"
)
