"""Data of replays: positions against SGP4, spans and counters against the tables."""

import itertools
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import orbit
import sim
from sim import InputError
from tests.kit import small
from tests.kit.handmade import tables_of
from tests.kit.inner.orbit import Start
from tests.kit.inner.sim import (
    MOST_OFF_DEG,
    Held,
    apart_deg,
    arcs_of,
    failures,
    join_spans,
    packed,
    scene,
    scenes,
    share_sky,
    steps,
    straightened,
    traffic,
)
from tests.kit.inner.sim import flying_and_server as flying_of
from tests.kit.replay import ECCENTRIC, numbers, skyfield_km
from tests.kit.skies import DAY_S, FALLING, ISS, START, typed_in
from tests.sim.engine.test_roles import RELAYED

START_OF_FLYSTACK = datetime(2024, 4, 14, 16, tzinfo=UTC)


@given(st.lists(st.integers(-(2**52), 2**52)) | st.lists(st.just(-3), min_size=3))
def test_packed_numbers_come_back(values):
    assert numbers(packed(values)).tolist() == values
    np.testing.assert_array_equal(np.cumsum(numbers(packed(steps(values)))), values)


@pytest.mark.parametrize("days", [0.01, 1, 14])
@pytest.mark.parametrize("satellite", [ISS, *typed_in(), *ECCENTRIC], ids=lambda s: s.name)
@pytest.mark.quick(10)
def test_positions_are_those_of_sgp4(satellite, days):
    arcs = arcs_of(satellite, Start.of(START), days * DAY_S)
    assert len(arcs) <= (2 if satellite.model.ecco > 0.5 else 1)
    assert (arcs[0].first_s, arcs[-1].last_s) == (0.0, days * DAY_S)
    time_s = np.sort(np.random.default_rng(2).uniform(0.0, days * DAY_S, 300))
    which = np.searchsorted([arc.last_s for arc in arcs], time_s)
    ours = np.stack([arcs[k].place_km(time_s[n : n + 1])[0] for n, k in enumerate(which)])
    true_km = skyfield_km(satellite, time_s)
    assert apart_deg(ours, true_km).max() < MOST_OFF_DEG
    radius_km = np.linalg.norm(true_km, axis=1)
    np.testing.assert_allclose(np.linalg.norm(ours, axis=1), radius_km, rtol=0.01)


def test_an_orbit_that_ends_has_arcs_until_it_does():
    arcs = arcs_of(FALLING, Start.of(START), 14 * DAY_S)
    assert 2 < len(arcs) < 30
    assert all(one.last_s == other.first_s for one, other in itertools.pairwise(arcs))
    assert 3 * DAY_S < arcs[-1].last_s < 5 * DAY_S


SPANS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 60), st.integers(0, 8)), max_size=40)


@given(SPANS, st.integers(1, 12))
def test_joined_spans_hold_all_and_only_the_shortest_gaps_are_closed(rows, most):
    lane, begin_s, lasts_s = np.array(rows, dtype=float).reshape(-1, 3).T
    end_s = begin_s + lasts_s
    found = join_spans(lane.astype(int), begin_s, end_s, most)
    groups = {}
    for place, group in zip(found.order.tolist(), found.group.tolist(), strict=True):
        groups.setdefault(group, []).append(place)
    assert sorted(itertools.chain(*groups.values())) == list(range(len(rows)))
    assert len(groups) <= max(most, len(set(lane)))
    left = {}
    for members in groups.values():
        assert len(set(lane[members])) == 1
        left.setdefault(lane[members[0]], []).append((begin_s[members].min(), end_s[members].max()))
    for own in left.values():
        for one, other in itertools.pairwise(sorted(own)):
            assert other[0] - one[1] > found.closed_s
    if len(groups) < most and not found.closed_s:  # nothing had to be closed: a plain union
        for number, own in left.items():
            seconds = {t / 2 for n in np.flatnonzero(lane == number)
                       for t in range(int(2 * begin_s[n]), int(2 * end_s[n]) + 1)}  # fmt: skip
            shown = {t / 2 for a, b in own for t in range(int(2 * a), int(2 * b) + 1)}
            assert shown == seconds


