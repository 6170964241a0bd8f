"""Reports in a browser: quiet, offline, readable on a phone, zoomed by wheel and keys."""

import io

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image
from scipy import stats

import sim
from sim.report import report
from tests.kit.browser import DESKTOP, PHONE, Tab
from tests.kit.small import SLOTS

pytestmark = pytest.mark.process

PAGES = ("slots", "orbit", "comparison", "networked", "experts", "sweep", "capacity")


@pytest.fixture
def folder(leomix, runs):
    """Reports of all kinds, that of a sweep over a name and a number among them."""

    def make(place):
        place.mkdir()
        report([runs["slots"]], place / "slots.html")
        report([runs["orbit-timing"]], place / "orbit.html")
        report([runs["slots"], runs["slots-synchronous"]], place / "comparison.html")
        report([runs["nmoe"]], place / "networked.html")
        report([runs["experts"]], place / "experts.html")
        assert leomix("capacity", "walker", "--report", place / "capacity.html").status == 0
        (place / "s.yaml").write_text(yaml.safe_dump(SLOTS))
        keys = ("-p", "learning.method=synchronous,emsfl", "-p", "learning.step_size=0.05,0.1,0.2")
        line = (place / "s.yaml", *keys, "--replications", 3, "--quiet", "-o", place / "swept")
        assert leomix("sweep", *line, "--set", "stop.cycles=2").status == 0
        report([place / "swept"], place / "sweep.html")

    return runs.made("pages", make)


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
    assert (folder / f"{name}.html").stat().st_size < 400_000
    opened = tab(name)
    assert opened.page.evaluate("document.documentElement.scrollHeight") < 5_000
    for fold in opened.page.locator("summary").all():
        fold.click()
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
    shown = Image.open(io.BytesIO(page.screenshot(full_page=True))).convert("RGB")
    picture = np.asarray(shown).astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    found = {}
    for words, colour, box in texts:
        left, top, right, bottom = (max(0, round(edge)) for edge in box)
        shades, counts = np.unique(picture[top:bottom, left:right], return_counts=True)
        most = int(shades[counts.argmax()])
        behind = (most >> 16, most >> 8 & 255, most & 255)
        low, high = sorted((luminance(colour), luminance(behind)))
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


def wanted_at(swept, time_s):
    """What runs of a sweep had measured by a time: by method and step size, mean and interval."""
    rows = pq.read_table(swept / "sweep.parquet").to_pandas()
    found = {}
    for (method, step), own in rows.groupby(["learning.method", "learning.step_size"]):
        values = []
        for place in own.folder:
            metrics = pq.read_table(swept / place / "metrics.parquet").to_pandas()
            pooled = metrics[(metrics.scope == "global") & (metrics.time_s <= time_s)]
            values.append(pooled.accuracy.iloc[-1])
        mean = np.mean(values)
        low, high = stats.t.interval(0.95, len(values) - 1, mean, stats.sem(values))
        found[f"{method} step_size={step:g}"] = [mean, max(low, 0.0), min(high, 1.0)]
    return found


def test_the_chart_says_what_python_computes_for_each_time(tab, folder):
    """By keys and by pointer; numbers are those of scipy over the tables of the runs."""
    page = tab("sweep").page
    plot = page.locator("#chart .plot")
    plot.focus()
    said = []
    for _ in range(2):
        page.keyboard.press("ArrowRight")
        said.append(plot.get_attribute("aria-valuetext"))
    box = plot.bounding_box()
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.5 * box["height"])
    assert page.locator("#chart .tip").is_visible()
    said.append(plot.get_attribute("aria-valuetext"))
    assert len(set(said)) == 3
    for text in said:
        place, *lines = text.split("; ")
        minutes = float(place.removeprefix("minute "))
        # The place is written with two decimals, which may lie before the step.
        wanted = wanted_at(folder / "swept", 60 * minutes + 0.5)
        assert len(lines) == len(wanted) == 6
        for line in lines:
            name, mean, band, seeds = line.split(", ")
            ends = band.removeprefix("95 %: ").split(" to ")
            assert [float(x) for x in (mean, *ends)] == pytest.approx(wanted[name], abs=0.00051)
            assert seeds == "n 3"


