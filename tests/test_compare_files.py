"""`python -m loadtests compare` of files of requests, as any locustfile with the plugin writes them."""

from pathlib import Path
from xml.etree.ElementTree import fromstring

import pytest
from compared_runs import about, answer, file_of_requests, findings, recorded, refused, rows_of

from loadtests.comparing.pipelines import github_comparison, junit_comparison
from loadtests.comparing.sides import read_side
from loadtests.records.recording import Arrivals, Stage, Vital


def test_files_of_any_locustfile_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Groups may have any names; the warm-up is left out when its length is given."""
    files = []
    for side, ms in (("a", 200), ("b", 300)):
        rows = rows_of(about(ms), side, groups=("GET /cart", "POST /pay"))
        slow = [row if row.intended_s >= 5 else rows_of(about(3000), 1)[0] for row in rows]
        files.append(recorded(tmp_path / f"{side}.csv", slow))
    found = answer(files[0], files[1], "--warm-up", "5")
    assert found["exit_status"] == 1
    assert {each["group"] for each in found["questions"]} == {"GET /cart", "POST /pay"}
    assert max(each["after"] for each in found["questions"] if each["figure"] == "p99_ms") < 1000
    assert not found["questions"][0]["between"]
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


def test_a_group_of_too_few_requests_is_undecided(tmp_path: Path) -> None:
    """Status 4, though nothing was seen in the others: ten requests show no change of any size."""
    files = []
    for side in "ab":
        few = rows_of(about(200), (side, 2), groups=("pay",))[:10]
        files.append(
            recorded(tmp_path / f"{side}.csv", [*rows_of(about(200), (side, 1), groups=("look",)), *few])
        )
    found = answer(*files)
    assert found["exit_status"] == 4
    assert "but a change of pay (5 users) would not have been seen." in found["sentence"]
    assert answer(*files, "--group", "look")["exit_status"] == 0
    skipped = fromstring(junit_comparison(found)).findall(".//testcase[skipped]")
    assert [case.get("name") for case in skipped] == ["pay (5 users)"]
    assert github_comparison(found).startswith("### ❔ Undecided")


def test_files_without_a_common_group_are_refused_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What each side has is told."""
    a = recorded(tmp_path / "a.csv", rows_of(about(200), 1, groups=("look", "pay")))
    b = recorded(tmp_path / "b.csv", rows_of(about(200), 2, groups=("search",)))
    said = " ".join(refused(capsys, a, b).split())
    assert f"no group of requests throughout both sides. Groups in {a}: look, pay. {b}: search." in said


def test_a_folder_of_files_is_a_repeat_in_each(tmp_path: Path) -> None:
    """The interval is then one between repeats."""
    for side, ms in (("a", 200), ("b", 300)):
        for n in range(3):
            recorded(tmp_path / side / f"{n}.csv", rows_of(about(ms), (side, n)))
    found = answer(tmp_path / "a", tmp_path / "b")
    assert found["exit_status"] == 1
    assert found["questions"][0]["between"] and found["questions"][0]["repeats"] == [3, 3]


def test_each_step_of_a_stepped_load_is_a_condition(tmp_path: Path) -> None:
    """Only the second got slower. The warm-up of each, as set in the plugin, is left out."""
    files = []
    for side, second in (("a", 100), ("b", 200)):
        rows = [*rows_of(about(100), (side, 1))[:400], *rows_of(about(second), (side, 2))[400:800]]
        stages = (Stage(5, 0.0, 10.0), Stage(10, 10.0, 20.0))
        vitals = (tuple(Vital(at, 0.1 * at, 0.5 * at, 2.0 * at, 5 if at < 11 else 10) for at in range(26)),)
        files.append(
            recorded(tmp_path / f"{side}.csv", rows, 10, warm_up_s=2.0, stages=stages, vitals=vitals)
        )
    found = answer(files[0], files[1], "--group", "submit")
    assert {
        (each["condition"], each["finding"]) for each in found["questions"] if each["figure"] == "p50_ms"
    } == {
        ("5 users", "none seen"),
        ("10 users", "slower"),
    }
    [first, _] = read_side(files[0]).repeats.values()
    assert first[0].window == (2.0, 10.0) and first[0].summaries["submit"]["count"] == 160


def test_files_of_other_loads_or_rules_are_not_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Twice as many users are another condition, and 300 ms are another rule."""
    files = []
    for name, users, rule in (("a", 5, 500.0), ("b", 10, 500.0), ("c", 5, 300.0)):
        files.append(file_of_requests(tmp_path / f"{name}.csv", users=users, rule_ms=rule))
    assert "no condition in common" in (said := refused(capsys, files[0], files[1]))
    assert "5 users" in said and "10 users" in said
    assert "different rules" in refused(capsys, files[0], files[2])


def test_open_load_that_dropped_visits_is_not_fit(tmp_path: Path) -> None:
    """The plugin counts them."""
    file = file_of_requests(
        tmp_path / "a.csv", model="open", users_asked=None, rate_per_s=5.0, arrivals=Arrivals(100, 60, 40)
    )
    found = answer(file, file)
    assert found["exit_status"] == 3 and "40 of 100 visits were dropped" in found["sentence"]
    assert found["unfit"][0]["condition"] == "5 visits a second"


def test_a_file_whose_generator_was_late_is_not_fit(tmp_path: Path) -> None:
    """By the same limit as in the bench."""
    file = file_of_requests(tmp_path / "a.csv", lag_ms=40.0)
    found = answer(file, file)
    assert found["exit_status"] == 3 and "late by 40.0 ms" in found["sentence"]


def test_what_makes_a_load_unfit_in_the_terminal_makes_it_unfit_here(tmp_path: Path) -> None:
    """Missing users, lost generators, a busy machine, lag that was never sampled."""
    busy = (tuple(Vital(at, 0.1 * at, 1.98 * at, 2.0 * at, 5) for at in range(26)),)
    good = file_of_requests(tmp_path / "good.csv")
    for number, (told, said) in enumerate(
        (
            ({"users": 4, "users_asked": 5}, "4 of 5 users were there"),
            ({"processes_lost": 1}, "1 load generator did not report"),
            ({"vitals": busy}, "99 % busy"),
            ({"vitals": ()}, "its lag was never sampled"),
            ({"faults": ("no file could be opened",)}, "no file could be opened"),
        )
    ):
        found = answer(good, file_of_requests(tmp_path / f"{number}.csv", **told))
        assert found["exit_status"] == 3 and said in found["sentence"]


def test_a_whole_visit_is_compared_like_any_group(tmp_path: Path) -> None:
    """The rule does not apply to it, but its duration may have grown."""
    files = []
    for side, ms in (("a", 1000), ("b", 2000)):
        rows = rows_of(about(ms), side, groups=("checkout",))
        files.append(recorded(tmp_path / f"{side}.csv", rows, visits=("checkout",)))
    assert answer(*files)["exit_status"] == 1


def test_few_requests_are_too_few_to_judge(tmp_path: Path) -> None:
    """Ten requests have a median without an interval, and their share can't say much."""
    files = []
    for side in ("a", "b"):
        rows = rows_of(about(200), side, per_s=20, groups=("checkout",))[:10]
        files.append(recorded(tmp_path / f"{side}.csv", rows))
    told = findings(answer(files[0], files[1]))
    assert told["p50_ms"] == {"not judged"} and told["share_over"] == {"none seen"}
