"""The report, from a simulated run."""

import json
import re
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from page_reading import accessible
from synthetic_run import make_run

import loadtests
from loadtests.judging.rule import RULED
from loadtests.report.report import headline, most_held, write_report

pytestmark = pytest.mark.slow

SCHEMA = json.loads((Path(loadtests.__file__).parent / "results.schema.json").read_text())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder of a run, as a bench leaves it."""
    return tmp_path_factory.mktemp("run")


@pytest.fixture(scope="module")
def results(folder):
    """A run of both apps whose last queued step is unfit."""
    results = make_run(folder, users=(1, 80, 120), rates=(4.0,), unfit={("queued", 120)})
    (folder / "results.json").write_text(json.dumps(results))
    return results


@pytest.fixture(scope="module")
def page(results, folder):
    """The report of that run."""
    return read(write_report(results, folder))


def read(path: Path) -> BeautifulSoup:
    """A page as a browser parses it."""
    return BeautifulSoup(path.read_text(), "html.parser")


def words(page: BeautifulSoup) -> str:
    """The text of a page with single, plain spaces."""
    return " ".join(page.get_text(" ").split())


def table(page: BeautifulSoup, name: str) -> list[list[str]]:
    """The cells of a table, row by row, without its headings."""
    found = page.find(attrs={"aria-label": f"Table of {name}"})
    lines = [
        [" ".join(cell.get_text().split()) for cell in line.find_all("td")]
        for line in found.select("tbody tr")
    ]
    return [line for line in lines if line]


# ---- the report --------------------------------------------------------------------------------------------


def test_the_verdict_comes_first(page, results):
    """How many users each app holds as headline, then the sentence: the result comes before anything else."""
    told = words(page)
    headline = page.h1.get_text()
    assert headline.startswith("Within 500 ms the queued app holds at least 80 users, the synchronous app ")
    assert told.index(results["verdict"]["sentence"]) < told.index("What happened as load was added How long")
    assert "Left out: 1 of 8 measurements, slowed or not fit (queued, 120 users: " in told


def test_the_headline_is_what_the_verdict_says(tmp_path):
    """The most users within the rule at the default settings; what more slots carry is beside it."""
    results = make_run(tmp_path, users=(80, 400), apps=("queued",), slots=(1, 64), floor=False)
    assert results["verdict"]["most_users"]["queued"] == 80
    assert headline(results) == "Within 500 ms the queued app holds 80 users"
    (card,) = read(write_report(results, tmp_path)).select(".apps > div")
    assert "at least 400 users with 64 slots, 1 worker of 32 threads" in " ".join(card.get_text().split())


def test_too_few_requests_are_no_number_of_users():
    """Neither "at least 5 users" nor "not even 5 users"."""

    def said(*rules: tuple[int, str]) -> str:
        usual = {
            "model": "closed",
            "fit": True,
            "slowed_reasons": [],
            **{key: {"judged": 0} for key in RULED},
        }
        measured = [usual | {"users": users, "rule": rule} for users, rule in rules]
        return most_held(measured, "users")

    assert said((5, "undecided")) == "an unknown number of users (there were too few requests to say)"
    assert said((5, "undecided"), (20, "kept")) == said((20, "kept")) == "at least 20 users"
    assert said((5, "kept"), (20, "undecided")) == "at least 5 users"
    assert said((5, "kept"), (20, "undecided"), (50, "broken")) == "at least 5 users"
    assert said((5, "kept"), (20, "broken")) == "5 users"
    assert said((5, "undecided"), (20, "broken")) == "fewer than 20 users"
    assert said((5, "broken"), (20, "kept")) == "not even 5 users"


def test_an_undecided_run_says_so_first(tmp_path):
    """With forty requests of each kind, the headline is that it is undecided; the verdict is in words."""
    results = make_run(tmp_path, users=(2,), apps=("queued",), theory=False, floor=False)
    assert results["verdict"]["exit_status"] == 4
    page = read(write_report(results, tmp_path))
    assert page.h1.get_text() == (
        "Within 500 ms the queued app holds an unknown number of users (there were too few requests to say)"
    )
    assert "Undecided There were too few requests to say whether the queued app kept" in words(page)


def test_the_report_needs_nothing_but_itself(page):
    """No scripts or remote addresses: pictures are embedded, links go to local files or headings."""
    assert page.find_all(["script", "link", "iframe"]) == []
    sources = [image["src"] for image in page.find_all("img")]
    assert len(sources) == 14
    assert all(source.startswith("data:image/svg+xml;base64,") for source in sources)
    style = page.style.get_text()
    assert "url(" not in style
    assert "@import" not in style
    assert all(not re.match(r"\w+:|/", link["href"]) for link in page.find_all("a"))


def test_its_parts_are_found_without_seeing_it(page):
    """A `main` landmark, headings in order, no empty header of a column."""
    accessible(page)


def test_every_picture_says_in_words_what_it_shows(page):
    """For those who can't see it, and for mail programs that drop it."""
    assert all(len(image["alt"]) > 40 for image in page.find_all("img"))


