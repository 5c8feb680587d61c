"""What the bench, the theory, the judge and the report must agree on. Times in seconds."""

RULE_MS = 500.0  # "avoid web requests which run longer than 500ms", Heroku on background jobs
MOST_OVER = 0.01  # the share of a group's requests that may take longer than the rule says

# Locust is run a little longer than is measured: it ends up to a second early, and cuts off requests sent at
# that very moment.
OVERRUN_SECONDS = 1.5
LOCUST_SECONDS = 60.0  # beyond the planned time, before Locust is given up
SUBMITTERS = 0.7  # share of visitors who submit feeds, from the weights in loadtests/feeds.py
# Users start one after the other: a thousand at once would all submit their first feeds within two seconds,
# and the step would measure how that backlog drains. A ramp that lasts longer than a visit with its thinking
# (some four seconds) never submits more in a second than all users do later on; so many users ramp faster.
RAMP_USERS_PER_S = 40.0
LONGEST_RAMP_S = 10.0
BURST_AT = 3.0  # seconds into the measured time
BACKLOG = 4096  # connections not accepted yet; too few would show as steps of 1 s and 3 s in the latencies


def ramp_per_s(users: float) -> float:
    """How many of `users` start each second, until all are there."""
    return max(RAMP_USERS_PER_S, users / LONGEST_RAMP_S)
