"""The keys of each section: their limits, their choices, and what goes together with what."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import scenarios
from tests.kit.every_source import ORBITS, SEEN, SERVED, SPOTS, read, refused
from tests.scenarios.test_messages import GOLDEN

LIMITS = {name: text for text, names in GOLDEN["limits"].items() for name in names.split()}
NUMBERS = [spot for spot, form in SPOTS.items() if form.get("type") in ("integer", "number")]
CHOICES = [spot for spot, form in SPOTS.items() if "enum" in form]
PLACE = {"latitude_deg": 48.2, "longitude_deg": 11.5}
KINDS = [{"devices": 3, "tflops": 2.0}, {"devices": 2, "power_w": 5.0}]
FORMS = {"devices": 3, "places": [PLACE], "places_path": "devices.csv"}

# -- every key, by the schema

# Sign, and the way out from a limit that is itself allowed.
SIGNS = {"minimum": (">=", -math.inf), "exclusiveMinimum": (">", 0),
         "maximum": ("<=", math.inf), "exclusiveMaximum": ("<", 0)}  # fmt: skip


def limits(form: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """What a message says of each limit, a value beyond it, and the last one within, if any."""
    whole = form["type"] == "integer"
    for name, (sign, out) in SIGNS.items():
        if name in form:
            at = form[name]
            beyond = at + int(math.copysign(1, out)) if whole else math.nextafter(at, out)
            text = f"{sign} {at if whole else format(at, 'g')}"
            yield (text, beyond, at) if out else (text, at, None)


@pytest.mark.parametrize(("source", "key"), NUMBERS)
def test_a_number_beyond_its_limits_or_of_another_type_is_refused(source: str, key: str) -> None:
    form, counted = SPOTS[source, key], {"ground.clusters.0.devices": 1} if ".kinds." in key else {}
    whole = form["type"] == "integer"
    found = list(limits(form))
    said = " and ".join(words for words, *_ in found) + " whole" * whole
    assert LIMITS[key.rpartition(".")[2]] == said
    for words, beyond, last in found:
        line = refused(source, counted | {key: beyond})
        assert line.startswith(f"{key}: got {beyond}; must be ") and words in line, line
        if last is not None:
            try:
                read(source, counted | {key: last})
            except scenarios.ScenarioError as error:  # for another reason
                assert words not in str(error)
    for wrong in ("3", True, [3], {}, 2.5 if whole else math.nan):
        assert refused(source, counted | {key: wrong}).startswith(f"{key}: got ")


@pytest.mark.parametrize(("source", "key"), CHOICES)
def test_another_word_than_the_choices_is_answered_with_the_nearest(source: str, key: str) -> None:
    choices = SPOTS[source, key]["enum"]
    for choice in choices:
        line = refused(source, {key: f"{choice[:-1]}_"})
        assert line.startswith(f"{key}: got '{choice[:-1]}_'; must be one of ")
        assert all(repr(one) in line for one in choices)
        assert f"; did you mean {choice!r}?" in line or len(choice) < 5


@pytest.mark.parametrize("source", ORBITS)
def test_a_slip_in_a_key_and_a_key_of_another_source_is_told(source: str) -> None:
    keys = {of: {key for s, key in SPOTS if s == of} for of in ORBITS}
    for key in keys[source]:
        slip = f"{key[:-1]}_"
        start = f"{slip}: is not a known key; did you mean '{key.rpartition('.')[2][:3]}"
        assert refused(source, {slip: 1}).startswith(start)
    for key in {key for _, key in SPOTS if key.count(".") == 1 and "orbit" in key} - keys[source]:
        owners = " and ".join(", ".join(s for s in ORBITS if key in keys[s]).rsplit(", ", 1))
        start = f"{key}: is not used by source {source!r} (it belongs to {owners})"
        assert refused(source, {key: 1}).startswith(start)


# -- what a source needs


@pytest.mark.parametrize("source", ORBITS)
def test_what_a_source_needs(source: str) -> None:
    made, geometry = source in ("circular", "keplerian", "walker"), source in SEEN
    for changes, needed, line in [
        ({"stop": {"cycles": 3, "accuracy": 0.9}}, geometry, "stop: days is missing; source "),
        ({"stop": {"days": 3}}, source == "slots", "stop: cycles is missing; source "),
        ({"start": None}, made, f"start: is missing; source {source!r} has no epoch, so write it"),
        ({"ground.clusters.0.latitude_deg": None}, geometry,
         "ground.clusters.0.latitude_deg: is missing for cluster 'A'; source "),
        ({"ground.clusters.0.longitude_deg": None}, geometry,
         "ground.clusters.0.longitude_deg: is missing for cluster 'A'; source "),
        ({"ground.clusters.0.min_elevation_deg": 5.0}, not geometry,
         f"ground.clusters.0.min_elevation_deg: is not used by source {source!r}, which has no"),
    ]:  # fmt: skip
        if needed:
            assert refused(source, changes).startswith(line)
        else:
            assert read(source, changes).orbit.source == source
    for key in ("places", "places_path") if not geometry else ():
        line = f"ground.clusters.0.{key}: is not used by source {source!r}, which has no geometry"
        assert refused(source, {f"ground.clusters.0.{key}": FORMS[key]}).startswith(line)
    if source in ("tle", "omm", "contacts"):
        text = "windows" if source == "contacts" else "elements"
        assert refused(source, {"orbit.path": None}).startswith("orbit.path: is missing; give the ")
        both = refused(source, {f"orbit.{text}": "text"})
        assert both == f"orbit.{text}: cannot stand beside orbit.path; keep one of the two"
        assert read(source, {"orbit.path": None, f"orbit.{text}": "text"})


@pytest.mark.parametrize("source", SERVED)
def test_keys_of_several_satellites_go_with_serving_any(source: str) -> None:
    orbit = read(source, {}).orbit
    assert (orbit.beams, orbit.priority, orbit.min_contact_s) == (1, "least_recently_served", 0)
    assert orbit.serving == ("any" if source == "walker" else "single")
    serving, of_one = {"orbit.serving": "any"}, {"orbit.serving": "single"}
    several = {"hand_over": "longest_remaining", "hand_over_gap_s": 30.0, "session": "joined",
               "sync_delay_s": 0.0}  # fmt: skip
    for key, value in several.items():
        assert getattr(orbit, key) is None
        assert getattr(read(source, {f"orbit.{key}": value, **serving}).orbit, key) == value
        line = f"orbit.{key}: is not used with serving 'single'; set serving: any"
        assert refused(source, {f"orbit.{key}": value, **of_one}) == line
    contact = {**serving, "orbit.session": "contact"}
    assert read(source, contact).orbit.session == "contact"
    line = "orbit.hand_over_gap_s: is not used with session 'contact'; set session: joined"
    assert refused(source, contact | {"orbit.hand_over_gap_s": 0}) == line
    if source not in ("circular", "keplerian"):
        named = {"orbit.satellite": 41917}
        assert read(source, named | of_one).orbit.satellite == "41917"
        line = "orbit.satellite: is not used with serving 'any'; set serving: single"
        assert refused(source, named | serving) == line
    for key, other in {
        "priority": "least_recently_served",
        "hand_over": several["hand_over"],
    }.items():
        highest = serving | {f"orbit.{key}": "highest_elevation"}
        if source == "contacts":
            line = f"orbit.{key}: got 'highest_elevation', but source 'contacts' has no elevations"
            assert refused(source, highest) == f"{line}; use {other!r}"
        else:
            assert read(source, highest)


@pytest.mark.parametrize("source", ["circular", "walker"])
def test_an_inclination_is_a_number_or_sun_synchronous(source: str) -> None:
    for right in (0, 180, 97.8, "sun-synchronous"):
        assert read(source, {"orbit.inclination_deg": right}).orbit.inclination_deg == right
    for wrong in ("polar", "97.8", True, None, [97.8]):
        line = refused(source, {"orbit.inclination_deg": wrong})
        assert "; must be a number 0..180 or 'sun-synchronous' (inclination" in line
    keplerian = refused("keplerian", {"orbit.inclination_deg": "sun-synchronous"})
    assert "must be a number >= 0 and <= 180" in keplerian


@given(semi_major_axis_km=st.floats(6500, 60_000), eccentricity=st.floats(0, 1, exclude_max=True))
def test_the_perigee_is_above_the_air(semi_major_axis_km: float, eccentricity: float) -> None:
    """Perigee radius a (1 - e), against 6378.135 km (the Earth of SGP4) and 120 km."""
    said = {"orbit.semi_major_axis_km": semi_major_axis_km, "orbit.eccentricity": eccentricity}
    if semi_major_axis_km * (1.0 - eccentricity) >= 6498.135:
        assert read("keplerian", said).orbit.eccentricity == eccentricity
    else:
        line = f"orbit.eccentricity: got {eccentricity:g}; puts the perigee at "
        assert refused("keplerian", said).startswith(line)


@given(satellites=st.integers(1, 40), planes=st.integers(1, 12), phasing=st.integers(0, 12))
@example(satellites=12, planes=3, phasing=2)
@example(satellites=12, planes=3, phasing=3)
def test_a_walker_pattern_fills_its_planes(satellites: int, planes: int, phasing: int) -> None:
    said = {"orbit.satellites": satellites, "orbit.planes": planes, "orbit.phasing": phasing}
    if satellites not in range(planes, 500, planes):
        line = f"orbit.satellites: got {satellites}; must be a multiple of orbit.planes, {planes}"
        assert refused("walker", said).startswith(line)
    elif phasing >= planes:
        line = f"orbit.phasing: got {phasing}; must be below orbit.planes, {planes}"
        assert refused("walker", said) == line
    else:
        assert read("walker", said).orbit.satellites == satellites


# -- devices, and the rest


def test_devices_are_counted_listed_of_a_file_or_of_kinds() -> None:
    def cluster(**keys: Any) -> Any:
        said = {f"ground.clusters.0.{key}": value for key, value in keys.items()}
        return read("circular", said).ground.clusters[0]

    for key, value in FORMS.items():
        given = cluster(**{key: value})
        assert [name for name in FORMS if getattr(given, name) is not None] == [key]
    for nothing in ({}, {"devices": None}, {"places": None, "places_path": None}):
        assert cluster(**nothing).devices == 1
    for keys in ({}, {"devices": 5}, {"devices": None}):
        assert cluster(kinds=KINDS, **keys).devices == 5
    placed = cluster(kinds=KINDS, places=[PLACE] * 5, radius_km=0)
    assert (placed.devices, len(placed.places), placed.places[0].name) == (None, 5, None)


TWO_PACES = {"tflops": 1.0, "seconds_per_round": 2.0}
CLUSTERS: list[tuple[dict[str, Any], str]] = [
    ({"devices": 3, "places": [PLACE]}, "places: cannot stand beside devices; keep one of them"),
    ({"places": [PLACE], "places_path": "x"}, "places_path: cannot stand beside places; "),
    (FORMS, "places_path: cannot stand beside devices and places; keep one of them"),
    ({"radius_km": 5, "places": [PLACE]}, "radius_km: is not used with places, where every"),
    ({"radius_km": 5, "places_path": "x"}, "radius_km: is not used with places_path, where"),
    ({"places": []}, "places: got a list; must be a list that is not empty"),
    ({"places": [PLACE] * 10_001}, "places: got a list; must be a shorter list"),
    ({"places": [7]}, "places.0: got 7; must be a mapping of keys"),
    ({"places": [PLACE, {"latitude_deg": 1}]}, "places.1.longitude_deg: is missing; give the long"),
    ({"places": [{**PLACE, "name": n} for n in ("b", "a", "b")]}, "places.2.name: 'b' is taken; "),
    ({"places": [{**PLACE, "name": ""}]}, "places.0.name: got ''; must be text that is not empty"),
    ({"kinds": KINDS, "places": [PLACE] * 3}, "kinds: are 5 devices in all, but places says 3; "),
    ({"kinds": KINDS, "compute": {"power_w": 3.0}}, "kinds: cannot stand beside compute; keep"),
    ({"compute": TWO_PACES}, "compute.tflops: cannot stand beside compute.seconds_per_round"),
    (
        {"kinds": [{"devices": 1, **TWO_PACES}]},
        "kinds.0.tflops: cannot stand beside kinds.0.seconds_per_",
    ),
    ({"kinds": [{"devices": 1}, {"tflops": 1.0}]}, "kinds.1.devices: is missing; give the num"),
    ({"kinds": []}, "kinds: got a list; must be a list that is not empty"),
    ({"kinds": [{"devices": 9_999}] * 2}, "devices: got 19998; must be >= 1 and <= 10000"),
    ({"name": "x" * 65}, "name: got 'xxxxxxxxxxx"),
]


@pytest.mark.parametrize(("keys", "line"), CLUSTERS)
def test_a_contradiction_in_a_cluster_is_told(keys: dict[str, Any], line: str) -> None:
    found = refused("circular", {f"ground.clusters.0.{key}": value for key, value in keys.items()})
    assert found.startswith(f"ground.clusters.0.{line}") and "more)" not in found


@pytest.mark.parametrize(
    ("own", "paces"),
    [
        ({}, (60.0, None, 8.0, 20.0)),
        ({"tflops": 3.0}, (None, 3.0, 8.0, 20.0)),
        ({"seconds_per_round": 3.0, "memory_gib": 2.0}, (3.0, None, 2.0, 20.0)),
        ({"power_w": 1.0}, (60.0, None, 8.0, 1.0)),
    ],
)
def test_what_a_device_does_not_say_is_the_scenarios(own: dict[str, float], paces: Any) -> None:
    base = {"compute": {"memory_gib": 8.0, "power_w": 20.0}, "ground.clusters.0.compute": own}
    whole = read("circular", base)
    found = whole.compute.but(whole.ground.clusters[0].compute)
    assert (found.seconds_per_round, found.tflops, found.memory_gib, found.power_w) == paces


REST: list[tuple[dict[str, Any], str]] = [
    ({"orbit.slots.count": 3}, "orbit.slots.count: got 3; must be the number of clusters, 1"),
    (
        {"learning.model": {"experts": 2, "top_k": 3}},
        "learning.model.top_k: got 3; must be at most",
    ),
    ({"learning.aggregation.when": "deadline"}, "learning.aggregation: deadline_s is missing; "),
    ({"learning.aggregation.quorum": 0.5}, "learning.aggregation: quorum is not used with when "),
    ({"memory_gib": 8}, "memory_gib: is not a known key; did you mean 'compute.memory_gib'?"),
    ({"zzz": 8}, "zzz: is not a known key; allowed here: compute, description, faults, ground"),
    ({"orbit": {}}, "orbit.source: is missing; it must be one of 'tle', 'omm', 'circular', "),
    ({"stop.cycles": 10**5000}, "stop.cycles: got a very large int; must be"),
    ({"learning.model.tokenizer": 5}, "learning.model.tokenizer: got 5; must be text"),
    ({"stop": None}, "stop: got nothing; must be a mapping of keys"),
]


@pytest.mark.parametrize(("changes", "line"), REST)
def test_what_does_not_fit_is_told_by_its_key(changes: dict[str, Any], line: str) -> None:
    assert refused("slots", changes).startswith(line)


def test_what_fits_by_a_hair_is_taken() -> None:
    aggregation = {"when": "quorum", "quorum": 0.5}
    paced = {"seconds_per_round": None, "tflops": 1}
    found = read("slots", {"orbit.slots.count": 1, "learning.model": {"experts": 2, "top_k": 2},
                           "compute": paced, "learning.aggregation": aggregation})  # fmt: skip
    assert (found.compute.seconds_per_round, found.compute.tflops) == (None, 1.0)
    assert read("slots", {}).compute.seconds_per_round == 60
    networked = {"experts": 2, "top_k": 3, "kind": "image-nmoe"}  # one expert a device
    assert read("slots", {"learning.model": networked})
    for wrong, line in (([], "a scenario is a mapping of keys, not a list"),
                        ({1: 2}, "1: is not a known key; allowed here: compute, ")):  # fmt: skip
        with pytest.raises(scenarios.ScenarioError, match=line):
            scenarios.from_dict(wrong)  # type: ignore[arg-type]
    many = refused("slots", {f"key{n}": 1 for n in range(3000)})
    assert many.startswith("key0: is not a known key; ") and many.endswith(" (and 2999 more)")