def test_a_drag_zooms_the_chart_and_a_key_or_a_double_click_shows_all_again(tab):
    page = tab("slots").page
    chart, plot = page.locator("#chart"), page.locator("#chart .plot")

    def shown():
        page.evaluate("() => new Promise(done => requestAnimationFrame(() => setTimeout(done)))")
        return [float(chart.get_attribute(f"data-{end}")) for end in ("from", "to")]

    whole = shown()
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    middle = box["y"] + box["height"] / 2

    def drag():
        page.mouse.move(box["x"] + 0.3 * box["width"], middle)
        page.mouse.down()
        page.mouse.move(box["x"] + 0.6 * box["width"], middle, steps=4)
        page.mouse.up()

    drag()
    part = shown()
    assert whole[0] < part[0] < part[1] < whole[1]
    plot.focus()
    page.keyboard.press("0")
    assert shown() == whole
    drag()
    plot.dblclick()
    assert shown() == whole
    page.locator("input[data-pick=over][value=cycle]").check()
    assert shown() == [0.0, 3.0]
    page.locator("[data-pick=part]").select_option("each cluster")
    assert plot.locator("path.mean").count() == 3


def test_curves_that_were_left_out_come_back(tab):
    page = tab("sweep").page
    shown = page.locator("#chart .plot path.mean")
    assert shown.count() == 6
    page.locator("#chart .key").first.click()
    assert shown.count() == 5
    page.get_by_role("button", name="All curves").click()
    assert shown.count() == 6


@pytest.mark.parametrize(("viewport", "which"), [(DESKTOP, "broad"), (PHONE, "narrow")])
def test_the_curve_over_a_number_is_seen_at_once_and_as_wide_as_the_screen(tab, viewport, which):
    page = tab("sweep", viewport=viewport, java_script_enabled=False).page
    [picture] = [one for one in page.locator("#numbers svg").all() if one.is_visible()]
    assert page.locator(f"#numbers .{which} svg").is_visible()
    box = picture.bounding_box()
    assert box["y"] < 0.6 * viewport["height"]
    assert 0.85 * viewport["width"] < box["width"] <= viewport["width"]


def test_the_wheel_zooms_around_the_pointer_and_not_beyond_the_run(tab):
    opened = tab("orbit")
    opened.unfold("timeline")
    whole = opened.shown()
    assert whole == (0.0, 129600.0)
    opened.page.locator(".timeline canvas").hover()
    opened.page.mouse.wheel(0, -30)  # that is the page's, not the timeline's
    assert opened.shown() == whole
    opened.page.keyboard.down("Control")
    opened.page.mouse.wheel(0, -300)
    near = opened.shown()
    assert whole[0] < near[0] < near[1] < whole[1]
    opened.page.mouse.wheel(0, 5000)
    assert opened.shown() == whole


def test_keys_and_buttons_do_the_same(tab):
    opened = tab("orbit")
    opened.unfold("timeline")
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


def test_paper_and_pages_without_scripts_have_a_picture_or_say_where_the_rows_are(tab):
    scriptless, page = (tab("orbit", java_script_enabled=on) for on in (False, True))
    for one in (scriptless, page):
        one.unfold("timeline")
    scriptless, page = scriptless.page, page.page
    assert scriptless.locator("#chart .still svg").first.is_visible()
    assert not scriptless.locator("#chart .plot").is_visible()
    page.emulate_media(media="print")
    for still in (scriptless, page):
        assert still.locator("#timeline .still").is_visible()
    assert not scriptless.locator("#timeline canvas").is_visible()
    assert not page.locator("#timeline button").first.is_visible()
    page.emulate_media(media="screen")
    assert not page.locator("#timeline .still").is_visible()
    assert page.locator("#timeline canvas").is_visible()


def test_a_comparison_in_a_notebook_draws_its_chart(browser, runs, tmp_path):
    found = sim.compare([runs["orbit"], runs["orbit-timing"]])
    (tmp_path / "cell.html").write_text(f"<p>A cell</p>{found._repr_html_()}", encoding="utf-8")
    opened = Tab(browser, tmp_path / "cell.html", viewport=DESKTOP)
    frame = opened.page.frame_locator("iframe")
    assert frame.locator(".chart svg path").count()
    frame.get_by_role("button", name="Next contact").click()
    assert frame.locator(".replay").get_attribute("data-serving")
    assert opened.said == []
    opened.context.close()
