"""Follows a document as a reader would, and compares what happens with what is shown.

A `python` block is a file, named by its first line, and a `diff` block a change to a file; a `pycon` block
is typed into a Python console; a `console` block holds commands after "$ ", with Ctrl-C as "^C"; an `ini`
block is a systemd unit. In the output shown, "..." matches anything.
"""

import configparser
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from doctest import DocTestParser
from pathlib import Path
from typing import NamedTuple

from conftest import wait_until

from jobqueue.tools.options import DATABASE_VARIABLE
from loadtests.servers.processes import Process

CONSOLE = Path(__file__).with_name("readme_console.py")
PLACEHOLDER = "postgresql+psycopg://shop:secret@db.example/shop"  # stands for the test's own server
PORT = "8000"  # stands for a free port


def free_port() -> int:
    """A port of this machine's that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


class Block(NamedTuple):
    """A block of code: its language, and its text."""

    language: str
    text: str


# What differs from run to run, and what replaces it.
VARIES = [
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(\+00:00)?( UTC)?", "MOMENT"),
    (r"\d+:\d\d:\d\d", "TIME"),
    (r"in \S+://\S+:", "in URL:"),
    (r"pid:\d+", "PID"),
    (r"host:\S+", "HOST"),
    (r"\d+ (ms|s|min|h|days) ago", "AGO"),
    (r"\(in \d+ (ms|s|min|h|days)\)", "(LATER)"),
    (r"at \d+\.\d+ j/s", "RATE"),
    (r"(p\d\d at most) \d+ m?s", r"\1"),
    (r"(?m) (\d s|\d+ ms)$", " AGE"),
    (r"\d+\.\d+\.\d+", "VERSION"),
    (r"in \d+\.\d+s", "SECONDS"),
    (r", succeeded: \d+, failed: \d+", ""),  # known only once the worker has started
]


def alike(text: str) -> str:
    """The text on one line, without what differs from run to run."""
    for pattern, name in VARIES:
        text = re.sub(pattern, name, text)
    return " ".join(text.split())


def shows(expected: str, printed: str) -> bool:
    """Whether the printed text matches the expected one."""
    parts = [re.escape(part) for part in re.split(r" ?\.\.\. ?", alike(expected))]
    return re.fullmatch(".*".join(parts), alike(printed)) is not None


class Reader:
    """Follows the blocks of a page, in a folder."""

    def __init__(self, folder: Path, database: str):
        self.folder = folder
        self.environment = {
            **os.environ,
            DATABASE_VARIABLE: database,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONDONTWRITEBYTECODE": "1",  # so that a rewritten file is read anew
            "COLUMNS": "80",
        }
        self._stands_for = {PLACEHOLDER: database, PORT: str(free_port())}
        self._background = ExitStack()
        self._console: subprocess.Popen[str] | None = None

    def go_through(self, block: Block) -> None:
        {
            "python": self.write,
            "diff": self.change,
            "pycon": self.type,
            "console": self.command,
            "ini": self.unit,
        }[block.language](block.text)

    def write(self, text: str) -> None:
        """Write a file."""
        file = self._file_of(text)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def change(self, text: str) -> None:
        """Change a file: lines with "+" come in the place of those with "-", or after those with neither."""
        file = self._file_of(text)
        lines = [line if line.strip() else f" {line}" for line in text.splitlines(keepends=True)[1:]]
        before, after = ("".join(line[1:] for line in lines if line[0] in signs) for signs in (" -", " +"))
        there = file.read_text()
        assert there.count(before) == 1, f"{file.name} has this {there.count(before)} times:\n{before}"
        file.write_text(there.replace(before, after))

    def type(self, text: str) -> None:
        """Type statements into the Python console, and compare their output."""
        for example in DocTestParser().get_examples(text):
            printed = self._execute(example.source)
            expected = re.sub(r"(?m)^Traceback .*\n +\.\.\.\n", "", example.want)
            assert shows(expected, printed), f"{example.source}printed\n{printed}\nand not\n{expected}"

    def command(self, text: str) -> None:
        """Run shell commands, and compare their output."""
        for name, value in self._stands_for.items():
            text = text.replace(name, value)
        for line in re.split(r"(?m)^\$ ", text)[1:]:
            command, _, expected = line.partition("\n")
            if command.startswith("export "):
                self.environment |= dict([command.removeprefix("export ").split("=", 1)])
                continue
            if command == "kill %1":
                self._background.close()
                continue
            if command.endswith(" &"):
                self._serve(command.removesuffix(" &"))
                continue
            printed = self._interrupt(command, expected) if "^C\n" in expected else self._run(command)
            expected = expected.replace("^C\n", "")
            assert shows(expected, printed), f"{command}\nprinted\n{printed}\nand not\n{expected}"

    def unit(self, text: str) -> None:
        """Start, reload and stop the service of a systemd unit."""
        parser = configparser.ConfigParser(interpolation=None)
        parser.optionxform = str  # type: ignore[method-assign, assignment]
        parser.read_string(text)
        service = parser["Service"]
        program, *arguments = shlex.split(service["ExecStart"])
        name, _, _ = service["Environment"].partition("=")
        assert (Path(program).name, name) == ("jobqueue", DATABASE_VARIABLE)
        assert service["ExecReload"] == "/bin/kill -HUP $MAINPID"
        stop_timeout = float(arguments[arguments.index("--stop-timeout") + 1])
        assert float(service["TimeoutStopSec"]) > stop_timeout + 5
        with self._started([Path(program).name, *arguments]) as process:
            wanted = int(arguments[arguments.index("--processes") + 1])
            for number, rounds in ((signal.SIGHUP, 1), (signal.SIGTERM, 2)):
                wait_until(lambda n=rounds: self._count(process, "Starting") == n * wanted, "workers")
                process.tree()[0].send_signal(number)
            assert process.wait_with(lambda: None, timeout=60) == 0
            assert self._count(process, "Exiting") == 2 * wanted

    def close(self) -> None:
        """End any process that is still running."""
        self._background.close()
        if self._console:
            try:
                self._console.communicate(timeout=60)
            finally:
                self._console.kill()
        if (self.folder / "jobqueue.state").exists():
            self._run("jobqueue stop --now")

    def _execute(self, source: str) -> str:
        if not self._console:
            command = [sys.executable, str(CONSOLE)]
            self._console = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd=self.folder,
                env=self.environment,
                text=True,
            )
        assert self._console.stdin and self._console.stdout
        self._console.stdin.write(json.dumps(source) + "\n")
        self._console.stdin.flush()
        return str(json.loads(self._console.stdout.readline()))

    def _run(self, command: str) -> str:
        return subprocess.run(
            ["bash", "-c", command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=self.folder,
            env=self.environment,
            text=True,
            timeout=60,
            check=False,
        ).stdout

    def _interrupt(self, command: str, expected: str) -> str:
        before, _, _ = expected.partition("^C\n")
        with self._started(shlex.split(command)) as process:
            self._await(process, lambda: shows(before, process.output()), f"{before}from {command}")
            process.tree()[0].send_signal(signal.SIGINT)
            process.wait_with(lambda: None, timeout=60)
            return process.output()

    def _serve(self, command: str) -> None:
        """Start a web server in the background, and wait until it answers."""
        server = self._background.enter_context(self._started(shlex.split(command)))
        port = int(self._stands_for[PORT])

        def answers() -> bool:
            with socket.socket() as client:
                return client.connect_ex(("127.0.0.1", port)) == 0

        self._await(server, answers, command)

    @staticmethod
    def _await(process: Process, condition: Callable[[], bool], what: str) -> None:
        def met() -> bool:
            ended = not process.is_running()  # asked first, so that its last words are seen
            it_is = condition()
            assert it_is or not ended, f"waited for {what}\nwhich ended, and had printed\n{process.output()}"
            return it_is

        wait_until(met, what)

    def _file_of(self, text: str) -> Path:
        named = re.match(r"# ([\w./]+)\n", text)
        assert named, f"this block begins with its file's name: {text[:60]!r}"
        return self.folder / named[1]

    def _started(self, command: list[str]) -> Process:
        in_folder = ["env", "-C", str(self.folder), *command]
        return Process(command[0], in_folder, self.folder / f"{command[0]}.output", self.environment)

    @staticmethod
    def _count(process: Process, what: str) -> int:
        return process.output().count(f"*** {what} job worker")
