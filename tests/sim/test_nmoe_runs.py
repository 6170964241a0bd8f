"""Whole runs of NMoE: against plain PyTorch, and bytes and times in closed form."""

from collections import OrderedDict

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional

import sim
from tests.kit.learning import stream
from tests.kit.network import build
from tests.kit.results import summarise
from tests.kit.small_nmoe import NMOE, events, finished, nmoe, options
from tests.kit.training import Pretext, make_extractor, rows_of_round, view

CLIENTS = [("A", 0), ("A", 1), ("B", 0), ("B", 1), ("B", 2)]
N, D, C, NUMBER = 5, 8, 10, 4
GATES = pytest.mark.parametrize("gate", ["fedgate", "rollgate", "rangate", "random", "local"])


# -- a whole run against plain PyTorch, batch by batch, on shards of unequal size


def scenario_by_hand(loss, model, data, largest):
    learning = {
        "precision": "float64", "steps_per_round": 2, "step_size": 0.1, "gate_step_size_ratio": 0.5,
        "model": {"kind": model}, "data": {"kind": data, "partition": "dirichlet"},
    }  # fmt: skip
    said = {"extractor_step_size_ratio": 0.8, "momentum": 0.5, "largest_gradient": largest}
    return nmoe(learning={**learning, **options(extractor=loss, share_correlations=False, **said)})


class ByHand:
    """Extractor, experts and gate as the notes define them, with nothing of the stages' code."""

    def __init__(self, scenario, loss, largest):
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
        self.features.requires_grad_(False)
        self.experts = [self.expert(e, *client) for e, client in enumerate(CLIENTS)]
        self.gate = {name: self.task.initial[f"gate.0.{name}"] for name in ("weight", "bias")}
        for number in range(2):
            copies = [self.gate_round(*client, number) for client in CLIENTS]
            self.gate = mean(copies, self.sizes)

    def batches(self, cluster, device, number):
        samples = self.task.shards[cluster].samples
        rows = rows_of_round(self.task, cluster, device, number)
        return [(samples.x[step], samples.y[step]) for step in rows]

    def extractor_round(self, cluster, device, number):
        model = Pretext(self.task.config.model, self.task.spec, self.kind).double()
        model.load_state_dict(self.server)
        rng = stream(3, "views", cluster, device, number)

        def loss(x, y):
            if self.kind == "ce":
                return functional.cross_entropy(model(x), y)
            z0, z1 = (clipped(model(view(x, rng))) for _ in range(2))
            both = torch.cat((z0, z1))
            return -2 * (z0 * z1).sum(1).mean() + ((both @ both.T) ** 2).mean()

        batches = self.batches(cluster, device, number)
        return fitted(model, batches, loss, 0.1 * 0.8, momentum=0.5, largest=self.largest)

    def expert(self, number, cluster, device):
        parts = {"up": nn.Linear(D, D), "gelu": nn.GELU(), "down": nn.Linear(D, C)}
        expert, prefix = nn.Sequential(OrderedDict(parts)).double(), f"expert.{number}.0."
        drawn = {n.removeprefix(prefix): t for n, t in self.task.initial.items() if prefix in n}
        expert.load_state_dict(drawn)
        batches = [batch for number in range(2) for batch in self.batches(cluster, device, number)]
        fitted(expert, batches, lambda x, y: functional.cross_entropy(expert(self.features(x)), y))
        return expert.requires_grad_(False)

    def gate_round(self, cluster, device, number):
        gate = nn.Linear(D, N).double()
        gate.load_state_dict(self.gate)

        def loss(x, y):
            h = self.features(x)
            answers = torch.stack([expert(h).softmax(-1) for expert in self.experts], 1)
            mixture = (gate(h).softmax(-1)[:, :, None] * answers).sum(1)
            return functional.nll_loss(mixture.log(), y)

        return fitted(gate, self.batches(cluster, device, number), loss, 0.1 * 0.5)


def fitted(module, batches, loss, step_size=0.1, momentum=0.0, largest=0.0):
    """Its weights after a step for each batch."""
    optimiser = torch.optim.SGD(module.parameters(), lr=step_size, momentum=momentum)
    for x, y in batches:
        optimiser.zero_grad()
        loss(x, y).backward()
        if largest:
            nn.utils.clip_grad_norm_(module.parameters(), largest)
        optimiser.step()
    return {name: tensor.detach() for name, tensor in module.state_dict().items()}


def clipped(z):
    return z / (z.norm(dim=1, keepdim=True) / 4.0**0.5).clamp_min(1.0)


def mean(copies, weights):
    pairs = list(zip(weights, copies, strict=True))
    return {n: sum(w * copy[n] for w, copy in pairs) / sum(weights) for n in copies[0]}


VECTOR, IMAGE = ("vector-nmoe", "digits"), ("image-nmoe", "digit-images")


