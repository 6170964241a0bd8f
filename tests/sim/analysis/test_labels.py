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
    with_same = [{**one, "ground.places": 7, "seed": 1} for one in settings]
    if len(settings) > 1:
        assert labels_of(with_same) == labels


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
