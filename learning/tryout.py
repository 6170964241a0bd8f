"""A model of one's own is run on two samples before anything depends on it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn import functional

from learning.config import LearningConfig
from learning.data.samples import InputSpec
from learning.hardware import torch_dtype
from learning.models import Maker, Residency
from learning.models.dense import initialise
from learning.models.making import check_frozen, failure, refusal
from learning.models.routing import forward_with_routing, tokens_of
from learning.task import Samples, fill, single_expert, skeleton

SLOWLY = (
    "; set the class attribute batched = False where it cannot be run over all devices at once"
    " (torch.func.vmap), or change it"
)


def try_out(config: LearningConfig, maker: Maker, spec: InputSpec, trial: Samples) -> None:
    """Run the model whole, with one expert, and as devices train it, on two trial samples.

    Raises :class:`ValueError` that names the kind and what is wrong: an exception in its code,
    logits of another shape, randomness, buffers that change, no gradient, no vmap.
    """
    samples = trial.at(torch.tensor([0, -1], device=trial.y.device))
    everything = tuple(range(config.model.experts))
    model = _filled(config, maker, spec, Residency(everything))
    check_frozen(config.model.kind, model, config.trains_backbone)
    _check_forward(config.model.kind, model, samples, spec)
    for said, held in ((single_expert(config), (0,)), (config, everything[-1:])):
        single = _filled(said, maker, spec, Residency(held))
        _check_forward(config.model.kind, single, samples, spec)
    batched = getattr(model, "batched", True)
    here = Residency(everything, everything, dense=batched)
    _check_training(config.model.kind, _filled(config, maker, spec, here), samples, batched)


def _filled(config: LearningConfig, maker: Maker, spec: InputSpec, here: Residency) -> nn.Module:
    model = skeleton(config, spec, maker, here)
    drawn = initialise(model, config.seed, {path for path, _ in model.named_parameters()})
    dtype = torch_dtype(config)
    fill(model, {path: tensor.to(config.device, dtype) for path, tensor in drawn.items()})
    return model


def _check_forward(kind: str, model: nn.Module, samples: Samples, spec: InputSpec) -> None:
    before = {path: buffer.clone() for path, buffer in model.named_buffers()}
    try:
        logits, routings = forward_with_routing(model, samples.x)
        tokens_of(model, samples.x)
        again = model(samples.x)
    except Exception as error:
        data = f"forward fails on {spec.form} data of shape {tuple(samples.x.shape)}"
        raise failure(kind, f"cannot be run: {data}", error) from None
    wanted = (len(samples.y), spec.classes)
    if not isinstance(logits, Tensor) or tuple(logits.shape) != wanted:
        shape = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise refusal(kind, f"returns {shape}; it must return logits (n, classes), here {wanted}")
    if not routings:
        raise refusal(kind, "does not call its MoE layers in forward")
    if logits.isnan().any():
        raise refusal(kind, "returns logits that are not a number, at its random start already")
    if not torch.equal(logits, again):
        raise refusal(
            kind,
            "gives other logits for the same samples when it is run twice; draw "
            "nothing at random in forward, and keep nothing there",
        )
    for path, buffer in model.named_buffers():
        if not torch.equal(buffer, before[path]):
            raise refusal(kind, f"changes its buffer {path!r} in forward; buffers are constants")
    if not logits.requires_grad:
        raise refusal(
            kind, "returns logits without a gradient; use no detach or no_grad in forward"
        )


def _check_training(kind: str, model: nn.Module, samples: Samples, batched: bool) -> None:
    """Take the gradient of the loss: of two devices at once, or of one."""
    count = 2 if batched else 1
    leaves = {
        path: torch.stack([p.detach()] * count).requires_grad_()
        for path, p in model.named_parameters()
    }
    x = torch.stack([samples.x] * count)

    def logits_of(tensors: dict[str, Tensor], x: Tensor) -> Tensor:
        logits: Tensor = functional_call(model, tensors, (x,), tie_weights=False)
        return logits

    try:
        if batched:
            logits = vmap(logits_of)(leaves, x)
        else:
            logits = logits_of({path: t[0] for path, t in leaves.items()}, x[0])[None]
        loss = functional.cross_entropy(logits.flatten(0, 1), samples.y.repeat(count))
        torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
    except Exception as error:
        raise failure(kind, "cannot be trained", error, SLOWLY if batched else "") from None
