"""Client-expert alignment in whole runs: what goes where, what comes of it, and what is refused."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn.functional import cross_entropy, gelu, layer_norm

import scenarios
import sim
from learning.policies import InfeasibleAssignment
from sim.execution.ready import build
from tests.kit.plain_loop import minibatches
from tests.kit.small import SLOTS, fixed, merged, slots
from tests.kit.small_nmoe import events

CLIENTS = [("A", 0), ("A", 1), ("B", 0), ("B", 1), ("B", 2)]
MODEL = {"experts": 4, "top_k": 2, "hidden": 16, "expert_hidden": 16}


def aligned(learning=(), **options):
    said = {"method": "aligned", "options": {"capacity": 2, **options}, "model": MODEL}
    return {**said, **dict(learning)}


def timing(*towns, learning=(), cycles=3, capacity=0, options=(), **changes):
    """A run that trains nothing, in the usual clusters or A, B of one device each, unless said."""
    places = [{"name": n, "devices": 1, **town} for n, town in zip("AB", towns, strict=False)]
    changes |= {"ground": {"clusters": places}} if places else {}
    changes |= {"compute": {"seconds_per_round": 100}, **changes, "stop": {"cycles": cycles}}
    own = aligned({"train": False, **dict(learning)}, **{**dict(options), "capacity": capacity})
    return sim.run(slots(**changes, learning=own))


def rounds_of(result):
    """Fitness, assignment and samples (C, E) of every round."""
    keys = ("relevance", "assigned", "samples")
    return [
        {key: rows[key].to_numpy().reshape(-1, rows.expert.max() + 1) for key in keys}
        for _, rows in result.assignments.groupby("time_s")
    ]


# -- one round against a second implementation


def plain_logits(model, x, reach):
    """Logits, and the weights (n, E) of the experts that serve a sample."""
    h = gelu(x @ model["embed.weight"].T + model["embed.bias"])
    z = layer_norm(h, h.shape[-1:], model["norms.0.weight"], model["norms.0.bias"])
    scores = z @ model["gate.0.weight"].T
    barred = torch.full_like(scores, -torch.inf)
    barred[:, reach] = scores[:, reach]
    p = barred.softmax(-1)
    weight = p * torch.zeros_like(p).scatter(-1, p.topk(2, -1).indices, 1.0)
    for expert in reach:
        up, down = (f"expert.{expert}.0.{part}" for part in ("up", "down"))
        inner = gelu(z @ model[f"{up}.weight"].T + model[f"{up}.bias"])
        out = inner @ model[f"{down}.weight"].T + model[f"{down}.bias"]
        h = h + weight[:, expert, None] * out
    h = layer_norm(h, h.shape[-1:], model["norm.weight"], model["norm.bias"])
    return h @ model["head.weight"].T + model["head.bias"], weight


def plain_device(start, shard, where, reach):
    """A device's model after its local round, the samples its experts serve, and their accuracy."""
    model = {name: tensor.clone() for name, tensor in start.items()}
    mine = tuple(f"expert.{expert}." for expert in reach)
    names = [name for name in model if name.startswith(("gate.", *mine))]
    for rows in minibatches(3, *where, 0, len(shard.y), (3, 4)):
        leaves = [model[name].requires_grad_() for name in names]
        logits, _ = plain_logits(model, shard.x[rows], reach)
        gradients = torch.autograd.grad(cross_entropy(logits, shard.y[rows]), leaves)
        for name, gradient in zip(names, gradients, strict=True):
            model[name] = model[name].detach() - 0.5 * gradient
    logits, weight = plain_logits(model, shard.x, reach)
    used = (weight > 0).numpy()
    right = (logits.argmax(-1) == shard.y).numpy()
    served = used.sum(axis=0)
    return model, served, (used & right[:, None]).sum(axis=0) / np.maximum(served, 1)


def test_a_round_is_what_plain_pytorch_makes_of_it(tmp_path):
    steps = {"step_size": 0.5, "gate_step_size_ratio": 1.0, "steps_per_round": 3}
    learning = aligned({"lora": {"rank": None}, **steps})
    scenario = slots(stop={"cycles": 1}, learning=learning)
    first, second = rounds_of(sim.run(scenario, tmp_path / "run"))
    final = load_file(tmp_path / "run" / "model" / "model.safetensors")
    learner = build(scenario).learner
    start = {**learner.task.backbone, **learner.force(learner.start())}
    shards = [learner.task.shards[cluster].of(device) for cluster, device in CLIENTS]
    found = [
        plain_device(start, shard, where, np.flatnonzero(row).tolist())
        for shard, where, row in zip(shards, CLIENTS, first["assigned"], strict=True)
    ]
    ends, used, accuracy = (list(part) for part in zip(*found, strict=True))
    use = np.array(used)
    before = first["relevance"]
    assert not first["samples"].any()
    assert (second["samples"] == use).all()
    expected = np.where(use > 0, 0.5 * before + 0.5 * np.array(accuracy), before)
    np.testing.assert_allclose(second["relevance"], expected, atol=1e-12)
    sizes = np.array([len(shard.y) for shard in shards], float)
    for name, tensor in start.items():
        own = name.startswith("expert.")
        weights = use[:, int(name.split(".")[1])] if own else sizes
        total = sum(w * (end[name] - tensor) for w, end in zip(weights, ends, strict=True))
        torch.testing.assert_close(final[name], tensor + total / weights.sum(), rtol=0, atol=2e-6)
    assert max(float((final[name] - start[name]).abs().max()) for name in start) > 0.01


# -- what is assigned, by contact plan, memory, speed and turns


