"""What a check of an exercise has to take for right, and what it has to refuse."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Answers:
    """An exercise's check, as its chapter calls it, with right answers and with wrong ones."""

    check: Callable[[Any], bool | str]
    right: Sequence[Any]
    wrong: Sequence[Any]
    live: bool = False  # it starts processes
