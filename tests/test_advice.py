"""What the bench says to type next."""

import os
import shlex
from pathlib import Path

import pytest
from test_bench_repeats import Measure, measured

from loadtests.bench import bench
from loadtests.bench.advice import REPORTS, cut_off, to_decide, to_resume
from loadtests.bench.plan import Plan

__all__ = ["measured"]


@pytest.mark.parametrize("folder", ["reports/2030-01-31-120000", "my runs/a", 'it\'s $HOME, "mine"'])
@pytest.mark.parametrize("by_make", [True, False])
def test_the_command_to_resume_is_typed_as_the_run_was_begun(
    folder: str, by_make: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shell gives the folder to the bench as it was, also through make."""
    if by_make:
        monkeypatch.setenv("MAKELEVEL", "1")
    else:
        monkeypatch.delenv("MAKELEVEL", raising=False)
    words = shlex.split(to_resume(Path(folder)).removeprefix("To resume: "))
    if by_make:
        make, target, options = words
        assert (make, target) == ("make", "bench")
        words = shlex.split(options.removeprefix("ARGS=").replace("$$", "$"))
    assert words[-2:] == ["--resume", folder]


def test_a_run_that_ended_without_a_word_is_offered_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If it is the last one, and has measured a step: not an older one, nor one that wrote its results."""
    monkeypatch.chdir(tmp_path)
    assert cut_off() is None
    older, last = REPORTS / "b", REPORTS / "a"
    for age, folder in ((2, older), (1, last)):
        (folder / "steps").mkdir(parents=True)
        (folder / "run.json").write_text("{}")
        os.utime(folder / "run.json", (1000 - age, 1000 - age))
    (older / "steps" / "one.json").write_text("{}")
    assert cut_off() is None
    (last / "steps" / "one.json").write_text("{}")
    assert cut_off() == last
    (last / "results.json").write_text("{}")
    assert cut_off() is None


@pytest.mark.parametrize(
    ("outcomes", "said"),
    [
        (["fit"], ""),
        (["slow"], ""),
        (["few", "late", "late"], "--seconds 56, or --repeats 4"),
        (["full", "full"], "stop what else runs on this machine"),
        (["late", "late"], "several times: --users 10 --repeats 3."),
    ],
)
def test_a_run_that_has_proved_nothing_says_what_may(
    outcomes: list[str], said: str, measured: Measure, tmp_path: Path
) -> None:
    """More requests, or a machine with room; nothing where the rule was kept, or broken."""
    measured(*outcomes)
    words = to_decide(bench.run(Plan(users=(20,), apps=("queued",)), tmp_path))
    assert said in words and bool(said) == bool(words)
    assert all(len(line) <= 80 for line in words.splitlines())
