"""The loss of one device: a model's, and the term that a method adds to it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from learning.models.interface import Parameter
from learning.models.moe import product
from learning.models.objective import Objective
from learning.models.stacked import Tensors, in_single, with_tensors
from learning.training import sgd
from learning.training.state import State
from learning.training.task import Task


@dataclass(frozen=True, eq=False)
class Term:
    """A function by its ``place``, called as :class:`~learning.learner.LocalLoss` describes.

    One that ``draws`` random numbers is called for one device after another.
    """

    place: str
    arguments: Mapping[str, Any]
    memories: Sequence[Tensors]
    draws: bool = False


class Draws(Exception):
    """A term asks for random numbers, and its devices are trained at once."""


@dataclass(frozen=True, eq=False)
class Step:
    """A minibatch of one device.

    ``weights`` are what is trained, by name, and ``server`` the same as it was downloaded (with
    what the device has offered since): a matrix that is trained through LoRA factors is there as
    the matrix that they make, W + scale B A. What is personal is in neither. ``outputs`` are those
    of the model for ``inputs`` (n, ...), and ``targets`` (n, ...) what is learnt of them. Gradients
    flow through ``weights`` and ``outputs`` alone.
    """

    weights: Tensors
    server: Tensors
    inputs: Tensor
    targets: Tensor
    outputs: Tensor
    _answers: Callable[[Tensors], Tensor]
    _draws: bool

    def answers(self, weights: Tensors) -> Tensor:
        """Return the outputs for the same inputs with other ``weights``, by the same names.

        Weights that are not named, and what is personal, stay as they are and get no gradient. It
        is one more forward pass, and no buffer of the model changes by it.
        """
        return self._answers(weights)

    @property
    def generator(self) -> torch.Generator:
        """Random numbers from the device's stream; its cluster is trained device by device."""
        if not self._draws:
            raise Draws
        if self.inputs.is_cuda:
            return torch.cuda.default_generators[self.inputs.device.index or 0]
        return torch.default_generator


class AddedLoss:
    """A term of the loss of one device; ``frozen`` (K, ...) is what it needs of each, by name.

    ``moved`` are the state's tensors that are trained, without ``buffers``.
    """

    def __init__(
        self,
        task: Task,
        state: State,
        moved: Iterable[Parameter],
        buffers: Collection[str],
        term: Term,
    ) -> None:
        self._term = term
        self._function = resolve_name(term.place)
        self._scale = task.config.model.lora.scale
        self._buffers = buffers
        # Of what is trained, its name, or those of its matrix's two factors.
        self._trained = {
            key.stored: tuple(str(Parameter(key.stored, factor)) for factor in "ab")
            if key.factor
            else (key.stored,)
            for key in moved
            if key.stored not in task.personal
        }
        base = {name: state.base[Parameter(name)] for name in self._trained}
        parts = [base]
        for memory in term.memories:
            known = {name: memory[name] for name in self._trained if name in memory}
            parts.append({name: t.expand_as(base[name]) for name, t in known.items()})
        self._names = [[*part] for part in parts]
        # No stored name begins with a dot.
        self.frozen = {
            f".{n}.{name}": t for n, part in enumerate(parts) for name, t in part.items()
        }

    def model(self, tensors: Tensors) -> dict[str, Tensor]:
        """Return those tensors that are the model's."""
        return {name: tensor for name, tensor in tensors.items() if name not in self.frozen}

    def of(
        self,
        tensors: Tensors,
        inputs: Tensor,
        targets: Tensor,
        outputs: Tensor,
        run: Callable[[Tensors], Tensor],
    ) -> Any:
        """Return the term; ``run`` gives a model's outputs for the inputs, by its tensors."""
        server, *memories = (
            {name: tensors[f".{n}.{name}"] for name in names} for n, names in enumerate(self._names)
        )
        weights = {name: self._weight(name, server[name], tensors) for name in self._trained}

        def answers(others: Tensors) -> Tensor:
            still = {name: tensor.detach() for name, tensor in self.model(tensors).items()}
            return run(self._replaced(still, others))

        step = Step(weights, server, inputs, targets, outputs, answers, self._term.draws)
        added = self._function(step, *memories, **self._term.arguments)
        if shape := getattr(added, "shape", ()):
            raise ValueError(
                f"the local loss {self._term.place} returns {tuple(shape)}; it must be one number"
            )
        return added

    def _weight(self, name: str, base: Tensor, tensors: Tensors) -> Tensor:
        own = [tensors[trained] for trained in self._trained[name]]
        return own[0] if len(own) == 1 else base + product(own[0], own[1], self._scale)

    def _replaced(self, tensors: dict[str, Tensor], weights: Tensors) -> dict[str, Tensor]:
        """Return a model's tensors with other ``weights``: matrices without factors."""
        for name in self._buffers:
            tensors[name] = tensors[name].clone()
        for name, weight in weights.items():
            tensors[name] = weight
            for b in self._trained[name][1:]:  # and those of frozen factors that run beside these
                same = (n for n in tensors if n == b or (n[0] == "." and n.endswith(f".{b}")))
                tensors |= {own: torch.zeros_like(tensors[own]) for own in [*same]}
        return tensors


# The whole loss: of a model that is run with the tensors of one device.


def loss_of(
    model: nn.Module,
    whole: Callable[[Tensors], Mapping[str, Tensor]],
    *,
    objective: Objective,
    own: bool = False,
    tied: bool = False,
    embedded: bool = False,
    added: AddedLoss | None = None,
) -> sgd.Loss:
    """Return the loss of ``model`` for one device: ``whole`` gives all tensors that it is run in.

    A module of one's ``own`` is run itself, as it may refer to its parts anywhere; of parameters
    that are ``tied`` the first path is given. Samples may be ``embedded``
    (:func:`~learning.training.task.embedded`); where a term is ``added``, or the loss takes inputs,
    the samples themselves stand behind these.
    """

    def outputs_of(tensors: Tensors, given: Sequence[Tensor]) -> Tensor:
        if own:
            found: Tensor = functional_call(
                model, dict(whole(tensors)), tuple(given), tie_weights=tied
            )
            return in_single(found)
        run: Any = with_tensors(model, whole(tensors))
        return in_single((run.after_embedding if embedded else run)(*given))

    def of_one(tensors: Tensors, *batch: Tensor) -> Tensor:
        *given, y = batch
        x = given[-1]
        if embedded and (added is not None or objective.takes_inputs):
            given = given[:-1]
        outputs = outputs_of(tensors if added is None else added.model(tensors), given)
        loss = objective.of(outputs, y, x)
        if added is None:
            return loss
        return loss + added.of(tensors, x, y, outputs, lambda others: outputs_of(others, given))

    return of_one


def within(
    model: nn.Module,
    whole: Callable[[Tensors], Mapping[str, Tensor]],
    *,
    tied: bool = False,
    added: AddedLoss | None = None,
) -> sgd.Within:
    """Return what makes a call while a ``model`` of one's own has the tensors of its loss."""
    inside = _Inside(model)

    def held(tensors: Tensors, call: Callable[[], Tensors]) -> Tensors:
        mine = whole(tensors if added is None else added.model(tensors))
        given = {f"model.{path}": tensor for path, tensor in mine.items()}
        found: Tensors = functional_call(inside, given, (call,), tie_weights=tied)
        return found

    return held


class _Inside(nn.Module):
    """A module around a model, which makes a call while the model has other tensors."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, call: Callable[[], Any]) -> Any:
        return call()
