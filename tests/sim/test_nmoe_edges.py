"""NMoE where something is missing or not finite, trainers of one's own, and what is refused."""

import numpy as np
import pytest
import torch

import scenarios
import sim
from tests.kit.folders import cut
from tests.kit.learning import Operation
from tests.kit.network import SimulationError, build
from tests.kit.small import slots
from tests.kit.small_nmoe import GATE_TRAINERS, NMOE, GateTrainer, events, finished, nmoe, options

GATES = ("fedgate", "rollgate", "rangate", "random", "local")
MEMORY = {"compute": {"memory_gib": 1e-6}, "learning": {}}
BROKEN = {"compute": {}, "learning": {"step_size": 1e30, "steps_per_round": 5}}


def kinds(memory_gib):
    """Five clients, of whom B/0 has little memory."""
    own = [{"devices": 1, "memory_gib": memory_gib}, {"devices": 2}]
    return {"clusters": [{"name": "A", "devices": 2}, {"name": "B", "devices": 3, "kinds": own}]}


@pytest.mark.parametrize("gate", GATES)
def test_who_lacks_the_memory_holds_no_expert(gate):
    """Nobody asks it; its row of the gate and its correlations count for nobody; J is 4."""
    said = options(gate=gate, extractor="fedsc", inference_samples=20)
    method, result = finished(nmoe(ground=kinds(1e-6), learning={"step_size": 0.1, **said}))
    [fault] = events(result, "fault").itertuples()
    assert (fault.cluster, fault.device) == ("B", 0)
    up = result.transfers[result.transfers.direction == "uplink"]
    assert not ((up.cluster == "B") & (up.device == 0) & (up.payload != "relay")).any()
    assert (up.payload == "correlation").sum() == 2 * 4
    assert method.extractor.alpha == pytest.approx(1 - (1 - 1 / 4) / 2)
    assert method.registry.changes.tolist() == [1, 1, 0, 1, 1]
    rows = result.assignments
    assert rows.groupby("expert").assigned.sum().tolist() == [1, 1, 0, 1, 1]
    assert result.inferences.samples.sum() == 5 * 20
    if gate != "local":
        assert not result.inferences.experts.str.contains("B/0").any()
        assert rows[rows.expert == 2].relevance.sum() == 0.0
    drawn = method.learner.force(method.net.start_gate())["weight"]
    for gates in method.gates.values():
        held = method.learner.force(gates)["weight"]
        assert (held[:, 2] == drawn[2]).all() and not (held[:, 3] == drawn[3]).all()


def test_who_lacks_the_memory_for_a_gate_keeps_its_expert():
    said = options(extractor="none", expert_rounds=0)
    method, result = finished(nmoe(ground=kinds(1e-7), learning=said))
    assert method.registry.holders.tolist() == np.eye(5, dtype=bool).tolist()
    assert method.clients.able["B"].tolist() == [False, True, True]
    up = result.transfers[result.transfers.direction == "uplink"]
    assert not ((up.payload == "gate") & (up.cluster == "B") & (up.device == 0)).any()


@pytest.mark.parametrize(
    ("gate", "lack", "told"),
    [*((g, MEMORY, 5) for g in GATES), ("fedgate", BROKEN, 5), ("central", BROKEN, 1)],
)
def test_without_any_expert_nobody_answers(gate, lack, told):
    """Where no client has the memory, or all experts are not finite and so nobody's."""
    extractor = "fedsc" if lack is MEMORY else "none"
    said = options(gate=gate, extractor=extractor, inference_samples=4)
    method, result = finished(nmoe(compute=lack["compute"], learning={**lack["learning"], **said}))
    assert not method.registry.changes.any()
    assert result.metrics.accuracy.isna().all()
    assert len(result.assignments) == len(result.inferences) == 0
    faults = sorted(events(result, "fault").detail, reverse=True)
    assert faults.count("no client holds an expert: nobody can answer") == 1
    assert len(faults) - 1 + len(events(result, "drop")) == told
    refused = "at the server is refused: not finite; lower learning.step_size"
    assert (refused in faults[0]) == (gate == "central")


@pytest.mark.parametrize(("cycles", "stage"), [(1, 1), (2, 3)])
def test_out_of_contacts_what_there_is_is_kept(cycles, stage, tmp_path):
    result = sim.run(nmoe(stop={"cycles": cycles}), tmp_path / "run")
    assert events(result, "fault").detail.str.contains(f"no contact left in stage {stage}").any()
    assert result.manifest["status"] == "complete"
    assert (tmp_path / "run" / "model" / "model.safetensors").exists()
    assert result.metrics.accuracy.notna().any() == (stage == 3)


def test_a_run_goes_on_where_it_was_cut(tmp_path):
    """Among others while messages are queued and queries are under way."""
    learning = options(extractor_rounds=1, gate_rounds=1, inference_samples=10)
    scenario = nmoe(stop={"cycles": 7}, learning=learning)
    whole = sim.run(scenario)
    assert len(whole.inferences)
    for event in range(60, whole.manifest["events"], 60):
        cut(scenario, tmp_path, event, resume=event > 60)
    resumed = sim.run(scenario, tmp_path, resume=True)
    assert resumed.manifest["trace_sha256"] == whole.manifest["trace_sha256"]


# -- gate trainers of one's own

BREAK = Operation(f"{__name__}:nan")


def nan(task, gates):
    return {name: tensor * torch.nan for name, tensor in gates.items()}


class Abstract(GateTrainer): ...


class Returns(GateTrainer):
    def train(self, me):
        return 5


class Unmade(Returns):
    def __init__(self, system):
        raise RuntimeError("no pairs")


class Yields(GateTrainer):
    def train(self, me):
        yield 5