@given(
    st.lists(st.tuples(st.floats(0, 90), st.floats(0, 20), st.integers(1, 10**9)), max_size=30),
    st.lists(st.floats(0, 120), min_size=1, max_size=20),
)
def test_bytes_by_a_time_are_the_shares_of_all_transfers(rows, times):
    start_s, lasts_s, size = np.array(rows, dtype=float).reshape(-1, 3).T
    end_s = start_s + lasts_s
    time_s = np.sort(np.array(times))
    wanted = [
        sum(n * (1.0 if t >= b else (t - a) / (b - a) if t > a else 0.0)
            for a, b, n in zip(start_s, end_s, size, strict=True)) for t in time_s
    ]  # fmt: skip
    found = traffic.moved_by(start_s, end_s, size, time_s)
    np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-3)


@pytest.fixture(scope="module")
def shown(runs):
    run = runs.result("orbit-timing")
    return run, scene({"it": run})


def test_contacts_and_services_are_those_of_the_table(shown):
    run, data = shown
    unit_s, contacts = data["unit_s"], data["contacts"]
    service = data["runs"][0]["service"]
    rows = run.contacts[run.contacts.rise_s < data["end_s"]]
    served = rows.served.to_numpy()
    rise = np.cumsum(numbers(contacts["rise"]))
    sets = rise + numbers(contacts["lasts"])
    late = numbers(service["late"])
    assert (late >= 0).tolist() == served.tolist()
    for found, wanted_s in (
        (rise, rows.rise_s),
        (sets, rows.set_s),
        ((rise + late)[served], rows.service_start_s[served]),
        ((sets - numbers(service["early"]))[served], rows.service_end_s[served]),
    ):
        np.testing.assert_allclose(found * unit_s, wanted_s, atol=1.5 * unit_s)
    names = [data["places"][n]["name"] for n in numbers(contacts["place"])]
    assert names == rows.cluster.to_list()
    assert {data["satellites"][n] for n in numbers(contacts["satellite"])} == set(rows.satellite)


def test_a_place_has_its_own_mask_and_else_that_of_the_orbit():
    clusters = [*small.ORBIT["ground"]["clusters"]]
    clusters[1] = clusters[1] | {"min_elevation_deg": 33.0}
    keys = {"learning": {"train": False}, "stop": {"days": 1}}
    run = sim.run(small.orbit(ground={"clusters": clusters}, **keys))
    data = scene({"it": run})
    common_deg = run.scenario.orbit.min_elevation_deg
    assert [place["mask_deg"] for place in data["places"]] == [common_deg, 33.0]
    assert data["mask_deg"] == common_deg != 33.0


def test_counters_are_the_sums_of_the_table_at_1201_times(shown):
    run, data = shown
    own = data["runs"][0]
    grid = np.linspace(0.0, data["end_s"], 1201)
    time_s = traffic.times_counted(
        data["end_s"], traffic.contact_lanes(run.tables, run.contacts.contact_id.to_numpy())
    )
    assert set(grid) <= set(time_s)
    written_s = np.cumsum(numbers(own["bytes"]["time"])) * data["unit_s"]
    np.testing.assert_allclose(written_s, time_s, atol=data["unit_s"])
    assert {*own["bytes"]} == {"time", *run.transfers.direction.unique()}
    for way, rows in run.transfers.groupby("direction"):
        whole = np.cumsum(numbers(own["bytes"][way]))
        lasts_s = (rows.end_s - rows.start_s).clip(lower=1e-9).to_numpy()
        share = (time_s[:, None] - rows.start_s.to_numpy()) / lasts_s
        wanted = (share.clip(0.0, 1.0) * rows.on_air_bytes.to_numpy()).sum(axis=1)
        np.testing.assert_allclose(whole, wanted, atol=1.0, rtol=1e-9)
        assert whole[-1] == round(rows.on_air_bytes.sum())


