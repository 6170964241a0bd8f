"""Whole runs of NMoE: against plain PyTorch, and bytes and times in closed form."""

import math

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.func import functional_call
from torch.nn import functional

import sim
from tests.kit.inner.learning import (
    Pretext,
    extractor,
    gates,
    make_extractor,
    rows_of_round,
    stream,
    view,
)
from tests.kit.inner.sim import build
from tests.kit.small_nmoe import events, finished, nmoe, options

CLIENTS = [("A", 0), ("A", 1), ("B", 0), ("B", 1), ("B", 2)]
N, D, C, NUMBER = 5, 8, 10, 4
VECTOR = ("vector-nmoe", "digits")
IMAGE = ("image-nmoe", "digit-images")
FOUR = {"clusters": [{"name": "A", "devices": 4}]}
LABELS = {"over": "devices", "kind": "dirichlet", "alpha": 0.5}


# -- a whole run against plain PyTorch, batch by batch, on shards of unequal size


def by_hand(scenario, loss):
    """Extractor, experts and gate as the notes define them, with nothing of the stages' code."""
    method = build(scenario).new_method()
    task = method.learner.task
    kind = {"fedce": "ce", "fedsc": "spectral"}[loss]
    sizes = [task.shards[c].sizes[d] for c, d in CLIENTS]
    assert len(np.unique(sizes)) > 2
    pretext = Pretext(task.config.model, task.spec, kind).double()
    features = make_extractor(task.config.model, task.spec).double()

    def fitted(start, client, numbers, loss, step_size=0.1, momentum=0.0, largest=math.inf):
        """The weights of a client after a step for each batch of some rounds."""
        weights = {name: tensor.clone().requires_grad_() for name, tensor in start.items()}
        optimiser = torch.optim.SGD(weights.values(), lr=step_size, momentum=momentum)
        samples = task.shards[client[0]].samples
        of_client = [task, client[0], [client[1]]]
        rounds = [rows_of_round(*of_client, [number])[0] for number in numbers]
        for rows in np.concatenate(rounds):
            optimiser.zero_grad()
            loss(weights, samples.x[rows], samples.y[rows]).backward()
            norm = sum(float(w.grad.square().sum()) for w in weights.values()) ** 0.5
            for tensor in weights.values():
                tensor.grad *= min(1.0, largest / norm)  # torch's clips to a norm 1e-6 less
            optimiser.step()
        return {name: tensor.detach() for name, tensor in weights.items()}

    def projected(weights, x, rng):
        found = (functional_call(pretext, weights, view(x, rng)) for _ in range(2))
        return [z / (z.norm(dim=1, keepdim=True) / 4.0**0.5).clamp_min(1.0) for z in found]

    def correlation(client, number):
        x = task.shards[client[0]].of(client[1]).x
        z = torch.cat(projected(server, x, stream(3, "correlation", *client, number)))
        return (z.T @ z / len(z)).detach()

    def extractor_round(client, number, others):
        rng = stream(3, "views", *client, number)
        alpha = 1 - (1 - 1 / N) * number / 2

        def pretext_loss(weights, x, y):
            if kind == "ce":
                return functional.cross_entropy(functional_call(pretext, weights, x), y)
            z0, z1 = projected(weights, x, rng)
            both = torch.cat((z0, z1))
            own = both.T @ both / len(both)
            apart = alpha * (own * own).sum() + 2 * (1 - alpha) * (own * others).sum()
            return apart - 2 * (z0 * z1).sum(1).mean()

        return fitted(server, client, [number], pretext_loss, 0.1 * 0.8, 0.9, 3.0)

    def answer(expert, x):
        h = functional_call(features, own, x)
        inner = functional.gelu(h @ expert["up.weight"].T + expert["up.bias"])
        return inner @ expert["down.weight"].T + expert["down.bias"]

    def expert_loss(expert, x, y):
        return functional.cross_entropy(answer(expert, x), y)

    def gate_loss(gate, x, y):
        scores = functional_call(features, own, x) @ gate["weight"].T + gate["bias"]
        answers = torch.stack([answer(expert, x).softmax(-1) for expert in experts], 1)
        return functional.nll_loss((scores.softmax(-1)[:, :, None] * answers).sum(1).log(), y)

    server = extractor.start_extractor(task, loss=kind)
    for number in range(2):
        own = [correlation(client, number) for client in CLIENTS] if loss == "fedsc" else [0.0] * N
        others = [(sum(own) - one) / (N - 1) for one in own]
        copies = [extractor_round(c, number, o) for c, o in zip(CLIENTS, others, strict=True)]
        server = mean(copies, sizes if loss == "fedce" else [1] * N)
    own = part(server, "extractor.")
    drawn = [part(task.initial, f"expert.{number}.0.") for number in range(N)]
    experts = [fitted(d, c, range(2), expert_loss) for d, c in zip(drawn, CLIENTS, strict=True)]
    gate = part(task.initial, "gate.0.")
    for number in range(2):
        copies = [fitted(gate, client, [number], gate_loss, 0.1 * 0.5) for client in CLIENTS]
        gate = mean(copies, sizes)
    parts = {"extractor": own, "gate.0": gate}
    parts |= {f"expert.{number}.0": expert for number, expert in enumerate(experts)}
    return {f"{at}.{name}": tensor for at, own in parts.items() for name, tensor in own.items()}


