"""The keys of each section: their limits, their choices, and what goes together with what."""

import math

import pytest

import scenarios
from tests.kit.every_source import ORBITS, SEEN, SERVED, SPOTS, read, refused
from tests.scenarios.test_messages import GOLDEN

LIMITS = {name: text for text, names in GOLDEN["limits"].items() for name in names.split()}
NUMBERS = [spot for spot, form in SPOTS.items() if form.get("type") in ("integer", "number")]
CHOICES = [spot for spot, form in SPOTS.items() if "enum" in form]
SHELL = {"altitude_km": 600, "inclination_deg": 60, "satellites": 4, "planes": 2}
SHELLS = {**dict.fromkeys(SHELL), "shells": [SHELL, SHELL | {"name": "b"}]}
PLACE = {"latitude_deg": 48.2, "longitude_deg": 11.5}
CROWDS = [{"devices": 60_000}] * 2
KINDS = [{"devices": 3, "tflops": 2.0}, {"devices": 2, "power_w": 5.0}]

# -- every key, by the schema

# Sign, and the way out from a limit that is itself allowed.
SIGNS = {"minimum": (">=", -math.inf), "exclusiveMinimum": (">", 0),
         "maximum": ("<=", math.inf), "exclusiveMaximum": ("<", 0)}  # fmt: skip


def limits(form):
    """What a message says of each limit, a value beyond it, and the last one within, if any."""
    whole = form["type"] == "integer"
    for name, (sign, out) in SIGNS.items():
        if name in form:
            at = form[name]
            beyond = at + int(math.copysign(1, out)) if whole else math.nextafter(at, out)
            text = f"{sign} {at if whole else format(at, 'g')}"
            yield (text, beyond, at) if out else (text, at, None)


@pytest.mark.parametrize(("source", "key"), NUMBERS)
def test_a_number_beyond_its_limits_or_of_another_type_is_refused(source, key):
    form = SPOTS[source, key]
    counted = {"ground.clusters.0.devices": 1} if ".kinds." in key else {}
    whole = form["type"] == "integer"
    found = list(limits(form))
    said = " and ".join(words for words, *_ in found) + (" whole" if whole else "")
    listed = LIMITS.get(key, LIMITS.get(key.rpartition(".")[2]))
    assert listed == said, f"{key}: list it below {said!r} in the limits of golden_messages.yaml"
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


ANGLES = [(source, key) for source, key in NUMBERS if SPOTS[source, key].get("maximum") == 1e9]
ANGLES = [at for at in ANGLES if at[1].endswith("_deg") and "shells" not in at[1]]


@pytest.mark.parametrize(("source", "key"), ANGLES)
def test_an_angle_of_node_perigee_or_anomaly_is_taken_modulo_360(source, key):
    for given, same in ((480, 120), (-240, 120), (360, 0), (593.25, 233.25), (-1e-20, 0)):
        assert read(source, {key: given}) == read(source, {key: same})
    assert len(ANGLES) == 7


@pytest.mark.parametrize(("source", "key"), CHOICES)
def test_another_word_than_the_choices_is_answered_with_the_nearest(source, key):
    choices = SPOTS[source, key]["enum"]
    for choice in choices:
        line = refused(source, {key: f"{choice[:-1]}_"})
        assert line.startswith(f"{key}: got '{choice[:-1]}_'; must be one of ")
        assert all(repr(one) in line for one in choices)
        nearest = choice[:-1] if choice[:-1] in choices else choice
        assert f"; did you mean {nearest!r}?" in line or len(choice) < 5


@pytest.mark.parametrize("source", ORBITS)
def test_a_slip_in_a_key_and_a_key_of_another_source_is_told(source):
    keys = {of: {key for s, key in SPOTS if s == of} for of in ORBITS}
    for key in keys[source]:
        slip = f"{key[:-1]}_"
        name = key.rpartition(".")[2]
        start = f"{slip}: is not a known key; did you mean '{name[:3]}"
        assert refused(source, {slip: 1}).startswith(start) or len(name) < 4
    for key in {key for _, key in SPOTS if key.count(".") == 1 and "orbit" in key} - keys[source]:
        owners = " and ".join(", ".join(s for s in ORBITS if key in keys[s]).rsplit(", ", 1))
        start = f"{key}: is not used by source {source!r} (it belongs to {owners})"
        assert refused(source, {key: 1}).startswith(start)


# -- rules between keys: for which sources, what is said, and why not ("": it is taken)

