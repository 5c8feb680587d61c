"""Whatever is in a recording, everything that reports on it gives the same verdict."""

import contextlib
import io
import itertools
import re
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtests.__main__ import main as command
from loadtests.comparing.sides import read_side
from loadtests.errors import UsageError
from loadtests.judging.judge import judge
from loadtests.judging.terminal import verdict_text
from loadtests.records.recording import (
    Arrivals,
    Lag,
    Recording,
    Stage,
    Vital,
    read_recording,
    write_recording,
)
from loadtests.records.rows import DROPPED, Row
from loadtests.report.rowsreport import headline
from loadtests.status import Status

SECONDS = 10.0
WORDS = {"kept": Status.KEPT, "broken": Status.BROKEN, "undecided": Status.UNDECIDED, "unfit": Status.UNFIT}
EXPECTED = ("all p90 < 30ms", "all p50 < 3ms", "pay failed < 5%", "pay mean < 400ms", "browse rate < 9/s")
HEADLINES = {
    "All groups": Status.KEPT,
    "Too few": Status.UNDECIDED,
    "The machine or the load generator was too busy": Status.UNDECIDED,
    "Not fit": Status.UNFIT,
}


@st.composite
def some_rows(draw: st.DrawFn) -> list[Row]:
    """A group of requests, some of them slow, failed, unfinished or dropped."""
    group = draw(st.sampled_from(["browse", "pay", "whole visit"]))
    count, over = draw(st.integers(0, 500)), draw(st.sampled_from([0, 0, 0, 3, 10, 200]))
    kind = draw(st.sampled_from(["slow", "failed", "unfinished", "dropped"]))
    made = []
    for number in range(count):
        at = number * SECONDS / max(1, count)
        sent, done, status, error = at, at + 0.02, 200, ""
        if number < over:
            sent, done, status, error = {
                "slow": (at, at + 0.9, 200, ""),
                "failed": (at, at + 0.02, 503, "answered 503"),
                "unfinished": (at, None, 0, ""),
                "dropped": (None, None, 0, DROPPED),
            }[kind]
        made.append(Row(number % 5, group, group, at, sent, done, status, error))
    return made


@st.composite
def recordings(draw: st.DrawFn) -> Recording:
    """Any load: open or closed, in steps or not, well or badly generated, judged by any rule."""
    groups = draw(st.lists(some_rows(), max_size=3))
    model = draw(st.sampled_from(["closed", "open"]))
    asked, there = draw(st.sampled_from([(5, 5), (5, 5), (9, 5)]))
    busy = draw(st.sampled_from([0.3, 0.3, 0.99]))
    stepped = draw(st.booleans())
    planned = draw(st.sampled_from([None, Arrivals(500, 500), Arrivals(500, 400, 100, 0)]))
    vitals = tuple(Vital(at, 0.1 * at, 2 * busy * at, 2.0 * at, there) for at in range(11))
    return Recording(
        started_at=1000.0,
        stopped_s=SECONDS,
        ended_s=SECONDS + 2,
        rows=tuple(sorted(itertools.chain(*groups), key=lambda row: row.intended_s)),
        model=model,
        users_asked=asked if model == "closed" else None,
        rate_per_s=50.0 if model == "open" and not stepped else None,
        stages=(Stage(asked, 0.0, 5.0), Stage(asked, 5.0, SECONDS)) if stepped else (),
        warm_up_s=draw(st.sampled_from([0.0, 1.0])),
        rule_ms=draw(st.sampled_from([500.0, 10.0])),
        most_over=draw(st.sampled_from([0.01, 0.05])),
        expectations=tuple(draw(st.lists(st.sampled_from(EXPECTED), max_size=2, unique=True))),
        looks=draw(st.sampled_from([(), (), (4,), (2, 3)])),
        decided_s=draw(st.sampled_from([None, None, 6.0])),
        visits=draw(st.sampled_from([(), ("whole visit",)])),
        arrivals=planned if model == "open" else None,
        processes_lost=draw(st.sampled_from([0, 0, 1])),
        lag=tuple(Lag(at / 10, draw(st.sampled_from([1.0, 20.0]))) for at in range(100)),
        vitals=draw(st.sampled_from([(vitals,), (vitals,), ()])),
    )


