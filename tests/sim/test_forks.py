"""One run up to some time, and another future from there."""

import json
import shutil
from collections import Counter

import pyarrow.compute as pc
import pytest

import scenarios
import sim
from tests.kit.folders import Each, cut, held
from tests.kit.records import CHECKPOINT, JOURNAL, read_manifest, read_tables
from tests.kit.scenarios import apply_overrides
from tests.kit.small import fixed, merged, orbit, slots

HOURS = 3600.0
AT_S = 20 * HOURS
SOON_S = 2 * 1800.0 + 700.0
"""In the third cycle of the slots, while B is served."""
ENHANCED = {"train": False, "method": "emsfl-enhanced"}


def sha(folder):
    return read_manifest(folder)["trace_sha256"]


def rows(table):
    """All rows but those that tell of faults as the run, or a fork, begins; their number aside."""
    counted = [name for name in ("transfer_id",) if name in table.column_names]
    found = (tuple(row.values()) for row in table.drop_columns(counted).to_pylist())
    return Counter(row for row in found if not ("fault" in row and row[0] <= 1.0))


def windows(*each):
    """A file of windows: satellite, cluster, and the minutes of rise and set."""
    lines = [
        f"{satellite},{site},2026-08-22T00:{rise:02}:00Z,2026-08-22T00:{fall:02}:00Z"
        for satellite, site, rise, fall in each
    ]
    return "\n".join(["satellite,site,rise_utc,set_utc", *lines, ""])


def passes(text, changes, **said):
    """The small scenario over windows of a file, timing only."""
    base = slots(learning={"train": False}).model_dump(mode="json", exclude_unset=True)
    source = {"source": "contacts", "windows": text, **said}
    base |= {"start": "2026-08-22T00:00:00Z", "stop": {}, "orbit": source}
    return scenarios.from_dict(merged(base, changes))


# -- nothing changed

FAULTS = {
    "outages": {"per_day": 4, "mean_hours": 0.5},
    "churn": {"mean_present_hours": 3, "mean_away_hours": 1},
    "stragglers": {"share": 0.5, "slowdown": 2},
    "packets": {"loss": 0.2, "bytes": 100},
    "uploads": {"corrupted": 0.3},
}
ROUGH = {"train": False, "aggregation": {"when": "quorum", "quorum": 0.6}}
LAST = windows(("S1", "A", 5, 15), ("S1", "B", 20, 30), ("S1", "A", 40, 50))
TWO_AT_ONCE = windows(("S1", "B", 5, 10), ("S2", "A", 15, 20), ("S3", "B", 15, 20))


def timed(method):
    lora = {"aligned": {}, "scaffold": {"rank": None}}.get(method, {"rank": 2})
    kept = {"method": method, "train": False, "lora": lora}
    return orbit(learning=kept, compute={"memory_gib": 8})


PARENTS = {
    **{
        method: (timed(method), (AT_S,))
        for method in ("synchronous", "emsfl", "fedavg", "fedbuff", "aligned", "scaffold", "local")
    },
    "emsfl-enhanced": (orbit(learning=ENHANCED), (1080.0, 11 * HOURS, AT_S, 35.9 * HOURS)),
    "rough slots": (
        slots(stop={"cycles": 6}, faults=FAULTS, learning=ROUGH),
        (0.001, 700.0, 3600.0, 9000.0),
    ),
    "rough orbit": (
        orbit(faults=FAULTS, learning=ROUGH, link={"cut_transfers": "restart"}),
        (0.001, 40_000.0, 72_000.0, 129_500.0),
    ),
    "behind the last contact": (passes(LAST, {"stop": {"days": 0.1}}), (3001.0, 5000.0, 8639.0)),
    # Two satellites come at once, one for each cluster; B goes on from one before that fork.
    "two at once": (passes(TWO_AT_ONCE, {}, serving="any", beams=2, hand_over_gap_s=400), (400.0,)),
}


