"""The demo as a page, by NiceGUI, which sends to each browser what has changed."""

import time
import webbrowser
from collections.abc import Callable
from pathlib import Path

from nicegui import Client, app, ui
from nicegui.events import GenericEventArguments

from loadtests.demo.controls import CONTROLS
from loadtests.demo.demo import TICK_SECONDS, Demo
from loadtests.demo.panel import Panel
from loadtests.demo.running import Now
from loadtests.demo.tour import TOUR
from loadtests.demo.words import clock, machine
from loadtests.errors import UsageError
from loadtests.servers.stack import HOST

TITLE = "Two readers, the same visitors"
CLOSED_SECONDS = 5.0  # without a page, after there was one, until the demo ends: a reload takes less
PAGE_STYLE = Path(__file__).with_name("page.css")


class Showing:
    """What all pages share: the demo, its latest state, and whether anybody looks."""

    def __init__(self, demo: Demo, tour: bool) -> None:
        self.demo = demo
        self.now: list[Now] = []
        self._tour = tour  # to be begun when the first page is there
        self.error: Exception | None = None  # what ended it
        self._pages: set[str] = set()
        self._last_page: float | None = None  # when one was last there

    def opened(self, client: Client) -> None:
        """Somebody looks, until the browser is gone for some seconds."""
        self._pages.add(client.id)
        if self._tour:
            self._tour = False
            self.demo.start_tour()
        client.on_delete(lambda: self._pages.discard(client.id))

    def tick(self) -> None:
        """Go on; end when nobody looks any more, or the time is over."""
        self.demo.tick()
        if self._pages:
            self._last_page = time.monotonic()
            self.now = [reader.now() for reader in self.demo.readers]
        closed = self._last_page is not None and time.monotonic() - self._last_page > CLOSED_SECONDS
        if closed or not self.demo.seconds_left:
            app.shutdown()

    def failed(self, error: Exception) -> None:
        """End: a process has ended, or a fault."""
        self.error = error
        app.shutdown()


def show_page(demo: Demo, port: int, tour: bool, browser: bool) -> None:
    """Serve the page until it has been closed, Ctrl-C, or the demo's end. Raises what ended the demo."""
    showing = Showing(demo, tour)
    address = f"http://{HOST}:{port}"

    @ui.page("/", title=TITLE)
    def page(client: Client) -> None:
        client.on_connect(lambda: showing.opened(client))
        _page(showing)

    def started() -> None:
        opened = browser and webbrowser.open(address)
        print(f"The demo: {address}" + ("" if opened else "  (open it in a browser)"), flush=True)

    app.on_exception(showing.failed)
    app.timer(TICK_SECONDS, started, once=True)
    app.timer(TICK_SECONDS, showing.tick)
    ui.run(
        host=HOST,
        port=port,
        dark=None,
        reload=False,
        show=False,
        show_welcome_message=False,
        tailwind=False,
        binding_refresh_interval=None,
        language="en-US",
        favicon="🐢",
    )
    if showing.error:
        raise showing.error


def _page(showing: Showing) -> None:
    demo = showing.demo
    ui.add_css(PAGE_STYLE.read_text())
    with ui.element("div").classes("demo"):
        with ui.element("header"):
            with ui.element("nav").props('aria-label="Steps"'):
                steps = [_step(demo, number) for number in range(len(TOUR))]
                tour = _button("Tour", demo.start_tour)
            title = ui.label(TITLE).classes("title").props('role="heading" aria-level="1"')
            says = ui.label().classes("says").props('role="status"')
        with ui.element("div").classes("readers"):
            panels = [Panel(reader) for reader in demo.readers]
        with ui.element("div").classes("controls"):
            fields = {name: _Field(demo, name) for name in CONTROLS}
            with ui.element("div").classes("buttons"):
                _button("Hang ten feeds now", demo.hang_ten)
                kill = _button("Kill the worker now", demo.kill_or_replace_worker)
        with ui.element("footer"):
            busy = ui.label()
            ui.label("Hollow: not answered yet. Small and grey: pages and polls. A bar at the top: failed.")
            left = ui.label()

    def show() -> None:
        for panel, now in zip(panels, showing.now, strict=False):
            panel.show(now, demo.wanted.threads)
        for name, field in fields.items():
            field.show(getattr(demo.wanted, name))
        step = demo.step
        for number, button in enumerate(steps):
            button.props["aria-pressed"] = "true" if TOUR[number] is step else "false"
        tour.text = f"Tour: {demo.step_left:.0f} s" if demo.touring else "Tour"
        title.text = step.title if step else TITLE
        says.text = step.says if step else "Change what you like, or play a step."
        kill.text = "Kill the worker now" if demo.worker else "Start a worker"
        if showing.now:
            busy.text, full = machine(showing.now)
            busy.classes(add="full" if full else "", remove="" if full else "full")
        left.text = f"Ends in {clock(demo.seconds_left)}, or when this page is closed."

    ui.timer(TICK_SECONDS, show)


def _step(demo: Demo, number: int) -> ui.button:
    button = _button(str(number + 1), lambda: demo.play(number))
    name = f"Step {number + 1}: {TOUR[number].title}"
    return button.props(f'aria-label="{name}" title="{name}" aria-pressed="false"')


def _button(text: str, act: Callable[[], object]) -> ui.button:
    return ui.button(text, on_click=act, color=None).props("no-caps unelevated dense")


class _Field:
    """A control: a slider with its figure."""

    def __init__(self, demo: Demo, name: str) -> None:
        self._demo, self._name = demo, name
        self._control = control = CONTROLS[name]
        self._dragged = False
        with ui.element("label").classes("control"):
            with ui.element("span"):
                ui.label(control.label)
                self._text = ui.label().classes("figure")
            self._slider = ui.element("input").props(f"type=range min={control.least} max={control.most}")
            self._slider.props["aria-label"] = f"{control.label}: {control.about}"
        number = "(event) => emit(Number(event.target.value))"
        self._slider.on("input", self._drag, throttle=0.1, js_handler=number)
        self._slider.on("change", self._set, js_handler=number)

    def _drag(self, event: GenericEventArguments) -> None:
        self._dragged = True
        self._say(event.args)

    def _set(self, event: GenericEventArguments) -> None:
        self._dragged = False
        try:
            self._demo.want(**{self._name: event.args})
        except UsageError as error:  # slow and hanging feeds are more than all
            ui.notify(str(error))

    def _say(self, value: float) -> None:
        self._text.text = f"{value:g} {self._control.unit}".rstrip()

    def show(self, value: int) -> None:
        """Follow what others changed, such as the tour."""
        if not self._dragged:
            self._slider.props["value"] = value
            self._say(value)
