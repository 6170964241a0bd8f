"""Client-expert alignment in whole runs: what goes where, what comes of it, and what is refused."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.functional import cross_entropy, gelu, layer_norm

import scenarios
import sim
from learning import stream
from tests.kit.learning import jain_index, variation
from tests.kit.network import build
from tests.kit.small import SLOTS, orbit, slots

POLICIES = ["random", "greedy", "balanced-random", "balanced-fitness", "expert-driven"]
MODEL = {"experts": 4, "top_k": 2, "hidden": 16, "expert_hidden": 16}
CLUSTERS = [{"name": "A", "devices": 2}, {"name": "B", "devices": 3}]


def aligned(**changes: Any) -> dict[str, Any]:
    options = {"capacity": 2, **changes.pop("options", {})}
    return {"method": "aligned", "options": options, "model": MODEL, **changes}


def rounds_of(result: sim.Result) -> list[dict[str, np.ndarray]]:
    """Fitness, assignment and samples (C, E) of every round."""
    found = []
    for _, rows in result.assignments.groupby("time_s"):
        experts = rows.expert.max() + 1
        found.append(
            {
                key: rows[key].to_numpy().reshape(-1, experts)
                for key in ("relevance", "assigned", "samples")
            }
        )
    return found


# -- one round against a second implementation


def plain_logits(model: dict[str, Tensor], x: Tensor, reach: list[int]) -> tuple[Tensor, Tensor]:
    """Logits, and the weights (n, E) of the experts that serve a sample."""
    h = gelu(x @ model["embed.weight"].T + model["embed.bias"])
    z = layer_norm(h, h.shape[-1:], model["norms.0.weight"], model["norms.0.bias"])
    scores = z @ model["gate.0.weight"].T
    barred = torch.full_like(scores, -torch.inf)
    barred[:, reach] = scores[:, reach]
    p = barred.softmax(-1)
    kept = torch.zeros_like(p).scatter(-1, p.topk(2, -1).indices, 1.0)
    weight = p * kept
    for expert in reach:
        up, down = (f"expert.{expert}.0.{part}" for part in ("up", "down"))
        inner = gelu(z @ model[f"{up}.weight"].T + model[f"{up}.bias"])
        out = inner @ model[f"{down}.weight"].T + model[f"{down}.bias"]
        h = h + weight[:, expert, None] * out
    h = layer_norm(h, h.shape[-1:], model["norm.weight"], model["norm.bias"])
    return h @ model["head.weight"].T + model["head.bias"], weight


def plain_device(
    scenario: Any, start: dict[str, Tensor], shard: Any, where: tuple[str, int], reach: list[int]
) -> tuple[dict[str, Tensor], np.ndarray, np.ndarray]:
    """A device's model after its local round, the samples its experts serve, and their accuracy."""
    learning, (cluster, device) = scenario.learning, where
    model = {name: tensor.clone() for name, tensor in start.items()}
    mine = tuple(f"expert.{expert}." for expert in reach)
    names = [name for name in model if name.startswith(("gate.", *mine))]
    draw = stream(scenario.seed, "batch", cluster, device, 0)
    shape = (learning.steps_per_round, learning.batch_size)
    for rows in draw.integers(0, len(shard.y), shape):
        leaves = [model[name].requires_grad_() for name in names]
        logits, _ = plain_logits(model, shard.x[rows], reach)
        gradients = torch.autograd.grad(cross_entropy(logits, shard.y[rows]), leaves)
        for name, gradient in zip(names, gradients, strict=True):
            ratio = learning.gate_step_size_ratio if name.startswith("gate.") else 1.0
            model[name] = model[name].detach() - learning.step_size * ratio * gradient
    logits, weight = plain_logits(model, shard.x, reach)
    used, right = (weight > 0).numpy(), (logits.argmax(-1) == shard.y).numpy()
    served = used.sum(axis=0)
    return model, served, (used & right[:, None]).sum(axis=0) / np.maximum(served, 1)


