"""One run up to some time, and another future from there."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import scenarios
import sim
from sim.forking import fork
from tests.kit.records import CHECKPOINT, JOURNAL, read_manifest, read_tables
from tests.kit.scenarios import apply_overrides
from tests.kit.small import orbit, slots

Row = tuple[Any, ...]
AT_S = 20 * 3600.0
HOURS = 3600.0
ONLY_TIME = {"learning": {"train": False, "method": "emsfl-enhanced"}}

LATER: dict[str, dict[str, Any]] = {
    "link": {"link.uplink.tx_power_dbm": "20", "link.cut_transfers": "restart"},
    "compute": {"compute.seconds_per_round": "350", "compute.power_w": "7"},
    "stop longer": {"stop.days": "2"},
    "stop shorter": {"stop.days": "1"},
    "stop cycles": {"stop.cycles": "5"},
    "churn": {"faults.churn": "{mean_present_hours: 3, mean_away_hours: 1}"},
    "outages": {"faults.outages": "{per_day: 8, mean_hours: 1}"},
    "packets": {"faults.packets.loss": "0.2", "faults.uploads.late": "0.3"},
    "stragglers": {"faults.stragglers.share": "0.5"},
    "aggregation": {"learning.aggregation": "{when: quorum, quorum: 0.5}"},
    "rounds": {"learning.rounds.per_contact": "fill", "learning.rounds.per_gap_max": "5"},
    "evaluation": {"learning.evaluate_every_hours": "3"},
    "gate": {"learning.gate_tuning_cycles": "2"},
}
"""Changes of every kind."""


@pytest.fixture(scope="module")
def timing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("timing") / "parent"
    sim.run(orbit(**ONLY_TIME), place)
    return place


@pytest.fixture(scope="module")
def idle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Until its first contact nobody does anything."""
    place = tmp_path_factory.mktemp("idle") / "parent"
    learning = {"train": False, "method": "synchronous"}
    sim.run(orbit(learning=learning, compute={"power_w": 2.0}), place)
    return place


