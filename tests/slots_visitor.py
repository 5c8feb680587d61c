"""A visitor to the page that one drags, for its tests."""

from typing import Any

from notebooks_path import NOTEBOOKS
from selenium import webdriver
from selenium.webdriver.common.by import By

WIDTHS = {390: 844, 1280: 720, 1920: 1080}  # pixels, and how high such a screen is


# Nothing moves by itself, and everybody sees the same random numbers.
NO_CLOCK = "var nextFrame; Date.now = () => 1; requestAnimationFrame = (frame) => { nextFrame = frame; };"


class Page:
    """The page with its clock stopped: a test says how much time goes by."""

    def __init__(self, browser: webdriver.Chrome) -> None:
        self.browser = browser
        browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": NO_CLOCK})
        self.open()

    def open(self, width: int = 1280, dark: bool = False, still: bool = False) -> None:
        """Load it on a screen of this width, for somebody with these preferences."""
        size = {"width": width, "height": WIDTHS[width], "deviceScaleFactor": 1, "mobile": width < 500}
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        wishes = {"color-scheme": "dark" if dark else "light", "reduced-motion": "reduce" if still else ""}
        features = [{"name": f"prefers-{name}", "value": value} for name, value in wishes.items()]
        self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        self.browser.get((NOTEBOOKS / "slots.html").as_uri())

    def run(self, script: str, *arguments: Any) -> Any:
        """The result of a script."""
        return self.browser.execute_script(script, *arguments)

    def pass_seconds(self, seconds: float) -> None:
        """Let the model go on, in the steps in which the page's clock does."""
        self.run("for (let n = 0; n < arguments[0] * 30; n++) tick(1 / 30)", seconds)

    def drag(self, name: str, value: int) -> None:
        """Drag a slider."""
        self.run("find(arguments[0]).value = arguments[1]", name, value)
        self.run("find(arguments[0]).dispatchEvent(new Event('input'))", name)

    def step(self, number: int) -> None:
        """Choose one of the five steps."""
        self.browser.find_elements(By.CSS_SELECTOR, "[name=step]")[number - 1].click()

    def text(self, selector: str) -> str:
        """What an element says, seen or not."""
        return str(self.browser.find_element(By.CSS_SELECTOR, selector).get_attribute("textContent"))

    def settings(self) -> dict[str, Any]:
        """The model's settings."""
        return dict(self.run("return model.settings"))

    def figures(self) -> dict[str, Any]:
        """The figures that are shown, computed from the model's own requests."""
        return dict(self.run("return record.figures(model)"))
