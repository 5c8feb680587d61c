"""The figures of percentiles: over time, and every one of them; what they say in words."""

import random

import pytest
from chart_reading import cut_off, overlapping, texts

from loadtests.judging.samples import nearest_rank, samples_of
from loadtests.records.rows import Row
from loadtests.report.chart_percentiles import (
    over_time,
    percentiles_figure,
    spectrum,
    spectrum_figure,
    width_of,
)
from loadtests.report.chart_rows import Series

BLUE, SECONDS = "#0072B2", 60.0


def series(latencies_ms: list[float], name: str = "pay", waited: float = 0.0, hanging: int = 0) -> Series:
    """A minute of requests at an even rate, sent `waited` seconds late; the last ones were never answered."""
    rows = []
    for number, ms in enumerate(latencies_ms):
        at = number * SECONDS / len(latencies_ms)
        done = None if number >= len(latencies_ms) - hanging else at + ms / 1000
        rows.append(Row(1, name, name, at, at + waited, done, 200 if done else 0, ""))
    return Series(name, BLUE, rows, SECONDS + 5, (0.0, SECONDS))


def some(count: int) -> list[float]:
    """Latencies that differ."""
    rng = random.Random(count)
    return [rng.uniform(10, 900) for _ in range(count)]


@pytest.mark.parametrize(("count", "seconds"), [(12_000, 1), (1200, 5), (240, 5), (40, 5), (0, 5)])
def test_an_interval_is_as_short_as_its_highest_percentile_allows(count, seconds):
    """100 requests for p99, if that leaves ten intervals; else 20 for p95; else 5 for p50."""
    assert width_of(series(some(count))) == seconds


def test_over_time_each_interval_has_its_own_percentile():
    """Where there are too few requests for one, it is missing; an unfinished request makes a lower bound."""
    latencies = some(6000)
    pieces = over_time(series(latencies, hanging=3))[99]
    assert [(piece.start, piece.end) for piece in pieces] == [(at, at + 1.0) for at in range(60)]
    assert pieces[7].ms == pytest.approx(nearest_rank(latencies[700:800], 99), abs=0.01)
    assert [piece.exact for piece in pieces] == [True] * 59 + [False]
    assert over_time(series(some(1000)))[99] == [] and len(over_time(series(some(1000)))[95]) == 30
    assert over_time(series([]))[50] == []


def test_the_spectrum_goes_from_the_fastest_to_the_slowest():
    """Exactly, if there are few; and never down. At 1 / share above, it is the percentile."""
    latencies = some(200)
    samples = samples_of(series(latencies).rows, SECONDS)
    line = list(spectrum(samples))
    assert [round(ms, 3) for _, ms, _ in line] == [round(ms, 3) for ms in sorted(latencies)]
    many = samples_of(series(some(20_000), hanging=40).rows, SECONDS + 5)
    line = list(spectrum(many))
    assert len(line) <= 301 and line == sorted(line)
    assert line[0][0] < 1.001 and line[-1][0] == 2 * many.count and not line[-1][2]


def test_naive_latencies_stand_beside_those_from_the_intended_start():
    """Two seconds apart, if that is how long each waited to be sent."""
    each = series([2010.0] * 100, waited=2.0)
    assert samples_of(each.rows, SECONDS, naive=True).percentile(50)[0] == pytest.approx(10)
    said = texts(spectrum_figure([each], "all", naive=True))
    assert "pay: 2.0 s" in said and "naive: 10 ms" in said
    assert not any("naive" in text for text in texts(spectrum_figure([each], "all")))


def test_both_say_in_words_what_their_own_data_show():
    """For those who can't see them."""
    figure = percentiles_figure([series([20.0] * 3000 + [70.0] * 3000), series([], "idle")], "Over time")
    assert figure.get_label() == "Percentiles over time. pay: p99 of every 1 s between 20 ms and 70 ms."
    figure = percentiles_figure([series([], "idle")], "Over time")
    assert figure.get_label() == "Percentiles over time. Too few requests for any."
    each = [series([20.0] * 980 + [700.0] * 20), series([], "idle"), series([10.0] * 100, "b", hanging=1)]
    assert spectrum_figure(each, "Every").get_label() == (
        "Every percentile. pay: half within 20 ms, 99 % within 700 ms, all within 700 ms; idle: none was"
        " answered; b: half within 10 ms, 99 % within 10 ms, all within at least 5.6 s."
    )


@pytest.mark.parametrize("count", [1, 2, 5])
def test_any_number_of_groups_can_be_drawn(count):
    """With long names, with few requests, and with none."""
    sizes = [3000, 30, 0, 400, 1]
    many = [series(some(sizes[n]), f"POST /a/rather/long/address/{n}") for n in range(count)]
    for figure in (percentiles_figure(many, "Over time"), spectrum_figure(many, "Every", naive=True)):
        assert overlapping(figure) == []
        assert cut_off(figure) == []
    assert len(percentiles_figure(many, "Over time").axes) == count
