"""Replays in a browser: shapes on the globe, positions, shadows, the clock and its controls."""

import json
import re
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from matplotlib.path import Path as Outline

import orbit
from sim.page import report
from tests.kit.browser import DESKTOP, PHONE, Tab, tabs
from tests.kit.orbit import Start
from tests.kit.replay import (
    ECCENTRIC,
    MOST_OFF_DEG,
    apart_deg,
    arcs_of,
    flying_of,
    numbers_of,
    packaged,
    scene,
    skyfield_km,
)
from tests.kit.skies import DAY_S, FALLING, START, typed_in

pytestmark = pytest.mark.process


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


@pytest.fixture
def folder(runs):
    def make(place):
        place.mkdir()
        report([runs["orbit"]], place / "orbit.html")
        report([runs["slots"]], place / "slots.html")
        for name in ("batteries", "faults"):
            page = runs.result(name).replay().html()
            (place / f"{name}.html").write_text(page, encoding="utf-8")

    return runs.made("replays", make)


@pytest.fixture
def tab(browser, folder):
    with tabs(browser, folder) as open_one:
        yield open_one


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
    opened = tab("orbit")
    run = runs.result("orbit")
    served = run.contacts[run.contacts.served & (run.contacts.rise_s < run.manifest["simulated_s"])]
    starts_s = np.unique(served.service_start_s)
    opened.page.locator(".replay .globe").focus()
    opened.page.keyboard.press("Home")
    assert state(opened)[0] == 0.0
    reached = []
    for _ in starts_s:
        opened.page.get_by_role("button", name="Next contact").click()
        now_s, serving = state(opened)
        assert serving
        reached.append(now_s)
    np.testing.assert_allclose(reached, starts_s, atol=2.0)
    opened.page.get_by_role("button", name="Next contact").click()
    assert state(opened)[0] == reached[-1]
    for now_s in reached[-2::-1]:
        opened.page.get_by_role("button", name="Previous contact").click()
        assert state(opened)[0] == pytest.approx(now_s, abs=2.0)


def test_numbers_at_a_time_are_those_of_the_tables(tab, runs):
    opened = tab("orbit")
    run = runs.result("orbit")
    opened.page.locator(".replay .globe").focus()
    opened.page.keyboard.press("End")
    end_s = run.manifest["simulated_s"]
    assert state(opened)[0] == end_s
    elapsed, utc, accuracy, said = texts(opened)
    assert elapsed == "1 day 12 h 0 min after the start"
    assert utc == "23 August 2026, 12:00:00 UTC"
    assert accuracy == f"{run.summary['accuracy_final']:.3f}"
    up = run.transfers[run.transfers.direction == "uplink"].delivered_bytes.sum()
    assert said.startswith(f"{up / 1e3:.2f} kB up") or said.startswith(f"{up / 1e6:.2f} MB up")
    aggregations, faults = ((run.events.kind == kind).sum() for kind in ("aggregate", "fault"))
    assert faults > 1
    assert said.endswith(f"{aggregations} aggregations, {faults} faults")


def test_play_moves_the_clock_and_nothing_moves_before(tab):
    opened = tab("orbit")
    before = state(opened)[0]
    opened.page.wait_for_timeout(300)
    assert state(opened)[0] == before
    opened.page.locator(".replay .globe").focus()
    opened.page.keyboard.press(" ")
    opened.page.wait_for_function(
        "t => document.querySelector('.replay').dataset.now > t", arg=before
    )
    opened.page.get_by_role("button", name="Pause").click()
    paused = state(opened)[0]
    opened.page.wait_for_timeout(200)
    assert state(opened)[0] == paused > before
    opened.page.keyboard.press("Home")  # the button has the focus: its own keys only
    opened.page.locator(".replay input[type=range]").focus()
    for key, now_s in (
        ("Home", 0.0),
        ("ArrowRight", 60.0),
        ("ArrowRight", 120.0),
        ("ArrowLeft", 60.0),
    ):
        opened.page.keyboard.press(key)
        assert state(opened)[0] == now_s
    assert opened.said == []


PICTURE = "() => document.querySelector('.replay .globe').toDataURL()"