CHARGES = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 100)), min_size=1, max_size=40)


@given(CHARGES, st.sampled_from([0.005, 0.02, 0.1]))
def test_a_straightened_charge_is_close_to_all_bends(rows, off):
    waits_s, shares = np.array(rows, dtype=float).reshape(-1, 2).T
    held = Held(np.cumsum(waits_s), shares / 100)
    # Of more than two bends at one time, only the first and the last count.
    inner = (np.diff(held.time_s, prepend=-1) == 0) & (np.diff(held.time_s, append=1e9) == 0)
    held = Held(held.time_s[~inner], held.share[~inner])
    few = straightened(held, off)
    assert len(few.time_s) <= len(held.time_s)
    assert (few.time_s[0], few.time_s[-1]) == (held.time_s[0], held.time_s[-1])
    for shift_s in (-1e-9, 1e-9):  # before and after what is sent
        at_s = held.time_s + shift_s
        np.testing.assert_allclose(np.interp(at_s, *few), np.interp(at_s, *held), atol=off + 1e-6)


def test_batteries_and_shadows_are_those_of_the_run(runs):
    run = runs.result("batteries")
    data = scene({"it": run})
    unit_s, own = data["unit_s"], data["runs"][0]["battery"]
    charges = run.tables["charges"].to_pandas()
    names = [data["satellites"][number] for number in data["batteries"]]
    assert names == sorted(charges.groupby("cluster").charge.min().nsmallest(12).index)
    ends = np.cumsum(numbers(own["bends"]))[:-1]
    time_s = np.split(np.cumsum(numbers(own["time"])) * unit_s, ends)
    share = np.split(np.cumsum(numbers(own["charge"])) * 1e-3, ends)
    at_s = np.linspace(0.0, data["end_s"], 2000)
    for name, *shown in zip(names, time_s, share, strict=True):
        rows = charges[charges.cluster == name]
        wanted = np.interp(at_s, rows.time_s, rows.charge)
        np.testing.assert_allclose(np.interp(at_s, *shown), wanted, atol=3e-3)
    flying = [one for one in flying_of(run.scenario) if one.name in names]
    dark = orbit.eclipses(flying, START_OF_FLYSTACK, START_OF_FLYSTACK + timedelta(days=1))
    begins_s = np.cumsum(numbers(data["shadows"]["begins"])) * unit_s
    found = sorted(zip(numbers(data["shadows"]["battery"]), begins_s, strict=True))
    wanted = sorted(zip(dark.satellite, dark.enter_s, strict=True))
    np.testing.assert_allclose(found, wanted, atol=unit_s)


def test_the_twelve_batteries_that_fell_lowest_in_any_run_are_shown(runs):
    """Fourteen: those of the first names never fall below the others, whichever run is asked."""
    run = runs.result("batteries")
    names = sorted(set(run.tables["charges"]["cluster"].to_pylist()))
    assert len(names) == 14

    def with_lowest(lowest_by_name):
        rows = [
            {"cluster": name, "time_s": time_s, "charge": charge}
            for name, lowest in lowest_by_name.items()
            for time_s, charge in ((0.0, 1.0), (3600.0, lowest), (7200.0, 0.99))
        ]
        return sim.Result(
            {**run.tables, "charges": tables_of(charges=rows)["charges"]}, run.manifest
        )

    falling = {name: 0.9 - 0.05 * place for place, name in enumerate(names)}
    one = with_lowest(falling)
    data = scene({"it": one})
    assert [data["satellites"][n] for n in data["batteries"]] == names[2:]
    other = with_lowest(dict.fromkeys(names, 0.95) | {names[0]: 0.1})
    data = scene({"one": one, "other": other})
    assert [data["satellites"][n] for n in data["batteries"]] == [names[0], *names[3:]]


