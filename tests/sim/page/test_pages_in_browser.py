"""Every kind of page in a browser: quiet, offline, and readable at all widths, light and dark.

Charts and replays answer to keys, pointers and fingers, and show what the tables say.
"""

import io
import json
from datetime import timedelta

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from matplotlib.path import Path as Outline
from PIL import Image

import orbit
import scenarios
import sim
from orbit.utc import Start
from sim.files import packaged
from sim.page import report
from sim.replay.orbits import MOST_OFF_DEG, apart_deg, arcs_of, numbers_of
from sim.replay.scene import scene
from tests.kit.browser import DESKTOP, LOOK, PHONE, TABLET, Tab, tabs
from tests.kit.folders import cut
from tests.kit.replay import ECCENTRIC, skyfield_km
from tests.kit.skies import DAY_S, FALLING, START, typed_in
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
PAGES = (*RUNS, *SWEEPS, "interrupted", "network", "studies", "capacity")


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
        short = {"stop.days": 0.2}
        sim.run(scenarios.load("three-stations", short), place / "study")
        report([place / "study"], place / "network.html")
        sim.run(scenarios.load("three-stations", {**short, "link.station.band": "S"}), place / "S")
        report([place / "study", place / "S"], place / "studies.html")
        sim.run(scenarios.load("walker", {"learning": None}), place / "walker")
        report([place / "walker"], place / "capacity.html")
        for name in ("batteries", "faults"):
            page = runs.result(name).replay().html()
            (place / f"{name}.html").write_text(page, encoding="utf-8")

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
@pytest.mark.parametrize(
    ("viewport", "scheme"),
    [(PHONE, "dark"), (TABLET, "light"), (DESKTOP, "light"), (DESKTOP, "dark")],
    ids=["phone", "tablet", "desktop", "desktop dark"],
)
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


def test_a_drag_zooms_the_chart_and_a_key_shows_all_again(tab):
    page = tab("stalled").page
    chart, plot = page.locator("#chart"), page.locator("#chart .plot")

    def shown():
        page.evaluate("() => new Promise(done => requestAnimationFrame(() => setTimeout(done)))")
        return [float(chart.get_attribute(f"data-{end}")) for end in ("from", "to")]

    whole = shown()
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 0.3 * box["width"], middle)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.6 * box["width"], middle, steps=4)
    page.mouse.up()
    part = shown()
    assert whole[0] < part[0] < part[1] < whole[1]
    plot.focus()
    page.keyboard.press("0")
    assert shown() == whole
    page.locator("input[data-pick=over][value=cycle]").check()
    assert shown() == [0.0, 3.0]
    page.locator("[data-pick=part]").select_option("each cluster")
    shown()  # it has been drawn anew
    assert plot.locator("path.mean").count() == 3
    page.locator("#chart .key").first.click()
    shown()
    assert plot.locator("path.mean").count() == 2


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


# Replays: shapes on the globe, positions, shadows, the clock and its controls.


@pytest.fixture
def sky(browser):
    """A blank page with the functions of the sky."""
    page = browser.new_page()
    for name in ("packed", "sky"):
        page.add_script_tag(content=packaged("sim.replay", f"templates/{name}.js"))
    yield page
    page.close()


RADIUS = 150
VIEWS = [(lon, lat) for lat in range(-80, 81, 20) for lon in range(-180, 180, 15)]
SPIRAL = np.arange(400) * 2.39996
OUT = np.sqrt((np.arange(400) + 0.5) / 400) * 0.985
POINTS = np.round(RADIUS * OUT * np.array([np.cos(SPIRAL), np.sin(SPIRAL)])).T
FILLED = """([views, points, radius, shape, land]) => {
  const canvas = new OffscreenCanvas(2 * radius, 2 * radius);
  const pen = canvas.getContext("2d", {willReadFrequently: true}), rings = landOf(land);
  return views.map(([longitude, latitude]) => {
    const view = new View(longitude * RADIANS, latitude * RADIANS, radius, radius, radius);
    pen.clearRect(0, 0, 2 * radius, 2 * radius);
    pen.fill(shape ? view.cap(...shape) : view.land(rings.rings, rings.flat), "evenodd");
    const pixels = pen.getImageData(0, 0, 2 * radius, 2 * radius).data;
    return points.map(([x, y]) => pixels[4 * ((radius + y) * 2 * radius + radius + x) + 3] > 127);
  });
}"""


