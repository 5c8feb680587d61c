"""Predictions: written down before the measurement, scored after it, summed up on the last page.

They are kept in notebooks/predictions.json, one for each name and chapter, and survive a restart.
"""

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbook.session import NOTEBOOKS, WorkbookError, session
from workbook.words import in_words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WELL_SAID = 1.5  # a factor; below it a prediction counts as good
UNIT_SECONDS = {
    "ms": 1e-3,
    "seconds": 1.0,
    "minutes": 60.0,
    "hours": 3600.0,
    "days": 86400.0,
    "weeks": 604800.0,
}


@dataclass(frozen=True)
class Prediction:
    """What was said and, once it is known, what was measured, in the same unit."""

    chapter: int
    name: str
    unit: str
    said: float
    measured: float | None = None
    at_least: bool = False  # the measurement is a lower bound

    @property
    def factor(self) -> float | None:
        """How many times too small or too large it was, from 1 up; infinite if one is 0; None if unknown."""
        if self.measured is None:
            return None
        if self.at_least and self.said >= self.measured:
            return 1.0
        if self.said == self.measured:
            return 1.0
        low, high = sorted((self.said, self.measured))
        return high / low if low > 0 else math.inf

    @property
    def verdict(self) -> str:
        """ "well said", or how far off."""
        factor = self.factor
        if factor is None:
            return "not measured"
        if factor < WELL_SAID:
            return "well said"
        if math.isinf(factor):
            return "off (no factor: one of the two is 0)"
        return f"off by a factor of {'at least ' if self.at_least else ''}{times(factor)}"


def times(factor: float) -> str:
    """A factor in words: "1.0", "6.4", "121"; "-" if it is infinite."""
    if math.isinf(factor):
        return "-"
    return f"{factor:.1f}" if factor < 9.95 else f"{factor:.0f}"


def predict(name: str, /, *figures: float, **said: float) -> None:
    """Note what you expect, before you look: predict("submit", seconds=4). Replaces an earlier prediction.

    The keyword is the unit: seconds, percent, per_second, users, jobs, or any other word.
    Raises WorkbookError unless there is exactly one number, 0 or more, with its unit.
    """
    if figures or len(said) != 1:
        raise WorkbookError(f'Write one figure with its unit, for instance predict("{name}", seconds=2).')
    ((unit, value),) = said.items()
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise WorkbookError(f"{value!r} is not a prediction: write a number, 0 or more, such as {unit}=2.")
    if unit in UNIT_SECONDS and value == 0:
        raise WorkbookError(f"Nothing takes 0 {unit}: write a number above 0.")
    prediction = Prediction(session().chapter, name, unit, value)
    _write({_key(each): each for each in read()} | {_key(prediction): prediction})
    print(f"Noted: {name}, {in_words(value, unit)}.")


def score(name: str, /, *figures: float, at_least: bool = False, **measured: float | None) -> None:
    """Print how far the prediction was from the measurement: score("submit", seconds=11).

    The keyword is the unit; times are converted to it. None: nothing was measured. `at_least`: the
    measurement is a lower bound. Raises WorkbookError if the prediction was made in another unit.
    """
    if figures or len(measured) != 1:
        raise WorkbookError(f'Give one figure with its unit, for instance score("{name}", seconds=11).')
    ((unit, value),) = measured.items()
    predictions = {_key(each): each for each in read()}
    wanted = (session().chapter, name)
    said = predictions.get(wanted)
    if said is None:
        others = [f'"{each.name}"' for each in predictions.values() if each.chapter == wanted[0]]
        print(
            f"{name}: no prediction of that name was noted; run the cell with predict() first."
            f" (Noted: {', '.join(others) or 'none in this chapter'}.)"
        )
        return
    scored = Prediction(*wanted, unit, _converted(said, unit), value, at_least)
    _write(predictions | {wanted: scored})
    print(f"{name}: {_sentence(scored)}")


def _converted(each: Prediction, unit: str) -> float:
    """The prediction, converted to this unit."""
    if each.unit == unit:
        return each.said
    if each.unit in UNIT_SECONDS and unit in UNIT_SECONDS:
        return each.said * UNIT_SECONDS[each.unit] / UNIT_SECONDS[unit]
    raise WorkbookError(
        f"You predicted {in_words(each.said, each.unit)}, and this is measured in another unit: change the"
        f' prediction to predict("{each.name}", {unit}=...), run its cell again, and then this one.'
    )


def _sentence(each: Prediction) -> str:
    said = f"you said {in_words(each.said, each.unit)}"
    if each.measured is None:
        return f"{said}; nothing was measured."
    bound = "at least " if each.at_least else ""
    return f"{said}, it was {bound}{in_words(each.measured, each.unit)}: {each.verdict}."


def _columns(each: Prediction) -> str:
    said = in_words(each.said, each.unit)
    if each.measured is None or each.factor is None:
        return f"{said:>14}  {'not measured':>16}"
    was = ("≥ " if each.at_least else "") + in_words(each.measured, each.unit)
    return f"{said:>14}  {was:>16}  {times(each.factor)}"


def summary() -> "Figure | None":
    """Print all predictions of all chapters with their scores, and return a picture of them."""
    predictions = read()
    if not predictions:
        print("No prediction has been noted yet. The first ones are in chapter 1.")
        return None
    width = max(len(each.name) for each in predictions)
    print(f"    {'':{width}}  {'you said':>14}  {'it was':>16}  off by")
    for each in predictions:
        print(f"{each.chapter:2}  {each.name:{width}}  {_columns(each)}")
    scored = [each for each in predictions if each.factor is not None]
    if not scored:
        return None
    good = sum((each.factor or 0) < WELL_SAID for each in scored)
    none = any(math.isinf(each.factor or 0) for each in scored)
    said = "; -: no factor, since one of the two is 0" if none else ""
    print(f"\n{good} of {len(scored)} were off by a factor of less than {WELL_SAID}{said}.")
    from workbook.pictures import predictions_figure

    return predictions_figure(scored)


def read() -> list[Prediction]:
    """All predictions of this reader, by chapter. Raises WorkbookError if their file can't be read."""
    file = predictions_file()
    if not file.exists():
        return []
    try:
        return [Prediction(**each) for each in json.loads(file.read_text())]
    except (ValueError, TypeError) as error:
        raise WorkbookError(
            f"Your predictions, in notebooks/{file.name}, can't be read ({error})."
            " Delete the file, and predict again."
        ) from None


def predictions_file() -> Path:
    """Where this reader's predictions are kept."""
    return Path(os.environ.get("WORKBOOK_PREDICTIONS") or NOTEBOOKS / "predictions.json")


def _key(each: Prediction) -> tuple[int, str]:
    return each.chapter, each.name


def _write(predictions: Mapping[Any, Prediction]) -> None:
    """Write the file whole or not at all, by chapter, and within a chapter as noted."""
    file = predictions_file()
    ordered = sorted(predictions.values(), key=lambda each: each.chapter)
    partial = file.with_suffix(".part")
    partial.write_text(json.dumps([vars(each) for each in ordered], indent=1) + "\n")
    partial.replace(file)
