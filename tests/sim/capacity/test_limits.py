"""What limits a network: blocked time by seconds, and networks whose limit is known."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import leomix as face
import scenarios
from tests.kit import small

STOP_S = 1728


def of_passes(rows, *, stations=False, limit=1, traffic=(), days=STOP_S / 86_400):
    """A study of passes (satellite, site, rise second, set second), by clusters or stations."""
    names = sorted({site for _, site, _, _ in rows})
    ground = {"stations": [{"name": name} for name in names], "antennas": limit}
    source = {"source": "contacts", "windows": small.pass_table(rows), "serving": "any"}
    keys = {"orbit": source, "ground": ground}
    if stations:
        keys["roles"] = small.STUDY["roles"]
    else:
        keys["ground"] = {"clusters": [{"name": name} for name in names]}
        keys["orbit"]["beams"] = limit
    return scenarios.from_dict(
        keys
        | {"start": small.clock(0), "stop": {"days": days}}
        | {"link": small.FIXED, "traffic": list(traffic)}
    )


def shares_by_seconds(run, clients_fly, limit):
    """The shares of blocked and of idle time by name, by looking at every second."""
    at_s = np.arange(STOP_S) + 0.5
    contacts = run.contacts
    ends = ["satellite", "cluster"] if clients_fly else ["cluster", "satellite"]
    if clients_fly:
        contacts = contacts.assign(cluster=contacts.station)
    client, server = (contacts[name].to_numpy() for name in ends)
    seen = (contacts.rise_s.to_numpy()[:, None] < at_s) & (
        at_s < contacts.set_s.to_numpy()[:, None]
    )
    start_s, end_s = (contacts[f"service_{one}_s"].to_numpy()[:, None] for one in ("start", "end"))
    served = (start_s < at_s) & (at_s < end_s)
    names = sorted({*client})
    wants = {name: np.ones(STOP_S, bool) for name in names}
    if run.tables.get("payloads") is not None:
        for name in names:
            own = run.payloads[run.payloads.client == name]
            through_s = own.through_s.fillna(STOP_S).to_numpy()[:, None]
            wants[name] = ((own.ready_s.to_numpy()[:, None] < at_s) & (at_s < through_s)).any(0)
    full = {name: served[server == name].sum(0) >= limit for name in {*server}}
    blocked = {}
    for name in names:
        mine = client == name
        all_full = np.all([~seen[n] | full[server[n]] for n in np.flatnonzero(mine)], axis=0)
        in_view = seen[mine].any(0)
        blocked[name] = in_view & all_full & ~served[mine].any(0) & wants[name]
    found = {}
    for name in names:
        mine = client == name
        wanted, busy = seen[mine].any(0) & wants[name], served[mine].any(0)
        found[name] = share(blocked[name], wanted), share(busy & ~wants[name], busy)
    for name in {*server}:
        rows = np.flatnonzero(server == name)
        hit = np.concatenate([seen[n] & blocked[client[n]] for n in rows])
        view = np.concatenate([seen[n] & wants[client[n]] for n in rows])
        found[name] = share(hit, view), None
    total = np.concatenate([seen[client == name].any(0) & wants[name] for name in names])
    found["total"] = share(np.concatenate([*blocked.values()]), total), None
    return found


def share(part, whole):
    return part.sum() / whole.sum() if whole.any() else math.nan


@st.composite
def networks(draw):
    """Passes of up to four satellites over up to three sites, which may overlap."""
    rows = set()
    for sat in range(draw(st.integers(1, 4))):
        for site in range(draw(st.integers(1, 3))):
            cuts = draw(st.lists(st.integers(1, STOP_S - 9), max_size=4, unique=True).map(sorted))
            rows |= {
                (f"s{sat}", f"g{site}", rise, sets)
                for rise, sets in zip(cuts[::2], cuts[1::2], strict=False)
            }
    kind = st.fixed_dictionaries(
        {
            "payload_mb": st.sampled_from([1.0, 40.0, 200.0]),
            "direction": st.sampled_from(["up", "down"]),
            "every_hours": st.sampled_from([None, 0.05, 0.1]),
        }
    )
    kinds = draw(st.lists(kind, max_size=2))
    traffic = [{"name": f"kind-{n}", **kind} for n, kind in enumerate(kinds)]
    return sorted(rows, key=lambda row: (row[2], row)), draw(st.integers(1, 2)), traffic


@given(networks(), st.booleans())
@settings(max_examples=12, deadline=None)
def test_blocked_and_idle_time_are_those_of_every_second(network, clients_fly):
    rows, limit, traffic = network
    if not rows:
        return
    run = face.run(of_passes(rows, stations=clients_fly, limit=limit, traffic=traffic))
    by_seconds = shares_by_seconds(run, clients_fly, limit)
    said = run.capacity.assign(name=run.capacity.name.where(run.capacity.kind != "total", "total"))
    for name, (blocked, idle) in by_seconds.items():
        row = said[said.name == name].iloc[0]
        np.testing.assert_allclose(float(row.blocked_share), blocked, atol=1e-9, err_msg=name)
        if idle is not None:
            np.testing.assert_allclose(float(row.idle_share), idle, atol=1e-9, err_msg=name)


def limit_of(scenario):
    summary = face.run(scenario).summary
    return summary["limited_by"], summary["limiting_stations"], summary["blocked_share"]


ALL_DAY = (1, STOP_S - 1)


@pytest.mark.parametrize(
    ("dishes", "blocked"), [(1, 39 / 40), (25, 15 / 40), (38, 1 / 20), (39, 1 / 40), (40, 0)]
)
def test_dishes_that_are_busy_all_the_time_are_the_limit_however_little_one_more_adds(
    dishes, blocked
):
    """Forty satellites stand over one station: one more than 25 dishes adds 4 %."""
    rows = [(f"s{n:02}", "Matera", *ALL_DAY) for n in range(40)]
    limit, stations, share = limit_of(of_passes(rows, stations=True, limit=dishes))
    assert share == pytest.approx(blocked, abs=1e-9)
    is_limit = blocked >= 0.05
    assert limit == ("antennas" if is_limit else "visibility")
    assert stations == (["Matera"] if is_limit else [])


def test_only_stations_with_blocked_time_in_their_own_view_are_limits():
    """Four satellites share the dish of Matera; one after the other, they pass over Dongara."""
    rows = [(f"s{n}", "Matera", 1, 801) for n in range(4)]
    rows += [(f"s{n}", "Dongara", 900 + 200 * n, 1100 + 200 * n) for n in range(4)]
    limit, stations, share = limit_of(of_passes(rows, stations=True))
    assert (limit, stations) == ("antennas", ["Matera"])
    assert share == pytest.approx(3 * 800 / (4 * 800 + 4 * 200))


def test_who_can_turn_to_another_station_with_a_free_dish_is_not_blocked():
    rows = [("s0", "A", 1, 1001), ("s1", "A", 1, 1001), ("s1", "B", 501, 1001)]
    limit, stations, share = limit_of(of_passes(rows, stations=True))
    assert share == pytest.approx(500 / 2000)
    assert (limit, stations) == ("antennas", ["A"])


@pytest.mark.parametrize(
    ("payload_mb", "limits"),
    [
        (1.0, ["demand", "demand"]),  # a second of sending every three minutes
        (200.0, ["antennas", "visibility"]),  # more than three minutes of it
    ],
)
def test_demand_is_the_limit_if_all_who_are_served_have_nothing_to_send(payload_mb, limits):
    rows = [(f"s{n}", "Matera", *ALL_DAY) for n in range(2)]
    traffic = [{"name": "x", "payload_mb": payload_mb, "direction": "down", "every_hours": 0.05}]
    found = [
        limit_of(of_passes(rows, stations=True, limit=dishes, traffic=traffic))[0]
        for dishes in (1, 2)
    ]
    assert found == limits


@pytest.mark.parametrize("days", [0.15, 0.6])
@pytest.mark.parametrize("stations", [1, 2])
def test_few_dishes_are_the_limit_and_many_are_not_in_short_and_long_studies(stations, days):
    places = small.STUDY["ground"]["stations"][:stations]
    forty = {"orbit": {"satellites": 40, "planes": 5}, "stop": {"days": days}}
    for antennas, limit in ((1, "antennas"), (30, "visibility"), ("unlimited", "visibility")):
        ground = {"stations": places, "antennas": antennas}
        scenario = small.merged(small.STUDY, forty) | {"ground": ground}
        assert limit_of(scenarios.from_dict(scenario))[0] == limit


def test_clusters_under_one_beam_wait_for_it_and_two_beams_are_enough():
    rows = [("s0", name, *ALL_DAY) for name in "AB"]
    for beams, blocked in ((1, 0.5), (2, 0.0)):
        limit, satellites, share = limit_of(of_passes(rows, limit=beams))
        assert share == pytest.approx(blocked)
        assert (limit, satellites) == (("antennas", ["s0"]) if blocked else ("visibility", []))


def test_the_dishes_of_gateways_are_the_limit_of_devices_behind_them():
    isl = {"within_plane": "ring", "between_planes": "grid", "rate_mbps": 100, "route": "earliest"}
    ground = {
        "clusters": [{"name": "Quito", "latitude_deg": 0, "longitude_deg": -78}],
        "stations": small.STUDY["ground"]["stations"],
    }
    keys = {"roles": {"clients": "devices"}, "stop": {"days": 0.1}}
    keys |= {"orbit": {"satellites": 40, "planes": 5}}
    both = small.merged(small.STUDY, keys) | {"link": {"isl": isl, "feeder": {"rate_mbps": 500}}}
    for antennas, limit in ((1, ("antennas", ["Bremen", "Perth"])), (30, ("visibility", []))):
        scenario = scenarios.from_dict(both | {"ground": ground | {"antennas": antennas}})
        assert limit_of(scenario)[:2] == limit
