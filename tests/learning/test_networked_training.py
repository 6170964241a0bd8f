"""Extractors, personal experts and central training against plain loops of torch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional

from tests.kit.learning import (
    DataConfig,
    Handle,
    InputSpec,
    Learner,
    LearningConfig,
    ModelConfig,
    NetworkedLearner,
    Tensors,
    stream,
)
from tests.kit.training import Descent, Pretext, descend, make_extractor, rows_of_round

MODEL = ModelConfig(kind="vector-nmoe", experts=5, top_k=2, hidden=12, expert_hidden=8, layers=2)
CONFIG = LearningConfig(
    3, ("a", "b"), (3, 2), MODEL, DataConfig(kind="digits", trial_samples=1),
    step_size=0.1, steps_per_round=2, batch_size=8, precision="float64",
)  # fmt: skip
IMAGES = replace(
    CONFIG,
    model=replace(MODEL, kind="image-nmoe", hidden=8, layers=1),
    data=DataConfig(kind="digit-images", trial_samples=1),
)
EVERYBODY = {"a": np.ones(3, bool), "b": np.ones(2, bool)}
UNEVEN, FIRST = np.array([2, 0, 1]), np.array([0, 4, 7])


def net_of(config: LearningConfig = CONFIG, **options: object) -> NetworkedLearner:
    return NetworkedLearner(Learner(config), **options)  # type: ignore[arg-type]


def forced(net: NetworkedLearner, handle: Handle) -> Tensors:
    return net.learner.force(handle)


def close(one: Tensors, other: Tensors, **how: float) -> None:
    assert set(one) == set(other)
    for name, tensor in one.items():
        torch.testing.assert_close(tensor, other[name], **how)


def by_torch(
    net: NetworkedLearner, server: Tensors, device: int, rounds: int, first: int
) -> Tensors:
    """Cross-entropy rounds of one device by modules and optimiser of torch."""
    config = net.learner.config
    model = Pretext(config.model, net.learner.task.spec, "ce").double()
    model.load_state_dict(server)
    optimiser = torch.optim.SGD(model.parameters(), lr=config.step_size, momentum=net.momentum)
    samples = net.learner.task.shards["a"].samples
    for number in range(first, first + rounds):
        for rows in rows_of_round(net.learner.task, "a", device, number):
            optimiser.zero_grad()
            functional.cross_entropy(model(samples.x[rows]), samples.y[rows]).backward()
            if net.largest_gradient is not None:
                torch.nn.utils.clip_grad_norm_(model.parameters(), net.largest_gradient)
            optimiser.step()
    return {name: tensor.detach() for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize("config", [CONFIG, IMAGES], ids=["vector", "image"])
@pytest.mark.parametrize(("momentum", "largest"), [(0.0, None), (0.9, None), (0.9, 0.5)])
def test_fedce_is_sgd_of_torch(
    config: LearningConfig, momentum: float, largest: float | None
) -> None:
    net = net_of(config, momentum=momentum, largest_gradient=largest)
    server = net.start_extractor("ce")
    trained = forced(net, net.train_extractor(server, "a", UNEVEN, FIRST, "ce"))
    for device in range(3):
        start = forced(net, server)
        wanted = by_torch(net, start, device, int(UNEVEN[device]), int(FIRST[device]))
        own = {name: tensor[device] for name, tensor in trained.items()}
        # torch divides by a norm that is 1e-6 larger where it clips
        close(own, wanted, rtol=1e-5 if largest else 1e-9, atol=1e-5 if largest else 1e-11)


def test_gradients_below_the_norm_are_left_as_they_are() -> None:
    nets = [net_of(largest_gradient=largest) for largest in (None, 1e6)]
    free, clipped = (
        forced(net, net.train_extractor(net.start_extractor("ce"), "a", UNEVEN, FIRST, "ce"))
        for net in nets
    )
    assert all(torch.equal(free[name], clipped[name]) for name in free)


@pytest.mark.parametrize("config", [CONFIG, IMAGES], ids=["vector", "image"])
@pytest.mark.parametrize("largest", [None, 0.1])
def test_all_at_once_is_one_after_another(config: LearningConfig, largest: float | None) -> None:
    net = net_of(config)
    task = net.learner.task
    model = make_extractor(config.model, task.spec)
    tensors = forced(net, net.start_extractor("none"))
    start = {n.removeprefix("extractor."): t.expand(3, *t.shape) for n, t in tensors.items()}

    def loss(weights: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return functional.cross_entropy(functional_call(model, weights, (x,)), y)

    def draw(device: int, number: int | None) -> list[tuple[Tensor, ...]]:
        rows = torch.from_numpy(rows_of_round(task, "a", device, number))
        samples = task.shards["a"].samples
        return [(samples.x[step], samples.y[step] % config.model.hidden) for step in rows]

    descent = Descent(0.1, 0.9, largest)
    both = [
        descend(start, draw, loss, descent, UNEVEN.tolist(), FIRST.tolist(), t)
        for t in (True, False)
    ]
    close(*both, rtol=1e-9, atol=1e-11)


def test_momentum_begins_anew_in_every_call() -> None:
    for momentum, same in ((0.0, True), (0.9, False)):
        net = net_of(momentum=momentum)
        server, one = net.start_extractor("ce"), np.array([1, 0, 0])
        only = {"a": one.astype(bool)}
        part = net.average(
            server, {"a": net.train_extractor(server, "a", one, 0 * one, "ce")}, only, True
        )
        part = net.average(part, {"a": net.train_extractor(part, "a", one, one, "ce")}, only, True)
        whole = net.train_extractor(server, "a", 2 * one, 0 * one, "ce")
        whole = net.average(server, {"a": whole}, only, True)
        first, second = forced(net, part), forced(net, whole)
        assert all(torch.equal(first[name], second[name]) for name in first) == same


@pytest.mark.parametrize("weighted", [True, False])
def test_average_is_a_mean_of_whole_copies(weighted: bool) -> None:
    net = net_of()
    server = net.start_extractor("ce")
    trained = {
        name: net.train_extractor(server, name, np.ones(k, int), np.zeros(k, int), "ce")
        for name, k in (("a", 3), ("b", 2))
    }
    who = {"a": np.array([True, False, True]), "b": np.array([False, True])}
    mean = forced(net, net.average(server, trained, who, weighted))
    copies, sizes = [], []
    for index, name in enumerate("ab"):
        for device in np.flatnonzero(who[name]):
            copies.append({n: t[device] for n, t in forced(net, trained[name]).items()})
            sizes.append(net.samples()[index][device] if weighted else 1)
    wanted = {
        name: sum(size * copy[name] for size, copy in zip(sizes, copies, strict=True)) / sum(sizes)
        for name in mean
    }
    close(mean, wanted, rtol=1e-12, atol=1e-14)


def test_sixteen_bits_round_the_change_that_is_sent() -> None:
    net = net_of(replace(CONFIG, upload_format="float16", precision="float32"))
    server, one = net.start_extractor("ce"), np.array([1, 0, 0])
    trained = net.train_extractor(server, "a", one, 0 * one, "ce")
    mean = forced(net, net.average(server, {"a": trained}, {"a": one.astype(bool)}, True))
    old, new = forced(net, server), forced(net, trained)
    for name, tensor in mean.items():
        change = (new[name][0] - old[name]).half().float()
        torch.testing.assert_close(tensor, old[name] + change, rtol=0, atol=1e-7)


def test_what_is_not_finite_is_refused_by_name() -> None:
    net = net_of(replace(CONFIG, step_size=1e200))
    server = net.start_extractor("ce")
    trained = net.train_extractor(server, "a", np.full(3, 3), np.zeros(3, int), "ce")
    assert net.learner.not_finite(trained) == [0, 1, 2]
    with pytest.raises(ValueError, match="not finite"):
        forced(net, net.average(server, {"a": trained}, EVERYBODY, True))
    with pytest.raises(ValueError, match="nobody"):
        forced(net, net.average(server, {"a": trained}, {"a": np.zeros(3, bool)}, True))


def test_matrices_of_correlation() -> None:
    net = net_of()
    server = net.start_extractor("spectral")
    parts = [net.correlation(server, name, 0) for name in "ab"]
    for part in parts:
        matrices = forced(net, part)["matrix"]
        torch.testing.assert_close(matrices, matrices.transpose(1, 2))
        # Rows are no longer than sqrt(mu) = 2: the trace of R is at most mu.
        assert (matrices.diagonal(dim1=1, dim2=2).sum(1) <= 4.0 + 1e-12).all()
    total = forced(net, net.total(parts))
    everyone = torch.cat([forced(net, part)["matrix"] for part in parts])
    torch.testing.assert_close(total["matrix"], everyone.sum(0))
    some = forced(net, net.total(parts, [np.array([True, False, False]), np.zeros(2, bool)]))
    torch.testing.assert_close(some["matrix"], everyone[0])
    assert (int(total["clients"]), int(some["clients"])) == (5, 1)
    noisy = forced(net, net.correlation(server, "a", 0, noise=0.01))["matrix"]
    noise = (noisy - forced(net, parts[0])["matrix"]).numpy()
    assert noise.std() == pytest.approx(0.01, rel=0.15)
    assert abs(noise.mean()) < 5 * 0.01 / noise.size**0.5
    assert not torch.equal(
        forced(net, net.correlation(server, "a", 1))["matrix"], forced(net, parts[0])["matrix"]
    )


@pytest.mark.parametrize("radius", [4.0, 0.01])
def test_a_matrix_is_that_of_two_views_of_each_sample(radius: float) -> None:
    from tests.kit.training import view

    net = net_of(radius=radius)
    task, server = net.learner.task, net.start_extractor("spectral")
    model = Pretext(task.config.model, task.spec, "spectral").double()
    model.load_state_dict(forced(net, server))
    found = forced(net, net.correlation(server, "b", 7))["matrix"]
    for device in range(2):
        rng, x = stream(3, "correlation", "b", device, 7), task.shards["b"].of(device).x
        with torch.no_grad():
            first, second = model(view(x, rng)).numpy(), model(view(x, rng)).numpy()
        wanted = np.zeros((12, 12))
        for z in (*first, *second):
            length = np.sqrt(z @ z)
            if length > np.sqrt(radius):
                z = z * np.sqrt(radius) / length
            wanted += np.outer(z, z) / (2 * len(x))
        np.testing.assert_allclose(found[device].numpy(), wanted, rtol=1e-9, atol=1e-14)


def test_fedsc_follows_the_clients_objective() -> None:
    """One step of one device, by the formula of the notes with everything written out."""
    net = net_of(replace(CONFIG, steps_per_round=1), momentum=0.0)
    task, server, alpha = net.learner.task, net.start_extractor("spectral"), 0.3
    own = [net.correlation(server, name, 0) for name in "ab"]
    one = np.ones(3, int)
    trained = net.train_extractor(
        server, "a", one, 0 * one, "spectral", own=own[0], total=net.total(own), alpha=alpha
    )
    from tests.kit.training import view

    everyone = torch.cat([forced(net, part)["matrix"] for part in own])
    for device in range(3):
        model = Pretext(task.config.model, task.spec, "spectral").double()
        model.load_state_dict(forced(net, server))
        rng = stream(3, "views", "a", device, 0)
        x = task.shards["a"].samples.x[rows_of_round(task, "a", device, 0)[0]]
        z0, z1 = model(view(x, rng)), model(view(x, rng))
        others = (everyone.sum(0) - everyone[device]) / 4
        z = torch.cat((z1, z0))
        r = z.T @ z / (2 * len(z0))
        assert z.norm(dim=1).max() < 2.0  # nothing is clipped here
        loss = -2 * torch.trace(z1 @ z0.T) / len(z0)
        loss = loss + alpha * torch.trace(r @ r) + 2 * (1 - alpha) * torch.trace(r @ others)
        loss.backward()
        for name, parameter in model.named_parameters():
            wanted = parameter.detach() - 0.1 * parameter.grad
            torch.testing.assert_close(
                forced(net, trained)[name][device], wanted, rtol=1e-9, atol=1e-12
            )


def test_for_one_client_alpha_is_1() -> None:
    net = net_of(
        replace(CONFIG, clusters=("a",), devices=(1,), model=replace(MODEL, experts=1, top_k=1))
    )
    server, one = net.start_extractor("spectral"), np.ones(1, int)
    own = net.correlation(server, "a", 0)
    shared = net.train_extractor(
        server, "a", one, 0 * one, "spectral", own=own, total=net.total([own]), alpha=0.2
    )
    alone = net.train_extractor(server, "a", one, 0 * one, "spectral")
    close(forced(net, shared), forced(net, alone))


def test_experts_are_trained_on_their_own_samples_behind_the_extractor() -> None:
    net = net_of()
    task, server = net.learner.task, net.start_extractor("none")
    rounds, zero = np.array([2, 1]), np.zeros(2, int)
    trained = forced(net, net.train_experts(server, "b", rounds, zero))
    extractor = make_extractor(task.config.model, task.spec).double()
    extractor.load_state_dict(
        {n.removeprefix("extractor."): t for n, t in forced(net, server).items()}
    )
    for device, client in enumerate((3, 4)):
        w = {
            n.split(".", 3)[3]: t.clone().requires_grad_()
            for n, t in task.initial.items()
            if n.startswith(f"expert.{client}.")
        }
        for number in range(rounds[device]):
            for rows in rows_of_round(task, "b", device, number):
                samples = task.shards["b"].samples
                with torch.no_grad():
                    h = extractor(samples.x[rows])
                inner = functional.gelu(h @ w["up.weight"].T + w["up.bias"])
                logits = inner @ w["down.weight"].T + w["down.bias"]
                steps = torch.autograd.grad(
                    functional.cross_entropy(logits, samples.y[rows]), list(w.values())
                )
                w = {
                    n: (t - 0.1 * s).detach().requires_grad_()
                    for (n, t), s in zip(w.items(), steps, strict=True)
                }
        own = {name: tensor[device] for name, tensor in trained.items()}
        close(own, {name: tensor.detach() for name, tensor in w.items()}, rtol=1e-9, atol=1e-12)


def test_a_client_of_one_class_learns_it() -> None:
    config = replace(
        CONFIG,
        clusters=("a",),
        devices=(10,),
        model=replace(MODEL, experts=10),
        data=DataConfig(kind="digits", partition="classes", classes_per_device=1, trial_samples=1),
    )
    net = net_of(config)
    server, zero = net.start_extractor("none"), np.zeros(10, int)
    experts = {"a": net.train_experts(server, "a", zero + 30, zero)}
    (score,) = net.scores(server, experts, None, "local")
    assert score["accuracy"] == pytest.approx(0.1, abs=0.005)
    assert score["f1"] == pytest.approx(2 / 11 / 10, abs=0.002)


def test_central_training_is_the_module_trained_as_a_whole() -> None:
    net = net_of(momentum=0.9)
    task = net.learner.task
    whole = net.central(3)
    model = task.model(
        {n: t for n, t in task.initial.items() if n.startswith(("expert.", "gate."))}
    )
    model.moe.gate.k = 5
    model.moe.dense = True
    slow = [p for n, p in model.named_parameters() if ".gate." in n]
    fast = [p for n, p in model.named_parameters() if ".gate." not in n]
    for parameter in model.parameters():
        parameter.data = parameter.data.clone()
    groups = [{"params": fast}, {"params": slow, "lr": 0.1 * task.config.gate_step_size_ratio}]
    optimiser = torch.optim.SGD(groups, lr=0.1, momentum=0.9)
    x = torch.cat([task.shards[name].samples.x for name in "ab"])
    y = torch.cat([task.shards[name].samples.y for name in "ab"])
    for number in range(3):
        for rows in stream(3, "batch", "central", number).integers(0, len(y), (2, 8)):
            optimiser.zero_grad()
            functional.cross_entropy(model(x[rows]), y[rows]).backward()
            optimiser.step()
    wanted = model.state_dict()
    close(
        forced(net, whole.server),
        {n: t for n, t in wanted.items() if n.startswith("extractor.")},
        rtol=1e-9,
        atol=1e-12,
    )
    close(
        forced(net, whole.gate),
        {n: wanted[f"moe.gate.{n}"] for n in ("weight", "bias")},
        rtol=1e-9,
        atol=1e-12,
    )
    for name, clients in (("a", (0, 1, 2)), ("b", (3, 4))):
        experts = forced(net, whole.experts[name])
        for part, tensor in experts.items():
            rows = [wanted[f"moe.experts.{client}.{part}"] for client in clients]
            torch.testing.assert_close(tensor, torch.stack(rows), rtol=1e-9, atol=1e-12)


def test_other_networks_other_clocks_same_keys() -> None:
    """A value's key says all that it depends on, so equal keys prove equal learning."""
    one, other = net_of(), net_of()
    handles = [
        net.train_experts(net.start_extractor("ce"), "a", UNEVEN, FIRST) for net in (one, other)
    ]
    assert handles[0].key == handles[1].key
    more = net_of(replace(CONFIG, seed=4))
    assert more.train_experts(more.start_extractor("ce"), "a", UNEVEN, FIRST).key != handles[0].key


