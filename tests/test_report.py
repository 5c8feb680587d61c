"""The report and the table in the terminal, from a run that was simulated for the purpose; and its schema."""

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup
from jsonschema import Draft202012Validator
from synthetic_run import make_run

import loadtests
from loadtests.report import text_table, write_report

SCHEMA = json.loads((Path(loadtests.__file__).parent / "results.schema.json").read_text())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder of a run, as a bench leaves it."""
    return tmp_path_factory.mktemp("run")


@pytest.fixture(scope="module")
def results(folder):
    """A run of both apps whose last queued step is unfit."""
    results = make_run(folder, users=(1, 10, 50), unfit={("queued", 50)})
    (folder / "results.json").write_text(json.dumps(results))
    return results


@pytest.fixture(scope="module")
def page(results, folder):
    """The report of that run."""
    return BeautifulSoup(write_report(results, folder).read_text(), "html.parser")


def words(page: BeautifulSoup) -> str:
    """The text of a page with single, plain spaces."""
    return " ".join(page.get_text(" ").split())


# ---- results.json and its schema ---------------------------------------------------------------------------


def problems(results: Any) -> list[str]:
    """Where the schema is not met."""
    return [error.json_path for error in Draft202012Validator(SCHEMA).iter_errors(results)]


def test_the_schema_is_one_and_a_run_meets_it(results):
    """Also after a journey through a file, where tuples and enums would show."""
    Draft202012Validator.check_schema(SCHEMA)
    assert problems(json.loads(json.dumps(results))) == []


def test_the_schema_allows_growth(results):
    """New keys may come anywhere without a new version."""
    grown = copy.deepcopy(results)
    for place in (grown, grown["steps"][0], grown["steps"][0]["submit"], grown["settings"], grown["verdict"]):
        place["new"] = 1
    assert problems(grown) == []


@pytest.mark.parametrize(
    "path",
    [
        ("schema",),
        ("seed",),
        ("machine", "cores"),
        ("settings", "rule_ms"),
        ("steps", 0, "fit"),
        ("steps", 0, "ended_s"),
        ("steps", 0, "submit"),
        ("steps", 0, "content", "share_ci"),
        ("verdict", "most_users", "queued"),
    ],
)
def test_a_missing_key_is_noticed(results, path):
    """Keys are stable: a reader may rely on each."""
    broken = copy.deepcopy(results)
    inner: Any = broken
    for key in path[:-1]:
        inner = inner[key]
    del inner[path[-1]]
    assert problems(broken) != []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("version",), 2),
        (("started_at",), "yesterday"),
        (("started_at",), "2030-01-02T03:04:05"),
        (("verdict", "exit_status"), 2),
        (("steps", 0, "app"), "other"),
        (("steps", 0, "submit", "share_ci"), [0.1]),
        (("steps", 0, "submit", "lower_bounds"), ["p42_ms"]),
        (("steps", 0, "unfit_reasons"), ["fit, and yet a reason"]),
        (("steps", 0, "fit"), False),
    ],
)
def test_a_wrong_value_is_noticed(results, path, value):
    """Times without their zone, made-up keys, and a step that is unfit for no reason."""
    broken = copy.deepcopy(results)
    inner: Any = broken
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    assert problems(broken) != []


def test_every_key_of_the_schema_is_described():
    """The schema is the documentation of the file."""

    def bare(schema: Any, path: str = "") -> list[str]:
        found = []
        for name, inner in schema.get("properties", {}).items():
            if not ({"description", "$ref"} & set(inner)) and path != ".verdict.most_users":
                found.append(f"{path}.{name}")
            found += bare(inner, f"{path}.{name}")
        return found

    assert bare(SCHEMA) + bare(SCHEMA["$defs"]["step"]) + bare(SCHEMA["$defs"]["summary"]) == []


# ---- the report --------------------------------------------------------------------------------------------


def test_the_verdict_comes_first(page, results):
    """The finding as headline, then the sentence; whoever reads no further has read the result."""
    told = words(page)
    assert page.h1.get_text().startswith("With 10 users, 95 % of POST /feeds took up to ")
    assert told.index(results["verdict"]["sentence"]) < told.index("What happened")
    assert "Not fit for a verdict" in told


def test_the_report_needs_nothing_but_itself(page):
    """No script, no address: pictures are inside, links go to the files beside it."""
    assert page.find_all(["script", "link", "iframe"]) == []
    sources = [image["src"] for image in page.find_all("img")]
    assert len(sources) == 3
    assert all(source.startswith("data:image/svg+xml;base64,") for source in sources)
    style = page.style.get_text()
    assert "url(" not in style
    assert "@import" not in style
    assert all(not re.match(r"\w+:|/", link["href"]) for link in page.find_all("a"))


def test_every_picture_says_in_words_what_it_shows(page):
    """For those who can't see it, and for those whose mail program drops it."""
    assert all(len(image["alt"]) > 40 for image in page.find_all("img"))


def test_links_lead_to_files_that_are_there(page, folder, results):
    """results.json, and the rows of each step."""
    targets = [link["href"] for link in page.find_all("a")]
    assert sorted(targets) == sorted(["results.json", *(step["rows"] for step in results["steps"])])
    assert all((folder / target).is_file() for target in targets)