@pytest.mark.parametrize("name", PARENTS)
@pytest.mark.quick(4)
def test_without_a_change_a_fork_is_its_parent(name, tmp_path):
    scenario, times_s = PARENTS[name]
    whole = sim.run(scenario, tmp_path / "p")
    for at_s in times_s:
        found = sim.fork(tmp_path / "p", at_s, {})
        assert found.manifest["trace_sha256"] == whole.manifest["trace_sha256"], at_s


def test_learning_goes_on_as_in_its_parent(runs, tmp_path):
    """Without anything that was kept of the parent, and with what was measured until then."""
    parent = runs["slots"]
    bare = runs.copy("slots", tmp_path)
    was = runs.result("slots")
    (bare / JOURNAL).unlink()
    for name, folder in (("bare", bare), ("known", parent)):
        sim.fork(folder, SOON_S, {}, tmp_path / name)
        assert held(tmp_path / name) == held(parent)
    # What a parent has measured after that time is not the fork's.
    anew, known = (sim.fork(each, SOON_S, {"learning.step_size": "0.3"}) for each in (bare, parent))
    assert anew.manifest["trace_sha256"] == known.manifest["trace_sha256"] != sha(parent)
    for until_s, same in ((SOON_S, True), (1e9, False)):
        measured = [run.metrics[run.metrics.time_s < until_s].accuracy for run in (known, was)]
        assert measured[0].equals(measured[1]) is same
    # An interrupted parent has its values in its checkpoint, and its measurements.
    place = cut(slots(), tmp_path / "cut", 36)
    time_s = json.loads((place / CHECKPOINT / JOURNAL).read_text())["time_s"]
    done = sim.fork(place, time_s, {}, tmp_path / "goes-on").manifest
    assert done["trace_sha256"] == sha(parent)
    assert 0 < done["trainings"] < read_manifest(parent)["trainings"]


# -- something changed

LATER = {
    "link": {"link.uplink.tx_power_dbm": "20", "link.cut_transfers": "restart"},
    "compute": {"compute.seconds_per_round": "350", "compute.power_w": "7"},
    "stop longer": {"stop.days": "2"},
    "stop shorter": {"stop.days": "1"},
    "stop cycles": {"stop.cycles": "5"},
    "churn": {"faults.churn": "{mean_present_hours: 3, mean_away_hours: 1}"},
    "outages": {"faults.outages": "{per_day: 8, mean_hours: 1}"},
    "packets": {"faults.packets.loss": "0.2"},
    "stragglers": {"faults.stragglers": "{share: 0.5, slowdown: 1.5}"},
    "corrupted": {"faults.uploads.corrupted": "0.5"},
    "aggregation": {"learning.aggregation": "{when: quorum, quorum: 0.5}"},
    "rounds": {"learning.rounds.per_contact": "fill", "learning.rounds.per_gap_max": "5"},
    "evaluation": {"learning.evaluate_every_hours": "3"},
    "gate": {"learning.gate_tuning_cycles": "2"},
}


@pytest.fixture(scope="module")
def timing(runs):
    return runs.made("enhanced-orbit", lambda place: sim.run(orbit(learning=ENHANCED), place))


@pytest.fixture(scope="module")
def idle(runs):
    """Until its first contact nobody does anything."""
    learning = {"train": False, "method": "synchronous"}
    scenario = orbit(learning=learning, compute={"power_w": 2.0})
    return runs.made("idle-orbit", lambda place: sim.run(scenario, place))


@pytest.fixture(scope="module")
def by_then(tmp_path_factory):
    """What the parent has written before AT_S: its tables when it is stopped there."""
    times = []
    sim.run(orbit(learning=ENHANCED), observers=[Each(times.append, of_time=True)])
    assert times == sorted(times)
    place = tmp_path_factory.mktemp("then")
    last = sum(time_s < AT_S for time_s in times)
    tables = read_tables(cut(orbit(learning=ENHANCED), place, last))
    return {name: rows(tables[name]) for name in ("events", "transfers", "metrics", "assignments")}


