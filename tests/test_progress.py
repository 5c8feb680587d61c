"""What a bench says while it runs: at most 80 columns, in a terminal and in a pipe."""

import re
from typing import Any

import pytest
from test_verdict import step as step_of

from loadtests.bench.bench import foretold
from loadtests.bench.plan import Condition, Plan, PlannedStep
from loadtests.bench.progress import Progress, about, announcement, in_words, result_line
from loadtests.bench.search import Left, Next, next_step, what_is_left

LONGEST = [
    Condition("host", users=2000),
    Condition("queued", users=1400),
    Condition("sync", rate=99.5),
    Condition("queued", rate=5.55, burst=100),
]
WHYS = ["", "once more", "more requests", "within the rule", "in between", "to be sure"]


def measured(condition: Condition, **changed: Any) -> dict[str, Any]:
    """A step with the widest figures there are."""
    found = step_of(condition.app, condition.users, 0.9996, p95=99_900.0, at_least=True, **changed)
    wide = {"p50_ms": 99_900.0, "lower_bounds": ["p50_ms", "p95_ms"]}
    return found | {"submit": found["submit"] | wide, "steady": bool(condition.burst)}


@pytest.mark.parametrize("condition", LONGEST)
def test_no_line_is_wider_than_80_columns(condition: Condition) -> None:
    """The longest conditions, reasons, counts and figures."""
    for why in WHYS[:2] if condition.burst else WHYS:
        line = announcement(Next(PlannedStep(condition), why), 98, in_words(Left(28, 3599.0, at_most=True)))
        assert len(line) <= 80, line
    for fit in (True, False):
        line = result_line(condition, measured(condition, fit=fit))  # type: ignore[arg-type]
        assert len(line) <= 80 and "p95 ≥ 99.9 s over >99.9 %" in line, line


def test_a_result_says_whether_the_rule_was_kept() -> None:
    """Or that nothing was learnt."""
    twenty = Condition("queued", users=20)
    assert result_line(twenty, step_of("queued", 20)).endswith(" over     0 % kept")  # type: ignore[arg-type]
    unfit = step_of("queued", 20, fit=False)
    assert result_line(twenty, unfit).endswith(" over     0 % not fit")  # type: ignore[arg-type]


def test_the_time_left_is_said_roughly() -> None:
    """It is an estimate."""
    assert [about(40.2), about(89.0), about(100.0), about(400.0)] == ["40 s", "89 s", "2 min", "7 min"]


def test_beforehand_it_is_said_what_a_run_will_do_and_how_long_it_takes() -> None:
    """Without a search, its steps; with one, also how many more there may be."""
    assert foretold(Plan(users=(1, 100))) == "4 steps, 2 min."
    assert foretold(Plan(search=True)) == (
        "8 steps, 4 min. Then an app that still keeps the rule gets more users, up to 2000, until it breaks"
        " it or this machine can do no more: at most 10 more steps, 6 min, for each."
    )


def report_on(plan: Plan) -> None:
    """Report on a run in which every step takes no time, and is kept."""
    done: list[Any] = []
    with Progress() as progress:
        while following := next_step(plan, done):
            condition = following.step.condition
            progress.begin(following, plan.seconds(condition), len(done), what_is_left(plan, done))
            progress.tick()
            done.append(measured(condition) | {"repeat": following.step.repeat})
            progress.done(condition, done[-1])


def test_a_pipe_is_told_before_each_step_what_runs_and_what_is_left(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A line before each step, and one after it."""
    report_on(Plan(users=(1, 100)))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 * 4
    for number, line in enumerate(lines[::2], start=1):
        left = rf"{5 - number} steps?, \d+ (s|min) left"
        assert re.fullmatch(rf"Step {number}: (sync|queued), \d+ users?; {left}", line), line
    assert all(" p95 " in line for line in lines[1::2])


@pytest.mark.parametrize("columns", [80, 120])
def test_the_bar_fits_a_terminal(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing wraps; and the bar says the same as the lines in a pipe."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", str(columns))
    report_on(Plan(search=True))
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", capsys.readouterr().out)
    lines = [line for line in re.split(r"[\r\n]", shown) if line]
    assert max(map(len, lines)) <= 80
    assert re.fullmatch(r"(sync|queued), \d+ users? \S+ at most 1 step, 0 s left *", lines[-1])