def test_the_pictures_are_files_too(page, folder):
    """For slides: PNG and SVG."""
    names = {path.name for path in (folder / "figures").iterdir()}
    assert names == {f"{name}.{kind}" for name in ("main", "timeline", "ecdf") for kind in ("png", "svg")}


def test_each_step_is_a_line_of_the_table_with_its_own_figures(page, results):
    """Counts as they are, lower bounds marked, a dash where nothing was measured."""
    table = page.find("table")
    lines = [[cell.get_text() for cell in line.find_all("td")] for line in table.find_all("tr")]
    lines = [line for line in lines if line]
    assert len(lines) == len(results["steps"])
    in_order = sorted(results["steps"], key=lambda step: (step["app"] == "queued", step["users"]))
    for line, step in zip(lines, in_order, strict=True):
        assert line[0] == str(step["users"])
        assert line[1] == ("yes" if step["fit"] else "no")
        assert line[3:6] == [str(step[key]) for key in ("requests", "failures", "unfinished")]
        marked = ["≥" in cell for cell in line[10:14]]
        bounds = step["submit"]["lower_bounds"]
        assert marked == [key in bounds for key in ("p50_ms", "p95_ms", "p99_ms", "max_ms")]
    assert any("≥" in cell for line in lines for cell in line)
    heads = len(table.find_all("thead")[0].find_all("tr")[1].find_all("th"))
    assert {len(line) for line in lines} == {heads}


def test_an_unfit_step_is_struck_out_and_its_reason_told(page):
    """In the table and below it."""
    assert len(page.select("tr.unfit")) == 1
    assert "queued, 50 users: host CPU 93 % (at most 80 %)" in words(page)


def test_settings_machine_and_limits_are_told(page, results):
    """What a stranger needs to judge the figures: every setting, what it means, and what was scaled down."""
    told = words(page)
    for name in results["settings"]:
        assert f"{name} " in told
        assert SCHEMA["properties"]["settings"]["properties"][name]["description"] in told
    assert "Imaginary CPU 1 GHz" in told
    assert "locust 2.47.0" in told
    assert "a fetch is given up after 5 s here" in told
    assert "One run, no repeats" in told
    assert "80 % typical, 15 % slow, 5 % hang" in told


def test_a_report_can_be_written_without_the_rows(tmp_path, results):
    """Someone sent only results.json: the pictures of single requests are left out, and the page says so."""
    told = words(BeautifulSoup(write_report(results, tmp_path).read_text(), "html.parser"))
    assert "The figures of single requests are missing" in told
    assert {path.stem for path in (tmp_path / "figures").iterdir()} == {"main"}


@pytest.mark.parametrize("app", ["sync", "queued"])
def test_one_app_alone_makes_a_report(tmp_path, app):
    """`--app` leaves no empty headings and no empty places of the other app."""
    results = make_run(tmp_path, users=(20,), apps=(app,))
    page = BeautifulSoup(write_report(results, tmp_path).read_text(), "html.parser")
    assert len(page.select("th[scope=rowgroup]")) == 1
    assert len(page.select(".apps > div")) == 1


def test_a_run_without_a_fit_step_makes_a_report(tmp_path):
    """It says what went wrong instead of what it found."""
    results = make_run(tmp_path, users=(5,), unfit={("sync", 5), ("queued", 5)})
    page = BeautifulSoup(write_report(results, tmp_path).read_text(), "html.parser")
    assert page.h1.get_text() == "No step of this run is fit for a comparison"


def test_texts_from_outside_are_escaped(tmp_path):
    """The name of a processor is no markup."""
    results = make_run(tmp_path, users=(5,))
    results["machine"]["cpu"] = "<script>alert(1)</script>"
    text = write_report(results, tmp_path).read_text()
    assert "<script>" not in text
    assert "&lt;script&gt;" in text


# ---- the table in the terminal -----------------------------------------------------------------------------


def test_the_text_table_fits_a_terminal_and_lines_up(results):
    """At most 80 columns; the columns end where their headings end."""
    _, heads, *lines = text_table(results).splitlines()
    assert all(len(line) <= 80 for line in text_table(results).splitlines())
    ends = [match.end() for match in re.finditer(r"users|requests|p50(?=  )|p95|over 500 ms|fit", heads)]
    for line in lines[: len(results["steps"])]:
        assert all(line[end - 1] != " " and (line + " ")[end] == " " for end in ends)


def test_the_text_table_shows_steps_by_users_both_apps_side_by_side(results):
    """So that the eye compares what belongs together."""
    lines = text_table(results).splitlines()[2:8]
    assert [tuple(line.split()[:2]) for line in lines] == [
        (str(users), app) for users in (1, 10, 50) for app in ("sync", "queued")
    ]


def test_the_text_table_says_why_a_step_is_not_fit(results):
    """Below the table, one line a reason."""
    *_, last_step, reason = text_table(results).splitlines()
    assert last_step.endswith(" no")
    assert reason == "Not fit: queued, 50 users: host CPU 93 % (at most 80 %)"
