"""Metrics that look at gradients, against autograd of the global loss of the whole model."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional

import sim
from learning import Learner, of_gradients
from tests.kit.inner import learning as kit
from tests.kit.inner.sim import build
from tests.kit.plain_loop import small_model
from tests.kit.small import slots

HERE = "tests.sim.engine.test_gradients"
SHIPPED = [f"squared_gradient_norm{part}" for part in ("", "_experts", "_gate")]


@of_gradients
def along(own, whole):
    """Of a cluster's gradient what lies along the global one; its mean over samples is the norm."""
    return np.concatenate([*own.experts, own.gate]) @ np.concatenate([*whole.experts, whole.gate])


@pytest.mark.parametrize("trains_backbone", [True, False])
def test_norms_are_those_of_autograd_of_the_mean_loss_over_devices(trains_backbone, tmp_path):
    learning = small_model("emsfl") | {"metrics": [*SHIPPED, f"{HERE}:along"]}
    said = slots(learning=learning | {"trains_backbone": trains_backbone})
    rows = sim.run(said, tmp_path / "run").metrics
    task = build(said).learner.task
    module = task.model(load_file(tmp_path / "run" / "model" / "model.safetensors"))
    module.requires_grad_()
    shards = task.shards
    total = sum(sum(of.sizes) for of in shards.values())
    loss = torch.zeros((), dtype=torch.float64)
    for of in shards.values():  # (3): devices weigh by their samples
        for device, size in enumerate(of.sizes):
            x, y, _ = of.of(device)
            loss = loss + size / total * functional.cross_entropy(module(x), y)
    loss.backward()
    squares = {n: float(p.grad.square().sum()) for n, p in module.named_parameters()}
    experts = sum(value for name, value in squares.items() if ".experts." in name)
    gate = squares["moe.0.gate.weight"]
    if trains_backbone:
        gate = sum(squares.values()) - experts
    last = rows[rows.time_s == rows.time_s.max()].set_index("scope")
    found = last.loc["global", SHIPPED].to_list()
    np.testing.assert_allclose(found, [experts + gate, experts, gate], rtol=1e-9)
    assert gate > 0
    of_cluster = last.loc["cluster"].set_index("cluster").along
    shares = [sum(shards[name].sizes) / total for name in of_cluster.index]
    np.testing.assert_allclose(of_cluster @ shares, experts + gate, rtol=1e-9)


def test_a_run_by_factors_has_the_gradient_by_whole_matrices_and_nothing_else_moves(runs):
    """At the start the factors add nothing: it is the gradient of a run without any."""
    by_factors = sim.run(slots(learning={"metrics": SHIPPED}))
    whole = sim.run(slots(learning={"metrics": SHIPPED, "lora": {"rank": None}}))
    assert by_factors.metrics[SHIPPED].iloc[0].equals(whole.metrics[SHIPPED].iloc[0])
    plain = runs.result("slots")
    assert by_factors.metrics.drop(columns=SHIPPED).equals(plain.metrics)


@pytest.mark.parametrize(
    "left_out",
    [
        lambda number, rng: rng.random((60, 4)) < 0.2 + 0.7 * number,
        lambda number, rng: np.full((60, 4), number == 1),
        lambda number, rng: np.arange(240).reshape(60, 4) > 100 * number,
    ],
)
def test_the_global_loss_is_the_mean_over_all_labels_that_are_not_left_out(tmp_path, left_out):
    """Of two clusters that have as many samples, and other numbers of labels."""
    rng = np.random.default_rng(3)
    paths = {}
    for number, name in enumerate(("a", "b")):
        x, y = rng.normal(size=(60, 2, 4)), rng.integers(0, 3, (60, 4))
        paths[name] = str(tmp_path / f"{name}.npz")
        np.savez(paths[name], x=x, y=np.where(left_out(number, rng), -100, y))
    data = kit.Data(kind="npz", paths=kit.FrozenDict(paths))
    model = kit.ModelConfig(kind=f"{HERE}:along_places")
    config = kit.LearningConfig(1, ("a", "b"), (2, 1), model=model, data=data)
    learner = Learner(replace(config, precision="float64"), metrics=(SHIPPED[0], f"{HERE}:along"))
    task, start = learner.task, learner.start()
    module = task.model(learner.force(start))
    samples = [task.shards[name].samples for name in config.clusters]
    x, y = (torch.cat([getattr(part, of) for part in samples]) for of in "xy")
    loss = functional.cross_entropy(module(x), y)
    gradients = torch.autograd.grad(loss, [*module.parameters()])
    expected = float(sum(gradient.square().sum() for gradient in gradients))
    scores = learner.evaluate(start)
    for score in scores:
        assert score[SHIPPED[0]] == pytest.approx(expected, rel=1e-9)
    counts = [int((part.y != -100).sum()) for part in samples]
    of_clusters = sum(n * score["along"] for n, score in zip(counts, scores, strict=True))
    assert of_clusters / sum(counts) == pytest.approx(expected, rel=1e-9)


def along_places(spec):
    places = torch.nn.Conv2d(1, spec.classes, (2, 3), padding=(0, 1))
    return torch.nn.Sequential(places, torch.nn.Flatten(2))
