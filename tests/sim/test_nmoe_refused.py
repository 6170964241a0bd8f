"""NMoE where a part is not finite, or does not fit: it is refused, and the run says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sim
from tests.kit.learning import own_share
from tests.kit.network import Course, Run, SimulationError, build
from tests.kit.small_nmoe import nmoe, options


def finished(scenario: Any) -> tuple[Any, Any]:
    """The method as a run leaves it, and the rows of the run."""
    run = Run(Course(build(scenario)), None, checkpoint_every_s=10.0)
    return run.method, run.execute(None, None)


def drops(result: Any) -> Any:
    return result.events[result.events.kind == "drop"]


def test_experts_that_are_not_finite_are_nobodys() -> None:
    learning = {"step_size": 1e30, **options(extractor="none", inference_samples=4)}
    method, result = finished(nmoe(learning={"steps_per_round": 5, **learning}))
    assert not method.registry.holders.any()
    assert not method.registry.changes.any()
    assert len(drops(result)) == 5
    assert result.metrics.accuracy.isna().all()
    assert len(result.inferences) == len(result.assignments) == 0
    faults = result.events[result.events.kind == "fault"].detail
    assert faults.str.contains("no client holds an expert").sum() == 1


def test_a_central_mixture_that_is_not_finite_is_a_fault() -> None:
    learning = {"step_size": 1e30, **options(gate="central", inference_samples=4)}
    result = sim.run(nmoe(learning=learning))
    faults = sorted(result.events[result.events.kind == "fault"].detail, reverse=True)
    assert "at the server is refused: not finite; lower learning.step_size" in faults[0]
    assert len(faults) == 2
    assert result.metrics.accuracy.isna().all()
    assert len(result.inferences) == 0


OWN = '''
import torch

from learning.gates import GateTrainer
from learning.methods.gate_trainers import FedGate, RanGate, RollGate


class Abstract(GateTrainer):
    pass


class Unmade(GateTrainer):
    def __init__(self, system):
        raise RuntimeError("no pairs")

    def train(self, me):
        yield from ()


class Returns(GateTrainer):
    def train(self, me):
        return 5


class Yields(GateTrainer):
    def train(self, me):
        yield 5


class BreaksAll:
    def trained(self, me, gates, rounds):
        return self.system.learner.make(BREAK, super().trained(me, gates, rounds))


class BreaksA0:
    """One client's data are what no gate stands."""

    def trained(self, me, gates, rounds):
        trained = super().trained(me, gates, rounds)
        broken = self.system.learner.make(BREAK, trained)
        first = self.system.clients.mask(me.name, self.system.clients.of("A")[:1])
        return self.system.learner.select(first, broken, trained)


class AllFedGate(BreaksAll, FedGate): ...
class AllRollGate(BreaksAll, RollGate): ...
class AllRanGate(BreaksAll, RanGate): ...
class A0FedGate(BreaksA0, FedGate): ...
class A0RollGate(BreaksA0, RollGate): ...


class Alone(GateTrainer):
    """Neither a barrier nor anything that is sent."""

    def train(self, me):
        yield from self.local(me, self.able(me))
        if me.name == "A":
            gates = self.system.gates[me.name]
            broken = self.system.learner.make(BREAK, gates)
            self.system.gates[me.name] = broken


def nan(task, gates):
    return {name: tensor * torch.nan for name, tensor in gates.items()}


from learning.values import Operation

