"""A module of one's own, and a loss, tried on samples before the run: how the model is trained."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from learning.data.samples import TEXTS, InputSpec
from learning.models.build import (
    failure,
    make_shapes,
    random_model,
    refusal,
    single_expert,
    torch_dtype,
)
from learning.models.interface import MODELS, buffers_of, expert_of, names_of
from learning.models.moe import MoELayer, Residency, forward_with_routing, tokens_of
from learning.models.objective import SAME, Objective, OwnLoss, Trial, rng_state
from learning.models.stacked import Shared, Tensors, in_single
from learning.own.raised import ANYTHING
from learning.settings import LearningConfig
from learning.training.local_loss import loss_of, within
from learning.training.sgd import gradients
from learning.training.task import Samples, Traits


def tried(
    config: LearningConfig, spec: InputSpec, objective: Objective, trial: Samples
) -> tuple[Traits, Objective]:
    """Try the model and its loss on ``trial`` samples; return how it is trained, and what by.

    A shipped kind is known: its outputs are (n, outputs), and stand for those of any weights.

    Raises :class:`ValueError` that names the kind and what is wrong: an exception in its code,
    logits of another shape, parameters without a gradient, numbers that no seed decides.
    """
    kind = config.model.kind
    if kind not in MODELS.shipped:
        try:
            # What matters of torch's warnings is said; those of the module come when it runs.
            with warnings.catch_warnings(action="ignore"):
                return _own_tried(config, spec, objective, trial)
        except ValueError:
            raise
        except ANYTHING as error:  # a module, or a library that looks into it, may raise anything
            raise failure(kind, "cannot be tried", error) from None
    two = trial.at(torch.tensor([0, -1], device=trial.y.device))
    batched = getattr(make_shapes(config.model, spec), "batched", True)
    shape = (len(two.y), spec.outputs)
    if spec.form != "next_token" and (wanted := objective.misfit(shape, two.y, spec)):
        cure = "name a model of your own, MODULE:NAME"
        raise refusal(kind, f"returns {shape}; these targets take {wanted}: {cure}")
    rng = torch.Generator().manual_seed(config.seed)
    dtype = torch.promote_types(torch_dtype(config), torch.float32)

    def random_outputs(x: Tensor) -> Tensor:
        return torch.randn(len(x), spec.outputs, generator=rng, dtype=dtype).to(x.device)

    with warnings.catch_warnings(action="ignore"):  # they come when it is trained
        found = _loss_tried(config, spec, objective, trial, random_outputs)
    together = batched and not found.draws and not found.alone
    return Traits(together, found.draws, loss_alone=found.alone), found.objective


def _loss_tried(
    config: LearningConfig,
    spec: InputSpec,
    objective: Objective,
    trial: Samples,
    outputs_of: Callable[[Tensor], Tensor],
) -> Trial:
    """Try a custom loss on a model's outputs for the first minibatch, and on all in pieces."""
    if not isinstance(objective, OwnLoss):
        return Trial(objective)
    x, y, _ = trial.at(slice(config.batch_size))
    found = objective.tried(outputs_of(x), y, x, spec)
    if config.micro_batch and not found.draws:
        outputs = torch.cat([outputs_of(part) for part in torch.split(trial.x, config.batch_size)])
        objective.check_pieces(outputs, trial.y, trial.x, config.batch_size, config.micro_batch)
    return found


