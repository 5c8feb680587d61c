"""What the demo runs, says and draws: pure functions, and a demo whose readers note what they are told."""

import socket
from dataclasses import dataclass, field
from typing import Any

import pytest
from shown_readers import CALM, STUCK

from loadtests.__main__ import main
from loadtests.demo.controls import CONTROLS, Wanted
from loadtests.demo.demo import Demo
from loadtests.demo.running import share_over
from loadtests.demo.text import press
from loadtests.demo.tour import TOUR, TOUR_SECONDS, step_at
from loadtests.demo.words import level, machine, spoken, whole_percent
from loadtests.errors import UsageError
from loadtests.feedserver.kinds import check_mix
from loadtests.generator.telling import Request, Told
from loadtests.judging.rule import RULED
from loadtests.live.figures import RECENT_SECONDS, Live

# ---- what is run


def test_a_figure_beyond_its_limits_is_refused_in_a_sentence() -> None:
    """Each control has limits; slow and hanging feeds together are at most all."""
    for name, (label, least, most, *_) in CONTROLS.items():
        assert getattr(Wanted().changed(**{name: least}), name) == least
        for beyond in (least - 1, most + 1):
            with pytest.raises(UsageError, match=f"{label}: {beyond} is not from {least} to {most}"):
                Wanted().changed(**{name: beyond})
    check_mix(Wanted().changed(slow=50, hanging=50).mix)


def test_the_tour_takes_three_minutes_and_tells_the_story_in_order() -> None:
    """One visitor; forty; one feed hangs; eight, as many as there are slots; the queue's worker is killed."""
    assert TOUR_SECONDS == 180
    numbers = [step_at(second + 0.5) for second in range(180)]
    assert numbers == sorted(numbers) and set(numbers) == set(range(5)) and step_at(180) is None
    assert [step.wanted.visitors for step in TOUR] == [1, 40, 40, 40, 40]
    assert [step.hang for step in TOUR] == [0, 0, 1, 8, 0]
    last = TOUR[-1]
    assert last.kill_s and last.replace_s and last.kill_s < last.replace_s < last.seconds
    assert last.wanted.slow and last.wanted.hanging


@dataclass
class Noted:
    """A reader that notes what it is told; also its own stack."""

    told: list[Any] = field(default_factory=list)
    worker: bool = True

    def check(self) -> None:
        pass

    take_news = check

    def want(self, wanted: Wanted) -> None:
        self.told.append(wanted)

    def hang(self, feeds: int) -> None:
        self.told.append(feeds)

    @property
    def stack(self) -> "Noted":
        return self

    def kill_worker(self) -> None:
        self.worker = False
        self.told.append("killed")

    def replace_worker(self) -> None:
        if not self.worker:
            self.told.append("replaced")
        self.worker = True


def told_by_a_tour() -> dict[str, list[Any]]:
    """What both readers are told in each step of a tour."""
    clock = [0.0]
    demo = Demo(Wanted(), 15, clock=lambda: clock[0])
    readers = [Noted(), Noted()]
    demo.readers = readers  # type: ignore[assignment]
    demo.start_tour()
    steps: dict[str, list[Any]] = {}
    for quarter in range(0, 4 * 181):
        clock[0] = quarter / 4
        demo.tick()
        assert readers[0].told == readers[1].told  # the same visitors on both
        title = demo.step.title if demo.touring and demo.step else "after"
        steps.setdefault(title, []).extend(readers[0].told)
        for reader in readers:
            reader.told.clear()
    return steps


def test_a_tour_tells_both_readers_the_same_and_keeps_feeds_hanging() -> None:
    """Again at each deadline; a worker is killed and replaced; nothing is changed at the end."""
    told = told_by_a_tour()
    assert [told[step.title][0] for step in TOUR] == [step.wanted for step in TOUR]
    assert [told[step.title][1:] for step in TOUR[:2]] == [[], []]
    assert told["One feed hangs"][1:] == [1] * 4 and told["Eight feeds hang"][1:] == [8] * 5
    assert told["The queue"][1:] == ["killed", "replaced"]
    assert told["after"] == []


def test_whoever_changes_a_figure_leaves_the_tour() -> None:
    """And the worker that a step would have killed lives."""
    clock = [0.0]
    demo = Demo(Wanted(), 15, clock=lambda: clock[0])
    demo.readers = [Noted()]  # type: ignore[list-item]
    demo.play(4)
    demo.want(visitors=7)
    clock[0] = 200.0
    demo.tick()
    assert not demo.touring and demo.worker and demo.wanted.visitors == 7


