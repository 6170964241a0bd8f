"""The term that a method adds to the loss of local training, as a function of whole matrices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import Any

from torch import Tensor

from learning.models.moe import product
from learning.models.stacked import Tensors
from learning.training import sgd
from learning.training.state import Parameter, State
from learning.training.task import Task


@dataclass(frozen=True, eq=False)
class Term:
    """A function by its ``place``, called as :class:`~learning.learner.LocalLoss` describes."""

    place: str
    arguments: Mapping[str, Any]
    memories: Sequence[Tensors]


def with_term(
    task: Task, loss: sgd.Loss, state: State, moved: Mapping[Parameter, str], term: Term
) -> tuple[sgd.Loss, dict[str, Tensor]]:
    """Return ``loss`` plus a term, and the tensors (K, ...) that the term needs as frozen ones.

    ``moved`` are the paths of the state's tensors that are trained.
    """
    function = resolve_name(term.place)
    paths: dict[str, tuple[str, ...]] = {}
    for key, path in moved.items():  # that of a tensor, or those of its matrix's two factors
        matrix = path.removesuffix(f".{key.factor}")
        paths[key.stored] = (f"{matrix}.a", f"{matrix}.b") if key.factor else (path,)
    dicts = [{name: state.base[Parameter(name)] for name in paths}]
    for memory in term.memories:
        known = {name: memory[name] for name in paths if name in memory}
        dicts.append({name: t.expand_as(dicts[0][name]) for name, t in known.items()})
    # Paths of the model do not begin with a dot.
    frozen = {f".{n}.{name}": t for n, part in enumerate(dicts) for name, t in part.items()}
    scale = task.config.model.lora.scale
    together = task.traits.batched

    def weight(path: tuple[str, ...], base: Tensor, tensors: Tensors) -> Tensor:
        trained = [_stacked(tensors[one], together=together) for one in path]
        return trained[0] if len(trained) == 1 else base + product(trained[0], trained[1], scale)

    def of(tensors: Tensors) -> Any:
        plain = loss({name: tensor for name, tensor in tensors.items() if name not in frozen})
        server, *memory = (
            {name: _stacked(tensors[f".{n}.{name}"], together=together) for name in part}
            for n, part in enumerate(dicts)
        )

        def total(*batch: Tensor) -> Tensor:
            weights = {name: weight(path, server[name], tensors) for name, path in paths.items()}
            added = function(weights, server, *memory, **term.arguments)
            if shape := getattr(added, "shape", ()):
                raise ValueError(
                    f"the local loss {term.place} returns {tuple(shape)}; it must be one number, "
                    "the sum over all tensors and devices"
                )
            return plain(*batch) + added

        return sgd.Holding(total, lambda call: sgd.held(plain, call))

    return of, frozen


def _stacked(tensor: Tensor, *, together: bool) -> Tensor:
    """Return a tensor of all devices as it is, and that of one device as (1, ...)."""
    return tensor if together else tensor[None]