def _own_tried(
    config: LearningConfig, spec: InputSpec, objective: Objective, trial: Samples
) -> tuple[Traits, Objective]:
    """Run a module whole, with one expert, and as devices train it."""
    kind = config.model.kind
    x, y, _ = trial.at(torch.tensor([0, -1], device=trial.y.device))
    everything = tuple(range(config.model.experts))
    model = random_model(config, spec)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise refusal(kind, "has no parameters to train")
    _check_shapes(kind, model, make_shapes(config.model, spec))
    started = {path: (p, p.detach().clone()) for path, p in model.named_parameters()}
    watched = Shared()
    watched.add(dict(model.named_parameters()))
    _check_forward(kind, model, x, y, spec, objective)

    def outputs_of(x: Tensor) -> Tensor:
        with torch.no_grad():
            return in_single(model(x))

    found = _loss_tried(config, spec, objective, trial, outputs_of)
    if everything:
        for sized, held in ((single_expert(config), (0,)), (config, everything[-1:])):
            single = random_model(sized, spec, Residency(held))
            _check_forward(kind, single, x, y, spec, objective)
    draws = found.draws | _check_training(config, model, x, y, objective)
    tied = len(list(model.parameters())) < len(list(model.named_parameters(remove_duplicate=False)))
    batched = getattr(model, "batched", True) and not draws and not found.alone

    gradients_of = partial(_gradients_at_start, config, spec, objective)
    try:
        alone = gradients_of(x, y, together=False)
    except ANYTHING as error:
        raise failure(kind, "cannot be trained", error) from None
    if 1 in _pieces(config):
        try:
            gradients_of(x[:1], y[:1], together=False)
        except ANYTHING as error:
            key = "learning.micro_batch" if config.batch_size > 1 else "learning.batch_size"
            cause = failure(kind, "cannot be trained on one sample", error)
            raise ValueError(f"{key}: {str(cause).partition(': ')[2]}; {_MORE[key]}") from None
    why = _why_not_together(alone, partial(gradients_of, x, y, together=True)) if batched else ""
    # Torch counts no changes that are made by way of ``.data``.
    rewritten = {path for path, (now, before) in started.items() if not torch.equal(now, before)}
    rewrites = frozenset(map(names_of(model).stored, {*watched.changed, *rewritten}))
    traits = Traits(batched and not why, draws, tied, why, found.alone, rewrites)
    return traits, found.objective


def _gradients_at_start(
    config: LearningConfig,
    spec: InputSpec,
    objective: Objective,
    x: Tensor,
    y: Tensor,
    *,
    together: bool,
) -> Tensors:
    """Return the gradients of one device, or of two with the same samples at once."""
    everything = tuple(range(config.model.experts))
    here = Residency(everything, everything, dense=together)
    model = random_model(config, spec, here).train(config.trains_backbone)
    weights = {path: p.detach() for path, p in model.named_parameters() if p.requires_grad}
    others = {path: p.detach() for path, p in model.named_parameters() if not p.requires_grad}
    others |= {path: buffer.clone() for path, buffer in model.named_buffers()}
    if not together:
        whole = lambda tensors: {**others, **tensors}  # noqa: E731
        loss = loss_of(model, whole, objective=objective, own=True)
        held = within(model, whole)
        return gradients(weights, (x, y), loss, together=False, within=held)
    two, own = (
        {path: torch.stack([t, t]) for path, t in part.items()} for part in (weights, others)
    )
    batch = torch.stack([x, x]), torch.stack([y, y])
    alike = loss_of(model, lambda tensors: tensors, objective=objective, own=True)
    return gradients(two, batch, alike, together=True, frozen=own)


def _check_shapes(kind: str, model: nn.Module, shapes: nn.Module) -> None:
    """Refuse a module whose ``shapes`` are not those that it has in memory."""
    both = [dict(one.named_parameters()) | buffers_of(one) for one in (model, shapes)]
    sizes = [{path: tuple(tensor.shape) for path, tensor in kept.items()} for kept in both]
    if odd := sizes[0].items() ^ sizes[1].items():
        raise refusal(
            kind,
            f"has another tensor {min(odd)[0]!r} where it is made on the device meta; make the "
            "same ones wherever it is made",
        )


_MORE = {
    "learning.batch_size": "set it to 2 or more, as batch normalisation needs",
    "learning.micro_batch": "take one of which no sample of learning.batch_size is left alone",
}


def _pieces(config: LearningConfig) -> set[int]:
    """Return how many samples a minibatch, or each of the pieces of one, has."""
    size = config.batch_size
    piece = min(config.micro_batch or size, size)
    return {piece, size % piece or piece}


def _why_not_together(alone: Tensors, both_at_once: Callable[[], Tensors]) -> str:
    """Say why devices cannot be trained at once; empty where their gradients are those alone."""
    try:
        with warnings.catch_warnings(action="ignore"):  # that vmap runs an operation one by one
            both = both_at_once()
    except ANYTHING as error:  # a module may raise anything
        return f"does not run it ({type(error).__name__})"
    for name, own in alone.items():
        if not own.numel():
            continue
        if (both[name] - own).abs().max() > SAME * own.abs().max().clamp_min(SAME):
            return f"gives other gradients of {name!r}"
    return ""


