"""Losses and targets of one's own: as loops of plain PyTorch learn them, and refused in a line."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from learning import Learner
from tests.kit.inner import learning as kit
from tests.kit.rounds import assert_as_by_hand, downloaded, models_of, trained

SEED, SIZE, STEPS, BATCH = 3, 0.05, 3, 8


# What a user would write.


def pixels(spec):
    first = nn.Conv2d(spec.shape[0], 6, 3, padding=1)
    return nn.Sequential(first, nn.ReLU(), nn.Conv2d(6, spec.outputs, 1))


class TwoViews(nn.Module):
    """Encodes both views of a sample, (n, 1, 2, d), alike: (n, 2, 5)."""

    def __init__(self, spec):
        super().__init__()
        self.encode = nn.Sequential(nn.Linear(spec.shape[-1], 16), nn.Tanh(), nn.Linear(16, 5))

    def forward(self, x):
        return self.encode(x[:, 0])


def contrastive(outputs, targets):
    """Each sample's two views are near to each other, among those of the minibatch: InfoNCE."""
    one, other = functional.normalize(outputs, dim=-1).unbind(1)
    return functional.cross_entropy(one @ other.T / 0.5, torch.arange(len(one)))


def weighted(outputs, targets, inputs):
    return (inputs[:, 0].square() * (outputs.squeeze(1) - targets).abs()).mean()


def smooth(outputs, targets):
    return functional.cross_entropy(outputs, targets, label_smoothing=0.2)


def branching(outputs, targets):
    loss = functional.cross_entropy(outputs, targets)
    return loss if float(loss) < 1e9 else loss * 2


def in_place(outputs, targets, inputs):
    inputs -= 3.0
    outputs.mul_(2.0)
    return (inputs[:, 0] * (outputs.squeeze(1) - targets.neg_())).square().mean()


def dropping(outputs, targets):
    return functional.cross_entropy(functional.dropout(outputs, 0.1), targets)


def squares(outputs, targets, inputs):
    return (outputs.reshape(targets.shape) - targets).square().mean()


def entropy(outputs, targets, inputs):
    return functional.cross_entropy(outputs, targets)


def not_in_place(outputs, targets, inputs):
    return ((inputs[:, 0] - 3.0) * (2.0 * outputs.squeeze(1) + targets)).square().mean()


def without_inputs(loss):
    return lambda outputs, targets, inputs: loss(outputs, targets)


# Files of arrays.


def arrays(of):
    draw = np.random.default_rng(0)
    x = draw.normal(size=(160, 6))
    y = x @ draw.normal(size=(6, 3))
    labels = y.argmax(1)
    images = draw.random((160, 6, 5, 2))
    places = (images.sum(-1) > 1.0).astype(int) + (images[..., 0] > 0.9)
    return {
        "number": (x, y[:, 0]),
        "columns": (x, y),
        "labels": (x, labels),
        "no labels": (x, np.full(160, -100)),
        "some labels": (x, np.where(np.arange(160) % 3 == 0, -100, labels)),
        "places": (images, np.where(draw.random(places.shape) < 0.3, -100, places)),
        "views": (np.stack([x, x + 0.1 * draw.normal(size=x.shape)], 1), np.zeros(160, int)),
    }[of]


def learner_of(folder, of, kind, loss, **keys):
    x, y = arrays(of)
    np.savez(folder / "data.npz", x=x, y=y)
    kind = kind if "-" in kind else f"{__name__}:{kind}"
    named = {None: None, "mse": "mse"}
    keys = {"batch_size": BATCH, "steps_per_round": STEPS, "precision": "float64", **keys}
    config = kit.LearningConfig(
        SEED, ("a", "b"), (2, 1), model=kit.ModelConfig(kind=kind), step_size=SIZE,
        loss=named.get(loss, f"{__name__}:{loss}"),
        data=kit.Data(kind="npz", path=str(folder / "data.npz")), **keys,
    )  # fmt: skip
    return Learner(config)


@pytest.mark.parametrize(
    ("of", "kind", "loss", "plain"),
    [
        ("number", "vector-mlp", "mse", squares),
        ("number", "vector-mlp", "weighted", weighted),
        ("number", "vector-mlp", "in_place", not_in_place),
        ("labels", "vector-mlp", "smooth", without_inputs(smooth)),
        ("labels", "vector-mlp", "branching", entropy),
        ("some labels", "vector-mlp", None, entropy),
        ("places", "pixels", None, entropy),
        ("views", "TwoViews", "contrastive", without_inputs(contrastive)),
    ],
)
def test_rounds_and_scores_are_those_of_a_loop_of_plain_pytorch(tmp_path, of, kind, loss, plain):
    learner = learner_of(tmp_path, of, kind, loss)
    task = learner.task
    assert task.traits.batched == (loss != "branching")
    before = {name: [t.clone() for t in test] for name, test in task.test.items()}
    server, module = assert_as_by_hand(learner, plain, rtol=1e-10)
    for score in learner.evaluate(server):
        test = task.test[score["cluster"]]
        with torch.no_grad():
            outputs = module(test.x)
        assert score["loss"] == pytest.approx(float(plain(outputs, test.y, test.x)))
        if of in ("number", "columns", "views"):
            assert score["accuracy"] is None
        else:
            kept = test.y != -100
            right = (outputs.argmax(1) == test.y)[kept].double().mean()
            assert score["accuracy"] == pytest.approx(float(right))
    for name, test in task.test.items():
        assert all(map(torch.equal, test, before[name]))


