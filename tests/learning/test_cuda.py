"""The same training on CUDA: skipped, visibly, where there is no such device."""

from dataclasses import replace

import pytest
import torch

from learning import Learner, LearningConfig, ModelConfig
from learning.hardware import compute_device
from learning.settings import Lora
from tests.kit.rounds import downloaded, merged, models_of, one_by_one, trained

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
MODEL = ModelConfig(experts=3, top_k=2, hidden=16, expert_hidden=12, layers=2)
GATES = {"gate.0.weight", "gate.1.weight"}
CONFIG = LearningConfig(3, ("a", "b"), (4, 2), MODEL, precision="float64")


@needs_cuda
@pytest.mark.parametrize("rank", [2, None])
@pytest.mark.parametrize("batched", [True, False])
@pytest.mark.parametrize("mask", ["-inf", None])
def test_cuda_ends_where_the_cpu_does(rank, batched, mask):
    config = replace(CONFIG, model=replace(MODEL, lora=Lora(rank=rank)))
    ends = []
    for device in ("cpu", "cuda"):
        learner = Learner(replace(config, device=device))
        if not batched:
            one_by_one(learner)
        state = downloaded(learner, learner.start())
        how = {"experts": (0, 1), "gate": mask is None, "mask": mask}
        ends.append(models_of(trained(state, (3, 1, 0, 2), **how)))
    for name, tensor in ends[0].items():
        torch.testing.assert_close(ends[1][name].cpu(), tensor, atol=1e-9, rtol=1e-9)


@needs_cuda
def test_sixteen_bits_train_on_cuda_and_lower_the_loss():
    learner = Learner(replace(CONFIG, device="cuda", precision="bfloat16", step_size=0.2))
    server = learner.start()
    after = merged(server, trained(downloaded(learner, server), 20), gate=False)
    before_loss, after_loss = (learner.evaluate(model)[0]["loss"] for model in (server, after))
    moved = {name for name, t in learner.force(after).items() if t.dtype == torch.float32}
    assert moved == {name for name in learner.force(after) if name.endswith(".weight")} - GATES
    assert after_loss < before_loss


class Dropped(torch.nn.Module):
    def __init__(self, spec):
        super().__init__()
        self.first, self.head = torch.nn.Linear(spec.shape[0], 16), torch.nn.Linear(16, 10)

    def forward(self, x):
        return self.head(torch.nn.functional.dropout(self.first(x), 0.3, self.training))


def dropping(outputs, targets):
    return torch.nn.functional.cross_entropy(torch.nn.functional.dropout(outputs, 0.1), targets)


@needs_cuda
@pytest.mark.parametrize(("kind", "loss"), [("Dropped", None), ("Plain", "dropping")])
def test_random_numbers_that_cuda_draws_are_those_of_the_device_and_round(kind, loss):
    named = loss and f"{__name__}:{loss}"
    model = ModelConfig(kind=f"{__name__}:{kind}")
    config = replace(CONFIG, model=model, loss=named, device="cuda")
    assert Learner(config).task.traits.draws
    after = []
    for seed in (1, 2):
        torch.cuda.manual_seed(seed)
        before = torch.cuda.get_rng_state()
        learner = Learner(config)
        state = downloaded(learner, learner.start())
        after.append(models_of(trained(state, (2, 0, 1, 0))))
        assert torch.equal(torch.cuda.get_rng_state(), before)
    for name, tensor in after[0].items():
        assert torch.equal(after[1][name], tensor)
        assert name.startswith("head.bias") or not torch.equal(tensor[0], tensor[2])
    with pytest.raises(ValueError, match=r"learning\.micro_batch: .* draws at random"):
        Learner(replace(config, micro_batch=4)).build()


class Plain(Dropped):
    def forward(self, x):
        return self.head(self.first(x))


def test_asking_for_cuda_without_one_is_one_clear_line():
    assert compute_device("cpu") == "cpu"
    if torch.cuda.is_available():
        assert compute_device("auto") == "cuda"
        return
    assert compute_device("auto") == "cpu"
    for asked in ("cuda", "cuda:3"):
        with pytest.raises(
            ValueError, match=rf"learning\.device: got '{asked}', but torch sees no"
        ):
            compute_device(asked)
