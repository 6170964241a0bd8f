"""From a configuration to a task and its start model: data, model and pre-training.

The small analogue of EMS-FL's Experiment 1: there, the experts are the feed-forward networks of
three domain-tuned models on one backbone, and a random gate is pre-trained on shared samples.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from learning import settings
from learning.architecture.footprint import (
    DENSE_BATCH_SIZE,
    EXPERT_BATCH_SIZE,
    pretrained_at_once,
)
from learning.architecture.kinds import pretraining_of
from learning.architecture.personal import matching
from learning.data import load_samples
from learning.data.loading import DATASETS
from learning.data.samples import TEXTS, InputSpec, SampleArrays, join
from learning.models.build import (
    fill,
    initialise,
    make_shapes,
    random_model,
    single_expert,
    skeleton,
    torch_dtype,
)
from learning.models.interface import (
    MODELS,
    buffers_of,
    checkpoint_places,
    expert_of,
    expert_tensor,
    is_gate,
    names_of,
)
from learning.models.moe import (
    Residency,
    answers,
    forward_with_routing,
    gates_of,
    tokens_of,
    watching,
)
from learning.models.objective import (
    Classes,
    Labels,
    NextTokens,
    Objective,
    OwnLoss,
    objective_of,
)
from learning.models.peft import adapted
from learning.models.stacked import Tensors, fingerprint
from learning.models.tensor_files import read_places
from learning.own.raised import ANYTHING
from learning.policies.model_splitting import home_clusters
from learning.rng import stream
from learning.settings import LearningConfig
from learning.training.sgd import Optimizer, gradient_by, remembered
from learning.training.task import Samples, Shards, Task, pool, to_tensors, trial_of
from learning.training.trial import tried


def with_adapter(task: Task, server: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the server's model with the changes of the task's adapter, if it starts from one.

    Raises :class:`ValueError` for an adapter of another model, or of tensors that are frozen here.
    """
    if task.config.model.adapter is None:
        return server
    return {**server, **adapted(Path(task.config.model.adapter), task.names, server)}


GATE_STEP_SIZE = 3e-2
LARGEST_KEPT_BYTES = 1 << 26
"""Up to which size a start model, without what its task has anyway, is kept for other runs."""


def start_model(task: Task) -> dict[str, Tensor]:
    """Return the server's model at time 0: ``expert.{e}.{l}...``, ``gate.{l}.weight``.

    Runs of one process that have the task in common have a small one in common, too.
    """
    if task.start:
        return dict(task.start)
    made = _tuned_model(task)
    initial = set(map(id, task.initial.values()))
    if sum(t.nbytes for t in made.values() if id(t) not in initial) <= LARGEST_KEPT_BYTES:
        task.start.update(made)
        task.lent.add(made)
    return made


def _tuned_model(task: Task) -> dict[str, Tensor]:
    """Make the server's model at time 0.

    Each expert is tuned on the trial data of its home domains, then the gates are trained on all
    trial data; both for as many steps as the task asks for. With a backbone that is trained the
    server holds it too.
    """
    shared = {name: t for name, t in task.initial.items() if task.goes_with_gate(name)}
    if not task.all_experts:
        return with_adapter(task, shared)
    trial = pool(task.trial)
    steps = pretraining_of(task.config)
    at_home = home_clusters(task.config.model.experts, len(task.config.clusters))
    homes = torch.from_numpy(at_home).to(task.device)
    server: dict[str, Tensor] = {}
    for expert in task.all_experts:
        samples = trial.at(homes[expert][trial.domain])
        server |= _tuned_expert(task, expert, samples, steps.expert_steps)
    gates = _pretrained_gates(task, server, trial, homes, steps.gate_steps)
    return with_adapter(task, server | shared | gates)


