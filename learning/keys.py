"""Which keys of a scenario each kind of model and of data uses."""

from __future__ import annotations

from learning.networked.shapes import KINDS as NETWORKED_KINDS
from learning.shapes import TEXT_KINDS, fixed_keys

SMALL = ("experts", "top_k", "hidden", "expert_hidden", "layers", "adapter")
NETWORKED = ("top_k", "hidden", "expert_hidden", "layers")
TEXT = (*SMALL, "heads", "kv_heads", "vocabulary", "checkpoints", "tokenizer")

SHARING = ("own_domain_fraction", "partition", "dirichlet_alpha", "classes_per_device")
READING = ("train_samples", "test_samples", "trial_samples")
FILES = ("path", "paths", "columns", "test_fraction", *READING)

DATA_KEYS = {
    "digits": (*SHARING, "trial_samples"),
    "digit-images": (*SHARING, "trial_samples"),
    "jsonl": (*SHARING, *FILES, "tokens"),
    "npz": (*SHARING, *FILES),
    "hf": (*SHARING, *FILES, "tokens"),
}


def model_keys(kind: str, checkpoints: bool) -> tuple[str, ...] | None:
    """Return the keys of ``learning.model`` that a kind uses; None for one that may use any."""
    if kind in ("vector-moe", "image-moe"):
        return SMALL
    if kind in NETWORKED_KINDS:
        return NETWORKED
    if kind in TEXT_KINDS:
        fixed = fixed_keys(kind, checkpoints)
        return tuple(key for key in TEXT if key not in fixed)
    return None


def data_keys(kind: str) -> tuple[str, ...] | None:
    """Return the keys of ``learning.data`` that a kind uses; None for one that may use any."""
    return DATA_KEYS.get(kind)
