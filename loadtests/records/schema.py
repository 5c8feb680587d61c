"""`make schema`: write loadtests/results.schema.json, which is generated from the types in results.py."""

from pathlib import Path

import msgspec

from loadtests.files import json_text
from loadtests.records.results import Results

FILE = Path(__file__).parents[1] / "results.schema.json"


def schema() -> dict[str, object]:
    """The JSON schema of results.json: Results itself at the top, its parts in `$defs`."""
    made = msgspec.json.schema(Results)
    parts = made["$defs"]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **parts.pop("Results"),
        "title": "Results of a load test: results.json",
        "$defs": parts,
    }


def descriptions(kind: type) -> dict[str, str]:
    """The description of each key of one of the types."""
    (named,) = msgspec.json.schema(kind)["$defs"].values()
    return {key: said["description"] for key, said in named["properties"].items()}


def written() -> str:
    """The file's text."""
    return json_text(schema())


if __name__ == "__main__":
    FILE.write_text(written(), encoding="utf-8")