SINGLE = {"serving": "single"}
ANY = {"serving": "any"}
BESIDE = "cannot be combined with"
PACES = {"tflops": 1.0, "seconds_per_round": 2.0}
BARE = "is not used by source '{source}', which has no geometry; remove it"
FIXED = {"rate": "fixed", "fixed_rate_mbps": 1}
PHYSICAL = {"preset": "physical", "uplink": FIXED, "downlink": "neglected"}
CROWD = {"sidelink": {}, "relay": "store"}
TURNS = "directions that take turns have at most 1 together, and link"
INSTEAD = "but source 'contacts' has no elevations; set it to"
OF_ALL = [
    ("slots", {"stop": {"days": 3}}, "stop.cycles: is missing; source 'slots' runs a number"),
    ("made keplerian", {"start": None}, "start: is missing; source '{source}' has no epoch: gi"),
    ("tle omm bare", {"start": None}, ""),
    ("slots", {"ground.clusters": [7]}, "ground.clusters.0: got 7; must be a mapping of keys"),
    ("slots", {"stop": None}, "stop: got nothing; must be a mapping of keys"),
    ("slots", {"stop.cycles": 10**5000}, "stop.cycles: got a very large int; must be"),
    ("slots", {"memory_gib": 8}, "memory_gib: is not a known key; did you mean 'compute.memo"),
]  # fmt: skip
OF_CLUSTERS = [
    ("seen", {"longitude_deg": None}, "longitude_deg: is missing for cluster 'A'; source"),
    ("bare", {"min_elevation_deg": 5.0}, f"min_elevation_deg: {BARE}"),
    ("bare", {"places_path": "x"}, f"places_path: {BARE}"),
    ("seen", {"devices": 3, "places": [PLACE], "places_path": "x"},
     f"places_path: {BESIDE} devices and places; keep one of them"),
    ("seen", {"radius_km": 5, "places": [PLACE]}, "radius_km: is not used with places, where"),
    ("seen", {"places": [PLACE, {"latitude_deg": 1}]}, "places.1.longitude_deg: is missing; give"),
    ("made", {"places": [PLACE | {"name": n} for n in ("b", "a", "b")]}, "places.2.name: 'b' is t"),
    ("made", {"places": [PLACE | {"name": ""}]}, "places.0.name: got ''; must be text that is no"),
    ("made", {"places": []}, "places: got a list; must be a list that is not empty"),
    ("made", {"kinds": KINDS, "places": [PLACE] * 5}, ""),
    ("made", {"kinds": KINDS, "places": [PLACE] * 3}, "kinds: have 5 devices in all, but place"),
    ("made", {"kinds": KINDS, "compute": {"power_w": 3.0}}, f"kinds: {BESIDE} "),
    ("made", {"kinds": [{"devices": 1, **PACES}]}, f"kinds.0.tflops: {BESIDE} "),
    ("made", {"kinds": [{"devices": 1, "processor": "jetson-nano", "seconds_per_round": 2.0}]},
     f"kinds.0.processor: {BESIDE} "),
    ("made", {"kinds": CROWDS}, "devices: got 120000; must be >= 1 and <= 100000"),
]  # fmt: skip
OF_ORBITS = [
    ("files", {"path": None}, "path: is missing; give the "),
    ("tle omm", {"elements": "x"}, f"elements: {BESIDE} orbit.path; remove one of the two"),
    ("contacts", {"windows": "x", "path": None}, ""),
    # The lowest perigee: 6378.135 km (the Earth of SGP4) and 120 km.
    ("keplerian", {"semi_major_axis_km": 12_996.27, "eccentricity": 0.5}, ""),
    ("keplerian", {"semi_major_axis_km": 12_996.26, "eccentricity": 0.5}, "eccentricity: got 0.5"),
    ("keplerian", {"propagation": "secular_j2"}, ""),
    ("keplerian", {"propagation": "secular_j2", "bstar": 1e-5}, "bstar: is not used with propaga"),
    ("tle omm", {"propagation": "secular_j2"}, "propagation: is not used by source '{source}' (i"),
    ("walker", {"satellites": 13}, "satellites: got 13; must be a multiple of planes, 3"),
    ("walker", {"phasing": 2}, ""),
    ("walker", {"phasing": 3}, "phasing: got 3; must be below planes, 3"),
    ("walker", {"altitude_km": None}, "altitude_km: is missing; give the altitude above the equa"),
    ("circular", {"altitude_km": 2001}, "altitude_km: got 2001; must be >= 160 and <= 2000 "
     "(altitude above the equator, km; source keplerian has semi_major_axis_km for higher"),
    ("walker", {"altitude_km": 23222}, "altitude_km: got 23222; must be >= 160 and <= 2000 "
     "(altitude above the equator, km; orbit.shells have semi_major_axis_km for higher orbits)"),
    ("walker", {"semi_major_axis_km": 29600}, "semi_major_axis_km: is not used by source 'walker' "
     "(it belongs to keplerian); give it in orbit.shells"),
    ("walker", {"shells": [SHELL]}, "altitude_km: is not used with shells; give it in each of t"),
    ("walker", {**SHELLS}, ""),
    ("walker", {**SHELLS, "pattern": "star"}, "pattern: is not used with shells; give it in eac"),
    ("walker", {**SHELLS, "shells": []}, "shells: got a list; must be a list that is not empty"),
    ("walker", {**SHELLS, "shells": [SHELL, SHELL | {"planes": 3}]},
     "shells.1.satellites: got 4; must be a multiple of planes, 3"),
    ("walker", {**SHELLS, "shells": [SHELL, SHELL | {"name": "1"}]},
     "shells.1.name: '1' is taken; names must be unique"),
    ("walker", {**SHELLS, "shells": [SHELL | {"name": "a\nb"}]}, "shells.0.name: got 'a\\nb'; mu"),
    ("walker", {**SHELLS, "shells": [{**SHELL, "altitude_km": None}]}, "shells.0.altitude_km: is"),
    ("walker", {**SHELLS, "shells": [{**SHELL, "semi_major_axis_km": 42_164}]},
     "shells.0.semi_major_axis_km: cannot be combined with altitude_km; keep one"),
    ("walker", {**SHELLS, "shells": [{**SHELL, "satellites": 20_000}, SHELL | {"name": "b"}]},
     "shells: have 20004 satellites in all; must be at most 20000"),
    ("walker", {"use.planes": 3, "use.satellites_per_plane": 4}, ""),
    ("walker", {"use.planes": 4}, "use.planes: got 4; there are 3; lower it to 3"),
    ("walker", {**SHELLS, "use": {"satellites_per_plane": 3}}, "use.satellites_per_plane: got 3;"),
    ("slots", {"slots.count": 1}, ""),
    ("slots", {"slots.count": 3}, "slots.count: got 3; must be the number of clusters, 1"),
    ("files walker", {**SINGLE, "satellite": 41917}, ""),
    ("files walker", {**ANY, "satellite": "A"}, "satellite: is not used with serving 'any'; set"),
    ("seen", {**ANY, "priority": "highest_elevation", "hand_over": "highest_elevation"}, ""),
    ("contacts", {"priority": "highest_elevation"},
     f"priority: got 'highest_elevation', {INSTEAD} least_recently_served"),
]  # fmt: skip
for key, value in {"hand_over": "longest_remaining", "session": "joined"}.items():
    OF_ORBITS += [
        ("served", {**ANY, key: value}, ""),
        ("served", {**SINGLE, key: value}, f"{key}: is not used with serving 'single'; "),
    ]