def part(tensors, prefix):
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}


def mean(copies, weights):
    pairs = list(zip(weights, copies, strict=True))
    return {n: sum(w * copy[n] for w, copy in pairs) / sum(weights) for n in copies[0]}


@pytest.mark.parametrize(("loss", "kind"), [("fedce", VECTOR), ("fedce", IMAGE), ("fedsc", VECTOR)])
def test_a_run_is_plain_training(loss, kind, tmp_path):
    learning = {
        "precision": "float64", "steps_per_round": 2, "step_size": 0.1, "gate_step_size_ratio": 0.5,
        "model": {"kind": kind[0]}, "data": {"kind": kind[1], "split": LABELS},
    }  # fmt: skip
    said = {"extractor_step_size_ratio": 0.8, "extractor": loss}
    scenario = nmoe(learning={**learning, **options(**said)})
    shared = sim.run(scenario, tmp_path).transfers.payload.str.startswith("correlation").any()
    assert shared == (loss == "fedsc")
    found = load_file(tmp_path / "model" / "model.safetensors")
    for name, tensor in by_hand(scenario, loss).items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("gate", ["fedgate", "rollgate", "local"])
@pytest.mark.quick(1)
def test_the_network_changes_the_clock_and_not_the_weights(gate, tmp_path):
    """A run without training has the same clock."""
    found = []
    learning = options(gate=gate)
    for rate in (1.0, 1e5):
        up = {"rate": "fixed", "fixed_rate_mbps": rate}
        link = {"uplink": up, "sidelink": {"rate_mbps": rate}}
        run = sim.run(nmoe(link=link, learning=learning), tmp_path / str(rate))
        clock = sim.run(nmoe(link=link, learning={"train": False, **learning}))
        assert clock.manifest["timing_sha256"] == run.manifest["timing_sha256"]
        found.append(run)
    assert found[0].manifest["timing_sha256"] != found[1].manifest["timing_sha256"]
    one, other = (load_file(r.folder / "model" / "model.safetensors") for r in found)
    assert set(one) == set(other)
    assert all(torch.equal(one[name], other[name]) for name in one)


# -- what stages send, and when


def sent(result, direction, payload):
    rows = result.transfers[result.transfers.direction == direction]
    return sorted(rows[rows.payload == payload].delivered_bytes)


def timing(ground=(), learning=(), **said):
    """A run that trains nothing, with random features."""
    own = {"train": False, **options(**{"extractor": "none", **said}), **dict(learning)}
    return sim.run(nmoe(ground=dict(ground), learning=own))


def test_bytes_and_scores_of_fedce_and_fedgate(runs):
    """Closed forms of the notes: a client sends |F| + head up and gets it down, then 2 |G|."""
    result = runs.result("nmoe")
    sizes = build(nmoe()).new_method().sizes
    whole, frozen = (sizes.kept_bytes(sizes.extractor, p) for p in (sizes.trained_with("ce"), {}))
    gate = sizes.kept_bytes(sizes.gate)
    expert = sizes.expert_bytes
    assert sent(result, "uplink", "extractor") == pytest.approx([whole] * 2 * N)
    assert sent(result, "downlink", "extractor") == pytest.approx([frozen] * N + [whole] * N)
    for way in ("uplink", "downlink"):
        assert sent(result, way, "gate") == pytest.approx([gate] * 2 * N)
    assert sent(result, "uplink", "expert") == pytest.approx([expert] * N)
    assert sent(result, "downlink", "experts") == pytest.approx([(N - 1) * expert] * N)
    # Nothing is measured before there are experts, which alone train two rounds at a time.
    rows = result.metrics[result.metrics.scope == "global"]
    ends = events(result, "train_end")
    ready_s = ends[ends.rounds == 2].time_s.max()
    assert rows.accuracy.notna().tolist() == (rows.time_s >= ready_s).tolist()
    # All have one gate, which asks each expert alike.
    assert rows.local_ratio.iloc[-1] == pytest.approx(1 / N, abs=1e-12)
    gates = timing(gate_sync="bias").transfers
    assert set(gates[gates.payload == "gate"].payload_bytes) == {N * NUMBER}


