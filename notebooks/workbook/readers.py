"""Building blocks of experiments: a bench of the readers, and single visitors."""

import re
import time
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from workbook.session import WorkbookError, note_run, session
from workbook.words import in_words

if TYPE_CHECKING:
    from loadtests.bench.plan import Plan
    from loadtests.judging.rule import Ruled
    from loadtests.records.rows import Row
    from loadtests.report.chart_rows import Series

PATIENCE_SECONDS = 60.0  # for one request, or for a condition to come true
SOON_SECONDS = 0.01
ASK_AGAIN_IN = re.compile(r'data-ask-again-in="([\d.]+)"')


def bench(plan: "Plan", rows: bool = False) -> dict[str, Any]:
    """Measure the readers as `make bench` does; returns results.json, as the charts take it.

    With `rows`, every request is kept too, for `rows_of`. A slowed or unfit step is reported; when recording,
    it raises WorkbookError. Raises KeyboardInterrupt if the cell is interrupted.
    """
    from loadtests.bench.bench import run
    from loadtests.folders import temporary_folder
    from loadtests.records.steps import reasons_of

    with temporary_folder("workbook") as folder:  # a fresh one: a step that is in it is not measured again
        results: dict[str, Any] = {**run(plan, folder)}
        if results["interrupted"]:
            raise KeyboardInterrupt
        if rows:
            results["csv"] = {step["rows"]: (folder / step["rows"]).read_text() for step in results["steps"]}
    say_if_disturbed(
        {reason for step in results["steps"] for reason in reasons_of(step)},
        fit=not any(step["unfit_reasons"] for step in results["steps"]),
    )
    return results


def say_if_disturbed(reasons: Collection[str], fit: bool) -> None:
    """Print why a measurement was slowed or not `fit`, if it was, and have its scores marked as doubtful.

    When recording, raises WorkbookError.
    """
    if not reasons:
        return
    what = "Slowed, so that latencies are upper bounds" if fit else "Not fit to judge by"
    said = f"{what}: {'; '.join(sorted(reasons))}."
    if session().mode in ("record", "complete"):
        raise WorkbookError(f"{said} It was not recorded.")
    note_run(disturbed=True)
    print(f"{said} Close whatever else is running on this machine, and run the cell again.")


def sampled(summary: Mapping[str, Any], key: str) -> dict[str, Any]:
    """A percentile, or share_over, of a summary, with its interval: score(name, **sampled(submit, "p50_ms")).

    Times are in seconds, the share in percent. Raises WorkbookError for a figure without an interval.
    """
    stem, _, kind = key.rpartition("_")
    if f"{stem}_ci" not in summary:
        raise WorkbookError(f"{key} has no interval: score a percentile (such as p50_ms), or share_over.")
    unit, scale = ("seconds", 1e-3) if kind == "ms" else ("percent", 100.0)
    figures = (summary[key], *(summary[f"{stem}_ci"] or (None, None)))
    value, *ends = (figure if figure is None else figure * scale for figure in figures)
    return {unit: value, "interval": ends, "at_least": key in summary["lower_bounds"]}


def counted(some: int, of: int) -> dict[str, Any]:
    """A share with its interval, from counts of a sample: score(name, **counted(wrong, of=runs))."""
    from loadtests.judging.intervals import clopper_pearson

    return {"percent": 100 * some / of, "interval": [100 * end for end in clopper_pearson(some, of)]}


def rows_of(results: Mapping[str, Any], step: Mapping[str, Any]) -> "list[Row]":
    """Every request of a step. Raises WorkbookError if its bench kept no rows."""
    from loadtests.folders import temporary_folder
    from loadtests.records.rows import read_rows

    if "csv" not in results:
        raise WorkbookError("This experiment kept no rows: give it rows=True, and measure again.")
    with temporary_folder("workbook") as folder:
        file = folder / "rows.csv"
        file.write_text(results["csv"][step["rows"]])
        return read_rows(file)


def last_steps(results: Mapping[str, Any]) -> dict[str, Any]:
    """Each app's step: the last, if the bench measured some of them again."""
    from loadtests.wording import SHORT

    steps = {step["app"]: step for step in results["steps"]}
    return {app: steps[app] for app in SHORT if app in steps}


def series_of(results: Mapping[str, Any], group: "Ruled" = "submit") -> "list[Series]":
    """One group of requests, submit or browse, of each app's last step: for `timeline_figure`.

    Raises WorkbookError if the bench kept no rows.
    """
    from loadtests.report.chart_rows import app_series

    steps: Any = last_steps(results)
    return app_series({app: rows_of(results, step) for app, step in steps.items()}, steps, group)


def submit(reader: str, feed: str) -> float:
    """Submit a feed's address to a reader as a form would; returns how many seconds the answer took."""
    import requests

    began = time.perf_counter()
    answer = requests.post(
        f"{reader}/feeds", data={"url": feed}, allow_redirects=False, timeout=PATIENCE_SECONDS
    )
    seconds = time.perf_counter() - began
    answer.raise_for_status()
    print(f"{feed.rsplit('/feeds/')[1]:16} answered in {in_words(seconds)}")
    return seconds


def read(reader: str, feed: str, after: float = 0.0, every: float | None = None) -> dict[str, float]:
    """Submit a feed as a form would, and poll its page as a browser would, until the content is there.

    Begins after `after` seconds, and polls when the reader says, or every `every` seconds. Returns when the
    "answer" and the "content" came, in seconds. Raises WorkbookError if the content does not come.
    """
    import requests

    time.sleep(after)
    with requests.Session() as visitor:
        began = time.perf_counter()
        form = {"url": feed}
        answer = visitor.post(f"{reader}/feeds", data=form, allow_redirects=False, timeout=PATIENCE_SECONDS)
        answered = time.perf_counter() - began
        answer.raise_for_status()
        page = urljoin(reader, answer.headers["location"])
        told = ASK_AGAIN_IN.search(visitor.get(page, timeout=PATIENCE_SECONDS).text)
        if told:  # the feed is still being fetched
            pause = float(told[1])
            while pause:
                if time.perf_counter() - began > PATIENCE_SECONDS:
                    raise WorkbookError(f"{feed} was not fetched: is a worker running?")
                time.sleep(every or pause)
                state = visitor.get(f"{page}.json", timeout=PATIENCE_SECONDS)
                pause = state.json().get("ask_again_in")
            visitor.get(page, timeout=PATIENCE_SECONDS)
        return {"answer": answered, "content": time.perf_counter() - began}


def under_way(feed_server: str, kind: str) -> int:
    """How many requests for feeds of this kind a feed server has in flight."""
    import requests

    stats = requests.get(f"{feed_server}/stats", timeout=PATIENCE_SECONDS).json()
    return int(stats["in_flight"][kind])


def comes_true(holds: Callable[[], bool], within: float) -> bool:
    """Wait for a condition for at most `within` seconds; returns whether it came true."""
    deadline = time.monotonic() + within
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(SOON_SECONDS)
    return True


def wait_until(holds: Callable[[], bool], complaint: str) -> None:
    """Wait for a condition. Raises ProcessError with the complaint if it does not come true."""
    from loadtests.errors import ProcessError

    if not comes_true(holds, PATIENCE_SECONDS):
        raise ProcessError(f"{complaint} Waited {PATIENCE_SECONDS:g} s.")
