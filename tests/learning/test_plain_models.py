"""Plain models, without experts: trained, sent and averaged as a loop of plain PyTorch does it."""

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from learning import Learner
from tests.kit.inner import learning as kit
from tests.kit.rounds import assert_as_by_hand, by_path

SEED, SIZE, BATCH = 3, 0.05, 8
OWN = ("normalised", "dropping", "Tied", "Frozen", "Parts", "Masked", "Recomputed", "orthogonal")


class Tied(nn.Module):
    def __init__(self, width=64):
        super().__init__()
        self.gate, self.again = nn.Linear(64, width), nn.Linear(width, 64)
        self.again.weight = self.gate.weight
        self.head = nn.Linear(64, 10)

    def forward(self, x):
        return self.head(torch.tanh(self.again(torch.tanh(self.gate(x)))))


class Recurrent(nn.Module):
    """The mean of a sequence of vectors; a GRU knows its weights by other references, too."""

    def __init__(self, spec, width):
        super().__init__()
        self.inner = nn.GRU(8, width, num_layers=2, batch_first=True)
        self.head = nn.Linear(width, spec.classes)

    def forward(self, x):
        return self.head(self.inner(x.unflatten(-1, (8, 8)))[0].mean(-2))


class Frozen(nn.Module):
    def __init__(self, spec):
        super().__init__()
        self.stem, self.head = nn.Linear(64, 12), nn.Linear(12, spec.classes)
        self.stem.requires_grad_(False)

    def forward(self, x):
        return self.head(torch.relu(self.stem(x)))


class Parts(nn.Module):
    """Its modules are called as parts of a state are, and its tensors as factors are."""

    def __init__(self, spec):
        super().__init__()
        self.base, self.optimizer = nn.Linear(64, 12), nn.Linear(12, spec.classes)
        self.added, self.trained = nn.Linear(12, 12), nn.Linear(12, 12)
        self.changes, self.a = nn.BatchNorm1d(12), nn.Parameter(torch.ones(12))
        self.delta = nn.ParameterDict({"a": torch.ones(12), "p:q+r": torch.zeros(12)})

    def forward(self, x):
        hidden = self.trained(self.added(self.base(x)))
        hidden = self.changes(hidden) * self.a + self.delta["p:q+r"]
        return self.optimizer(torch.relu(hidden) * self.delta["a"])


class Masked(nn.Module):
    """A mask of true and false among its buffers, and a parameter without numbers."""

    def __init__(self, spec):
        super().__init__()
        self.first = nn.Linear(64, spec.classes)
        self.none = nn.Parameter(torch.zeros(0, 3))
        self.register_buffer("mask", torch.arange(64) % 3 > 0)

    def forward(self, x):
        return self.first(x.masked_fill(~self.mask, 0.0)) + self.none.sum()


class Recomputed(nn.Module):
    """Runs its first map once more when gradients go back."""

    def __init__(self, spec):
        super().__init__()
        self.first, self.head = nn.Linear(64, 12), nn.Linear(12, spec.classes)

    def forward(self, x):
        hidden = checkpoint(lambda y: torch.tanh(self.first(y)), x, use_reentrant=False)
        return self.head(hidden)


def orthogonal(spec):
    """A matrix of orthogonal rows, one factor of which is a buffer that nothing moves."""
    first = nn.utils.parametrizations.orthogonal(nn.Linear(64, 12))
    return nn.Sequential(first, nn.Tanh(), nn.Linear(12, spec.classes))


def mlp(spec, width=16):
    return nn.Sequential(nn.Linear(*spec.shape, width), nn.ReLU(), nn.Linear(width, spec.classes))


def normalised(spec):
    norm = nn.BatchNorm1d(16, momentum=None)  # the mean of all batches: counts decide
    return nn.Sequential(nn.Linear(64, 16), norm, nn.ReLU(), nn.Linear(16, spec.classes))


def dropping(spec):
    return nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Dropout(0.4), nn.Linear(16, spec.classes))


def config(kind, arguments=None, **keys):
    named = kind if "-" in kind else f"{__name__}:{kind}"
    model = kit.ModelConfig(kind=named, arguments=kit.FrozenDict(arguments or {}))
    keys = {"batch_size": BATCH, "steps_per_round": 3, "precision": "float64", **keys}
    return kit.LearningConfig(SEED, ("a", "b"), (2, 1), model=model, step_size=SIZE, **keys)


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        *((kind, {}) for kind in ("vector-mlp", "image-cnn", *OWN)),
        ("mlp", {"width": 7}),
        ("Recurrent", {"width": 8}),
    ],
)
def test_a_round_gives_what_a_loop_of_plain_pytorch_gives(kind, arguments):
    data = kit.Data(kind="digit-images" if "cnn" in kind else "digits")
    learner = Learner(config(kind, arguments, data=data))
    entropy = lambda logits, y, x: nn.functional.cross_entropy(logits, y)  # noqa: E731
    server, _ = assert_as_by_hand(learner, entropy)
    merged = by_path(learner, server)
    sent_numbers = learner.architecture.upload_bytes([], gate=True) / 8
    trained = {n for n in merged if n not in {f"stem.{p}" for p in ("weight", "bias")}}
    assert sent_numbers == sum(merged[n].numel() for n in trained)


def right(logits, labels):
    return float((logits.argmax(1) == labels).mean())


def spoils(logits, labels):
    logits[:] = 0.0
    labels[:] = 0
    return 0.0


def test_a_metric_may_change_what_it_is_given():
    plain, spoilt = (
        Learner(config("mlp"), metrics=tuple(f"{__name__}:{name}" for name in names))
        for names in (["right"], ["spoils", "right"])
    )
    for _ in range(2):
        before, after = (learner.evaluate(learner.start()) for learner in (plain, spoilt))
        assert after == [{**score, "spoils": 0.0} for score in before]


@pytest.mark.parametrize("kind", ["image-cnn", "mlp"])
def test_a_model_in_bfloat16_is_tested_as_any_other(kind):
    data = kit.Data(kind="digit-images" if "cnn" in kind else "digits")
    both = (config(kind, data=data, precision=p) for p in ("bfloat16", "float64"))
    short, exact = (Learner(one, metrics=(f"{__name__}:right",)) for one in both)
    assert short.test_labels() == exact.test_labels()
    for score in short.evaluate(short.start()):
        assert score["right"] == pytest.approx(score["accuracy"])