def test_a_round_is_what_plain_pytorch_makes_of_it(tmp_path: Path) -> None:
    scenario = slots(
        stop={"cycles": 1},
        ground={"clusters": CLUSTERS},
        learning=aligned(
            lora={"rank": None},
            step_size=0.5,
            gate_step_size_ratio=1.0,
            steps_per_round=3,
            options={"fitness_average": 0.25},
        ),
    )
    result = sim.run(scenario, tmp_path / "run")
    final = load_file(tmp_path / "run" / "model" / "model.safetensors")
    learner = build(scenario).learner
    start = {**learner.task.backbone, **learner.values.force(learner.start())}
    first, second = rounds_of(result)
    places = [(c["name"], k) for c in CLUSTERS for k in range(c["devices"])]
    ends, use, accuracy, sizes = [], [], [], []
    for client, (cluster, device) in enumerate(places):
        shard = learner.task.shards[cluster].of(device)
        reach = np.flatnonzero(first["assigned"][client]).tolist()
        end, served, right = plain_device(scenario, start, shard, (cluster, device), reach)
        ends.append(end)
        use.append(served)
        accuracy.append(right)
        sizes.append(len(shard.y))
    used = np.array(use)
    assert (second["samples"] == used).all()
    expected = np.where(
        used > 0, 0.75 * first["relevance"] + 0.25 * np.array(accuracy), first["relevance"]
    )
    np.testing.assert_allclose(second["relevance"], expected, atol=1e-12)
    moved = 0.0
    for name, tensor in start.items():
        weights = np.array(sizes, float)
        if name.startswith("expert."):
            weights = used[:, int(name.split(".")[1])].astype(float)
        total = sum(w * (end[name] - tensor) for w, end in zip(weights, ends, strict=True))
        torch.testing.assert_close(final[name], tensor + total / weights.sum(), rtol=0, atol=2e-6)
        moved = max(moved, float((final[name] - tensor).abs().max()))
    assert moved > 0.01


# -- the tables


@pytest.mark.parametrize("policy", POLICIES)
def test_what_is_assigned_is_what_goes_down_and_up(policy: str) -> None:
    result = sim.run(slots(learning=aligned(options={"policy": policy})))
    sizes = build(slots(learning=aligned())).learner.architecture
    first = rounds_of(result)[0]["assigned"]
    assert (first.sum(axis=1) <= 2).all()
    moved = result.transfers[result.transfers.version == 0]
    part = first.sum(axis=1)
    for client, (cluster, device) in enumerate([("A", 0), ("A", 1), ("B", 0), ("B", 1), ("B", 2)]):
        mine = moved[(moved.cluster == cluster) & (moved.device == device)]
        if not part[client]:
            assert mine.empty
            continue
        up = mine[mine.direction == "uplink"].payload_bytes.tolist()
        assert up == [sizes.upload_bytes(range(part[client]), True)]
    told = result.events[(result.events.kind == "assign") & (result.events.time_s == 0)]
    for client, row in enumerate(told.sort_values(["cluster", "device"]).itertuples()):
        assert row.detail == f"experts:{','.join(map(str, np.flatnonzero(first[client])))}"


def test_each_downloads_its_own_experts_and_no_others() -> None:
    down = {"rate": "fixed", "fixed_rate_mbps": 1.0}
    scenario = slots(link={"downlink": down}, learning=aligned(options={"policy": "greedy"}))
    sizes = build(scenario).learner.architecture
    result = sim.run(scenario)
    rows = result.transfers[result.transfers.direction == "downlink"]
    assert set(rows.payload_bytes) == {sizes.download_bytes([0, 1], gate=True)}
    assert len(rows) == 5 * 3


@pytest.mark.parametrize("exploration", [0.0, 1.0])
def test_balance_shows_in_the_tables(exploration: float) -> None:
    """Skewed fitness: greedy all take the same experts, balanced never differ by more than one."""
    loads = {}
    for policy in ("greedy", "balanced-fitness", "balanced-random"):
        options = {"policy": policy, "exploration": exploration}
        result = sim.run(slots(stop={"cycles": 6}, learning=aligned(options=options)))
        given = [row["assigned"].sum(axis=0) for row in rounds_of(result) if row["assigned"].any()]
        loads[policy] = np.mean([variation(load) for load in given])
        served = [row["samples"].sum(axis=0) for row in rounds_of(result)[1:]]
        figures = result.summary["alignment"]
        assert figures["assignment_variation"] == pytest.approx(loads[policy])
        assert figures["jain_index"] == pytest.approx(np.mean([jain_index(s) for s in served]))
        if policy != "greedy":
            assert all(load.max() - load.min() <= 1 for load in given)
    if not exploration:
        assert loads["greedy"] > loads["balanced-fitness"]