def seen_from(longitude_deg, latitude_deg):
    """Vectors (400, 3) of the points of a globe seen from far above a place."""
    lon, lat = np.radians([longitude_deg, latitude_deg])
    right = [-np.sin(lon), np.cos(lon), 0.0]
    up = [-np.sin(lat) * np.cos(lon), -np.sin(lat) * np.sin(lon), np.cos(lat)]
    toward = [np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)]
    x, down = POINTS.T / RADIUS
    depth = np.sqrt(1.0 - x**2 - down**2)
    return np.stack([x, -down, depth], axis=1) @ np.array([right, up, toward])


def test_land_is_not_turned_inside_out_at_the_limb(sky, runs):
    """216 views of 400 points, each on land or not by its longitude and latitude."""
    land = scene({"it": runs.result("orbit-timing")})["land"]
    drawn = np.array(sky.evaluate(FILLED, [VIEWS, POINTS.tolist(), RADIUS, None, land]))
    rings = json.loads(packaged("sim.draw", "land.json"))["rings"]
    x, y, z = np.concatenate([seen_from(*view) for view in VIEWS]).T
    places = np.degrees([np.arctan2(y, x), np.arcsin(z.clip(-1, 1))]).T
    wanted = np.zeros(len(places), dtype=bool)
    for ring in rings:
        wanted ^= Outline(ring, closed=True).contains_points(places)
    off = drawn != wanted.reshape(drawn.shape)
    assert 0.25 < wanted.mean() < 0.45
    # Coasts: a pixel is 0.4 degrees here, and more toward the limb.
    assert off.mean() < 0.025
    assert off.mean(axis=1).max() < 0.07


@pytest.mark.parametrize("angle_deg", [5, 60, 84, 90])
def test_caps_are_where_they_are_near(sky, runs, angle_deg):
    land = scene({"it": runs.result("orbit-timing")})["land"]
    for centre in np.random.default_rng(3).normal(size=(5, 3)):
        centre /= np.linalg.norm(centre)
        shape = [centre.tolist(), float(np.radians(angle_deg))]
        views = VIEWS[::9]
        drawn = np.array(sky.evaluate(FILLED, [views, POINTS.tolist(), RADIUS, shape, land]))
        near = [seen_from(*view) @ centre >= np.cos(np.radians(angle_deg)) for view in views]
        assert (drawn != np.array(near)).mean() < 0.01


def test_positions_and_shadows_are_those_of_orbit(sky):
    satellites = [*ECCENTRIC, *typed_in(), FALLING]
    tracks = [arcs_of(one, Start.of(START), 3 * DAY_S) for one in satellites]
    time_s = np.sort(np.random.default_rng(4).uniform(0, 3 * DAY_S, 400))
    asked = """([orbits, times, start]) => orbits.map(arcs => times.map(time => {
      const place = placeAt(arcs, time);
      return [...place, inShadow(place, sunAt(start + time * 1000))];
    }))"""
    start_ms = START.timestamp() * 1000
    found = np.array(sky.evaluate(asked, [numbers_of(tracks), time_s.tolist(), start_ms]))
    dark = orbit.eclipses(satellites, START, START + timedelta(days=3))
    shares = []
    for number, (satellite, rows) in enumerate(zip(satellites, found, strict=True)):
        assert apart_deg(rows[:, :3], skyfield_km(satellite, time_s)).max() < MOST_OFF_DEG
        own = dark.satellite == number
        enter_s, leave_s = dark.enter_s[own, None], dark.leave_s[own, None]
        wanted = ((enter_s <= time_s) & (time_s < leave_s)).any(axis=0)
        edges_s = np.concatenate([enter_s.ravel(), leave_s.ravel(), [-DAY_S]])
        revolution_s = 2 * np.pi * 60 / satellite.model.no_kozai
        clear = np.abs(edges_s[:, None] - time_s).min(axis=0) > max(30.0, revolution_s / 1200)
        shares.append(wanted.mean())
        np.testing.assert_array_equal(rows[clear, 3] == 1, wanted[clear])
    assert np.median(shares) > 0.2 and max(shares) < 0.5