def _tuned_expert(task: Task, expert: int, samples: Samples, steps: int) -> dict[str, Tensor]:
    """Tune one expert, alone in the model, on its home domains."""
    stored = {expert_of(name) for name in task.initial} - {None}
    # Upcycled experts all start from one dense feed-forward network, stored as expert 0.
    first = 0 if len(stored) < len(task.all_experts) else expert
    own = {
        key: tensor
        for name, tensor in task.initial.items()
        if (key := expert_tensor(name)) and key.expert == first
    }
    if not steps:
        return {key._replace(expert=expert).stored: tensor for key, tensor in own.items()}
    config = task.config
    model = skeleton(single_expert(config), task.spec, _here(config, (0,)))
    names = {path: task.names.stored(path) for path, _ in model.named_parameters()}
    weights = dict(task.initial)
    weights |= {key._replace(expert=0).stored: tensor.clone() for key, tensor in own.items()}
    # Whatever the gate of a single expert says, its weight is 1.
    weights |= {
        names[path]: torch.zeros(parameter.shape, dtype=task.dtype, device=task.device)
        for path, parameter in model.named_parameters()
        if is_gate(names[path])
    }
    fill(model, {task.names.path(name): tensor for name, tensor in weights.items()})
    tuned = {key: model.get_parameter(p) for p, n in names.items() if (key := expert_tensor(n))}
    rng = stream(config.seed, "pretrain", "expert", expert)
    batches = rng.integers(0, len(samples.y), (steps, EXPERT_BATCH_SIZE))
    at_once = pretrained_at_once(config, "expert")
    loss = task_loss(model, samples, task.objective)
    fit(tuned.values(), descent_for(task.objective), loss, batches, at_once)
    return {key._replace(expert=expert).stored: p.detach() for key, p in tuned.items()}


def _pretrained_gates(
    task: Task, experts: dict[str, Tensor], trial: Samples, homes: Tensor, steps: int
) -> dict[str, Tensor]:
    """Train the gates by the task and by each sample's origin, over all experts at once.

    Routing to all experts (k = E) keeps a gradient to each: with hard Top-1 the gate hardly
    learns which expert belongs to which data.
    """
    everywhere = replace(task.config.model, top_k=task.config.model.experts)
    here = replace(_here(task.config, task.all_experts), dense=True)
    model = skeleton(replace(task.config, model=everywhere), task.spec, here)
    known = {n: t for n, t in task.initial.items() if expert_of(n) is None} | experts
    tensors = {task.names.path(name): tensor for name, tensor in known.items()}
    gates = {p: n for p, _ in model.named_parameters() if is_gate(n := task.names.stored(p))}
    drawn = initialise(model, task.config.seed, gates.keys() - tensors.keys())
    tensors |= {path: _placed(tensor, task.config) for path, tensor in drawn.items()}
    fill(model, tensors | {path: tensors[path].clone() for path in gates})
    parameters = {name: model.get_parameter(path) for path, name in gates.items()}
    rng = stream(task.config.seed, "pretrain", "gate")
    size = task.config.pretraining.gate_batch
    batches = rng.integers(0, len(trial.y), (steps, size))
    at_once = pretrained_at_once(task.config, "gate")
    by_task = task.config.pretraining.gate_loss == "task"
    by = partial(gate_loss, objective=task.objective) if by_task else loss_of_origin
    given = [trial_of(task, model, name) for name in task.trial]
    whole = tuple(map(torch.cat, zip(*given, strict=True)))
    descent = ADAM[0], GATE_STEP_SIZE
    fit(parameters.values(), descent, by(model, whole, trial, homes), batches, at_once)
    return {name: parameter.detach() for name, parameter in parameters.items()}


def loss_of_origin(
    model: nn.Module, given: Sequence[Tensor], trial: Samples, homes: Tensor
) -> Loss:
    """Return each gate's origin loss alone, by row indices into ``trial``.

    What the gates see is what the model computes without gradients: none runs through an expert.
    It is run with samples as they are ``given``, embedded or not.
    """
    at_home = homes.T[trial.domain]
    gates = gates_of(model)

    def loss(rows: Tensor, whole: Tensor) -> Tensor:
        keep = tokens_of(model, trial.x[rows])
        seen = _inputs_of(gates, model, [part[rows] for part in given])
        of_gates = [
            origin_loss(gate(own).weight, at_home[rows], keep)
            for gate, own in zip(gates, seen, strict=True)
        ]
        return torch.stack(of_gates).sum() * _share_of_tokens(model, trial, rows, whole)

    return loss


def _inputs_of(
    gates: Sequence[nn.Module], model: nn.Module, samples: Sequence[Tensor]
) -> list[Tensor]:
    """Return what each gate is given as the model runs on samples, without gradients."""
    with watching(gates) as seen, torch.no_grad():
        answers(model, samples)
    return [given for given, _ in seen]


