"""The options that loadtests.plugin adds to Locust's own."""

import argparse
from pathlib import Path
from typing import Any

import pytest

from loadtests.errors import UsageError
from loadtests.generator.loadoptions import Load, add_options, load_from


def parsed(*arguments: str) -> argparse.Namespace:
    """The result of argparse for a command line, without Locust's own option for its page."""
    parser = argparse.ArgumentParser()

    def option(*names: str, include_in_web_ui: bool = True, **kwargs: Any) -> None:
        parser.add_argument(*names, **kwargs)

    add_options(option)
    return parser.parse_args(arguments)


def test_nothing_said_is_closed_load_without_a_limit_to_fail_on() -> None:
    """The options' defaults are those of Load."""
    assert load_from(parsed()) == Load()


def test_all_that_is_said_arrives() -> None:
    """Each option sets its own field."""
    load = load_from(
        parsed(
            *("--model", "open", "--rate", "20.5", "--in-flight", "300", "--connections", "40"),
            *("--burst", "100", "--burst-at", "3", "--seed", "5", "--warm-up", "2", "--rule", "250"),
            *("--rows", "x.csv", "--fail-over", "1", "--until-decided", "--stop-when-broken"),
            *("--prometheus", "9090"),
        )
    )
    assert load == Load(
        model="open",
        rate=20.5,
        in_flight=300,
        connections=40,
        burst=100,
        burst_at=3.0,
        seed=5,
        warm_up=2.0,
        rule_ms=250.0,
        rows=Path("x.csv"),
        fail_over=1.0,
        until_decided=True,
        stop_when_broken=True,
        prometheus=9090,
    )


def test_steps_are_rates_one_after_the_other_in_open_load() -> None:
    """Each for --step-seconds."""
    load = load_from(parsed("--model", "open", "--steps", "10,20.5", "--step-seconds", "5"))
    assert load.pieces() == [(10.0, 0.0, 5.0), (20.5, 5.0, 10.0)]


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        ("--model open", "--rate 10"),
        ("--rate 10", "--model open"),
        ("--connections 4", "--connections: only for open load"),
        ("--burst 4", "--burst: only for open load"),
        ("--model open --rate 1 --in-flight 0", "at least 1"),
        ("--model open --rate 1 --steps 1,2", "leave out --rate"),
        ("--steps 1.5,2", "give whole ones"),
        ("--steps 1,2 --step-seconds 0.5", "must be whole"),
        ("--steps 1,2 --step-seconds 5 --warm-up 5", "make --step-seconds longer"),
        ("--model open --steps 1,2 --until-decided", "leave out --until-decided"),
        ("--rule 0", "must be more than 0 ms"),
        ("--rows x.json", "such as rows.csv"),
    ],
)
def test_what_does_not_go_together_is_refused_with_advice(arguments: str, advice: str) -> None:
    """As a usage error, in plain words."""
    with pytest.raises(UsageError, match=advice):
        load_from(parsed(*arguments.split()))


@pytest.mark.parametrize(
    "arguments",
    [
        "--rate -1",
        "--rate nan",
        "--rate inf",
        "--in-flight 1.5",
        "--burst -2",
        "--steps 1,,2",
        "--steps 0",
        "--steps ten",
        "--prometheus 0",
        "--prometheus 70000",
        "--model other",
        "--fail-over x",
    ],
)
def test_a_value_that_is_none_is_refused_at_once(arguments: str, capsys: pytest.CaptureFixture[str]) -> None:
    """By argparse itself: status 2, and the option's name in the message."""
    with pytest.raises(SystemExit) as exit_info:
        parsed(*arguments.split())
    assert exit_info.value.code == 2
    assert arguments.split(maxsplit=1)[0] in capsys.readouterr().err


def test_what_locusts_page_may_say_is_refused_too() -> None:
    """Its form checks only the type."""
    for name, value in [("burst", -1), ("warm_up", -1.0), ("connections", -1), ("model", "other")]:
        options = parsed("--model", "open", "--rate", "10")
        setattr(options, name, value)
        with pytest.raises(UsageError):
            load_from(options)


def test_the_labels_on_locusts_page_fit_its_form() -> None:
    """It shows each option's name and, in brackets, the first sentence of its help text."""
    labels = []

    def option(name: str, include_in_web_ui: bool = True, **said: Any) -> None:
        if include_in_web_ui:
            labels.append(f"{name.removeprefix('--')} ({said['help'].partition('. ')[0]})")

    add_options(option)
    assert len(labels) > 5 and [label for label in labels if len(label) > 60] == []