def state(opened):
    """The time of the replay in seconds, and the numbers of the contacts that are served."""
    box = opened.page.locator(".replay")
    serving = (box.get_attribute("data-serving") or "").split()
    return float(box.get_attribute("data-now") or "nan"), [int(number) for number in serving]


def texts(opened):
    return [
        opened.page.locator(f".replay {name}").first.inner_text()
        for name in (".elapsed", ".utc", ".big", ".run .said")
    ]


def test_contacts_are_reached_one_after_the_other_and_back(tab, runs):
    opened = tab("run")
    run = runs.result("orbit")
    served = run.contacts[run.contacts.served & (run.contacts.rise_s < run.manifest["simulated_s"])]
    starts_s = np.unique(served.service_start_s)
    opened.page.locator(".replay .globe").focus()
    opened.page.keyboard.press("Home")
    for name, times_s in (("Next", starts_s), ("Previous", starts_s[-2::-1])):
        for time_s in times_s:
            opened.page.get_by_role("button", name=f"{name} contact").click()
            now_s, serving = state(opened)
            assert now_s == pytest.approx(time_s, abs=2.0) and serving


def test_numbers_at_a_time_are_those_of_the_tables(tab, runs):
    opened = tab("run")
    run = runs.result("orbit")
    opened.page.locator(".replay .globe").focus()
    opened.page.keyboard.press("End")
    assert state(opened)[0] == run.manifest["simulated_s"]
    elapsed, utc, accuracy, said = texts(opened)
    assert elapsed == "1 day 12 h 0 min after the start"
    assert utc == "23 August 2026, 12:00:00 UTC"
    assert accuracy == f"{run.summary['accuracy_final']:.3f}"
    up = run.transfers[run.transfers.direction == "uplink"].delivered_bytes.sum()
    assert said.startswith((f"{up / 1e3:.2f} kB up", f"{up / 1e6:.2f} MB up"))
    aggregations, faults = ((run.events.kind == kind).sum() for kind in ("aggregate", "fault"))
    assert faults > 1
    assert said.endswith(f"{aggregations} aggregations, {faults} faults")


def test_the_clock_moves_by_play_and_by_keys_and_is_read_aloud_at_rest(tab):
    opened = tab("run")
    page, before = opened.page, state(opened)[0]
    live = page.locator(".replay .live")
    page.evaluate(
        """() => { window.heard = []; new MutationObserver(() => heard.push(1))
          .observe(document.querySelector(".replay .live"), {childList: true}); }"""
    )
    page.wait_for_timeout(300)
    assert state(opened)[0] == before
    page.locator(".replay .globe").focus()
    page.keyboard.press(" ")
    page.wait_for_function("t => document.querySelector('.replay').dataset.now > t", arg=before)
    assert page.evaluate("heard") == []
    page.get_by_role("button", name="Pause").click()
    paused = state(opened)[0]
    page.wait_for_function("() => heard.length")
    assert state(opened)[0] == paused > before
    elapsed, _, accuracy, said = texts(opened)
    aloud = live.text_content()
    assert aloud.startswith(elapsed) and f"accuracy {accuracy}, {said}" in aloud
    page.locator(".replay input[type=range]").focus()
    for key, now_s in (("Home", 0.0), ("ArrowRight", 60.0), ("ArrowLeft", 0.0)):
        page.keyboard.press(key)
        assert state(opened)[0] == now_s
    assert opened.said == []


PICTURE = "() => document.querySelector('.replay .globe').toDataURL()"