def test_views_are_drawn_from_their_stream() -> None:
    from tests.kit.training import view

    colour = torch.rand(6, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    for x in (colour, colour[:, :1], torch.rand(6, 20)):
        one, same = (view(x, np.random.default_rng(1)) for _ in range(2))
        other = view(x, np.random.default_rng(2))
        assert torch.equal(one, same)
        assert one.shape == x.shape
        assert not torch.equal(one, other)
        assert torch.isfinite(one).all()
    for x in (colour, colour[:, :1]):
        seen = view(x, np.random.default_rng(3))
        assert seen.min() >= 0
        assert seen.max() <= 1


def test_grey_images_are_never_mirrored() -> None:
    """A view of a bright left half stays brighter on the left."""
    from tests.kit.training import view

    x = torch.zeros(500, 1, 8, 8)
    x[..., :4] = 1.0
    seen = view(x, np.random.default_rng(0))
    assert (seen[..., 0].mean((1, 2)) >= seen[..., -1].mean((1, 2))).all()
    coloured = view(x.expand(500, 3, 8, 8).contiguous(), np.random.default_rng(0))
    share = (coloured[..., 0].mean((1, 2)) < coloured[..., -1].mean((1, 2))).float().mean().item()
    assert 0.3 < share < 0.6


WRONG = [
    ({"combine": "sum"}, "combine is 'sum'"),
    ({"estimator": "none"}, "estimator"),
    ({"radius": 0.0}, "radius is 0.0"),
    ({"radius": float("nan")}, "radius is nan"),
    ({"momentum": 1.0}, "momentum is 1.0"),
    ({"largest_gradient": 0.0}, "largest_gradient is 0.0"),
]


@pytest.mark.parametrize(("options", "words"), WRONG, ids=[words for _, words in WRONG])
def test_wrong_options_are_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        net_of(CONFIG, **options)


def test_models_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="'vector-nmoe' or 'image-nmoe'"):
        net_of(replace(CONFIG, model=replace(MODEL, kind="vector-moe")))
    with pytest.raises(ValueError, match="5 here"):
        net_of(replace(CONFIG, model=replace(MODEL, experts=4)))
    with pytest.raises(ValueError, match="top_k is 6"):
        net_of(replace(CONFIG, model=replace(MODEL, top_k=6)))
    with pytest.raises(ValueError, match="'vector-nmoe' takes them"):
        net_of(replace(CONFIG, model=replace(MODEL, kind="image-nmoe")))
    with pytest.raises(ValueError, match="multiple of 4"):
        net_of(replace(IMAGES, model=replace(IMAGES.model, hidden=10)))
    with pytest.raises(ValueError, match="takes vector data, but these are text"):
        make_extractor(MODEL, InputSpec("text", (8,), 2, 50))


def test_the_extractor_may_have_a_step_size_of_its_own() -> None:
    def trained(step_size: float, ratio: float) -> Tensors:
        net = net_of(replace(CONFIG, step_size=step_size), extractor_step_size_ratio=ratio)
        return forced(net, net.train_extractor(net.start_extractor("ce"), "a", UNEVEN, FIRST, "ce"))

    half, whole = trained(0.1, 0.5), trained(0.05, 1.0)
    assert all(torch.equal(half[name], whole[name]) for name in half)
    assert any(not torch.equal(half[name], other) for name, other in trained(0.1, 1.0).items())
