"""The metrics of a running load, as Prometheus reads them."""

import pytest
import requests
from locust_runs import free_port
from prometheus_client.parser import text_string_to_metric_families

from loadtests.errors import UsageError
from loadtests.generator.telling import Request, Told
from loadtests.live.figures import Live
from loadtests.live.metrics import Metrics
from loadtests.records.recording import Lag

ENDED = [
    Request("pay", "POST /pay", 1.0, 20.0, "in_time", 0.0),
    Request("pay", "POST /pay", 2.0, 250.0, "too_late", 0.0),
    Request("pay", "POST /pay", 3.0, 0.0, "failed", 0.0),
    Request("pay", "POST /pay", 4.0, 0.0, "dropped", 0.0),
    Request("content", "the whole visit", 1.0, 2000.0, "too_late", 0.0),
]
LATE = Request("pay", "POST /pay", 4.0, 1000.0, "unfinished", 0.0)


def news(ended: list[Request], *late: Request) -> Told:
    """What a process of five users tells."""
    return Told(0.0, 5.0, ended, list(late), ["content"], 5, [Lag(4.9, 3.0)], [], 0)


def scraped(port: str) -> dict[tuple[str, ...], float]:
    """The samples by name and labels."""
    text = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text
    families = text_string_to_metric_families(text)
    return {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}


def test_requests_latencies_and_the_share_over_the_rule_are_offered() -> None:
    """Failures have no latency; whole visits are not requests; one bucket ends at the rule. A second test
    adds to the counters.
    """
    port = free_port()
    metrics, live = Metrics(int(port), 200.0), Live(0.0)
    live.take(news(ENDED, LATE))
    live.advance()
    metrics.take(news(ENDED, LATE))
    metrics.show(live)
    found = scraped(port)
    requests_total, duration = "loadtests_requests_total", "loadtests_request_duration_seconds"
    outcomes = {key[-1]: value for key, value in found.items() if key[0] == requests_total}
    assert outcomes == {"in_time": 1, "too_late": 1, "failed": 1, "dropped": 1}
    assert found[requests_total, "pay", "POST /pay", "failed"] == 1
    assert found[duration + "_bucket", "pay", "0.2"] == 1 and found[duration + "_count", "pay"] == 2
    assert found[duration + "_sum", "pay"] == pytest.approx(0.27)
    assert found["loadtests_over_rule_ratio", "pay"] == pytest.approx(4 / 5)
    assert found["loadtests_rule_seconds",] == 0.2
    assert found["loadtests_users",] == 5 and found["loadtests_generator_lag_seconds",] == 0.003

    metrics.end()
    metrics.begin(500.0)
    metrics.take(news(ENDED[:2]))
    found = scraped(port)
    assert found["loadtests_rule_seconds",] == 0.5 and found["loadtests_users",] == 0
    assert found[requests_total, "pay", "POST /pay", "in_time"] == 2
    assert ("loadtests_over_rule_ratio", "pay") not in found


def test_a_port_that_is_taken_is_refused_in_words() -> None:
    """With what to do about it."""
    port = int(free_port())
    Metrics(port, 500.0)
    with pytest.raises(UsageError, match=f"Port {port} is in use .*: take another with --prometheus"):
        Metrics(port, 500.0)
