"""The keys of each section: their limits, their choices, and what goes together with what."""

import math

import pytest
import yaml

import scenarios
from tests.kit.every_source import ORBITS, SEEN, SERVED, SPOTS, read, refused
from tests.scenarios.test_messages import GOLDEN

LIMITS = {name: text for text, names in GOLDEN["limits"].items() for name in names.split()}
NUMBERS = [spot for spot, form in SPOTS.items() if form.get("type") in ("integer", "number")]
CHOICES = [spot for spot, form in SPOTS.items() if "enum" in form]

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


# -- what goes together, for which sources; golden_messages.yaml has what does not

TOGETHER = """
- [tle omm contacts slots, {start: null}]
- [contacts, {orbit.windows: x, orbit.path: null}]
# The lowest perigee: 6378.135 km (the Earth of SGP4) and 120 km.
- [keplerian, {orbit.semi_major_axis_km: 12996.27, orbit.eccentricity: 0.5}]
- [keplerian, {orbit.propagation: secular_j2}]
- [walker, {orbit.phasing: 2}]
- [walker, {orbit.use.planes: 3, orbit.use.satellites_per_plane: 4}]
- - walker
  - {orbit.altitude_km: null, orbit.inclination_deg: null, orbit.satellites: null,
     orbit.planes: null, orbit.shells: [
       {altitude_km: 600, inclination_deg: 60, satellites: 4, planes: 2},
       {altitude_km: 600, inclination_deg: 60, satellites: 4, planes: 2, name: b}]}
- [slots, {orbit.slots.count: 1}]
- [tle omm contacts walker, {orbit.serving: single, orbit.satellite: 41917}]
- [seen, {orbit.serving: any, orbit.priority: highest_elevation}]
- [seen, {orbit.serving: any, orbit.hand_over: highest_elevation}]
- [served, {orbit.serving: any, orbit.hand_over: longest_remaining}]
- [served, {orbit.serving: any, orbit.session: joined}]
- [circular walker, {orbit.inclination_deg: 0}]
- [circular walker, {orbit.inclination_deg: 180}]
- [circular walker, {orbit.inclination_deg: sun-synchronous}]
- - circular walker
  - ground.clusters.0.kinds: [{devices: 1, tflops: 2.0}, {devices: 1, power_w: 5.0}]
    ground.clusters.0.places: [{latitude_deg: 48.2, longitude_deg: 11.5},
                               {latitude_deg: 48.2, longitude_deg: 11.5}]
- [slots, {learning.data.split: {kind: dirichlet, alpha: 0.3}}]
- [slots, {learning.data.split.over: devices, learning.data.own_domain_fraction: 0.5}]
- [seen, {link.uplink.duty: 0.3, link.downlink.duty: 0.7}]
- - seen
  - {link.environment: urban, link.downlink: neglected,
     link.uplink: {rate: fixed, fixed_rate_mbps: 1, required_snr_db: 1}}
- - contacts slots
  - {link.preset: physical, link.uplink.path_gain_db: -140, link.downlink: neglected}
- - all
  - {ground.clusters.0.devices: 3, link.relay: store, link.sidelink: {distance_km: 1}}
"""
"""What may be said together, and of which sources."""
GROUPS = {"all": [*ORBITS], "seen": SEEN, "served": SERVED}


@pytest.mark.parametrize(("sources", "said"), yaml.safe_load(TOGETHER))
def test_what_goes_together_is_taken_and_stored(sources, said):
    for source in [name for group in sources.split() for name in GROUPS.get(group, [group])]:
        scenario = read(source, said)
        assert scenarios.from_dict(scenario.model_dump(mode="json")) == scenario


def test_what_is_no_mapping_is_no_scenario():
    with pytest.raises(scenarios.ScenarioError, match="is a mapping of keys, not a list"):
        scenarios.from_dict([])


def test_values_that_are_nested_too_deeply_or_no_number_are_refused_by_their_key():
    deep = 1
    for _ in range(5000):
        deep = [deep]
    mapping = read("circular", {}).model_dump(mode="json")
    for value, said in (
        (deep, ".x: is nested too d"),
        ([{"y": math.nan}], ".x.0.y: got nan; must"),
    ):
        mapping["learning"]["options"] = {"x": value}
        with pytest.raises(scenarios.ScenarioError, match=rf"\Alearning.options{said}"):
            scenarios.from_dict(mapping)
