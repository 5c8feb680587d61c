"""Helpers for chapter 9: tools against a freezing server, rows that flatter, runs that are too short."""

import math
import random
import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from loadtests.errors import ProcessError
from loadtests.judging.rule import word_of
from loadtests.judging.samples import nearest_rank, summarise
from loadtests.records.constants import LOCUST_SECONDS
from loadtests.records.figures import Summary
from loadtests.records.recording import read_recording
from loadtests.records.rows import Row, in_window
from loadtests.report.chart_rows import Series
from loadtests.report.chartparts import COLOURS
from loadtests.servers.processes import Process
from loadtests.status import Status
from loadtests.theory import ClosedLoad, OpenLoad
from loadtests.wording import duration, figure, percent
from workbook.readers import rows_of, say_if_disturbed

# ---- tools that look at a server that freezes

SERVER = Path(__file__).with_name("chapter09_freezing.py")
LOCUSTFILE = """\
from locust import FastHttpUser, constant_pacing, task

import loadtests.plugin


class LookingUser(FastHttpUser):
    wait_time = constant_pacing({pace})

    @task
    def look(self):
        self.client.get("/")
"""
TOOLS = {
    "closed": ["--users", "1"],
    "open": ["--users", "1", "--model", "open", "--rate", "{rate}"],
    "one connection": ["--users", "1", "--model", "open", "--rate", "{rate}", "--connections", "1"],
}
TOOL_COLOURS = {"closed": COLOURS["sync"], "open": COLOURS["queued"], "one connection": "#007A5A"}
# As the Locust plugin words the reasons.
DISTURBED = re.compile(r"(?:But this proves nothing|Its latencies are upper bounds): (.*)\.")


def frozen_server(
    rate: float, warmup: float, seconds: float, freeze_at: float, freeze: float
) -> dict[str, Any]:
    """Run three tools at once, `rate` requests per second each, against a server that freezes once.

    Times are in seconds; `seconds` includes the warm-up, and `freeze_at` counts from the first request.
    Returns the rows of each tool, for `tools_of`. A slowed or unfit load is reported; when
    recording, it raises WorkbookError.
    """
    with tempfile.TemporaryDirectory(prefix="workbook-") as name, ExitStack() as exits:
        folder = Path(name)
        locustfile = folder / "look.py"
        locustfile.write_text(LOCUSTFILE.format(pace=1 / rate))
        server = [sys.executable, str(SERVER), str(freeze_at), str(freeze)]
        log = folder / "server.log"
        url = exits.enter_context(Process("freezing server", server, log)).wait_for_address()
        common = [*_locust(locustfile, url), "--warm-up", f"{warmup:g}", "--run-time", f"{seconds:g}s"]
        looking = {
            tool: exits.enter_context(_tool(folder, tool, [*common, *options], rate))
            for tool, options in TOOLS.items()
        }
        statuses = {
            tool: each.wait_with(lambda: None, seconds + LOCUST_SECONDS) for tool, each in looking.items()
        }
        results = {tool: _look(folder, tool, status, looking[tool]) for tool, status in statuses.items()}
        said = "".join(process.output() for process in looking.values())
    say_if_disturbed(set(DISTURBED.findall(said)), fit=Status.UNFIT not in statuses.values())
    return {"csv": {tool: each.pop("csv") for tool, each in results.items()}, "steps": results}


def _locust(locustfile: Path, url: str) -> list[str]:
    return [
        *(sys.executable, "-m", "locust", "-f", str(locustfile), "--headless", "--only-summary"),
        *("--host", url, "--stop-timeout", "3", "--fail-over", "1", "--exit-code-on-error", "0"),
    ]


def _tool(folder: Path, tool: str, command: Sequence[str], rate: float) -> Process:
    file = _file(folder, tool)
    written = [part.format(rate=rate) for part in command]
    return Process(f"load generator ({tool})", [*written, "--rows", str(file)], file.with_suffix(".log"))


def _file(folder: Path, tool: str) -> Path:
    return folder / f"{tool.replace(' ', '-')}.csv"


def _look(folder: Path, tool: str, status: int, process: Process) -> dict[str, Any]:
    file = _file(folder, tool)
    if not file.exists():
        raise ProcessError(f"Locust ended with status {status}. It said:\n{process.output()[-1500:]}")
    recording = read_recording(file)
    return {
        "rows": tool,
        "csv": file.read_text(),
        "exit_status": status,
        "window_s": [recording.warm_up_s, recording.stopped_s],
        "ended_s": recording.ended_s,
    }


