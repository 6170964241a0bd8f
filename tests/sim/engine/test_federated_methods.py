"""Every federated method against a loop in plain PyTorch, in double precision.

The loops know the order of contacts in slots, the minibatches and the samples of each device; all
else is torch.optim and the equations of the papers. The page on methods names MOON's class here.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import learning
import scenarios
import sim
from tests.kit.inner.learning import AsynchronousOptions
from tests.kit.plain_loop import PlainLoop, compare
from tests.kit.small import SLOTS, slots

WEIGHTS = "model/model.safetensors"
QUANTITIES = {"kind": "quantity", "alpha": 1, "over": "clusters"}
ROUNDS = 2  # of a contact; a gap between two contacts of a cluster has twice as many
DEVICES = {"A": 2, "B": 3}


def scenario(method, options=None, **learning):
    said = {
        "method": method, "options": options or {}, "precision": "float64", "step_size": 0.2,
        "lora": {"rank": None}, "trains_backbone": True, "steps_per_round": 2,
        "rounds": {"per_contact": ROUNDS}, "gate_step_size_ratio": 0.5,
    }  # fmt: skip
    return slots(stop={"cycles": 3}, learning={**said, **learning})


def slots_of(said, method):
    return scenarios.from_dict(
        {**SLOTS, **said, "learning": {**said["learning"], "method": method}}
    )


def contrast(step, previous, *, mu, temperature):
    """Near the outputs of the server's model, and far from those of the device's last one."""
    like = [
        torch.cosine_similarity(step.outputs, step.answers(w), -1) for w in (step.server, previous)
    ]
    return mu * -(torch.stack(like) / temperature).log_softmax(0)[0].mean()


def last(task, server, change, before, *, who):
    """A device that sent nothing keeps the model that it had."""
    made = {}
    for n in change:
        sent = torch.as_tensor(who).reshape(-1, *[1] * (change[n].ndim - 1))
        made[n] = torch.where(sent, server[n] + change[n], before[n])
    return made


class Moon(learning.FedAvg):
    """MOON (Li et al., arXiv 2103.16257) by outputs; ``previous`` is what a device trained last."""

    def __init__(self, world, options=None):
        super().__init__(world, options)
        self.previous = {c.name: self.weights for c in world.clusters}

    def local_loss(self, me):
        return learning.LocalLoss(contrast, self.previous[me.name], mu=5.0, temperature=0.5)

    def server_step(self, updates):
        for update, _ in updates:
            models = learning.changes(self.learner, update), self.previous[update.cluster]
            made = self.learner.make(last, self.weights, *models, who=update.who)
            self.previous[update.cluster] = made
        return super().server_step(updates)


def noise(step):
    return torch.randn((), generator=step.generator) * step.outputs.square().mean()


class Noisy(learning.FedAvg):
    """Every step of a device moves by noise of its own, too."""

    def local_loss(self, me):
        return learning.LocalLoss(noise)


def nothing(step, *, shape):
    """The outputs once more, less themselves."""
    assert (step.inputs.shape, step.targets.shape) == (tuple(shape), tuple(shape[:1]))
    return 100 * (step.answers(step.weights) - step.outputs).square().sum()


class Nothing(learning.FedAvg):
    def local_loss(self, me):
        return learning.LocalLoss(nothing, shape=[4, 64])


# The same methods in loops.

IN_GAPS = {"A": 2 * ROUNDS, "B": 2 * ROUNDS}
SCHEDULES = {
    "contacts": [{"A": ROUNDS, "B": ROUNDS}] * 3,
    "gaps": [{**IN_GAPS, "B": ROUNDS}, IN_GAPS],
}
"""Local rounds of the clusters' devices in each round of the server.

In gaps A has trained nothing in its first contact, and B, which has, waits until A's second one.
"""


class Loop(PlainLoop):
    """Rounds of all clients, and contacts in turn."""

    def rounds(self, step, correct=lambda client: lambda name, w: 0.0, trains="contacts"):
        """Rounds of all clients as ``SCHEDULES`` says; ``step(x, models)`` is the server's."""
        for local in SCHEDULES[trains]:
            self.local = local
            models = {c: self.train(self.x, c, local[c[0]], correct(c)) for c in self.clients}
            self.x = step(self.x, models)
        return self.x

    def contacts(self, step, mu=0.0):
        """Contacts of A and B in turn: train in the gap, ``step``, download.

        ``step(mean, start, age)`` is the server's. Nobody has trained before A's first contact.
        """
        base = dict.fromkeys(DEVICES, self.x)
        version = dict.fromkeys(DEVICES, 0)
        now = 0
        for number, cluster in enumerate("ABABAB"):
            gap = (0, ROUNDS, 2 * ROUNDS)[min(number, 2)]
            if gap:
                start = base[cluster]
                models = {
                    (cluster, k): self.train(
                        start, (cluster, k), gap, lambda n, w, x=start: mu * (w - x[n])
                    )
                    for k in range(DEVICES[cluster])
                }
                own = {c: self.p[c] / sum(self.p[one] for one in models) for c in models}
                mean = {n: sum(own[c] * models[c][n] for c in models) for n in self.x}
                now += step(mean, start, now - version[cluster])
            base[cluster] = self.x
            version[cluster] = now
        return self.x


