"""However a file lists clusters and devices, they are numbered in one order."""

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import scenarios
from tests.kit.scenarios import Place, kinds_in_order, places_order

BERN: dict[str, Any] = {"latitude_deg": 46.9, "longitude_deg": 7.4}


def read(*clusters: dict[str, Any]) -> scenarios.Scenario:
    return scenarios.from_dict(
        {
            "start": "2026-08-22T00:00:00Z",
            "stop": {"days": 1},
            "orbit": {"source": "circular", "altitude_km": 600, "inclination_deg": 97.8},
            "ground": {"clusters": list(clusters)},
        }
    )


def test_clusters_are_in_the_order_of_their_names() -> None:
    listed = [{"name": name, **BERN} for name in ("Thun", "Bern", "Chur")]
    for clusters in itertools.permutations(listed):
        names = [cluster.name for cluster in read(*clusters).ground.clusters]
        assert names == ["Bern", "Chur", "Thun"]


def test_places_are_in_the_order_of_their_names() -> None:
    places = [{**BERN, "name": name} for name in ("z", "a", "m")]
    cluster = read({"name": "A", **BERN, "places": places}).ground.clusters[0]
    assert [place.name for place in cluster.places or ()] == ["a", "m", "z"]


def test_places_without_names_are_in_the_order_of_where_they_are() -> None:
    places = [{**BERN, "longitude_deg": degrees} for degrees in (7.5, 7.3, 7.4)]
    cluster = read({"name": "A", **BERN, "places": places}).ground.clusters[0]
    assert [place.longitude_deg for place in cluster.places or ()] == [7.3, 7.4, 7.5]


def test_each_place_keeps_its_kind() -> None:
    pairs = [("z", 1.0), ("a", 2.0), ("m", 2.0), ("b", 1.0)]
    seen = set()
    for order in itertools.permutations(pairs):
        places = [{**BERN, "name": name} for name, _ in order]
        kinds = [{"devices": 1, "seconds_per_round": pace_s} for _, pace_s in order]
        cluster = read({"name": "A", **BERN, "places": places, "kinds": kinds}).ground.clusters[0]
        each = [kind for kind in cluster.kinds or () for _ in range(kind.devices)]
        found = zip(cluster.places or (), each, strict=True)
        seen.add(tuple((place.name, kind.seconds_per_round) for place, kind in found))
    assert seen == {(("a", 2.0), ("b", 1.0), ("m", 2.0), ("z", 1.0))}


def test_kinds_of_devices_without_places_stay_as_they_are_listed() -> None:
    kinds = [{"devices": 2, "seconds_per_round": 9}, {"devices": 1, "seconds_per_round": 1}]
    cluster = read({"name": "A", **BERN, "kinds": kinds}).ground.clusters[0]
    assert [kind.seconds_per_round for kind in cluster.kinds or ()] == [9, 1]


@given(st.lists(st.floats(-80, 80), min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_the_order_of_a_list_does_not_matter(latitudes: list[float], chance: Any) -> None:
    places = [Place(latitude_deg=latitude, longitude_deg=0) for latitude in latitudes]
    mixed = list(places)
    chance.shuffle(mixed)
    assert [mixed[k] for k in places_order(mixed)] == [places[k] for k in places_order(places)]


@pytest.mark.parametrize("names", [("10", "9", "2"), ("Bern", None)])
def test_what_is_in_order_stays_so(names: tuple[str | None, ...]) -> None:
    places = [
        Place(name=name, latitude_deg=10 - k, longitude_deg=0) for k, name in enumerate(names)
    ]
    once = [places[k] for k in places_order(places)]
    assert [once[k] for k in places_order(once)] == once


def test_no_kinds_have_no_order() -> None:
    assert kinds_in_order(None, (1, 0)) is None