@pytest.mark.parametrize("name", LATER)
@pytest.mark.quick(5)
def test_what_was_by_then_stays_and_what_comes_is_changed(timing, idle, by_then, name):
    late = sim.fork(timing, AT_S, LATER[name])
    for table, written in by_then.items():
        assert not written - rows(late.tables[table]), table
    assert by_then["transfers"].total() > 20
    assert late.manifest["trace_sha256"] != sha(timing)
    # Nothing has begun just behind the start: a run of the changed scenario says what is to come.
    folder = timing if name == "gate" else idle
    said = read_manifest(folder)["scenario"]
    apply_overrides(said, LATER[name])
    plain = sim.run(scenarios.from_dict(said))
    early = sim.fork(folder, 0.001, LATER[name])
    for table in plain.tables:
        assert rows(early.tables[table]) == rows(plain.tables[table]), table
    assert early.manifest["simulated_s"] == plain.manifest["simulated_s"]
    for mine, theirs in zip(early.manifest["energy"], plain.manifest["energy"], strict=True):
        assert mine == pytest.approx(theirs)
    assert early.manifest["trace_sha256"] != sha(folder)


def test_rates_and_powers_change_at_that_time(tmp_path):
    """With a fixed rate a transfer lasts bytes over rate, with a fixed power joules are W s."""
    fixed = {"preset": "paper", "uplink": {"rate": "fixed", "fixed_rate_mbps": 2.0}}
    learning = {"method": "synchronous", "train": False}
    at_s = 4 * 1800.0
    more = {"compute": {"power_w": 3.0}, "stop": {"cycles": 8}}
    sim.run(slots(link=fixed, learning=learning, **more), tmp_path)
    later = {"link.uplink.fixed_rate_mbps": "0.5", "compute.power_w": "11"}
    done = sim.fork(tmp_path, at_s, later)
    sent = done.transfers[done.transfers.direction == "uplink"]
    assert sent.start_s.min() < at_s < sent.start_s.max()
    rate_bps = sent.start_s.map(lambda start_s: 2e6 if start_s < at_s else 0.5e6)
    took_s = 8 * sent.payload_bytes / rate_bps
    assert (sent.end_s - sent.start_s).tolist() == pytest.approx(took_s.tolist())
    ended = done.events[done.events.kind == "train_end"]
    old = ended[ended.time_s <= at_s].rounds.sum()
    new = ended[ended.time_s > at_s].rounds.sum()
    assert old and new
    joules = sum(row["training_j"] for row in done.manifest["energy"])
    assert joules == pytest.approx(200 * (3.0 * old + 11.0 * new))


def test_what_is_under_way_ends_by_the_rule_that_it_was_begun_by(tmp_path):
    """Passes of five minutes are too short for an upload: one goes on from 900 s to 1200 s."""
    text = windows(*[("S1", site, m, m + 5) for site in "AB" for m in (5, 15, 25, 35)])
    uplink = {"rate": "fixed", "fixed_rate_mbps": 1.2e-5}
    slow = {"link": {"preset": "paper", "uplink": uplink}, "learning": {"method": "fedavg"}}
    sim.run(passes(text, slow, satellite="S1", beams=2), tmp_path)
    sent = sim.fork(tmp_path, 1000.0, {"link.cut_transfers": "drop"}).transfers
    late = sent[sent.outcome != "delivered"]
    assert ((late.start_s < 1000.0) & (late.end_s > 1000.0)).any()
    assert set(late[late.start_s < 1000.0].outcome) == {"carried"}
    assert set(late[late.start_s >= 1000.0].outcome) == {"dropped"}


