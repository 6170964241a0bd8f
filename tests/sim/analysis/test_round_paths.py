"""What rounds were spent on: by hand, and that the parts of a round sum up to it in real runs."""

import itertools

import pytest

import scenarios
import sim
from sim.analysis.critical_path import Part, RoundLink
from tests.kit.handmade import tables_of

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
GATEWAYS = {
    "roles.clients": "devices",
    "ground.clusters": CLUSTERS,
    "link.feeder": {"rate_mbps": 100},
}
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


def paths_of(rows, clients="satellites"):
    manifest = {"method": "fedavg", "simulated_s": 100.0}
    manifest["scenario"] = {"roles": {"clients": clients}}
    return sim.Result(tables_of(**rows), manifest).critical_path


def table(text):
    """The rows of a table: a part, from when to when in seconds, and the link, if any."""
    return [line.split() for line in text.splitlines() if line.strip()]


def in_rows(path):
    return [
        [s.part.name, f"{s.begin_s:g}", f"{s.end_s:g}", *map(str, s.link or ())]
        for s in path.stretches
    ]


def test_a_round_by_hand_and_what_limits_it():
    paths = paths_of(by_hand())
    (path,) = paths.paths
    assert (path.number, path.client, path.begin_s, path.end_s) == (1, "C", 0, 90)
    assert in_rows(path) == table("""
        PASS_AWAITED  0 10  pass Kiruna A
        TO_CLIENT    10 14  pass Kiruna A
        LINK         14 16  isl A B
        LINK_AWAITED 16 50  isl B C
        LINK_TAKEN   50 53  isl B C
        LINK         53 55  isl B C
        TRAINING     55 65
        LINK         65 67  isl C B
        LINK         67 69  isl B A
        PASS_AWAITED 69 80  pass A Kiruna
        PASS_TAKEN   80 82  pass A Kiruna
        TO_SERVER    82 86  pass A Kiruna
        OTHER        86 90
    """)
    assert next(iter(paths.shares.items())) == (Part.LINK_AWAITED, 34 / 90)
    assert next(iter(paths.links_s.items())) == (RoundLink("isl", "B", "C"), 39)


AWAITED, TAKEN = Part.PASS_AWAITED, Part.PASS_TAKEN
OF_OTHERS = [hop(5, "A", 5, 10, (0, "client")), hop(6, "B", 2, 3, (2, "client"))]
OF_OTHERS += [hop(7, "B", 6, 9, (2, "client"))]
WAITS = {
    # Passes, messages of others over them, and for what was waited from when to when.
    "A waits for its own pass while that of B, beside it, carries a message of others; "
    "behind 75 it would be too short for the four seconds even if it were free": (
        [contact(2, "B", 70, 79)],
        [hop(5, "B", 72, 78, (2, "server"))],
        [(AWAITED, 69, 70), (TAKEN, 70, 75), (AWAITED, 75, 80)],
    ),
    "the pass was free for twice as long as the model took: it was not what was waited for": (
        [contact(0, "A", 2, 40)], [], [(AWAITED, 0, 2), (AWAITED, 2, 10)],
    ),
    "somebody always leaves one of two passes free, and none of them for long enough": (
        [contact(0, "A", 2, 40), contact(2, "B", 2, 9)], OF_OTHERS,
        [(AWAITED, 0, 2), (TAKEN, 2, 10)],
    ),
    "nor for as long as another model took: what a pass carries as it rises is not known": (
        [contact(0, "A", 0.5, 40), contact(2, "B", 2, 9)], OF_OTHERS,
        [(AWAITED, 0, 0.5), (TAKEN, 0.5, 10)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WAITS)
def test_what_was_waited_for_is_told_by_all_passes_and_what_they_carried(case):
    passes, others, waits = WAITS[case]
    rows = by_hand()
    given = {row["contact_id"]: row for row in (*rows["contacts"], *passes)}
    rows["contacts"] = [*given.values()]
    rows["transfers"] += others
    (path,) = paths_of(rows).paths
    begin_s, end_s = waits[0][1], waits[-1][2]
    found = [stretch[:3] for stretch in path.stretches]
    assert [one for one in found if begin_s <= one[1] and one[2] <= end_s] == waits


def test_time_in_which_a_pass_was_free_counts_for_no_link():
    rows = by_hand()
    rows["contacts"][0] |= {"rise_s": 2, "service_start_s": 2}
    first, second, *_ = paths_of(rows).paths[0].stretches
    assert first == (AWAITED, 0, 2, RoundLink("pass", "Kiruna", "A"))
    assert second == (AWAITED, 2, 10, None)


def test_messages_between_clients_that_are_no_mesh_have_no_path():
    found = paths_of(by_hand() | {"transfers": [hop(None, "A", 14, 16, "B")]})
    assert (found.unit, found.paths) == ("cycle", ())


def of_mesh(tmp_path, keys, text=MESH):
    (tmp_path / "mesh.yaml").write_text(text)
    return scenarios.load(tmp_path / "mesh.yaml", keys)


FLIGHT_S = 0.01
"""Routes leave the longest time of flight between two hops, in which nothing is sent yet."""

RUNS = {
    "mesh": lambda folder: of_mesh(folder, {}),
    "gateways": lambda folder: of_mesh(folder, GATEWAYS),
    "to a satellite": lambda folder: of_mesh(folder, {"stop.days": 0.05}, WITHOUT_PASSES),
    "passes": lambda folder: of_mesh(folder, {"link.isl": None, "stop.days": 1}),
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
    paths = run.critical_path
    assert len(paths.paths) == run.summary["rounds"]["count"] > 1
    edges_s = [0.0, *(path.end_s for path in paths.paths)]
    assert edges_s[:-1] == [path.begin_s for path in paths.paths]
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
    if (run.manifest["scenario"]["link"]["isl"] or {}).get("route") != "earliest":
        assert run.summary["round_shares"] is None
        return
    assert run.summary["round_shares"] == paths.shares
    [(busiest, lasted_s), *_] = paths.links_s.items()
    assert tuple(run.summary["limiting_link"].values()) == (*busiest, lasted_s / total_s)