def test_energy_of_training_and_of_sending_is_summed_up_as_far_as_it_is_known(runs):
    run = runs.result("orbit-timing")
    times = run.manifest["spent"]["time_s"]
    trained = [1000.0 * n for n in range(len(times))]
    sent = [10.0 * n for n in range(len(times))]
    for one, other, total in (
        (trained, sent, [1010.0 * n for n in range(len(times))]),
        (trained, [None] * len(times), trained),
        ([None] * len(times), sent, sent),
    ):
        spent = run.manifest["spent"] | {"training_j": one, "transmit_j": other}
        shown = sim.Result(run.tables, run.manifest | {"spent": spent})
        own = scene({"it": shown})["runs"][0]["energy"]
        assert np.cumsum(numbers(own["joules"])).tolist() == total


def test_what_is_sent_over_a_link_from_a_relay_goes_the_way_of_a_download():
    """In a contact 1 is toward the satellite: an upload, and what a satellite gets over a link."""
    ways = {("uplink", "server"): 1, ("downlink", "client"): 0}
    ways |= {("isl", "client"): 1, ("isl", "server"): 0}
    for (direction, toward), lane in ways.items():
        row = {"contact_id": 7, "direction": direction, "toward": toward}
        tables = tables_of(transfers=[row | {"start_s": 1.0, "end_s": 2.0}])
        found = traffic.contact_lanes(tables, np.array([3, 7]))
        assert (found.lane.tolist(), found.begin_s.tolist()) == ([2 + lane], [1.0])


def test_a_fault_is_marked_where_its_contact_is_and_else_at_its_cluster():
    """Contacts 5 and 6 are at the places 0 and 1; a cluster that is no place is nowhere.

    Faults of one cause that a screen cannot tell apart are one mark.
    """
    cases = [
        *((10.0, 5, "B", 0), (20.0, 6, "A", 1), (30.0, None, "B", 1), (40.0, None, "A", 0)),
        *((50.0, 99, "B", 1), (60.0, None, "elsewhere", -1)),
    ]
    rows = [
        {"time_s": t, "kind": "fault", "contact_id": contact, "cluster": cluster, "cause": "memory"}
        for t, contact, cluster, _ in cases
    ]
    rows.append(rows[0] | {"time_s": 100.5})  # behind what is shown
    rows += [{"time_s": 70.0 + n / 1e4, "kind": "fault", "cluster": "A"} for n in range(3)]
    placed = np.array([5, 6]), np.array([0, 1]), {"A": 0, "B": 1}
    found = failures.packed_faults(tables_of(events=rows), *placed, 100.0, 0.5)
    assert numbers(found["place"]).tolist() == [*(place for *_, place in cases), 0]
    assert (np.cumsum(numbers(found["time"])) * 0.5).tolist() == [*(t for t, *_ in cases), 70.0]
    assert numbers(found["count"]).tolist() == [1] * 6 + [3]
    assert found["causes"] == ["memory", "fault without a named cause"]
    assert numbers(found["cause"]).tolist() == [0] * 6 + [1]


def test_aggregations_that_a_screen_cannot_tell_apart_stand_at_the_last_of_them(runs, monkeypatch):
    monkeypatch.setattr(scenes, "MOST_TICKS", 10)
    run = runs.result("orbit-timing")
    times = [0.01, 0.02, 0.05, 0.31, 0.38, 0.97]
    end_s = run.manifest["simulated_s"]
    rows = [{"time_s": share * end_s, "kind": "aggregate"} for share in times]
    tables = {**run.tables, "events": tables_of(events=rows)["events"]}
    data = scene({"it": sim.Result(tables, run.manifest)})
    own = data["runs"][0]["aggregations"]
    assert numbers(own["count"]).tolist() == [3, 2, 1]
    shown = np.cumsum(numbers(own["time"])) * data["unit_s"] / end_s
    np.testing.assert_allclose(shown, [0.05, 0.38, 0.97], atol=1e-4)


