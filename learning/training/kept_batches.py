"""Batches of texts as frozen blocks give them, which runs share: other methods, other settings.

A batch is known by what computes it and by its tokens, in their order: a row may be rounded
otherwise among other rows, so that rows are not put together from several batches.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Protocol

from torch import Tensor, nn

from learning.architecture.kinds import text_shape
from learning.data.samples import InputSpec
from learning.settings import ModelConfig
from learning.values.reuse import EMBEDDED, Cache
from learning.values.store import bytes_of, packed, unpacked

if TYPE_CHECKING:
    from hashlib import _Hash

LEAST_S = 0.05
"""What is computed sooner is not kept: that is a toy."""
LEAST_S_PER_BYTE = 2e-8
"""What is computed sooner for its size is not kept: to read it takes a tenth of that."""

Embedded = tuple[Tensor, ...]


class Blocks(Protocol):
    """A model whose blocks without experts nothing trains."""

    @property
    def below_experts(self) -> Sequence[nn.Module]:
        """What :meth:`before_experts` runs: all of its parameters are in these modules."""

    def before_experts(self, x: Tensor) -> Embedded | None:
        """Return what these make of samples (n, ...), and the samples; None without any."""


class KeptBatches:
    """The batches in a ``cache`` of models of ``config`` on samples of a form, ``spec``.

    All of its models have the same tensors below their experts, which nothing trains.
    """

    def __init__(self, cache: Cache, config: ModelConfig, spec: InputSpec) -> None:
        self._cache = cache
        self._about = json.dumps(
            [config.kind, asdict(text_shape(config)), spec.form, spec.separator], sort_keys=True
        )
        self._below = ""

    def of(self, model: Blocks, part: Tensor) -> Embedded | None:
        """Return ``model.before_experts(part)``, from the cache if it has it, or kept there."""
        if part.device.type != "cpu":  # to copy it costs what computing it does
            return model.before_experts(part)
        key = self._key(model, part)
        known = self._cache.read(EMBEDDED, key, partial(_unpacked, rows=len(part)))
        if known is not None:
            return *known, part
        began = time.perf_counter()
        found = model.before_experts(part)
        took_s = time.perf_counter() - began
        if found is None:
            return None
        *made, samples = found
        assert samples is part  # behind what was made of them, for every model of blocks
        size_bytes = sum(tensor.nbytes for tensor in made)
        if took_s > max(LEAST_S, LEAST_S_PER_BYTE * size_bytes):
            named = {str(number): tensor for number, tensor in enumerate(made)}
            self._cache.keep(EMBEDDED, key, size_bytes, partial(packed, named))
        return found

    def _key(self, model: Blocks, part: Tensor) -> str:
        digest = hashlib.sha256(self._digest_of(model).encode())
        _add(digest, "", part)
        return digest.hexdigest()

    def _digest_of(self, model: Blocks) -> str:
        """Digest what a model computes with below its experts, once."""
        if not self._below:
            digest = hashlib.sha256(self._about.encode())
            for number, module in enumerate(model.below_experts):
                for name, tensor in module.state_dict().items():
                    _add(digest, f"{number}.{name}", tensor)
            self._below = digest.hexdigest()
        return self._below


def _add(digest: _Hash, name: str, tensor: Tensor) -> None:
    digest.update(f"\n{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
    digest.update(bytes_of(tensor).numpy().data)


def _unpacked(data: bytes, rows: int) -> Embedded:
    """Return the tensors of a batch of so many rows; raise ValueError for any others."""
    named = unpacked(data)
    made = tuple(named[str(number)] for number in range(len(named)))
    if not made or any(len(tensor) != rows for tensor in made):
        raise ValueError("another number of rows")
    return made
