"""Predictions: written down before the measurement, scored after it, summed up on the last page.

They are kept in predictions.json beside the notebook, one for each name and chapter, and survive a restart.
"""

import json
import math
import os
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from types import EllipsisType
from typing import TYPE_CHECKING, Any

from workbook.scoring import PERCENT, RATIOS, UNIT_SECONDS, WELL_SAID, WELL_SAID_POINTS, Ends, Prediction
from workbook.session import WorkbookError, disturbed, session
from workbook.words import in_words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KNOWN = {*RATIOS, PERCENT}  # units with a meaning; all other words count something
MOST = 1e12


def predict(name: str, /, *figures: float, **said: float | EllipsisType) -> None:
    """Note what you expect, before you look: predict("submit", seconds=4). Replaces an earlier prediction.

    The keyword is the unit: seconds, percent, per_second, users, jobs, or any other word.
    Raises WorkbookError unless there is exactly one number, 0 or more, with its unit: so "Run All" stops at a
    blank, `...`, before it shows the result. (build.py lets them pass.)
    """
    if figures or len(said) != 1:
        raise WorkbookError(f'Write one figure with its unit, for instance predict("{name}", seconds=2).')
    ((unit, value),) = said.items()
    if value is ... and os.environ.get("WORKBOOK_BLANKS"):
        print(f"{name}: not predicted yet.")
        return
    if value is ...:
        raise WorkbookError(
            f'Write down what you expect before you go on: a number in place of the dots in predict("{name}",'
            f" {unit}=...), and in any others in this cell. Then run the cell again."
        )
    if meant := get_close_matches(unit, KNOWN - {unit}, n=1, cutoff=0.7) if unit not in KNOWN else []:
        raise WorkbookError(f"There is no unit {unit!r}. Did you mean {meant[0]}?")
    least, most = ("above 0" if unit in RATIOS else "0 or more"), (100 if unit == PERCENT else MOST)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 <= value <= most or (unit in RATIOS and value == 0):
        upto = ", at most 100" if unit == PERCENT else ""
        raise WorkbookError(
            f"{str(value)[:40]} is no prediction: write a number, {least}{upto}, such as {unit}=2."
        )
    prediction = Prediction(session().chapter, name, unit, value)
    _write({_key(each): each for each in read()} | {_key(prediction): prediction})
    print(f"Noted: {name}, {in_words(value, unit)}.")


def score(
    name: str,
    /,
    *figures: float,
    at_least: bool = False,
    interval: Ends | None = None,
    computed: bool = False,
    **measured: float | None,
) -> None:
    """Print how far the prediction was from the measurement: score("submit", seconds=11).

    The keyword is the unit; times are converted to it. None: nothing was measured. `at_least`: the
    measurement is a lower bound. `interval`: the low and high of the true figure, at 95 %, if a sample was
    measured; None for an end without limit. If it is wider than what is well said, nothing is scored.
    `computed`: nothing was measured, so a disturbed run before it leaves no doubt.
    Raises WorkbookError if the prediction was made in another unit.
    """
    if figures or len(measured) != 1:
        raise WorkbookError(f'Give one figure with its unit, for instance score("{name}", seconds=11).')
    ((unit, value),) = measured.items()
    predictions = {_key(each): each for each in read()}
    wanted = (session().chapter, name)
    said = predictions.get(wanted)
    if said is None:
        others = [f'"{each.name}"' for each in predictions.values() if each.chapter == wanted[0]]
        scored = Prediction(*wanted, unit, math.nan, value, at_least)
        noted = f" Noted in this chapter: {', '.join(others)}." if others else ""
        print(f"{name}: {_outcome(scored)}. (You noted no prediction of that name.{noted})")
        return
    doubt = disturbed() and not computed
    scored = Prediction(*wanted, unit, _converted(said, unit), value, at_least, interval, doubt)
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
        return f"{said}; {_outcome(each)}."
    if not each.known:
        return f"{said}, {_outcome(each)}: not scored, since {_limits(each)}."
    doubt = " Doubtful: that run was disturbed." if each.doubtful else ""
    return f"{said}, {_outcome(each)}: {each.verdict}.{doubt}"


def _outcome(each: Prediction) -> str:
    return "nothing was measured" if each.measured is None else f"it was {_measured(each)}"


def _measured(each: Prediction) -> str:
    return ("at least " if each.at_least else "") + in_words(each.measured or 0.0, each.unit)


def _limits(each: Prediction) -> str:
    """What a sample too small to score a prediction says about the true figure."""
    low, high = (end if end is None else in_words(end, each.unit) for end in each.interval or (None, None))
    if low and high:
        return f"the true figure may be anywhere from {low} to {high} (its 95 % interval)"
    more = f" to say more than that the true figure is above {low}" if low else ""
    return f"the sample is too small{more}"


def _columns(each: Prediction) -> str:
    said = in_words(each.said, each.unit)
    was = "-" if each.measured is None else _measured(each)
    return f"{said:>14}  {was:>20}  {each.verdict.removeprefix('off by ')}{' ?' * each.doubtful}"


def summary() -> "Figure | None":
    """Print all predictions of all chapters with their scores, and return a picture of them."""
    predictions = read()
    if not predictions:
        print("No prediction has been noted yet. The first ones are in chapter 1.")
        return None
    width = max(len(each.name) for each in predictions)
    print(f"    {'':{width}}  {'you said':>14}  {'it was':>20}  off by")
    for each in predictions:
        print(f"{each.chapter:2}  {each.name:{width}}  {_columns(each)}")
    scored = [each for each in predictions if each.off is not None]
    if scored:
        print(
            f"\n{sum(each.well_said for each in scored)} of {len(scored)} were well said: off by less than a"
            f" factor of {WELL_SAID}, or by less than {WELL_SAID_POINTS:g} points of a share."
        )
    if any(each.verdict == "not scored" for each in predictions):
        print("Not scored: the sample was too small to tell.")
    if any(each.doubtful for each in predictions):
        print("?: the machine was too busy, or the load was not the one asked for; measure again.")
    if not scored:
        return None
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
            f"Your predictions, in {file}, can't be read ({error}). Delete the file, and predict again."
        ) from None


def predictions_file() -> Path:
    """Where this reader's predictions are kept."""
    return Path(os.environ.get("WORKBOOK_PREDICTIONS") or session().folder / "predictions.json")


def _key(each: Prediction) -> tuple[int, str]:
    return each.chapter, each.name


def _write(predictions: Mapping[Any, Prediction]) -> None:
    """Write the file whole or not at all, by chapter, and within a chapter as noted."""
    file = predictions_file()
    ordered = sorted(predictions.values(), key=lambda each: each.chapter)
    partial = file.with_suffix(".part")
    lines = ",\n".join(json.dumps(vars(each)) for each in ordered)
    partial.write_text(f"[\n{lines}\n]\n")
    partial.replace(file)