for right in (0, 180, 97.8, "sun-synchronous"):
    OF_ORBITS.append(("circular walker", {"inclination_deg": right}, ""))
OF_ORBITS.append(("circular", {"inclination_deg": None}, "inclination_deg: got "))
for wrong in ("97.8", True, [97.8], 180.5, -0.5):
    OF_ORBITS.append(("circular walker", {"inclination_deg": wrong}, "inclination_deg: got "))
OF_LEARNING = [
    ("slots", {"aggregation.when": "deadline"}, "aggregation.deadline_s: is missing; when 'deadl"),
    ("slots", {"aggregation.deadline_s": 5}, "aggregation.deadline_s: is not used with when 'all'"),
    ("slots", {"aggregation.quorum": 0.5}, "aggregation.quorum: is not used with when 'all'; "),
    ("slots", {"data.split.alpha": 0.3}, "data.split.alpha: is not used with kind 'iid'; set lea"),
    ("slots", {"data.split.kind": "shards"}, "data.split.classes: is missing; kind 'shards' nee"),
    ("slots", {"data.split.kind": "quantity"}, "data.split.alpha: is missing; kind 'quantity' n"),
    ("slots", {"data.split.kind": "dirichlet", "data.split.alpha": 0.3}, ""),
    ("slots", {"data.split.kind": "shards", "data.split.classes": 2, "data.split.alpha": 1},
     "data.split.alpha: is not used with kind 'shards'; set learning.data.split.kind: dirichle"),
    ("slots", {"data.split": {}, "data.own_domain_fraction": 0.5},
     "data.own_domain_fraction: is not used with a split over 'clients'; set learning.data.spl"),
    ("slots", {"data.split.over": "devices", "data.own_domain_fraction": 0.5}, ""),
    ("slots", {"data.split": {"over": "devices", "kind": "quantity", "alpha": 1}},
     "data.split.kind: got 'quantity', which is not used with over 'devices'; set it to iid or"),
]  # fmt: skip
OF_LINKS = [
    ("seen", {"uplink.duty": 0.6, "downlink.duty": 0.7},
     f"uplink.duty: got 0.6; {TURNS}.downlink.duty is 0.7; lower link.downlink.duty to 0.4"),
    ("seen", {"uplink.duty": 0.3, "downlink.duty": 0.7}, ""),
    ("seen", {"uplink.bandwidth_mhz": 40}, "uplink.bandwidth_mhz: got 40; must be at most total_"),
    ("seen", {"environment": "urban", "preset": "paper"}, "environment: got 'urban', but link.upl"),
    ("seen", {"environment": "urban", "uplink.frequency_ghz": 12}, "uplink.frequency_ghz: got 12;"),
    ("seen", {"environment": "urban", "uplink": FIXED, "downlink": "neglected"},
     "environment: got 'urban', but rate 'fixed' does not change with it; give required_snr_db"),
    ("seen", {"environment": "urban", "uplink": {**FIXED, "required_snr_db": 1}}, ""),
    ("bare", {**PHYSICAL, "environment": "urban"}, f"environment: {BARE}"),
    ("bare", {**PHYSICAL, "beamwidth_deg": 3.5}, f"beamwidth_deg: {BARE}"),
    ("bare", {"preset": "physical"}, "uplink.rate: got 'ergodic', but source '{source}' has no"),
    ("bare", {"preset": "physical", "uplink.path_gain_db": -140},
     "downlink.rate: got 'ergodic', but source '{source}' has no slant range to compute it from; "
     "set link.preset: paper, give link.downlink.path_gain_db, like -140, give link.downlink.rate: "
     "fixed with fixed_rate_mbps, or set link.downlink: neglected"),
    ("bare", {"preset": "physical", "uplink.path_gain_db": -140, "downlink": "neglected"}, ""),
    ("bare", CROWD, "sidelink.distance_km: is missing; source '{source}' has no places"),
    ("all", {**CROWD, "sidelink.distance_km": 1}, ""),
    ("seen", {"sidelink": {"distance_km": 3, "range_km": 2}}, "sidelink.distance_km: got 3; beyon"),
    ("bare", {"sidelink": {"distance_km": 1, "range_km": 2}}, f"sidelink.range_km: {BARE}"),
]  # fmt: skip
GROUPS = {"all": [*ORBITS], "seen": SEEN, "served": SERVED, "bare": ["contacts", "slots"],
          "files": ["tle", "omm", "contacts"], "made": ["circular", "walker"]}  # fmt: skip
