"""Models of one's own: what works, and what is refused before a run in one line."""

import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from learning import Learner
from learning.models import MoELayer
from tests.kit.inner.learning import LearningConfig, Lora, ModelConfig, Pretraining, build_task
from tests.kit.rounds import (
    assert_as_by_hand,
    downloaded,
    merged,
    models_of,
    moved,
    trained,
)


class Base(nn.Module):
    """Linear -> ReLU -> residual MoE layer -> head; the kinds below change one method each."""

    def __init__(self, config, spec, here):
        super().__init__()
        self.first = nn.Linear(spec.shape[0], config.hidden)
        self.mix = MoELayer(config, here)
        self.head = nn.Linear(config.hidden, spec.classes)
        self.extra(config, here)

    def extra(self, config, here):
        """Add nothing."""

    def hidden(self, x):
        return torch.relu(self.first(x))

    def forward(self, x):
        hidden = self.hidden(x)
        return self.head(hidden + self.mix(hidden))


class Shifted(nn.Module):
    """An expert with a tensor that is called as a factor is."""

    def __init__(self, hidden, inner):
        super().__init__()
        self.up, self.down = nn.Linear(hidden, inner), nn.Linear(inner, hidden)
        self.a = nn.Parameter(torch.zeros(hidden))

    def forward(self, x):
        return self.down(torch.tanh(self.up(x + self.a)))


def kind(name, **methods):
    globals()[name] = type(name, (Base,), methods)


def scale(size):
    # after some calls of transformers, torch.linspace is real on the meta device too
    return 0.5 + torch.arange(size) / (size - 1)


def buffers(self, config, here):
    self.register_buffer("scale", scale(config.hidden))
    self.register_buffer("shift", torch.ones(config.hidden), persistent=False)


def buffer(name, make):
    return lambda self, config, here: self.register_buffer(name, make(config.hidden))


def by_data(self, x):
    hidden = Base.hidden(self, x)
    return hidden if hidden.mean() > 0 else -hidden


def counting(self, x):
    self.seen += len(x)
    return Base.hidden(self, x)


def fails(self, x):
    raise RuntimeError("boom\nsecond line")


def own_top_k(self, config, here):
    self.second = MoELayer(replace(config, top_k=2), here)


def tied_experts(self, config, here):
    for expert in list(self.mix.experts.values())[1:]:
        expert.up.weight = self.mix.experts[str(here.held[0])].up.weight


def adds(name, make):
    return lambda self, config, here: setattr(self, name, make(config.hidden))


def featured(self, x):
    return Base.hidden(self, x) * self.features


def scaled(self, x):
    return Base.forward(self, x) * (1 + self.scale)


kind("Constant", extra=buffers, hidden=lambda s, x: Base.hidden(s, x) * s.scale + s.shift)
kind("Scalar", extra=adds("scale", lambda _: nn.Parameter(torch.tensor(0.0))), forward=scaled)
dropped = adds("drop", lambda _: nn.Dropout(0.5))
kind("Dropped", extra=dropped, hidden=lambda self, x: self.drop(Base.hidden(self, x)))
kind("Frozen", extra=lambda self, config, here: self.first.weight.requires_grad_(False))
kind("Control", hidden=by_data)
kind("Added", extra=lambda s, config, _: s.register_buffer("scale+a", scale(config.hidden)))
kind("OwnFactor", extra=lambda s, config, here: setattr(s, "mix", MoELayer(config, here, Shifted)))
kind(
    "Statistics",
    extra=adds("norm", nn.BatchNorm1d),
    hidden=lambda self, x: self.norm(Base.hidden(self, x)),
)
kind("TiedExperts", extra=tied_experts)
kind("Unused", extra=adds("spare", lambda size: nn.Parameter(torch.ones(size))))
kind("Lottery", hidden=lambda s, x: Base.hidden(s, x) * (1 + 0.1 * s.training * random.random()))
kind("Lazy", extra=adds("norm", nn.LazyLinear))
kind("RandomBuffer", extra=buffer("features", torch.randn), hidden=featured)
kind("Counting", extra=buffer("seen", lambda _: torch.zeros(())), hidden=counting)
kind("Noisy", hidden=lambda self, x: functional.dropout(Base.hidden(self, x), 0.5))
kind("FewOutputs", forward=lambda self, x: Base.forward(self, x)[:, :3])
kind("NotANumber", forward=lambda self, x: Base.forward(self, x) * float("nan"))
kind("Detached", forward=lambda self, x: Base.forward(self, x).detach())
kind("Raises", forward=fails)
kind("Around", forward=lambda self, x: self.head(self.hidden(x)))
kind("OwnTopK", extra=own_top_k)
kind("FrozenExpert", extra=lambda self, config, here: self.mix.experts.requires_grad_(False))