# ---- what is said


def test_the_share_is_of_the_last_ten_seconds_and_counts_who_still_waits() -> None:
    """By when requests were due; polls, of which only one reader has any, count for neither."""
    live = Live(warm_up=0.0)
    assert share_over({}, RULED) is None
    for second in range(30):
        slow = second < 15
        ended = [
            Request(
                "submit", "", second + 0.1, 900.0 if slow else 20.0, "too_late" if slow else "in_time", 0
            ),
            Request("browse", "", second + 0.2, 5.0, "in_time", 0),
            Request("poll", "", second + 0.3, 5.0, "in_time", 0),
        ]
        late = [Request("browse", "", 29.0, 600.0, "unfinished", 0)] if second == 29 else []
        live.take(Told(0.0, second + 1.0, ended, late, ["content"], 2, [], [], len(late)))
        live.advance()
        recent = {group.key: group.recent for group in live.view().groups}
        if second == 14:
            assert share_over(recent, RULED) == 0.5 and share_over(recent, ["browse"]) == 0
    assert RECENT_SECONDS == 10 and recent["submit"].over == 0
    assert share_over(recent, RULED) == pytest.approx(1 / 21)


def test_a_share_just_above_none_does_not_read_as_none() -> None:
    """The rule allows 1 %, and its colour follows the rule."""
    assert [whole_percent(share) for share in (None, 0.0, 0.001, 0.012, 0.996, 1.0)] == [
        *("–", "0 %", "<1 %", "1 %", "100 %", "100 %")
    ]
    assert [level(share) for share in (None, 0.0, 0.01, 0.011)] == ["none", "good", "good", "bad"]


def test_the_machines_limit_is_not_taken_for_the_readers() -> None:
    """With the reason that every verdict would give."""
    assert machine([CALM, CALM]) == ("20 + 20 visitors. Machine 40 % busy.", False)
    said, full = machine([CALM, STUCK])
    assert full and "the machine's limit, not the readers': the load generator was late by 1234.5 ms." in said


def test_who_can_not_see_the_dots_hears_the_figures() -> None:
    """In one sentence."""
    said = spoken("sync", STUCK)
    assert (
        "100 % of the requests over 500 ms" in said and "8 of 8 slots in use, 1234 requests in line" in said
    )


# ---- keys and options


def test_keys_do_what_the_sliders_and_buttons_do() -> None:
    """Lower case is less, upper case more, and a limit is the end."""
    demo = Demo(Wanted(), 15, clock=lambda: 0.0)
    demo.readers = [Noted()]  # type: ignore[list-item]
    assert all(press(demo, key) for key in "VsHDt")
    assert demo.wanted == Wanted(visitors=30, slow=10, hanging=10, deadline=11, threads=24)
    assert all(press(demo, "v") for _ in range(9)) and demo.wanted.visitors == 0
    assert press(demo, "k") and not demo.worker and press(demo, "k") and demo.worker
    assert press(demo, "3") and demo.step is TOUR[2]
    assert press(demo, "0") and demo.touring
    assert press(demo, "x") and demo.readers[0].told[-1] == 10
    assert press(demo, "?") and not press(demo, "q")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--visitors", "201"], "'201' is not a whole number from 0 to 200"),
        (["--threads", "many"], "'many' is not a whole number from 1 to 64"),
        (["--deadline", "0"], "'0' is not a whole number from 1 to 20"),
        (["--minutes", "0"], "'0' is not a number of minutes above 0 and at most 60"),
        (["--minutes", "nan"], "'nan' is not a number of minutes"),
        (["--port", "x"], "invalid int value: 'x'"),
    ],
)
def test_a_number_that_makes_no_sense_is_refused(
    options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 2, and nothing was started."""
    with pytest.raises(SystemExit) as refused:
        main(["demo", *options])
    assert refused.value.code == 2
    assert said in " ".join(capsys.readouterr().err.split())


def test_a_port_in_use_is_said_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """With who has it; status 2. Nothing was started."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert main(["demo", "--port", str(taken.getsockname()[1])]) == 2
    said = capsys.readouterr().err
    assert "is in use on 127.0.0.1" in said and said.endswith("take another with --port\n")
