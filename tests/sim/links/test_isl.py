"""Links between satellites: which there are, with rate, delay and terminals; what they carry."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from scipy.integrate import quad
from sgp4.api import jday

import orbit
import scenarios
import sim
from channel import SPEED_OF_LIGHT_M_S
from sim import InputError
from tests.kit.inner.learning import Node, Reach
from tests.kit.inner.sim import make_plan, ring_planes, satellites_of
from tests.kit.mesh import ranges_m
from tests.kit.scripted import at, nothing, only, play, replies, sent

SCENARIO = """
start: 2024-04-14T16:00:00Z
stop: {days: 0.2}
roles: {server: stations, clients: satellites}
orbit:
  {source: walker, pattern: star, satellites: 40, planes: 4, phasing: 1, altitude_km: 500,
   inclination_deg: 90, propagation: secular_j2, min_elevation_deg: 0}
ground: {antennas: unlimited, stations: [{name: Pole, latitude_deg: 90, longitude_deg: 0}]}
link:
  downlink: {rate: fixed, fixed_rate_mbps: 10}
  isl: {within_plane: ring, between_planes: all, grazing_km: 0, rate_mbps: 100}
compute: {seconds_per_round: 300}
learning: {train: false, method: fedavg-sat, model: {kind: vector-mlp}}
"""


def star(tmp_path, keys=None, **isl):
    path = tmp_path / "star.yaml"
    path.write_text(SCENARIO)
    return scenarios.load(path, {f"link.isl.{key}": isl[key] for key in isl} | (keys or {}))


def links(tmp_path, keys=None, **isl):
    return make_plan(star(tmp_path, keys, **isl)).isls


def test_rings_hold_all_the_time_and_planes_meet(tmp_path):
    plan = links(tmp_path)
    ring = np.flatnonzero(plan.within)
    pairs = sorted(zip(plan.a[ring].tolist(), plan.b[ring].tolist(), strict=True))
    assert pairs[:10] == [(0, 1), (0, 9), *((k, k + 1) for k in range(1, 9))]
    assert len(pairs) == 40
    assert (plan.end_s - plan.start_s)[ring] == pytest.approx(0.2 * 86_400)
    across = plan.where(~plan.within)
    assert (across.a // 10 != across.b // 10).all()
    assert len(set(zip(across.a.tolist(), across.b.tolist(), strict=True))) == 260
    next_to = links(tmp_path, within_plane="none", between_planes="neighbours")
    apart = np.abs(next_to.a // 10 - next_to.b // 10)
    assert {*apart.tolist()} == {1, 3}  # the last plane is next to the first one


@pytest.mark.parametrize(
    ("pattern", "phasing", "inclination_deg"), [("delta", 1, 53), ("delta", 3, 53), ("star", 2, 86)]
)
def test_a_grid_links_satellites_that_stay_closest_to_each_other(
    tmp_path, pattern, phasing, inclination_deg
):
    """Of all ways to turn one plane against the next, as positions over a revolution say."""
    keys = {
        "stop.days": 1, "orbit.pattern": pattern, "orbit.phasing": phasing, "orbit.planes": 5,
        "orbit.inclination_deg": inclination_deg, "orbit.altitude_km": 1200,
        "ground.stations": [{"name": "Turin", "latitude_deg": 45, "longitude_deg": 7.7}],
    }  # fmt: skip
    scenario = star(tmp_path, keys, between_planes="grid")
    plan = make_plan(scenario).isls
    flying = satellites_of(scenario)
    day, fraction = jday(2024, 4, 14, 16, 0, 0)
    time_s = np.arange(400) * 86_400 / flying[0].revolutions_per_day / 400
    when = np.full(400, day), fraction + time_s / 86_400
    position_km = np.stack([satellite.model.sgp4_array(*when)[1] for satellite in flying])
    across = {*zip(plan.a[~plan.within].tolist(), plan.b[~plan.within].tolist(), strict=True)}

    def mean_square(one, other):
        return ((position_km[one] - position_km[other]) ** 2).sum(axis=-1).mean()

    many = 8
    for plane in range(5):
        beside = sorted([plane, (plane + 1) % 5])
        first, second = (many * number for number in beside)
        pairs = [pair for pair in across if [k // many for k in pair] == beside]
        assert len({one for one, _ in pairs}) == len({other for _, other in pairs}) == many
        turned = [
            sum(mean_square(first + k, second + (k + turn) % many) for k in range(many))
            for turn in range(many)
        ]
        assert sum(mean_square(*pair) for pair in pairs) == pytest.approx(min(turned), rel=1e-6)
    assert len(across) == 40
    assert plan.parts().tolist() == [40]


def test_a_grid_links_planes_of_one_shell(tmp_path):
    low = {
        "name": "low", "satellites": 40, "planes": 5, "phasing": 1, "pattern": "delta",
        "altitude_km": 1200, "inclination_deg": 60,
    }  # fmt: skip
    shells = [low, low | {"name": "high", "altitude_km": 1300}]
    keys = {
        "orbit": {"source": "walker", "min_elevation_deg": 0, "shells": shells}, "stop.days": 0.5,
        "ground.stations": [{"name": "Turin", "latitude_deg": 45, "longitude_deg": 7.7}],
    }  # fmt: skip
    plan = links(tmp_path, keys, between_planes="grid")
    one, other = (
        [plan.names[k].split("-")[0] for k in end[~plan.within]] for end in (plan.a, plan.b)
    )
    assert one == other and {*one} == {"low", "high"}
    alone = [shell | {"planes": 1, "satellites": 8, "phasing": 0} for shell in shells]
    with pytest.raises(InputError, match="each of the 2 planes is in a shell of its own"):
        links(tmp_path, keys | {"orbit.shells": alone}, between_planes="grid")


@pytest.mark.parametrize(("terminals", "ring"), [(1, "none"), (3, "ring"), (5, "ring")])
def test_no_satellite_has_more_links_than_terminals_and_none_idles(tmp_path, terminals, ring):
    free = links(tmp_path, within_plane=ring)
    plan = links(tmp_path, within_plane=ring, terminals=terminals)
    for time_s in np.linspace(60.0, 17_000.0, 60):
        now, seen = (open_pairs(p, time_s) for p in (plan, free))
        used = np.bincount(np.array([*now]).ravel(), minlength=40)
        assert used.max() <= terminals
        assert all(pair in now or terminals in used[[*pair]] for pair in seen)
        for a in (0, 17):
            reached = {a, *(k for pair in now if a in pair for k in pair)}
            assert {*np.flatnonzero(plan.reach(plan.names[a], time_s)).tolist()} == reached


def test_links_are_acquired_before_they_carry(tmp_path):
    """Those that close before are counted."""
    plan = links(tmp_path)
    at_first = plan.start_s == 0.0  # those were there before
    lasts_s = (plan.end_s - plan.start_s)[~at_first]
    long_s = float(np.quantile(lasts_s, 0.7).round() + 0.5)  # many last equally long
    slow = links(tmp_path, acquisition_s=long_s)
    assert (slow.start_s == 0.0).sum() == at_first.sum()
    longer = plan.start_s[~at_first][lasts_s > long_s]
    np.testing.assert_allclose(slow.start_s[slow.start_s > 0.0], longer + long_s)
    [doubt] = slow.doubts
    lost = np.count_nonzero(lasts_s <= long_s)
    assert str(doubt).startswith(f"link.isl.acquisition_s: {lost:,} of {len(lasts_s):,} links ")
    assert not links(tmp_path, acquisition_s=45.0).doubts


@pytest.mark.parametrize("propagation", ["sgp4", "secular_j2"])
def test_a_transfer_under_a_budget_takes_the_rates_of_the_ranges_then(tmp_path, propagation):
    """Bits by scipy's quadrature over the satellites' own positions, to a microsecond."""
    # The link of arXiv 2111.12769: 10 W, gains of 32.13 dBi, 20 GHz, 500 MHz, 354 K.
    scenario = star(
        tmp_path, {"orbit.propagation": propagation, "stop.days": 0.1}, rate_mbps=None,
        frequency_ghz=20, bandwidth_mhz=500, tx_power_dbm=40, gain_dbi=32.13,
        noise_temperature_k=354,
    )  # fmt: skip
    plan = make_plan(scenario).isls
    range_m = ranges_m(satellites_of(scenario))

    def rate_bps(time_s, *ends):
        loss = (4 * np.pi * range_m(time_s, *ends) / (SPEED_OF_LIGHT_M_S / 20e9)) ** 2
        return 500e6 * np.log2(1 + 10 * 10**6.426 / loss / (1.380649e-23 * 354 * 500e6))

    lasts_s = plan.end_s - plan.start_s
    for w in np.flatnonzero((lasts_s > 400) & ~plan.within)[:4].tolist():
        ends = plan.names[plan.a[w]], plan.names[plan.b[w]]
        for share, from_s in ((1e-6, 0.0), (0.3, 0.0), (0.2, 100.0)):
            begin_s = plan.start_s[w] + from_s
            bits = share * lasts_s[w] * rate_bps(begin_s, *ends)
            sent_s, left = plan.sent(w, begin_s, bits)
            there, _ = quad(rate_bps, begin_s, sent_s, ends, epsabs=1, limit=200)
            assert (there - bits) / rate_bps(sent_s, *ends) == pytest.approx(0.0, abs=1e-6)
            assert left >= bits
            delay_s = range_m(sent_s, *ends) / SPEED_OF_LIGHT_M_S
            assert plan.delay_s(w, sent_s) == pytest.approx(delay_s, abs=1e-9)
        whole, _ = quad(rate_bps, plan.start_s[w], plan.end_s[w], ends)
        assert plan.sent(w, plan.start_s[w], 1.01 * whole) == (np.inf, pytest.approx(whole))


def test_bytes_of_a_message_that_the_end_of_the_run_cuts_follow_the_rates_until_then(tmp_path):
    """Bits by scipy's quadrature; over a rate that changes, they are not even in time."""
    budget = {"frequency_ghz": 20, "bandwidth_mhz": 500, "tx_power_dbm": 40, "gain_dbi": 32.13}
    budget = {**budget, "noise_temperature_k": 354, "rate_mbps": None}
    keys = {"learning.method": "scripted", "stop.days": 0.5, "stop.cycles": 1}
    scenario = star(tmp_path, keys, **budget)
    stop_s = play(scenario, nothing).manifest["simulated_s"]
    plan = make_plan(scenario).isls
    assert stop_s < plan.stop_s
    is_open = (plan.start_s < stop_s - 300.0) & (plan.end_s > stop_s + 350.0)
    w = int(np.flatnonzero(is_open & ~plan.within)[0])
    source, target = (plan.names[ends[w]] for ends in (plan.a, plan.b))
    begin_s = stop_s - 300.0

    def rate_bps(time_s):
        range_km = plan.range_km(int(plan.a[w]), int(plan.b[w]), np.array([time_s]))
        return float(plan.budget.rate_bps(range_km)[0])

    whole, _ = quad(rate_bps, begin_s, begin_s + 650.0, epsabs=1, limit=200)
    there, _ = quad(rate_bps, begin_s, stop_s, epsabs=1, limit=200)
    even = whole * (stop_s - begin_s) / 650.0
    assert abs(even / there - 1.0) > 1e-3
    message = replace(sent(Node(source, 0), Node(target, 0), whole / 8.0), wait=True)
    run = play(scenario, only(source, lambda _: at(begin_s, message)))
    [row] = run.transfers.itertuples()
    assert (row.outcome, row.end_s) == ("carried", pytest.approx(stop_s))
    assert row.delivered_bytes == pytest.approx(there / 8.0, rel=1e-7)
    assert run.manifest["books"]["isl"]["sent_bytes"] == row.delivered_bytes


