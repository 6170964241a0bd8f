"""Whole runs of NMoE: against plain PyTorch, bytes and times in closed form, and what is refused.

Its queries are in ``test_nmoe_inference.py``.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

import sim
from tests.kit.learning import stream
from tests.kit.network import SimulationError, build
from tests.kit.results import summarise
from tests.kit.small import slots
from tests.kit.small_nmoe import NMOE, events, finished, kinds, nmoe, options
from tests.kit.training import Pretext, make_extractor, rows_of_round, view

CLIENTS = [("A", 0), ("A", 1), ("B", 0), ("B", 1), ("B", 2)]
N, D, C, NUMBER = 5, 8, 10, 4
GATES = pytest.mark.parametrize("gate", ["fedgate", "rollgate", "rangate", "random", "local"])


# -- a whole run against plain PyTorch, batch by batch, on shards of unequal size


def scenario_by_hand(loss: str, model: str, data: str, largest: float) -> Any:
    learning = {
        "precision": "float64", "steps_per_round": 2, "step_size": 0.1, "gate_step_size_ratio": 0.5,
        "model": {"kind": model}, "data": {"kind": data, "partition": "dirichlet"},
    }  # fmt: skip
    said = {"extractor_step_size_ratio": 0.8, "momentum": 0.5, "largest_gradient": largest}
    return nmoe(learning={**learning, **options(extractor=loss, share_correlations=False, **said)})


class ByHand:
    """Extractor, experts and gate as the notes define them, with nothing of the stages' code."""

    def __init__(self, scenario: Any, loss: str, largest: float) -> None:
        net = build(scenario).new_method().net
        self.task, self.largest = net.learner.task, largest
        self.kind = {"fedce": "ce", "fedsc": "spectral"}[loss]
        self.sizes = [self.task.shards[c].sizes[d] for c, d in CLIENTS]
        self.server = dict(net.learner.force(net.start_extractor(self.kind)))
        for number in range(2):
            copies = [self.extractor_round(*client, number) for client in CLIENTS]
            self.server = mean(copies, self.sizes if loss == "fedce" else [1] * N)
        self.features = make_extractor(self.task.config.model, self.task.spec).double()
        own = {n.removeprefix("extractor."): t for n, t in self.server.items() if "extractor" in n}
        self.features.load_state_dict(own)
        self.experts = [self.expert(e, *client) for e, client in enumerate(CLIENTS)]
        self.gate = {name: self.task.initial[f"gate.0.{name}"] for name in ("weight", "bias")}
        for number in range(2):
            copies = [self.gate_round(*client, number) for client in CLIENTS]
            self.gate = mean(copies, self.sizes)

    def batches(self, cluster: str, device: int, number: int) -> list[tuple[Tensor, Tensor]]:
        samples = self.task.shards[cluster].samples
        rows = rows_of_round(self.task, cluster, device, number)
        return [(samples.x[step], samples.y[step]) for step in rows]

    def extractor_round(self, cluster: str, device: int, number: int) -> dict[str, Tensor]:
        model = Pretext(self.task.config.model, self.task.spec, self.kind).double()
        model.load_state_dict(self.server)
        optimiser = torch.optim.SGD(model.parameters(), lr=0.1 * 0.8, momentum=0.5)
        rng = stream(3, "views", cluster, device, number)
        for x, y in self.batches(cluster, device, number):
            optimiser.zero_grad()
            if self.kind == "ce":
                loss = functional.cross_entropy(model(x), y)
            else:
                z0, z1 = (clipped(model(view(x, rng))) for _ in range(2))
                both = torch.cat((z0, z1))
                loss = -2 * (z0 * z1).sum(1).mean() + ((both @ both.T) ** 2).mean()
            loss.backward()
            if self.largest:
                torch.nn.utils.clip_grad_norm_(model.parameters(), self.largest)
            optimiser.step()
        return {name: tensor.detach() for name, tensor in model.state_dict().items()}

    def expert(self, number: int, cluster: str, device: int) -> dict[str, Tensor]:
        prefix = f"expert.{number}.0."
        w = {n.removeprefix(prefix): t for n, t in self.task.initial.items() if prefix in n}
        for x, y in [batch for r in range(2) for batch in self.batches(cluster, device, r)]:
            w = {name: tensor.requires_grad_() for name, tensor in w.items()}
            loss = functional.cross_entropy(logits_of(w, self.features(x).detach()), y)
            w = descended(w, loss, 0.1)
        return w

    def gate_round(self, cluster: str, device: int, number: int) -> dict[str, Tensor]:
        gate = {name: tensor.clone() for name, tensor in self.gate.items()}
        for x, y in self.batches(cluster, device, number):
            gate, h = {n: t.requires_grad_() for n, t in gate.items()}, self.features(x).detach()
            answers = torch.stack([logits_of(w, h).softmax(-1) for w in self.experts], 1)
            shares = (h @ gate["weight"].T + gate["bias"]).softmax(-1)
            loss = functional.nll_loss((shares[:, :, None] * answers).sum(1).log(), y)
            gate = descended(gate, loss, 0.1 * 0.5)
        return gate