class NoModule:
    def __init__(self, config, spec, here):
        self.here = here


class NoArguments(nn.Module):
    pass


def plain(width=8):
    return nn.Sequential(nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))


class OneArgument(nn.Module):
    def __init__(self, spec, width):
        super().__init__()


class Plain(nn.Module):
    """Two layers; those below keep something, or end with more."""

    def __init__(self):
        super().__init__()
        self.first, self.head = nn.Linear(64, 12), nn.Linear(12, 10)

    def forward(self, x):
        return self.head(torch.relu(self.first(x)))


class Buffered(Plain):
    """Batches are counted in place, in a buffer that is part of the model."""

    persistent = True

    def __init__(self):
        super().__init__()
        self.register_buffer("batches", torch.zeros(()), persistent=self.persistent)

    def forward(self, x):
        if self.training:
            self.count()
        return super().forward(x)

    def count(self):
        self.batches += 1


class Passing(Buffered):
    persistent = False


class Replacing(Buffered):
    def count(self):
        self.batches = self.batches + 1


class LazyBuffer(Plain):
    """A buffer, made by the first forward pass."""

    def forward(self, x):
        if not hasattr(self, "mean"):
            self.register_buffer("mean", x.detach().mean(0))
        return super().forward(x)


class LazyLayer(Plain):
    """A layer, made by the first forward pass."""

    def forward(self, x):
        if not hasattr(self, "second"):
            self.second = nn.Linear(12, 10)
        return self.second(torch.relu(self.first(x)))


class LazyInTraining(Plain):
    """A parameter, made by the first forward pass in training mode."""

    def forward(self, x):
        if self.training and not hasattr(self, "scale"):
            self.scale = nn.Parameter(torch.ones(()))
        return super().forward(x) * getattr(self, "scale", 1.0)


class CarriesOn(Plain):
    kept = 0.0

    def forward(self, x):
        logits = super().forward(x)
        self.kept = self.kept + logits.mean() if self.training else 0.0
        return logits + self.kept


def gated():
    return nn.Sequential(nn.Linear(64, 12), nn.Sigmoid(), nn.Linear(12, 10))


def normalised():
    """Batch norm, dropout, and the old spectral norm, which sets the weight as an attribute."""
    first = nn.utils.spectral_norm(nn.Linear(64, 12))
    return nn.Sequential(first, nn.BatchNorm1d(12), nn.ReLU(), nn.Dropout(0.1), nn.Linear(12, 10))


def script_inside():
    return nn.Sequential(torch.jit.script(nn.Linear(64, 12)), nn.ReLU(), nn.Linear(12, 10))


def on_meta():
    return gated().to("meta")


def complex_numbers():
    return gated().to(torch.complex64)


