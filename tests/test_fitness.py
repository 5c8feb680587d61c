"""When a step proves nothing, and that it says why."""

import pytest

from loadtests.fitness import unfit_reasons

FIT = {"lag_p99_ms": 9.9, "host_cpu_percent": 79.0, "generator_cpu_percent": 79.0, "users": 20, "started": 20}


def test_a_step_within_all_limits_is_fit() -> None:
    """No reasons."""
    assert unfit_reasons(**FIT) == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"lag_p99_ms": 31.4}, "the load generator was late by 31.4 ms"),
        ({"host_cpu_percent": 97.2}, "the machine was 97 % busy"),
        ({"generator_cpu_percent": 95.0}, "the load generator used 95 % of its core"),
        ({"started": 18}, "18 of 20 users were there"),
    ],
)
def test_each_limit_gives_a_reason_with_its_figure(changed: dict[str, float], said: str) -> None:
    """One limit passed: one reason, which names the bottleneck and how bad it was."""
    (reason,) = unfit_reasons(**(FIT | changed))
    assert said in reason