def test_links_lead_to_what_is_there(page, folder, results):
    """results.json, the rows of each step, and every heading in the contents."""
    targets = [link["href"] for link in page.find_all("a")]
    files = [target for target in targets if not target.startswith("#")]
    assert sorted(files) == sorted(["results.json", *(step["rows"] for step in results["steps"])])
    assert all((folder / target).is_file() for target in files)
    headings = {f"#{heading['id']}" for heading in page.find_all("h2")}
    assert {target for target in targets if target.startswith("#")} == headings


def test_the_pictures_are_files_too(page, folder):
    """For slides: PNG and SVG, as many as the page shows."""
    files = {path.name for path in (folder / "figures").iterdir()}
    names = {name.removesuffix(".png") for name in files if name.endswith(".png")}
    assert {"main", "timeline", "ecdf", "open", "queue", "cpu", "floor", "throughput"} < names
    assert files == {f"{name}.{kind}" for name in names for kind in ("png", "svg")}
    assert len(page.find_all("img")) == len(names)


def test_each_step_is_a_line_of_the_table_with_its_own_figures(page, results):
    """Counts unrounded, lower bounds marked, a dash where nothing was measured."""
    lines = table(page, "every step")
    assert len(lines) == len(results["steps"])
    order = ["sync", "queued"]
    in_order = sorted(
        results["steps"], key=lambda step: (order.index(step["app"]), step["users"] is None, step["users"])
    )
    for line, step in zip(lines, in_order, strict=True):
        assert line[0] == (
            f"{step['users']} user{'s' * (step['users'] > 1)}" if step["users"] else "4 visits a second"
        )
        assert line[1] == ("yes" if step["fit"] else "no")
        assert line[3:6] == [str(step[key]) for key in ("requests", "failures", "unfinished")]
        bounds = step["submit"]["lower_bounds"]
        keys = ("mean_ms", "p50_ms", "p95_ms", "p99_ms", "max_ms")
        assert ["≥" in cell for cell in line[10:15]] == [key in bounds for key in keys]
    assert any("≥" in cell for line in lines for cell in line)
    heads = page.find(attrs={"aria-label": "Table of every step"}).thead.find_all("tr")[1].find_all("th")
    assert {len(line) for line in lines} == {len(heads)}


