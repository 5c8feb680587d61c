"""Helpers for chapter 9: tools against a freezing server, and closed load beside open."""

import math
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from loadtests.errors import ProcessError
from loadtests.folders import temporary_folder
from loadtests.judging.rule import word_of
from loadtests.judging.samples import summarise
from loadtests.records.constants import LOCUST_SECONDS
from loadtests.records.figures import Summary
from loadtests.records.recording import read_recording
from loadtests.records.rows import in_window
from loadtests.report.chart_rows import Series
from loadtests.report.chartparts import COLOURS
from loadtests.servers.processes import Process
from loadtests.status import Status
from loadtests.theory import ClosedLoad, OpenLoad
from loadtests.wording import figure, percent
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
    with temporary_folder("workbook") as folder, ExitStack() as exits:
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
    reasons = {reason for found in DISTURBED.findall(said) for reason in found.split("; ")}
    say_if_disturbed(reasons, fit=Status.UNFIT not in statuses.values())
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
            f"{name:6}  {percent(seen['share_over'] or 0)} of {seen['count']} requests over 500 ms"
            f" (95 % interval {percent(low)} to {percent(high)}), p99 {figure(seen, 'p99_ms')}\n"
            f"        the rule is {verdict(looks['steps'][name]['exit_status'], seen)}"
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
            f"{users:2} people  closed: {waits.throughput:4.1f} a second, mean {waits.response:.1f} s"
            f"  open: {comes.rate:4.1f} a second, mean {grows}"
        )
