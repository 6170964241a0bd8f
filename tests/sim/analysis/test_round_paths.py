"""What rounds were spent on: by hand, and that the parts of a round sum up to it in real runs."""

import itertools

import pytest

import scenarios
import sim
from tests.kit.records import tables_of
from tests.kit.results import Part, RoundLink, round_paths

MESH = """
start: 2024-04-14T16:00:00Z
stop: {days: 0.25}
roles: {server: stations, clients: satellites}
orbit:
  {source: walker, pattern: star, satellites: 6, planes: 6, phasing: 1, altitude_km: 700,
   inclination_deg: 86, propagation: secular_j2, min_elevation_deg: 0}
ground: {antennas: unlimited, stations: [{name: Tromso, latitude_deg: 69.65, longitude_deg: 18.95}]}
link:
  uplink: {rate: fixed, fixed_rate_mbps: 10, bandwidth_mhz: 500, total_bandwidth_mhz: 500}
  downlink: {rate: fixed, fixed_rate_mbps: 10}
  isl: {between_planes: all, rate_mbps: 10, route: earliest}
compute: {seconds_per_round: 120}
learning: {train: false, method: fedavg, model: {kind: vector-mlp, hidden: 20000}}
"""


CLUSTERS = [
    {"name": "Alert", "latitude_deg": 82.5, "longitude_deg": -62.3, "devices": 2},
    {"name": "Vardo", "latitude_deg": 70.4, "longitude_deg": 31.1},
]
DEVICES = {"roles.clients": "devices"}
GATEWAYS = DEVICES | {"ground.clusters": CLUSTERS, "link.feeder": {"rate_mbps": 100}}
TO_A_SATELLITE = {"roles.server": "satellite:P03-S01"}
WITHOUT_PASSES = """
start: 2024-04-14T16:00:00Z
stop: {days: 0.25}
orbit:
  {source: walker, pattern: star, satellites: 40, planes: 2, phasing: 1, altitude_km: 700,
   inclination_deg: 86, propagation: secular_j2}
link: {isl: {within_plane: ring, between_planes: all, rate_mbps: 10, route: earliest}}
compute: {seconds_per_round: 120}
learning: {train: false, method: fedavg, model: {kind: vector-mlp, hidden: 20000}}
roles: {server: "satellite:P02-S01", clients: satellites}
"""


def contact(number, satellite, begin_s, end_s):
    ends = {"satellite": satellite, "cluster": satellite, "station": "Kiruna", "served": True}
    times = {"rise_s": begin_s, "set_s": end_s}
    service = {"service_start_s": begin_s, "service_end_s": end_s}
    return {"contact_id": number, **ends, **times, **service}


def hop(message, cluster, start_s, end_s, to):
    """A hop to a satellite (``B``), or to the server or a client over a numbered pass."""
    row = {"message": message, "cluster": cluster, "start_s": start_s, "end_s": end_s}
    row |= {"device": 0, "payload": "model", "version": 0, "outcome": "delivered"}
    if isinstance(to, str):
        return row | {"peer": f"{to}/0", "toward": "peer"}
    return row | {"contact_id": to[0], "toward": to[1]}


def by_hand():
    """A station, satellites A, B and C in a row, and the round of which C is the last."""
    transfers = [
        hop(1, "A", 10, 14, (0, "client")),
        hop(1, "A", 14, 16, "B"),
        hop(2, "B", 50, 53, "C"),
        hop(1, "B", 53, 55, "C"),
        hop(3, "C", 65, 67, "B"),
        hop(3, "B", 67, 69, "A"),
        hop(4, "A", 80, 82, (1, "server")),
        hop(3, "A", 82, 86, (1, "server")),
    ]
    windows = [("A", "B", 0, 100), ("B", "C", 50, 100)]
    train = {"cluster": "C", "device": 0, "rounds": 1}
    return {
        "contacts": [contact(0, "A", 10, 40), contact(1, "A", 80, 95)],
        "isl_windows": [dict(zip(("a", "b", "start_s", "end_s"), w, strict=True)) for w in windows],
        "transfers": transfers,
        "events": [
            train | {"time_s": 55.0, "kind": "train_start"},
            train | {"time_s": 65.0, "kind": "train_end"},
            {"time_s": 90.0, "kind": "aggregate", "cluster": "C", "clusters": 2},
        ],
        "updates": [
            {"time_s": 90.0, "cluster": name, "device": 0, "round": 1} for name in ("A", "C")
        ],
    }