def fedavg(loop, trains="contacts"):
    return loop.rounds(lambda x, models: loop.mean(models), trains=trains)


def per_cluster(loop, trains="contacts"):
    """Nobody waits for another cluster: A has two rounds in gaps, and B three."""
    mean = {}
    for cluster in DEVICES:
        own = [c for c in loop.clients if c[0] == cluster]
        share = sum(loop.p[c] for c in own)
        rounds = [ROUNDS] * 3
        if trains == "gaps":
            rounds = [2 * ROUNDS] * 2 if cluster == "A" else [ROUNDS, 2 * ROUNDS, 2 * ROUNDS]
        x = loop.x
        for local in rounds:
            models = {c: loop.train(x, c, local) for c in own}
            x = {n: sum(loop.p[c] / share * models[c][n] for c in own) for n in x}
        mean = {n: mean.get(n, 0.0) + share * x[n] for n in x}
    return mean


def fedprox(loop, mu):
    near = lambda client: lambda name, w: mu * (w - loop.x[name])  # noqa: E731
    return loop.rounds(lambda x, models: loop.mean(models), near)


def fedopt(loop, kind, step_size, beta1, beta2=0.9, tau=0.1):
    m = dict(loop.zero)
    v = {n: torch.full_like(t, tau**2) for n, t in loop.x.items()}

    def step(x, models):
        mean = loop.mean(models)
        after = {}
        for n in x:
            change = mean[n] - x[n]
            if kind == "avgm":
                m[n] = beta1 * m[n] + change
                after[n] = x[n] + step_size * m[n]
                continue
            m[n] = beta1 * m[n] + (1 - beta1) * change
            square = change**2
            v[n] = {
                "adam": beta2 * v[n] + (1 - beta2) * square,
                "yogi": v[n] - (1 - beta2) * square * torch.sign(v[n] - square),
                "adagrad": v[n] + square,
            }[kind]
            after[n] = x[n] + step_size * m[n] / (v[n] ** 0.5 + tau)
        return after

    return loop.rounds(step)


def scaffold(loop, server_step_size=1.0, trains="contacts"):
    c = dict(loop.zero)
    own = {client: dict(loop.zero) for client in loop.clients}
    size = {n: 0.5 if n.startswith("gate.") else 1.0 for n in loop.x}
    per_round = loop.config.steps_per_round * loop.config.step_size

    def step(x, models):
        before = dict(c)
        for client, y in models.items():
            steps = loop.local[client[0]] * per_round
            for n in x:
                new = own[client][n] - before[n] + (x[n] - y[n]) / (steps * size[n])
                c[n] = c[n] + loop.p[client] * (new - own[client][n])
                own[client][n] = new
        mean = loop.mean(models)
        return {n: x[n] + server_step_size * (mean[n] - x[n]) for n in x}

    return loop.rounds(step, lambda client: lambda n, w: c[n] - own[client][n], trains)


def moon(loop, mu=5.0, temperature=0.5):
    previous = dict.fromkeys(loop.clients, loop.x)

    def term(client, server):
        def of(run, outputs):
            near = torch.exp(torch.cosine_similarity(outputs, run(server), -1) / temperature)
            far = run(previous[client])
            far = torch.exp(torch.cosine_similarity(outputs, far, -1) / temperature)
            return mu * -torch.log(near / (near + far)).mean()

        return of

    for _ in range(3):
        models = {c: loop.train(loop.x, c, ROUNDS, term=term(c, loop.x)) for c in loop.clients}
        previous = models
        loop.x = loop.mean(models)
    return loop.x