def descended(w: dict[str, Tensor], loss: Tensor, step_size: float) -> dict[str, Tensor]:
    steps = torch.autograd.grad(loss, list(w.values()))
    return {n: (t - step_size * s).detach() for (n, t), s in zip(w.items(), steps, strict=True)}


def clipped(z: Tensor) -> Tensor:
    return z / (z.norm(dim=1, keepdim=True) / 4.0**0.5).clamp_min(1.0)


def logits_of(w: dict[str, Tensor], h: Tensor) -> Tensor:
    inner = functional.gelu(h @ w["up.weight"].T + w["up.bias"])
    return inner @ w["down.weight"].T + w["down.bias"]


def mean(copies: list[dict[str, Tensor]], weights: list[int]) -> dict[str, Tensor]:
    pairs = list(zip(weights, copies, strict=True))
    return {n: sum(w * copy[n] for w, copy in pairs) / sum(weights) for n in copies[0]}


VECTOR, IMAGE = ("vector-nmoe", "digits"), ("image-nmoe", "digit-images")


@pytest.mark.parametrize(
    ("loss", "kind", "largest"),
    [("fedce", VECTOR, 0.0), ("fedce", IMAGE, 0.5), ("fedsc", VECTOR, 1e6)],
)
def test_a_run_is_plain_training(loss: str, kind: Any, largest: float, tmp_path: Path) -> None:
    scenario = scenario_by_hand(loss, *kind, largest)
    result, wanted = sim.run(scenario, tmp_path), ByHand(scenario, loss, largest)
    assert events(result, "fault").empty
    assert not result.transfers.payload.str.startswith("correlation").any()
    assert len(np.unique(wanted.sizes)) > 2
    tensors = {n: t for n, t in wanted.server.items() if n.startswith("extractor.")}
    tensors |= {f"gate.0.{n}": t for n, t in wanted.gate.items()}
    for number, expert in enumerate(wanted.experts):
        tensors |= {f"expert.{number}.0.{n}": t for n, t in expert.items()}
    found = load_file(tmp_path / "model" / "model.safetensors")
    for name, tensor in tensors.items():
        # torch divides by a norm that is 1e-6 larger where it clips
        tolerance = 1e-6 if largest == 0.5 else 1e-8
        torch.testing.assert_close(found[name], tensor, rtol=tolerance, atol=tolerance / 100)


# -- what stages send, and when


def sent(result: sim.Result, direction: str, payload: str) -> list[float]:
    rows = result.transfers
    found = rows[(rows.direction == direction) & (rows.payload == payload)]
    assert (found.outcome == "delivered").all()
    return sorted(found.delivered_bytes)


def timing(ground: Any = NMOE["ground"], learning: Any = (), orbit: Any = (), **said: Any) -> Any:
    """A run that trains nothing, with random features."""
    own = {"train": False, **options(**{"extractor": "none", **said}), **dict(learning)}
    return sim.run(nmoe(ground=ground, orbit=dict(orbit), learning=own))


def one_town(**changes: Any) -> dict[str, Any]:
    return {"clusters": [{"name": "A", "devices": 4, **changes}]}