def test_a_round_of_fedsc_has_two_barriers():
    """Nobody gets the sum before everybody's matrix is up, nor trains before that is down."""
    rows = timing(extractor="fedsc").transfers
    matrices = rows[rows.payload.str.startswith("correlation")]
    assert matrices.delivered_bytes.tolist() == [D * (D + 1) / 2 * NUMBER] * 4 * N
    for _, here in rows[rows.version < 2].groupby("version"):
        up = here[here.payload == "correlation"]
        down = here[here.payload == "correlations"]
        weights = here[(here.payload == "extractor") & (here.direction == "uplink")]
        assert len(up) == len(down) == N
        assert up.end_s.max() <= down.start_s.min()
        first = down.groupby(["cluster", "device"]).end_s.first()
        assert (weights.groupby(["cluster", "device"]).start_s.first() >= first + 60.0).all()


def test_rollgate_takes_a_training_and_a_hop_a_client():
    """Inside one cluster: each hop takes bytes x 8 / rate + distance / c."""
    result = timing(FOUR, gate="rollgate")
    hops = result.transfers[result.transfers.direction == "sidelink"]
    hop_s = (D + 1) * 4 * NUMBER * 8 / 1e6 + 300 / 299792458
    assert (hops.end_s - hops.start_s).to_numpy() == pytest.approx([hop_s] * len(hops))
    assert hops.device.astype(int).tolist() == [0, 1, 2, 3, 0, 1, 2]
    ends = events(result, "train_end").time_s.to_numpy()[4:]
    assert np.diff(np.sort(ends)) == pytest.approx([60.0 + hop_s] * 7)


@pytest.mark.parametrize(("kind", "each"), [(VECTOR, 64 * NUMBER + 1), (IMAGE, 64 + 1)])
def test_the_central_server_trains_for_all_rounds_of_the_stages(kind, each):
    """On all samples (1400 images less 30 a cluster for trial): a byte a pixel, one the label."""
    said = options(gate="central", extractor_rounds=3, expert_rounds=4, gate_rounds=5)
    learning = {"step_size": 0.1, "model": {"kind": kind[0]}, "data": {"kind": kind[1]}, **said}
    method, result = finished(nmoe(learning=learning))
    assert set(result.transfers[result.transfers.direction == "uplink"].payload) == {"samples"}
    assert sum(sent(result, "uplink", "samples")) == pytest.approx((1400 - 60) * each)
    held = torch.cat([method.learner.force(method.gates[name])["weight"] for name in "AB"])
    whole = gates.central(method.learner.task, rounds=12)
    assert (held == whole["gate.weight"]).all()


# -- the exchange

KINDS = {"experts": ["expert", "experts"], "features": ["features", "outputs"]}


def exchanged(result):
    rows = result.transfers
    return {w: rows[rows.payload.isin(own)].delivered_bytes.sum() for w, own in KINDS.items()}


@pytest.mark.parametrize(("gate", "moved", "learners"), [("fedgate", 25, 5), ("rangate", 8, 1)])
def test_the_exchange_sends_what_the_formulas_say_or_what_is_fewer_bytes(gate, moved, learners):
    """Features go up once and down to all others, outputs up and back; one learns for RanGate."""
    for way in KINDS:
        method, result = finished(nmoe(learning=options(exchange=way, gate=gate, extractor="none")))
        taught = sum(method.samples[n.cluster][n.device] for n in method.trainer.learners())
        expert = method.sizes.expert_bytes
        each = D + (N - 1) * D + 2 * (N - 1) * C
        wanted = {"experts": moved * expert, "features": taught * NUMBER * each}
        assert exchanged(result) == pytest.approx({"experts": 0, "features": 0, way: wanted[way]})
        held = (N if way == "experts" else 1) * expert
        assert result.summary["expert_memory_bytes"] == held
    # An expert of width w has 19 w + 10 numbers; of 50 samples a client features are as many.
    width = int((50 * learners * each / moved - C) / (D + 1 + C))
    for more, way in ((0, "experts"), (1, "features")):
        learning = {"batch_size": 50, "model": {"expert_hidden": width + more}}
        found = exchanged(timing(learning=learning, exchange="auto", gate=gate))
        assert [kind for kind, bytes_ in found.items() if bytes_] == [way]