def _share_of_tokens(model: nn.Module, trial: Samples, rows: Tensor, whole: Tensor) -> float:
    """Return how many of a minibatch's tokens that are no padding belong to some of its rows."""
    if len(rows) == len(whole):
        return 1.0
    of_rows, of_whole = (tokens_of(model, trial.x[some]) for some in (rows, whole))
    if of_rows is None or of_whole is None:
        return len(rows) / len(whole)
    return float(of_rows.sum() / of_whole.sum())


def _here(config: LearningConfig, held: tuple[int, ...]) -> Residency:
    """Return that so many experts are in memory, and what of a text model is recomputed."""
    return Residency(held=held, recomputed=config.checkpoint_activations)


def gate_loss(
    model: nn.Module,
    given: Sequence[Tensor],
    trial: Samples,
    homes: Tensor,
    objective: Objective,
) -> Loss:
    """Return the task's loss plus each gate's origin loss, by row indices into ``trial``.

    The model is run with samples as they are ``given``, embedded or not.
    """
    at_home = homes.T[trial.domain]

    def loss(rows: Tensor, whole: Tensor) -> Tensor:
        found, routings = forward_with_routing(model, *(part[rows] for part in given))
        keep = tokens_of(model, trial.x[rows])
        by_origin = [origin_loss(routing.weight, at_home[rows], keep) for routing in routings]
        y = trial.y[rows]
        of_task = objective.mean(found, y, trial.x[rows])
        of_gates = torch.stack(by_origin).sum()
        of_all = objective.share(y, trial.y[whole])
        return of_all * of_task + _share_of_tokens(model, trial, rows, whole) * of_gates

    return loss


def origin_loss(share: Tensor, at_home: Tensor, keep: Tensor | None = None) -> Tensor:
    """Return the cross-entropy of "routed to an expert at home with the sample's domain".

    ``share`` (n, ..., E) is the gate's softmax, ``at_home`` (n, E) bool; of tokens (n, T) those in
    ``keep`` count. A sample of several rows (the options of a question) is at home with each.
    """
    of_rows = at_home.repeat_interleave(len(share) // len(at_home), 0)
    home = of_rows.view(len(share), *[1] * (share.dim() - 2), -1)
    home_share = torch.where(home, share, 0.0).sum(-1)
    surprise = -home_share.clamp_min(torch.finfo(share.dtype).tiny).log()
    return (surprise if keep is None else surprise[keep]).mean()


# From a configuration to a task: data, model and initial weights.


def build_task(config: LearningConfig) -> Task:
    """Load and split the data, and make the initial weights.

    Raises :class:`ValueError` for an unknown kind of model or data, data that a model cannot
    take, an empty shard, and a broken checkpoint.
    """
    samples = load_samples(config)
    spec = samples.spec
    model = make_shapes(config.model, spec)
    names = names_of(model)
    trial = {name: to_tensors(arrays, config) for name, arrays in samples.trial.items()}
    shards, client_test, client_validation = (
        {
            name: Shards(to_tensors(join(parts), config), tuple(len(part.y) for part in parts))
            for name, parts in of.items()
        }
        for of in (samples.shards, samples.client_test, samples.client_validation)
    )
    test = _shared(samples.test, config)
    validation = _shared(samples.validation, config)
    held = [*trial.values(), *test.values(), *validation.values()]
    held += [shard.samples for shard in shards.values()]
    objective = objective_of(config.loss, spec, [part.y for part in held])
    traits, objective = tried(config, spec, objective, pool(trial))
    keeps = config.model.kind not in MODELS.shipped and config.trains_backbone and buffers_of(model)
    if config.micro_batch and (traits.draws or keeps):
        own_loss = [config.loss] if isinstance(objective, OwnLoss) else []
        who = " or ".join(map(repr, [config.model.kind, *own_loss]))
        raise ValueError(
            f"learning.micro_batch: {who} draws at random, or keeps statistics of batches, which "
            "would be those of pieces; remove it"
        )
    for name, shard in shards.items():
        _check_features(config, spec, f"train of {name!r}", shard.samples.x)
        _check_features(config, spec, f"test of {name!r}", test[name].x)
    if config.micro_batch and isinstance(objective, Labels) and objective.leaves_out:
        raise ValueError(
            "learning.micro_batch: labels of -100 are left out of the mean over a minibatch, which "
            "is not that of the means over its pieces; remove it"
        )
    initial = _initial(config, spec, objective, trial)
    return Task(
        config=config,
        names=names,
        spec=spec,
        shards=shards,
        trial=trial,
        test=test,
        initial=initial,
        traits=traits,
        objective=objective,
        buffers=frozenset(map(names.stored, buffers_of(model))),
        frozen=frozenset(
            names.stored(path) for path, p in model.named_parameters() if not p.requires_grad
        ),
        personal=_personal(config, model),
        validation=validation,
        client_test=client_test,
        client_validation=client_validation,
    )


def made_by_code(task: Task) -> dict[str, str]:
    """Return digests of the samples and the start weights that custom code makes, by a name.

    They also tell files apart that the code reads by itself.
    """
    config, made = task.config, dict[str, Tensors]()
    if config.data.kind not in DATASETS.shipped:
        by_device = (task.shards, task.client_test, task.client_validation)
        sets: list[Mapping[str, Samples]] = [
            {name: own.samples for name, own in shards.items()} for shards in by_device
        ]
        sets += [task.trial, task.test, task.validation]
        made[f"data of {config.data.kind}"] = {
            f"{number} {cluster} {part}": tensor
            for number, of in enumerate(sets)
            for cluster, own in of.items()
            for part, tensor in own._asdict().items()
        }
    if task.is_own:
        model = task.skeleton(Residency(task.all_experts))
        tensors = dict(model.named_parameters()) | dict(model.named_buffers())
        made[f"weights of {config.model.kind}"] = tensors
    return {name: _digest(tensors) for name, tensors in made.items()}


def _digest(tensors: Tensors) -> str:
    """Return a digest of tensors by name, 32 hexadecimal digits."""
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name}\n".encode() + fingerprint(tensor))
    return digest.hexdigest()