HERE = Node("P01-S01", 0)
THERE = Node("P02-S01", 0)


def talk(tmp_path, *tasks, **cut_transfers):
    keys = {
        "learning.method": "scripted",
        **{f"link.{key}": cut_transfers[key] for key in cut_transfers},
    }
    scenario = star(tmp_path, keys, rate_mbps=1)
    plan = make_plan(scenario).isls
    mine = plan.where(plan.windows("P01-S01", "P02-S01"))
    return *replies(scenario, *tasks, by="P01-S01"), plan, mine


def ask(time_s, size, wait=True, target=THERE):
    return at(time_s, replace(sent(HERE, target, size), wait=wait))


def pair(tmp_path):
    """Windows of the pair, and the bytes that fit into each."""
    _, _, _, mine = talk(tmp_path)
    return mine, (mine.end_s - mine.start_s) * 1e6 / 8


@pytest.mark.parametrize("policy", ["resume", "restart", "drop"])
def test_what_a_window_cuts_off_goes_on_begins_again_or_is_lost(tmp_path, policy):
    mine, fits = pair(tmp_path)
    assert len(mine) >= 3
    middle_s = (mine.start_s[0] + mine.end_s[0]) / 2
    size = 0.8 * fits[1]
    (arrival,), run, _, _ = talk(tmp_path, ask(middle_s, size), cut_transfers=policy)
    first = fits[0] / 2
    rows = run.transfers
    rest = {"resume": [size - first], "restart": [size], "drop": []}[policy]
    assert arrival.delivered == (policy != "drop")
    assert rows.delivered_bytes.tolist() == pytest.approx([first, *rest])
    assert rows.outcome[0] == ("carried" if policy == "resume" else "dropped")
    assert rows.end_s[0] == mine.end_s[0]
    for bytes_ in rest:
        sent_s = mine.start_s[1] + bytes_ * 8e-6
        assert arrival.time_s == pytest.approx(sent_s + mine.delay_s(1, sent_s))
    books = run.manifest["books"]["isl"]
    assert (books["offered_bytes"], books["sent_bytes"]) == pytest.approx((size, first + sum(rest)))
    assert books["vain_bytes"] == pytest.approx(0.0 if policy == "resume" else first)


