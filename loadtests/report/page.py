"""A self-contained HTML file: filled-in templates, embedded figures, and tables as plain data."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from loadtests.report.charts import save
from loadtests.report.figures import Pictures
from loadtests.wording import user_count

NO_BREAK = "\N{NO-BREAK SPACE}"
TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Line:
    """A line of a table; `kind` is its CSS class, such as "unfit"."""

    cells: Sequence[str]
    kind: str = ""


@dataclass(frozen=True)
class Body:
    """Lines that belong together, under their own heading; `kind` is the heading's CSS class."""

    title: str
    lines: Sequence[Line]
    kind: str = ""


@dataclass(frozen=True)
class Table:
    """A table: groups of columns with their names, and bodies of lines. `name` is its subject."""

    name: str
    heads: Sequence[tuple[str, Sequence[str]]]
    bodies: Sequence[Body]

    @property
    def width(self) -> int:
        """The number of columns."""
        return sum(len(names) for _, names in self.heads)

    @property
    def words(self) -> int:
        """The number of columns on the left that hold words, or name the line's subject."""
        return len(self.heads[0][1])

    @property
    def firsts(self) -> set[int]:
        """The columns at which a group begins, except the first group."""
        places, place = set(), 0
        for _, names in self.heads:
            places.add(place)
            place += len(names)
        return places - {0}


def render(template: str, **given: Any) -> str:
    """The page, with texts escaped. Raises UndefinedError if a name that the template needs is missing."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"unbroken": lambda text: text.replace(" ", NO_BREAK), "user_count": user_count}
    return environment.get_template(template).render(**given)


def embedded(figures: Pictures, folder: Path) -> dict[str, dict[str, str]]:
    """Write each figure to `folder` as PNG and SVG; returns its source and alternative text, by name."""
    found = {}
    for name, figure in figures.items():
        _, svg = save(figure, folder, name)
        source = "data:image/svg+xml;base64," + base64.b64encode(svg.read_bytes()).decode()
        found[name] = {"source": source, "alt": str(figure.get_label())}
    return found