class SparseParameter(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(64, 10)
        self.w = nn.Parameter(torch.eye(64).to_sparse())

    def forward(self, x):
        return self.head(torch.sparse.mm(self.w, x.T).T)


class NoMode(Plain):
    def train(self, mode=True):
        raise KeyError("broken")


class Complex(Plain):
    def forward(self, x):
        return super().forward(x.flatten(1)).to(torch.complex64)


class Incomplete(nn.Module):
    def __init__(self):
        self.k = 1


def compiled():
    return torch.compile(Plain(), backend="eager")


def test_a_module_is_tried_without_warnings_of_torch(recwarn):
    assert build_task(config("compiled", trains_backbone=True))
    assert [str(one.message) for one in recwarn] == []


def untracked():
    norm = nn.BatchNorm1d(12, track_running_stats=False)
    return nn.Sequential(nn.Linear(64, 12), norm, nn.Linear(12, 10))


def config(kind, rank=2, **keys):
    lora = Lora(rank=rank)
    model = ModelConfig(kind=f"{__name__}:{kind}", experts=2, hidden=12, expert_hidden=8, lora=lora)
    given = {"pretraining": Pretraining(3, 3, 3), "steps_per_round": 2, "batch_size": 8, **keys}
    return LearningConfig(7, ("a", "b"), (2, 2), model=model, **given)


def one_round(configuration):
    learner = Learner(configuration)
    start = learner.start()
    state = trained(downloaded(learner, start), (2, 1))
    assert learner.not_finite(state.whole) == []
    server = merged(start, state)
    assert learner.not_finite(server) == []
    assert all(np.isfinite(score["loss"]) for score in learner.evaluate(server))
    return learner, dict(learner.force(learner.final(server)))


def entropy(logits, y, x):
    return functional.cross_entropy(logits, y)


MIXTURES = ["Constant", "Control", "Dropped", "RandomBuffer", "Scalar", "Statistics", "OwnFactor"]


@pytest.mark.parametrize("kind", MIXTURES)
@pytest.mark.quick(4)
def test_a_round_of_a_mixture_of_ones_own_is_that_of_plain_pytorch(kind):
    exact = {"precision": "float64", "gate_step_size_ratio": 1.0}
    assert_as_by_hand(Learner(config(kind, None, trains_backbone=True, **exact)), entropy)


def test_dropout_of_a_frozen_backbone_is_off_and_frozen_parts_stay_as_they_were_drawn():
    (_, dropped), (_, plain) = one_round(config("Dropped")), one_round(config("Base"))
    assert dropped.keys() == plain.keys() and moved(dropped, plain) == set()
    learner, after = one_round(config("Frozen", trains_backbone=True))
    stayed = learner.task.initial.keys() - moved(learner.task.initial, after)
    assert "first.weight" in stayed and "first.bias" not in stayed


class InPlace(Plain):
    def forward(self, x):
        x *= 2.0
        return super().forward(x)


def made_otherwise(spec):
    module = nn.Linear(64, spec.classes)
    if not module.weight.is_meta:
        module.register_buffer("seen", torch.zeros(3))
    return module


def hooked(spec):
    module = nn.Linear(64, spec.classes)
    module.weight.register_hook(lambda gradient: gradient.clamp(-0.1, 0.1))
    return module


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("TiedExperts", r"ties 'mix.experts.1.up.weight' to 'mix.experts.0.up.weight'"),
        ("Added", r"has a tensor 'scale\+a'; its name must not end"),
        ("NoMode", r"cannot be tried \(KeyError: 'broken'"),
        ("Lazy", r"has a lazy parameter 'norm.weight'"),
        ("Counting", r"changes its buffer 'seen' in forward in evaluation mode"),
        ("LazyBuffer", r"makes or removes its tensor 'mean' in forward; make all parameters"),
        ("LazyLayer", r"makes or removes its tensor 'second.bias' in forward"),
        ("LazyInTraining", r"makes or removes its tensor 'scale' in forward"),
        ("Unused", r"has a parameter 'spare' that gets no gradient; use it in forward, or set"),
        ("Lottery", r"draws from the global generator of random or numpy in forward"),
        ("Noisy", r"gives other logits for the same samples .*draw at random in training only"),
        ("FewOutputs", r"returns \(2, 3\); it must return logits \(n, classes\), here \(2, 10\)"),
        ("NotANumber", r"returns logits that are not a number"),
        ("Detached", r"returns logits without a gradient"),
        (
            "Raises",
            r"forward fails on vector data of shape \(2, 64\) \(RuntimeError: boom, .*:\d+\)",
        ),
        ("Around", r"does not call its MoE layers"),
        ("OwnTopK", r"has 2 experts and top 2 at 'second.gate'; .*experts and top_k from"),
        ("FrozenExpert", r"has requires_grad=False at 'mix.experts.0.up.weight', but experts"),
        ("NoModule", r"gives a NoModule; it must give a torch.nn.Module"),
        ("NoArguments", r"has no parameters to train"),
        ("Complex", r"returns complex logits"),
        ("Incomplete", r"call super\(\).__init__\(\) first"),
        ("CarriesOn", r"cannot be trained a second time .*must be detached, in a buffer"),
        ("script_inside", r"has a compiled torch.jit module at '0'"),
        ("on_meta", r"has no numbers in '0.weight' \(device meta\); make it on cpu"),
        ("complex_numbers", r"has a complex tensor '0.weight'; keep real and imaginary part"),
        ("SparseParameter", r"has a sparse tensor 'w'; make it dense"),
        ("InPlace", r"gives other logits .* change neither weights nor samples there"),
        ("hooked", r"has a hook on the gradient of its parameter 'weight', which is not called"),
        ("made_otherwise", r"has another tensor 'seen' where it is made on the device meta"),
        ("OneArgument", r"cannot be made by calling it with \(spec\) \(TypeError.*'width'"),
    ],
)
def test_what_does_not_work_is_said_in_one_line_before_the_run(kind, text):
    with pytest.raises(ValueError, match=text) as error:
        Learner(config(kind, trains_backbone=kind in ("Unused", "LazyInTraining"))).build()
    assert "\n" not in str(error.value) and f"{__name__}:{kind}" in str(error.value)


