"""Every command and line of code in README.md is run."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from loadtests.bench.options import parse_options, plan_of
from loadtests.servers.processes import Process

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
COMMANDS = [line for language, block in BLOCKS if language == "sh" for line in block.splitlines() if line]

# Under `make test`, its variables must not reach the makes that are tested.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}

# A bench of seconds instead of minutes; the README's own options come later, and win.
SHORT = "--users 2 --seconds 1 --warm-up 0.5 --mix fast=100 --slots 2"


def run(command: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    """Run a command in a shell from the project's root."""
    return subprocess.run(
        command,
        shell=True,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        cwd=ROOT,
        env=ENVIRONMENT,
    )


def test_every_command_has_a_test_here() -> None:
    """A command added to the README fails until a test below runs it."""
    assert COMMANDS == [
        "make bench",
        "make demo",
        "make demo ARGS=--tour",
        "make demo ARGS=--text",
        'make bench ARGS="--users 1,20,100 --app queued"',
        'make bench ARGS="--model open --rate 2,5,10"',
        'make bench ARGS="--users 30,100 --slots 4,16,64,256"',
        "make bench ARGS=--help",
        "make bench-full",
        "make notebooks",
        "make sync",
        "make queued",
        'make queued ARGS="--engine celery"',
        ".venv/bin/locust -f loadtests/feeds.py --app queued",
        ".venv/bin/locust -f loadtests/feeds.py --app sync --headless --users 20 --run-time 30s",
        ".venv/bin/locust -f loadtests/feeds.py --help-load",
        "make bench-queue",
        "make engines",
        "make test",
    ]


@pytest.mark.live
def test_make_bench_passes_its_arguments(tmp_path: Path) -> None:
    """`make bench` runs the bench; ARGS reach it. (make's own status is 2 whatever the bench's was.)"""
    done = run(f'make bench ARGS="{SHORT} --app queued --out {tmp_path / "out"}"')
    assert "The report:" in done.stdout, done.stderr
    assert (tmp_path / "out" / "report.html").exists()


@pytest.mark.parametrize("options", ["--model open --rate 2,5,10", "--users 30,100 --slots 4,16,64,256"])
def test_the_options_of_the_readme_make_a_plan(options: str) -> None:
    """They are parsed unchanged. (test_bench.py runs similar ones.)"""
    plan = plan_of(parse_options(options.split()))
    assert len(plan.steps()) == (6 if "open" in options else 16)


@pytest.mark.live
def test_the_loads_own_help_is_printed() -> None:
    """It includes the options that the plugin adds to Locust's."""
    done = run(f"{sys.executable} -m locust -f loadtests/feeds.py --help-load")
    assert done.returncode == 0 and "--rate" in done.stdout


@pytest.mark.live
@pytest.mark.parametrize(("target", "option"), [("bench", "--users N,N"), ("demo", "--tour")])
def test_make_explains_options(target: str, option: str) -> None:
    """It prints the command's help, with status 0. (What the demo's options do: test_demo_live.py.)"""
    done = run(f"make {target} ARGS=--help")
    assert done.returncode == 0
    assert option in done.stdout


@pytest.mark.live
@pytest.mark.parametrize(("app", "options"), [("sync", ""), ("queued", ""), ("queued", " --engine celery")])
def test_make_sync_and_make_queued_print_addresses_and_stop_on_ctrl_c(
    app: str, options: str, tmp_path: Path
) -> None:
    """A terminal's Ctrl-C reaches make and all processes below it."""
    command = ["make", app, f"ARGS=--port 0 --feeds-port 0{options}"]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=ENVIRONMENT,
        start_new_session=True,
    ) as make:
        assert make.stdout
        try:
            while (line := make.stdout.readline()).startswith(("Making", "Installing")):
                pass  # on a fresh clone
            assert re.match(rf"The {app} reader +http://127\.0\.0\.1:\d+ ", line)
            os.killpg(make.pid, signal.SIGINT)
            assert "Stopping ..." in make.stdout.read()
            make.wait(60)
        finally:
            if make.poll() is None:
                os.killpg(make.pid, signal.SIGKILL)


@pytest.mark.live
def test_make_bench_queue_passes_its_arguments(tmp_path: Path) -> None:
    """It measures what they ask for, prints it, and writes it to a file."""
    done = run(f'make bench-queue ARGS="--quick --only import --out {tmp_path / "out"}"')
    assert "import jobqueue" in done.stdout, done.stderr
    assert (tmp_path / "out" / "results.json").exists()


@pytest.mark.live
def test_locust_runs_on_a_reader_that_it_starts() -> None:
    """The README's command, shortened."""
    (command,) = (line for line in COMMANDS if "--headless" in line)
    done = run(command.replace("30s", "2s").replace(".venv/bin/locust", f"{sys.executable} -m locust"))
    assert "From every request, unrounded" in done.stdout, done.stderr


@pytest.mark.live
def test_locusts_page_can_be_opened(tmp_path: Path) -> None:
    """The README's command gets as far as its page."""
    command = [sys.executable, "-m", "locust", "-f", str(ROOT / "loadtests" / "feeds.py"), "--app", "queued"]
    with Process(
        "locust", [*command, "--web-host", "127.0.0.1", "--web-port", "0"], tmp_path / "log"
    ) as process:
        process.wait_for("Starting web interface", timeout=60)


@pytest.mark.live
def test_the_make_targets_of_the_readme_exist() -> None:
    """`make notebooks` opens JupyterLab and `make test` runs this test, so neither is run here."""
    for target in ("notebooks", "test", "bench", "bench-full", "engines", "sync", "queued", "diff"):
        assert run(f"make --dry-run {target}").returncode == 0


@pytest.mark.live
def test_the_python_code_does_what_it_says(tmp_path: Path) -> None:
    """Run unchanged, in an empty folder."""
    (code,) = (block for language, block in BLOCKS if language == "python")
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True, cwd=tmp_path
    )
    assert done.stdout == "Hello, world!\n(1, 0)\n"


@pytest.mark.live
def test_the_diff_is_what_make_diff_shows() -> None:
    """The two lines in the README are the two lines of the lesson."""
    (shown,) = (block for language, block in BLOCKS if language == "diff")
    lines = run("make diff").stdout.splitlines()
    assert all(line in lines for line in shown.splitlines())


@pytest.mark.parametrize("name", ["README.md", "DESIGN.md", "CHANGELOG.md"])
def test_links_lead_somewhere(name: str) -> None:
    """Every relative link is an existing file or folder."""
    targets = re.findall(r"\]\((?!https?://)([^)#]+)\)", (ROOT / name).read_text())
    assert [target for target in targets if not (ROOT / target).exists()] == []


@pytest.mark.live
def test_make_alone_lists_every_target_with_its_help() -> None:
    """A target without a help line would be missing from the list, and fails here. It fits a terminal."""
    shown = run("make").stdout
    assert max(map(len, shown.splitlines())) <= 80
    listed = re.findall(r"^  ([a-z-]+) {2,}\S", shown, re.MULTILINE)
    targets = re.findall(r"^\.PHONY: ([a-z-]+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(targets)