def _personal(config: LearningConfig, model: nn.Module) -> frozenset[str]:
    """Return the stored names of what each device keeps and trains for itself."""
    names = names_of(model)
    trained = [path for path, parameter in model.named_parameters() if parameter.requires_grad]
    found = matching(config.personal, [*trained, *buffers_of(model)])
    return frozenset(map(names.stored, found))


def _shared(sets: Mapping[str, SampleArrays], config: LearningConfig) -> dict[str, Samples]:
    """Return samples as tensors, by cluster; features that clusters share stay one object."""
    made = {name: to_tensors(arrays, config) for name, arrays in sets.items()}
    first: dict[int, Tensor] = {}
    for name, own in made.items():
        first.setdefault(id(sets[name].x), own.x)
    return {name: own._replace(x=first[id(sets[name].x)]) for name, own in made.items()}


def _check_features(config: LearningConfig, spec: InputSpec, what: str, x: Tensor) -> None:
    """Refuse features (n, ...) that the model cannot take: of another type, or not finite.

    A module of one's own may take any type, and what is not finite if it gives logits all the same.
    """
    shipped = config.model.kind in MODELS.shipped
    if shipped and x.is_floating_point() is (spec.form in TEXTS):
        wanted = "int64, the ids of tokens" if spec.form in TEXTS else "float32"
        raise ValueError(
            f"learning.data.kind: {config.data.kind!r} gives features of type "
            f"{str(x.dtype).removeprefix('torch.')} ({what}), and {config.model.kind!r} takes "
            f"{spec.form} data; give {wanted}"
        )
    if not x.is_floating_point() or x.sum().isfinite():
        return
    odd = ~x.flatten(1).isfinite().all(1)
    rows = odd.nonzero()[:, 0].tolist()
    if rows and (shipped or not _has_logits(config, spec, x[odd][:1])):
        raise ValueError(
            f"learning.data.kind: {config.data.kind!r} gives features that are not finite in "
            f"float32, in {len(rows)} of {len(x)} samples ({what}); fill or scale them, or remove "
            "these samples"
        )


def _has_logits(config: LearningConfig, spec: InputSpec, x: Tensor) -> bool:
    """Whether a module of one's own gives finite logits of samples."""
    try:
        with torch.no_grad():
            return bool(random_model(config, spec)(x).isfinite().all())
    except ANYTHING:  # a module may raise anything
        return False