@pytest.mark.parametrize(
    ("kind", "sizes", "key"),
    [
        ("normalised", {"batch_size": 1}, "batch_size"),
        ("untracked", {"batch_size": 7, "micro_batch": 3}, "micro_batch"),
    ],
)
def test_batch_normalisation_of_one_sample_is_refused_before_the_run(kind, sizes, key):
    """Also where a minibatch that is computed in pieces leaves one sample alone."""
    text = rf"learning\.{key}: .*{kind}' cannot be trained on one sample"
    with pytest.raises(ValueError, match=text):
        build_task(config(kind, trains_backbone=True, **sizes))
    fits = {"batch_size": 8, "micro_batch": 3}  # 3, 3 and 2 samples
    fits = {name: fits[name] for name in sizes}
    assert build_task(config(kind, trains_backbone=True, **fits))
    assert build_task(config("gated", trains_backbone=True, **sizes))


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("learning.model.hidden=9", "whose signature does not name `config`"),
        ("learning.lora.rank=2", "which has no experts"),
        ("learning.model.arguments={width: x}", "cannot be made by calling it with (width)"),
    ],
)
def test_keys_that_a_function_does_not_take_are_refused(tmp_path, leomix, key, why):
    plain = f"learning.model.kind={__name__}:plain"
    keys = ("--set", "learning.method=fedavg", "--set", plain, "--set", key)
    refused = leomix("run", "paper-slots", *keys, "-o", tmp_path / "plain")
    assert refused.status == 2 and why in refused.err
    assert not (tmp_path / "plain").exists()


def test_a_buffer_that_is_changed_in_place_is_federated_and_others_are_not():
    kinds = ("Buffered", "Passing", "Replacing")
    after = {kind: one_round(config(kind, trains_backbone=True))[1] for kind in kinds}
    assert after["Buffered"]["batches"] > 0 and after["Replacing"]["batches"] == 0
    assert "batches" not in after["Passing"]


