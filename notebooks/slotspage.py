"""The page that one drags, as one file that works offline: slots.html, from its parts in slots/.

    python notebooks/slotspage.py            # `make chapters` does the same
    python notebooks/slotspage.py --picture  # also draws slots.gif, in a browser, for the README

The parts open in a browser as they are (slots/page.html); nothing is built but the one file.
"""

import argparse
import base64
import io
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image

HERE = Path(__file__).parent
PARTS, ONE_FILE, ANIMATION = HERE / "slots", HERE / "slots.html", HERE / "slots.gif"
WIDE, HIGH = 1060, 630  # pixels of the picture
STORY = ((1, 2.5), (3, 6.0), (4, 9.0))  # step of the page, counted from 0, and the seconds it is shown
NO_CLOCK = "Date.now = () => 1; requestAnimationFrame = () => 0;"  # so the picture is the same each time
PER_SECOND = 6  # frames
PALETTE = 64  # colours


def assembled() -> str:
    """The page with its styles and scripts in it."""
    page = (PARTS / "page.html").read_text()
    page = re.sub(
        r'<link rel="stylesheet" href="(.*?)">', lambda part: f"<style>\n{_part(part[1])}</style>", page
    )
    return re.sub(r'<script src="(.*?)"></script>', lambda part: f"<script>\n{_part(part[1])}</script>", page)


def write() -> None:
    """Write the one file."""
    ONE_FILE.write_text(assembled())


def _part(name: str) -> str:
    return (PARTS / name).read_text()


def frames() -> Iterator[Image.Image]:
    """The story as a browser shows it, picture by picture."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for flag in ("--headless", "--no-sandbox", "--hide-scrollbars"):
        options.add_argument(flag)
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    with webdriver.Chrome(options=options, service=service) as browser:
        size = {"width": WIDE, "height": HIGH, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": NO_CLOCK})
        browser.get(ONE_FILE.as_uri())
        hide = "document.querySelectorAll('.controls, details').forEach((each) => (each.hidden = true))"
        browser.execute_script(hide)
        for step, seconds in STORY:
            browser.execute_script("take(arguments[0])", step)
            for _ in range(round(seconds * PER_SECOND)):
                browser.execute_script("for (let n = 0; n < 30 / arguments[0]; n++) tick(1 / 30)", PER_SECOND)
                yield Image.open(io.BytesIO(base64.b64decode(browser.get_screenshot_as_base64())))


def draw() -> None:
    """Write the animated picture, in few colours: all frames share one palette."""
    first, *others = [frame.convert("RGB") for frame in frames()]
    sample = Image.new("RGB", (WIDE, 2 * HIGH))
    sample.paste(first, (0, 0))
    sample.paste(others[-1], (0, HIGH))
    palette = sample.quantize(PALETTE, Image.Quantize.MAXCOVERAGE)
    first, *others = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in [first, *others]]
    first.save(
        ANIMATION, save_all=True, append_images=others, duration=1000 // PER_SECOND, loop=0, optimize=True
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Write the page, and the picture if asked; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--picture", action="store_true", help="draw slots.gif, too; needs chromium")
    options = parser.parse_args(argv)
    write()
    if options.picture:
        if not (shutil.which("chromium") and shutil.which("chromedriver")):
            print("The picture needs a browser: apt-get install chromium chromium-driver", file=sys.stderr)
            return 2
        draw()
    return 0


if __name__ == "__main__":
    sys.exit(main())