def test_bytes_and_scores_of_fedce_and_fedgate(runs: Any) -> None:
    """Closed forms of the notes: a client sends |F| + head up and gets it down, then 2 |G|."""
    result, sizes = runs.result("nmoe"), build(nmoe()).new_method().sizes
    whole, frozen = (sizes.download_bytes(sizes.extractor, p) for p in (sizes.head, {}))
    gate, expert = sizes.download_bytes(sizes.gate), sizes.expert_bytes
    assert sent(result, "uplink", "extractor") == pytest.approx([whole] * 2 * N)
    assert sent(result, "downlink", "extractor") == pytest.approx([frozen] * N + [whole] * N)
    assert sent(result, "uplink", "gate") == pytest.approx([gate] * 2 * N)
    assert sent(result, "downlink", "gate") == pytest.approx([gate] * 2 * N)
    assert sent(result, "uplink", "expert") == pytest.approx([expert] * N)
    assert sent(result, "downlink", "experts") == pytest.approx([(N - 1) * expert] * N)
    # Nothing is measured before there are experts, which alone train two rounds at a time.
    rows, ends = result.metrics[result.metrics.scope == "global"], events(result, "train_end")
    ready_s = ends[ends.rounds == 2].time_s.max()
    assert rows.accuracy.notna().tolist() == (rows.time_s >= ready_s).tolist()
    # All have one gate, which asks each expert alike.
    assert rows.local_ratio.iloc[-1] == pytest.approx(1 / N, abs=1e-12)
    where = {"index": ["cluster", "device"], "columns": "expert", "values": "relevance"}
    pattern = result.assignments.pivot_table(**where)
    assert pattern.sum(axis=1).to_numpy() == pytest.approx(np.ones(N))
    assert (pattern == pattern.iloc[0]).all(axis=None)


def test_a_round_of_fedsc_has_two_barriers() -> None:
    """Nobody gets the sum before everybody's matrix is up, nor trains before that is down."""
    rows = timing(extractor="fedsc").transfers
    matrices = rows[rows.payload.str.startswith("correlation")]
    assert matrices.delivered_bytes.tolist() == [D * (D + 1) / 2 * NUMBER] * 4 * N
    for version in range(2):
        here = rows[rows.version == version]
        up, down = here[here.payload == "correlation"], here[here.payload == "correlations"]
        weights = here[(here.payload == "extractor") & (here.direction == "uplink")]
        assert len(up) == len(down) == N
        assert up.end_s.max() <= down.start_s.min()
        first = down.groupby(["cluster", "device"]).end_s.first()
        assert (weights.groupby(["cluster", "device"]).start_s.first() >= first + 60.0).all()


@GATES
def test_the_network_changes_the_clock_and_not_the_weights(gate: str, tmp_path: Path) -> None:
    """A run without training has the same clock; equal keys prove equal learning there, too."""
    found, keys, learning = [], [], options(gate=gate)
    for rate in (1.0, 1e5):
        up = {"rate": "fixed", "fixed_rate_mbps": rate}
        link = {"uplink": up, "sidelink": {"rate_mbps": rate}}
        found.append(sim.run(nmoe(link=link, learning=learning), tmp_path / str(rate)))
        untrained = {"train": False, **learning}
        method, result = finished(nmoe(link=link, learning=untrained))
        handles = [method.server, *method.experts.values(), *method.gates.values()]
        keys.append([handle.key for handle in handles])
        assert result.manifest["timing_sha256"] == found[-1].manifest["timing_sha256"]
        assert result.metrics.f1.isna().all()
    assert keys[0] == keys[1]
    slow, fast = found
    assert slow.manifest["timing_sha256"] != fast.manifest["timing_sha256"]
    one, other = (load_file(r.folder / "model" / "model.safetensors") for r in found)
    assert set(one) == set(other)
    assert all(torch.equal(one[name], other[name]) for name in one)
    ends = [r.metrics[r.metrics.scope == "cluster"].f1.iloc[-2:].tolist() for r in found]
    assert ends[0] == ends[1]
    assert np.isfinite(ends[0]).all()


