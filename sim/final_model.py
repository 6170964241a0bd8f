"""The final model as the bytes of its file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from learning.values.store import as_file

if TYPE_CHECKING:
    from learning.learner import Learner
    from learning.values.lazy import Handle
    from sim.cache.results import Results


def final_model(learner: Learner, server: Handle, results: Results | None) -> bytes:
    """Return all weights of ``server`` as a safetensors file, out of ``results`` if it is there."""
    final = learner.final(server)
    shared = results if not final.foreign else None
    known = None if shared is None else shared.model(final.key)
    if known is not None:
        learner.values.spare(final)
        return known
    data = as_file(learner.force(final))
    if shared is not None:
        shared.keep_model(final.key, data)
    return data