def test_fitness_is_told_for_each_step(page, results):
    """Lag, CPU, Little's law and both counts, in named columns."""
    lines = table(page, "the fitness of every step")
    assert len(lines) == len(results["steps"])
    heads = page.find(attrs={"aria-label": "Table of the fitness of every step"}).thead.get_text(" ")
    for name in ("steady", "late, p99", "CPU of its core", "users", "client: sent", "server: taken"):
        assert name in heads
    step = next(s for s in results["steps"] if s["app"] == "sync" and s["users"] == 80)
    (line,) = [line for line in lines[: len(lines) // 2] if line[0] == "80 users"]
    assert [str(step["server"][key]) for key in ("sent", "requests", "answered")] == line[8:11]
    assert "1.5 ms" in line


def test_an_unfit_step_is_struck_out_and_its_reason_told(page):
    """In the table and below it."""
    assert len(page.select("tr.unfit")) == 2  # every step, its fitness
    assert "queued, 120 users: a tenth of the users were missing" in words(page)


def test_repeats_have_a_table_with_intervals(tmp_path):
    """Means, Student's intervals and the number of fit repeats; the limitations mention the repeats."""
    results = make_run(tmp_path, users=(10,), repeats=3, theory=False, floor=False)
    page = read(write_report(results, tmp_path))
    lines = table(page, "all repeats together")
    assert [line[:2] for line in lines] == [["10 users", "3 of 3"]] * 2
    assert all(re.search(r"\d+ ms \(\d+ ms to \d+ ms\)", " ".join(line)) for line in lines)
    assert "3 repeats on one machine on one day" in words(page)
    assert "One run, no repeats" not in words(page)


def test_settings_machine_and_limits_are_told(page, results):
    """What others need to judge the figures: every setting, its meaning, and what was scaled down."""
    told = words(page)
    for name in results["settings"]:
        assert f"{name} " in told
        assert SCHEMA["$defs"]["Settings"]["properties"][name]["description"] in told
    assert "Imaginary CPU 1 GHz" in told
    assert "locust 2.47.0" in told
    assert "a fetch is given up after 5 s here" in told
    assert "One run, no repeats" in told
    assert "80 % typical, 15 % slow, 5 % hang" in told
    assert results["settings"]["pinning"] in told


def test_the_honest_cost_of_the_queue_is_told(page, results):
    """Feeds, requests, polls and CPU side by side, at each load at which both apps are fit."""
    lines = table(page, "the cost of the queue")
    assert [line[0] for line in lines] == ["1 user", "80 users", "4 visits a second"]
    both = {step["app"]: step for step in results["steps"] if step["users"] == 80}
    seconds = results["settings"]["measure_s"]
    feeds = [f"{both[app]['submit']['count'] / seconds:.1f}" for app in ("sync", "queued")]
    requests = [f"{both[app]['offered_per_s']:.1f}" for app in ("sync", "queued")]
    assert lines[1][1:5] == [*feeds, *requests]
    assert lines[1][5:7] == ["0 %", "35.0 %"]


def test_workers_needed_are_told(page, results):
    """Lambda times D, from what was measured."""
    queue = next(s["queue"] for s in results["steps"] if s["app"] == "queued" and s["users"] == 80)
    assert f"{queue['in_per_s']:.1f} jobs a second came in" in words(page)
    assert f"at least {queue['workers_needed']} are needed, and 32 were there" in words(page)


def test_prediction_stands_beside_measurement(page, results):
    """A table of the plotted figures; the note states the formulas' assumptions."""
    lines = table(page, "prediction and measurement")
    assert len(lines) == sum(len(curve["at"]) for curve in results["theory"]["curves"])
    assert results["theory"]["note"] in words(page)


# ---- what may be missing -----------------------------------------------------------------------------------


def test_a_report_can_be_written_without_the_rows(tmp_path, results):
    """From results.json alone: pictures of single requests are left out, and the page says so."""
    told = words(read(write_report(results, tmp_path)))
    assert "The figures of single requests are missing" in told
    names = {path.stem for path in (tmp_path / "figures").iterdir()}
    assert "main" in names
    assert not {"timeline", "ecdf"} & names


@pytest.mark.parametrize("app", ["sync", "queued", "host"])
def test_one_app_alone_makes_a_report(tmp_path, app):
    """`--app` and `--host` leave no empty headings or gaps for the other app."""
    results = make_run(tmp_path, users=(20,), apps=(app,), theory=app != "host")
    page = read(write_report(results, tmp_path))
    assert len(page.select(".apps > div")) == 1
    assert [each["class"] for each in page.select("th[scope=rowgroup]")] == [[app]] * len(
        page.select("th[scope=rowgroup]")
    )
    names = {path.stem for path in (tmp_path / "figures").iterdir()}
    assert ("queue" in names) is (app == "queued")
    assert "timeline" in names
    told = words(page)
    assert ("http://127.0.0.1:8001" in told) is (app == "host")
    assert ("a fetch is given up" in told) is (app != "host")
    assert "fit for both apps" not in told


def test_open_load_alone_makes_a_report(tmp_path):
    """Visits a second are the headline, and the largest rate is examined closely."""
    results = make_run(tmp_path, users=(), rates=(2.0, 40.0))
    page = read(write_report(results, tmp_path))
    assert page.h1.get_text().startswith("Within 500 ms the queued app holds at least 40 visits a second")
    assert "Open load: visits arrive at random times" in words(page)
    assert "Closed load:" not in words(page)
    assert (tmp_path / "figures" / "timeline.svg").exists()


def test_an_interrupted_run_says_so(tmp_path):
    """Before its verdict."""
    results = make_run(tmp_path, users=(5,), theory=False, floor=False) | {"interrupted": True}
    told = words(read(write_report(results, tmp_path)))
    assert told.index("Interrupted.") < told.index(results["verdict"]["sentence"])


def test_a_run_without_a_fit_step_makes_a_report(tmp_path):
    """It says what went wrong instead of a result."""
    results = make_run(tmp_path, users=(5,), unfit={("sync", 5), ("queued", 5)}, theory=False)
    page = read(write_report(results, tmp_path))
    assert page.h1.get_text() == "No step of this run is fit for a verdict"


def test_texts_from_outside_are_escaped(tmp_path):
    """A processor's name is not markup."""
    results = make_run(tmp_path, users=(5,), theory=False, floor=False)
    results["machine"]["cpu"] = "<script>alert(1)</script>"
    text = write_report(results, tmp_path).read_text()
    assert "<script>" not in text
    assert "&lt;script&gt;" in text