MANIFEST = {"scenario": {"roles": {"clients": "satellites"}}}


def test_a_round_by_hand():
    down, up = RoundLink("pass", "Kiruna", "A"), RoundLink("pass", "A", "Kiruna")
    wait = RoundLink("isl", "B", "C")
    (path,) = round_paths(tables_of(**by_hand()), MANIFEST).paths
    assert (path.number, path.client, path.begin_s, path.end_s) == (1, "C", 0, 90)
    assert path.stretches == [
        (Part.PASS_AWAITED, 0, 10, down),
        (Part.TO_CLIENT, 10, 14, down),
        (Part.LINK, 14, 16, RoundLink("isl", "A", "B")),
        (Part.LINK_AWAITED, 16, 50, wait),
        (Part.LINK_TAKEN, 50, 53, wait),
        (Part.LINK, 53, 55, wait),
        (Part.TRAINING, 55, 65, None),
        (Part.LINK, 65, 67, RoundLink("isl", "C", "B")),
        (Part.LINK, 67, 69, RoundLink("isl", "B", "A")),
        (Part.PASS_AWAITED, 69, 80, up),
        (Part.PASS_TAKEN, 80, 82, up),
        (Part.TO_SERVER, 82, 86, up),
        (Part.OTHER, 86, 90, None),
    ]


def test_what_limits_by_hand():
    paths = round_paths(tables_of(**by_hand()), MANIFEST)
    waits = RoundLink("isl", "B", "C")
    assert next(iter(paths.shares.items())) == (Part.LINK_AWAITED, 34 / 90)
    assert next(iter(paths.links_s.items())) == (waits, 39)
    assert sum(paths.shares.values()) == pytest.approx(1.0)


def test_all_passes_that_links_lead_to_may_be_taken():
    """A waits for its own pass while that of B, beside it, carries a message of others.

    Behind 75 it would be too short for the four seconds even if it were free.
    """
    rows = by_hand()
    rows["contacts"].append(contact(2, "B", 70, 79))
    rows["transfers"].append(hop(5, "B", 72, 78, (2, "server")))
    found = round_paths(tables_of(**rows), MANIFEST).paths[0].stretches
    waits = [stretch[:3] for stretch in found if stretch.begin_s >= 69 and stretch.end_s <= 80]
    awaited, taken = Part.PASS_AWAITED, Part.PASS_TAKEN
    assert waits == [(awaited, 69, 70), (taken, 70, 75), (awaited, 75, 80)]


def test_a_contact_that_is_used_waits_for_the_next_one():
    """The pass was free for twice as long as the model took, so it was not what was waited for."""
    rows = by_hand()
    rows["contacts"][0] = contact(0, "A", 2, 40)
    found = round_paths(tables_of(**rows), MANIFEST).paths[0].stretches[:3]
    waited = [Part.PASS_AWAITED, Part.CONTACT_AWAITED, Part.TO_CLIENT]
    assert [(stretch.part, stretch.end_s) for stretch in found] == list(
        zip(waited, [2, 10, 14], strict=True)
    )