BREAK = Operation("own_gates:nan")
'''


@pytest.fixture
def own_gates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_gates.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.mark.usefixtures("own_gates")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Abstract", r"options\.gate: 'own_gates:Abstract' has no method train"),
        ("Unmade", r"options\.gate: 'own_gates:Unmade' cannot be made \(no pairs\)"),
        ("Returns", r"options\.gate: 'own_gates:Returns': train\(\) returned 5"),
        ("Yields", r"options\.gate: 'own_gates:Yields': train\(\) yielded 5"),
    ],
)
def test_a_trainer_of_ones_own_that_does_not_work_is_named(name: str, message: str) -> None:
    with pytest.raises((ValueError, SimulationError), match=message):
        sim.run(nmoe(learning=options(gate=f"own_gates:{name}", extractor="none")))


@pytest.mark.usefixtures("own_gates")
def test_a_trainer_without_a_barrier_can_be_asked() -> None:
    """And the gates that it breaks are refused: their clients hold the gate as drawn."""
    learning = options(gate="own_gates:Alone", extractor="none", inference_samples=4)
    method, result = finished(nmoe(learning=learning))
    assert len(drops(result)) == 2
    assert result.inferences.samples.sum() == 5 * 4
    drawn, held = method.net.start_gate(), method.learner.force(method.gates["A"])
    for name, tensor in method.learner.force(drawn).items():
        assert bool((held[name] == tensor).all())


@pytest.mark.usefixtures("own_gates")
@pytest.mark.parametrize("sync", ["all", "weight"])
@pytest.mark.parametrize("gate", ["FedGate", "RollGate", "RanGate"])
def test_gates_that_are_not_finite_are_refused(gate: str, sync: str) -> None:
    """Everybody keeps the gate as drawn, and answers by it."""
    said = {"gate_sync": sync, "inference_samples": 4, "extractor": "none"}
    learning = {"step_size": 0.1, **options(gate=f"own_gates:All{gate}", **said)}
    method, result = finished(nmoe(learning=learning))
    assert len(drops(result)) == {"FedGate": 2 * 5, "RollGate": 2 * 5, "RanGate": 2}[gate]
    assert drops(result).detail.str.contains("refused: not finite").all()
    drawn = method.learner.force(method.net.start_gate())
    for gates in method.gates.values():
        for name, tensor in method.learner.force(gates).items():
            assert bool((tensor == drawn[name]).all())
    assert result.inferences.samples.sum() == 5 * 4


@pytest.mark.usefixtures("own_gates")
@pytest.mark.parametrize("sync", ["all", "weight"])
@pytest.mark.parametrize("gate", ["FedGate", "RollGate"])
def test_one_client_that_breaks_its_gate_takes_the_shared_one(gate: str, sync: str) -> None:
    said = {"gate_sync": sync, "inference_samples": 4, "extractor": "none"}
    learning = {"step_size": 0.1, **options(gate=f"own_gates:A0{gate}", **said)}
    method, result = finished(nmoe(learning=learning))
    assert len(drops(result)) == 2
    held = {name: method.learner.force(gates) for name, gates in method.gates.items()}
    shared = {name: held["A"][name][0] for name in ("weight", "bias")}
    drawn = method.learner.force(method.net.start_gate())
    assert not bool((shared["weight"] == drawn["weight"]).all())
    assert bool((held["B"]["weight"] == shared["weight"]).all())
    if gate == "FedGate" and sync == "weight":
        assert bool((shared["bias"] == drawn["bias"]).all())
        assert not bool((held["B"]["bias"] == drawn["bias"]).all())
    assert result.inferences.samples.sum() == 5 * 4


def kinds(memory_gib: float) -> dict[str, Any]:
    """Five clients, of whom one has little memory."""
    own = [{"devices": 1, "memory_gib": memory_gib}, {"devices": 2}]
    return {"clusters": [{"name": "A", "devices": 2}, {"name": "B", "devices": 3, "kinds": own}]}


def test_who_lacks_the_memory_shares_no_correlations() -> None:
    """J counts those that train; nothing of the others goes up, or into the sum."""
    scenario = nmoe(ground=kinds(1e-6), learning=options(extractor="fedsc"))
    method, result = finished(scenario)
    sent = result.transfers[result.transfers.payload == "correlation"]
    assert len(sent) == 2 * 4
    assert not ((sent.cluster == "B") & (sent.device == 0)).any()
    assert method.extractor.alpha == pytest.approx(1 - (1 - 1 / 4) / 2)
    assert method.registry.holders.tolist() == np.diag([1, 1, 0, 1, 1]).astype(bool).tolist()
    assert method.registry.changes.tolist() == [1, 1, 0, 1, 1]


def test_who_lacks_the_memory_for_a_gate_keeps_its_expert() -> None:
    said = options(extractor="none", expert_rounds=0, inference_samples=40, gate="fedgate")
    method, result = finished(nmoe(ground=kinds(1e-7), learning=said))
    assert method.registry.holders.tolist() == np.eye(5, dtype=bool).tolist()
    assert method.clients.able["B"].tolist() == [False, True, True]
    sent = result.transfers[result.transfers.direction == "uplink"]
    assert not ((sent.payload == "gate") & (sent.cluster == "B") & (sent.device == 0)).any()
    assert result.assignments[result.assignments.expert == 2].assigned.sum() == 1


def test_the_share_of_ones_own_falls_to_one_in_j() -> None:
    """Five clients, ten rounds: 1 at first, then by (1 - 1/5) / 10 a round."""
    shares = [own_share(number, 10, 5) for number in range(10)]
    assert shares[0] == 1.0
    assert shares[5] == pytest.approx(0.6)
    assert shares[9] == pytest.approx(0.28)
    assert own_share(10, 10, 5) == pytest.approx(1 / 5)


def test_low_rank_keys_are_refused_where_nothing_has_a_rank(leomix: Any) -> None:
    outcome = leomix("validate", "nmoe-digits", "--set", "learning.lora.rank=2")
    assert outcome.status == 2
    assert "learning.lora.rank: is not used by method 'nmoe'; remove it" in outcome.err