def test_messages_wait_for_each_other_and_for_windows_only_if_they_are_to(tmp_path):
    mine, fits = pair(tmp_path)
    between_s = (mine.end_s[0] + mine.start_s[1]) / 2
    size = 0.4 * fits[1]
    found, _, plan, _ = talk(
        tmp_path, ask(between_s, size), ask(between_s, size), ask(between_s, 8.0, wait=False),
        ask(between_s, 1e12), at(between_s, Reach()),
    )  # fmt: skip
    for number in (0, 1):
        sent_s = mine.start_s[1] + (number + 1) * size * 8e-6
        assert found[number].time_s == pytest.approx(sent_s + mine.delay_s(1, sent_s), rel=1e-12)
    assert [one.reason for one in found[2:4]] == ["out of sight", "no window left"]
    assert np.array_equal(found[4][0], plan.reach("P01-S01", between_s))


SCHEDULED = {"learning.options.selection": "scheduled"}
INTRA_PLANE = SCHEDULED | {"learning.options.intra_plane": True}


@pytest.mark.parametrize(
    ("keys", "idle"),
    [
        (INTRA_PLANE, "between_planes"),
        ({"learning.method": "fedisl"}, "between_planes"),
        ({"learning.method": "autoflsat"}, None),
        ({"learning.method": "fedavg", "link.isl": None}, None),
    ],
)
@pytest.mark.quick(2)
def test_links_of_a_kind_that_a_method_sends_nothing_over_are_a_doubt(tmp_path, keys, idle):
    """In the manifest of a run."""
    run = sim.run(star(tmp_path, keys | {"stop.days": 0.2}))
    said = [line for line in run.manifest["warnings"] if line.startswith("link.isl")]
    name = keys.get("learning.method", "fedavg-sat")
    wanted = (
        f"link.isl.{idle}: method {name!r} sends nothing over these links, which change nothing"
    )
    assert [line.startswith(wanted) for line in said] == [True] * (idle is not None)