SOON_S = 2 * 1800.0 + 700.0
"""In the third cycle of the slots, while B is served."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("trained") / "parent"
    sim.run(slots(stop={"cycles": 5}), place)
    return place


@pytest.fixture(scope="module")
def by_then(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Counter[Row]]:
    """What the parent has written before AT_S: its tables when it is stopped there."""
    times: list[float] = []
    scenario = orbit(**ONLY_TIME)
    sim.run(scenario, each_time=times.append)
    last = sum(time_s < AT_S for time_s in times)

    def stop(number: int) -> None:
        if number == last:
            raise sim.Interrupted("there")

    place = tmp_path_factory.mktemp("then") / "run"
    with pytest.raises(sim.Interrupted):
        sim.run(scenario, place, each_event=stop)
    tables = read_tables(place)
    return {name: rows(tables[name]) for name in ("events", "transfers", "metrics", "assignments")}


def rows(table: pa.Table) -> Counter[Row]:
    """All rows of a table, without the number that counts them."""
    counted = [name for name in ("transfer_id",) if name in table.column_names]
    return Counter(tuple(row.values()) for row in table.drop_columns(counted).to_pylist())


def untold(table: pa.Table) -> Counter[Row]:
    """Rows but for faults that are told of at the start, which is later in a fork."""
    told = (row for row in rows(table) if "fault" in row and row[0] <= 1.0)
    return rows(table) - Counter(told)


def sha(folder: Path) -> str:
    found: str = read_manifest(folder)["trace_sha256"]
    return found


def accuracies(tables: Mapping[str, pa.Table], until_s: float) -> list[float]:
    found = [row for row in tables["metrics"].to_pylist() if row["time_s"] < until_s]
    return [row["accuracy"] for row in found]


@pytest.mark.parametrize("hours", [0.3, 11.0, 20.0, 35.9])
def test_without_a_change_it_is_its_parent(timing: Path, hours: float) -> None:
    assert fork(timing, hours * HOURS, {}).manifest["trace_sha256"] == sha(timing)


METHODS = ("synchronous", "emsfl", "emsfl-enhanced", "fedavg", "fedbuff", "aligned")


@pytest.mark.parametrize("method", METHODS)
def test_without_a_change_every_method_is_its_parent(method: str, tmp_path: Path) -> None:
    kept = {"method": method, "train": False, "lora": {} if method == "aligned" else {"rank": 2}}
    scenario = orbit(learning=kept, compute={"memory_gib": 8})
    whole = sim.run(scenario, tmp_path / "p")
    assert fork(tmp_path / "p", AT_S, {}).manifest["trace_sha256"] == whole.manifest["trace_sha256"]


def test_learning_goes_on_as_in_its_parent(trained: Path, tmp_path: Path) -> None:
    """Without anything that was kept of the parent, and with what was measured until then."""
    bare = tmp_path / "bare"
    shutil.copytree(trained, bare)
    (bare / JOURNAL).unlink()
    anew, known = fork(bare, SOON_S, {}), fork(trained, SOON_S, {})
    assert anew.manifest["trace_sha256"] == known.manifest["trace_sha256"] == sha(trained)
    weights = (trained / "model" / "model.safetensors").read_bytes()
    fork(trained, SOON_S, {}, tmp_path / "again")
    assert (tmp_path / "again" / "model" / "model.safetensors").read_bytes() == weights


@pytest.mark.parametrize("name", LATER)
def test_what_was_written_by_then_is_as_it_was(
    timing: Path, by_then: Mapping[str, Counter[Row]], name: str
) -> None:
    done = fork(timing, AT_S, LATER[name])
    for table, written in by_then.items():
        assert not written - rows(done.tables[table]), table
    assert by_then["transfers"].total() > 20
    assert done.manifest["trace_sha256"] != sha(timing)


@pytest.mark.parametrize("name", LATER)
def test_from_the_first_second_it_is_the_changed_scenario(
    timing: Path, idle: Path, name: str
) -> None:
    """Nothing has begun by then, so a run of the changed scenario says what is to come."""
    folder = timing if name == "gate" else idle
    said = read_manifest(folder)["scenario"]
    apply_overrides(said, LATER[name])
    plain, forked = sim.run(scenarios.from_dict(said)), fork(folder, 1.0, LATER[name])
    for table in plain.tables:
        assert untold(forked.tables[table]) == untold(plain.tables[table]), table
    assert forked.manifest["simulated_s"] == plain.manifest["simulated_s"]
    for mine, theirs in zip(forked.manifest["energy"], plain.manifest["energy"], strict=True):
        assert mine == pytest.approx(theirs)


def test_step_sizes_hold_from_then_on(tmp_path: Path, trained: Path) -> None:
    later = {"learning.step_size": "0.2", "learning.gate_step_size_ratio": "0.5"}
    steps = {"step_size": 0.2, "gate_step_size_ratio": 0.5}
    short = {"stop": {"days": 0.5}, "compute": {"seconds_per_round": 3000}}
    plain = sim.run(orbit(learning=steps, **short)).manifest["trace_sha256"]
    sim.run(orbit(**short), tmp_path / "p")
    assert fork(tmp_path / "p", 1.0, later).manifest["trace_sha256"] == plain
    half, was = fork(trained, SOON_S, later), read_tables(trained)
    assert accuracies(half.tables, SOON_S) == accuracies(was, SOON_S)
    assert accuracies(half.tables, 1e9) != accuracies(was, 1e9)


def test_more_cycles_are_those_of_a_longer_run(tmp_path: Path) -> None:
    """Of a run in slots, forked before its end comes into sight."""
    sim.run(slots(stop={"cycles": 3}, learning={"gate_tuning_cycles": 0}), tmp_path / "p")
    longer = sim.run(slots(stop={"cycles": 6}, learning={"gate_tuning_cycles": 0})).manifest
    forked = fork(tmp_path / "p", 2400.0, {"stop.cycles": "6"}).manifest
    assert forked["trace_sha256"] == longer["trace_sha256"]


def test_rates_and_powers_change_at_that_time(tmp_path: Path) -> None:
    """With a fixed rate a transfer lasts bytes over rate, with a fixed power joules are W s."""
    fixed = {"preset": "paper", "uplink": {"rate": "fixed", "fixed_rate_mbps": 2.0}}
    learning = {"method": "synchronous", "train": False}
    scenario = slots(link=fixed, learning=learning, compute={"power_w": 3.0}, stop={"cycles": 8})
    sim.run(scenario, tmp_path / "p")
    later = {"link.uplink.fixed_rate_mbps": "0.5", "compute.power_w": "11"}
    at_s = 4 * 1800.0
    done = fork(tmp_path / "p", at_s, later)
    rows = done.tables["transfers"].to_pylist()
    sent = [row for row in rows if row["direction"] == "uplink"]
    assert sent[0]["start_s"] < at_s < sent[-1]["start_s"]
    for row in sent:
        rate_bps = 2e6 if row["start_s"] < at_s else 0.5e6
        assert row["end_s"] - row["start_s"] == pytest.approx(8 * row["payload_bytes"] / rate_bps)
    rounds = done.tables["events"].to_pylist()
    ended = [row for row in rounds if row["kind"] == "train_end"]
    old = sum(row["rounds"] for row in ended if row["time_s"] <= at_s)
    new = sum(row["rounds"] for row in ended if row["time_s"] > at_s)
    assert old and new
    joules = sum(row["training_j"] for row in done.manifest["energy"])
    assert joules == pytest.approx(200 * (3.0 * old + 11.0 * new))


def test_a_fork_of_a_fork(timing: Path, tmp_path: Path) -> None:
    first = fork(timing, 10 * HOURS, {"compute.seconds_per_round": "90"}, tmp_path / "one")
    same = fork(tmp_path / "one", AT_S, {})
    assert same.manifest["trace_sha256"] == first.manifest["trace_sha256"]
    second = fork(tmp_path / "one", AT_S, {"compute.seconds_per_round": "30"}, tmp_path / "two")
    assert second.manifest["trace_sha256"] != first.manifest["trace_sha256"]
    again = fork(tmp_path / "two", 30 * HOURS, {})
    assert again.manifest["trace_sha256"] == second.manifest["trace_sha256"]
    with pytest.raises(sim.InputError, match="is itself a fork at 72000 s; name a later time"):
        fork(tmp_path / "two", 15 * HOURS, {})
    assert second.manifest["fork"]["of"]["at_s"] == 10 * HOURS


def test_what_is_trained_before_is_not_trained_again(trained: Path, tmp_path: Path) -> None:
    """An interrupted parent has its values in its checkpoint, and its measurements."""

    def stop(number: int) -> None:
        if number == 60:
            raise sim.Interrupted("that is enough")

    place = tmp_path / "cut"
    with pytest.raises(sim.Interrupted):
        sim.run(slots(stop={"cycles": 5}), place, each_event=stop)
    state = json.loads((place / CHECKPOINT / JOURNAL).read_text())
    whole = read_manifest(trained)["trainings"]
    done = fork(place, state["time_s"], {}, tmp_path / "goes-on").manifest
    assert done["trace_sha256"] == sha(trained)
    assert 0 < done["trainings"] < whole
    assert sorted(path.name for path in (place / CHECKPOINT).iterdir()) == [JOURNAL, "values"]


def test_measurements_after_that_time_are_not_taken_over(trained: Path, tmp_path: Path) -> None:
    """A parent's journal that is served whole would give its accuracies to the fork."""
    later = {"learning.step_size": "0.3"}
    bare = tmp_path / "bare"
    shutil.copytree(trained, bare)
    (bare / JOURNAL).unlink()
    anew, known = fork(bare, SOON_S, later).manifest, fork(trained, SOON_S, later).manifest
    assert anew["trace_sha256"] == known["trace_sha256"] != sha(trained)


