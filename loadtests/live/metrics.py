"""Metrics of a running load for Prometheus, served by its official client to this machine only."""

from bisect import insort
from functools import partial

from loadtests.errors import UsageError
from loadtests.generator.telling import ANSWERED, Told
from loadtests.live.figures import Live
from loadtests.ports import listen

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # the client's usual buckets
METRICS_HOST = "127.0.0.1"


class Metrics:
    """The metrics of this process. They grow from one test to the next, as Prometheus expects.

    Raises UsageError if the client is missing or the port is taken.
    """

    def __init__(self, port: int, rule_ms: float) -> None:
        try:
            from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server
        except ImportError as error:
            raise UsageError("--prometheus needs its client: pip install prometheus-client") from error
        registry = CollectorRegistry()
        buckets = list(SECONDS)
        if (rule := rule_ms / 1000) not in buckets:
            insort(buckets, rule)
        counter = partial(Counter, namespace="loadtests", registry=registry)
        gauge = partial(Gauge, namespace="loadtests", registry=registry)
        histogram = partial(Histogram, namespace="loadtests", registry=registry)
        self._requests = counter(
            "requests_total",
            "Requests that were answered in time or too late, failed, were dropped, or never ended.",
            ["group", "name", "outcome"],
        )
        self._durations = histogram(
            "request_duration_seconds",
            "Time from when a request was due until it was answered, without failures.",
            ["group"],
            buckets=buckets,
        )
        self._over = gauge(
            "over_rule_ratio",
            "Share of the requests of the current test, after its warm-up, that took longer than the rule or"
            " failed.",
            ["group"],
        )
        self._rule = gauge("rule_seconds", "How long a request may take.")
        self._users = gauge("users", "Users that Locust runs now.")
        self._lag = gauge("generator_lag_seconds", "How late the load generator was, at most.")
        self.begin(rule_ms)
        listen(METRICS_HOST, port, "--prometheus").close()  # its error names who uses the port
        start_http_server(port, addr=METRICS_HOST, registry=registry)

    def begin(self, rule_ms: float) -> None:
        """A test with this rule begins."""
        self._rule.set(rule_ms / 1000)
        self._over.clear()

    def take(self, told: Told) -> None:
        """Count a process's requests."""
        for request in told.ended:
            if request.group in told.visits:
                continue
            self._requests.labels(request.group, request.name, request.outcome).inc()
            if request.outcome in ANSWERED:
                self._durations.labels(request.group).observe(request.ms / 1000)

    def show(self, live: Live) -> None:
        """Show the figures of all processes."""
        self._users.set(live.users)
        self._lag.set(live.lag_ms / 1000)
        for group, count in live.counts().items():
            self._over.labels(group).set(count.over / count.judged)

    def end(self) -> None:
        """The test has ended."""
        self._users.set(0)