def terminal_status(text: str, expectations: int) -> Status:
    """The exit status that the terminal's words imply."""
    stages = text.split("The rule, ")[1:]
    said = []
    for stage in stages:
        word = re.search(r"over [\d.]+ ms: (kept|broken|undecided|cannot be judged)", stage)
        assert word
        doubtful = "But this proves nothing" in stage or word[1] == "cannot be judged"
        expected = [WORDS[each] for each in re.findall(r"^\w+ \w+ <.*: (\w+) \(", stage, re.MULTILINE)]
        assert len(expected) == expectations
        said += [Status.UNFIT] if doubtful else [WORDS[word[1]], *expected]
    order = (Status.BROKEN, Status.UNFIT, Status.UNDECIDED, Status.KEPT)
    return next(status for status in order if status in said)


@given(recordings())
@settings(max_examples=150, deadline=None)
def test_the_terminal_the_report_and_a_comparison_agree(
    tmp_path_factory: pytest.TempPathFactory, known: Recording
) -> None:
    """Each reads the files that the plugin wrote. If it was slowed or unfit, none compares it."""
    path = tmp_path_factory.mktemp("rows") / "rows.csv"
    write_recording(path, known)
    judgement = judge(read_recording(path))
    assert judgement.status == judge(known).status
    assert terminal_status(verdict_text(judgement), len(known.expectations)) == judgement.status
    told = headline(judgement)
    begins = [status for start, status in HEADLINES.items() if told.startswith(start)]
    assert begins == ([] if judgement.status is Status.BROKEN else [judgement.status])
    try:
        side = read_side(path)
    except UsageError as error:
        assert "has no request from" in str(error)
        assert any(not stage.rows for stage in judgement.stages)
        return
    unfit = [tuple(repeat.unfit) for repeats in side.repeats.values() for repeat in repeats]
    assert sorted(unfit) == sorted((*stage.doubts, *stage.slowed) for stage in judgement.stages)


@given(recordings())
@settings(max_examples=150, deadline=None)
def test_a_full_machine_takes_away_broken_and_nothing_else(known: Recording) -> None:
    """The same load on a free machine: what was kept stays so, and what was broken is undecided."""
    for full, free in zip(judge(known).stages, judge(at_ease(known)).stages, strict=True):
        assert [each.group for each in full.groups] == [each.group for each in free.groups]
        assert not free.slowed and set(free.doubts) <= set(full.doubts)
        for seen, truth in zip(full.groups, free.groups, strict=True):
            masked = full.slowed and truth.word == "broken"
            assert seen.word == ("undecided" if masked else truth.word)
            assert seen.excused >= bool(masked)
        for expected, alone in zip(full.expectations, free.expectations, strict=True):
            assert expected.word == ("undecided" if expected.excused else alone.word)
            assert full.slowed or not expected.excused
        broken = any(each.word == "broken" for each in full.expectations)  # a slowed rate was still too high
        assert not (full.slowed and full.status is Status.BROKEN) or broken


def at_ease(known: Recording) -> Recording:
    """The same load from a generator that was never late, on a machine that was idle."""
    vitals = tuple(
        tuple(vital._replace(host_busy=0.0, generator=0.0) for vital in process) for process in known.vitals
    )
    prompt = tuple(row if row.sent_s is None else replace(row, sent_s=row.intended_s) for row in known.rows)
    lag = tuple(each._replace(ms=0.0) for each in known.lag)
    return msgspec.structs.replace(known, vitals=vitals, lag=lag, rows=prompt)


@pytest.mark.slow
@given(recordings())
@settings(max_examples=10, deadline=None)
def test_so_do_their_commands(tmp_path_factory: pytest.TempPathFactory, known: Recording) -> None:
    """The report's first lines give the verdict; `compare` never ends with 0 for a slowed or unfit load."""
    folder = tmp_path_factory.mktemp("rows")
    write_recording(folder / "rows.csv", known)
    judgement = judge(known)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        reported = command(["report", str(folder / "rows.csv")])
        compared = command(["compare", str(folder / "rows.csv"), str(folder / "rows.csv")])
    if reported != 0:
        assert reported == 2 and not any(stage.rows for stage in judgement.stages if not stage.stage)
    else:
        page = (folder / "rows-report.html").read_text()
        assert f'<div class="verdict {judgement.status.name.lower()}">' in page
        expected = [each for stage in judgement.stages for each in stage.expectations]
        told = re.findall(r'<strong>\w+ \w+ &lt; .*?<span class="(\w+)-word">', page)
        assert told == [each.word for each in expected]
    if any(stage.doubts or stage.slowed for stage in judgement.stages):
        assert compared in (2, 3)
