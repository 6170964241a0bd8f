"""From a configuration to a task: data, model and initial weights."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from learning.config import LearningConfig
from learning.data import load_samples
from learning.data.samples import FederatedSamples, InputSpec, SampleArrays, join
from learning.hardware import torch_dtype
from learning.memory import check_memory
from learning.models import MODELS, Maker, Residency
from learning.models.dense import draw_batches, fit, initialise, sgd, task_loss
from learning.models.making import make_shapes
from learning.models.names import Names, expert_of, is_gate, names_of
from learning.precision import BYTES, precision_of
from learning.pretraining import pretraining_of
from learning.streams import stream
from learning.task import Samples, Shards, Task, fill, pool, single_expert, skeleton, to_tensors
from learning.tryout import try_out

DENSE_BATCH_SIZE = 32
DENSE_STEP_SIZE = 0.1


def build_task(config: LearningConfig) -> Task:
    """Load the data, share them out and make the initial weights.

    Raises :class:`ValueError` for an unknown kind of model or data, data that a model cannot
    take, an empty shard, a broken checkpoint, and a model that does not fit into memory.
    """
    maker = MODELS.find(config.model.kind)
    samples = load_samples(config)
    everything = Residency(held=tuple(range(config.model.experts)))
    model = make_shapes(maker, config.model, samples.spec, everything)
    names = names_of(model)
    numbers = sum(parameter.numel() for parameter in model.parameters())
    check_memory(numbers * BYTES[precision_of(config)], config.device)
    trial = {name: to_tensors(arrays, config) for name, arrays in samples.trial.items()}
    if config.model.kind not in MODELS.shipped:
        try_out(config, maker, samples.spec, pool(trial))
    return Task(
        config=config,
        maker=maker,
        names=names,
        spec=samples.spec,
        shards={name: _shards(parts, config) for name, parts in samples.shards.items()},
        trial=trial,
        test={name: to_tensors(arrays, config) for name, arrays in samples.test.items()},
        initial=_initial(config, samples, maker, names, trial),
        batched=getattr(model, "batched", True),
    )


def _shards(parts: tuple[SampleArrays, ...], config: LearningConfig) -> Shards:
    return Shards(to_tensors(join(list(parts)), config), tuple(len(part.y) for part in parts))


def _initial(
    config: LearningConfig,
    samples: FederatedSamples,
    maker: Maker,
    names: Names,
    trial: Mapping[str, Samples],
) -> dict[str, Tensor]:
    """Weights out of checkpoints, of a pre-trained dense model, or random ones."""
    spec, steps = samples.spec, pretraining_of(config)
    if steps.backbone_steps and not config.model.checkpoints:
        return _dense(config, spec, maker, names, pool(trial), steps.backbone_steps)
    model = skeleton(config, spec, maker, Residency(held=tuple(range(config.model.experts))))
    read: dict[str, Tensor] = {}
    if config.model.checkpoints:
        from learning.models.checkpoints import checkpoint_weights

        read = checkpoint_weights(config.model, model)
    drawn = _random(model, config, names, set(read))
    return {name: _placed(tensor, config) for name, tensor in (read | drawn).items()}


def _random(
    model: nn.Module, config: LearningConfig, names: Names, known: set[str]
) -> dict[str, Tensor]:
    """Draw what no checkpoint holds, under the names that tensors are stored by."""
    wanted = {path for path, _ in model.named_parameters() if names.stored(path) not in known}
    return {names.stored(path): t for path, t in initialise(model, config.seed, wanted).items()}


def _placed(tensor: Tensor, config: LearningConfig) -> Tensor:
    return tensor.to(config.device, torch_dtype(config))


def _dense(
    config: LearningConfig,
    spec: InputSpec,
    maker: Maker,
    names: Names,
    trial: Samples,
    steps: int,
) -> dict[str, Tensor]:
    """Pre-train a dense model on the pooled trial data: backbone, and what experts start from."""
    model = skeleton(single_expert(config), spec, maker, Residency(held=(0,)))
    drawn = initialise(model, config.seed, {path for path, _ in model.named_parameters()})
    placed = {path: _placed(tensor, config) for path, tensor in drawn.items()}
    fill(model, placed)
    moved = [
        p
        for path, p in model.named_parameters()
        if p.requires_grad and not is_gate(names.stored(path))
    ]
    rng = stream(config.seed, "pretrain", "dense")
    batches = draw_batches(rng, len(trial.y), steps, DENSE_BATCH_SIZE)
    fit(moved, task_loss(model, trial.x, trial.y), batches, sgd(DENSE_STEP_SIZE))
    trained = {names.stored(path): p.detach() for path, p in model.named_parameters()}
    return {name: tensor for name, tensor in trained.items() if not is_gate(name)}


def is_upcycled(task: Task) -> bool:
    """Whether the experts start from one dense feed-forward network, stored as expert 0."""
    return len({expert_of(n) for n in task.initial} - {None}) < len(task.all_experts)