def _initial(
    config: LearningConfig, spec: InputSpec, objective: Objective, trial: Mapping[str, Samples]
) -> dict[str, Tensor]:
    """Return weights from checkpoints, of a pre-trained dense model, or random ones."""
    steps = pretraining_of(config)
    if steps.backbone_steps and not config.model.checkpoints:
        return _dense(config, spec, objective, pool(trial), steps.backbone_steps)
    model = skeleton(config, spec)
    names = names_of(model)
    read = read_places(checkpoint_places(config.model, model))
    # What no checkpoint holds is drawn, or a module's own.
    if config.model.kind in MODELS.shipped:
        wanted = {path for path, _ in model.named_parameters() if names.stored(path) not in read}
        drawn = initialise(model, config.seed, wanted)
        read |= {names.stored(path): tensor for path, tensor in drawn.items()}
    else:
        read = _stored_tensors(model) | read
    # Equal experts of one checkpoint are one tensor, here too.
    placed = {id(tensor): _placed(tensor, config) for tensor in read.values()}
    return {name: placed[id(tensor)] for name, tensor in read.items()}


def _stored_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Return what a model has learnt, buffers too, by stored name."""
    names = names_of(model)
    kept = dict(model.named_parameters()) | buffers_of(model)
    return {names.stored(path): tensor.detach() for path, tensor in kept.items()}


def _placed(tensor: Tensor, config: LearningConfig) -> Tensor:
    dtype = torch_dtype(config) if tensor.is_floating_point() else tensor.dtype
    return tensor.to(config.device, dtype)


def _dense(
    config: LearningConfig, spec: InputSpec, objective: Objective, trial: Samples, steps: int
) -> dict[str, Tensor]:
    """Pre-train a dense model on the pooled trial data: backbone, and what experts start from."""
    dense = single_expert(config)
    model = random_model(dense, spec, _here(config, tuple(range(dense.model.experts))))
    names = names_of(model)
    moved = [
        parameter
        for path, parameter in model.named_parameters()
        if parameter.requires_grad and not is_gate(names.stored(path))
    ]
    rng = stream(config.seed, "pretrain", "dense")
    batches = rng.integers(0, len(trial.y), (steps, DENSE_BATCH_SIZE))
    at_once = pretrained_at_once(config, "dense")
    loss = task_loss(model, trial, objective)
    fit(moved, descent_for(objective), loss, batches, at_once)
    return {name: t for name, t in _stored_tensors(model).items() if not is_gate(name)}


Loss = Callable[[Tensor, Tensor], Tensor]
"""What some rows of a minibatch add to the loss of a model on the whole of it."""


def task_loss(model: nn.Module, samples: Samples, objective: Objective) -> Loss:
    """Return the loss of ``model`` as a function of row indices into ``samples``."""

    def loss(rows: Tensor, whole: Tensor) -> Tensor:
        x, y, _ = samples.at(rows)
        share = objective.share(y, samples.y[whole])
        return objective.mean(model(x), y, x) * share

    return loss


Descent = tuple[settings.Optimizer, float]
"""An optimiser, and its step size."""
PLAIN: Descent = settings.Optimizer(), 0.1
ADAM: Descent = settings.Optimizer("adam"), 1e-2


def descent_for(objective: Objective) -> Descent:
    """Return how an objective is pre-trained.

    A cross-entropy in nats has one scale, and plain descent holds. The scale of any other loss is
    that of its targets, which Adam's steps do not depend on.
    """
    return PLAIN if isinstance(objective, Classes | NextTokens) else ADAM


def fit(
    parameters: Iterable[Tensor],
    descent: Descent,
    loss: Loss,
    batches: NDArray[np.int64],
    at_once: int,
) -> None:
    """Take a step of the parameters, in place, for each row of indices in ``batches``.

    Gradients are computed over so many samples ``at_once``, and added up.
    """
    moved = {str(number): parameter for number, parameter in enumerate(parameters)}
    config, step_size = descent
    # In the memory of the parameters, as those of one device.
    stacked = {name: parameter.detach()[None] for name, parameter in moved.items()}
    optimizer = Optimizer(config, remembered(config, stacked, {}))
    rates = dict.fromkeys(stacked, step_size)
    for whole in torch.from_numpy(batches):
        found: dict[str, Tensor] = {}
        for rows in whole.split(at_once):
            # What a custom model does not use has no gradient: it does not move.
            part = gradient_by(moved, loss(rows, whole))
            found = {n: found[n] + gradient for n, gradient in part.items()} if found else part
        named = {name: gradient[None] for name, gradient in found.items()}
        optimizer.step(stacked, named, rates, [True])