ENDING = {
    "outages": ({"per_day": 90, "mean_hours": 0.05}, {"satellite outage"}),
    "churn": ({"mean_present_hours": 0.5, "mean_away_hours": 0.2}, {"absence of a device"}),
    "stragglers": ({"share": 0.5, "slowdown": 2}, {"slow device"}),
    "packets": ({"loss": 0.5, "bytes": 10}, {"packets sent again"}),
    "uploads": ({"corrupted": 0.3}, {"corrupted upload"}),
}
"""Each kind of fault, and why rows of the events table tell of it."""


@pytest.mark.parametrize("kind", ENDING)
@pytest.mark.quick(2)
def test_faults_that_end_while_transfers_are_under_way(kind, tmp_path):
    """What is on the air ends as in the parent; what begins in later contacts meets no fault."""
    text = windows(*[("S1", site, m, m + 9) for site in "AB" for m in (5, 15, 25, 35, 45)])
    rule, causes = ENDING[kind]
    rough = {
        "link": {"preset": "paper", **fixed(uplink=1.2e-5, downlink=1.2e-4)},
        "learning": {"method": "emsfl-enhanced"},
        "faults": {kind: rule},
    }
    whole = sim.run(passes(text, rough, satellite="S1", beams=2), tmp_path)
    assert {*whole.events.cause} >= causes
    lasting = whole.transfers[whole.transfers.end_s > whole.transfers.start_s]
    middles_s = sorted({*((lasting.start_s + lasting.end_s) / 2)})
    for at_s in middles_s[:: len(middles_s) // 5]:
        ended = sim.fork(tmp_path, at_s, {"faults": "{}"})
        begun = [
            rows(run.tables["transfers"].filter(pc.field("start_s") < at_s))
            for run in (whole, ended)
        ]
        assert begun[0] == begun[1], at_s
        risen = ended.contacts[ended.contacts.rise_s <= at_s].contact_id
        late = ended.events[(ended.events.time_s > at_s) & ~ended.events.contact_id.isin(risen)]
        assert not late.cause.isin(causes).any(), at_s


def test_a_fork_of_a_fork(timing, tmp_path):
    one = tmp_path / "one"
    two = tmp_path / "two"
    first = sim.fork(timing, 10 * HOURS, {"compute.seconds_per_round": "90"}, one).manifest
    assert sim.fork(one, AT_S, {}).manifest["trace_sha256"] == first["trace_sha256"]
    second = sim.fork(one, AT_S, {"compute.seconds_per_round": "30"}, two).manifest
    assert sim.fork(two, 30 * HOURS, {}).manifest["trace_sha256"] == second["trace_sha256"]
    assert len({sha(timing), first["trace_sha256"], second["trace_sha256"]}) == 3
    with pytest.raises(sim.InputError, match="is itself a fork at 72000 s; name a later time"):
        sim.fork(two, 15 * HOURS, {})
    assert second["fork"]["of"]["at_s"] == 10 * HOURS


# -- the command line


def test_a_fork_is_a_run_folder_that_tells_of_its_parent(leomix, timing, tmp_path):
    """By default it lies beside it; another time does not go on with it."""
    parent = shutil.copytree(timing, tmp_path / "p")
    place = tmp_path / "p-fork"
    line = ["fork", parent, "--set", "compute.seconds_per_round=90", "--at"]
    stopped = leomix(*line, "20h", "--max-wall", "0.001s")
    assert stopped.status == 130
    assert stopped.err.endswith(f"go on with: --resume -o {place}\n")
    other = leomix(*line, "21h", "-o", place, "--resume")
    assert (other.status, other.err.count("another scenario")) == (2, 1)
    done = leomix(*line, "1200min", "-o", place, "--resume", "--json")
    assert (done.status, leomix("show", place).status) == (0, 0), done.err
    plain = sim.fork(timing, AT_S, {"compute.seconds_per_round": "90"}).manifest
    said = json.loads(done.out)
    manifest = read_manifest(place)
    whole = read_manifest(timing)
    assert said["folder"] == str(place)
    assert said["trace_sha256"] == manifest["trace_sha256"] == plain["trace_sha256"]
    assert manifest["fork"] == {
        "at_s": AT_S,
        "set": {"compute.seconds_per_round": "90"},
        "parent": {"folder": str(parent), **{k: whole[k] for k in ("identity", "trace_sha256")}},
        "was": {"compute.seconds_per_round": 200.0},
        "of": None,
    }
    assert manifest["scenario"]["compute"]["seconds_per_round"] == 90.0


def test_a_fork_is_not_compared_as_a_run_that_had_its_keys_from_the_start(leomix, tmp_path):
    """Of equal keys and seed they are two groups, and forks of two times are too."""
    faster = {"compute.seconds_per_round": "90"}
    parent, forks, whole = tmp_path / "parent", [], tmp_path / "whole"
    sim.run(orbit(learning=ENHANCED), parent)
    sim.run(orbit(learning=ENHANCED, compute={"seconds_per_round": 90.0}), whole)
    for at_s in (AT_S, AT_S + HOURS):
        forks.append(tmp_path / f"{at_s:g}")
        sim.fork(parent, at_s, faster, forks[-1])
    same = tmp_path / "same"
    sim.fork(parent, AT_S, {}, same)
    done = leomix("compare", whole, *forks, parent, same, "--json")
    groups = json.loads(done.out)["groups"]
    assert [(one["label"], one["runs"]) for one in groups] == [
        ("seco_roun=90", 1),
        ("seco_roun=90 seco_roun_till_20h=200", 1),
        ("seco_roun=90 seco_roun_till_21h=200", 1),
        ("seco_roun=200", 1),
    ]


REFUSED = [
    ("20h", "seed=4", "--set seed: cannot change within a run; a fork can change link,"),
    ("20h", "compute.second_per_round=4", "did you mean 'seconds_per_round'?"),
    ("20h", "stop.days=0.5", "--at 72000 s: the fork would end at 43200 s"),
    ("20h", "link.sidelink={rate_mbps: 1}", "link.sidelink: "),
    ("36h", "stop.days=2", "--at 129600 s: cluster 'South' has had its last contact by"),
    ("20h", "stop.cycles=2", "stop.cycles: 4 cycles are complete by then; raise it"),
    ("37h", "compute.power_w=3", "ends at 129600 s; name an earlier time"),
    ("1d 12h 60m", "compute.power_w=3", "ends at 129600 s; name an earlier time"),
    ("1,000", "compute.power_w=3", "--at 1,000: is not a time; write it like 36h"),
    ("soon", "compute.power_w=3", "--at soon: is not a time; write it like 36h"),
]


@pytest.mark.parametrize(("at", "key", "said"), REFUSED)
def test_what_cannot_be_is_refused_in_a_line(leomix, timing, tmp_path, at, key, said):
    done = leomix("fork", timing, "--at", at, "--set", key, "-o", tmp_path / "f")
    lines = [line for line in done.err.splitlines() if not line.startswith("warning: ")]
    assert (done.status, len(lines), said in done.err) == (2, 1, True), done.err
    assert not (tmp_path / "f").exists()


def test_a_parent_that_was_killed_or_is_none(leomix, timing, tmp_path):
    (tmp_path / "killed" / CHECKPOINT).mkdir(parents=True)
    shutil.copytree(timing, tmp_path / "changed")
    said = read_manifest(timing) | {"identity": "another"}
    (tmp_path / "changed" / "manifest.json").write_text(json.dumps(said))
    would = "would not be the same run now"
    for name, told in (("killed", "--resume -o"), ("", "no run folder"), ("changed", would)):
        done = leomix("fork", tmp_path / name, "--at", "1h", "-o", tmp_path / "f")
        assert (done.status, told in done.err) == (2, True)
