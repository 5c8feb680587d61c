"""What a check of an exercise has to take for right, and what it has to refuse."""

import gzip
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from notebooks_path import NOTEBOOKS

Json = dict[str, Any]


@dataclass(frozen=True)
class Answers:
    """An exercise's check, as its chapter calls it, with right answers and with wrong ones."""

    check: Callable[[Any], bool | str]
    right: Sequence[Any]
    wrong: Sequence[Any]
    live: bool = False  # it starts processes


def recording(name: str) -> Json:
    """What notebooks/data/ has of an experiment: its `settings`, and its `result`."""
    found: Json = json.loads(gzip.decompress((NOTEBOOKS / "data" / f"{name}.json.gz").read_bytes()))
    return found


def as_if(results: Json, **settings: Any) -> Json:
    """The results of a bench, had they been measured with other settings."""
    return results | {"settings": results["settings"] | settings}
