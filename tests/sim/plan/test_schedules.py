"""Schedules without a run: tables as a run has them, volumes, contact plans for ION and HDTN."""

import json
import re
from collections import defaultdict
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

import leomix
import scenarios
import sim
from leomix import plan as leomix_plan
from tests.kit.inner.sim import data_size, make_plan
from tests.kit.small import OVER_GRID

TIMED = {"learning.train": False, "stop.days": 0.25}
RING = scenarios.load("iridium-isl", TIMED)
LIGHT_KM_S = 299_792.458


@pytest.fixture(scope="module")
def schedule():
    return leomix.plan(RING)


def test_tables_are_those_of_a_run_to_the_end():
    keys = {**TIMED, "stop.days": 0.02, "stop.rounds": None}
    schedule = leomix.plan(scenarios.load("iridium-isl", keys))
    run = sim.run(schedule.scenario)
    assert run.manifest["simulated_s"] == schedule.stop_s == 1_728.0
    pd.testing.assert_frame_equal(schedule.contacts, run.contacts)
    pd.testing.assert_frame_equal(schedule.isl_windows, run.tables["isl_windows"].to_pandas())
    assert (
        repr(schedule) == f"Schedule({len(run.contacts)} contacts, {len(run.contacts)} served, "
        f"{len(schedule.isl_windows)} ISL windows, 0.02 days)"
    )


def test_capacities_are_those_of_the_contacts_table_and_of_the_rates_of_links(schedule):
    rows = schedule.capacities
    to_server = rows[(rows.link == "contact") & (rows.direction == "downlink")]
    contacts = schedule.contacts.set_index("contact_id").loc[to_server.number]
    least = 8.0 * contacts.downlink_capacity_bytes_per_device.to_numpy()
    assert to_server.capacity_bits.to_numpy() == pytest.approx(least, rel=1e-12)
    for name, of in (
        ("source", "satellite"),
        ("target", "station"),
        ("start_s", "service_start_s"),
    ):
        assert (to_server[name].to_numpy() == contacts[of]).all()
    both = rows[rows.link == "isl"]
    assert len(both) == 2 * len(schedule.isl_windows) > 100
    assert (both.rate_bps == 10e6).all()
    longest_s = schedule.isl_windows.loc[both.number].max_range_km.to_numpy() / LIGHT_KM_S
    assert both.delay_s.to_numpy() == pytest.approx(longest_s, rel=1e-6)


@pytest.mark.parametrize("name", ["quickstart", "walker", "flystack-isl"])
def test_sessions_are_those_of_the_plan(name):
    """Of several devices with the least bits in the session, over all of its contacts."""
    scenario = scenarios.load(name, {"stop.days": 0.5, "learning.train": False})
    found = leomix.plan(scenario).sessions.set_index(["client", "session"])
    plan = make_plan(scenario)
    sessions = [(c.name, session) for c in plan.clusters for session in plan.sessions(c)]
    for client, session in sessions:
        row = found.loc[(client, session.number)]
        carried_bytes = session.capacity_bytes(session.start_s, session.end_s)
        assert row.to_server_bits == pytest.approx(8 * carried_bytes, rel=1e-12)
        assert (row.start_s, row.end_s) == (session.start_s, session.end_s)
        assert row.contacts == len(session.contacts)
    assert len(sessions) == len(found) > 5


def test_over_a_mesh_contacts_are_listed_once_and_sessions_for_each_client():
    """As many sessions as satellites that are linked, all by the passes of a few of them."""
    keys = OVER_GRID | {"stop.days": 0.05}
    schedule = leomix.plan(scenarios.load("iridium-isl", keys))
    served = schedule.contacts[schedule.contacts.served]
    own = schedule.capacities[schedule.capacities.link == "contact"]
    for _, rows in own.groupby("direction"):
        assert sorted(rows.number) == sorted(served.contact_id)
    plan = make_plan(schedule.scenario)
    found = schedule.sessions.set_index(["client", "session"])
    assert found.index.is_unique and len(plan.clusters) == 66
    for cluster in plan.clusters:
        sessions = plan.sessions(cluster)
        rows = found.loc[cluster.name]
        assert rows.start_s.tolist() == list(sessions.starts_s)
        assert rows.end_s.tolist() == list(sessions.ends_s)
        assert (rows.to_server_bits > 0).any()


# Exported contact plans, read back by a parser of their own.


def ion(text):
    """Names by node, contacts and ranges of the commands of ionadmin, with the rules of ionrc."""
    nodes, contacts, ranges = {}, [], []
    for line in text.splitlines():
        if line.startswith("#"):
            if named := re.fullmatch(r"# node (\d+) (.*)", line):
                nodes[int(named[1])] = json.loads(named[2])
            continue
        command, kind, begin, end, one, other, value = line.split(" ")
        assert command == "a" and begin[0] == end[0] == "+"
        row = tuple(map(int, (begin, end, one, other, value)))
        assert 0 <= row[0] < row[1] and row[2] != row[3] and {row[2], row[3]} <= nodes.keys()
        if kind == "contact":
            assert row[4] > 0 and not ranges
            contacts.append(row)
        else:
            assert kind == "range" and row[2] < row[3]  # which holds both ways
            ranges.append(row)
    assert list(nodes) == list(range(1, len(nodes) + 1))
    for rows in (contacts, ranges):
        assert [row[0] for row in rows] == sorted(row[0] for row in rows)
        spans = defaultdict(list)
        for begin, end, one, other, _ in rows:
            spans[one, other].append((begin, end))
        for of_pair in spans.values():
            assert all(end <= begin for (_, end), (begin, _) in pairwise(sorted(of_pair)))
    return nodes, contacts, ranges


