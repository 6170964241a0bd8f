"""Objective: what the outputs of a model cost by their targets, and which of them are right.

Outputs for labelled samples are logits (n, C), or (n, C, ...) for a label at each place of a
sample. Where each next token is learnt, a model answers with two numbers of a text, (..., n, 2):
the mean surprise of its tokens, in nats, and the share of them that it holds for the likeliest. So
a text counts as much as any other, however long it is.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.func import vmap
from torch.nn import functional

from learning.architecture.footprint import rows_at_once
from learning.data.samples import LEFT_OUT, InputSpec
from learning.losses import KEY, find_loss, is_own
from learning.own.raised import ANYTHING, cause_of
from learning.settings import MSE, NEXT_TOKEN

SURPRISE, RIGHT = 0, 1
"""Columns of the answers where each next token is learnt."""
SAME = 1e-3
"""Largest difference between gradients of one device and of two at once, over the largest one."""


def cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the mean over labels (n, ...) of logits (n, C, ...); 0 where all are left out."""
    kept = targets != LEFT_OUT
    of_each = outputs.log_softmax(1).gather(1, targets.where(kept, 0).unsqueeze(1)).squeeze(1)
    return -of_each.where(kept, 0.0).sum() / kept.sum().clamp_min(1)


def mse(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the mean square of what outputs and targets differ by, of as many numbers."""
    return (outputs.reshape(targets.shape) - targets).square().mean()


def next_token(outputs: Tensor, _targets: Tensor) -> Tensor:
    """Return the mean surprise of texts, in nats."""
    return outputs[:, SURPRISE].mean()


class Judgement(NamedTuple):
    """What outputs are worth, None where nothing is known, and over how many targets."""

    accuracy: float | None
    loss: float | None
    targets: int


class Objective:
    """What is minimised: the loss of a minibatch, and how samples are judged.

    It ``takes_inputs`` where the function of the loss is called with x too, and ``classifies``
    where outputs are right or wrong.
    """

    takes_inputs: bool = False
    classifies: bool = True

    def of(self, outputs: Tensor, targets: Tensor, inputs: Tensor) -> Tensor:
        """Return the mean loss of a minibatch of one device."""
        raise NotImplementedError

    def mean(self, outputs: Tensor, targets: Tensor, inputs: Tensor) -> Tensor:
        """Return the mean loss of samples that are no minibatch."""
        return self.of(outputs, targets, inputs)

    def count(self, targets: Tensor) -> int:
        """Return over how many targets the loss is a mean."""
        return len(targets)

    def share(self, part: Tensor, whole: Tensor) -> float:
        """Return by how much the loss of a part counts in the mean over the whole."""
        return self.count(part) / max(self.count(whole), 1)

    def right(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return how right each answer is (n,), double: 0 or 1, or a share of what is in it."""
        raise NotImplementedError

    def judged(self, outputs: Tensor, targets: Tensor, inputs: Tensor) -> Judgement:
        """Return what outputs are worth, of test samples."""
        accuracy = float(self.right(outputs, targets).mean()) if self.classifies else None
        return Judgement(accuracy, float(self.mean(outputs, targets, inputs)), len(targets))

    def misfit(self, shape: tuple[int, ...], targets: Tensor, spec: InputSpec) -> str:
        """Say which outputs it takes where these have another ``shape``; "" where they fit."""
        wanted = (len(targets), spec.classes)
        return "" if shape == wanted else f"logits (n, classes), here {wanted}"


class Classes(Objective):
    """The cross-entropy of a class of each sample: logits (n, C), labels (n,)."""

    def of(self, outputs: Tensor, targets: Tensor, inputs: Tensor) -> Tensor:
        """Return the mean over all labels, in nats."""
        return cross_entropy(outputs, targets)

    def mean(self, outputs: Tensor, targets: Tensor, inputs: Tensor) -> Tensor:
        """Return the mean, in nats."""
        return functional.cross_entropy(outputs, targets)

    def right(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return 1 where the largest logit is that of the label."""
        return (outputs.argmax(-1) == targets).to(torch.double)


@dataclass(frozen=True)
class Labels(Classes):
    """The cross-entropy of labels (n, ...) of which some may be left out: a mean over the others.

    Logits are (n, C, ...). The accuracy is the share of labels that are right. It ``leaves_out``
    some where the data have such labels.
    """

    leaves_out: bool

    def mean(self, outputs: Tensor, targets: Tensor, inputs: Tensor) -> Tensor:
        """Return the mean over all labels, in nats."""
        return cross_entropy(outputs, targets)

    def count(self, targets: Tensor) -> int:
        """Return how many labels are not left out."""
        return int((targets != LEFT_OUT).sum())

    def right(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the share of each sample's labels that is right, 0 where it has none."""
        return _mean_in((outputs.argmax(1) == targets).to(torch.double), targets)

    def judged(self, outputs: Tensor, targets: Tensor, inputs: Tensor) -> Judgement:
        """Return the means over all labels."""
        if not (count := self.count(targets)):
            return Judgement(None, None, 0)
        loss = float(self.mean(outputs, targets, inputs))
        return Judgement(_accuracy(outputs, targets), loss, count)

    def misfit(self, shape: tuple[int, ...], targets: Tensor, spec: InputSpec) -> str:
        """Ask for logits at each place that has a label."""
        places = tuple(targets.shape[1:])
        wanted = (len(targets), spec.classes, *places)
        if shape == wanted:
            return ""
        axes = ", ".join(["n", "classes", *("hw" if len(places) == 2 else "d")[: len(places)]])
        return f"logits ({axes}), here {wanted}"


def _accuracy(outputs: Tensor, targets: Tensor) -> float | None:
    """Return the share of labels that are right, of those that are not left out."""
    kept = int((targets != LEFT_OUT).sum())
    return int((outputs.argmax(1) == targets).sum()) / kept if kept else None


def _mean_in(values: Tensor, targets: Tensor) -> Tensor:
    """Return the mean (n,) of values (n, ...) over the labels that are not left out."""
    kept = (targets != LEFT_OUT).reshape(len(targets), -1)
    total = values.reshape(len(targets), -1).where(kept, 0.0).sum(1)
    return total / kept.sum(1).clamp_min(1)


class NextTokens(Objective):
    """The surprise of each next token of a text."""

    def of(self, outputs: Tensor, targets: Tensor, inputs: Tensor) -> Tensor:
        """Return the mean over texts, in nats."""
        return next_token(outputs, targets)

    def right(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the share of tokens that a model holds for the likeliest."""
        return outputs[:, RIGHT].double()


class Squares(Objective):
    """The mean square of differences from float targets (n, ...)."""

    classifies = False

    def of(self, outputs: Tensor, targets: Tensor, inputs: Tensor) -> Tensor:
        """Return the mean over all numbers."""
        return mse(outputs, targets)

    def misfit(self, shape: tuple[int, ...], targets: Tensor, spec: InputSpec) -> str:
        """Ask for as many numbers as a target has; one more dimension of size 1 does not count."""
        wanted = tuple(targets.shape)
        same = len(shape) > 0 and shape[0] == wanted[0] and _sizes(shape) == _sizes(wanted)
        return "" if same else f"numbers for targets of shape {wanted}, here {_usual(wanted)}"


def _sizes(shape: tuple[int, ...]) -> list[int]:
    return [size for size in shape[1:] if size != 1]


def _usual(targets: tuple[int, ...]) -> tuple[int, ...]:
    return targets if len(targets) > 1 else (*targets, 1)


class Trial(NamedTuple):
    """What is known of a loss that was tried: itself, whether it draws, why not by vmap."""

    objective: Objective
    draws: bool = False
    alone: str = ""


def rng_state(device: torch.device) -> Tensor:
    """Return the state of the random number generator of torch that a device uses."""
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()


def _why_no_loss(loss: Any, outputs: Tensor) -> str:
    """Say what is wrong with a loss and how to mend it; "" for one that outputs move."""
    scalar = "return one number, the mean over the minibatch, as a tensor"
    if not isinstance(loss, Tensor):
        return f"returns a {type(loss).__name__}; {scalar}"
    if loss.ndim:
        return f"returns a tensor of shape {tuple(loss.shape)}; {scalar}"
    if loss.device != outputs.device:
        return f"returns a tensor on {loss.device}, and the outputs are on {outputs.device}; {ON}"
    if not loss.isfinite():
        return f"returns {loss.item()} on the first minibatch; mend it, or scale the targets"
    if not loss.requires_grad:
        return (
            "has no gradient by the outputs, so that no parameter would move; compute it from "
            "them, without detach, argmax or numpy"
        )
    return ""


def _split(tensors: Sequence[Tensor], rows: int) -> Iterator[tuple[Tensor, ...]]:
    """Yield the tensors (n, ...) in parts of so many ``rows``."""
    return zip(*(torch.split(tensor, rows) for tensor in tensors), strict=True)


def _differ(gradient: Tensor, expected: Tensor) -> bool:
    """Whether a gradient differs from the expected one by more than rounding."""
    return bool((gradient - expected).abs().max() > SAME * expected.abs().max())


ON = "make what it adds on the device of the outputs (outputs.new_zeros)"


@dataclass(frozen=True)
class OwnLoss(Objective):
    """A ``function(outputs, targets)`` of the user's, or of inputs too, by its ``name``."""

    name: str
    function: Callable[..., Any]
    takes_inputs: bool
    classifies: bool = False

    @classmethod
    def named(cls, name: str) -> OwnLoss:
        """Return the loss of this name; raise ValueError for one that cannot be called so."""
        function = find_loss(name)
        try:
            parameters = inspect.signature(function)
        except (TypeError, ValueError):  # a function in C may have none
            return cls(name, function, takes_inputs=False)
        takes_inputs = "inputs" in parameters.parameters
        try:
            parameters.bind(None, None, **({"inputs": None} if takes_inputs else {}))
        except TypeError as error:
            raise ValueError(
                f"{KEY}: {name!r} is called with (outputs, targets), and inputs if it names them "
                f"({error}); change its signature"
            ) from None
        return cls(name, function, takes_inputs)

    def of(self, outputs: Tensor, targets: Tensor, inputs: Tensor) -> Tensor:
        """Return the value of the function on copies, which it may change in place."""
        more = {"inputs": inputs.clone()} if self.takes_inputs else {}
        loss: Tensor = self.function(outputs.clone(), targets.clone(), **more)
        return loss

    def mean(self, outputs: Tensor, targets: Tensor, inputs: Tensor) -> Tensor:
        """Return the mean over samples, of batches as they are evaluated.

        What it draws at random is the same each time.
        """
        rows = rows_at_once(1 if inputs.is_floating_point() else inputs[0].numel())
        parts = _split((outputs, targets, inputs), rows)
        with torch.random.fork_rng([outputs.device] if outputs.is_cuda else []):
            torch.manual_seed(0)
            each = [self.of(*part) * len(part[0]) for part in parts]
        return torch.stack(each).sum() / len(outputs)

    def judged(self, outputs: Tensor, targets: Tensor, inputs: Tensor) -> Judgement:
        """Return the mean loss over samples, and the share of labels that are right."""
        accuracy = _accuracy(outputs, targets) if self.classifies else None
        return Judgement(accuracy, float(self.mean(outputs, targets, inputs)), len(targets))

    def check_pieces(
        self, outputs: Tensor, targets: Tensor, inputs: Tensor, batch_size: int, piece: int
    ) -> None:
        """Raise ValueError unless gradients of pieces of a minibatch add up to that of the whole.

        They do for a mean over samples. Each ``batch_size`` samples (n, ...) are a minibatch.
        """
        for batch in _split((outputs, targets, inputs), batch_size):
            try:
                whole = self._gradient(*batch)
                pieces = [
                    self._gradient(*part) * self.share(part[1], batch[1])
                    for part in _split(batch, piece)
                ]
            except ANYTHING as error:
                raise self._refused(f"fails on trial samples ({cause_of(error)})") from None
            if _differ(torch.cat(pieces), whole):
                raise ValueError(
                    f"learning.micro_batch: {KEY} {self.name!r} is not a mean over samples: the "
                    "gradients of the pieces of a minibatch do not add up to its gradient; remove "
                    "learning.micro_batch, or return a mean over samples"
                )

    def _gradient(self, outputs: Tensor, targets: Tensor, inputs: Tensor) -> Tensor:
        """Return the gradient of the loss by the outputs."""
        leaf = outputs.detach().requires_grad_()
        loss = self.of(leaf, targets, inputs)
        [gradient] = torch.autograd.grad(loss, [leaf], allow_unused=True, materialize_grads=True)
        return gradient

    def tried(self, outputs: Tensor, targets: Tensor, inputs: Tensor, spec: InputSpec) -> Trial:
        """Try the function on the first minibatch's ``outputs``, of one device and of two at once.

        Raises ValueError for what is no loss of these: no number, none that is finite, one on
        another device, and one that no output moves.
        """
        logits = (len(targets), spec.classes, *targets.shape[1:])
        has_classes = not targets.is_floating_point() and spec.outputs > 1
        known = replace(self, classifies=has_classes and tuple(outputs.shape) == logits)
        leaf = outputs.detach().requires_grad_()
        on_gpu = [outputs.device] if outputs.is_cuda else []
        with torch.random.fork_rng(on_gpu):
            before = rng_state(outputs.device)
            try:
                loss = self.of(leaf, targets, inputs)
            except ANYTHING as error:
                raise self._refused(f"fails ({cause_of(error)})") from None
            if wrong := _why_no_loss(loss, leaf) or self._why_broadcast(
                loss, leaf, targets, inputs
            ):
                raise self._refused(wrong)
            try:
                [gradient] = torch.autograd.grad(loss, [leaf], allow_unused=True)
            except ANYTHING as error:
                raise self._refused(f"cannot be differentiated ({cause_of(error)})") from None
            if gradient is None or not gradient.any():
                raise self._refused(
                    "has no gradient by the outputs on the first minibatch, so that no parameter "
                    "would move; compute it from them, without detach, argmax or numpy"
                )
            draws = not torch.equal(before, rng_state(outputs.device))
            why = "" if draws else self._why_not_together(leaf, targets, inputs, gradient)
        return Trial(known, draws, why)

    def _why_broadcast(self, loss: Tensor, *given: Tensor) -> str:
        """Say that outputs (n, 1) are spread over targets (n,), each over all; "" if they are not.

        The loss of outputs without that dimension is another one then.
        """
        outputs, targets, inputs = given
        if outputs.shape[1:2] != (1,) or outputs.shape[:1] + outputs.shape[2:] != targets.shape:
            return ""
        try:
            meant = self.of(outputs.squeeze(1), targets, inputs)
        except ANYTHING:  # it asks for that dimension
            return ""
        if len(targets) < 2 or torch.allclose(meant, loss):
            return ""
        return (
            f"compares outputs of shape {tuple(outputs.shape)} with targets of shape "
            f"{tuple(targets.shape)} each with all; use outputs.squeeze(1)"
        )

    def _refused(self, why: str) -> ValueError:
        return ValueError(f"{KEY}: {self.name!r} {why}")

    def _why_not_together(self, *given: Tensor) -> str:
        """Say why torch.func.vmap does not take the function; "" where it does."""
        *one, alone = given
        two = [torch.stack([part.detach()] * 2) for part in one]
        leaf = two[0].requires_grad_()
        try:
            with warnings.catch_warnings(action="ignore"):  # that an operation runs one by one
                total = vmap(self.of)(leaf, *two[1:]).sum()
            [found] = torch.autograd.grad(total, [leaf])
        except ANYTHING as error:
            return f"does not run it ({type(error).__name__})"
        return "gives other gradients" if _differ(found, alone) else ""

    def misfit(self, shape: tuple[int, ...], targets: Tensor, spec: InputSpec) -> str:
        """Ask for a row for each sample."""
        return "" if shape[:1] == (len(targets),) else f"a tensor ({len(targets)}, ...), a row each"


def objective_of(loss: str | None, spec: InputSpec, targets: Sequence[Tensor]) -> Objective:
    """Return what is minimised by ``learning.loss``, of samples with these targets."""
    if spec.form == NEXT_TOKEN:
        return NextTokens()
    if loss is not None and is_own(loss):
        return OwnLoss.named(loss)
    if loss == MSE:
        return Squares()
    leaves_out = any(bool((y == LEFT_OUT).any()) for y in targets)
    plain = all(y.ndim == 1 for y in targets) and not leaves_out
    return Classes() if plain else Labels(leaves_out)
