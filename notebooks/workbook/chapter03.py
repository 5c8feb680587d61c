"""Helpers for chapter 3: two experiments with servers, and their pictures."""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import requests
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from loadtests.judging.samples import Samples
from loadtests.records.constants import RULE_MS
from loadtests.report.chartparts import (
    COLOURS,
    EndLabel,
    canvas,
    described,
    inches,
    label_ends,
    rule_line,
)
from loadtests.servers.stack import Stack, StackSettings
from workbook.words import in_words

WavesSeen = Mapping[str, Any]

GIVE_UP = 60.0  # seconds; nothing here takes that long

# ---- a deadline, and a timeout


def patience(seconds: float, watched: float) -> dict[str, dict[str, float]]:
    """How long clients wait for a feed that hangs and for one that drips; seconds by client and kind.

    "timeout" is `requests` with a timeout of `seconds`, watched for at most `watched` seconds; "deadline" is
    the reader with a deadline of `seconds`. All four run at the same time.
    """
    settings = StackSettings(app="sync", slots=2, deadline=seconds)
    with Stack(settings) as stack, ThreadPoolExecutor() as pool:
        clients: dict[str, Callable[[str], float]] = {
            "timeout": lambda feed: _read(feed, seconds, watched),
            "deadline": lambda feed: _ask("POST", f"{stack.url}/feeds", time.monotonic(), feed),
        }
        waits = {
            client: {
                kind: pool.submit(wait, f"{stack.feeds_url}/feeds/{kind}/1.xml") for kind in ("hang", "drip")
            }
            for client, wait in clients.items()
        }
        return {
            client: {kind: round(future.result(), 3) for kind, future in of.items()}
            for client, of in waits.items()
        }


def _read(url: str, timeout: float, watched: float) -> float:
    """Seconds until `requests` has the document, or gives up; or until we stop it."""
    began = time.monotonic()
    try:
        with requests.get(url, timeout=timeout, stream=True) as answer:
            for _ in answer.iter_content(1):
                if time.monotonic() - began >= watched:
                    break
    except requests.RequestException:
        pass  # it has given up
    return time.monotonic() - began


def _ask(method: str, url: str, intended: float, feed: str = "") -> float:
    """Send a request to a reader; returns seconds from its intended start to the answer."""
    data = {"url": feed} if feed else None
    requests.request(method, url, data=data, allow_redirects=False, timeout=GIVE_UP).raise_for_status()
    return time.monotonic() - intended


def patience_figure(waits: Mapping[str, Mapping[str, float]], seconds: float, watched: float) -> Figure:
    """How long each client waited; in another colour if it was still waiting at the end."""
    names = {"timeout": f"requests, timeout={seconds:g}", "deadline": f"the reader, deadline {seconds:g} s"}
    rows = [(f"{names[client]}: {kind}", of[kind]) for client, of in waits.items() for kind in of]
    with canvas(10, 3.3) as figure:
        axes = inches(figure, 2.9, 0.75, 6.6, 2.0)
        axes.set_xlim(0, watched + 2.9)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_yticks(range(len(rows)), [name for name, _ in rows])
        axes.grid(axis="y", visible=False)
        axes.set_xticks(range(int(watched) + 1))
        axes.set_xlabel("seconds until it was over")
        told = []
        for place, (name, took) in enumerate(rows):
            over = took < watched
            axes.barh(place, took, height=0.55, color=COLOURS["queued" if over else "sync"])
            said = in_words(took) if over else "still waiting when we stopped"
            axes.text(took + 0.12, place, said, va="center", size=11)
            told.append(f"{name}, {said}")
        axes.set_title("How long does a client wait for a feed that never comes?", weight="bold")
    return described(figure, f"How long each client waits for a feed that never comes. {'; '.join(told)}.")


# ---- visitors who ask for nothing slow


