"""Sphinx's settings for the workbook as a site that is read offline: book.py builds it.

No page may load anything from elsewhere. Formulas become MathML, which browsers draw themselves.
"""

from html import escape

from docutils import nodes
from latex2mathml.converter import convert
from myst_nb.sphinx_ import HideCodeCellNode

project = "The 500 ms workbook"
extensions = ["myst_nb"]
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # the notebooks are executed already
nb_ipywidgets_js: dict[str, dict[str, str]] = {}  # would be fetched from elsewhere
html_theme = "furo"
html_title = project
html_static_path = ["_static"]
html_css_files = ["workbook.css"]
html_js_files = ["workbook.js"]
html_show_copyright = False
html_show_sourcelink = False
html_copy_source = False
html_math_renderer = "mathml"
html_theme_options = {"navigation_with_keys": True}
suppress_warnings = ["myst.header"]  # a chapter may go from a title to a smaller heading


def _formula(translator, node) -> None:
    translator.body.append(convert(node.astext(), display=_display(node)))
    raise nodes.SkipNode


def _display(node) -> str:
    return "block" if isinstance(node, nodes.math_block) else "inline"


def _fold(translator, node) -> None:
    translator.body.append(f"<details><summary>{escape(node['prompt_show'])}</summary>")


def _end_fold(translator, node) -> None:
    translator.body.append("</details>")


def setup(app) -> None:
    """Have formulas drawn as MathML, and what is folded called by its own name, as those in the text are."""
    app.add_node(HideCodeCellNode, override=True, html=(_fold, _end_fold))
    app.add_html_math_renderer("mathml", (_formula, None), (_formula, None))