def test_an_exact_cover_when_the_experts_divide_the_places() -> None:
    clusters = [{"name": "A", "devices": 2}, {"name": "B", "devices": 2}]
    result = sim.run(slots(ground={"clusters": clusters}, learning=aligned()))
    for row in rounds_of(result)[:-1]:
        assert row["assigned"].sum(axis=0).tolist() == [2, 2, 2, 2]


def test_samples_are_those_of_devices_that_got_through() -> None:
    """Top-2 with two experts in reach: every expert of a device serves all its samples."""
    scenario = slots(learning=aligned())
    result = sim.run(scenario)
    learner = build(scenario).learner
    sizes = np.concatenate([learner.task.shards[name].sizes for name in "AB"])
    before, after = rounds_of(result)[:2]
    assert not before["samples"].any()
    assert (after["samples"] == before["assigned"] * sizes[:, None]).all()


# -- the network is no matter of learning, but the plan is of capacity


def test_learning_does_not_depend_on_the_link_when_nothing_is_lost(tmp_path: Path) -> None:
    """Capacity is fixed below what either link carries: identical weights, another clock."""
    runs = {}
    for rate in (1e6, 0.05):
        link = {side: {"rate": "fixed", "fixed_rate_mbps": rate} for side in ("uplink", "downlink")}
        scenario = slots(stop={"cycles": 4}, link=link, learning=aligned())
        runs[rate] = sim.run(scenario, tmp_path / str(rate))
    fast, slow = runs.values()
    weights = [load_file(tmp_path / str(rate) / "model" / "model.safetensors") for rate in runs]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    columns = ["accuracy", "loss", "samples"]
    assert fast.metrics[columns].equals(slow.metrics[columns])
    assert fast.manifest["timing_sha256"] != slow.manifest["timing_sha256"]
    assert fast.transfers.end_s.max() < slow.transfers.end_s.max()


def test_the_contact_plan_says_how_many_experts_a_device_takes() -> None:
    """Uplinks that carry more in a session take more experts, and what is taken gets through."""
    takes = []
    for rate in (1e-5, 1.5e-5, 2e-5, 1.0):
        link = {"uplink": {"rate": "fixed", "fixed_rate_mbps": rate}}
        learning = aligned(options={"capacity": 0, "policy": "random"}, train=False)
        result = sim.run(slots(link=link, compute={"seconds_per_round": 60}, learning=learning))
        first = rounds_of(result)[0]["assigned"].sum(axis=1) if len(result.assignments) else [0]
        takes.append(int(first[0]))
        uploads = result.transfers[result.transfers.direction == "uplink"]
        assert (uploads.outcome == "delivered").all()
    assert takes == sorted(takes)
    assert takes[0] < takes[1] < takes[-1] == 4


@pytest.mark.parametrize(("per_contact", "local_rounds"), [(4, 0), (1, 4)])
def test_all_rounds_of_a_contact_are_profiled(per_contact: int, local_rounds: int) -> None:
    """Four rounds fill a slot of 600 s at 149 s each, and at 151 s are too many."""
    takes = []
    for pace_s in (149, 151):
        kinds = [{"devices": 1, "seconds_per_round": pace_s}]
        clusters = [{"name": "A", "kinds": kinds}, {"name": "B", "devices": 1}]
        learning = aligned(options={"capacity": 0, "local_rounds": local_rounds}, train=False)
        rounds = {"per_contact": per_contact}
        scenario = slots(
            ground={"clusters": clusters},
            compute={"seconds_per_round": 1},
            learning=learning | {"rounds": rounds},
        )
        result = sim.run(scenario)
        takes.append(rounds_of(result)[0]["assigned"].sum(axis=1).tolist())
        trained = result.events[result.events.kind == "train_end"]
        assert set(trained.rounds) == {4}
        uploads = result.transfers[result.transfers.direction == "uplink"]
        assert (uploads.outcome == "delivered").all()
    assert takes == [[4, 4], [0, 4]]