def test_rollgate_takes_a_training_and_a_hop_a_client() -> None:
    """Inside one cluster: each hop takes bytes x 8 / rate + distance / c."""
    result = timing(one_town(), gate="rollgate")
    hops = result.transfers[result.transfers.direction == "sidelink"]
    assert set(hops.payload) == {"gate"}
    hop_s = (D + 1) * 4 * NUMBER * 8 / 1e6 + 300 / 299792458
    assert (hops.end_s - hops.start_s).to_numpy() == pytest.approx([hop_s] * len(hops))
    assert hops.device.astype(int).tolist() == [0, 1, 2, 3, 0, 1, 2]
    ends = events(result, "train_end").time_s.to_numpy()[4:]
    assert np.diff(np.sort(ends)) == pytest.approx([60.0 + hop_s] * 7)
    # In an order drawn for each pass all clients come once a pass.
    drawn = events(
        timing(one_town(), gate="rollgate", gate_order="random", gate_rounds=4), "train_end"
    )
    stops = drawn[drawn.rounds == 1].sort_values("time_s").device.to_numpy().reshape(4, 4)
    assert np.sort(stops, axis=1).tolist() == [[0, 1, 2, 3]] * 4
    assert len(np.unique(stops, axis=0)) > 1


def test_fedgate_takes_as_long_as_the_slowest_client() -> None:
    own = [{"devices": 2}, {"devices": 2, "seconds_per_round": 100}]
    orbit = {"slots": {"seconds": 60_000}}
    rounds = events(timing(one_town(kinds=own), orbit=orbit, gate_rounds=5), "aggregate")
    moments = np.diff(rounds[rounds.detail.str.startswith("gate")].time_s)
    assert len(moments) == 4
    assert (moments >= 100.0).all()
    assert (moments < 101.0).all()


def test_the_part_of_the_gate_that_is_shared_is_what_is_sent() -> None:
    for sync, numbers in (("weight", N * D), ("bias", N)):
        rows = timing(gate_sync=sync).transfers
        gates = rows[rows.payload == "gate"]
        assert set(gates.direction) == {"uplink", "downlink"}
        assert set(gates.payload_bytes) == {numbers * NUMBER}


def test_with_fill_the_open_contact_carries_what_was_trained() -> None:
    """A client trains for as long as leaves time to send, and sends in that same slot."""
    fill = {"rounds": {"per_contact": "fill"}}
    rows = timing(learning=fill, extractor="fedce", extractor_rounds=1).transfers
    up = rows[(rows.payload == "extractor") & (rows.direction == "uplink")]
    ends = up.groupby("cluster").end_s.max()
    assert ends["A"] <= 600.0
    assert ends["B"] <= 1200.0


@pytest.mark.parametrize(("kind", "each"), [(VECTOR, 64 * NUMBER + 1), (IMAGE, 64 + 1)])
def test_the_central_server_trains_for_all_rounds_of_the_stages(kind: Any, each: int) -> None:
    """On all samples (1400 images less 30 a cluster for trial): a byte a pixel, one the label."""
    said = options(gate="central", extractor_rounds=3, expert_rounds=4, gate_rounds=5)
    model, data = ({"kind": part} for part in kind)
    learning = {"step_size": 0.1, "model": model, "data": data, **said}
    method, result = finished(nmoe(learning=learning))
    assert events(result, "aggregate").detail.tolist() == ["model rounds:12 at the server"]
    assert set(result.transfers[result.transfers.direction == "uplink"].payload) == {"samples"}
    assert sum(sent(result, "uplink", "samples")) == pytest.approx((1400 - 60) * each)
    for rounds, same in ((12, True), (5, False)):
        gate = method.learner.force(method.net.central(rounds).gate)["weight"]
        held = [method.learner.force(method.gates[name])["weight"] for name in "AB"]
        assert bool((torch.cat(held) == gate).all()) == same


# -- the exchange

KINDS = {"experts": ["expert", "experts"], "features": ["features", "outputs"]}


def exchanged(result: sim.Result) -> dict[str, float]:
    rows = result.transfers
    return {w: rows[rows.payload.isin(own)].delivered_bytes.sum() for w, own in KINDS.items()}


