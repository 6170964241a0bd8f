"""The register of models by kind: shipped, registered in this process, installed, or a file's."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path

from learning.models.interface import Maker

SHIPPED = {
    "vector-moe": "learning.models.vector:VectorMoE",
    "image-moe": "learning.models.image:ImageMoE",
    "mixtral": "learning.models.mixtral:MixtralMoE",
    "mixtral-8x7b": "learning.models.mixtral:MixtralMoE",
    "merged-llama": "learning.models.mixtral:MixtralMoE",
    "llama-3-8b-x3": "learning.models.mixtral:MixtralMoE",
}

_registered: dict[str, Maker] = {}


def register_model(kind: str) -> Callable[[Maker], Maker]:
    """Decorator: make a model known as ``learning.model.kind: kind`` in this process.

    What is decorated is called with ``(ModelConfig, InputSpec, Residency)`` and returns a module
    that holds :class:`~learning.models.moe.MoELayer`. Raises ValueError for a shipped kind's name.
    """
    if kind in SHIPPED:
        raise ValueError(f"{kind!r} is a shipped model; register yours under another name")

    def add(maker: Maker) -> Maker:
        _registered[kind] = maker
        return maker

    return add


def model_names() -> list[str]:
    """Names of all known kinds: shipped, registered, and entry points ``leomix.models``."""
    installed = [point.name for point in entry_points(group="leomix.models")]
    return sorted({*SHIPPED, *_registered, *installed})


def find_model(kind: str) -> Maker:
    """Return the maker of a kind; ``module:name`` names one in an importable Python module.

    Modules in the current folder are importable too. Raises ValueError for an unknown kind.
    """
    if kind in _registered:
        return _registered[kind]
    if kind in SHIPPED:
        return _imported(SHIPPED[kind])
    if ":" in kind:
        return _imported(kind)
    for point in entry_points(group="leomix.models", name=kind):
        loaded: Maker = point.load()
        return loaded
    known = model_names()
    near = difflib.get_close_matches(kind, known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ", or MODULE:CLASS for one of your own"
    raise ValueError(f"no model {kind!r}; known are {', '.join(known)}{hint}")


def _imported(place: str) -> Maker:
    module, _, attribute = place.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    try:
        found: Maker = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"{place!r} cannot be imported ({error}); name it MODULE:CLASS") from None
    return found