def test_rounds_that_fill_the_contact_are_profiled_as_one() -> None:
    learning = aligned(options={"capacity": 0}, train=False) | {"rounds": {"per_contact": "fill"}}
    result = sim.run(slots(compute={"seconds_per_round": 250}, learning=learning))
    assert (rounds_of(result)[0]["assigned"].sum(axis=1) == 4).all()
    assert set(result.events[result.events.kind == "train_end"].rounds) == {2}


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_experts_that_fell_behind_get_their_turn_in_a_run(weight: float) -> None:
    """Nothing is learnt: constant fitness, two devices with one expert each of six, U = 1."""
    clusters = [{"name": "A", "devices": 1}, {"name": "B", "devices": 1}]
    options = {"capacity": 1, "balance_low": 0.0, "deficit_weight": weight}
    learning = aligned(options=options, train=False) | {"model": {**MODEL, "experts": 6}}
    result = sim.run(slots(stop={"cycles": 7}, ground={"clusters": clusters}, learning=learning))
    given = np.array([row["assigned"].sum(axis=0) for row in rounds_of(result)])
    if weight:
        assert given[:3].sum(axis=0).tolist() == [1] * 6
        assert given[:6].sum(axis=0).tolist() == [2] * 6
    else:
        assert (given[:6] == given[0]).all()


def test_memory_and_speed_decide_too() -> None:
    sizes = build(slots(learning=aligned())).learner
    room = [
        float(sizes.round_cost(range(k), range(k), gate=True).memory_bytes) / 2**30 for k in (1, 3)
    ]
    kinds = [
        {"devices": 1, "memory_gib": room[0] * 0.99},
        {"devices": 1, "memory_gib": room[0]},
        {"devices": 1, "memory_gib": room[1]},
        {"devices": 1, "seconds_per_round": 601},
    ]
    clusters = [{"name": "A", "kinds": kinds}, {"name": "B", "devices": 1}]
    learning = aligned(options={"capacity": 0, "policy": "random"})
    result = sim.run(slots(ground={"clusters": clusters}, learning=learning))
    assert rounds_of(result)[0]["assigned"].sum(axis=1).tolist() == [0, 1, 3, 0, 4]
    faults = result.events[result.events.kind == "fault"].detail.tolist()
    assert "devices 0 of A sit out: its memory holds no expert" in faults
    assert "devices 3 of A sit out: its next contact is too short for its local rounds" in faults
    trained = result.events[result.events.kind == "train_end"]
    assert set(zip(trained.cluster, trained.device, strict=True)) == {("A", 1), ("A", 2), ("B", 0)}
    assert result.summary["excluded_devices"] == {"A": 1}
    done = result.events[result.events.kind == "aggregate"]
    assert done.detail.str.contains("devices:3/5 clusters:2/2").all()
    assert len(done) == 3


def test_a_cluster_that_cannot_hold_an_expert_blocks_nobody() -> None:
    small = {"name": "B", "devices": 3, "compute": {"memory_gib": 1e-9}}
    clusters = [{"name": "A", "devices": 2}, small]
    result = sim.run(slots(ground={"clusters": clusters}, learning=aligned()))
    done = result.events[result.events.kind == "aggregate"]
    assert done.detail.str.contains("devices:2/5 clusters:1/2").all()
    assert len(done) >= 3
    both = [{**small, "name": "A"}, small]
    nobody = sim.run(slots(ground={"clusters": both}, learning=aligned()))
    assert not len(nobody.transfers)
    assert not len(nobody.assignments)
    told = nobody.events[nobody.events.kind == "fault"]
    assert sorted(told.detail) == [
        f"devices 0,1,2 of {name} sit out: its memory holds no expert" for name in "AB"
    ]


def test_short_passes_are_made_up_for_and_counted_once() -> None:
    """A link so slow that uploads take several passes; the capacity is what the plan says."""
    link = {"uplink": {"rate": "fixed", "fixed_rate_mbps": 1e-3}, "cut_transfers": "resume"}
    learning = aligned(train=False, options={"capacity": 0, "policy": "balanced-fitness"})
    result = sim.run(orbit(stop={"days": 4}, link=link, learning=learning))
    done = result.events[result.events.kind == "aggregate"]
    assert len(done) > 2
    for row in done.itertuples():
        mine = result.transfers[
            (result.transfers.direction == "uplink")
            & (result.transfers.version == row.version - 1)
            & (result.transfers.outcome == "delivered")
        ]
        assert not mine.duplicated(["cluster", "device"]).any()
        assert f"devices:{len(mine)}/5" in row.detail


