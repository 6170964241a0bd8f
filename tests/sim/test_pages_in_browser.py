"""Every kind of page in a browser: quiet, offline, and readable at all widths, light and dark."""

import io

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

import scenarios
import sim
from sim.page import report
from tests.kit.browser import DESKTOP, LOOK, PHONE, TABLET, Tab, tabs
from tests.kit.firefox import FIREFOX, Firefox
from tests.kit.folders import cut
from tests.kit.small import SLOTS, slots

pytestmark = pytest.mark.process

RUNS = {
    "run": ["orbit"],
    "orbit-timing": ["orbit-timing"],
    "stalled": ["slots"],
    "comparison": ["slots", "slots-synchronous"],
    "networked": ["nmoe"],
    "experts": ["experts"],
}
"""Shared runs of which there is a page."""
METHODS = ("-p", "learning.method=synchronous,emsfl")
ROUND = ("-p", "compute.seconds_per_round=100:300:100")
UNTRAINED = ("--set", "learning.train=false")
SWEEPS = {
    "sweep": (*METHODS, "-p", "learning.step_size=0.05,0.1,0.2", "--replications", 3),
    "names": (*METHODS, "--replications", 2, *UNTRAINED),
    "number": (*ROUND, *UNTRAINED),
    "numbers": (*ROUND, "-p", "orbit.slots.idle=0:2:1", *UNTRAINED),
}
PAGES = (*RUNS, *SWEEPS, "interrupted", "network", "capacity")


@pytest.fixture
def folder(leomix, runs):
    """A page of each kind."""

    def make(place):
        place.mkdir()
        for name, shown in RUNS.items():
            report([runs[run] for run in shown], place / f"{name}.html")
        (place / "s.yaml").write_text(yaml.safe_dump(SLOTS))
        for name, keys in SWEEPS.items():
            line = (place / "s.yaml", *keys, "--quiet", "-o", place / name)
            assert leomix("sweep", *line, "--set", "stop.cycles=2").status == 0
            report([place / name], place / f"{name}.html")
        report([cut(slots(), place / "cut", 20)], place / "interrupted.html")
        sim.run(scenarios.load("three-stations", {"stop.days": 0.2}), place / "study")
        report([place / "study"], place / "network.html")
        assert leomix("capacity", "walker", "--report", place / "capacity.html").status == 0

    return runs.made("pages", make)


@pytest.fixture
def tab(browser, folder):
    with tabs(browser, folder) as open_one:
        yield open_one


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
        if not picture[top:bottom, left:right].size:
            continue  # a screenshot has 16,384 rows
        shades, counts = np.unique(picture[top:bottom, left:right], return_counts=True)
        most = int(shades[counts.argmax()])
        behind = (most >> 16, most >> 8 & 255, most & 255)
        low, high = sorted((luminance(colour), luminance(behind)))
        found[words] = min((high + 0.05) / (low + 0.05), found.get(words, 21.0))
    return found


LINES = {PHONE["width"]: 4, TABLET["width"]: 3, DESKTOP["width"]: 2}
"""Of a headline at most."""


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("viewport", [PHONE, TABLET, DESKTOP], ids=["phone", "tablet", "desktop"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_small_covered_or_cut_off(tab, name, viewport, scheme):
    """The picture is seen at once, the headline is short, and all text stands out."""
    page = tab(name, viewport, color_scheme=scheme).page
    seen = page.evaluate(LOOK)
    assert seen["wrong"] == []
    assert seen["lines"] <= LINES[viewport["width"]]
    assert seen["top"] < 0.6 * viewport["height"]
    for fold in page.locator("summary").all():
        fold.click()
    assert page.evaluate(LOOK)["wrong"] == []
    found = contrasts(page)
    assert len(found) > 40
    assert {words: ratio for words, ratio in found.items() if ratio < 4.5} == {}


def wanted_at(swept, time_s):
    """What runs of a sweep had measured by a time: by method and step size, mean and range."""
    rows = pq.read_table(swept / "sweep.parquet").to_pandas()
    found = {}
    for (method, step), own in rows.groupby(["learning.method", "learning.step_size"]):
        values = []
        for place in own.folder:
            metrics = pq.read_table(swept / place / "metrics.parquet").to_pandas()
            pooled = metrics[(metrics.scope == "global") & (metrics.time_s <= time_s)]
            values.append(pooled.accuracy.iloc[-1])
        found[f"{method} step_size={step:g}"] = [np.mean(values), min(values), max(values)]
    return found


def test_the_chart_says_what_python_computes_for_each_time(tab, folder):
    """By keys and by pointer; numbers are those of the tables of the runs."""
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
        wanted = wanted_at(folder / "sweep", 60 * minutes + 0.5)
        assert len(lines) == len(wanted) == 6
        for line in lines:
            name, mean, band, seeds = line.split(", ")
            ends = band.removeprefix("range: ").split(" to ")
            assert [float(x) for x in (mean, *ends)] == pytest.approx(wanted[name], abs=0.00051)
            assert seeds == "n 3"


def test_a_drag_zooms_the_chart_and_a_key_or_a_double_click_shows_all_again(tab):
    page = tab("stalled").page
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


def test_paper_and_pages_without_scripts_have_pictures(tab):
    scriptless = tab("orbit-timing", java_script_enabled=False).page
    assert scriptless.locator("#chart .still svg").is_visible()
    assert not scriptless.locator("#chart .plot").is_visible()
    opened = tab("orbit-timing")
    opened.unfold("timeline")
    for media in ("print", "screen"):
        opened.page.emulate_media(media=media)
        shown = [one for one in opened.page.locator("#timeline svg").all() if one.is_visible()]
        assert len(shown) == 1


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


DRAWN = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
SERVED = """(() => {
  document.querySelector(".replay [data-do=next]").click();
  return document.querySelector(".replay").dataset.serving;
})()"""
BLANK = """(() => {
  const canvas = document.querySelector(".replay .globe, .replay .lanes");
  const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return !data.some(Boolean);
})()"""


@pytest.fixture(scope="module")
def firefox(tmp_path_factory):
    if FIREFOX is None:
        pytest.skip("install firefox: pages are opened in it as well")
    opened = Firefox(tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()


@pytest.mark.parametrize("viewport", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_in_firefox_pages_are_quiet_and_their_replays_play(firefox, folder, viewport):
    for name in ("run", "comparison", "sweep"):
        firefox.open(folder / f"{name}.html", viewport)
        firefox.evaluate(DRAWN)
        assert firefox.evaluate(SERVED), name
        firefox.evaluate(DRAWN)
        assert not firefox.evaluate(BLANK), name
        assert firefox.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
        asked = [address for address in firefox.asked if not address.startswith("data:")]
        assert (firefox.said, asked) == ([], []), name


def test_what_a_page_does_wrong_in_firefox_is_noticed(firefox, tmp_path):
    (tmp_path / "bad.html").write_text(
        "<!DOCTYPE html><meta http-equiv=Content-Security-Policy content=\"img-src 'none'\">"
        "<img src=http://127.0.0.1:47123/no.png><script>undefined.name</script>"
    )
    (tmp_path / "asks.html").write_text("<!DOCTYPE html><img src=http://127.0.0.1:47123/no.png>")
    firefox.open(tmp_path / "bad.html", DESKTOP)
    assert len(firefox.said) == 2
    firefox.open(tmp_path / "asks.html", DESKTOP)
    assert "http://127.0.0.1:47123/no.png" in firefox.asked