class LargestNorm(Plain):
    """Looks up rows of an embedding that are scaled to a largest norm, in place."""

    def __init__(self):
        super().__init__()
        del self.first
        self.rows = nn.Embedding(20, 12, max_norm=0.5, _weight=torch.eye(12).repeat(2, 1)[:20])

    def forward(self, x):
        return self.head(self.rows((16 * x).long()).mean(-2))


class Clipped(Plain):
    """Clips its first matrix before it is used, in place."""

    def forward(self, x):
        with torch.no_grad():
            self.first.weight.clamp_(-0.02, 0.02)
        return super().forward(x)


class ClippedData(Plain):
    """The same, where torch does not count the change."""

    def forward(self, x):
        self.first.weight.data.clamp_(-0.02, 0.02)
        return super().forward(x)


REWRITING = ["LargestNorm", "Clipped", "ClippedData"]


@pytest.mark.parametrize("kind", REWRITING)
def test_evaluation_of_a_module_that_rewrites_its_parameters_changes_no_model(kind):
    exact = {"trains_backbone": True, "precision": "float64"}
    learner = Learner(config(kind, None, **exact))
    start = learner.start()
    before = {name: tensor.clone() for name, tensor in learner.force(start).items()}
    scores = learner.evaluate(start)
    assert moved(before, learner.force(start)) == set()
    assert learner.evaluate(start) == scores
    assert_as_by_hand(Learner(config(kind, None, **exact)), entropy)


@pytest.mark.parametrize("kind", [*REWRITING, "normalised", "normalised_alone"])
@pytest.mark.parametrize("personal", [(), ("head", "4"), ("first", "rows", "1")])
def test_parts_of_a_module_that_changes_tensors_in_place_are_trained(kind, personal):
    """In a turn, only its own part follows the gradient; statistics follow every minibatch."""
    learner = Learner(config(kind, None, trains_backbone=True, personal=named_in(kind, personal)))
    task, state = learner.task, downloaded(learner, learner.start())
    start = models_of(state)
    for moves in ("personal", "shared") if task.personal else ("all",):
        after = models_of(trained(state, (2, 1), moves=moves))
        parts = {"personal": task.personal, "shared": start.keys() - task.personal}
        expected = parts.get(moves, start.keys()) | task.buffers
        assert moved(start, after) == expected
    assert task.buffers or kind in REWRITING


def named_in(kind, patterns):
    paths = [path for path, _ in globals()[kind]().named_parameters()]
    return tuple(one for one in patterns if any(path.startswith(one) for path in paths))


def normalised_alone():
    module = normalised()
    module.batched = False
    return module


def test_experts_alone_are_trained_beside_batch_normalisation_that_stands_still():
    learner = Learner(config("Statistics", None, trains_backbone=True))
    state = downloaded(learner, learner.start())
    start, after = (
        models_of(state),
        models_of(trained(state, 2, gate=False, experts=(1,), mask="-inf")),
    )
    assert moved(start, after) == {name for name in start if name.startswith("expert.1.")}


class Called(nn.Module):
    """Parts that are called as leomix calls those of mixtures."""

    def __init__(self):
        super().__init__()
        self.gate = nn.ModuleList([nn.Linear(64, 12)])
        self.expert = nn.ModuleDict({"0": nn.ModuleList([nn.Linear(64, 12)])})
        self.own = nn.Linear(12, 10)

    def forward(self, x):
        return self.own(torch.sigmoid(self.gate[0](x)) * torch.tanh(self.expert["0"][0](x)))


def test_the_saved_tensors_of_a_plain_module_are_those_of_its_state_dict():
    learner = Learner(config("Called", None, trains_backbone=True, precision="float64"))
    server, _ = assert_as_by_hand(learner, entropy)
    Called().load_state_dict(learner.force(learner.final(server)), strict=True)