def noisy(loop):
    term = lambda run, outputs: torch.randn(()) * outputs.square().mean()  # noqa: E731
    for _ in range(3):
        models = {c: loop.train(loop.x, c, ROUNDS, term=term) for c in loop.clients}
        loop.x = loop.mean(models)
    return loop.x


def weight(age, staleness="polynomial"):
    by_hinge = 1 if age <= 4 else 1 / (10 * (age - 4) + 1)
    return {"constant": 1, "polynomial": (1 + age) ** -0.5, "hinge": by_hinge}[staleness]


@pytest.mark.parametrize("staleness", ["constant", "polynomial", "hinge"])
def test_old_updates_weigh_less_by_the_functions_of_fedasync(staleness):
    ages = np.arange(9)
    divisors = AsynchronousOptions(staleness=staleness).divisor(ages)
    assert 1 / divisors == pytest.approx([weight(age, staleness) for age in ages.tolist()])


def fedasync(loop, alpha, mu):
    def step(mean, start, age):
        a = alpha * weight(age)
        loop.x = {n: (1 - a) * w + a * mean[n] for n, w in loop.x.items()}
        return 1

    return loop.contacts(step, mu)


def fedbuff(loop, **s):
    buffer = []

    def step(mean, start, age):
        buffer.append({n: weight(age, **s) * (mean[n] - start[n]) for n in mean})
        if len(buffer) < 2:
            return 0
        loop.x = {n: w + (buffer[0][n] + buffer[1][n]) / 2 for n, w in loop.x.items()}
        buffer.clear()
        return 1

    return loop.contacts(step)


def centralised(loop, batch="one"):
    if batch == "clients":
        loop.config = replace(loop.config, batch_size=sum(DEVICES.values()) * 4)
    parts = [loop.task.shards[c].samples for c in DEVICES]
    pooled = type(parts[0])(*(torch.cat(both) for both in zip(*parts, strict=True)))
    return loop.train(loop.x, ("A", 0), 3 * ROUNDS, samples=pooled, name="pooled")


def local(loop):
    """A: 2 rounds in its first contact, then 4 in a gap and 2 in a contact, twice. B: 2 before."""
    rounds = {"A": 2 + 2 * (4 + 2), "B": 2 + 2 + 2 * (4 + 2)}
    models = {client: loop.train(loop.x, client, rounds[client[0]]) for client in loop.clients}
    return loop.mean(models)


ADAM = {"kind": "adam", "step_size": 0.05, "beta1": 0.8, "beta2": 0.9, "tau": 0.1}
METHODS = [
    ("fedavg", {}, fedavg),
    ("fedprox", {"mu": 0.7}, fedprox),
    *(("fedopt", {**ADAM, "kind": kind}, fedopt) for kind in ("adam", "yogi", "adagrad")),
    ("fedopt", {"kind": "avgm", "step_size": 0.9, "beta1": 0.5}, fedopt),
    ("fedavg", {"trains": "gaps"}, fedavg),
    ("fedavg-per-cluster", {"trains": "gaps"}, per_cluster),
    ("scaffold", {"server_step_size": 0.6}, scaffold),
    ("scaffold", {"trains": "gaps"}, scaffold),
    ("fedasync", {"alpha": 0.5, "mu": 0.3}, fedasync),
    ("fedbuff", {}, fedbuff),
    ("centralised", {}, centralised),
    ("centralised", {"batch": "clients"}, centralised),
    ("local", {}, local),
    (f"{__name__}:Moon", {}, moon),
    (f"{__name__}:Noisy", {}, noisy),
]  # fmt: skip


WITH_TERMS = fedprox, fedopt, scaffold, fedbuff, fedasync
"""Methods that add to the loss or to the server's step."""


@pytest.mark.parametrize(("method", "options", "loop"), METHODS)
@pytest.mark.quick(8)
def test_a_method_is_the_loop_of_its_paper(tmp_path, method, options, loop):
    """Clusters whose updates are aggregated one by one weigh alike, whatever samples they have."""
    unequal = {"data": {"kind": "digits", "split": QUANTITIES}}
    said = scenario(method, options, **(unequal if loop in (fedbuff, fedasync) else {}))
    before = Loop(said)
    start = before.x
    wanted = loop(before, **options)
    compare(tmp_path, said, wanted)
    assert max(float((wanted[n] - start[n]).abs().max()) for n in wanted) > 1e-2


