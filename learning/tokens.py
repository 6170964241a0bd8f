"""How many rows one sample brings through the experts."""

from __future__ import annotations

from learning.config import LearningConfig
from learning.shapes import TEXT_KINDS

IMAGE_STRIDE = 4
"""Two convolutions halve an image each: a token is a place of four by four pixels."""


def tokens_per_sample(config: LearningConfig) -> int:
    """Return the tokens of one sample at most: of a text, of one option, or places of an image."""
    if config.model.kind in TEXT_KINDS:
        return config.data.tokens
    if config.model.kind != "image-moe":
        return 1
    from learning.data import load_samples

    _, height, width = load_samples(config).spec.shape
    return -(-height // IMAGE_STRIDE) * -(-width // IMAGE_STRIDE)