@pytest.mark.parametrize("rise_s", [2, 0.5])
def test_gaps_that_are_too_short_are_no_contact_that_was_missed(rise_s):
    """Somebody always leaves one of two passes free, and none of them for long enough.

    Nor for as long as another model took: what the pass carries as it rises is not known.
    """
    rows = by_hand()
    rows["contacts"][0] = contact(0, "A", rise_s, 40)
    rows["contacts"].append(contact(2, "B", 2, 9))
    rows["transfers"] += [
        hop(5, "A", 5, 10, (0, "client")),
        hop(6, "B", 2, 3, (2, "client")),
        hop(7, "B", 6, 9, (2, "client")),
    ]
    found = round_paths(tables_of(**rows), MANIFEST).paths[0].stretches[:3]
    waited = [Part.PASS_AWAITED, Part.PASS_TAKEN, Part.TO_CLIENT]
    assert [(stretch.part, stretch.end_s) for stretch in found] == list(
        zip(waited, [rise_s, 10, 14], strict=True)
    )


def test_messages_between_clients_that_are_no_mesh_have_no_path():
    rows = by_hand()
    rows["transfers"] = [hop(None, "A", 14, 16, "B")]
    assert round_paths(tables_of(**rows), MANIFEST) is None


def of_mesh(tmp_path, keys, text=MESH):
    (tmp_path / "mesh.yaml").write_text(text)
    return scenarios.load(tmp_path / "mesh.yaml", keys)


def by_gateways():
    """Two devices below A, B over a gateway: the second's update waits for the feeder link."""
    up = {"cluster": "Oslo", "payload": "model", "version": 0, "outcome": "delivered"}
    access = [
        up | {"message": number, "device": device, "start_s": 30, "end_s": 32}
        | {"contact_id": 1, "toward": "server"}
        for number, device in ((2, 0), (3, 1))
    ]  # fmt: skip
    down = [
        row | {"message": 1, "start_s": 12, "end_s": 15, "contact_id": 0, "toward": "client"}
        for row in access
    ]
    transfers = [
        hop(1, "Troll", 5, 8, "B"),
        hop(1, "B", 8, 10, "A"),
        *down,
        *access,
        hop(2, "A", 32, 34, "B"),
        hop(3, "A", 34, 36, "B"),
        hop(2, "B", 40, 44, "Troll"),
        hop(3, "B", 44, 48, "Troll"),
    ]
    passes = [contact(0, "A", 12, 20), contact(1, "A", 30, 39)]
    train = {"cluster": "Oslo", "rounds": 1}
    trained = [(15.0, "train_start"), (25.0, "train_end")]
    return {
        "contacts": [one | {"cluster": "Oslo", "station": None} for one in passes],
        "isl_windows": [{"a": "A", "b": "B", "start_s": 0.0, "end_s": 100.0}],
        "feeder_windows": [
            {"satellite": "B", "station": "Troll", "start_s": begin, "end_s": begin + 10.0}
            for begin in (5.0, 40.0)
        ],
        "transfers": transfers,
        "events": [
            *(
                train | {"device": device, "time_s": time_s, "kind": kind}
                for device in (0, 1)
                for time_s, kind in trained
            ),
            {"time_s": 50.0, "kind": "aggregate", "cluster": "Oslo", "clusters": 1},
        ],
        "updates": [
            {"time_s": 50.0, "cluster": "Oslo", "device": device, "round": 1} for device in (0, 1)
        ],
    }


def test_a_round_of_devices_over_a_gateway_by_hand():
    roles = {"server": "stations", "clients": "devices"}
    found = round_paths(tables_of(**by_gateways()), {"scenario": {"roles": roles}})
    over_gateway, over_oslo = RoundLink("pass", "Troll", "B"), RoundLink("pass", "A", "Oslo")
    down, up = RoundLink("pass", "B", "Troll"), RoundLink("pass", "Oslo", "A")
    (path,) = found.paths
    assert (path.client, path.end_s) == ("Oslo", 50)
    assert path.stretches == [
        (Part.PASS_AWAITED, 0, 5, over_gateway),
        (Part.TO_CLIENT, 5, 8, over_gateway),
        (Part.LINK, 8, 10, RoundLink("isl", "B", "A")),
        (Part.PASS_AWAITED, 10, 12, over_oslo),
        (Part.TO_CLIENT, 12, 15, over_oslo),
        (Part.TRAINING, 15, 25, None),
        (Part.PASS_AWAITED, 25, 30, up),
        (Part.TO_SERVER, 30, 32, up),
        (Part.LINK_TAKEN, 32, 34, RoundLink("isl", "A", "B")),
        (Part.LINK, 34, 36, RoundLink("isl", "A", "B")),
        (Part.PASS_AWAITED, 36, 40, down),
        (Part.PASS_TAKEN, 40, 44, down),
        (Part.TO_SERVER, 44, 48, down),
        (Part.OTHER, 48, 50, None),
    ]


