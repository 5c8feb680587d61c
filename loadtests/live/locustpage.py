"""Locust's page: a tab with live figures and the verdict, short labels, and why a test can't begin.

Does not import Locust: it extends the Flask app of the web_ui that it is given.
"""

import argparse
import functools
from collections.abc import Callable, Mapping
from typing import Any

from flask import Response, jsonify, request

from loadtests.errors import UsageError

TAB = {"title": "Verdict", "key": "verdict"}
# Locust draws the tab, but fills it only with tables that it polls while a test runs. A script adds the text.
SCRIPT = """\
<style>
#verdict { position: fixed; inset: 8rem 2rem 4rem; overflow: auto; padding: 1rem;
           font: 0.9rem/1.5 sans-serif; }
#verdict pre { margin: 0; font: 0.9rem/1.5 monospace; white-space: pre-wrap; }
#verdict table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; }
#verdict th, #verdict td { padding: 0.3rem 0.5rem; text-align: right; white-space: nowrap; }
#verdict td { min-width: 4rem; }
#verdict th:first-child, #verdict .drawing { text-align: left; }
#verdict th[scope=row] { max-width: 14rem; overflow: hidden; text-overflow: ellipsis; }
#verdict th[scope=colgroup] { text-align: center; }
#verdict tbody tr { border-top: 1px solid color-mix(in srgb, currentColor 25%, transparent); }
#verdict .over { font-weight: bold; background: rgb(229 57 53 / 30%); }
#verdict svg { display: block; fill: currentColor; stroke: currentColor; stroke-width: 2; }
#verdict svg .axis { opacity: 0.25; stroke-width: 1; }
#verdict svg .rule { stroke: rgb(229 57 53); }
</style>
<div id="verdict" hidden></div>
<script>
const verdict = document.getElementById("verdict");
let shown = "";
async function show() {
  verdict.hidden = !document.querySelector("[role=tab]")
    || new URLSearchParams(location.search).get("tab") !== "verdict";
  if (!verdict.hidden) {
    const page = await fetch("./verdict").then(answer => answer.text(), () => "Locust does not answer.");
    if (page !== shown) verdict.innerHTML = shown = page;
  }
}
setInterval(show, 1000);
</script>
"""


def extend_page(
    web_ui: Any, base: str, verdict: Callable[[], str], refusal: Callable[[Mapping[str, str]], str | None]
) -> None:
    """Add what `verdict` returns (HTML) at `base`/verdict and as a tab; ask `refusal(form)` before each test.

    `refusal` returns why the form's test can't begin, which Locust's form then shows, or None.
    """
    app = web_ui.app
    web_ui.template_args["extended_tabs"] = [*web_ui.template_args.get("extended_tabs", []), TAB]
    update = web_ui.update_template_args
    begin, shown = app.view_functions["locust.swarm"], app.view_functions["locust.index"]

    def update_template_args() -> None:
        update()
        for field in web_ui.template_args["extra_options"].values():
            field["help_text"] = (field["help_text"] or "").partition(". ")[0]

    def text() -> Response:
        return Response(verdict(), content_type="text/html; charset=utf-8")

    @functools.wraps(begin)
    def swarm() -> Response:
        why = refusal(request.form)
        if why is None:
            answer: Response = begin()
            return answer
        return jsonify(success=False, message=why, host=web_ui.environment.host)

    def index() -> Any:
        page = shown()
        return page.replace("</body>", SCRIPT + "</body>") if isinstance(page, str) else page

    web_ui.update_template_args = update_template_args
    app.view_functions["locust.swarm"] = web_ui.auth_required_if_enabled(swarm)
    app.view_functions["locust.index"] = index
    app.add_url_rule(f"{base}/verdict", "verdict", web_ui.auth_required_if_enabled(text))


def with_form(options: Any, form: Mapping[str, str], offered: Mapping[str, argparse.Action]) -> Any:
    """A copy of the options with the values of Locust's form. Raises UsageError for an invalid value.

    Locust itself accepts any value that converts to a Python type. `offered`: the form's fields, as options.
    """
    changed = {}
    for field, text in form.items():
        option = offered.get(field)
        parse = option.type if option and callable(option.type) else str
        try:
            changed[field] = parse(text)
        except (ValueError, argparse.ArgumentTypeError) as error:
            raise UsageError(f"{_label(field)}: {error}.") from error
        if option and option.choices and changed[field] not in option.choices:
            raise UsageError(f"{_label(field)}: {text!r} is not one of {', '.join(option.choices)}.")
    return argparse.Namespace(**{**vars(options), **changed})


def _label(field: str) -> str:
    return field.replace("_", " ").capitalize()