@pytest.mark.parametrize("gate", ["fedgate", "rangate"])
@pytest.mark.parametrize("way", ["experts", "features"])
def test_the_exchange_sends_what_the_formulas_say(way: str, gate: str) -> None:
    """Features go up once and down to all others, outputs up and back; one learns for RanGate."""
    said = options(exchange=way, gate=gate, extractor="none")
    method, result = finished(nmoe(learning=said))
    expert, moved = method.sizes.expert_bytes, N + N * (N - 1)
    taught = 1400 - 2 * 30  # 30 a cluster are for trial
    if gate == "rangate":
        [chosen] = method.trainer.learners()
        taught, moved = int(method.samples[chosen.cluster][chosen.device]), 2 * (N - 1)
    features = taught * NUMBER * (D + (N - 1) * D + 2 * (N - 1) * C)
    wanted = {"experts": moved * expert, "features": features}
    assert exchanged(result) == pytest.approx({"experts": 0.0, "features": 0.0, way: wanted[way]})
    held = summarise(result.tables, result.manifest)
    assert held["expert_memory_bytes"] == (N if way == "experts" else 1) * expert
    assert held["least_expert_memory_bytes"] <= expert
    assert held["model_expert_bytes"] == N * expert


@pytest.mark.parametrize(("gate", "moved", "learners"), [("fedgate", 25, 5), ("rangate", 8, 1)])
def test_the_exchange_takes_what_is_fewer_bytes(gate: str, moved: int, learners: int) -> None:
    """An expert of width w has 19 w + 10 numbers; of 50 samples a client features are as many."""
    features = 50 * learners * (D + (N - 1) * D + 2 * (N - 1) * C)
    width = int((features / moved - C) / (D + 1 + C))
    for more, way in ((0, "experts"), (1, "features")):
        learning = {"batch_size": 50, "model": {"expert_hidden": width + more}}
        found = exchanged(timing(learning=learning, exchange="auto", gate=gate))
        assert found.pop(way) > 0.0
        assert sum(found.values()) == 0.0


def test_others_features_take_computing_and_outputs_come_down_for_each_alone() -> None:
    """A beam that broadcasts sends all features at once, but each one's outputs in turn."""
    said = {"train": False, **options(exchange="features", extractor="none")}
    rate = {"downlink": {"rate": "fixed", "fixed_rate_mbps": 0.1}}
    method, result = finished(nmoe(ground=one_town(), link=rate, learning=said))
    flops_s = method.sizes.extractor_round("ce").flops / 60.0
    rows = result.transfers.sort_values("start_s")
    down, up = rows[rows.direction == "downlink"], rows[rows.direction == "uplink"]
    begin, arrived = up[up.payload == "outputs"].start_s, down[down.payload == "features"].end_s
    computed = 3 * method.sizes.samples * method.sizes.expert_flops / flops_s
    assert begin.min() - arrived.max() == pytest.approx(computed, rel=1e-6)
    for payload, turns in (("outputs", 4), ("gate", 1)):
        here = down[down.payload == payload]
        here = here[here.version == here.version.min()]
        alone_s = here.payload_bytes.iloc[0] * 8 / 0.1e6
        assert 0.95 * turns < (here.end_s.max() - here.start_s.min()) / alone_s < 1.5 * turns


# -- something is missing, or not finite


@GATES
def test_who_lacks_the_memory_holds_no_expert(gate: str) -> None:
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
    assert result.inferences.samples.sum() == N * 20
    if gate != "local":
        assert not result.inferences.experts.str.contains("B/0").any()
        assert rows[rows.expert == 2].relevance.sum() == 0.0
    drawn = method.learner.force(method.net.start_gate())["weight"]
    for gates in method.gates.values():
        held = method.learner.force(gates)["weight"]
        assert bool((held[:, 2] == drawn[2]).all())
        assert not bool((held[:, 3] == drawn[3]).all())


def test_who_lacks_the_memory_for_a_gate_keeps_its_expert() -> None:
    said = options(extractor="none", expert_rounds=0)
    method, result = finished(nmoe(ground=kinds(1e-7), learning=said))
    assert method.registry.holders.tolist() == np.eye(N, dtype=bool).tolist()
    assert method.clients.able["B"].tolist() == [False, True, True]
    up = result.transfers[result.transfers.direction == "uplink"]
    assert not ((up.payload == "gate") & (up.cluster == "B") & (up.device == 0)).any()


MEMORY = {"compute": {"memory_gib": 1e-6}, "learning": {}}
BROKEN = {"compute": {}, "learning": {"step_size": 1e30, "steps_per_round": 5}}