@pytest.mark.parametrize(
    "policy", ["random", "greedy", "balanced-random", "balanced-fitness", "expert-driven"]
)
def test_what_is_assigned_is_what_goes_down_and_up(policy):
    """With links of each device's own, and swaps now and then; balanced loads differ by one."""
    scenario = slots(link=fixed(downlink=1.0), learning=aligned(policy=policy, exploration=0.3))
    result = sim.run(scenario)
    sizes = build(scenario).learner.architecture
    rounds = rounds_of(result)
    rows = result.transfers
    for number, row in enumerate(rounds[:-1]):
        assert (row["assigned"].sum(axis=1) <= 2).all()
        moved = rows[rows.version == number].groupby(["cluster", "device", "direction"])
        wanted = {}
        for client, own in zip(CLIENTS, row["assigned"], strict=True):
            if own.any():
                part = range(own.sum())
                wanted[*client, "uplink"] = [sizes.upload_bytes(part, gate=True)]
                wanted[*client, "downlink"] = [sizes.download_bytes(part, gate=True)]
        assert {key: own.payload_bytes.tolist() for key, own in moved} == wanted
    if "balanced" in policy:
        loads = [row["assigned"].sum(axis=0) for row in rounds if row["assigned"].any()]
        assert all(load.max() - load.min() <= 1 for load in loads)


@pytest.mark.parametrize("rate_mbps", [1e-5, 1.5e-5, 2e-5, 1.0])
def test_the_contact_plan_says_how_many_experts_a_device_takes(rate_mbps):
    """A round of 60 s and an upload in a slot of 600 s; and what is taken gets through."""
    link = fixed(uplink=rate_mbps)
    sizes = build(slots(learning=aligned())).learner.architecture
    up = np.array([sizes.upload_bytes(range(k), gate=True) for k in range(1, 5)])
    most = int((up * 8 / (rate_mbps * 1e6) + 60 <= 600).sum())
    result = timing(options={"policy": "random"}, link=link, compute={"seconds_per_round": 60})
    taken = rounds_of(result)[0]["assigned"].sum(axis=1) if most else result.assignments
    assert list(taken) == [most] * 5 if most else taken.empty
    uploads = result.transfers[result.transfers.direction == "uplink"]
    assert len(uploads) == (15 if most else 0)
    assert (uploads.outcome == "delivered").all()


def test_memory_and_speed_decide_too():
    learner = build(slots(learning=aligned())).learner
    costs = [learner.round_cost(range(k), range(k), gate=True) for k in (1, 3)]
    one, three = (float(cost.memory_bytes) / 2**30 for cost in costs)
    own = [{"memory_gib": one * 0.99}, {"memory_gib": one}, {"memory_gib": three}]
    kinds = [{"devices": 1, **kind} for kind in [*own, {"seconds_per_round": 601}]]
    result = timing({"kinds": kinds, "devices": None}, {}, options={"policy": "random"})
    assert rounds_of(result)[0]["assigned"].sum(axis=1).tolist() == [0, 1, 3, 0, 4]
    faults = events(result, "fault").detail
    for who, why in (("0", "memory"), ("3", "next contact is too short")):
        assert faults.str.match(f"devices {who} of A sit out: its {why}").sum() == 1
    trained = events(result, "train_end")
    assert set(zip(trained.cluster, trained.device, strict=True)) == {("A", 1), ("A", 2), ("B", 0)}
    assert result.summary["excluded_devices"] == {"A": 1}


def test_who_has_no_contact_any_more_sits_out_and_the_others_go_on():
    """Until the plan is nearly over for them too: few clusters' data are not everybody's."""
    rows = ["satellite,cluster,rise_utc,set_utc"]
    for hour in range(10):
        for at, cluster in zip((0, 15, 30), "ABC" if hour < 2 else "AB", strict=False):
            spans = (f"2026-08-22T{hour:02}:{minute:02}:00Z" for minute in (at, at + 10))
            rows.append(",".join(["S", cluster, *spans]))
    said = {
        **merged(SLOTS, {"learning": aligned({"train": False})}),
        "start": "2026-08-22T00:00:00Z",
        "stop": {"days": 0.5},
        "ground": {"clusters": [{"name": name, "devices": 2} for name in "ABC"]},
        "orbit": {"source": "contacts", "windows": "\n".join(rows)},
    }
    result = sim.run(scenarios.from_dict(said))
    given = [row["assigned"].sum(axis=1).tolist() for row in rounds_of(result)]
    assert given[:-1] == [[2] * 6] * 2 + [[2, 2, 2, 2, 0, 0]] * 7
    [told] = events(result, "fault").detail
    assert told == "devices 0,1 of C sit out: no contact is left for it"


# -- variants, and what users say


def last(problem, rng):
    experts = np.arange(problem.shape[1])
    return experts >= len(experts) - problem.takes[:, None]


def never(problem, rng):
    raise InfeasibleAssignment(f"{problem.shape[0]} clients are too many")


def test_a_policy_of_ones_own_and_one_that_cannot_keep_its_bounds(leomix):
    for row in rounds_of(timing(options={"policy": f"{__name__}:last"}, capacity=2))[:-1]:
        assert row["assigned"].tolist() == [[False, False, True, True]] * 5
    said = ("learning.method=aligned", f"learning.options.policy={__name__}:never")
    wanted = [word for key in said for word in ("--set", key)]
    outcome = leomix("run", "paper-slots", *wanted)
    assert outcome.status == 2
    assert "20 clients are too many" in outcome.err.strip().splitlines()[-1]
