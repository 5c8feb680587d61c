"""Was it the app that was measured, or the machine and the load generator? Pure.

A step that fails one of these checks is not fit to judge: its figures are shown as unfit, and are in no
chart.
"""

MOST_LAG_MS = 10.0  # how late the generator may be, at its 99th percentile
MOST_HOST_CPU = 80.0  # percent of all cores
MOST_GENERATOR_CPU = 80.0  # percent of the one core that it can use


def unfit_reasons(
    *, lag_p99_ms: float, host_cpu_percent: float, generator_cpu_percent: float, users: int, started: int
) -> list[str]:
    """Why a step proves nothing, each reason with its figure; empty when the step is fit.

    `users` were asked for, `started` were there.
    """
    reasons = []
    if lag_p99_ms > MOST_LAG_MS:
        reasons.append(
            f"the load generator was late by {lag_p99_ms:.1f} ms (p99, at most {MOST_LAG_MS:g} ms)"
        )
    if host_cpu_percent > MOST_HOST_CPU:
        reasons.append(f"the machine was {host_cpu_percent:.0f} % busy (at most {MOST_HOST_CPU:g} %)")
    if generator_cpu_percent > MOST_GENERATOR_CPU:
        reasons.append(
            f"the load generator used {generator_cpu_percent:.0f} % of its core"
            f" (at most {MOST_GENERATOR_CPU:g} %)"
        )
    if started != users:
        reasons.append(f"{started} of {users} users were there")
    return reasons