def test_accuracy_is_that_of_each_pooled_evaluation(runs):
    run = runs.result("slots")
    data = scene({"it": run})
    rows = run.metrics[run.metrics.scope == "global"].dropna(subset="accuracy")
    own = data["runs"][0]["learnt"]
    np.testing.assert_allclose(np.cumsum(numbers(own["time"])) * data["unit_s"], rows.time_s)
    np.testing.assert_allclose(np.cumsum(numbers(own["value"])) * 1e-6, rows.accuracy, atol=1e-6)
    assert data["orbits"] == [] and data["land"] is None


@pytest.mark.parametrize("end_s", [43_200.6, 43_199.9999, 61_234.567])
def test_the_last_evaluation_counts_when_the_clock_stops(end_s):
    """Times are rounded to units: none may be rounded to behind the end."""
    keys = {"train": False, "evaluate_every_hours": 1.0}
    run = sim.run(small.orbit(stop={"days": end_s / DAY_S}, learning=keys))
    rows = run.tables["metrics"].to_pandas().query("scope == 'global'")
    rows = rows.assign(accuracy=np.linspace(0.1, 0.9, len(rows)))
    run.tables["metrics"] = pa.Table.from_pandas(rows)
    data = scene({"it": run})
    [own] = data["runs"]
    for times in (own["learnt"]["time"], own["bytes"]["time"]):
        assert (np.cumsum(numbers(times)) * data["unit_s"] <= data["end_s"]).all()
    assert np.cumsum(numbers(own["learnt"]["value"]))[-1] == 900_000
    assert data["end_s"] == pytest.approx(end_s, abs=1e-9)


def test_a_relay_is_a_place_that_flies_and_links_are_those_of_the_table(tmp_path):
    said = RELAYED | {"link": {"isl": {"rate_mbps": 1.5, "between_planes": "all"}}}
    run = sim.run(small.scenarios.from_dict(said | {"stop": {"days": 0.5}}), tmp_path / "r")
    data = scene({"it": run})
    flying, links = data["satellites"], data["links"]
    assert data["places"] == [{"name": "M-P01-S01", "satellite": len(flying) - 1}]
    windows = run.tables["isl_windows"].to_pandas().query(f"start_s < {data['end_s']}")
    pairs = zip(numbers(links["a"]), numbers(links["b"]), strict=True)
    assert {(flying[a], flying[b]) for a, b in pairs} == {*zip(windows.a, windows.b, strict=True)}
    lasts_s = (np.minimum(windows.end_s, data["end_s"]) - windows.start_s).sum()
    shown_s = numbers(links["lasts"]).sum() * data["unit_s"]
    assert shown_s == pytest.approx(lasts_s, abs=2 * data["unit_s"] * len(windows))
    assert {*numbers(data["runs"][0]["spans"]["toward"])} == {0, 1}


def test_runs_share_a_sky_if_start_orbit_and_contacts_are_the_same(runs):
    one = runs.result("orbit-timing")
    other = sim.Result(one.tables, {**one.manifest, "method": "fedbuff", "simulated_s": 3e4})
    assert share_sky([one, other])
    both = scene({"one": one, "other": other})
    assert [run["label"] for run in both["runs"]] == ["one", "other"]
    slots = runs.result("slots")
    assert not share_sky([one, slots])
    with pytest.raises(InputError, match="replay: the runs differ"):
        scene({"one": one, "other": slots})


def test_a_replay_of_more_contacts_than_a_page_carries_ends_early(runs, monkeypatch):
    run = runs.result("orbit-timing")
    monkeypatch.setattr(scenes, "MOST_REPLAYED_CONTACTS", 5)
    data = scene({"it": run})
    assert data["end_s"] == run.contacts.rise_s.iloc[5] < data["simulated_s"]
    assert len(numbers(data["contacts"]["rise"])) == 5
