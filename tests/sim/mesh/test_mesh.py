"""Uploads and downloads over links and passes: who comes first, and that nothing is lost."""

import networkx
import numpy as np
import pytest
from scipy.integrate import quad

import scenarios
import sim
from channel import SPEED_OF_LIGHT_M_S
from sim import InputError
from statements import Code
from tests.kit.inner import learning as seam
from tests.kit.inner.sim import build, make_plan, satellites_of
from tests.kit.mesh import (
    CITIES,
    GATEWAYS,
    WINDOWS,
    ask,
    compare_with_earliest,
    drawn_asks,
    drawn_windows,
    ranges_m,
    same_as_direct,
    windows_text,
)
from tests.kit.promises import check_tables
from tests.kit.scripted import play

SCENARIO = """
start: 2024-04-14T16:00:00Z
stop: {days: 0.25}
roles: {server: stations, clients: satellites}
orbit:
  {source: walker, pattern: star, satellites: 6, planes: 6, phasing: 1, altitude_km: 700,
   inclination_deg: 86, propagation: secular_j2, min_elevation_deg: 0}
ground: {antennas: unlimited, stations: [{name: Tromso, latitude_deg: 69.65, longitude_deg: 18.95}]}
link:
  uplink: {rate: fixed, fixed_rate_mbps: 1000, bandwidth_mhz: 500, total_bandwidth_mhz: 500}
  downlink: {rate: fixed, fixed_rate_mbps: 1000}
  isl: {between_planes: all, rate_mbps: 1000, route: earliest}
compute: {seconds_per_round: 120}
learning: {train: false, method: fedavg, model: {kind: vector-mlp}}
"""
TO_A_SATELLITE = """
start: 2024-04-14T16:00:00Z
stop: {days: 0.25}
roles: {server: "satellite:P03-S01", clients: satellites}
orbit:
  {source: walker, pattern: star, satellites: 6, planes: 6, phasing: 1, altitude_km: 700,
   inclination_deg: 86, propagation: secular_j2}
link: {isl: {between_planes: all, rate_mbps: 1000, route: earliest}}
compute: {seconds_per_round: 120}
learning: {train: false, method: fedavg, model: {kind: vector-mlp}}
"""


MESHES = {
    "stations": SCENARIO,
    "a satellite": TO_A_SATELLITE,
    "a satellite, of devices": CITIES,
    "gateways, of devices": GATEWAYS,
}
"""Scenarios by their server, and by who its clients are if these are no satellites."""


@pytest.mark.parametrize("plans", [6, pytest.param(200, marks=pytest.mark.slow(reason="runs"))])
@pytest.mark.parametrize("server", MESHES)
def test_messages_of_whole_runs_come_by_the_earliest_path_of_random_plans(scenario, plans, server):
    """Devices ask in their contacts, satellites at any time."""
    rng = np.random.default_rng(plans)
    of_devices = server.endswith("devices")
    drawn = {"asks": 24, "until_s": 21_500.0} if of_devices else {}
    fast = {"link.isl.rate_mbps": 1e6}
    fast |= {"link.feeder.rate_mbps": 1e6} if "gateways" in server else {}
    over_links = answered = never = refused = 0
    for _ in range(plans):
        windows = drawn_windows(rng)
        keys = {WINDOWS: windows_text(windows), "learning.method": "asking"}
        loaded = scenario(keys | fast, MESHES[server])
        try:
            plan = make_plan(loaded)
        except InputError as error:  # a few draws leave a satellite, or the server, alone
            assert error.code in (Code.NEVER_REACHED, Code.WRONG_VALUE)
            refused += 1
            continue
        names = [cluster.name for cluster in plan.clusters]
        ends_s = [] if of_devices else [60.0 * end for *_, end in windows]
        asked = drawn_asks(rng, names, ends_s=ends_s, **drawn)
        replies, run = ask(loaded, asked, in_contacts=of_devices)
        answered += len(replies)
        assert of_devices or len(replies) == len(asked)
        check_tables(run.tables)
        never += compare_with_earliest(plan, replies)
        over_links += int(run.transfers.peer.notna().sum())
    assert over_links > 5 * plans and never and refused <= plans / 50
    assert not of_devices or answered > 18 * plans


def last_minute():
    """A link that opens too late to be of use: all that there is are passes."""
    return {WINDOWS: windows_text([(0, 1, 359, 360)]), "stop.days": 0.25}


@pytest.mark.parametrize("seconds", [30, 120, 2000])
def test_with_passes_alone_the_mesh_is_direct_contact(scenario, seconds):
    """Rounds of FedAvg, of which uploads are in the pass or in a later one, to the last bit."""
    keys = {"compute.seconds_per_round": seconds, "stop.days": 0.5}
    mesh = sim.run(scenario(keys | {WINDOWS: windows_text([(0, 1, 719, 720)])}))
    direct = sim.run(scenario(keys, SCENARIO.replace("  isl:", "  # isl:")))
    same_as_direct(mesh, direct)