@pytest.mark.parametrize("viewport", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_the_globe_turns_under_a_finger_becomes_a_map_and_fits(tab, viewport):
    opened = tab("run", viewport, has_touch=True)
    globe = opened.page.locator(".replay .globe")
    pictures = [opened.page.evaluate(PICTURE)]
    swiped(opened, globe, 80, 0)
    assert not opened.page.locator(".replay .follow").is_checked()
    pictures.append(opened.page.evaluate(PICTURE))
    before = state(opened)[0]
    swiped(opened, opened.page.locator(".replay .lanes"), -60, 0)
    assert state(opened)[0] > before
    globe.scroll_into_view_if_needed()
    before = opened.page.evaluate("scrollY")
    swiped(opened, globe, 0, -200)
    opened.page.wait_for_function("y => scrollY > y + 50", arg=before)
    opened.page.get_by_role("button", name="Map", exact=True).click()
    pictures.append(opened.page.evaluate(PICTURE))
    assert len(set(pictures)) == 3
    box = globe.bounding_box()
    assert box["width"] == pytest.approx(2 * box["height"], rel=0.02)
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    assert opened.said == []


def swiped(opened, canvas, right, down):
    """A finger goes over a canvas."""
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    session = opened.page.context.new_cdp_session(opened.page)
    for kind, share in [("touchStart", 0), *(("touchMove", n / 8) for n in range(1, 9))]:
        at = {"x": x + share * right, "y": y + share * down}
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [at]})
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


POINTED = """([name, points]) => {
  const canvas = document.querySelector(`.replay .${name}`), box = canvas.getBoundingClientRect();
  return points.map(([x, y]) => {
    const where = {clientX: box.left + x, clientY: box.top + y, pointerType: "mouse"};
    canvas.dispatchEvent(new PointerEvent("pointermove", where));
    const tip = document.querySelector(".replay .tip");
    return tip.hidden ? [] : [...tip.children].map(line => line.textContent);
  });
}"""


def told(opened, name, points):
    """What is said of points of a canvas under the pointer, line by line."""
    return opened.page.evaluate(POINTED, [name, [[float(x), float(y)] for x, y in points]])


def test_contacts_satellites_and_faults_are_told_under_the_pointer(tab, runs):
    opened = tab("run")
    run = runs.result("orbit")
    opened.page.get_by_role("button", name="Next contact").click()
    serving = run.contacts.iloc[state(opened)[1][0]]
    y = sorted({*run.contacts.cluster}).index(serving.cluster) * 24 + 12
    lines = told(opened, "lanes", [(x, y) for x in range(121, 700)])
    at = f"{serving.rise_utc:%H:%M:%S} to {serving.set_utc:%H:%M:%S}"
    name = f"{serving.satellite} and {serving.cluster}"
    assert [name, f"in view {at}"] in [said[:2] for said in lines]
    globe = opened.page.locator(".replay .globe").bounding_box()
    points = [(x, y) for x in range(0, int(globe["width"]), 5) for y in range(0, 600, 5)]
    found = {said[0].partition(",")[0] for said in told(opened, "globe", points) if said}
    assert {serving.satellite, serving.cluster} <= found
    assert found <= {*run.contacts.satellite, *run.contacts.cluster}
    faulty = tab("faults")
    lines = told(faulty, "lanes", [(x, 12) for x in range(125, 700, 3)])
    causes = {line.partition(": ")[2] for said in lines for line in said if "outage" in line}
    assert causes == {"satellite outage"}
    assert opened.said == faulty.said == []


def test_without_orbits_there_are_lanes_and_without_scripts_nothing(tab):
    opened = tab("stalled")
    assert not opened.page.locator(".replay .globe").count()
    opened.page.get_by_role("button", name="Next contact").click()
    assert state(opened)[1]
    assert not tab("run", java_script_enabled=False).page.locator(".replay").is_visible()
    assert opened.said == []


def test_in_a_notebook_a_replay_and_a_comparison_play_in_a_frame_of_their_own(
    browser, runs, tmp_path
):
    compared = sim.compare([runs["orbit"], runs["orbit-timing"]])
    for number, cell in enumerate((runs.result("orbit").replay(), compared)):
        path = tmp_path / f"cell{number}.html"
        path.write_text(f"<p>A cell</p>{cell._repr_html_()}", encoding="utf-8")
        opened = Tab(browser, path, viewport=DESKTOP)
        frame = opened.page.frame_locator("iframe")
        assert frame.locator(".replay .run").count() == number + 1  # under one sky together
        frame.get_by_role("button", name="Next contact").click()
        assert frame.locator(".replay").get_attribute("data-serving")
        assert opened.said == []
        opened.context.close()
