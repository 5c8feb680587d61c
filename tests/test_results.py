"""results.json and its schema, from a simulated run."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from synthetic_run import make_run

import loadtests

SCHEMA = json.loads((Path(loadtests.__file__).parent / "results.schema.json").read_text())


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
        (("version",), 2),
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

    def bare(schema: Any, path: str = "") -> list[str]:
        found = []
        for name, inner in schema.get("properties", {}).items():
            if not ({"description", "$ref"} & set(inner)):
                found.append(f"{path}.{name}")
            found += bare(inner, f"{path}.{name}")
        return found

    assert bare(SCHEMA) + bare(SCHEMA["$defs"]["step"]) + bare(SCHEMA["$defs"]["summary"]) == []