def test_an_update_that_waits_on_a_satellite_has_not_arrived():
    rows = by_gateways()
    del rows["transfers"][-1]
    roles = {"server": "stations", "clients": "devices"}
    (path,) = round_paths(tables_of(**rows), {"scenario": {"roles": roles}}).paths
    assert (Part.TO_SERVER, 40, 44, RoundLink("pass", "B", "Troll")) in path.stretches
    assert path.stretches[-1] == (Part.OTHER, 44, 50, None)


FLIGHT_S = 0.01
"""Routes leave the longest time of flight between two hops, in which nothing is sent yet."""

RUNS = {
    "mesh": lambda folder: of_mesh(folder, {}),
    "gateways": lambda folder: of_mesh(folder, GATEWAYS),
    "to a satellite": lambda folder: of_mesh(folder, {"stop.days": 0.05}, WITHOUT_PASSES),
    "devices to a satellite": lambda folder: of_mesh(
        folder, DEVICES | TO_A_SATELLITE | {"ground": {"clusters": CLUSTERS}}
    ),
    "passes": lambda folder: of_mesh(folder, {"link.isl": None, "stop.days": 1}),
    "buffer": lambda folder: of_mesh(
        folder, {"learning.method": "fedbuff", "link.isl": None, "stop.days": 1}
    ),
    "antennas": lambda _: scenarios.load("flystack", {"stop.days": 1, "ground.antennas": 1}),
    "devices": lambda _: scenarios.load(
        "quickstart",
        {"stop.days": 2, "learning.train": False, "learning.method": "fedavg"},
    ),
}


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.quick(1)
def test_the_parts_of_a_round_sum_up_to_it(name, tmp_path):
    run = sim.run(RUNS[name](tmp_path))
    paths = run.round_paths
    assert len(paths.paths) == run.summary["rounds"]["count"] > 1
    edges_s = [edge_s for path in paths.paths for edge_s in (path.begin_s, path.end_s)]
    assert edges_s[0] == 0.0
    assert edges_s[1:-1:2] == edges_s[2::2]
    sent = run.transfers[["start_s", "end_s"]].to_numpy()
    for path in paths.paths:
        stretches = path.stretches
        assert path.client is not None
        assert stretches[0].begin_s == path.begin_s
        assert stretches[-1].end_s == path.end_s
        assert all(a.end_s == b.begin_s for a, b in itertools.pairwise(stretches))
        for stretch in stretches:
            if stretch.part in (Part.TO_CLIENT, Part.TO_SERVER):  # is a transfer of the tables
                lasts = (sent[:, 0] <= stretch.begin_s + FLIGHT_S) & (sent[:, 1] == stretch.end_s)
                assert lasts.any()
    total_s = sum(paths.parts_s.values())
    assert total_s == pytest.approx(paths.paths[-1].end_s)


def test_rounds_over_a_mesh_are_in_the_summary(tmp_path):
    run = sim.run(of_mesh(tmp_path, {}))
    assert run.summary["round_shares"] == run.round_paths.shares
    link = run.summary["limiting_link"]
    [(busiest, lasted_s), *_] = run.round_paths.links_s.items()
    share = lasted_s / sum(run.round_paths.parts_s.values())
    assert tuple(link.values()) == (*busiest, share)
    assert sim.run(of_mesh(tmp_path, {"link.isl": None})).summary["round_shares"] is None
