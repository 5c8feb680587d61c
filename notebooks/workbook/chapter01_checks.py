"""The checks of chapter 1's exercises."""

from workbook.exercises import sealed

still_slow = sealed(
    "3",
    "45c1fb0c",
    hint="Who waits for a place, and who for somebody else's server? Only the first is helped by places.",
)