@pytest.mark.parametrize(
    ("loss", "kind", "largest"),
    [("fedce", VECTOR, 0.0), ("fedce", IMAGE, 0.5), ("fedsc", VECTOR, 1e6)],
)
def test_a_run_is_plain_training(loss, kind, largest, tmp_path):
    scenario = scenario_by_hand(loss, *kind, largest)
    result, wanted = sim.run(scenario, tmp_path), ByHand(scenario, loss, largest)
    assert events(result, "fault").empty
    assert not result.transfers.payload.str.startswith("correlation").any()
    assert len(np.unique(wanted.sizes)) > 2
    tensors = {n: t for n, t in wanted.server.items() if n.startswith("extractor.")}
    tensors |= {f"gate.0.{n}": t for n, t in wanted.gate.items()}
    for number, expert in enumerate(wanted.experts):
        tensors |= {f"expert.{number}.0.{n}": t for n, t in expert.state_dict().items()}
    found = load_file(tmp_path / "model" / "model.safetensors")
    for name, tensor in tensors.items():
        # torch divides by a norm that is 1e-6 larger where it clips
        tolerance = 1e-6 if largest == 0.5 else 1e-8
        torch.testing.assert_close(found[name], tensor, rtol=tolerance, atol=tolerance / 100)


# -- what stages send, and when


def sent(result, direction, payload):
    rows = result.transfers
    found = rows[(rows.direction == direction) & (rows.payload == payload)]
    assert (found.outcome == "delivered").all()
    return sorted(found.delivered_bytes)


def timing(ground=NMOE["ground"], learning=(), orbit=(), **said):
    """A run that trains nothing, with random features."""
    own = {"train": False, **options(**{"extractor": "none", **said}), **dict(learning)}
    return sim.run(nmoe(ground=ground, orbit=dict(orbit), learning=own))


def one_town(**changes):
    return {"clusters": [{"name": "A", "devices": 4, **changes}]}


def test_bytes_and_scores_of_fedce_and_fedgate(runs):
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


def test_a_round_of_fedsc_has_two_barriers():
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
def test_the_network_changes_the_clock_and_not_the_weights(gate, tmp_path):
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


def test_rollgate_takes_a_training_and_a_hop_a_client():
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
    shuffled = timing(one_town(), gate="rollgate", gate_order="random", gate_rounds=4)
    drawn = events(shuffled, "train_end")
    stops = drawn[drawn.rounds == 1].sort_values("time_s").device.to_numpy().reshape(4, 4)
    assert np.sort(stops, axis=1).tolist() == [[0, 1, 2, 3]] * 4
    assert len(np.unique(stops, axis=0)) > 1


def test_fedgate_takes_as_long_as_the_slowest_client():
    own = [{"devices": 2}, {"devices": 2, "seconds_per_round": 100}]
    orbit = {"slots": {"seconds": 60_000}}
    rounds = events(timing(one_town(kinds=own), orbit=orbit, gate_rounds=5), "aggregate")
    moments = np.diff(rounds[rounds.detail.str.startswith("gate")].time_s)
    assert len(moments) == 4
    assert (moments >= 100.0).all()
    assert (moments < 101.0).all()


def test_the_part_of_the_gate_that_is_shared_is_what_is_sent():
    for sync, numbers in (("weight", N * D), ("bias", N)):
        rows = timing(gate_sync=sync).transfers
        gates = rows[rows.payload == "gate"]
        assert set(gates.direction) == {"uplink", "downlink"}
        assert set(gates.payload_bytes) == {numbers * NUMBER}


def test_with_fill_the_open_contact_carries_what_was_trained():
    """A client trains for as long as leaves time to send, and sends in that same slot."""
    fill = {"rounds": {"per_contact": "fill"}}
    rows = timing(learning=fill, extractor="fedce", extractor_rounds=1).transfers
    up = rows[(rows.payload == "extractor") & (rows.direction == "uplink")]
    ends = up.groupby("cluster").end_s.max()
    assert ends["A"] <= 600.0 and ends["B"] <= 1200.0


@pytest.mark.parametrize(("kind", "each"), [(VECTOR, 64 * NUMBER + 1), (IMAGE, 64 + 1)])
def test_the_central_server_trains_for_all_rounds_of_the_stages(kind, each):
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


def exchanged(result):
    rows = result.transfers
    return {w: rows[rows.payload.isin(own)].delivered_bytes.sum() for w, own in KINDS.items()}


@pytest.mark.parametrize("gate", ["fedgate", "rangate"])
@pytest.mark.parametrize("way", ["experts", "features"])
def test_the_exchange_sends_what_the_formulas_say(way, gate):
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
def test_the_exchange_takes_what_is_fewer_bytes(gate, moved, learners):
    """An expert of width w has 19 w + 10 numbers; of 50 samples a client features are as many."""
    features = 50 * learners * (D + (N - 1) * D + 2 * (N - 1) * C)
    width = int((features / moved - C) / (D + 1 + C))
    for more, way in ((0, "experts"), (1, "features")):
        learning = {"batch_size": 50, "model": {"expert_hidden": width + more}}
        found = exchanged(timing(learning=learning, exchange="auto", gate=gate))
        assert found.pop(way) > 0.0 and sum(found.values()) == 0.0


def test_others_features_take_computing_and_outputs_come_down_for_each_alone():
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