def test_no_link_to_a_satellite_that_is_out(tmp_path):
    keys = {"faults.outages": {"per_day": 20, "mean_hours": 0.2}}
    plan = make_plan(star(tmp_path, keys))
    whole = links(tmp_path)
    for time_s in np.linspace(60.0, 17_000.0, 60):
        out = {
            whole.names.index(name)
            for name, spells in plan.faults.outages.drawn.items()
            if ((spells.begin_s <= time_s) & (time_s < spells.end_s)).any()
        }
        left = {pair for pair in open_pairs(whole, time_s) if out.isdisjoint(pair)}
        assert open_pairs(plan.isls, time_s) == left


def open_pairs(plan, time_s):
    """Pairs of satellites that are linked at a time."""
    now = plan.where((plan.start_s <= time_s) & (time_s < plan.end_s))
    return {*zip(now.a.tolist(), now.b.tolist(), strict=True)}


def test_planes_and_rings_are_in_order_where_nodes_scatter_around_0_or_the_equator():
    """Nodes of one plane are next to each other on both sides of 0, or anywhere at the equator."""
    start = datetime(2024, 4, 14, 16, tzinfo=UTC)

    def plane(name, inclination_deg, nodes_deg):
        places = zip(np.arange(len(nodes_deg)) * 360 / len(nodes_deg), nodes_deg, strict=True)
        made = (
            orbit.circular_satellite(name, 1200, inclination_deg, node, east - node, start)
            for east, node in places
        )
        return [replace(satellite, plane=name) for satellite in made]

    straddling = plane("A", 86, [0.1, 359.9, 0.2, 359.8])
    others = plane("B", 86, [60.0] * 4) + plane("C", 86, [120.0] * 4) + plane("D", 86, [300.0] * 4)
    for satellites in (straddling + others, others + straddling):
        names = [{satellites[k].plane for k in ring} for ring in ring_planes(satellites, start)]
        first = names.index({"A"})
        assert [*names[first:], *names[:first]] == [{"A"}, {"B"}, {"C"}, {"D"}]
    [ring] = ring_planes(plane("E", 0.02, [17.0, 301.0, 88.0, 190.0, 254.0, 3.0]), start)
    begin = ring.index(0)
    assert [*ring[begin:], *ring[:begin]] == [0, 1, 2, 3, 4, 5]