@pytest.mark.parametrize(("seconds", "what"), [
    (16_000, "The server used none of 4 updates that reached it"),
    (20_000, "No update of a client reached the server"),
])  # fmt: skip
def test_uploads_that_find_no_route_are_why_no_update_is_used(scenario, seconds, what):
    """Passes alone, which end before some satellites have trained for so long, or before any."""
    loaded = scenario(last_minute() | {"compute.seconds_per_round": seconds})
    plan = make_plan(loaded)
    last_s = {cluster.name: plan.passes(cluster).ends_s[-1] for cluster in plan.clusters}
    run = sim.run(loaded)
    trained = run.events[run.events.kind == "train_end"]
    late = sum(row.time_s > last_s[row.cluster] for row in trained.itertuples())
    assert late == (run.events.kind == "drop").sum() > 0
    [check] = run.checks
    assert check.sentence == f"{what}: none came over links between satellites"


RINGS = {"orbit.satellites": 66, "orbit.planes": 6, "link.isl.within_plane": "ring",
         "link.isl.between_planes": "neighbours", "link.isl.terminals": 4,
         "stop.days": 0.08}  # fmt: skip


def test_a_grid_of_links_brings_every_update_at_once(scenario):
    run = sim.run(scenario(RINGS | {"link.isl.rate_mbps": 1}))
    assert {*run.transfers.direction} == {"isl", "downlink", "uplink"}
    check_tables(run.tables)
    rounds = run.events[run.events.kind == "aggregate"].time_s
    assert len(rounds) > 5 and np.diff(rounds).max() < 3600
    # A satellite is in contact nearly always, and says once a round that it waits for others:
    # it names twenty of them at most, and counts the others.
    waits = run.events[run.events.kind == "wait"]
    assert len(waits) > 0 and not waits.duplicated(["cluster", "version"]).any()
    assert waits.detail.str.count(",").max() == 19
    more = waits.detail.str.extract(r" and (\d+) more$")[0].astype(float)
    assert 20 < more.max() <= 45


def test_a_run_may_end_while_a_link_has_last_bits_of_one_message_and_those_of_the_next(scenario):
    """The first is in flight, the second is sent behind it: both are carried, each by itself."""
    run = sim.run(scenario(RINGS | {"learning.method": "fedbuff", "stop.rounds": 1}))
    cut_off = run.transfers[run.transfers.outcome == "carried"]
    assert cut_off.duplicated(["cluster", "peer", "version"]).any()
    assert not cut_off.duplicated("message").any()
    check_tables(run.tables)


def test_what_is_sent_as_the_run_ends_is_not_said_to_be_cut_by_a_contact(scenario):
    """Two satellites are sending down as the first update arrives, which ends the run."""
    keys = {"learning.method": "fedasync", "stop.rounds": 1, "link.downlink.fixed_rate_mbps": 1}
    run = sim.run(scenario(RINGS | keys))
    down = run.transfers[run.transfers.toward == "server"]
    assert (down.outcome == "carried").mean() > 0.5
    assert not [line for line in run.manifest["warnings"] if "were cut" in line]


BUDGET = {"within_plane": "ring", "between_planes": "neighbours", "terminals": 4,
          "route": "earliest", "frequency_ghz": 26, "bandwidth_mhz": 0.05, "tx_power_dbm": 40,
          "gain_dbi": 25, "noise_temperature_k": 500}  # fmt: skip
BY_RANGE = {
    "link.isl": BUDGET, "orbit.satellites": 22, "orbit.planes": 2, "stop.days": 0.03,
    "link.downlink": {"rate": "fixed", "fixed_rate_mbps": 0.02, "tx_power_dbm": 30,
                      "tx_gain_dbi": 10},
    "compute.power_w": 15,
    "compute.battery": {"capacity_wh": 1000, "charge_w": 8, "idle_w": 1, "initial": 0.5},
}  # fmt: skip


@pytest.fixture(scope="module")
def by_range(tmp_path_factory):
    """A run with batteries, whose links have the rates of their ranges: some seconds each hop."""
    path = tmp_path_factory.mktemp("range") / "mesh.yaml"
    path.write_text(SCENARIO)
    loaded = scenarios.load(path, BY_RANGE)
    return loaded, sim.run(loaded)


@pytest.mark.wide
def test_hops_by_a_budget_end_when_the_bits_are_through_that_ranges_let_through(by_range):
    """Every fifth: bits by scipy's quadrature over the satellites' own positions, and the delay."""
    loaded, run = by_range
    range_m = ranges_m(satellites_of(loaded))

    def rate_bps(time_s, *names):
        loss = (4 * np.pi * range_m(time_s, *names) / (SPEED_OF_LIGHT_M_S / 26e9)) ** 2
        return 0.05e6 * np.log2(1 + 10 * 10**5.0 / loss / (1.380649e-23 * 500 * 0.05e6))

    hops = run.transfers[
        (run.transfers.direction == "isl") & (run.transfers.outcome == "delivered")
    ]
    assert len(hops) > 50
    for hop in hops[::5].itertuples():
        ends = hop.cluster, hop.peer.split("/")[0]
        sent_s = hop.end_s
        for _ in range(3):  # the range as the last bit leaves
            sent_s = hop.end_s - range_m(sent_s, *ends) / SPEED_OF_LIGHT_M_S
        bits, _ = quad(rate_bps, hop.start_s, sent_s, ends)
        assert bits == pytest.approx(8 * hop.payload_bytes, rel=1e-5)


