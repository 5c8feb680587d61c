"""Helpers for the chapters: predictions, experiments, exercises.

Chapter 3's first cell starts with `from workbook import begin` and `begin(3)`; see WRITING.md.
Only the standard library is imported here, so that `begin` can say what a kernel lacks.
"""

from workbook.exercises import check, near
from workbook.experiments import experiment
from workbook.predictions import predict, score, summary
from workbook.readers import bench, counted, last_steps, rows_of, sampled, series_of, submit
from workbook.session import WorkbookError, begin
from workbook.words import in_words

__all__ = [
    "WorkbookError",
    "begin",
    "bench",
    "check",
    "counted",
    "experiment",
    "in_words",
    "last_steps",
    "near",
    "predict",
    "rows_of",
    "sampled",
    "score",
    "series_of",
    "submit",
    "summary",
]