@pytest.mark.parametrize(
    ("gate", "lack", "told"),
    [
        *((gate, MEMORY, N) for gate in ("fedgate", "rollgate", "rangate", "random", "local")),
        ("fedgate", BROKEN, N),
        ("central", BROKEN, 1),
    ],
)
def test_without_any_expert_nobody_answers(gate: str, lack: Any, told: int) -> None:
    """Where no client has the memory, or all experts are not finite and so nobody's."""
    said = options(gate=gate, extractor="none", inference_samples=4)
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
def test_out_of_contacts_what_there_is_is_kept(cycles: int, stage: int, tmp_path: Path) -> None:
    result = sim.run(nmoe(stop={"cycles": cycles}), tmp_path / "run")
    assert events(result, "fault").detail.str.contains(f"no contact left in stage {stage}").any()
    assert result.manifest["status"] == "complete"
    assert (tmp_path / "run" / "model" / "model.safetensors").exists()
    assert result.metrics.accuracy.notna().any() == (stage == 3)


def test_killed_anywhere_and_resumed(tmp_path: Path) -> None:
    """Among others while messages are queued and queries are under way."""
    learning = options(extractor_rounds=1, gate_rounds=1, inference_samples=10)
    scenario = nmoe(stop={"cycles": 7}, learning=learning)

    def leave(event: int) -> None:
        if event % 80 == 0:
            shutil.copytree(tmp_path / "whole", tmp_path / str(event))

    whole = sim.run(scenario, tmp_path / "whole", each_event=leave, checkpoint_every_s=0.0)
    assert len(whole.inferences)
    for event in range(80, whole.manifest["events"] + 1, 80):
        resumed = sim.run(scenario, tmp_path / str(event), resume=True)
        assert resumed.manifest["trace_sha256"] == whole.manifest["trace_sha256"], event


# -- gate trainers of one's own

OWN = '''
import torch
from learning.gates import GATE_TRAINERS, GateTrainer
from tests.kit.learning import Operation

BREAK = Operation("own_gates:nan")


def nan(task, gates):
    return {name: tensor * torch.nan for name, tensor in gates.items()}


class Abstract(GateTrainer): ...


class Returns(GateTrainer):
    def train(self, me): return 5


class Unmade(Returns):
    def __init__(self, system): raise RuntimeError("no pairs")


class Yields(GateTrainer):
    def train(self, me): yield 5


class All:
    def trained(self, me, gates, rounds):
        return self.system.learner.make(BREAK, super().trained(me, gates, rounds))


class A0:
    """One client's data are what no gate stands."""

    def trained(self, me, gates, rounds):
        trained, learner = super().trained(me, gates, rounds), self.system.learner
        first = self.system.clients.mask(me.name, self.system.clients.of("A")[:1])
        return learner.select(first, learner.make(BREAK, trained), trained)


class Alone(GateTrainer):
    """Neither a barrier nor anything that is sent; A's gates are broken behind its back."""

    def train(self, me):
        yield from self.local(me, self.able(me))
        if me.name == "A":
            gates = self.system.gates
            gates["A"] = self.system.learner.make(BREAK, gates["A"])


for breaks in (All, A0):
    for name in ("fedgate", "rollgate", "rangate"):
        both = breaks, GATE_TRAINERS.find(name)
        globals()[f"{breaks.__name__}_{name}"] = type(name, both, {})
'''


@pytest.fixture
def own_gates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_gates.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))


def with_gate(name: str, **said: Any) -> tuple[Any, Any]:
    learning = options(gate=f"own_gates:{name}", extractor="none", inference_samples=4, **said)
    return finished(nmoe(learning={"step_size": 0.1, **learning}))


@pytest.mark.usefixtures("own_gates")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Abstract", "has no method train"),
        ("Unmade", r"cannot be made \(no pairs\)"),
        ("Returns", r"train\(\) returned 5"),
        ("Yields", r"train\(\) yielded 5"),
    ],
)
def test_a_trainer_of_ones_own_that_does_not_work_is_named(name: str, message: str) -> None:
    told = rf"gate: 'own_gates:{name}'.*{message}"
    with pytest.raises((ValueError, SimulationError), match=told):
        with_gate(name)