@pytest.mark.parametrize("piece_s", [None, 60])
@pytest.mark.quick(1)
def test_plan_of_ion_is_read_back_with_its_volumes(schedule, piece_s):
    nodes, contacts, ranges = ion(schedule.text("ion", piece_s))
    assert tuple(nodes.values()) == schedule.nodes
    assert {row[4] for row in ranges} == {0}  # light takes milliseconds
    assert {row[:2] + tuple(sorted(row[2:4])) for row in contacts} == {row[:4] for row in ranges}
    if piece_s:
        assert max(end - begin for begin, end, *_ in contacts) == piece_s
    exported = schedule.contact_plan(piece_s)
    rows = np.array(contacts)
    assert np.array_equal(
        rows[:, :4].T, [exported.start_s, exported.end_s, exported.a + 1, exported.b + 1]
    )
    assert np.abs(rows[:, 4] - exported.rate_bps / 8).max() <= 0.5
    # Of what a link carries only parts of seconds at its ends are missing.
    sent = defaultdict(float)
    for begin, end, one, other, bytes_s in contacts:
        sent[nodes[one], nodes[other]] += 8 * bytes_s * (end - begin)
    whole = schedule.capacities.groupby(["source", "target"]).capacity_bits.sum()
    assert sent.keys() == set(whole.index)
    for pair, bits in whole.items():
        assert 0.98 * bits < sent[pair] < 1.0001 * bits, pair


@pytest.mark.wide
def test_whole_seconds_of_a_fixed_rate_keep_it_and_pieces_add_up_to_the_pass():
    _, contacts, _ = ion(leomix.plan(scenarios.load("flystack", {"stop.days": 0.2})).text("ion"))
    assert {row[4] for row in contacts} == {125_000_000}
    schedule = leomix.plan(scenarios.load("quickstart", {"stop.days": 2, "learning.train": False}))
    plans = [schedule.contact_plan(piece_s) for piece_s in (None, 1, 45)]
    carried = [np.sum(p.rate_bps * (p.end_s - p.start_s)) for p in plans]
    assert carried == pytest.approx([carried[0]] * 3, rel=1e-9)
    assert len(plans[1].a) > 40 * len(plans[2].a) > 40 * 5 * len(plans[0].a)


def test_the_command_prints_writes_and_warns(leomix, tmp_path):
    short = ("--set", "stop.days=1", "--set", "learning.train=false")
    printed = leomix("export", "quickstart", "--to", "ion", *short)
    ion(printed.out)
    path = tmp_path / "plan.ionrc"
    written = leomix("export", "quickstart", "--to", "ion", *short, "-o", path)
    assert path.read_text() == printed.out and f"of 5 nodes to {path}" in written.err
    off = leomix("export", "quickstart", "--to", "ion", *short, "--set", "link.downlink=neglected")
    nodes, contacts, _ = ion(off.out)
    assert "warning: the downlink is neglected" in off.err
    assert {nodes[row[3]] for row in contacts} == {"IRIDIUM 106"}


def test_slots_have_a_schedule_and_no_contact_plan():
    schedule = leomix.plan("paper-slots")
    assert len(schedule.sessions) == len(schedule.contacts) > 0
    assert schedule.isl_windows.empty and (schedule.capacities.delay_s == 0).all()


def test_validate_says_what_passes_carry_while_they_are_served(leomix):
    """One dish serves one satellite at a time: what others could send meanwhile does not count."""
    keys = {"stop.days": 0.5, "ground.stations_used": 3, "ground.antennas": 1}
    contacts = leomix_plan(scenarios.load("flystack", keys)).contacts
    column = "downlink_capacity_bytes_per_device"
    least = contacts[contacts.served].groupby("satellite")[column].min()
    lasts_s = contacts.service_end_s - contacts.service_start_s
    cut = contacts.served & (lasts_s < contacts.duration_s - 1)
    assert cut.any()
    out = leomix(
        "validate", "flystack", *(f"--set={key}={json.dumps(keys[key])}" for key in keys)
    ).out
    rows = re.findall(r"^(P\d\d-S\d\d) .*  (\S+ \w*B)$", out, re.M)
    assert len(rows) == 11  # those with the fewest services, and the one whose pass is named
    assert {(name, data_size(least[name])) for name, _ in rows} == {*rows}


@pytest.mark.parametrize("piece_s", [0.5, 0, np.nan, np.inf, "60", True, []])
def test_pieces_are_of_whole_seconds(schedule, piece_s):
    with pytest.raises(sim.InputError, match=r"piece_s is .*; give a whole number"):
        schedule.contact_plan(piece_s)


def test_what_a_schedule_cannot_write_is_said(schedule, tmp_path):
    for path, form, said in (
        (tmp_path, "ion", "is a folder"),
        (tmp_path / "away" / "plan", "ion", "there is no folder"),
        (tmp_path / "plan", "stk", "is no format of contact plans; use ion or hdtn"),
    ):
        with pytest.raises(sim.InputError, match=said):
            schedule.write(path, form)