@pytest.mark.wide
def test_what_a_satellite_passes_on_drains_its_battery(by_range):
    """Far from full and from its reserve, a battery is the sum of what came in and went out."""
    loaded, run = by_range
    rows = run.transfers
    computed_s = {row["cluster"]: row["computed_s"] for row in run.manifest["energy"]}
    supplies = build(loaded).supplies
    lasts_s = run.manifest["simulated_s"]
    for row in run.manifest["charges"]:
        name = row["cluster"]
        sent = rows[(rows.cluster == name) & (rows.direction != "uplink")]
        delay_s = 0.005  # about
        over_links, in_passes = (
            (sent[kind].end_s - sent[kind].start_s - delay_s).sum()
            for kind in (sent.direction == "isl", sent.direction == "downlink")
        )
        spent_j = 15 * computed_s[name] + 10 * over_links + 1 * in_passes
        lit_s = lasts_s - np.diff(supplies[name][1].reshape(-1, 2)).sum()
        held_j = 500 * 3600 + 8 * lit_s - lasts_s - spent_j
        assert over_links > 1.0
        assert row["last"] * 3.6e6 == pytest.approx(held_j, abs=0.02 * 10 * over_links)


def test_who_is_linked_to_a_satellite_in_a_pass_is_in_a_session(scenario):
    """At random times, over random links: whatever other passes it could make use of later."""
    rng = np.random.default_rng(11)
    looked = 0
    for number in range(6):
        text = SCENARIO if number % 2 else TO_A_SATELLITE
        plan = make_plan(scenario({WINDOWS: windows_text(drawn_windows(rng))}, text))
        isls, contacts = plan.isls, plan.contacts
        fleet = np.array(isls.names)
        for time_s in rng.uniform(0.0, plan.stop_s, 60):
            are_open = (isls.start_s <= time_s) & (time_s < isls.end_s)
            now = networkx.Graph(zip(fleet[isls.a[are_open]], fleet[isls.b[are_open]], strict=True))
            now.add_nodes_from(fleet)
            has_pass = {c.cluster.name for c in contacts if c.start_s <= time_s < c.end_s}
            for cluster in plan.clusters:
                if has_pass & networkx.node_connected_component(now, cluster.name):
                    own = plan.sessions(cluster)
                    spans_s = zip(own.starts_s, own.ends_s, strict=True)
                    assert any(begin_s <= time_s <= end_s for begin_s, end_s in spans_s)
                    looked += 1
    assert looked > 300


@pytest.mark.wide
@pytest.mark.parametrize("method", ["fedbuff", "emsfl"])
def test_who_is_always_in_contact_trains_between_its_sessions(scenario, method):
    """Methods that train in gaps do so from one session to the next; rounds last longer here."""
    kind = "vector-moe" if method == "emsfl" else "vector-mlp"
    keys = {"learning.method": method, "learning.model.kind": kind}
    run = sim.run(scenario(RINGS | keys | {"compute.seconds_per_round": 900}))
    assert run.summary["device_rounds"] > 60
    assert (run.events.kind == "aggregate").any()
    check_tables(run.tables)


@pytest.mark.parametrize(("server", "rate_mbps"), [("stations", 0.5), ("gateways, of devices", 50)])
def test_a_forecast_is_what_links_and_passes_carry(scenario, server, rate_mbps):
    """Over links at their rate, down from gateways at that of the feeder link."""
    feeder = {} if server == "stations" else {"link.feeder.rate_mbps": 5}
    keys = RINGS | feeder | {"link.isl.rate_mbps": rate_mbps, "learning.method": "asking"}
    loaded = scenario(keys, MESHES[server])
    outlooks = {}

    def script(me):
        outlooks[me.name] = yield seam.Forecast(me.name, sessions=4)

    play(loaded, script)
    plan = make_plan(loaded)
    for cluster in plan.clusters:
        sessions = plan.sessions(cluster)
        for place, outlook in enumerate(outlooks[cluster.name]):
            span_s = sessions.starts_s[place], sessions.ends_s[place]
            assert (outlook.start_s, outlook.end_s) == span_s
            own = plan.contacts[sessions.contact_id(place)].cluster.name == cluster.name
            rate_bps = 5e6 if feeder else 1e9 if own else rate_mbps * 1e6
            expected = rate_bps * (span_s[1] - span_s[0]) / 8
            assert outlook.uplink_bytes[0] == pytest.approx(expected)