def bystanders(slots: int, deadline: float, waves: Sequence[int], every: float) -> dict[str, Any]:
    """Look at the list every `every` seconds, while feeds that hang are submitted in waves.

    `waves`: how many feeds in each; a wave begins a second after the deadline of the one before. All looks
    are sent when they are due, however long others still wait. Returns times in seconds from the first look:
    `waves` has [begin, feeds], `looks` and `feeds` have [when it was due, how long it took].
    """
    begins = [1 + number * (deadline + 1) for number in range(len(waves))]
    feeds = [begin for begin, count in zip(begins, waves, strict=True) for _ in range(count)]
    looks = [number * every for number in range(round((begins[-1] + deadline + 1) / every))]
    with (
        Stack(StackSettings(app="sync", slots=slots, deadline=deadline)) as stack,
        ThreadPoolExecutor(99) as pool,
    ):
        for _ in range(5 * slots):  # a slot's first page takes longer than the others
            _ask("GET", stack.url, time.monotonic())
        due = [(at, "look", "") for at in looks]
        due += [(at, "feed", f"{stack.feeds_url}/feeds/hang/{n}.xml") for n, at in enumerate(feeds)]
        began, answers = time.monotonic(), []
        for at, what, feed in sorted(due):
            time.sleep(max(0.0, began + at - time.monotonic()))
            request = ("POST", f"{stack.url}/feeds") if feed else ("GET", stack.url)
            answers.append((at, what, pool.submit(_ask, *request, began + at, feed)))
        took = [(what, [round(at, 3), round(future.result(), 4)]) for at, what, future in answers]
    return {
        "slots": slots,
        "deadline": deadline,
        "waves": [[begin, count] for begin, count in zip(begins, waves, strict=True)],
        "looks": [each for what, each in took if what == "look"],
        "feeds": [each for what, each in took if what == "feed"],
    }


def looks_during(seen: WavesSeen, wave: int) -> list[float]:
    """How long looks took, in seconds, that were due while the feeds of a wave (0, 1, ...) hung."""
    begin, _ = seen["waves"][wave]
    return [took for at, took in seen["looks"] if begin <= at < begin + seen["deadline"]]


def median(seconds: Sequence[float]) -> dict[str, Any]:
    """The median with its interval, to be scored: score(name, **median(looks_during(seen, 0)))."""
    samples = Samples(seconds, waiting=())
    return {"seconds": samples.percentile(50)[0], "interval": samples.interval(50) or [None, None]}


def bystanders_figure(seen: WavesSeen) -> Figure:
    """Above, the slots that hanging feeds hold; below, how long each look took, and what was expected."""
    end = max(at for at, _ in seen["looks"])
    with canvas(11, 6.4) as figure:
        above = inches(figure, 0.9, 4.35, 7.6, 1.4)
        above.set_title(f"Feeds that hang, in {seen['slots']} slots", weight="bold")
        above.set_xlim(0, end)
        above.set_ylim(0.4, seen["slots"] + 0.6)
        above.set_yticks(range(1, seen["slots"] + 1))
        above.set_ylabel("slot")
        above.tick_params(labelbottom=False)
        below = inches(figure, 0.9, 0.75, 7.6, 2.95)
        below.set_title(
            "Pages that ask for nothing slow: how long each took (grey: feeds hang)", weight="bold"
        )
        below.set_xlim(0, end)
        below.set_ylim(-40 * seen["deadline"], 1150 * seen["deadline"])
        below.yaxis.set_major_formatter(FuncFormatter(lambda ms, _: f"{ms / 1000:g} s"))
        below.set_xlabel("when a page was asked for, in seconds since the first")
        labels = [rule_line(below, RULE_MS)]
        for begin, count in seen["waves"]:
            until = begin + seen["deadline"]
            for slot in range(1, count + 1):
                above.barh(slot, until - begin, left=begin, height=0.7, color=COLOURS["sync"])
            below.axvspan(begin, until, color="#f0f0f0", lw=0, zorder=0)
            if count >= seen["slots"]:
                wait = 1000 * seen["deadline"]
                below.plot([begin, until], [wait, 0], color="black", ls=(0, (4, 2)), lw=1.6, zorder=4)
                middle = ((begin + until) / 2 + 0.02 * end, wait / 2)
                below.text(*middle, "until the deadline", va="bottom", size=11)
        xs, ys = zip(*seen["looks"], strict=True)
        below.plot(xs, [1000 * took for took in ys], ".", color=COLOURS["queued"], ms=9, alpha=0.6)
        labels.append(EndLabel(xs[-1], 1000 * ys[-1], "a page", COLOURS["queued"]))
        label_ends(below, labels)
    slowest = [in_words(max(looks_during(seen, wave))) for wave in range(len(seen["waves"]))]
    told = [f"{count}, {said}" for (_, count), said in zip(seen["waves"], slowest, strict=True)]
    return described(
        figure,
        f"The slowest page, by how many of {seen['slots']} slots feeds that hang hold. {'; '.join(told)}.",
    )