@pytest.mark.usefixtures("own_gates")
@pytest.mark.parametrize("sync", ["all", "weight"])
@pytest.mark.parametrize(
    ("name", "drops"), [("All_fedgate", 10), ("All_rollgate", 10), ("All_rangate", 2), ("Alone", 2)]
)
def test_gates_that_are_not_finite_are_refused(name: str, drops: int, sync: str) -> None:
    """Those clients keep the gate as drawn, and answer by it."""
    method, result = with_gate(name, gate_sync=sync)
    dropped = events(result, "drop").detail
    assert len(dropped) == drops
    assert dropped.str.contains("refused: not finite").all()
    drawn = method.learner.force(method.net.start_gate())
    for cluster in "A" if name == "Alone" else "AB":
        held = method.learner.force(method.gates[cluster])
        assert all(bool((held[part] == drawn[part]).all()) for part in drawn)
    assert result.inferences.samples.sum() == N * 4


@pytest.mark.usefixtures("own_gates")
@pytest.mark.parametrize("sync", ["all", "weight"])
@pytest.mark.parametrize("gate", ["fedgate", "rollgate"])
def test_one_client_that_breaks_its_gate_takes_the_shared_one(gate: str, sync: str) -> None:
    method, result = with_gate(f"A0_{gate}", gate_sync=sync)
    assert len(events(result, "drop")) == 2
    a, b = (method.learner.force(method.gates[name]) for name in "AB")
    drawn = method.learner.force(method.net.start_gate())
    assert not torch.equal(a["weight"][0], drawn["weight"])
    assert bool((b["weight"] == a["weight"][0]).all())
    if (gate, sync) == ("fedgate", "weight"):
        assert torch.equal(a["bias"][0], drawn["bias"])
        assert not bool((b["bias"] == drawn["bias"]).all())
    assert result.inferences.samples.sum() == N * 4


# -- what is refused


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gate": "fedgat"}, "gate: .*did you mean 'fedgate'"),
        ({"gate": "learning:Architecture"}, "gate: .* is no gate trainer"),
        ({"gate": "nowhere:Gate"}, "gate: .*nowhere.* cannot be imported"),
        ({"extractor": "fedxx"}, "extractor: 'fedxx' should be one of fedsc, fedce, none"),
        ({"inference_deadline_s": -1.0}, r"inference_deadline_s: -1\.0 should be above 0"),
        ({"inference_interval_s": 0.0}, r"inference_interval_s: 0\.0 should be above 0"),
        ({"inference_batch": 0}, "inference_batch: 0 should be above 0"),
        ({"gate_rounds": -1}, "gate_rounds: -1 should be 0 or more"),
        ({"gate_rounds": 2.5}, r"gate_rounds: 2\.5 should be a int"),
        ({"momentum": 1.0}, r"momentum: 1\.0 should lie in 0 to below 1"),
        ({"gate_sync": "biases"}, "gate_sync: 'biases' should be one of all, weight, bias"),
        ({"exchange": "labels"}, "exchange: 'labels' should be one of auto, experts"),
        ({"inference_late": "panic"}, "inference_late: 'panic' should be one of wait"),
        ({"rounds": 3}, "rounds: unknown option"),
        ({"extractor": "fedsc", "estimator": "pairs"}, "estimator: 'pairs' has no correlation"),
    ],
)
def test_options_are_checked(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(sim.InputError, match=rf"learning\.options\.{message}"):
        build(nmoe(learning=options(**changes)))


def test_what_networked_experts_cannot_use_is_refused(leomix: Any) -> None:
    with pytest.raises(ValueError, match=r"model\.kind is 'vector-moe'; .*'vector-nmoe' or"):
        sim.run(slots(learning={"method": "nmoe", "options": {}, "lora": {"rank": 4}}))
    with pytest.raises(ValueError, match=r"learning\.model\.top_k is 6, but there are 5 clients"):
        sim.run(nmoe(learning={"model": {"top_k": 6}}))
    for name, key, message in (
        ("quickstart", "method=nmoe", "networked experts need 'vector-nmoe' or 'image-nmoe'"),
        ("nmoe-digits", "lora.rank=2", "learning.lora.rank: is not used by method 'nmoe'; remove"),
    ):
        outcome = leomix("validate", name, "--set", f"learning.{key}")
        assert outcome.status == 2
        assert message in outcome.err
