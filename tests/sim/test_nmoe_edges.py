"""NMoE where something is missing, with a gate trainer of one's own, and resumed."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import scenarios
import sim
from tests.kit.network import build
from tests.kit.small import slots
from tests.kit.small_nmoe import NMOE, nmoe, options

PAIRS = '''
"""Neighbours average their gates in pairs, without the satellite."""

import numpy as np

from learning.gates import GateTrainer
from learning.requests import Note


class PairGate(GateTrainer):
    """Every client trains alone, then swaps gates with the next one of its cluster."""

    def train(self, me):
        clients = self.system.clients.of(me.name)
        for number in range(self.options.gate_rounds):
            yield from self.local(me, self.able(me))
            for one, other in zip(clients[::2], clients[1::2]):
                there = yield from self.send(one, other)
                back = yield from self.send(other, one)
                yield Note("aggregate", number, f"pair {one} {other} {there and back}")
                pair = {me.name: self.system.clients.mask(me.name, [one, other])}
                own = {me.name: self.system.gates[me.name]}
                mean = self.system.net.share_gates(own, pair)[me.name]
                self.system.gates[me.name] = self.system.learner.select(
                    pair[me.name], mean, own[me.name]
                )
'''


def test_a_gate_trainer_of_ones_own_is_one_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pair_gates.py").write_text(PAIRS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    result = sim.run(nmoe(learning=options(gate="pair_gates:PairGate", extractor="none")))
    pairs = result.events[result.events.detail.str.startswith("pair ")]
    assert sorted(pairs.detail) == ["pair A/0 A/1 True"] * 2 + ["pair B/0 B/1 True"] * 2
    sent = result.transfers[result.transfers.direction == "sidelink"]
    assert set(sent.payload) == {"gate"}
    assert len(sent) == 2 * 2 * 2
    assert result.metrics.f1.notna().any()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gate": "fedgat"}, r"learning\.options\.gate: .*did you mean 'fedgate'"),
        ({"gate": "learning.costs:Architecture"}, r"options\.gate: .* is no gate trainer"),
        ({"gate": "nowhere:Gate"}, r"options\.gate: .*nowhere.* cannot be imported"),
        (
            {"extractor": "fedxx"},
            r"options\.extractor: 'fedxx' should be one of fedsc, fedce, none",
        ),
        ({"inference_deadline_s": 0}, r"options\.inference_deadline_s: 0 should be above 0"),
        ({"inference_deadline_s": -1.0}, r"options\.inference_deadline_s: -1\.0 should be above 0"),
        ({"inference_interval_s": 0.0}, r"options\.inference_interval_s: 0\.0 should be above 0"),
        ({"inference_batch": 0}, r"options\.inference_batch: 0 should be above 0"),
        ({"gate_rounds": -1}, r"options\.gate_rounds: -1 should be 0 or more"),
        ({"momentum": 1.0}, r"options\.momentum: 1\.0 should lie in 0 to below 1"),
        (
            {"gate_sync": "biases"},
            r"options\.gate_sync: 'biases' should be one of all, weight, bias",
        ),
        ({"exchange": "labels"}, r"options\.exchange: 'labels' should be one of auto, experts"),
        ({"inference_late": "panic"}, r"options\.inference_late: 'panic' should be one of wait"),
        ({"combine": "sum"}, r"options\.combine: 'sum' should be one of prob, logit"),
        ({"gate_rounds": 2.5}, r"options\.gate_rounds: 2\.5 should be a int"),
        ({"rounds": 3}, r"options\.rounds: unknown option"),
        (
            {"extractor": "fedsc", "estimator": "pairs"},
            r"options\.estimator: 'pairs' has no correlation matrices to share",
        ),
    ],
)
def test_options_are_checked(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(sim.InputError, match=message):
        build(nmoe(learning=options(**changes)))


def test_another_kind_of_model_is_refused() -> None:
    with pytest.raises(ValueError, match=r"model\.kind is 'vector-moe'; .*'vector-nmoe' or"):
        sim.run(slots(learning={"method": "nmoe", "options": {}, "lora": {"rank": 4}}))


def test_validate_refuses_another_kind_of_model(leomix: Any) -> None:
    outcome = leomix("validate", "quickstart", "--set", "learning.method=nmoe")
    assert outcome.status == 2
    assert "networked experts need 'vector-nmoe' or 'image-nmoe'" in outcome.err


def kinds(memory_gib: float) -> dict[str, Any]:
    """Five clients, of whom one has little memory."""
    own = [{"devices": 1, "memory_gib": memory_gib}, {"devices": 2}]
    return {"clusters": [{"name": "A", "devices": 2}, {"name": "B", "devices": 3, "kinds": own}]}


@pytest.mark.parametrize("gate", ["fedgate", "rollgate", "rangate", "random", "local"])
def test_who_lacks_the_memory_holds_no_expert(gate: str) -> None:
    learning = options(gate=gate, inference_samples=20)
    result = sim.run(nmoe(ground=kinds(1e-6), learning=learning))
    faults = result.events[result.events.kind == "fault"]
    assert (faults.cluster + faults.device.astype(str)).str.match(r"B0").all()
    assert len(faults) == 1
    sent = result.transfers[result.transfers.direction == "uplink"]
    assert not ((sent.cluster == "B") & (sent.device == 0) & (sent.payload != "relay")).any()
    rows = result.assignments
    assert rows.groupby("expert").assigned.sum().tolist() == [1, 1, 0, 1, 1]
    if gate != "local":
        # Nobody asks it; it asks the others, with the gate that all have.
        assert not result.inferences.experts.str.contains("B/0").any()
        assert rows[rows.expert == 2].relevance.sum() == 0.0
    assert result.inferences.samples.sum() == 5 * 20


@pytest.mark.parametrize("gate", ["fedgate", "rollgate", "rangate", "random", "local"])
def test_nobody_with_enough_memory_trains_nothing(gate: str) -> None:
    learning = options(gate=gate, inference_samples=4)
    result = sim.run(nmoe(compute={"memory_gib": 1e-6}, learning=learning))
    assert result.metrics.accuracy.isna().all()
    assert len(result.assignments) == len(result.inferences) == 0
    faults = result.events[result.events.kind == "fault"].detail.tolist()
    assert faults.pop() == "no client holds an expert: nobody can answer"
    assert len(faults) == 5


@pytest.mark.parametrize(("cycles", "stage"), [(1, 1), (2, 3)])
def test_out_of_contacts_what_there_is_is_kept(cycles: int, stage: int, tmp_path: Path) -> None:
    result = sim.run(nmoe(stop={"cycles": cycles}), tmp_path / "run")
    faults = result.events[result.events.kind == "fault"].detail
    assert faults.str.contains(f"no contact left in stage {stage}").any()
    assert result.manifest["status"] == "complete"
    assert (tmp_path / "run" / "model" / "model.safetensors").exists()
    assert result.metrics.accuracy.notna().any() == (stage == 3)


def test_killed_anywhere_and_resumed(tmp_path: Path) -> None:
    """Among others while messages are queued and queries are under way."""
    learning = options(extractor_rounds=1, gate_rounds=1, inference_samples=10)
    scenario = nmoe(stop={"cycles": 7}, learning=learning)

    def leave(event: int) -> None:
        if event % 15 == 0:
            shutil.copytree(tmp_path / "whole", tmp_path / str(event))

    whole = sim.run(scenario, tmp_path / "whole", each_event=leave, checkpoint_every_s=0.0)
    assert len(whole.inferences)
    for event in range(15, whole.manifest["events"] + 1, 15):
        resumed = sim.run(scenario, tmp_path / str(event), resume=True)
        assert resumed.manifest["trace_sha256"] == whole.manifest["trace_sha256"], event


def test_other_methods_train_the_whole_mixture_of_these_kinds() -> None:
    """Networked kinds are models like others to a method that knows nothing of clients."""
    learning = {**NMOE["learning"], "method": "fedavg", "lora": {"rank": None}}
    del learning["options"]
    result = sim.run(scenarios.from_dict({**NMOE, "learning": learning}))
    assert np.isfinite(result.metrics.accuracy).all()