# -- variants


@pytest.mark.parametrize(
    "changes",
    [
        {"lora": {"rank": 2}},
        {"lora": {"rank": 2, "aggregate": "average"}},
        {"lora": {"rank": 2, "download": "factors"}},
        {"lora": {"rank": None}, "trains_backbone": True},
        {"upload_format": "int8"},
        {"train": False},
        {"options": {"fitness": "loss", "fitness_alpha": 2.0, "deficit_weight": 0.5}},
        {"options": {"local_rounds": 2, "exploration": 0.5}},
        {"options": {"policy": "expert-driven"}},
    ],
    ids=str,
)
def test_variants_run_and_are_the_same_from_the_same_seed(changes: dict[str, Any]) -> None:
    scenario = slots(learning=aligned(**changes))
    first, second = sim.run(scenario), sim.run(scenario)
    assert first.manifest["trace_sha256"] == second.manifest["trace_sha256"]
    done = first.events[first.events.kind == "aggregate"]
    assert len(done) == 3
    if changes.get("train", True):
        losses = first.metrics[first.metrics.scope == "global"].loss
        assert np.isfinite(losses).all()
        assert losses.nunique() > 1
    if changes.get("options", {}).get("local_rounds") == 2:
        assert set(first.events[first.events.kind == "train_end"].rounds) == {2}


def test_a_timing_only_run_has_the_timing_of_the_first_round() -> None:
    """Nothing is measured: fitness stays as it began, so only the first assignment is the same."""
    timed = sim.run(slots(stop={"cycles": 1}, learning=aligned(train=False)))
    whole = sim.run(slots(stop={"cycles": 1}, learning=aligned()))
    assert timed.transfers[["start_s", "end_s", "payload_bytes"]].equals(
        whole.transfers[["start_s", "end_s", "payload_bytes"]]
    )
    last = rounds_of(timed)[-1]["relevance"]
    np.testing.assert_allclose(last, rounds_of(timed)[0]["relevance"], rtol=1e-15)


def test_everything_for_everybody_is_fedavg_for_what_is_shared(tmp_path: Path) -> None:
    """With no limit the devices train what FedAvg's do: the gate's mean is the same to the bit."""
    finals = []
    for method, options in (("fedavg", {}), ("aligned", {"capacity": 0, "policy": "greedy"})):
        learning = {**aligned(), "method": method, "options": options}
        sim.run(slots(stop={"cycles": 1}, learning=learning), tmp_path / method)
        finals.append(load_file(tmp_path / method / "model" / "model.safetensors"))
    assert torch.equal(finals[0]["gate.0.weight"], finals[1]["gate.0.weight"])
    assert not torch.equal(finals[0]["expert.0.0.up.weight"], finals[1]["expert.0.0.up.weight"])


def test_a_run_goes_on_where_it_was_interrupted(tmp_path: Path) -> None:
    scenario = slots(stop={"cycles": 4}, learning=aligned(options={"exploration": 0.3}))
    whole = sim.run(scenario)

    def stop_at(number: int) -> None:
        if number == 40:
            raise sim.Interrupted("enough")

    with pytest.raises(sim.Interrupted):
        sim.run(scenario, tmp_path / "run", each_event=stop_at, checkpoint_every_s=0.0)
    again = sim.run(scenario, tmp_path / "run", resume=True)
    assert again.manifest["trace_sha256"] == whole.manifest["trace_sha256"]


# -- what users say


