"""JUnit-style XML and Markdown, as pipelines read them. Pure: from values to text."""

import re
from collections.abc import Mapping, Sequence
from xml.etree.ElementTree import Element, SubElement, indent, tostring

# What XML 1.0 can't hold, escaped or not.
UNPRINTABLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def case_of(suite: Element, classname: str, name: str, properties: Mapping[str, str]) -> Element:
    """Add a test case to a suite; returns it."""
    case = SubElement(suite, "testcase", classname=_printable(classname), name=_printable(name), time="0")
    held = SubElement(case, "properties")
    for key, text in properties.items():
        SubElement(held, "property", name=key, value=_printable(text))
    return case


def add_outcome(case: Element, kind: str, message: str) -> None:
    """Mark a case as a failure, an error or skipped; an unmarked case passes."""
    SubElement(case, kind, message=_printable(message)).text = _printable(message)


def xml(suite: Element, sentence: str) -> str:
    """The XML file of one suite, with its counts and a sentence that sums it up."""
    counts = {
        "tests": len(suite.findall("testcase")),
        "failures": len(suite.findall("testcase/failure")),
        "errors": len(suite.findall("testcase/error")),
        "skipped": len(suite.findall("testcase/skipped")),
    }
    root = Element("testsuites")
    for element in (suite, root):
        for key, count in counts.items():
            element.set(key, str(count))
    root.append(suite)
    SubElement(suite, "system-out").text = _printable(sentence)
    indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{tostring(root, encoding="unicode")}\n'


def _printable(text: str) -> str:
    return UNPRINTABLE.sub("\ufffd", text)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(_cell(each) for each in line)} |" for line in lines)


def _cell(text: str) -> str:
    return text if text in ("---", "**broken**") else escaped(text).replace("\n", " ")


def escaped(text: str) -> str:
    """Escape what Markdown or HTML would interpret."""
    text = text.replace("&", "&amp;").replace("<", "&lt;")
    return re.sub(r"([\\`*_\[\]|#~])", r"\\\1", text)