def test_a_mixture_is_pretrained_by_any_loss(tmp_path):
    def loss(steps):
        pretraining = kit.Pretraining(backbone_steps=steps, expert_steps=steps, gate_steps=steps)
        learner = learner_of(tmp_path, "number", "vector-moe", "mse", pretraining=pretraining)
        return sum(score["loss"] for score in learner.evaluate(learner.start()))

    assert loss(60) < loss(0)


def masked(outputs, targets):
    kept = (targets > 0).double()
    return (kept * (outputs - targets) ** 2).sum() / kept.sum().clamp(min=1)


def total(outputs, targets):
    return (outputs - targets).square().sum()


def by_largest(outputs, targets):
    return (outputs - targets).square().mean() / outputs.detach().abs().max()


def mean_of_rows(outputs, targets):
    return (outputs - targets).abs().sum(1).mean()


@pytest.mark.parametrize("piece", [1, 3])
@pytest.mark.parametrize("loss", ["masked", "total", "by_largest", "mean_of_rows"])
def test_pieces_of_a_minibatch_are_for_losses_that_are_means_over_samples(tmp_path, loss, piece):
    whole, pieces = (
        learner_of(tmp_path, "columns", "vector-mlp", loss, micro_batch=size)
        for size in (None, piece)
    )
    start = whole.force(whole.start())
    if loss != "mean_of_rows":
        with pytest.raises(
            ValueError, match=r"^learning\.micro_batch: .*is not a mean over samples"
        ):
            pieces.build()
        return
    after = [models_of(trained(downloaded(one, one.start()))) for one in (whole, pieces)]
    for name, tensor in after[0].items():
        torch.testing.assert_close(after[1][name], tensor, rtol=1e-10, atol=1e-12)
        assert not torch.equal(tensor[0], start[name])


def test_a_minibatch_without_a_label_moves_nothing(tmp_path):
    objective = learner_of(tmp_path, "places", "pixels", None).task.objective
    outputs = torch.zeros(2, 3, 6, 5, requires_grad=True)
    objective.of(outputs, torch.full((2, 6, 5), -100), torch.zeros(2)).backward()
    assert not outputs.grad.any()


# What does not do.


def of_rows(outputs, targets):
    return functional.cross_entropy(outputs, targets, reduction="none")


def not_a_number(outputs, targets):
    return outputs.sum() * float("nan")


def elsewhere(outputs, targets):
    return torch.zeros((), device="meta")


def cut_off(outputs, targets):
    return outputs.detach().mean()


def constant(outputs, targets):
    return torch.tensor(1.0, requires_grad=True)


def no_backward(outputs, targets):
    likely = outputs.exp()
    loss = likely.log().mean()
    likely.mul_(2.0)
    return loss


def spread(outputs, targets):
    return (outputs - targets).square().mean()


ONE = "return one number, the mean over the minibatch, as a tensor"


@pytest.mark.parametrize(
    ("of", "kind", "loss", "keys", "said"),
    [
        ("labels", "vector-mlp", "of_rows", {}, f"returns a tensor of shape (8,); {ONE}"),
        ("labels", "vector-mlp", "not_a_number", {}, "returns nan on the first minibatch"),
        ("labels", "vector-mlp", "elsewhere", {}, "a tensor on meta, and the outputs are on cpu"),
        ("labels", "vector-mlp", "cut_off", {}, "has no gradient by the outputs, so that no"),
        ("labels", "vector-mlp", "constant", {}, "has no gradient by the outputs on the first"),
        ("labels", "vector-mlp", "no_backward", {}, "no_backward' cannot be differentiated"),
        ("number", "vector-mlp", "spread", {}, "targets of shape (8,) each with all; use outputs"),
        ("number", "vector-mlp", None, {}, "does not take; set learning.loss: mse, or save"),
        ("labels", "vector-mlp", "mse", {}, "are int64, and mse takes floats; give them as"),
        ("places", "image-cnn", None, {}, "logits (n, classes, h, w), here (2, 3, 6, 5)"),
        ("columns", "one_column", "mse", {}, "returns (2, 1); it must return numbers for targets"),
        ("labels", "vector-mlp", "dropping", {"micro_batch": 4}, ":dropping' draws at random"),
        ("no labels", "vector-mlp", None, {}, "every label is -100, and these are left out"),
    ],
)
def test_what_does_not_do_is_said_in_one_line(tmp_path, of, kind, loss, keys, said):
    with pytest.raises(ValueError, match=r"learning\.") as error:
        learner_of(tmp_path, of, kind, loss, **keys).build()
    assert said in str(error.value) and "\n" not in str(error.value)


def one_column(spec):
    return nn.Linear(spec.shape[0], 1)


@pytest.mark.parametrize(
    ("of", "loss", "said"),
    [
        ("number", "mse", "float64 of shape (), which are none"),
        ("places", None, "int64 of shape (6, 5), which are none"),
    ],
)
def test_a_split_by_classes_takes_classes(tmp_path, of, loss, said):
    config = learner_of(tmp_path, of, "pixels", loss).config
    data = dataclasses.replace(config.data, split=kit.Split(kind="dirichlet", alpha=0.3))
    with pytest.raises(ValueError, match=r"^learning\.data\.split\.kind: ") as error:
        Learner(dataclasses.replace(config, data=data)).build()
    assert said in str(error.value)