def test_a_policy_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "last_first.py").write_text(
        "import numpy as np\n\n"
        "def last(problem, rng):\n"
        '    """Give every client the last experts, as many as it has room for."""\n'
        "    experts = np.arange(problem.shape[1])\n"
        "    return experts >= len(experts) - problem.takes[:, None]\n\n"
        "def broken(problem, rng):\n"
        "    return np.ones(problem.shape, bool)\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    result = sim.run(slots(learning=aligned(options={"policy": "last_first:last"})))
    for row in rounds_of(result)[:-1]:
        assert row["assigned"].tolist() == [[False, False, True, True]] * 5
    wrong = slots(learning=aligned(options={"policy": "last_first:broken"}))
    with pytest.raises(ValueError, match=r"policy 'last_first:broken' gave client 0 4"):
        sim.run(wrong)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"policy": "gredy"}, r"options\.policy: no policy 'gredy'.*did you mean 'greedy'"),
        ({"policy": "nowhere:at_all"}, r"options\.policy: policy 'nowhere:at_all' cannot be"),
        ({"fitness": "speed"}, r"options\.fitness: 'speed' should be accuracy or loss"),
        ({"capacity": -1}, r"options\.capacity: -1 should be 0 or more"),
        ({"fitness_average": 0.0}, r"options\.fitness_average: 0.0 should lie above 0"),
        ({"fitness_alpha": 0.0}, r"options\.fitness_alpha: 0.0 should be above 0"),
        ({"balance_low": 1.5}, r"options\.balance_low: 1.5 should lie in 0 to 1"),
        ({"balance_high": 0.5}, r"options\.balance_high: 0.5 should be 1 or more"),
        ({"deficit_weight": -0.1}, r"options\.deficit_weight: -0.1 should be 0 or more"),
        ({"exploration": 2}, r"options\.exploration: 2 should lie in 0 to 1"),
        ({"local_rounds": -2}, r"options\.local_rounds: -2 should be 0 or more"),
    ],
)
def test_wrong_options_are_told_in_one_line(options: dict[str, Any], message: str) -> None:
    with pytest.raises(sim.InputError, match=message) as told:
        sim.run(slots(learning=aligned(options=options)))
    assert "\n" not in str(told.value)


def test_bounds_that_a_policy_cannot_keep_are_wrong_input_with_their_numbers(
    leomix: Callable[..., Any],
) -> None:
    wanted = ("learning.method=aligned", "learning.options.policy=identity")
    outcome = leomix("run", "paper-slots", *(part for key in wanted for part in ("--set", key)))
    assert outcome.status == 2
    [line] = outcome.err.strip().splitlines()[-1:]
    assert "there are 20 clients and 4 experts" in line


@pytest.mark.slow
def test_the_shipped_scenario_learns_and_keeps_its_experts_even(
    leomix: Callable[..., Any], tmp_path: Path
) -> None:
    assert leomix("run", "aligned-digits", "-o", tmp_path / "run", "--quiet").status == 0
    import pandas as pd

    metrics = pd.read_parquet(tmp_path / "run" / "metrics.parquet")
    accuracy = metrics[metrics.scope == "global"].accuracy
    assert accuracy.iloc[0] < 0.2
    assert accuracy.iloc[-1] > 0.7


def windows(last_of_c: int) -> str:
    """Ready windows of ten minutes: A and B every hour in turn for ten hours, C fewer times."""
    rows = ["satellite,cluster,rise_utc,set_utc"]
    for hour in range(10):
        for minute, cluster in enumerate("ABC"):
            if cluster != "C" or hour < last_of_c:
                day, at = f"2026-08-22T{hour:02}", 15 * minute
                rows.append(f"S,{cluster},{day}:{at:02}:00Z,{day}:{at + 10:02}:00Z")
    return "\n".join(rows) + "\n"


def test_who_has_no_contact_any_more_sits_out_and_the_others_go_on(tmp_path: Path) -> None:
    """Until the plan is nearly over for them too: few clusters' data are not everybody's."""
    table = tmp_path / "windows.csv"
    table.write_text(windows(last_of_c=2))
    clusters = [{"name": name, "devices": 2} for name in "ABC"]
    said = {
        "stop": {"days": 0.5},
        "orbit": {"source": "contacts", "path": str(table)},
        "ground": {"clusters": clusters},
        "learning": {**SLOTS["learning"], **aligned()},
    }
    result = sim.run(scenarios.from_dict({**SLOTS, "start": "2026-08-22T00:00:00Z", **said}))
    given = [row["assigned"].sum(axis=1).tolist() for row in rounds_of(result)]
    assert given[:2] == [[2] * 6] * 2
    assert given[2:-1] == [[2, 2, 2, 2, 0, 0]] * 7
    faults = result.events[result.events.kind == "fault"].detail.tolist()
    assert faults == ["devices 0,1 of C sit out: no contact is left for it"]
    trained = result.events[result.events.kind == "train_end"]
    assert trained[trained.cluster == "A"].time_s.max() > 8 * 3600