LOSSY = {"faults.packets": {"loss": 0.2}}


def over_the_ring(tmp_path, faults, *before):
    """1,000 packets over a link of a ring, at first or after other requests."""
    keys = {"learning.method": "scripted", "link.isl.rate_mbps": 0.1}
    message = replace(sent(HERE, Node("P01-S02", 0), 1.5e6), wait=True)
    found, run = replies(star(tmp_path, keys | faults), *before, at(40.0, message), by="P01-S01")
    lasts_s = (run.transfers.end_s - run.transfers.start_s).item()
    return found, run.events[run.events.kind == "fault"].detail.tolist(), lasts_s


def test_packets_of_a_link_are_sent_again(tmp_path):
    """As many as said."""
    _, _, whole_s = over_the_ring(tmp_path, {})
    _, [said], lasts_s = over_the_ring(tmp_path, LOSSY)
    packets = int(said.split()[1])
    assert 150 < packets < 350
    assert lasts_s / whole_s == pytest.approx(1 + packets / 1000, rel=1e-3)


def test_messages_that_are_refused_lose_no_packets_and_leave_the_draws_of_others(tmp_path):
    """Out of sight, and larger than all windows: nothing is on the air, nothing is drawn."""
    alone = over_the_ring(tmp_path, LOSSY)
    too_large = replace(sent(HERE, Node("P01-S02", 0), 1e15), wait=True)
    hidden = replace(sent(HERE, THERE, 1.5e6), wait=False)
    [*refused, last], *others = over_the_ring(
        tmp_path, LOSSY, at(10.0, too_large), at(11.0, too_large), at(12.0, hidden)
    )
    assert [arrival.delivered for arrival in refused] == [False] * 3
    assert ([last], *others) == alone


def test_windows_of_a_file_lack_no_neighbours_of_a_ring(tmp_path):
    row = "P01-S01,P02-S01,2024-04-14T17:00:00Z,2024-04-14T18:00:00Z"
    (tmp_path / "found.csv").write_text(f"a,b,start_utc,end_utc\n{row}\n")
    with pytest.raises(InputError, match=r"none of the run is between .* neighbours in a ring"):
        links(tmp_path, between_planes="neighbours", windows="found.csv", grazing_km=80)
