"""Sphinx's settings for jobqueue's documentation: `make docs` builds it, and it is read offline."""

project = "jobqueue"
extensions = ["myst_parser", "sphinx.ext.autodoc"]
myst_heading_anchors = 3
exclude_patterns = ["notes-*"]
html_theme = "furo"
html_title = project
pygments_dark_style = "github-dark"  # the default underlines imports, which then look like links
html_static_path = ["_static"]
html_css_files = ["docs.css"]
html_show_copyright = False
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {"navigation_with_keys": True}
default_role = "literal"  # docstrings put code between single backticks
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
python_maximum_signature_line_length = 80
add_module_names = False
