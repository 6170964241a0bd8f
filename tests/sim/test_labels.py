"""The labels of groups: unique, short, and of nothing but what differs."""

import json

from hypothesis import given
from hypothesis import strategies as st

from tests.kit.results import LONGEST, labels_of

WORDS = ("min", "max", "used", "elevation", "stations", "altitude", "size", "planes")
UNITS = ("", "_deg", "_km", "_s", "_bytes")
KEYS = st.builds(
    lambda sections, words, unit: ".".join([*sections, f"{'_'.join(words)}{unit}"]),
    st.lists(st.sampled_from(("orbit", "ground", "link", "uplink")), min_size=1, max_size=2),
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=3),
    st.sampled_from(UNITS),
)
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(0, 2000),
    st.sampled_from(("shannon", "modcod", "data/" + "long" * 20 + ".npz")),
    st.lists(st.integers(0, 9), max_size=30),
)


@st.composite
def some_settings(draw):
    """Settings of different groups, as a scenario has them: the same keys in all."""
    keys = draw(st.lists(KEYS, unique=True, min_size=1, max_size=6))
    rows = st.tuples(*(VALUES for _ in keys))
    found = draw(st.lists(rows, min_size=1, max_size=8, unique_by=json.dumps))
    return [dict(zip(keys, row, strict=True)) for row in found]


@given(some_settings())
def test_labels_are_unique_short_and_name_only_what_differs(settings):
    labels = labels_of(settings)
    assert len(set(labels)) == len(labels) == len(settings)
    assert max(map(len, labels)) <= LONGEST
    constant = {"ground.places": 7, "seed": 1, **settings[0]}
    with_same = [{**one, "ground.places": 7, "seed": 1} for one in settings]
    if len(settings) > 1:
        assert labels_of(with_same, beside=constant) == labels_of(settings, beside=constant)


def test_labels_say_little_words_only_where_there_is_room():
    keys = ("orbit.min_elevation_deg", "ground.stations_used", "ground.antennas")
    grid = [
        dict(zip(keys, (m, s, a), strict=True)) for m in (5, 15) for s in (1, 2) for a in (1, 2)
    ]
    assert labels_of(grid)[-1] == "elevation=15deg stations=2 antennas=2"
    fewer = [{**one, "ground.antennas": 2} for one in grid[::2]]
    assert labels_of(fewer)[-1] == "min_elevation_deg=15 stations_used=2"
    # Where one key goes with another, it is left out if there is no room.
    zipped = [{**one, "link.name_of_the_whole_budget": f"b{n}"} for n, one in enumerate(grid)]
    assert len(set(labels_of(zipped))) == 8
    sides = [{"link.uplink.rate": u, "link.downlink.rate": d} for u in "ab" for d in "cd"]
    assert labels_of(sides)[0] == "uplink.rate=a downlink.rate=c"
    rates = [{"link.uplink.rate": rate} for rate in ("shannon", "modcod")]
    assert labels_of(rates) == ["shannon", "modcod"]
    assert labels_of([{"link.environment": None}, {"link.environment": "urban"}]) == [
        "no environment",
        "environment=urban",
    ]


def test_groups_that_differ_in_more_than_a_label_can_say_are_called_by_their_names():
    keys = ("orbit.altitude_km", "orbit.min_elevation_deg", "ground.antennas", "orbit.satellites")
    networks = [dict.fromkeys(keys, number) for number in (500, 700)]
    assert labels_of(networks, names=["low", "high"]) == ["low", "high"]
    assert labels_of(networks, names=["run", "run"]) == ["satellites=500", "satellites=700"]
    few = [{key: own[key] for key in keys[:1]} for own in networks]
    assert labels_of(few, names=["low", "high"]) == ["altitude_km=500", "altitude_km=700"]
    methods = [{**own, "learning.method": name} for own, name in zip(networks, "ab", strict=True)]
    assert labels_of(methods, names=["low", "high"]) == ["a", "b"]


def test_a_mapping_is_named_by_its_keys_and_nothing_by_that():
    grid = {"between_planes": "grid", "route": "earliest"}
    mesh = {"within_plane": "ring", **grid}
    given = [{"link.isl": one} for one in (None, json.dumps(grid), mesh)]
    assert labels_of(given) == ["no isl", "isl", "within_plane=ring"]
    assert labels_of(given[::2]) == ["no isl", "isl"]
    nested = [{"isl": {"rate": {"mbps": number}}} for number in (1, 2)]
    assert labels_of(nested) == ["mbps=1", "mbps=2"]
