"""What training keeps and computes, told before a run, against a run of an upcycled encoder."""

import pytest
import torch
from torch.multiprocessing.reductions import StorageWeakRef

import sim
from tests.kit import tiny_checkpoints as tiny
from tests.kit.costs import Took, build, kinds_of, pace_of, rehearsed, timed
from tests.kit.learning import ADDED, MODEL, STATES, TaskApply
from tests.kit.records import needs_by_name
from tests.kit.small import slots

UNTRAINED = {"gate_steps": 0, "expert_steps": 0, "backbone_steps": 0}
MODEL_KEYS = {"kind": "merged-bert", "top_k": 2, "experts_per_checkpoint": 4, "moe_layers": 2}
UNSAID = {"experts": 4, "hidden": 64, "expert_hidden": 64}  # what checkpoints fix


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A BERT of three layers with a tokenizer, and pairs of texts of two clusters."""
    place = tmp_path_factory.mktemp("estimates")
    tiny.bert_with_pairs(place)
    return place


def scenario(place, method, cycles=1):
    """Whole experts, trained by Adam, which remembers."""
    model = {**MODEL_KEYS, **UNSAID, "checkpoints": [str(place / "bert")]}
    data = {"kind": "jsonl", "path": str(place / "pairs.jsonl"), "tokens": 9, "trial_samples": 4}
    learning = {"method": method, "model": model, "data": data, "step_size": 0.01}
    learning |= {"lora": {"rank": None}, "optimizer": {"kind": "adam", "state": "keep"}}
    return slots(stop={"cycles": cycles}, learning=learning | {"pretraining": UNTRAINED})


class Applied:
    """The operations of a run, the rounds that were trained, and the most that results took."""

    def __init__(self, monkeypatch):
        self.names = []
        self.rounds = 0
        self.most_bytes = 0
        self.start = {}
        self._live = {}
        apply = TaskApply.__call__

        def watched(own, operation, parents, arguments):
            found = apply(own, operation, parents, arguments)
            self._note(operation.name, arguments, found)
            return found

        monkeypatch.setattr(TaskApply, "__call__", watched)

    def _note(self, name, arguments, found):
        self.names.append(name)
        if name == "train":
            self.rounds += sum(arguments["rounds"])
        tensors = found.values() if isinstance(found, dict) else ()
        for tensor in filter(torch.is_tensor, tensors):
            storage = tensor.untyped_storage()
            of = self.start if name == "start_model" else self._live
            if (ref := StorageWeakRef(storage)) not in self.start:
                of[ref] = storage.nbytes()
        self._live = {ref: size for ref, size in self._live.items() if not ref.expired()}
        self.most_bytes = max(self.most_bytes, sum(self._live.values()))


@pytest.mark.parametrize("cycles", [1, 3])
@pytest.mark.parametrize("method", ["synchronous", "fedavg", "fedavg-per-cluster", "emsfl"])
@pytest.mark.quick(3)
def test_what_devices_and_server_keep_is_there_at_once(place, monkeypatch, method, cycles):
    """Results between operations; in the only cycle, a cluster is done when the next one trains."""
    asked = scenario(place, method, cycles)
    built = build(asked)
    needs = needs_by_name(built)
    rounds = rehearsed(built).computed_rounds
    applied = Applied(monkeypatch)
    sim.run(asked)
    assert needs[STATES] + needs.get(ADDED, 0.0) == pytest.approx(applied.most_bytes, rel=0.1)
    assert rounds == applied.rounds


def test_equal_experts_of_a_checkpoint_are_one_in_memory(place, monkeypatch):
    asked = scenario(place, "synchronous")
    applied = Applied(monkeypatch)
    sim.run(asked)
    sizes = build(asked).learner.architecture
    own = 4 * (sizes.gate_parameters + sizes.expert_parameters)
    assert sum(applied.start.values()) == pytest.approx(own, rel=0.05)
    assert needs_by_name(build(asked))[MODEL] == own + 4 * sizes.backbone_parameters


def test_rounds_that_are_timed_train_what_the_clusters_were_asked_to_train(place):
    """EMS-FL trains each cluster's own experts in its gaps, and the gate in contact besides."""
    gaps, contacts = kinds_of(build(scenario(place, "emsfl", 3)))
    assert gaps.at_once > contacts.at_once == 1
    for kind, gate in ((gaps, False), (contacts, True)):
        parts = list(kind.parts.values())
        assert {part.gate for part in parts} == {gate}
        assert sorted(one for part in parts for one in part.experts) == [0, 1, 2, 3]
    (whole,) = kinds_of(build(scenario(place, "synchronous", 3)))
    assert [(*part.experts,) for part in whole.parts.values()] == [(0, 1, 2, 3)] * 2
    (server,) = kinds_of(build(scenario(place, "centralised")))
    assert [(*part.experts,) for part in server.parts.values()] == [(0, 1, 2, 3)] * 2


@pytest.mark.parametrize(
    ("method", "evaluation"),
    [("synchronous", "evaluate"), ("fedavg-per-cluster", "scores_of_clusters")],
)
def test_an_evaluation_is_timed_as_the_method_tests(place, monkeypatch, method, evaluation):
    applied = Applied(monkeypatch)
    pace = pace_of(build(scenario(place, method)))
    assert {"evaluate", "scores_of_clusters"} & {*applied.names} == {evaluation}
    assert pace.round_s > 0 and pace.evaluation_s > 0


def test_what_is_computed_once_counts_for_no_round():
    """Blocks below the experts are run the first time alone, however long that takes."""
    told = iter([0.0, 10.0, 10.0, 13.0])
    assert timed(lambda: next(told), int, once=True) == Took(least_s=3.0, once_s=7.0)
    told = iter([0.0, 10.0])
    assert timed(lambda: next(told), int, once=False) == Took(least_s=10.0, once_s=0.0)
    told = iter([0.0, 0.6, 0.6, 0.7, 0.7, 0.9, 0.9, 1.0])
    assert timed(lambda: next(told), int, once=False).least_s == pytest.approx(0.1)