def tools_of(looks: Mapping[str, Any]) -> dict[str, Series]:
    """What each tool recorded, as the figures of `loadtests.report.chart_rows` take it."""
    return {
        tool: Series(tool, TOOL_COLOURS[tool], rows_of(looks, step), step["ended_s"], tuple(step["window_s"]))
        for tool, step in looks["steps"].items()
    }


def judged(tool: Series, naive: bool = False) -> Summary:
    """A tool's figures, without its warm-up; `naive`: timed from the moment of sending."""
    return summarise(in_window(tool.rows, *tool.window), tool.ended, naive=naive)


def tell(looks: Mapping[str, Any], *names: str) -> None:
    """Print what each of these tools found, with its interval, and what its exit status means."""
    tools = tools_of(looks)
    for name in names:
        seen = judged(tools[name])
        low, high = seen["share_ci"] or (0.0, 1.0)
        print(
            f"{name:6} of {seen['count']} requests {percent(seen['share_over'] or 0)} over 500 ms,"
            f" 95 % interval {percent(low)} to {percent(high)}; p99 {figure(seen, 'p99_ms')}\n"
            f"       the rule is {verdict(looks['steps'][name]['exit_status'], seen)}"
        )


def verdict(status: int, seen: Summary) -> str:
    """What the interval of the share proves, if the load was fit."""
    if status == Status.UNFIT:
        return "not to be judged: the run was not fit"
    word = word_of(seen["over"], seen["judged"])
    if status == Status.UNDECIDED and word == "broken":
        return "undecided: over 1 %, but the machine was too busy to say that the server did it"
    return f"{word}: the interval reaches across 1 %" if word == "undecided" else word


# ---- open or closed


def closed_and_open(people: Sequence[int], slots: int, think: float, demand: float) -> None:
    """Print throughput and mean response time of closed loads of `people`, and of open ones at their rate."""
    for users in people:
        waits = ClosedLoad(slots=slots, users=users, think=think, demand=demand)
        comes = OpenLoad(slots=slots, rate=users / (think + demand), demand=demand)
        grows = "grows without end" if math.isinf(comes.response) else f"{comes.response:.1f} s"
        print(
            f"{users:2} people   closed: {waits.throughput:4.1f} requests/s, mean {waits.response:.1f} s"
            f"   open: {comes.rate:4.1f} requests/s, mean {grows}"
        )


# ---- what is counted


UNLUCKY = 0.1  # share of the requests of `minute`
MINUTE = 60.0


def minute(unlucky: str, requests: int = 600, seed: int = 8) -> list[Row]:
    """A minute of requests, of which a tenth is unlucky, always the same ones.

    "slow": they take 3 to 5 s. "refused": the server says 503 after 2 ms. "unanswered": it never answers.
    """
    source, rows = random.Random(seed), []
    for number in range(requests):
        begun = source.random() * MINUTE
        good = source.lognormvariate(math.log(0.15), 0.5)
        bad, slow = source.random() < UNLUCKY, source.uniform(3, 5)
        takes = {"slow": slow, "refused": 0.002, "unanswered": math.inf}[unlucky] if bad else good
        done = begun + takes
        answered = done <= MINUTE
        status = 0 if not answered else 503 if bad and unlucky == "refused" else 200
        rows.append(Row(number, "look", "/", begun, begun, done if answered else None, status, ""))
    return rows


def servers(*unlucky: str) -> None:
    """Print what two ways of counting say about each `minute`."""
    for how in unlucky:
        rows = minute(how)
        back = [row.waited_ms(MINUTE) for row in rows if row.done_s is not None]
        seen = summarise(rows, ended=MINUTE)
        print(
            f"{how:10}  p95 of what came back: {duration(nearest_rank(back, 95)):>6}"
            f"   p95 {figure(seen, 'p95_ms'):>8}, {percent(seen['share_over'] or 0)} over 500 ms"
        )


# ---- how many requests it takes

MEDIAN_MS, SIGMA = 210.0, 0.5
TRUE_P95_MS = MEDIAN_MS * math.exp(1.6448536 * SIGMA)  # 1.64...: 95 % of a normal distribution lie below


def many_runs(requests: int, runs: int = 1000, seed: int = 8) -> list[float]:
    """The p95, in ms, of each of many runs of `requests` requests. The server's true p95 is TRUE_P95_MS."""
    source = random.Random(seed)
    median = math.log(MEDIAN_MS)
    return [
        nearest_rank([source.lognormvariate(median, SIGMA) for _ in range(requests)], 95) for _ in range(runs)
    ]
