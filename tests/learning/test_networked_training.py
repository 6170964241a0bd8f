"""Stages of networked experts that whole runs do not compare with plain PyTorch.

FedCE, FedSC without shared matrices, personal experts and FedGate are in
``tests/sim/engine/test_nmoe_runs.py``.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from tests.kit import learning as kit
from tests.kit import training
from tests.kit.small_nmoe import EVERYBODY, MODEL, VECTOR
from tests.kit.training import (
    CorrelationShare,
    Descent,
    ExtractorLoss,
    LocalRounds,
    Pretext,
    extractor,
    gates,
    rows_of_round,
    shared,
    view,
)


def task_of(config=VECTOR):
    return kit.Learner(config).task


def trained_extractor(task, server, cluster, rounds, loss, *matrices, momentum=0.9, **shared):
    return extractor.train_extractor(
        task,
        server,
        *matrices,
        local=LocalRounds(cluster, rounds, 0 * rounds),
        objective=ExtractorLoss(loss, radius=4.0),
        descent=Descent(momentum, largest_gradient=None),
        share=CorrelationShare(**shared),
    )


def average(task, server, trained, who, weighted):
    how = {"clusters": list(trained), "who": [who[name] for name in trained], "weighted": weighted}
    return training.aggregation.average(task, server, *trained.values(), **how)


def correlation(task, server, cluster, number=0, noise=0.0, radius=4.0):
    how = {"number": number, "noise": noise, "radius": radius}
    return extractor.correlation(task, server, cluster=cluster, **how)


def close(one, other, tolerance=1e-9):
    assert set(one) == set(other)
    for name, tensor in one.items():
        torch.testing.assert_close(tensor, other[name], rtol=tolerance, atol=tolerance / 1000)


def projecting(task, server):
    model = Pretext(task.config.model, task.spec, "spectral").double()
    model.load_state_dict(server)
    return model


@pytest.mark.parametrize("weighted", [True, False])
def test_the_average_is_a_mean_of_changes_as_they_are_sent(weighted):
    task = task_of(replace(VECTOR, upload_format="float16", steps_per_round=4))
    server = extractor.start_extractor(task, loss="ce")
    trained = {
        name: trained_extractor(task, server, name, np.ones(k, int), "ce")
        for name, k in (("a", 3), ("b", 2))
    }
    who = {"a": np.array([True, False, True]), "b": np.array([False, True])}
    mean = average(task, server, trained, who, weighted)
    (first, _, third), (_, last) = (task.shards[name].sizes for name in "ab")
    sizes = torch.tensor([first, third, last] if weighted else [1, 1, 1], dtype=torch.float64)
    for name, old in server.items():
        copies = [trained[c][name][torch.from_numpy(who[c])] for c in "ab"]
        sent = (torch.cat(copies) - old).half().double()
        wanted = old + torch.einsum("k,k...->...", sizes / sizes.sum(), sent)
        torch.testing.assert_close(mean[name], wanted, rtol=1e-12, atol=1e-14)


def test_views_of_images_keep_to_their_own_range():
    """From 0 to 1 of bytes; what is normalised has darker pixels than 0 in its views too."""
    images = torch.linspace(-1.5, 1.5, 4 * 64).reshape(4, 1, 8, 8)
    rng = np.random.default_rng(0)
    seen = view(images, rng)
    assert seen.min() < -1 and seen.max() > 1
    bytes_of = (images > 0).float()
    assert (view(bytes_of, rng).min(), view(bytes_of, rng).max()) == (0, 1)


@pytest.mark.parametrize("radius", [4.0, 0.01])
def test_a_matrix_is_that_of_two_views_of_each_sample(radius):
    task = task_of()
    server = extractor.start_extractor(task, loss="spectral")
    model = projecting(task, server)
    found = correlation(task, server, "b", 7, radius=radius)["matrix"]
    for device in range(2):
        rng = kit.stream(3, "correlation", "b", device, 7)
        x = task.shards["b"].of(device).x
        wanted = np.zeros((12, 12))
        for z in torch.cat([model(view(x, rng)) for _ in range(2)]).detach().numpy():
            z = z * min(1.0, np.sqrt(radius / (z @ z)))
            wanted += np.outer(z, z) / (2 * len(x))
        np.testing.assert_allclose(found[device].numpy(), wanted, rtol=1e-9, atol=1e-14)


def test_matrices_are_summed_over_those_that_count_and_may_have_noise():
    task = task_of()
    server = extractor.start_extractor(task, loss="spectral")
    parts = [correlation(task, server, name) for name in "ab"]
    everyone = torch.cat([part["matrix"] for part in parts])
    total = extractor.total(task, *parts, counts=[[1, 0, 4], [0, 0]])
    torch.testing.assert_close(total["matrix"], everyone[0] + 4 * everyone[2])
    assert int(total["count"]) == 5
    noisy = correlation(task, server, "a", noise=0.01)["matrix"]
    noise = (noisy - everyone[:3]).numpy()
    assert noise.std() == pytest.approx(0.01, rel=0.15)
    assert abs(noise.mean()) < 5 * 0.01 / noise.size**0.5


@pytest.mark.parametrize("by_samples", [True, False])
def test_with_weights_by_samples_clients_of_unequal_size_descend_the_loss_of_all_data(by_samples):
    """A step of all, at the last alpha. Each batch of a client stands for as much of its data."""
    split = kit.Split("devices", "dirichlet", 0.5)
    data = kit.Data(kind="digits", split=split, trial_samples=1)
    task = task_of(replace(VECTOR, data=data, steps_per_round=1))
    sizes = {name: task.shards[name].sizes for name in "ab"}
    assert max(sizes["b"]) > 2 * min(sizes["a"])
    server = extractor.start_extractor(task, loss="spectral")
    model = projecting(task, server)
    views = []
    own = {}
    for name in "ab":
        for device, size in enumerate(sizes[name]):
            rng = kit.stream(3, "views", name, device, 0)
            x = task.shards[name].samples.x[rows_of_round(task, name, [device], [0])[0, 0]]
            seen = torch.stack((view(x, rng), view(x, rng)))
            views.append(seen.repeat(1, size, 1))
            z = model(seen.flatten(0, 1)).detach()
            own.setdefault(name, []).append(z.T @ z / len(z))
    shared(*map(model, torch.cat(views, 1)), radius=4.0).backward()

    counts = [np.array(own if by_samples else own * 0 + 1) for own in map(np.array, sizes.values())]
    own = [{"matrix": torch.stack(matrices)} for matrices in own.values()]
    total = extractor.total(task, *own, counts=counts)
    trained = {}
    for name, matrix, count in zip("ab", own, counts, strict=True):
        alpha = count / sum(map(sum, counts))
        how = {"counts": count, "alpha": alpha, "momentum": 0.0}
        trained[name] = trained_extractor(
            task, server, name, 0 * count + 1, "spectral", matrix, total, **how
        )
    mean = average(task, server, trained, EVERYBODY, by_samples)
    error = 0.0
    norm = 0.0
    for name, parameter in model.named_parameters():
        descended = (server[name] - mean[name]) / task.config.step_size
        error += (descended - parameter.grad).square().sum().item()
        norm += parameter.grad.square().sum().item()
    assert (error / norm < 1e-24) if by_samples else (error / norm > 1e-4)


def drawn(seed, *shape):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def test_the_spectral_loss_of_nothing_has_a_finite_gradient():
    z = torch.zeros(10, 6, requires_grad=True)
    nothing = shared(z, z, 1.0)
    assert nothing.item() == 0.0
    assert torch.autograd.grad(nothing, z)[0].isfinite().all()


@pytest.mark.parametrize("largest", [None, 0.5])
def test_central_training_is_the_module_trained_as_a_whole(largest):
    task = task_of()
    whole = gates.central(task, rounds=3, descent=Descent(0.9, largest))
    drawn = {n: t for n, t in task.initial.items() if n.startswith(("expert.", "gate."))}
    model = task.model(drawn)
    model.moe.gate.k, model.moe.dense = 5, True
    for parameter in model.parameters():
        parameter.data = parameter.data.clone()
    slow = [p for n, p in model.named_parameters() if ".gate." in n]
    fast = [p for n, p in model.named_parameters() if ".gate." not in n]
    groups = [{"params": fast}, {"params": slow, "lr": 0.1 * 0.5}]
    optimiser = torch.optim.SGD(groups, lr=0.1, momentum=0.9)
    x, y = (torch.cat([getattr(task.shards[n].samples, part) for n in "ab"]) for part in "xy")
    for number in range(3):
        for rows in kit.stream(3, "batch", "central", number).integers(0, len(y), (2, 8)):
            optimiser.zero_grad()
            functional.cross_entropy(model(x[rows]), y[rows]).backward()
            if largest is not None:
                torch.nn.utils.clip_grad_norm_(model.parameters(), largest)
            optimiser.step()
    found = extractor.extractor_in(whole)
    found |= {f"moe.gate.{n}": t for n, t in gates.central_gate(task, whole).items()}
    for name, clients in (("a", (0, 1, 2)), ("b", (3, 4))):
        for part, stacked in gates.central_experts(task, whole, cluster=name).items():
            own = zip(clients, stacked, strict=True)
            found |= {f"moe.experts.{client}.{part}": tensor for client, tensor in own}
    # torch divides by a norm that is 1e-6 larger where it clips
    expected = {n: t for n, t in model.state_dict().items() if n in found}
    close(found, expected, 1e-5 if largest else 1e-9)


def test_views_are_drawn_from_their_stream_and_grey_images_are_not_mirrored():
    colour = torch.rand(6, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    for x in (colour, colour[:, :1], torch.rand(6, 20)):
        one, same, other = (view(x, np.random.default_rng(seed)) for seed in (1, 1, 2))
        assert torch.equal(one, same) and one.shape == x.shape and not torch.equal(one, other)
        assert x.dim() == 2 or (one.min() >= 0 and one.max() <= 1)
    grey = torch.zeros(500, 1, 8, 8)
    grey[..., :4] = 1.0  # a view of a bright left half stays brighter on the left
    seen = [view(x, np.random.default_rng(0)) for x in (grey, grey.repeat(1, 3, 1, 1))]
    plain, mirrored = (s[..., 0].mean((1, 2)) < s[..., -1].mean((1, 2)) for s in seen)
    assert not plain.any() and 0.3 < mirrored.float().mean().item() < 0.6


def test_each_client_has_an_expert():
    with pytest.raises(ValueError, match="5 here"):
        kit.NMoE.check(replace(VECTOR, model=replace(MODEL, experts=4)))