# -- the command line


CHANGE = ("--set", "compute.seconds_per_round=90")


def test_a_fork_is_a_run_folder_that_tells_of_its_parent(
    leomix, timing: Path, tmp_path: Path
) -> None:
    place = tmp_path / "f"
    done = leomix("fork", timing, "--at", "20h", *CHANGE, "-o", place, "--json")
    assert done.status == 0, done.err
    assert json.loads(done.out)["folder"] == str(place)
    manifest, whole = read_manifest(place), read_manifest(timing)
    assert manifest["fork"] == {
        "at_s": AT_S,
        "set": {"compute.seconds_per_round": "90"},
        "parent": {
            "folder": str(timing),
            "identity": whole["identity"],
            "trace_sha256": whole["trace_sha256"],
        },
        "was": {"compute.seconds_per_round": 200.0},
        "of": None,
    }
    assert manifest["scenario"]["compute"]["seconds_per_round"] == 90.0
    assert manifest["name"] == whole["name"]
    assert leomix("show", place).status == 0
    again = leomix("fork", timing, "--at", "1200min", *CHANGE, "-o", place, "--resume")
    assert again.status == 0
    assert sha(place) == json.loads(done.out)["trace_sha256"]


def test_a_fork_goes_by_default_beside_its_parent(leomix, timing: Path) -> None:
    assert leomix("fork", timing, "--at", "72000", "--quiet").status == 0
    assert sha(timing.with_name("parent-fork")) == sha(timing)
    shutil.rmtree(timing.with_name("parent-fork"))