@pytest.mark.parametrize("viewport", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_the_globe_turns_becomes_a_map_and_fits(tab, viewport):
    opened = tab("orbit", viewport)
    globe = opened.page.locator(".replay .globe")
    globe.scroll_into_view_if_needed()
    pictures = [opened.page.evaluate(PICTURE)]
    box = globe.bounding_box()
    opened.page.mouse.move(box["x"] + 100, box["y"] + 100)
    opened.page.mouse.down()
    opened.page.mouse.move(box["x"] + 160, box["y"] + 130)
    opened.page.mouse.up()
    assert not opened.page.locator(".replay .follow").is_checked()
    pictures.append(opened.page.evaluate(PICTURE))
    opened.page.get_by_role("button", name="Map", exact=True).click()
    pictures.append(opened.page.evaluate(PICTURE))
    assert len(set(pictures)) == 3
    assert not opened.page.locator(".replay .follow").is_visible()
    box = globe.bounding_box()
    assert box["width"] == pytest.approx(2 * box["height"], rel=0.02)
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    assert opened.said == []


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


def test_a_battery_under_the_pointer_is_that_of_the_table(tab, runs):
    opened = tab("batteries")
    run = runs.result("batteries")
    charges = run.tables["charges"].to_pandas()
    lowest = charges.groupby("cluster").charge.min().nsmallest(12).index.sort_values()
    width = opened.page.locator(".replay .charges").bounding_box()["width"]
    capacity_wh = run.manifest["scenario"]["compute"]["battery"]["capacity_wh"]
    dark = orbit.eclipses(
        [one for one in flying_of(run.scenario) if one.name in lowest],
        run_start := datetime.fromisoformat(run.manifest["start_utc"]),
        run_start + timedelta(days=1),
    )
    shaded = []
    asked = [(lane, x) for lane in range(12) for x in (130, 333, 606, width - 60)]
    lines = told(opened, "charges", [(x, lane * 20 + 9) for lane, x in asked])
    for (lane, _), (at, battery, sun) in zip(asked, lines, strict=True):
        name, _, utc = at.partition(", ")
        assert name == lowest[lane]
        time_s = (datetime.strptime(utc, "%d %B %Y, %H:%M:%S UTC").replace(tzinfo=UTC)
                  - run_start).total_seconds()  # fmt: skip
        own = charges[charges.cluster == name]
        charge = np.interp(time_s, own.time_s, own.charge)
        share, held_wh = re.fullmatch(r"battery at (.*) %, (.*) of 6 Wh", battery).groups()
        # The clock says whole seconds, in which a satellite computes away a thousandth.
        assert float(share) == pytest.approx(100 * charge, abs=0.25)
        assert float(held_wh) == pytest.approx(capacity_wh * charge, abs=0.02)
        within = (dark.satellite == lane) & (dark.enter_s <= time_s) & (time_s < dark.leave_s)
        shaded.append(bool(within.any()))
        assert sun.startswith("in the Earth's shadow until") == shaded[-1]
    assert {*shaded} == {True, False}
    assert opened.said == []


def test_contacts_and_satellites_are_told_under_the_pointer(tab, runs):
    opened = tab("orbit")
    run = runs.result("orbit")
    opened.page.get_by_role("button", name="Next contact").click()
    serving = run.contacts.iloc[state(opened)[1][0]]
    canvas = opened.page.locator(".replay .lanes")
    names = sorted({*run.contacts.cluster})
    y = names.index(serving.cluster) * 24 + 12
    lines = told(opened, "lanes", [(x, y) for x in range(121, 700)])
    at = f"{serving.rise_utc:%H:%M:%S} to {serving.set_utc:%H:%M:%S}"
    name = f"{serving.satellite} and {serving.cluster}"
    assert [name, f"in view {at}"] in [said[:2] for said in lines]
    canvas.hover(position={"x": 5, "y": 5})
    assert not opened.page.locator(".replay .tip").is_visible()
    globe = opened.page.locator(".replay .globe").bounding_box()
    points = [(x, y) for x in range(0, int(globe["width"]), 5) for y in range(0, 600, 5)]
    found = {said[0].partition(",")[0] for said in told(opened, "globe", points) if said}
    assert {serving.satellite, serving.cluster} <= found
    assert found <= {*run.contacts.satellite, *run.contacts.cluster}
    assert opened.said == []


def test_a_finger_drags_taps_and_scrolls(tab):
    opened = tab("orbit", PHONE, has_touch=True)
    opened.page.get_by_role("button", name="Next contact").tap()
    assert state(opened)[1]
    picture = opened.page.evaluate(PICTURE)
    globe = opened.page.locator(".replay .globe")
    globe.scroll_into_view_if_needed()
    swiped(opened, globe, 80, 0)
    assert opened.page.evaluate(PICTURE) != picture
    assert not opened.page.locator(".replay .follow").is_checked()
    before = state(opened)[0]
    swiped(opened, opened.page.locator(".replay .lanes"), -60, 0)
    assert state(opened)[0] > before
    globe.scroll_into_view_if_needed()
    before = opened.page.evaluate("scrollY")
    swiped(opened, globe, 0, -200)
    opened.page.wait_for_function("y => scrollY > y + 50", arg=before)
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


def test_what_is_read_aloud_is_the_moment_at_rest(tab):
    opened = tab("orbit")
    live = opened.page.locator(".replay .live")
    assert live.inner_text() == ""
    heard = """() => {
      window.heard = [];
      new MutationObserver(() => heard.push(document.querySelector(".replay .live").textContent))
        .observe(document.querySelector(".replay .live"), {childList: true});
    }"""
    opened.page.evaluate(heard)
    for _ in range(3):
        opened.page.get_by_role("button", name="Next contact").click()
    opened.page.get_by_role("button", name="Play").click()
    opened.page.wait_for_timeout(900)
    assert opened.page.evaluate("heard") == []
    opened.page.get_by_role("button", name="Pause").click()
    opened.page.wait_for_function("() => heard.length")
    assert len(opened.page.evaluate("heard")) == 1
    elapsed, _, accuracy, said = texts(opened)
    aloud = live.text_content()
    assert aloud.startswith(elapsed) and f"accuracy {accuracy}, {said}" in aloud


def test_faults_are_marked_where_they_happened_and_counted(tab, runs):
    opened = tab("faults")
    run = runs.result("faults")
    opened.page.locator(".replay .globe").focus()
    opened.page.keyboard.press("End")
    faults = (run.events.kind == "fault").sum()
    assert f", {faults} faults" in texts(opened)[3]
    box = opened.page.locator(".replay .lanes").bounding_box()
    lines = told(opened, "lanes", [(x, 12) for x in range(125, int(box["width"]), 3)])
    causes = {line.partition(": ")[2] for said in lines for line in said if "outage" in line}
    assert causes == {"satellite outage"}
    assert opened.said == []


def test_without_orbits_there_are_lanes_and_without_scripts_nothing(tab):
    opened = tab("slots")
    assert not opened.page.locator(".replay .globe").count()
    opened.page.get_by_role("button", name="Next contact").click()
    assert state(opened)[1]
    assert not tab("orbit", java_script_enabled=False).page.locator(".replay").is_visible()
    assert opened.said == []


def test_in_a_notebook_it_plays_in_a_frame_of_its_own(browser, runs, tmp_path):
    shown = runs.result("orbit").replay()
    (tmp_path / "cell.html").write_text(f"<p>A cell</p>{shown._repr_html_()}", encoding="utf-8")
    opened = Tab(browser, tmp_path / "cell.html", viewport=DESKTOP)
    frame = opened.page.frame_locator("iframe")
    frame.get_by_role("button", name="Next contact").click()
    assert frame.locator(".replay").get_attribute("data-serving")
    assert opened.said == []
    (tmp_path / "page.html").write_text(shown.html(), encoding="utf-8")
    alone = Tab(browser, tmp_path / "page.html", viewport=PHONE)
    alone.page.get_by_role("button", name="Next contact").click()
    assert alone.said == []
    assert alone.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    for one in (opened, alone):
        one.context.close()


def test_runs_under_one_sky_are_replayed_together(browser, runs, tmp_path):
    path = report([runs["orbit"], runs["orbit-timing"]], tmp_path / "c.html")
    opened = Tab(browser, path, viewport=DESKTOP)
    assert opened.page.locator(".replay .run").count() == 2
    opened.page.get_by_role("button", name="Next contact").click()
    assert state(opened)[1]
    assert opened.said == []
    opened.context.close()
    apart = report([runs["orbit"], runs["slots"]], tmp_path / "d.html").read_text()
    assert "It shows 1 of 2 groups" in apart
