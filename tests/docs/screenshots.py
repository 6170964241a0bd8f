"""The two pictures that README shows, made anew: of `make demo`, and of the replay of one run.

`make pictures` makes the runs and calls this:

    python -m tests.docs.screenshots DEMO PLAIN_FEDAVG

takes the folder of the demo's sweep and that of a run of `plain-fedavg`, both with a report.
"""

import io
import sys
from pathlib import Path

from PIL import Image

from tests.docs.pages import DOCS
from tests.kit.browser import Tab, chromium

WIDE, HIGH = 1152, 900
PAGE_PX, REPLAY_PX = 900, 1335
"""Widths of the pictures."""
SHARE = 0.3271
"""Of the run, the time at which its replay is shown: in a contact of Munich on the third day."""
COLOURS = 160
DRAWN = "() => new Promise(done => requestAnimationFrame(() => setTimeout(done, 800)))"
TO_SHARE = """share => {
  const slider = document.querySelector(".replay input[type=range]");
  slider.value = share * slider.max;
  slider.dispatchEvent(new Event("input", {bubbles: true}));
}"""


def small(png: bytes, width: int) -> Image.Image:
    """Return a picture of a width, with few colours: pages have no more."""
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    height = round(picture.height * width / picture.width)
    resized = picture.resize((width, height), Image.Resampling.LANCZOS)
    return resized.quantize(COLOURS, kmeans=3, dither=Image.Dither.NONE)


def main(demo: str, plain: str) -> None:
    """Open both pages, and write the pictures into `docs`."""
    looks = {"viewport": {"width": WIDE, "height": HIGH}, "device_scale_factor": 1.5}
    with chromium() as browser:
        tab = Tab(browser, Path(demo, "report.html").resolve(), **looks)
        tab.page.evaluate(DRAWN)
        small(tab.page.screenshot(full_page=True), PAGE_PX).save(DOCS / "report.png", optimize=True)
        tab = Tab(browser, Path(plain, "report.html").resolve(), **looks)
        tab.page.evaluate(TO_SHARE, SHARE)
        tab.page.evaluate(DRAWN)
        png = tab.page.locator(".replay").first.screenshot()
        small(png, REPLAY_PX).save(DOCS / "replay.png", optimize=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