def _check_forward(
    kind: str, model: nn.Module, x: Tensor, y: Tensor, spec: InputSpec, objective: Objective
) -> None:
    """Run the model in evaluation mode."""
    before = {path: buffer.clone() for path, buffer in model.named_buffers()}
    names = _tensor_names(model)
    try:
        logits, routings = forward_with_routing(model, x)
        tokens_of(model, x)
        again = model(x)
    except ANYTHING as error:
        data = f"forward fails on {spec.form} data of shape {tuple(x.shape)}"
        padding = "; token ids are padded with -1" if spec.form in TEXTS else ""
        raise failure(kind, f"cannot be run: {data}", error, padding) from None
    _check_tensor_names(kind, model, names)
    shape = tuple(logits.shape) if isinstance(logits, Tensor) else ()
    if wanted := objective.misfit(shape, y, spec):
        given = shape if isinstance(logits, Tensor) else type(logits).__name__
        raise refusal(kind, f"returns {given}; it must return {wanted}")
    if logits.is_complex():
        raise refusal(
            kind, "returns complex logits; return real ones, like their real part or absolute value"
        )
    if not routings and any(isinstance(module, MoELayer) for module in model.modules()):
        raise refusal(kind, "does not call its MoE layers in forward")
    if logits.isnan().any():
        raise refusal(kind, "returns logits that are not a number, at its random start already")
    if not torch.equal(logits, again):
        raise refusal(
            kind,
            "gives other logits for the same samples when it is run twice in evaluation mode; draw "
            "at random in training only (nn.Dropout does), keep nothing in forward, and change "
            "neither weights nor samples there",
        )
    for path, buffer in model.named_buffers():
        if not torch.equal(buffer, before[path]):
            raise refusal(kind, f"changes its buffer {path!r} in forward in evaluation mode")
    if not logits.requires_grad:
        raise refusal(
            kind, "returns logits without a gradient; use no detach or no_grad in forward"
        )


def _tensor_names(model: nn.Module) -> set[str]:
    return {path for path, _ in (*model.named_parameters(), *model.named_buffers())}


def _check_tensor_names(kind: str, model: nn.Module, before: set[str]) -> None:
    """Refuse a module whose forward pass has made or removed a parameter or buffer."""
    if changed := _tensor_names(model) ^ before:
        raise refusal(
            kind,
            f"makes or removes its tensor {min(changed)!r} in forward; make all parameters and "
            "buffers in __init__",
        )


def _check_training(
    config: LearningConfig, model: nn.Module, x: Tensor, y: Tensor, objective: Objective
) -> bool:
    """Run the model as it is trained; return whether it draws random numbers of torch."""
    kind = config.model.kind
    names = names_of(model)
    model.train(config.trains_backbone)
    paths = _tensor_names(model)
    parameters = {
        path: parameter
        for path, parameter in model.named_parameters()
        if parameter.requires_grad and (config.trains_backbone or names.stored(path) != path)
    }
    others = random.getstate(), np.random.get_state()
    with torch.random.fork_rng([x.device] if x.is_cuda else []):
        before = rng_state(x.device)
        try:
            loss = objective.of(in_single(model(x)), y, x)
            found = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
        except ANYTHING as error:
            raise failure(kind, "cannot be trained", error) from None
        try:
            again = objective.of(in_single(model(x)), y, x)
            torch.autograd.grad(again, list(parameters.values()), allow_unused=True)
        except ANYTHING as error:
            cure = "; what forward keeps for its next call must be detached, in a buffer"
            raise failure(kind, "cannot be trained a second time", error, cure) from None
        draws = not torch.equal(before, rng_state(x.device))
    _check_tensor_names(kind, model, paths)
    if repr(others) != repr((random.getstate(), np.random.get_state())):
        raise refusal(
            kind,
            "draws from the global generator of random or numpy in forward, which no seed of a run "
            "decides; draw with torch",
        )
    for path, gradient in zip(parameters, found, strict=True):
        if gradient is None and expert_of(names.stored(path)) is None:
            raise refusal(
                kind,
                f"has a parameter {path!r} that gets no gradient; use it in forward, or set its "
                "requires_grad to False",
            )
    return draws
