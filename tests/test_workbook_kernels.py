"""What a cell starts ends with the cell or the kernel, however these end."""

import os
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from queue import Empty
from typing import Any

import notebooks_path
import psutil
import pytest
from conftest import still_running, wait_until
from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.manager import KernelManager

pytestmark = pytest.mark.live

BEGIN = "from workbook import begin, experiment\nbegin(3)"
HOLD = """
import threading
from loadtests.servers.stack import Stack, StackSettings

def hold(**settings):
    with Stack(StackSettings(slots=1, **settings)) as stack:
        print("up", flush=True)
        threading.Event().wait()

experiment("hold", hold, **SETTINGS)
"""
KEEP = """
from loadtests.servers.stack import Stack, StackSettings
stack = Stack(StackSettings(slots=1, **SETTINGS)).start()
print("up", flush=True)
"""
BACKGROUND = """
from workbook.chapter06 import Monday
monday = Monday()
monday.begin()
monday.terminal(["start --import queued_app.jobs"])
"""
READY_SECONDS = 60.0


class Kernel:
    """A kernel started as Jupyter does for a notebook, and its client."""

    def __init__(self) -> None:
        self.manager = KernelManager(kernel_name="python3")
        environment = {name: value for name, value in os.environ.items() if not name.startswith("WORKBOOK")}
        self.manager.start_kernel(cwd=str(notebooks_path.NOTEBOOKS), env=environment)
        self.client: BlockingKernelClient = self.manager.blocking_client()
        self.client.start_channels()
        self.client.wait_for_ready(READY_SECONDS)

    def process(self) -> psutil.Process:
        return psutil.Process(self.manager.provisioner.pid)  # type: ignore[union-attr]

    def run(self, code: str, until: str | None = None) -> list[dict[str, Any]]:
        """Execute a cell; returns its messages once it is done or has printed `until`."""
        self.client.execute(code)
        messages: list[dict[str, Any]] = []
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            with suppress(Empty):
                message = self.client.get_iopub_msg(timeout=1)
                messages.append(message)
                content = message["content"]
                assert until is None or message["msg_type"] != "error", content
                if content.get("execution_state") == "idle" and until is None:
                    return messages
                if until is not None and until in content.get("text", ""):
                    return messages
        pytest.fail(f"the cell was not done after {READY_SECONDS:g} seconds: {messages}")

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        self.manager.cleanup_resources()


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    """A kernel in the workbook's folder."""
    started = Kernel()
    yield started
    started.close()


def kill(kernel: Kernel) -> None:
    """As when the machine runs out of memory."""
    os.kill(kernel.process().pid, signal.SIGKILL)


WAYS: dict[str, Callable[[Kernel], object]] = {
    "interrupted": lambda kernel: kernel.manager.interrupt_kernel(),
    "restarted": lambda kernel: kernel.manager.restart_kernel(now=True),
    "closed": lambda kernel: kernel.manager.shutdown_kernel(),
    "killed": kill,
}
READERS = {"sync": {"app": "sync"}, "queued": {"app": "queued", "database": "postgresql"}}


@pytest.mark.parametrize(
    ("way", "code", "reader"),
    [
        ("interrupted", HOLD, "queued"),
        ("interrupted", HOLD, "sync"),
        ("restarted", HOLD, "sync"),
        ("restarted", KEEP, "queued"),
        ("closed", KEEP, "sync"),
        ("killed", HOLD, "queued"),
        ("killed", KEEP, "sync"),
    ],
    ids=lambda value: {HOLD: "in a cell", KEEP: "between cells"}.get(value, value),
)
def test_no_process_is_left(kernel: Kernel, way: str, code: str, reader: str) -> None:
    """Web server, worker, feed server, PostgreSQL and their guards all end soon after."""
    kernel.run(BEGIN)
    kernel.run(code.replace("SETTINGS", repr(READERS[reader])), until="up")
    started = kernel.process().children(recursive=True)
    commands = [" ".join(process.cmdline()) for process in started]
    assert sum("gunicorn" in command for command in commands) >= 2, commands
    WAYS[way](kernel)
    wait_until(lambda: not still_running(started), f"the end of {commands}")


@pytest.mark.parametrize("way", ["closed", "killed"])
def test_workers_in_the_background_end_too(kernel: Kernel, way: str) -> None:
    """Chapter 6's: `jobqueue start` has made them children of nobody."""
    kernel.run(BEGIN)
    said = "".join(each["content"].get("text", "") for each in kernel.run(BACKGROUND))
    found = re.search(r"supervisor pid:(\d+) runs, with workers: 1", said)
    assert found, said
    supervisor = psutil.Process(int(found[1]))
    started = [supervisor, *supervisor.children(), *kernel.process().children(recursive=True)]
    WAYS[way](kernel)
    wait_until(lambda: not still_running(started), "the end of the reader and its workers")


def test_a_port_in_use_is_one_message_without_a_traceback(kernel: Kernel) -> None:
    """It says what to do."""
    kernel.run(BEGIN)
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        messages = kernel.run(KEEP.replace("SETTINGS", repr({"app": "sync", "feeds_port": port})))
    (error,) = (message["content"] for message in messages if message["msg_type"] == "error")
    (text,) = error["traceback"]
    assert "Another program holds that port." in text
    assert "Traceback" not in text


def test_a_chapter_can_begin_twice_in_one_kernel() -> None:
    """As it does when a reader fills in a blank and runs all cells again; figures keep their words."""
    with closing(Kernel()) as kernel:
        for code in (BEGIN, BEGIN, "begin(3, recorded=True)"):
            assert [each for each in kernel.run(code) if each["msg_type"] == "error"] == []
        drawn = kernel.run("from matplotlib.figure import Figure\nFigure(label='Two lines.')")
        shown = [each["content"]["data"] for each in drawn if each["msg_type"] == "execute_result"]
        assert 'alt="Two lines."' in shown[0]["text/html"]
