"""results.json and its schema, from a simulated run."""

import copy
import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from synthetic_run import make_run

from loadtests.records.results import read_results
from loadtests.records.schema import FILE, written

SCHEMA = json.loads(FILE.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """A run of both apps in both models, with repeats and a burst; one point is unfit."""
    folder = tmp_path_factory.mktemp("run")
    return make_run(folder, users=(1, 20), rates=(4.0,), repeats=2, unfit={("queued", 20)}, burst=50)


def problems(results: Any) -> list[str]:
    """Where a result violates the schema."""
    return [error.json_path for error in Draft202012Validator(SCHEMA).iter_errors(results)]


def test_the_schema_is_one_and_a_run_meets_it(results):
    """Even after a round trip through a file, where tuples and enums would show."""
    Draft202012Validator.check_schema(SCHEMA)
    assert problems(json.loads(json.dumps(results))) == []


def test_the_schema_allows_growth(results):
    """New keys may appear anywhere without a new version."""
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
        ("settings", "repeats"),
        ("points", 0, "submit"),
        ("theory", "curves", 0, "at"),
        ("steps", 0, "fit"),
        ("steps", 0, "ended_s"),
        ("steps", 0, "submit"),
        ("steps", 0, "submit", "judged"),
        ("steps", 0, "rule"),
        ("points", 0, "rule"),
        ("steps", 0, "content", "share_ci"),
        ("verdict", "most_users"),
        ("floor",),
    ],
)
def test_a_missing_key_is_noticed(results, path):
    """Keys are stable: readers may rely on each of them."""
    broken = copy.deepcopy(results)
    inner: Any = broken
    for key in path[:-1]:
        inner = inner[key]
    del inner[path[-1]]
    assert problems(broken) != []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("version",), 3),
        (("started_at",), "yesterday"),
        (("started_at",), "2030-01-02T03:04:05"),
        (("verdict", "exit_status"), 2),
        (("steps", 0, "app"), "other"),
        (("steps", 0, "rule"), "unfit"),
        (("steps", 0, "submit", "share_ci"), [0.1]),
        (("steps", 0, "submit", "lower_bounds"), ["p42_ms"]),
        (("steps", 0, "unfit_reasons"), ["fit, and yet a reason"]),
        (("steps", 0, "fit"), False),
    ],
)
def test_a_wrong_value_is_noticed(results, path, value):
    """Times without a zone, unknown enum values, and a step that is unfit without a reason."""
    broken = copy.deepcopy(results)
    inner: Any = broken
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    assert problems(broken) != []


@pytest.mark.parametrize("status", [0, 1, 3, 4])
def test_a_verdict_is_kept_broken_not_fit_or_undecided(results, status):
    """The other exit statuses leave no results."""
    told = {**results, "verdict": {**results["verdict"], "exit_status": status}}
    assert problems(told) == []


def test_every_key_of_the_schema_is_described():
    """The schema is the file's documentation."""

    parts = {"Results": SCHEMA, **SCHEMA["$defs"]}
    keys = [(name, *said) for name, part in parts.items() for said in part["properties"].items()]
    assert len(keys) > 150
    assert [f"{name}.{key}" for name, key, said in keys if not {"description", "$ref"} & set(said)] == []


def test_the_schema_is_made_of_the_types():
    """Whoever changes one of them runs `make schema`."""
    assert FILE.read_text(encoding="utf-8") == written()


def test_what_is_read_from_a_file_is_what_was_written(results, tmp_path):
    """Reading asks for every key, and loses none that it knows."""
    (tmp_path / "results.json").write_text(json.dumps(results))
    assert read_results(tmp_path / "results.json") == results


def test_the_example_is_as_its_schema_and_types_say():
    """It is a real run's."""
    file = FILE.with_name("example") / "results.json"
    found = json.loads(file.read_text(encoding="utf-8"))
    assert problems(found) == []
    assert read_results(file) == found