class Breaks:
    """What a client trains is not finite: of all clients, or of A/0 alone."""

    def trained(self, me, gates, rounds):
        trained, learner = super().trained(me, gates, rounds), self.system.learner
        nodes = self.system.clients.nodes
        who = self.system.clients.mask(me.name, nodes[:1] if self.first else nodes)
        return learner.select(who, learner.make(BREAK, trained), trained)


for kind in ("fedgate", "rollgate", "rangate"):
    for who in ("all", "first"):
        both = Breaks, GATE_TRAINERS.find(kind)
        globals()[f"{who}_{kind}"] = type(kind, both, {"first": who == "first"})


class Alone(GateTrainer):
    """Neither a barrier nor anything that is sent; A's gates are broken behind its back."""

    def train(self, me):
        yield from self.local(me, self.able(me))
        if me.name == "A":
            gates = self.system.gates
            gates["A"] = self.system.learner.make(BREAK, gates["A"])


def with_gate(name, **said):
    said |= {"gate": f"{__name__}:{name}", "extractor": "none", "inference_samples": 4}
    return finished(nmoe(learning={"step_size": 0.1, **options(**said)}))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Abstract", "has no method train"),
        ("Unmade", r"cannot be made \(no pairs\)"),
        ("Returns", r"train\(\) returned 5"),
        ("Yields", r"train\(\) yielded 5"),
    ],
)
def test_a_trainer_of_ones_own_that_does_not_work_is_named(name, message):
    told = rf"gate: '{__name__}:{name}'.*{message}"
    with pytest.raises((ValueError, SimulationError), match=told):
        with_gate(name)


@pytest.mark.parametrize("sync", ["all", "weight"])
@pytest.mark.parametrize(
    ("name", "drops", "drawn"),
    [
        ("all_fedgate", 10, "AB"), ("all_rollgate", 10, "AB"), ("all_rangate", 2, "AB"),
        ("Alone", 2, "A"), ("first_fedgate", 2, ""), ("first_rollgate", 2, ""),
    ],
)  # fmt: skip
def test_gates_that_are_not_finite_are_refused(name, drops, drawn, sync):
    """Those clients keep the gate as drawn, or take the one that is shared."""
    method, result = with_gate(name, gate_sync=sync)
    dropped = events(result, "drop").detail
    assert len(dropped) == drops
    assert dropped.str.contains("refused: not finite").all()
    held = {name: method.learner.force(method.gates[name]) for name in "AB"}
    start = method.learner.force(method.net.start_gate())
    for part in ("weight", "bias"):
        for cluster in drawn:
            assert (held[cluster][part] == start[part]).all()
    if not drawn:
        shared = held["A"]["weight"][0]
        assert (held["B"]["weight"] == shared).all() and not (shared == start["weight"]).all()
    if (name, sync) == ("first_fedgate", "weight"):
        assert (held["A"]["bias"][0] == start["bias"]).all()
        assert not (held["B"]["bias"] == start["bias"]).all()
    assert result.inferences.samples.sum() == 5 * 4


# -- what is refused


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("gate", "fedgat", ".*did you mean 'fedgate'"),
        ("gate", "learning:Architecture", ".* is no gate trainer"),
        ("gate", "nowhere:Gate", ".*nowhere.* cannot be imported"),
        ("extractor", "fedxx", "'fedxx' should be one of fedsc, fedce, none"),
        ("inference_deadline_s", -1.0, r"-1\.0 should be above 0"),
        ("inference_interval_s", 0.0, r"0\.0 should be above 0"),
        ("inference_batch", 0, "0 should be above 0"),
        ("gate_rounds", -1, "-1 should be 0 or more"),
        ("gate_rounds", 2.5, r"2\.5 should be a int"),
        ("momentum", 1.0, r"1\.0 should lie in 0 to below 1"),
        ("gate_sync", "biases", "'biases' should be one of all, weight, bias"),
        ("exchange", "labels", "'labels' should be one of auto, experts"),
        ("inference_late", "panic", "'panic' should be one of wait"),
        ("rounds", 3, "unknown option"),
        ("estimator", "pairs", "'pairs' has no correlation"),
    ],
)
def test_options_are_checked(option, value, message):
    said = options(**{"extractor": "fedsc", option: value})
    with pytest.raises(sim.InputError, match=rf"learning\.options\.{option}: {message}"):
        build(nmoe(learning=said))


def test_what_networked_experts_cannot_use_is_refused(leomix):
    with pytest.raises(ValueError, match=r"model\.kind is 'vector-moe'; .*'vector-nmoe' or"):
        sim.run(slots(learning={"method": "nmoe", "options": {}, "lora": {"rank": 4}}))
    with pytest.raises(ValueError, match=r"learning\.model\.top_k is 6, but there are 5 clients"):
        sim.run(nmoe(learning={"model": {"top_k": 6}}))
    for name, key, message in (
        ("quickstart", "method=nmoe", "networked experts need 'vector-nmoe' or 'image-nmoe'"),
        ("nmoe-digits", "lora.rank=2", "learning.lora.rank: is not used by method 'nmoe'; remove"),
    ):
        outcome = leomix("validate", name, "--set", f"learning.{key}")
        assert outcome.status == 2 and message in outcome.err


def test_other_methods_train_the_whole_mixture_of_these_kinds():
    """Networked kinds are models like others to a method that knows nothing of clients."""
    learning = {**NMOE["learning"], "method": "fedavg", "lora": {"rank": None}, "options": {}}
    losses = sim.run(scenarios.from_dict({**NMOE, "learning": learning})).metrics.loss
    assert np.isfinite(losses).all() and losses.nunique() > 1
