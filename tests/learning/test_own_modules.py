"""Models of one's own: what works, and what is refused before a run in one line."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import scenarios
import sim
from learning.models import MODELS, MoELayer, Residency
from tests.kit.learning import Learner, LearningConfig, LoraConfig, ModelConfig, Pretraining
from tests.kit.network import InputError
from tests.kit.sweeps import main
from tests.kit.training import build_task, expert_of, start_model

CLUSTERS = ("a", "b")


class Base(nn.Module):
    """Linear -> ReLU -> residual MoE layer -> head; what a test changes is ``extra``."""

    def __init__(self, config: ModelConfig, spec: Any, here: Residency) -> None:
        super().__init__()
        self.first = nn.Linear(spec.shape[0], config.hidden)
        self.mix = MoELayer(config, here)
        self.head = nn.Linear(config.hidden, spec.classes)
        self.extra(config)

    def extra(self, config: ModelConfig) -> None:
        """Add nothing."""

    def hidden(self, x: Tensor) -> Tensor:
        return torch.relu(self.first(x))

    def forward(self, x: Tensor) -> Any:
        hidden = self.hidden(x)
        return self.head(hidden + self.mix(hidden))


class Constant(Base):
    def extra(self, config: ModelConfig) -> None:
        self.register_buffer("scale", torch.linspace(0.5, 1.5, config.hidden))
        self.register_buffer("shift", torch.ones(config.hidden), persistent=False)

    def hidden(self, x: Tensor) -> Tensor:
        return super().hidden(x) * self.scale + self.shift


class ConstantByHand(Base):
    """The same function as Constant, without buffers."""

    def hidden(self, x: Tensor) -> Tensor:
        return super().hidden(x) * torch.linspace(0.5, 1.5, self.head.in_features) + 1


class Scalar(Base):
    def extra(self, config: ModelConfig) -> None:
        self.scale = nn.Parameter(torch.tensor(0.0))

    def forward(self, x: Tensor) -> Any:
        return super().forward(x) * (1 + self.scale)


class Unused(Base):
    def extra(self, config: ModelConfig) -> None:
        self.spare = nn.Linear(3, 3)


class Dropped(Base):
    def extra(self, config: ModelConfig) -> None:
        self.drop = nn.Dropout(0.5)

    def hidden(self, x: Tensor) -> Tensor:
        return self.drop(super().hidden(x))


class Frozen(Base):
    def extra(self, config: ModelConfig) -> None:
        self.first.weight.requires_grad_(False)


class OneByOne(Base):
    """Data decide the control flow: not to be batched over devices."""

    batched = False

    def hidden(self, x: Tensor) -> Tensor:
        hidden = super().hidden(x)
        return hidden if hidden.mean() > 0 else -hidden


class Control(OneByOne):
    batched = True


class InPlace(Base):
    def hidden(self, x: Tensor) -> Tensor:
        hidden = super().hidden(x)
        out = torch.zeros(hidden.shape)
        out[:, 0] = hidden[:, 0]
        return out


class Statistics(Base):
    def extra(self, config: ModelConfig) -> None:
        self.norm = nn.BatchNorm1d(config.hidden)


class Tied(Base):
    def extra(self, config: ModelConfig) -> None:
        self.second = nn.Linear(config.hidden, config.hidden)
        self.third = nn.Linear(config.hidden, config.hidden)
        self.third.weight = self.second.weight


class Lazy(Base):
    def extra(self, config: ModelConfig) -> None:
        self.norm = nn.LazyLinear(3)


class RandomBuffer(Base):
    def extra(self, config: ModelConfig) -> None:
        self.register_buffer("features", torch.randn(config.hidden))

    def hidden(self, x: Tensor) -> Tensor:
        return super().hidden(x) * self.features


class SeededBuffer(RandomBuffer):
    def extra(self, config: ModelConfig) -> None:
        if torch.get_default_device().type == "meta":
            return self.register_buffer("features", torch.empty(config.hidden))
        drawn = torch.randn(config.hidden, generator=torch.Generator().manual_seed(3))
        return self.register_buffer("features", drawn)


class Counting(Base):
    def extra(self, config: ModelConfig) -> None:
        self.register_buffer("seen", torch.zeros(()))

    def hidden(self, x: Tensor) -> Tensor:
        self.seen += len(x)
        return super().hidden(x)


class Noisy(Base):
    def hidden(self, x: Tensor) -> Tensor:
        return functional.dropout(super().hidden(x), 0.5)


class FewOutputs(Base):
    def forward(self, x: Tensor) -> Any:
        return super().forward(x)[:, :3]


class Dictionary(Base):
    def forward(self, x: Tensor) -> Any:
        return {"logits": super().forward(x)}


class NotANumber(Base):
    def forward(self, x: Tensor) -> Any:
        return super().forward(x) * float("nan")


class Detached(Base):
    def forward(self, x: Tensor) -> Any:
        return super().forward(x).detach()


class Raises(Base):
    def forward(self, x: Tensor) -> Any:
        raise RuntimeError("boom\nsecond line")


class Around(Base):
    """Never calls its MoE layer."""

    def forward(self, x: Tensor) -> Any:
        return self.head(self.hidden(x))


class OwnTopK(Base):
    def __init__(self, config: ModelConfig, spec: Any, here: Residency) -> None:
        super().__init__(config, spec, here)
        self.second = MoELayer(dataclasses.replace(config, top_k=2), here)


class OwnExperts(Base):
    def __init__(self, config: ModelConfig, spec: Any, here: Residency) -> None:
        super().__init__(config, spec, here)
        self.second = MoELayer(dataclasses.replace(config, experts=5), here)


class FrozenExpert(Base):
    def extra(self, config: ModelConfig) -> None:
        for parameter in self.mix.experts.parameters():
            parameter.requires_grad_(False)


class NoModule:
    def __init__(self, config: ModelConfig, spec: Any, here: Residency) -> None:
        self.here = here


class NoArguments(nn.Module):
    pass


def config(kind: str, rank: int | None = 2, **keys: Any) -> LearningConfig:
    lora = LoraConfig(rank=rank)
    model = ModelConfig(kind=f"{__name__}:{kind}", experts=2, hidden=12, expert_hidden=8, lora=lora)
    given = {"pretraining": Pretraining(3, 3, 3), "steps_per_round": 2, "batch_size": 8, **keys}
    return LearningConfig(7, CLUSTERS, (2, 2), model=model, **given)


def one_round(configuration: LearningConfig) -> tuple[Learner, dict[str, Tensor]]:
    """Download, train, upload and aggregate once: experts, gate and what goes with it."""
    learner = Learner(configuration)
    who, zeros = np.ones(2, bool), np.zeros(2, int)
    server = learner.start()
    state = learner.receive(server, None, "a", who, [0, 1], zeros)
    state = learner.train(state, "a", np.array([2, 1]), zeros, [0, 1], gate=True, masked=False)
    sent = learner.offer(state, [0, 1], gate=True)
    assert learner.not_finite(state) == learner.not_finite(sent) == []
    server = learner.merge_experts(server, sent, "a", [0, 1], who)
    server = learner.merge_gate(server, sent, "a", who)
    assert all(np.isfinite(score["loss"]) for score in learner.evaluate(server))
    return learner, dict(learner.final_tensors(server))


def same(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[n], second[n]) for n in first)


@pytest.mark.parametrize("kind", ["Constant", "Scalar", "Unused", "Dropped", "OneByOne"])
@pytest.mark.parametrize("backbone", [False, True])
@pytest.mark.parametrize("sent_as", ["native", "int8"])
@pytest.mark.parametrize("rank", [2, None])
def test_a_module_trains_and_twice_the_same(
    kind: str, backbone: bool, sent_as: str, rank: int | None
) -> None:
    asked = config(kind, rank, trains_backbone=backbone, upload_format=sent_as)
    _, first = one_round(asked)
    start = start_model(build_task(asked))
    _, second = one_round(asked)
    assert same(first, second)
    assert any(not torch.equal(first[n], start[n]) for n in start if expert_of(n) is not None)


def test_buffers_are_constants_of_every_model() -> None:
    _, with_buffers = one_round(config("Constant", trains_backbone=True))
    _, by_hand = one_round(config("ConstantByHand", trains_backbone=True))
    assert with_buffers.keys() == by_hand.keys()
    for name, tensor in by_hand.items():
        torch.testing.assert_close(with_buffers[name], tensor)


def test_buffers_have_the_format_of_the_weights() -> None:
    learner, _ = one_round(config("Constant", precision="bfloat16"))
    model = learner.task.skeleton(Residency((0, 1)))
    assert model.scale.dtype == torch.bfloat16 and not model.scale.is_meta


def test_a_single_number_that_is_trained_moves_on_both_ways_of_training() -> None:
    _, final = one_round(config("Scalar", trains_backbone=True))
    start = start_model(build_task(config("Scalar", trains_backbone=True)))
    assert final["scale"].shape == () and final["scale"] != start["scale"]


def test_dropout_is_off_in_training() -> None:
    _, dropped = one_round(config("Dropped"))
    _, plain = one_round(config("Base"))
    assert same(dropped, plain)


def test_a_frozen_part_of_the_backbone_stays_as_it_was_drawn() -> None:
    long = Pretraining(backbone_steps=150)
    free, frozen = (
        build_task(config(kind, pretraining=long)).initial for kind in ("Base", "Frozen")
    )
    limit = 64**-0.5
    assert frozen["first.weight"].abs().max() <= limit < free["first.weight"].abs().max()
    one_round(config("Frozen"))


def test_a_buffer_of_its_own_seed_is_the_same_in_every_model() -> None:
    learner, _ = one_round(config("SeededBuffer"))
    models = [learner.task.skeleton(Residency(held)) for held in ((0, 1), (1,))]
    assert torch.equal(models[0].features, models[1].features)
    assert models[0].features.abs().sum() > 0


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("Control", r"cannot be trained \(.*data-dependent control flow.*batched = False"),
        ("InPlace", r"cannot be trained \(.*batched = False"),
        ("Statistics", r"has a BatchNorm1d at 'norm': it keeps statistics .*use LayerNorm"),
        ("Tied", r"ties 'third.weight' to 'second.weight'"),
        ("Lazy", r"has a lazy parameter 'norm.weight'"),
        ("RandomBuffer", r"draws its buffer 'features' at random"),
        ("Counting", r"changes its buffer 'seen' in forward"),
        ("Noisy", r"gives other logits for the same samples .*draw nothing at random"),
        ("FewOutputs", r"returns \(2, 3\); it must return logits \(n, classes\), here \(2, 10\)"),
        ("Dictionary", r"returns dict; it must return logits"),
        ("NotANumber", r"returns logits that are not a number"),
        ("Detached", r"returns logits without a gradient"),
        ("Raises", r"forward fails on vector data of shape \(2, 64\) \(RuntimeError: boom\)"),
        ("Around", r"does not call its MoE layers"),
        ("OwnTopK", r"has 2 experts and top 2 at 'second.gate'; .*experts and top_k from"),
        ("OwnExperts", r"has 5 experts and top 1 at 'second.gate'; .*experts and top_k from"),
        ("FrozenExpert", r"has requires_grad=False at 'mix.experts.0.up.weight', but experts"),
        ("NoModule", r"gives a NoModule; it must give a torch.nn.Module"),
        ("NoArguments", r"cannot be made by calling it with \(config, spec, here\) \(TypeError"),
    ],
)
def test_what_does_not_work_is_said_in_one_line_before_the_run(kind: str, text: str) -> None:
    with pytest.raises(ValueError, match=text) as error:
        Learner(config(kind)).build()
    assert "\n" not in str(error.value) and f"{__name__}:{kind}" in str(error.value)


def test_frozen_parts_do_not_go_with_a_backbone_that_is_trained() -> None:
    with pytest.raises(ValueError, match=r"'first.weight', but learning.trains_backbone trains"):
        build_task(config("Frozen", trains_backbone=True))


def test_shipped_kinds_speak_for_themselves() -> None:
    with pytest.raises(ValueError, match=r"^learning.model.kind: 'image-moe' takes image data"):
        build_task(dataclasses.replace(config("Base"), model=ModelConfig(kind="image-moe")))
    assert "vector-moe" in MODELS.shipped


def test_a_run_and_the_command_line_refuse_as_input(tmp_path: Path) -> None:
    scenario = scenarios.load("paper-slots", {"learning.model.kind": f"{__name__}:Raises"})
    with pytest.raises(InputError, match=r":Raises' cannot be run.*RuntimeError: boom\)$"):
        sim.run(scenario)
    out = tmp_path / "run"
    keys = ["--set", f"learning.model.kind={__name__}:FewOutputs", "-o", str(out)]
    with pytest.raises(SystemExit) as left:
        main(["run", "paper-slots", *keys])
    assert left.value.code == 2 and not out.exists()


def test_a_module_that_cannot_be_imported_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "half_a_module.py").write_text("class Half(\n")
    (tmp_path / "divides_by_nothing.py").write_text("1 / 0\n")
    monkeypatch.chdir(tmp_path)
    for kind in ("half_a_module:Half", "divides_by_nothing:Any"):
        with pytest.raises(ValueError, match=f"model {kind!r} cannot be imported"):
            MODELS.find(kind)