RULES = {"": OF_ALL, "ground.clusters.0.": OF_CLUSTERS, "orbit.": OF_ORBITS,
         "learning.": OF_LEARNING, "link.": OF_LINKS}  # fmt: skip


@pytest.mark.parametrize(
    ("section", "sources", "changes", "line"),
    [(section, *rule) for section, rules in RULES.items() for rule in rules],
)
def test_rules_between_keys(section, sources, changes, line):
    crowd = {"ground.clusters.0.devices": 3} if "relay" in changes else {}
    said = crowd | {f"{section}{key}": value for key, value in changes.items()}
    for source in [name for group in sources.split() for name in GROUPS.get(group, [group])]:
        if line:
            found = refused(source, said)
            assert found.startswith(f"{section}{line.format(source=source)}"), found
        else:
            scenario = read(source, said)
            assert scenarios.from_dict(scenario.model_dump(mode="json")) == scenario


def test_what_is_no_mapping_is_no_scenario():
    with pytest.raises(scenarios.ScenarioError, match="is a mapping of keys, not a list"):
        scenarios.from_dict([])


def test_values_that_are_nested_too_deeply_are_refused_by_their_key():
    deep = 1
    for _ in range(5000):
        deep = [deep]
    mapping = read("circular", {}).model_dump(mode="json")
    mapping["learning"]["options"] = {"x": deep}
    for make in (scenarios.from_dict, lambda mapping: scenarios.from_stored(mapping, {})):
        with pytest.raises(scenarios.ScenarioError, match=r"\Alearning.options.x: is nested too d"):
            make(mapping)
    mapping["learning"]["options"] = {"x": [{"y": math.nan}]}
    with pytest.raises(scenarios.ScenarioError, match=r"\Alearning.options.x.0.y: got nan; must"):
        scenarios.from_dict(mapping)