@pytest.mark.parametrize(
    ("method", "options", "loop"),
    {case[0]: case for case in METHODS if case[2] in WITH_TERMS}.values(),
)
@pytest.mark.quick(3)
def test_a_personal_head_takes_no_part_in_what_a_method_does(tmp_path, method, options, loop):
    """Neither in its terms, nor in its changes, nor at the server: it is trained by the loss."""
    said = scenario(method, options, personal=["head"])
    before = Loop(said)
    wanted = loop(before, **options)
    compare(tmp_path, said, wanted)
    found = load_file(tmp_path / "run" / "model" / "personal.safetensors")
    held = {f"{c}/{k}/{n}": t for (c, k), own in before.own.items() for n, t in own.items()}
    torch.testing.assert_close(found, held, atol=1e-12, rtol=0)


@pytest.mark.parametrize("keys", [
    {"lora": {"rank": None}, "trains_backbone": True}, {"lora": {"rank": 2}},
    {"lora": {"rank": 2, "aggregate": "ffa"}, "trains_backbone": True},
    {"model": {"kind": f"{__name__}:normalised"}},
    {"model": {"kind": f"{__name__}:normalised", "arguments": {"batched": False}}},
])  # fmt: skip
@pytest.mark.quick(2)
def test_answers_of_the_weights_that_are_trained_are_the_outputs(tmp_path, keys):
    """Also where frozen blocks are run once, and factors are trained; and no count moves."""
    exact = {"precision": "float64", "batch_size": 4, "steps_per_round": 2}
    said = {"learning": {**exact, **keys}, "stop": {"cycles": 2}}
    runs = (slots_of(said, method) for method in ("fedavg", f"{__name__}:Nothing"))
    sim.run(next(runs), tmp_path / "plain")
    compare(tmp_path, next(runs), load_file(tmp_path / "plain" / WEIGHTS), atol=1e-9)


LITTLE = {"memory_gib": 1e-9}
WITHOUT_B0 = {"name": "B", "kinds": [{"devices": 1, **LITTLE}, {"devices": 2}]}
WITHOUT_B = {"name": "B", "kinds": [{"devices": 3, **LITTLE}]}


@pytest.mark.parametrize("lacks", ["refused", WITHOUT_B0, WITHOUT_B])
def test_the_share_of_a_missing_device_is_nobodys_or_that_of_those_who_came(tmp_path, lacks):
    """Of an update that is refused; who lacks the memory takes no part, and n counts the others."""
    whole = scenario("fedavg").model_dump(mode="json")
    more = {"faults": {"uploads": {"corrupted": 0.4}}}
    if lacks != "refused":
        more = {"ground": {"clusters": [{"name": "A", "devices": 2}, lacks]}}
    said = scenarios.from_dict({**whole, **more})
    updates = sim.run(said).updates
    came = [
        set(zip(rows.cluster, rows.device, strict=True)) for _, rows in updates.groupby("round")
    ]
    loop = Loop(said)
    assert any(len(each) < len(loop.clients) for each in came)

    def step(x, models):
        present = came.pop(0)
        of = 1.0 if lacks == "refused" else sum(loop.p[c] for c in present)
        own = {c: loop.p[c] / of for c in present}
        return {n: x[n] + sum(own[c] * (models[c][n] - x[n]) for c in present) for n in x}

    compare(tmp_path, said, loop.rounds(step))
    share = updates.samples / updates.groupby("round").samples.transform("sum")
    assert np.allclose(updates.weight, share, atol=1e-12) is (lacks != "refused")


def test_what_the_server_trains_by_itself_is_counted_in_gradient_steps():
    found = sim.run(scenario("centralised"))
    each = 2 * ROUNDS
    assert [e.gradient_steps for e in found.evaluations] == [0, each, 2 * each, 3 * each]
    assert (found.summary["gradient_steps"], found.summary["device_rounds"]) == (3 * each, 0)


# What must be equal, and what must not.


SENT = {
    "fedavg": (15, 15, 1), "fedprox": (15, 15, 1), "fedopt": (15, 15, 1), "scaffold": (15, 15, 2),
    "fedbuff": (15, 13, 1), "fedasync": (15, 13, 1), "local": (0, 0, 1), "centralised": (0, 0, 1),
}  # fmt: skip
"""Downloads, uploads, copies: 3 contacts of 5 devices; before its first A has trained nothing."""


