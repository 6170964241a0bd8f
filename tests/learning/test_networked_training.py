"""Stages of networked experts that whole runs do not compare with plain PyTorch.

FedCE, FedSC, personal experts and FedGate are in ``tests/sim/engine/test_nmoe_runs.py``.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from learning.learner import Learner
from learning.nmoe.method import NMoE
from learning.nmoe.training import extractor, gates
from learning.nmoe.training.extractor import estimated as shared
from learning.nmoe.training.extractor import view
from learning.rng import stream
from tests.kit.small_nmoe import MODEL, VECTOR


def close(one, other, tolerance=1e-9):
    assert set(one) == set(other)
    for name, tensor in one.items():
        torch.testing.assert_close(tensor, other[name], rtol=tolerance, atol=tolerance / 1000)


def test_matrices_are_summed_over_those_that_count():
    task = Learner(VECTOR).task
    server = extractor.start_extractor(task, loss="spectral")
    parts = [extractor.correlation(task, server, cluster=name, number=0) for name in "ab"]
    everyone = torch.cat([part["matrix"] for part in parts])
    total = extractor.total(task, *parts, who=[[True, False, True], [False, False]])
    torch.testing.assert_close(total["matrix"], everyone[0] + everyone[2])
    assert int(total["count"]) == 2


def test_the_spectral_loss_of_nothing_has_a_finite_gradient():
    z = torch.zeros(10, 6, requires_grad=True)
    nothing = shared(z, z)
    assert nothing.item() == 0.0
    assert torch.autograd.grad(nothing, z)[0].isfinite().all()


def test_central_training_is_the_module_trained_as_a_whole():
    task = Learner(VECTOR).task
    whole = gates.central(task, rounds=3)
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
        for rows in stream(3, "batch", "central", number).integers(0, len(y), (2, 8)):
            optimiser.zero_grad()
            functional.cross_entropy(model(x[rows]), y[rows]).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 3.0)
            optimiser.step()
    found = extractor.extractor_in(whole)
    found |= {f"moe.gate.{n}": t for n, t in gates.central_gate(task, whole).items()}
    for name, clients in (("a", (0, 1, 2)), ("b", (3, 4))):
        for part, stacked in gates.central_experts(task, whole, cluster=name).items():
            own = zip(clients, stacked, strict=True)
            found |= {f"moe.experts.{client}.{part}": tensor for client, tensor in own}
    # torch divides by a norm that is 1e-6 larger where it clips
    expected = {n: t for n, t in model.state_dict().items() if n in found}
    close(found, expected, 1e-5)


def test_views_keep_the_range_of_their_images_and_grey_ones_are_not_mirrored():
    """From 0 to 1 of bytes; what is normalised has darker pixels than 0 in its views too."""
    images = torch.linspace(-1.5, 1.5, 4 * 64).reshape(4, 1, 8, 8)
    seen = view(images, np.random.default_rng(0))
    assert seen.min() < -1 and seen.max() > 1
    grey = torch.zeros(500, 1, 8, 8)
    grey[..., :4] = 1.0  # a view of a bright left half stays brighter on the left
    seen = [view(x, np.random.default_rng(0)) for x in (grey, grey.repeat(1, 3, 1, 1))]
    assert all(part.min() >= 0 and part.max() <= 1 for part in seen)
    plain, mirrored = (s[..., 0].mean((1, 2)) < s[..., -1].mean((1, 2)) for s in seen)
    assert not plain.any() and 0.3 < mirrored.float().mean().item() < 0.6


def test_each_client_has_an_expert():
    with pytest.raises(ValueError, match="5 here"):
        NMoE.check(replace(VECTOR, model=replace(MODEL, experts=4)))