@pytest.mark.parametrize(
    ("at", "key", "said"),
    [
        (
            "20h",
            "seed=4",
            "--set seed: cannot change within a run; a fork can change link,",
        ),
        ("20h", "ground.clusters.0.devices=4", "--set ground.clusters.0.devices: cannot change"),
        ("20h", "learning.method=fedavg", "--set learning.method: cannot change within a run"),
        ("20h", "learning={}", "--set learning: cannot change within a run"),
        ("20h", "compute.second_per_round=4", "did you mean 'seconds_per_round'?"),
        ("20h", "compute.seconds_per_round=-4", "--set compute.seconds_per_round: "),
        ("20h", "stop.days=0.5", "--at 72000 s: the fork would end at 43200 s"),
        ("20h", "link.sidelink={rate_mbps: 1}", "link.sidelink: "),
        ("36h", "stop.days=2", "--at 129600 s: cluster 'South' has had its last contact by"),
        ("20h", "stop.cycles=2", "stop.cycles: 4 cycles are complete by then; give more"),
        ("37h", "compute.power_w=3", "ends at 129600 s; name an earlier time"),
        ("soon", "compute.power_w=3", "--at soon: is not a time; write it like 36h"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(
    leomix, timing: Path, tmp_path: Path, at: str, key: str, said: str
) -> None:
    done = leomix("fork", timing, "--at", at, "--set", key, "-o", tmp_path / "f")
    assert (done.status, done.err.count("\n")) == (2, 1), done.err
    assert said in done.err
    assert not (tmp_path / "f").exists()


def test_another_time_does_not_go_on_with_a_fork(leomix, timing: Path, tmp_path: Path) -> None:
    place = tmp_path / "f"
    line = ["fork", timing, *CHANGE, "--quiet", "-o", place]
    stopped = leomix(*line, "--at", "20h", "--max-wall", "0.001s")
    assert stopped.status == 130
    assert stopped.err.endswith(f"go on with: --resume -o {place}\n")
    other = leomix(*line, "--at", "21h", "--resume")
    assert (other.status, other.err.count("another scenario")) == (2, 1)
    assert leomix(*line, "--at", "20h", "--resume").status == 0
    plain = fork(timing, AT_S, {"compute.seconds_per_round": "90"})
    assert sha(place) == plain.manifest["trace_sha256"]


def test_a_parent_that_was_killed_or_is_none(leomix, timing: Path, tmp_path: Path) -> None:
    (tmp_path / "k" / CHECKPOINT).mkdir(parents=True)
    for folder, said in (
        (tmp_path / "k", "go on with it by --resume"),
        (tmp_path, "no run folder"),
    ):
        done = leomix("fork", folder, "--at", "1h", "-o", tmp_path / "f")
        assert (done.status, said in done.err) == (2, True)
    changed = tmp_path / "changed"
    shutil.copytree(timing, changed)
    manifest = json.loads((changed / "manifest.json").read_text())
    (changed / "manifest.json").write_text(json.dumps(manifest | {"identity": "another"}))
    done = leomix("fork", changed, "--at", "1h", "-o", tmp_path / "f")
    assert "would not be the same run now" in done.err


def test_forks_of_timing_need_no_torch(timing: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from sim.cli import status; status = status(sys.argv[1:]); "
        "assert status == 0; assert not {'torch', 'matplotlib'} & set(sys.modules)"
    )
    line = ["fork", timing, "--at", "20h", *CHANGE, "-o", tmp_path / "f"]
    done = subprocess.run([sys.executable, "-c", code, *line], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
