"""Reports in a browser: quiet, offline, readable on a phone, zoomed by wheel and keys."""

import io

import numpy as np
import pytest
import yaml
from PIL import Image

from sim.report import report
from tests.kit.browser import ARGUMENTS, CHROMIUM, DESKTOP, PHONE, Tab
from tests.kit.small import SLOTS

api = pytest.importorskip("playwright.sync_api", reason="install playwright for browser tests")
pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(CHROMIUM is None, reason="install chromium: reports are opened in it"),
]

PAGES = ("slots", "orbit", "comparison", "networked", "sweep")


@pytest.fixture
def folder(leomix, runs):
    """Reports of all kinds, that of a sweep of eight points over two keys among them."""

    def make(place):
        place.mkdir()
        report([runs["slots"]], place / "slots.html")
        report([runs["orbit-timing"]], place / "orbit.html")
        report([runs["slots"], runs["slots-synchronous"]], place / "comparison.html")
        report([runs["nmoe"]], place / "networked.html")
        (place / "s.yaml").write_text(yaml.safe_dump(SLOTS))
        keys = ("-p", "learning.method=synchronous,emsfl", "-p", "learning.step_size=0.05,0.1")
        line = (place / "s.yaml", *keys, "--replications", 2, "--quiet", "-o", place / "swept")
        assert leomix("sweep", *line, "--set", "stop.cycles=1").status == 0
        report([place / "swept"], place / "sweep.html")

    return runs.made("pages", make)


@pytest.fixture(scope="module")
def browser():
    with api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield launched
        launched.close()


@pytest.fixture
def tab(browser, folder):
    opened = []

    def open_one(name, viewport=DESKTOP, **options):
        opened.append(Tab(browser, folder / f"{name}.html", viewport=viewport, **options))
        return opened[-1]

    yield open_one
    for one in opened:
        one.context.close()


@pytest.mark.parametrize("name", PAGES)
def test_it_is_quiet_and_asks_for_nothing_but_itself(tab, folder, name):
    assert (folder / f"{name}.html").stat().st_size < 2_000_000
    opened = tab(name)
    for link in opened.page.locator("nav a, summary").all():
        link.click()
    assert opened.said == []
    outside = {url for url in opened.asked if not url.startswith(("data:", "blob:"))}
    assert outside == {(folder / f"{name}.html").as_uri()}
    add = "document.body.append(Object.assign(document.createElement('script'), {text: 'ran = 1'}))"
    opened.page.evaluate(add)
    assert opened.page.evaluate("window.ran") is None
    assert any("Content Security Policy" in text for text in opened.said)


TEXTS = """() => {
  const shades = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), texts = [];
  while (walk.nextNode()) {
    const element = walk.currentNode.parentElement, range = document.createRange();
    range.selectNodeContents(walk.currentNode);
    const box = range.getBoundingClientRect(), words = walk.currentNode.data.trim();
    if (!words || !box.width || element.closest("script") || !element.checkVisibility()) continue;
    const style = getComputedStyle(element), inside = element.closest("svg");
    shades.fillStyle = inside ? style.fill : style.color;
    shades.fillRect(0, 0, 1, 1);
    const colour = [...shades.getImageData(0, 0, 1, 1).data].slice(0, 3);
    texts.push([words, colour, [box.left, box.top + scrollY, box.right, box.bottom + scrollY]]);
  }
  for (const element of document.querySelectorAll("body *"))
    element.style.setProperty(element.closest("svg text") ? "fill" : "color", "transparent");
  return texts;
}"""
"""All texts with their colours and places; then they are made invisible."""
SIDEWAYS = """() => [...document.querySelectorAll("body *")]
  .filter(one => one.scrollWidth > one.clientWidth + 1 && one.clientWidth
                 && getComputedStyle(one).overflowX != "visible")
  .map(one => one.outerHTML.slice(0, 200))"""


def luminance(colour):
    """Relative luminance of an sRGB colour by WCAG 2."""
    shares = np.asarray(colour) / 255
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def contrasts(page):
    """The contrast of each text with what most of the picture behind it shows."""
    texts = page.evaluate(TEXTS)
    picture = np.asarray(Image.open(io.BytesIO(page.screenshot(full_page=True))).convert("RGB"))
    found = {}
    for words, colour, box in texts:
        left, top, right, bottom = (max(0, round(edge)) for edge in box)
        behind = picture[top:bottom, left:right].reshape(-1, 3)
        shades, counts = np.unique(behind, axis=0, return_counts=True)
        low, high = sorted((luminance(colour), luminance(shades[counts.argmax()])))
        found[words] = min((high + 0.05) / (low + 0.05), found.get(words, 21.0))
    return found


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("viewport", [PHONE, DESKTOP], ids=["phone", "desktop"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_fits_nothing_scrolls_sideways_and_all_text_stands_out(tab, name, viewport, scheme):
    page = tab(name, viewport, color_scheme=scheme).page
    for fold in page.locator("summary").all():
        fold.click()
    for section in page.locator("main > section").all():
        box = section.bounding_box()
        assert 0 <= box["x"] <= box["x"] + box["width"] <= viewport["width"]
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    assert page.evaluate(SIDEWAYS) == []
    found = contrasts(page)
    assert len(found) > 60
    assert {words: ratio for words, ratio in found.items() if ratio < 4.5} == {}


def test_the_wheel_zooms_around_the_pointer_and_not_beyond_the_run(tab):
    opened = tab("orbit")
    whole = opened.shown()
    assert whole == (0.0, 129600.0)
    opened.page.locator(".timeline canvas").hover()
    opened.page.mouse.wheel(0, -300)
    near = opened.shown()
    assert whole[0] < near[0] < near[1] < whole[1]
    opened.page.mouse.wheel(0, 5000)
    assert opened.shown() == whole


def test_keys_and_buttons_do_the_same(tab):
    opened = tab("orbit")
    whole = opened.shown()
    opened.page.locator(".timeline canvas").focus()
    by_key = []
    by_button = []
    for key in ("+", "+", "ArrowRight", "ArrowLeft", "-", "0"):
        opened.page.keyboard.press(key)
        by_key.append(opened.shown())
    for button in ("Zoom in", "Zoom in", "Later", "Earlier", "Zoom out", "Whole run"):
        opened.page.get_by_role("button", name=button, exact=True).click()
        by_button.append(opened.shown())
    assert by_key == by_button
    quarter_s = (whole[1] - whole[0]) / 4
    assert by_key[1][1] - by_key[1][0] == pytest.approx(quarter_s)
    assert by_key[2][0] == pytest.approx(by_key[1][0] + quarter_s / 2)
    assert by_key[-1] == whole


def test_paper_and_pages_without_scripts_have_a_picture_instead(tab):
    scriptless = tab("orbit", java_script_enabled=False).page
    page = tab("orbit").page
    page.emulate_media(media="print")
    for still in (scriptless, page):
        assert still.locator("#timeline .still svg").is_visible()
    assert not scriptless.locator("#timeline canvas").is_visible()
    assert not page.locator("#timeline button").first.is_visible()
    page.emulate_media(media="screen")
    assert not page.locator("#timeline .still svg").is_visible()
    assert page.locator("#timeline canvas").is_visible()