@pytest.mark.parametrize("method", SENT)
def test_a_timing_only_run_sends_what_is_counted_by_hand(method):
    """64-16-10 with two experts 16-16-16, a gate and two norms: 2394 numbers of 8 bytes."""
    linear = lambda i, o: i * o + o  # noqa: E731
    numbers = linear(64, 16) + 4 * linear(16, 16) + 2 * 16 + 2 * 32 + linear(16, 10)
    down, up, copies = SENT[method]
    result, fedavg = (sim.run(scenario(name, train=False)) for name in (method, "fedavg"))
    moved = result.transfers
    assert moved.direction.value_counts().to_dict() == {
        way: n for way, n in (("downlink", down), ("uplink", up)) if n
    }
    assert set(moved.payload_bytes) <= {8 * numbers * copies}
    memory = [run.summary["device_memory_bytes"] for run in (result, fedavg)] if up else [0, 0]
    assert memory[0] - memory[1] == 8 * numbers * {"fedprox": 1, "scaffold": 2}.get(method, 0)


SLOW = [{"devices": 1}, {"devices": 2, "seconds_per_round": 250}]


@pytest.mark.parametrize(("method", "options", "sent"), [
    ("fedavg", {}, {0: 5}), ("fedprox", {"partial": "drop"}, {0: 5}),
    ("fedprox", {}, {0: 5, 1: 2, 2: 2}),
])  # fmt: skip
def test_what_a_deadline_leaves_unfinished_is_dropped_by_fedavg_and_sent_by_fedprox(
    method, options, sent
):
    """Five rounds of 100 s each in 510 s; two of three devices take 250 s for one, and end two."""
    said = {"rounds": {"per_contact": 5}, "aggregation": {"when": "deadline", "deadline_s": 510}}
    run = scenario(method, options, train=False, **said).model_dump(mode="json")
    run |= {"compute": {"seconds_per_round": 100}, "stop": {"cycles": 1}}
    run["ground"] = {"clusters": [{"name": "A", "kinds": SLOW}]}
    result = sim.run(scenarios.from_dict(run))
    ended = result.events[result.events.kind == "train_end"]
    assert ended.groupby("device").rounds.sum().to_dict() == sent
    assert sorted(result.updates.device) == [*sent]


@pytest.mark.parametrize("method", ["fedopt", "fedbuff", "local"])
@pytest.mark.quick(2)
def test_statistics_of_a_batch_norm_are_means_whatever_moves_the_weights(tmp_path, method):
    """Adam's steps, or changes of a model that others have moved, would make negative variances."""
    own = {"model": {"kind": f"{__name__}:normalised"}, "step_size": 0.2, "steps_per_round": 4}
    alike = method == "fedopt"
    said = {
        "learning": {**own, "rounds": {"per_contact": 2}},
        "stop": {"cycles": 1 if alike else 5},
    }
    for name in (method, "fedavg"):
        sim.run(slots_of(said, name), tmp_path / name)
    found, wanted = (load_file(tmp_path / name / WEIGHTS) for name in (method, "fedavg"))
    assert found.keys() == wanted.keys()
    assert 0 < found["1.num_batches_tracked"] <= 5 * 6 * 8
    assert (found["1.running_var"] > 0).all()
    for name in ("1.num_batches_tracked", "1.running_mean", "1.running_var") if alike else ():
        torch.testing.assert_close(found[name], wanted[name])


def normalised(spec, batched=True):
    parts = nn.Linear(64, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, spec.classes)
    made = nn.Sequential(*parts)
    made.batched = batched
    return made


@pytest.mark.parametrize("loss", ["mse", None])
@pytest.mark.parametrize("left_out", [0.0, 0.6])
def test_figures_of_local_models_are_means_over_the_devices_that_have_them(
    tmp_path, loss, left_out
):
    """At the start the devices of a cluster have the server's model, and its figures."""
    rng = np.random.default_rng(2)
    x, labels = rng.normal(size=(200, 6)), rng.integers(0, 3, 200)
    labels[rng.random(200) < left_out] = -100
    np.savez(tmp_path / "data.npz", x=x, y=x[:, :2] if loss else labels)
    data = {"kind": "npz", "path": str(tmp_path / "data.npz")}
    said = {"loss": loss, "data": data, "model": {"kind": "vector-mlp"}}
    rows = {
        method: sim.run(
            scenarios.from_dict({**SLOTS, "learning": {**said, "method": method}})
        ).metrics
        for method in ("fedavg", "local")
    }
    assert (rows["local"].accuracy.isna() == (loss == "mse")).all()
    starts = [of[of.time_s == 0] for of in rows.values()]
    for figure in ("accuracy", "loss", "samples"):
        expected, found = (start[figure].to_numpy(float) for start in starts)
        np.testing.assert_allclose(found, expected, rtol=1e-6)
